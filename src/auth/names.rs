//! Who stands behind a token: the worker it belongs to, and the actor of what its holder writes.
//! Pure.
//!
//! Invariant: a worker's name is one segment of a path and no pattern, so that it names one stream
//! and its sessions and nothing else.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{limits, log::StreamPath};

/// The name of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Worker(Arc<str>);

/// Who writes, as events say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    kind: String,
    id: String,
}

/// Why a text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not the name of a worker.
    #[error(
        "{0:?} is no worker; a name has 1 to {max} bytes, and no slash, star or control character",
        max = limits::WORKER_BYTES_MAX
    )]
    Worker(String),
    /// Not an actor.
    #[error(
        "{0:?} is no actor; write a kind and an id such as user:u1, the id of 1 to {max} bytes",
        max = limits::ACTOR_ID_BYTES_MAX
    )]
    Actor(String),
}

impl Worker {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0
    }

    /// The worker as the writer of events.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { kind: "worker".to_owned(), id: self.0.as_ref().to_owned() }
    }
}

impl FromStr for Worker {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = text.len() <= limits::WORKER_BYTES_MAX && !text.contains(['/', '*']);
        let is_path = StreamPath::parse(&format!("workers/{text}")).is_ok();
        let name = (plain && is_path).then(|| Self(Arc::from(text)));
        name.ok_or_else(|| NameError::Worker(text.to_owned()))
    }
}

impl TryFrom<String> for Worker {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Worker> for String {
    fn from(worker: Worker) -> Self {
        worker.0.as_ref().to_owned()
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Actor {
    /// An actor of this kind.
    ///
    /// # Errors
    /// [`NameError::Actor`].
    pub fn new(kind: &str, id: &str) -> Result<Self, NameError> {
        let good = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && !text.contains(char::is_control)
        };
        let good = good(kind, limits::NAME_BYTES_MAX) && good(id, limits::ACTOR_ID_BYTES_MAX);
        let actor = good.then(|| Self { kind: kind.into(), id: id.into() });
        actor.ok_or_else(|| NameError::Actor(format!("{kind}:{id}")))
    }

    /// The actor as the JSON of an event.
    #[must_use]
    pub fn json(&self) -> Option<Arc<str>> {
        serde_json::to_string(self).ok().map(Arc::from)
    }
}

impl FromStr for Actor {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (kind, id) = text.split_once(':').ok_or_else(|| NameError::Actor(text.to_owned()))?;
        Self::new(kind, id)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_one_segment_and_no_pattern() {
        for text in ["w1", "gpu:3", "é"] {
            assert_eq!(text.parse::<Worker>().unwrap().to_string(), text);
        }
        for text in ["", "a/b", "*", "**", "..", "a\n", &"w".repeat(129)] {
            assert!(text.parse::<Worker>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_actor_has_a_kind_and_an_id_which_may_have_a_colon() {
        let actor: Actor = "user:acme:u1".parse().unwrap();
        assert_eq!(actor.json().as_deref(), Some(r#"{"kind":"user","id":"acme:u1"}"#));
        assert_eq!(actor.to_string(), "user:acme:u1");
        for text in ["", "user", "user:", ":u1", "user:a\0"] {
            assert!(text.parse::<Actor>().is_err(), "{text:?}");
        }
    }
}
