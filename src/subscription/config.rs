//! What a subscription is made with, checked and brought to one form, so that two that mean the
//! same are equal (protocol, section 6.2). Pure.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::target::TargetError;
use crate::{
    limits,
    log::{PathError, Pattern, StreamPath},
};

/// A subscription as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The streams it follows by their paths.
    pub pattern: Option<Pattern>,
    /// The streams it follows by name.
    pub streams: BTreeSet<Arc<str>>,
    /// How it wakes its workers.
    pub delivery: Delivery,
    /// How long a worker may be silent, milliseconds.
    pub lease_ttl_ms: u64,
    /// A text for people.
    pub description: Option<Arc<str>>,
}

/// How a subscription wakes its workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Delivery {
    /// By a request to this address.
    Webhook {
        /// The address.
        url: Arc<str>,
    },
    /// By a record on this stream; a worker then claims the subscription.
    PullWake {
        /// The stream's path.
        wake_stream: Arc<str>,
    },
}

/// Why a subscription cannot be made like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The name.
    #[error(
        "the id of a subscription has 1 to {} of A-Z, a-z, 0-9, `.`, `_`, `~`, `:` and `-`, and is not `.` or `..`",
        limits::SUBSCRIPTION_ID_BYTES_MAX
    )]
    Id,
    /// Neither a pattern nor streams.
    #[error("`pattern` or `streams` is missing: a subscription follows at least one of them")]
    Nothing,
    /// A pattern or a stream that could not exist.
    #[error("`{field}` holds {given:?}: {reason}")]
    Path {
        /// `pattern`, `streams` or `wake_stream`.
        field: &'static str,
        /// What was given.
        given: String,
        /// The rule it breaks.
        reason: PathError,
    },
    /// The lease.
    #[error("`lease_ttl_ms` is a number from {} to {}", limits::LEASE_MIN.as_millis(), limits::LEASE_MAX.as_millis())]
    Lease,
    /// The description.
    #[error("`description` has at most {} bytes", limits::DESCRIPTION_BYTES_MAX)]
    Description,
    /// Each wake would wake again.
    #[error("a subscription cannot follow its own wake stream")]
    OwnWakes,
    /// Too many streams by name.
    #[error(
        "a subscription follows at most {} streams, with {} bytes of paths",
        limits::SUBSCRIPTION_LINKS_MAX,
        limits::SUBSCRIPTION_LINK_BYTES_MAX
    )]
    TooManyStreams,
    /// The address of the webhook.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl Config {
    /// Brings what was asked for to its one form.
    ///
    /// # Errors
    /// The first rule it breaks. Whether an address may be called is asked elsewhere.
    pub fn new(
        pattern: Option<&str>,
        streams: &[String],
        delivery: Delivery,
        lease_ttl_ms: Option<u64>,
        description: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let pattern = pattern
            .map(|given| Pattern::parse(given).map_err(|reason| wrong("pattern", given, reason)));
        let streams = paths(streams)?;
        if pattern.is_none() && streams.is_empty() {
            return Err(ConfigError::Nothing);
        }
        if description.is_some_and(|text| text.len() > limits::DESCRIPTION_BYTES_MAX) {
            return Err(ConfigError::Description);
        }
        let lease = lease_ttl_ms.map_or(limits::LEASE_DEFAULT, Duration::from_millis);
        if !(limits::LEASE_MIN..=limits::LEASE_MAX).contains(&lease) {
            return Err(ConfigError::Lease);
        }
        let delivery = match delivery {
            Delivery::PullWake { wake_stream } => {
                Delivery::PullWake { wake_stream: path("wake_stream", &wake_stream)? }
            }
            webhook @ Delivery::Webhook { .. } => webhook,
        };
        check_wakes(&delivery, &streams)?;
        Ok(Self {
            pattern: pattern.transpose()?,
            streams,
            delivery,
            lease_ttl_ms: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
            description: description.map(Arc::from),
        })
    }

    /// Whether the pattern stands for a stream. The subscription's own wake stream it never does:
    /// each wake would wake again.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        !self.delivery.writes_to(path)
            && self.pattern.as_ref().is_some_and(|pattern| pattern.matches(path))
    }
}

impl Delivery {
    fn writes_to(&self, path: &str) -> bool {
        matches!(self, Self::PullWake { wake_stream } if &**wake_stream == path)
    }
}

/// Checks streams that are to be followed by name.
///
/// # Errors
/// [`ConfigError::OwnWakes`].
pub(super) fn check_wakes(
    delivery: &Delivery,
    streams: &BTreeSet<Arc<str>>,
) -> Result<(), ConfigError> {
    let is_own = streams.iter().any(|path| delivery.writes_to(path));
    if is_own { Err(ConfigError::OwnWakes) } else { Ok(()) }
}

/// Paths of streams, each once.
///
/// # Errors
/// A path that breaks a rule, or more of them than a subscription follows.
pub fn paths(given: &[String]) -> Result<BTreeSet<Arc<str>>, ConfigError> {
    let paths: BTreeSet<_> =
        given.iter().map(|given| path("streams", given)).collect::<Result<_, _>>()?;
    let bytes: usize = paths.iter().map(|path| path.len()).sum();
    if paths.len() > limits::SUBSCRIPTION_LINKS_MAX || bytes > limits::SUBSCRIPTION_LINK_BYTES_MAX {
        return Err(ConfigError::TooManyStreams);
    }
    Ok(paths)
}

fn path(field: &'static str, given: &str) -> Result<Arc<str>, ConfigError> {
    let path = StreamPath::parse(given.trim_matches('/'));
    path.map(|path| path.shared()).map_err(|reason| wrong(field, given, reason))
}

fn wrong(field: &'static str, given: &str, reason: PathError) -> ConfigError {
    ConfigError::Path { field, given: given.to_owned(), reason }
}

/// Checks the name of a subscription.
///
/// # Errors
/// [`ConfigError::Id`].
pub fn check_id(id: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:-".contains(&byte);
    let is_one = (1..=limits::SUBSCRIPTION_ID_BYTES_MAX).contains(&id.len())
        && !matches!(id, "." | "..")
        && id.bytes().all(plain);
    if is_one { Ok(()) } else { Err(ConfigError::Id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(pattern: Option<&str>, streams: &[&str]) -> Result<Config, ConfigError> {
        let streams: Vec<_> = streams.iter().map(|path| (*path).to_owned()).collect();
        let delivery = Delivery::PullWake { wake_stream: Arc::from("/wake/pool") };
        Config::new(pattern, &streams, delivery, None, None)
    }

    #[test]
    fn two_that_mean_the_same_are_equal() {
        let one = pull(Some("events/*"), &["b", "a", "a"]).unwrap();
        let other = pull(Some("/events/*"), &["/a", "b/"]).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.lease_ttl_ms, 30_000);
        assert_ne!(one, pull(Some("events/*"), &["a"]).unwrap());
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        assert_eq!(pull(None, &[]), Err(ConfigError::Nothing));
        for (pattern, stream, field) in [("a//b", "a", "pattern"), ("a", "__ds/keys", "streams")] {
            let error = pull(Some(pattern), &[stream]).unwrap_err();
            assert!(matches!(error, ConfigError::Path { field: found, .. } if found == field));
        }
        let delivery = || Delivery::PullWake { wake_stream: Arc::from("w") };
        for (lease_ms, is_ok) in [(999, false), (1_000, true), (600_000, true), (600_001, false)] {
            let config = Config::new(Some("a"), &[], delivery(), Some(lease_ms), None);
            assert_eq!(config.is_ok(), is_ok, "{lease_ms}");
        }
        let long = "x".repeat(limits::DESCRIPTION_BYTES_MAX + 1);
        let config = Config::new(Some("a"), &[], delivery(), None, Some(&long));
        assert_eq!(config, Err(ConfigError::Description));
    }

    #[test]
    fn a_subscription_does_not_follow_its_own_wakes() {
        let config = pull(Some("wake/*"), &[]).unwrap();
        assert!(config.matches("wake/other"));
        assert!(!config.matches("wake/pool"));
        assert_eq!(pull(None, &["a", "wake/pool"]), Err(ConfigError::OwnWakes));
    }

    #[test]
    fn an_id_is_one_plain_segment() {
        for id in ["a", "sub-1", "a.b_c~d:e"] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
        for id in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(129)] {
            assert_eq!(check_id(id), Err(ConfigError::Id), "{id}");
        }
    }
}
