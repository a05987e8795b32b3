//! The sample sessions, which writers of another kind made, folded here.

use std::fs;

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::World;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    data: Box<RawValue>,
}

fn replayed(name: &str) -> World {
    let path = format!("{}/fixtures/sessions/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let mut world = World::default();
    for line in fs::read_to_string(path).unwrap().lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        world.apply(&line.kind, line.data.get());
    }
    world
}

/// What stands at the end.
fn end(world: &World) -> serde_json::Value {
    let last = world.turn.last.as_ref().map(|last| last.outcome);
    json!({
        "title": world.session.title,
        "status": world.session.status,
        "ended": world.session.ended.is_some(),
        "turns": world.turn.count,
        "failed": world.turn.earlier.iter().filter(|past| json!(past.outcome) == "failed").count(),
        "last": last,
        "running": world.turn.active.is_some(),
        "waiting": world.queue.messages.len(),
        "takenBack": world.queue.sent.iter().filter(|sent| sent.removed.is_some()).count(),
        "asked": world.permissions.pending.len(),
        "answered": world.permissions.answered.len(),
    })
}

#[test]
fn the_sample_sessions_are_understood() {
    assert_eq!(
        end(&replayed("coding-agent")),
        json!({"title": "Retry budget and Retry-After", "status": {"type": "idle"}, "ended": false,
            "turns": 4, "failed": 0, "last": "completed", "running": false, "waiting": 0,
            "takenBack": 0, "asked": 0, "answered": 4})
    );
    assert_eq!(
        end(&replayed("team-chat")),
        json!({"title": "Release 3.2: go 🚀", "status": {"type": "idle"}, "ended": true,
            "turns": 6, "failed": 1, "last": "completed", "running": false, "waiting": 0,
            "takenBack": 1, "asked": 0, "answered": 0})
    );
    assert_eq!(
        end(&replayed("terminal")),
        json!({"title": "Terminal: fjord", "status": {"type": "idle"}, "ended": true,
            "turns": 0, "failed": 0, "last": null, "running": false, "waiting": 0,
            "takenBack": 0, "asked": 0, "answered": 0})
    );
}
