//! Values that many types share: ids, times, tokens, faults. Pure.
//!
//! Invariant: an [`Id`] is never empty and never longer than `limits::EVENT_ID_BYTES_MAX`.

use std::{fmt, ops::Deref, sync::Arc};

#[cfg(test)]
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::{limits, session::Ids};

/// Names one thing: a message, a part, a turn, a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Id(
    #[cfg_attr(test, schemars(length(min = 1, max = limits::EVENT_ID_BYTES_MAX)))] Arc<str>,
);

impl Id {
    /// The id, unless it breaks its rule.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= limits::EVENT_ID_BYTES_MAX;
        fits.then(|| Self(Arc::from(text)))
    }

    /// A new id of ours. It is a ULID, and so within the bounds.
    #[must_use]
    pub fn made(ids: &Ids, now_ms: u64) -> Self {
        Self(ids.next(now_ms))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a text of 1 to {} bytes", limits::EVENT_ID_BYTES_MAX)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Id::new(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_str(IdVisitor)
    }
}

/// When something began, changed and ended, Unix milliseconds.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// When it was made.
    pub created: Option<u64>,
    /// When it was changed last.
    pub updated: Option<u64>,
    /// When it was complete.
    pub completed: Option<u64>,
    /// When it began.
    pub start: Option<u64>,
    /// When it ended.
    pub end: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Tokens that a model was given and gave.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Read by the model.
    pub input: Option<u64>,
    /// Written by the model.
    pub output: Option<u64>,
    /// Of them, spent on reasoning.
    pub reasoning: Option<u64>,
    /// Read from and written to the provider's cache.
    pub cache: Option<CacheTokens>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Tokens of a provider's cache.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CacheTokens {
    /// Read from it.
    pub read: Option<u64>,
    /// Written to it.
    pub write: Option<u64>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What went wrong. A bare text is taken as the message.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// For people.
    pub message: String,
    /// For programs.
    pub code: Option<String>,
    /// The same may succeed later.
    pub retryable: Option<bool>,
    /// Whatever else was said.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Whole {
            message: String,
            code: Option<String>,
            retryable: Option<bool>,
            #[serde(flatten)]
            other: Map<String, Value>,
        }
        let fault = text_or_object(from, "an object with a `message`, or a text")?;
        Ok(match fault {
            TextOr::Text(message) => {
                Self { message, code: None, retryable: None, other: Map::new() }
            }
            TextOr::Object(Whole { message, code, retryable, other }) => {
                Self { message, code, retryable, other }
            }
        })
    }
}

/// A text, or an object in its place.
pub(super) enum TextOr<T> {
    /// A text.
    Text(String),
    /// An object.
    Object(T),
}

/// Reads either. Unlike serde's untagged enums, a fault inside the object keeps its path.
pub(super) fn text_or_object<'de, D, T>(
    from: D,
    expected: &'static str,
) -> Result<TextOr<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Either<T>(&'static str, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
        type Value = TextOr<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(TextOr::Text(text.to_owned()))
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Object)
        }
    }
    from.deserialize_any(Either(expected, std::marker::PhantomData))
}
