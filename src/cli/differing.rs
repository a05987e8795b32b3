//! Checkpoints that are not what a replay gives, as `scrollback verify --projections` says it: for
//! people and as JSON. It owns the words; what differs was found elsewhere.

use serde_json::{Value, json};

use super::output::fitted;
use crate::server::offline::{Evidence, Finding, Part, SetBy};

/// Ids and values may be of any length.
const LINE_CHARS_MAX: usize = 1_000;

/// A line for the session, and one for each projection that differs.
pub(super) fn lines(path: &str, finding: &Finding) -> Vec<String> {
    let Finding { after, offset, parts } = finding;
    let earliest = after + 1;
    let first = finding.first().map_or_else(
        || format!("the first offset that differs is one of {earliest} to {offset}"),
        |SetBy { offset: first, kind, .. }| {
            format!(
                "the first offset that differs, of {earliest} to {offset}, is {first} ({kind}) \
                 by what the states show"
            )
        },
    );
    let head =
        format!("{path}: the state saved at offset {offset} is not what a replay gives; {first}");
    let lines = [head].into_iter().chain(parts.iter().map(|part| line(part, *after)));
    lines.map(|line| fitted(&line, LINE_CHARS_MAX)).collect()
}

fn line(part: &Part, after: u64) -> String {
    let Part { name, pointer, saved, replayed, is_sealed, event } = part;
    let Some(pointer) = pointer else {
        return format!("  {name}: its hash is not that of the state beside it");
    };
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
    let (saved, replayed) = (or_nothing(saved), or_nothing(replayed));
    let why = match event {
        Some(Evidence::Missing(by)) => {
            format!("event {} ({}, {}) is missing from it", by.offset, by.kind, by.id)
        }
        Some(Evidence::Set(by)) => format!(
            "event {} ({}, {}) set what the replay has, none what is saved",
            by.offset, by.kind, by.id
        ),
        None => format!("no event after offset {after} tells why"),
    };
    let hash = if *is_sealed { "" } else { "; its hash is not that of the state beside it" };
    format!("  {name} differs at {pointer}: saved {saved}, replayed {replayed}; {why}{hash}")
}

/// The same for programs.
pub(super) fn json(path: &str, finding: &Finding) -> Value {
    let Finding { after, offset, parts } = finding;
    let first = finding
        .first()
        .map(|event| json!({"offset": event.offset, "type": event.kind, "id": event.id}));
    let parts: Vec<_> = parts.iter().map(part).collect();
    json!({
        "stream": path, "offset": offset, "after": after, "first": first, "projections": parts,
    })
}

fn part(part: &Part) -> Value {
    let event = part.event.as_ref().map(|evidence| {
        let event = evidence.event();
        let is_missing = matches!(evidence, Evidence::Missing(_));
        let why = if is_missing { "missing" } else { "set" };
        json!({"offset": event.offset, "type": event.kind, "id": event.id, "why": why})
    });
    json!({
        "projection": part.name, "pointer": part.pointer, "saved": part.saved,
        "replayed": part.replayed, "sealed": part.is_sealed, "event": event,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(offset: u64) -> SetBy {
        let (id, kind) = (format!("e{offset}"), "todo.updated".to_owned());
        SetBy { offset, id, kind, timestamp_ms: 0, actor: None }
    }

    fn part(saved: &str, event: Option<Evidence>) -> Part {
        Part {
            name: "todo",
            pointer: Some("/todo/todos/0/text".to_owned()),
            saved: Some(saved.to_owned()),
            replayed: None,
            is_sealed: true,
            event,
        }
    }

    fn shown(parts: Vec<Part>) -> String {
        let finding = Finding { after: 1_000, offset: 2_000, parts };
        assert_eq!(
            json("s", &finding)["projections"].as_array().unwrap().len(),
            finding.parts.len()
        );
        lines("s", &finding).join("\n")
    }

    #[test]
    fn people_are_told_where_and_since_which_event() {
        let missing = part(r#""a""#, Some(Evidence::Missing(by(1_200))));
        let set = part(r#""b""#, Some(Evidence::Set(by(1_100))));
        insta::assert_snapshot!(shown(vec![missing, set]), @r#"
        s: the state saved at offset 2000 is not what a replay gives; the first offset that differs, of 1001 to 2000, is 1100 (todo.updated) by what the states show
          todo differs at /todo/todos/0/text: saved "a", replayed nothing; event 1200 (todo.updated, e1200) is missing from it
          todo differs at /todo/todos/0/text: saved "b", replayed nothing; event 1100 (todo.updated, e1100) set what the replay has, none what is saved
        "#);
    }

    #[test]
    fn people_are_told_what_is_not_known() {
        let unsealed = Part { is_sealed: false, ..part("1", None) };
        let only_hash = Part { pointer: None, saved: None, ..unsealed.clone() };
        insta::assert_snapshot!(shown(vec![unsealed, only_hash]), @r"
        s: the state saved at offset 2000 is not what a replay gives; the first offset that differs is one of 1001 to 2000
          todo differs at /todo/todos/0/text: saved 1, replayed nothing; no event after offset 1000 tells why; its hash is not that of the state beside it
          todo: its hash is not that of the state beside it
        ");
    }
}
