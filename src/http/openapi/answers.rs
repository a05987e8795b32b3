//! Examples of answers, as the server gave them to the examples of requests.
//!
//! It refuses to make any up. Invariant: `tests/api/openapi/answers.rs` asks the server for each of
//! them and compares; `make openapi` writes them anew.

use serde_json::{Map, Value, json};

/// By operation, status, media type and name.
const ANSWERS: &str = include_str!("../../../fixtures/openapi/answers.json");

/// Puts each example to the answer it is one of.
pub(super) fn show(document: &mut Value) {
    let mut answers: Map<String, Value> = serde_json::from_str(ANSWERS).unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let methods = paths.into_iter().flat_map(|paths| paths.values_mut());
    let operations = methods.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut());
    for operation in operations {
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
        let Some(Value::Object(statuses)) = answers.remove(id) else { continue };
        for (status, kinds) in statuses {
            let Some(said) = operation.pointer_mut(&format!("/responses/{status}/content")) else {
                continue;
            };
            for (kind, examples) in kinds.as_object().into_iter().flatten() {
                if let Some(Value::Object(content)) = said.get_mut(kind) {
                    content.insert("examples".to_owned(), named(examples));
                }
            }
        }
    }
}

/// Examples by their names, as the document has them.
fn named(examples: &Value) -> Value {
    let examples = examples.as_object().into_iter().flatten();
    examples.map(|(name, value)| (name.clone(), json!({ "value": value }))).collect()
}
