//! What the document of the interface says of an answer that a test saw.

use std::{fs, path::Path, sync::LazyLock};

use serde_json::Value;

/// The document in the tree, which a test of its own holds against the one that is sent.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
});

/// What is wrong with the document, where it does not have this status, and with it this code if
/// there is one, among the answers of an operation.
pub(crate) fn lacks(route: &str, method: &str, status: u16, code: &str) -> Option<String> {
    let said = format!("{method} {route} is answered with {status} {code:?}");
    let (path, method) = (route.replace("{*", "{"), method.to_lowercase());
    let operation = DOCUMENT["paths"].get(path).and_then(|item| item.get(method));
    let Some(operation) = operation else { return Some(format!("{said}, and is not there")) };
    let Some(answer) = operation["responses"].get(status.to_string()) else {
        return Some(format!("{said}, and has no such status"));
    };
    let codes = answer["content"].as_object().into_iter().flatten().filter_map(|(_, content)| {
        content.pointer("/schema/allOf/1/properties/code/enum")?.as_array()
    });
    let is_known = code.is_empty() || codes.flatten().any(|known| known == code);
    (!is_known).then(|| format!("{said}, and does not have the code at that status"))
}

#[test]
fn a_status_that_the_document_does_not_have_is_seen() {
    let of = |status, code| lacks("/api/events/{*path}", "POST", status, code);
    assert_eq!(of(200, ""), None);
    assert_eq!(of(401, "unauthenticated"), None);
    assert!(of(418, "").is_some());
    assert!(of(401, "forbidden").is_some());
    assert!(lacks("/nowhere", "GET", 200, "").is_some());
    assert!(lacks("/healthz", "POST", 200, "").is_some());
}
