//! What somebody may do, and until when.

use std::{fmt, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{Right, Scopes};
use crate::log::Pattern;

/// What the sender of a request may do.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// The server asks nobody who they are.
    #[default]
    Everyone,
    /// Nothing, because of this.
    Nobody(Denied),
    /// What was granted to the holder of a token.
    Holder(Arc<Grant>),
}

/// Why somebody may do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no token.
    #[error("this server wants to know who asks; send Authorization: Bearer and a token")]
    Missing,
    /// The token is not one of the server's: unknown, wrong, expired or revoked.
    #[error("the token is not valid here, or not any more; ask for a new one")]
    Invalid,
    /// The token is a worker's, and nobody has approved it yet.
    #[error("the worker's token waits for the approval of an admin; try again once it has it")]
    NotApproved,
}

/// What was granted to the holder of a token.
#[derive(Debug)]
pub struct Grant {
    /// Names the holder in logs and for limits; tells nothing about the secret.
    pub id: Arc<str>,
    /// What they may do.
    pub rights: Rights,
    /// Who stands as the writer of what they write, as the JSON of an event's `actor`. None where
    /// they write for others.
    pub actor: Option<Arc<str>>,
    /// When it ends, Unix milliseconds.
    pub ends_ms: Option<u64>,
    /// Cancelled when it ends before its time. Whoever waits for that holds the grant, by which it is
    /// found.
    pub revoked: CancellationToken,
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// What these scopes say.
    Scopes(Scopes),
    /// Read and write in the sessions of this worker and in its own stream.
    Worker(Arc<str>),
}

/// Whether something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It is if the session is one of this worker's.
    IfSessionOf(Arc<str>),
}

impl Access {
    /// Whether this may be done with a stream.
    #[must_use]
    pub fn may(&self, right: Right, path: &str) -> Verdict {
        match self {
            Self::Everyone => Verdict::Yes,
            Self::Nobody(_) => Verdict::No,
            Self::Holder(grant) => grant.may(right, path),
        }
    }

    /// Whether this may be done with every stream that a pattern stands for, now and later. What
    /// cannot be said of one scope alone is not allowed, and nothing is to workers, whose sessions
    /// come and go.
    #[must_use]
    pub fn may_all(&self, right: Right, pattern: &Pattern) -> bool {
        match self {
            Self::Everyone => true,
            Self::Nobody(_) => false,
            Self::Holder(grant) => match &grant.rights {
                Rights::Scopes(scopes) => {
                    !grant.revoked.is_cancelled() && scopes.allow_all(right, pattern)
                }
                Rights::Worker(_) => false,
            },
        }
    }
}

impl Grant {
    fn may(&self, right: Right, path: &str) -> Verdict {
        let said = |allowed| if allowed { Verdict::Yes } else { Verdict::No };
        if self.revoked.is_cancelled() {
            return Verdict::No;
        }
        match &self.rights {
            Rights::Scopes(scopes) => said(scopes.allow(right, path)),
            Rights::Worker(_) if right == Right::Admin => Verdict::No,
            Rights::Worker(worker) => match path.split_once('/') {
                Some(("sessions", id)) if !id.contains('/') => {
                    Verdict::IfSessionOf(Arc::clone(worker))
                }
                Some(("workers", id)) => said(id == &**worker),
                _ => Verdict::No,
            },
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everyone => "everyone",
            Self::Nobody(_) => "nobody",
            Self::Holder(grant) => &grant.id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(rights: Rights) -> Access {
        Access::Holder(Arc::new(Grant {
            id: Arc::from("t"),
            rights,
            actor: None,
            ends_ms: None,
            revoked: CancellationToken::new(),
        }))
    }

    #[test]
    fn a_worker_has_its_own_stream_and_sessions_and_nothing_else() {
        let worker = holder(Rights::Worker(Arc::from("w1")));
        for (right, path, expected) in [
            (Right::Read, "workers/w1", Verdict::Yes),
            (Right::Write, "workers/w1", Verdict::Yes),
            (Right::Read, "workers/w2", Verdict::No),
            (Right::Write, "sessions/a", Verdict::IfSessionOf(Arc::from("w1"))),
            (Right::Write, "sessions/a/b", Verdict::No),
            (Right::Admin, "sessions/a", Verdict::No),
            (Right::Read, "agents/w1", Verdict::No),
            (Right::Read, "__server/metrics", Verdict::No),
        ] {
            assert_eq!(worker.may(right, path), expected, "{right:?} {path}");
        }
    }

    #[test]
    fn all_that_a_pattern_stands_for_is_allowed_by_one_scope_or_not_at_all() {
        let scopes = ["read:tenants/a/**", "admin:open/*", "write:log/**", "read:x/*", "read:x"];
        let scopes = scopes.iter().map(|text| text.parse().unwrap()).collect();
        let access = holder(Rights::Scopes(Scopes::new(scopes)));
        let may = |access: &Access, text: &str| {
            access.may_all(Right::Read, &Pattern::parse(text).unwrap())
        };
        for (pattern, expected) in [
            ("tenants/a/**", true),
            ("tenants/a/*/events", true),
            ("tenants/*/x", false),
            ("**", false),
            ("open/*", true),
            ("open/**", false),
            ("log/*", false),
            ("x/*", true),
            // Two scopes would do, which is not looked for.
            ("x/**", false),
        ] {
            assert_eq!(may(&access, pattern), expected, "{pattern}");
        }
        let worker = holder(Rights::Worker(Arc::from("w1")));
        assert!(!may(&worker, "workers/w1") && !may(&Access::Nobody(Denied::Missing), "x"));
        assert!(may(&Access::Everyone, "**"));
        let Access::Holder(grant) = &access else { unreachable!() };
        grant.revoked.cancel();
        assert!(!may(&access, "x/*"));
    }

    #[test]
    fn what_is_revoked_allows_nothing() {
        let scopes = Scopes::new(vec!["admin:**".parse().unwrap()]);
        let access = holder(Rights::Scopes(scopes));
        assert_eq!(access.may(Right::Read, "a"), Verdict::Yes);
        let Access::Holder(grant) = &access else { unreachable!() };
        grant.revoked.cancel();
        assert_eq!(access.may(Right::Read, "a"), Verdict::No);
        assert_eq!(Access::Nobody(Denied::Missing).may(Right::Read, "a"), Verdict::No);
        assert_eq!(Access::Everyone.may(Right::Admin, "a"), Verdict::Yes);
    }
}
