//! `docs/projections.md`: its example session through the server gives the states that it shows.

use std::{collections::HashMap, fs, path::PathBuf};

use serde_json::{Value, value::RawValue};

use crate::util::TestApp;

/// The text between two lines of three ticks that follows a mark.
fn block<'a>(text: &'a str, kind: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(after).unwrap_or_else(|| panic!("no {after:?}"));
    let (_, rest) = rest.split_once(&format!("```{kind}\n")).unwrap();
    rest.split_once("\n```").unwrap().0
}

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/projections.md")
}

#[tokio::test]
async fn the_document_shows_each_projection_as_it_is() {
    let mut text = fs::read_to_string(document()).unwrap();
    let app = TestApp::new();
    let events = block(&text, "json", "## The example").to_owned();
    let answer =
        app.post_as("/api/sessions/tour/events", "application/x-ndjson", events.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = app.get("/api/sessions/tour/state").await;
    let body: HashMap<String, Box<RawValue>> = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["offset"].get(), events.lines().count().to_string());
    let states: HashMap<String, Box<RawValue>> =
        serde_json::from_str(body["projections"].get()).unwrap();
    for (name, state) in states {
        let heading = format!("## `{name}`");
        let shown = block(&text, "json", &heading).to_owned();
        if std::env::var_os("SCROLLBACK_BLESS").is_some() {
            let (before, rest) = text.split_once(&heading).unwrap();
            text = format!("{before}{heading}{}", rest.replacen(&shown, state.get(), 1));
            fs::write(document(), &text).unwrap();
        } else {
            assert!(shown == state.get(), "{name}; SCROLLBACK_BLESS=1 cargo test projections");
        }
        let section = text.split_once(&heading).unwrap().1;
        let section = section.split("\n## ").next().unwrap();
        let state: Value = serde_json::from_str(state.get()).unwrap();
        let item = state.get(0).unwrap_or(&state);
        for field in item.as_object().unwrap_or_else(|| panic!("{name} is empty")).keys() {
            assert!(section.contains(&format!("`{field}`")), "{name} does not explain `{field}`");
        }
    }
}
