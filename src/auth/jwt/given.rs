//! What was granted for JSON Web Tokens that have a `jti`, so that it is found when one is revoked.
//!
//! Grants are remembered elsewhere only as long as there is room, and what is open goes on with one
//! that was forgotten. Invariant: a grant that anybody still holds is in here.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
};

use crate::auth::{Grant, Jti};

/// Grants are not looked through before there are so many.
const ROOM: usize = 1_024;

/// Grants, by the `jti` of their tokens. There are at most twice as many as are held.
#[derive(Debug)]
pub(super) struct Given {
    grants: Vec<(Jti, Weak<Grant>)>,
    /// When there are so many, those that nobody holds go.
    room: usize,
}

impl Default for Given {
    fn default() -> Self {
        Self { grants: Vec::new(), room: ROOM }
    }
}

impl Given {
    pub(super) fn note(&mut self, jti: Jti, grant: &Arc<Grant>) {
        if self.grants.len() >= self.room {
            self.grants.retain(|(_, grant)| grant.strong_count() > 0);
            self.room = ROOM.max(self.grants.len().saturating_mul(2));
        }
        self.grants.push((jti, Arc::downgrade(grant)));
    }

    /// Ends what was granted for these.
    pub(super) fn end(&mut self, revoked: &HashSet<Jti>) {
        self.grants.retain(|(jti, grant)| {
            let Some(grant) = grant.upgrade() else { return false };
            let ends = revoked.contains(jti);
            if ends {
                grant.revoked.cancel();
            }
            !ends
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::auth::{Rights, Scopes};

    fn grant() -> Arc<Grant> {
        Arc::new(Grant {
            id: Arc::from("jwt:u"),
            rights: Rights::Scopes(Scopes::default()),
            actor: None,
            ends_ms: None,
            revoked: CancellationToken::new(),
        })
    }

    #[test]
    fn those_that_nobody_holds_take_up_no_room_and_the_others_stay() {
        let (mut given, jti) = (Given::default(), |text: &str| text.parse::<Jti>().unwrap());
        let kept: Vec<_> = (0..ROOM)
            .map(|n| {
                let held = grant();
                given.note(jti(&n.to_string()), &held);
                given.note(jti("gone"), &grant());
                held
            })
            .collect();
        for _ in 0..10 * ROOM {
            given.note(jti("gone"), &grant());
        }
        assert!(given.grants.len() <= 2 * kept.len(), "{}", given.grants.len());
        given.end(&[jti("gone"), jti("7")].into());
        let ended = |n: usize| kept[n].revoked.is_cancelled();
        assert!(ended(7) && (0..ROOM).all(|n| n == 7 || !ended(n)));
    }
}
