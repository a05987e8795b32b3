//! JSON as the log takes it: valid UTF-8, one value, bounded depth, no lone surrogates; kept as
//! the bytes that came. Pure.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits;

/// Why a text is not JSON that the log takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It breaks the grammar, or a string holds half a surrogate pair.
    #[error("{reason} at line {line}, column {column}")]
    Invalid {
        /// What is wrong.
        reason: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Nested deeper than [`limits::JSON_DEPTH_MAX`].
    #[error("nested deeper than {} levels", limits::JSON_DEPTH_MAX)]
    TooDeep,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let full = error.to_string();
        // The parser's own bound is above ours, and met first where a value is read into a type.
        if full.starts_with(TOO_DEEP) || full.starts_with(TOO_DEEP_FOR_PARSER) {
            return Self::TooDeep;
        }
        let (line, column) = (error.line(), error.column());
        let reason = full.split(" at line ").next().unwrap_or_default().to_owned();
        Self::Invalid { reason, line, column }
    }
}

/// Checks one JSON value.
///
/// # Errors
/// [`JsonError`].
pub fn validate(text: &[u8]) -> Result<(), JsonError> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    // The depth is bounded here, by ours, which is below the parser's own.
    Checked::deserialize(Depth(0), &mut parser)?;
    Ok(parser.end()?)
}

/// Whether a text that parses as JSON is sure to pass [`validate`]: it has too few brackets to
/// nest too deep, and no `\u` that could be half a surrogate pair. One quick look that spares
/// most texts a whole parse.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let brackets = memchr::memchr2_iter(b'{', b'[', bytes).count();
    brackets <= limits::JSON_DEPTH_MAX && memchr::memmem::find(bytes, b"\\u").is_none()
}

/// The values of a JSON text: the elements where it is an array (one level only), else itself.
/// Each is the bytes that came, without the white space around it.
///
/// # Errors
/// [`JsonError`].
pub fn flatten(text: &Bytes) -> Result<Vec<Bytes>, JsonError> {
    validate(text)?;
    if text.trim_ascii_start().first() != Some(&b'[') {
        return Ok(vec![text.slice_ref(text.trim_ascii())]);
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(text)?;
    Ok(elements.into_iter().map(|element| text.slice_ref(element.get().as_bytes())).collect())
}

const TOO_DEEP: &str = "nested too deep";
const TOO_DEEP_FOR_PARSER: &str = "recursion limit exceeded";

/// How deep the value that is visited lies.
#[derive(Clone, Copy)]
struct Depth(usize);

/// Parsed and thrown away.
struct Checked;

impl Checked {
    fn deserialize<'de, D: Deserializer<'de>>(depth: Depth, from: D) -> Result<Self, D::Error> {
        from.deserialize_any(depth)
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Depth {
    type Value = Checked;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Checked, D::Error> {
        Checked::deserialize(self, from)
    }
}

impl Depth {
    fn down<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.0 >= limits::JSON_DEPTH_MAX {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self(self.0 + 1))
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Checked, A::Error> {
        let inner = self.down()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked, A::Error> {
        let inner = self.down()?;
        while map.next_key::<Key>()?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(Checked)
    }
}

/// An object's key, parsed and thrown away without an allocation.
struct Key;

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E>(self, _: &str) -> Result<Key, E> {
                Ok(Key)
            }
        }
        from.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flattened(text: &str) -> Vec<String> {
        let values = flatten(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
        values.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
    }

    #[test]
    fn values_keep_the_bytes_they_came_with() {
        assert_eq!(flattened(r#" {"b" : 1.0, "a":1e2} "#), [r#"{"b" : 1.0, "a":1e2}"#]);
        assert_eq!(flattened(r#"[1 , "é" ,[2, 3]]"#), ["1", r#""é""#, "[2, 3]"]);
        assert!(flattened("[]").is_empty());
    }

    #[test]
    fn what_breaks_readers_is_refused() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(validate(deep.as_bytes()), Err(JsonError::TooDeep));
        for text in [
            &b"{"[..],
            b"",
            b"{} {}",
            b"nul",
            b"\"\\ud800\"",
            b"\"\xff\"",
            b"[1,]",
            b"\"\x01\"",
            b"01",
            b"{\"\\ud800\":1}",
        ] {
            assert!(matches!(validate(text), Err(JsonError::Invalid { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_plain_text_that_parses_is_valid() {
        assert!(is_plain(r#"{"a":[1,{"b":"\n"}]}"#));
        assert!(!is_plain(r#""\ud800""#));
        assert!(!is_plain(&"[".repeat(limits::JSON_DEPTH_MAX + 1)));
    }

    #[test]
    fn the_deepest_allowed_value_is_taken() {
        let depth = limits::JSON_DEPTH_MAX;
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(validate(text.as_bytes()), Ok(()));
        let deeper = format!("[{text}]");
        assert_eq!(validate(deeper.as_bytes()), Err(JsonError::TooDeep));
    }
}
