//! What changed between two states, as people read it: a line for each place, old and new.
//!
//! It refuses to know where the states came from. Invariant: a patch is shown in its order, and
//! each old value is the one that its operation met, because the operations before it were done.

use anyhow::{Context, Result};
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::shown::{Paint, Tone, cut, visible, visible_json};

/// Characters of one value that are shown: the place matters more than all of it.
const VALUE_CHARS_MAX: usize = 120;

/// One place that changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// The place, a JSON pointer.
    pub(super) path: String,
    /// What stood there.
    pub(super) old: Option<Value>,
    /// What stands there now.
    pub(super) new: Option<Value>,
}

/// The changes that a patch makes to a value, in its order.
///
/// # Errors
/// The patch is not one of this value.
pub(super) fn changes(mut value: Value, patch: Patch) -> Result<Vec<Change>> {
    let mut all = Vec::with_capacity(patch.0.len());
    for operation in patch.0 {
        let path = operation.path().to_string();
        let (old, new) = match &operation {
            // In a list it moves what stands there; in an object nothing stood there.
            PatchOperation::Add(add) => (None, Some(add.value.clone())),
            PatchOperation::Remove(_) => (value.pointer(&path).cloned(), None),
            PatchOperation::Replace(replace) => {
                (value.pointer(&path).cloned(), Some(replace.value.clone()))
            }
            PatchOperation::Move(_) | PatchOperation::Copy(_) | PatchOperation::Test(_) => {
                (None, None)
            }
        };
        json_patch::patch(&mut value, &[operation]).context("the patch does not fit the state")?;
        let new = new.or_else(|| value.pointer(&path).cloned().filter(|_| old.is_none()));
        all.push(Change { path, old, new });
    }
    Ok(all)
}

/// The change as one line.
pub(super) fn line(change: &Change, paint: Paint) -> String {
    let path = visible(&change.path);
    let (mark, tone, what) = match (&change.old, &change.new) {
        (Some(Value::String(old)), Some(Value::String(new))) if grows(old, new) => {
            let more = Value::String(new.get(old.len()..).unwrap_or_default().to_owned());
            ("~", Tone::Work, format!("+ {}", short(&more)))
        }
        (Some(old), Some(new)) => ("~", Tone::Work, format!("{} → {}", short(old), short(new))),
        (None, Some(new)) => ("+", Tone::Good, short(new)),
        (Some(old), None) => ("-", Tone::Bad, short(old)),
        (None, None) => ("~", Tone::Work, String::new()),
    };
    format!("{} {path}  {what}", paint.tone(tone, mark)).trim_end().to_owned()
}

/// The text went on where it ended.
fn grows(old: &str, new: &str) -> bool {
    !old.is_empty() && new.len() > old.len() && new.starts_with(old)
}

/// A value as JSON, cut where it is long.
pub(super) fn short(value: &Value) -> String {
    cut(&visible_json(&value.to_string()), VALUE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        let all = changes(before.clone(), json_patch::diff(before, after)).unwrap();
        all.iter().map(|change| line(change, Paint::new(false))).collect()
    }

    #[test]
    fn text_that_goes_on_is_shown_by_what_was_added() {
        let before = json!({"text": "The fern", "state": "streaming", "gone": [1], "empty": ""});
        let after =
            json!({"text": "The fern house", "state": "completed", "new": null, "empty": "x"});
        assert_eq!(
            lines(&before, &after),
            [
                r#"~ /empty  "" → "x""#,
                "+ /new  null",
                r#"~ /state  "streaming" → "completed""#,
                r#"~ /text  + " house""#,
                "- /gone  [1]",
            ]
        );
    }

    #[test]
    fn each_operation_meets_what_those_before_it_left() {
        let before = json!({"a": ["one", "two", "three"]});
        let after = json!({"a": ["two", "three"]});
        let all = changes(before.clone(), json_patch::diff(&before, &after)).unwrap();
        let gone: Vec<_> = all.iter().filter(|change| change.new.is_none()).collect();
        assert_eq!(gone.len(), 1);
        // Whatever way the patch takes, doing it leads to the other state.
        let mut again = before.clone();
        json_patch::patch(&mut again, &json_patch::diff(&before, &after)).unwrap();
        assert_eq!(again, after);
        assert!(changes(json!({}), json_patch::diff(&before, &after)).is_err());
    }

    #[test]
    fn long_values_are_cut_and_nothing_is_obeyed() {
        let lines = lines(&json!({}), &json!({"a": format!("\u{9b}31m\u{1b}{}", "x".repeat(500))}));
        let line = &lines[0];
        assert!(line.starts_with(r#"+ /a  "\u009b31m\u001bxxx"#) && line.ends_with('…'), "{line}");
        assert!(line.chars().count() < 140);
    }
}
