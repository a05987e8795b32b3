//! What is wrong with the data of an event: the field, as a path, and the rule it breaks. Pure.
//!
//! Where a shape is read in two steps (first any object, then the type that it turns out to be),
//! the inner step's fault travels through serde as text and is joined to the outer path here.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::limits;

/// A field of an event that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, such as `data.part.type`.
    pub path: String,
    /// The rule it breaks.
    pub rule: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.rule)
    }
}

impl std::error::Error for FieldError {}

/// Stands before and between path and rule, where both travel as one text.
const MARK: char = '\u{1}';

impl FieldError {
    /// A fault at a path.
    pub(super) fn new(path: &str, rule: impl Into<String>) -> Self {
        Self { path: path.to_owned(), rule: rule.into() }
    }

    /// The fault as a text that [`Self::from_serde`] takes apart again.
    pub(super) fn marked(&self) -> String {
        format!("{MARK}{}{MARK}{}", self.path, self.rule)
    }

    /// The same, below a field.
    pub(super) fn below(mut self, field: &str) -> Self {
        self.path = join(field, &self.path);
        self
    }

    fn from_serde(path: &str, error: &str) -> Self {
        let path = if path == "." { "" } else { path };
        let text = match error.rfind(" at line ") {
            Some(at) => error.get(..at).unwrap_or(error),
            None => error,
        };
        if let Some((inner, rule)) = text.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK))
        {
            return Self { path: join(path, inner), rule: rule.to_owned() };
        }
        if let Some((field, rule)) = of_whole(text) {
            return Self { path: join(path, field), rule: rule.to_owned() };
        }
        Self::new(path, rule_of(text))
    }
}

/// Faults that serde reports at the object, though they are about one field of it.
fn of_whole(text: &str) -> Option<(&str, &'static str)> {
    let named = |before| text.strip_prefix(before)?.strip_suffix('`');
    let missing = named("missing field `").map(|field| (field, "is missing"));
    missing.or_else(|| named("duplicate field `").map(|field| (field, "is given twice")))
}

fn rule_of(text: &str) -> String {
    let swapped = || {
        let (_, rest) = text.split_once(": ").filter(|(kind, _)| kind.starts_with("invalid "))?;
        let (found, wanted) = rest.rsplit_once(", expected ")?;
        Some(format!("must be {}, not {}", plain(wanted), plain(found)))
    };
    let unknown = || {
        let (found, wanted) = text.strip_prefix("unknown variant ")?.rsplit_once(", expected ")?;
        Some(format!("must be {wanted}, not {found}"))
    };
    let rule = swapped().or_else(unknown).unwrap_or_else(|| text.to_owned());
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut short: String = rule.chars().take(limits::RULE_CHARS_MAX).map(shown).collect();
    if rule.chars().nth(limits::RULE_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

/// Serde's words for kinds of values, in those of JSON.
fn plain(word: &str) -> &str {
    match word {
        "a map" | "map" => "an object",
        "a sequence" | "sequence" => "an array",
        "a string" => "a text",
        "u64" | "i64" => "a whole number",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "f64" => "a number",
        _ if word.starts_with("struct ") => "an object",
        _ => word,
    }
}

fn join(outer: &str, inner: &str) -> String {
    match (outer.is_empty(), inner.is_empty()) {
        (true, _) => inner.to_owned(),
        (_, true) => outer.to_owned(),
        _ if inner.starts_with('[') => format!("{outer}{inner}"),
        _ => format!("{outer}.{inner}"),
    }
}

/// The data of every type is an object; serde would take an array of its fields as well.
pub(super) fn is_object(data: &str) -> Result<(), FieldError> {
    if data.trim_ascii_start().starts_with('{') {
        return Ok(());
    }
    Err(FieldError::new("data", "must be an object"))
}

/// Reads a type from JSON text. Twice where it fails: the second time to learn where.
pub(super) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    serde_json::from_str(text).or_else(|_| {
        let parser = &mut serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(parser).map_err(|error| {
            let path = error.path().to_string();
            FieldError::from_serde(&path, &error.into_inner().to_string())
        })
    })
}

/// Reads a type from JSON text, which must be an object.
///
/// # Errors
/// [`FieldError`].
pub fn read_text<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(FieldError::new("", "must be an object"));
    }
    from_text(text)
}

/// Reads a type from the value of a field.
///
/// # Errors
/// [`FieldError`], whose path begins with the field.
pub fn read_field<T: DeserializeOwned>(field: &str, value: Value) -> Result<T, FieldError> {
    from_value(value).map_err(|error| error.below(field))
}

/// Reads a type from a JSON value.
pub(super) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        FieldError::from_serde(&path, &error.into_inner().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Sample {
        #[expect(dead_code, reason = "read by serde only")]
        list: Vec<u8>,
    }

    fn refused(text: &str) -> String {
        from_text::<Sample>(text).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_names_its_field_and_the_rule() {
        assert_eq!(refused("{}"), "`list` is missing");
        assert_eq!(refused(r#"{"list":[1,"x"]}"#), "`list[1]` must be u8, not string \"x\"");
        assert_eq!(refused(r#"{"list":[],"list":[]}"#), "`list` is given twice");
        assert_eq!(refused("7"), "`` must be an object, not integer `7`");
    }

    #[test]
    fn a_long_value_is_not_said_back_whole() {
        let rule = from_text::<u8>(&format!("\"{}\"", "ä".repeat(10_000))).unwrap_err().rule;
        assert_eq!(rule.chars().count(), limits::RULE_CHARS_MAX + 1);
    }

    #[test]
    fn a_fault_keeps_its_path_on_its_way_out() {
        let inner = FieldError::new("[2].state", "is wrong");
        let outer = FieldError::from_serde("parts", &(inner.marked() + " at line 1 column 9"));
        assert_eq!(outer.below("data").to_string(), "`data.parts[2].state` is wrong");
    }
}
