//! Whatever stands in a URL: paths of streams, names, every parameter of every route, cursors of
//! each kind, `Last-Event-ID`.

use proptest::{collection::vec, prelude::*};

use crate::{
    few,
    hostile::{in_url, text},
    server::{Asked, with_server},
};

/// Every route that reads, with a gap where a name or a path goes.
const READS: &[&str] = &[
    "/api/streams",
    "/api/streams/{}",
    "/v1/stream/{}",
    "/api/events",
    "/api/events/{}",
    "/event",
    "/api/follow/{}",
    "/api/channels/{}/stream",
    "/api/sessions",
    "/api/sessions/{}/events",
    "/api/sessions/{}/stream",
    "/api/sessions/{}/state",
    "/api/sessions/{}/state/diff",
    "/api/sessions/{}/blame",
    "/api/sessions/{}/messages",
    "/api/sessions/{}/messages/{}",
    "/api/sessions/{}/toolCalls",
    "/api/sessions/{}/permissions",
    "/api/sessions/{}/terminal",
    "/api/sessions/{}/presence",
    "/api/sessions/{}/agents",
    "/api/sessions/{}/queue",
    "/api/sessions/{}/turn",
    "/api/sessions/{}/todo",
    "/api/sessions/{}/diff",
    "/api/chat/{}/messages",
    "/api/chat/{}/diff",
    "/api/chat/{}/todo",
    "/v1/stream/__ds/subscriptions/{}",
    "/v1/stream/__ds/jwks.json",
    "/v1/stream/__ds/{}",
    "/{}",
    "/api/{}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/version",
];

/// Every route that is asked to do something.
const WRITES: &[(&str, &str)] = &[
    ("PUT", "/api/streams/{}"),
    ("DELETE", "/api/streams/{}"),
    ("POST", "/api/streams"),
    ("POST", "/api/close/{}"),
    ("POST", "/api/events/{}"),
    ("POST", "/api/sessions/{}/events"),
    ("PUT", "/v1/stream/{}"),
    ("POST", "/v1/stream/{}"),
    ("DELETE", "/v1/stream/{}"),
    ("HEAD", "/v1/stream/{}"),
    ("OPTIONS", "/v1/stream/{}"),
    ("PATCH", "/api/sessions/{}"),
    ("DELETE", "/api/sessions/{}"),
    ("POST", "/api/sessions/{}/end"),
    ("DELETE", "/api/sessions/{}/queue/{}"),
    ("POST", "/api/sessions/{}/interrupt"),
    ("POST", "/api/sessions/{}/turns/{}/complete"),
    ("POST", "/api/sessions/{}/permissions/{}/reply"),
    ("PUT", "/v1/stream/__ds/subscriptions/{}"),
    ("DELETE", "/v1/stream/__ds/subscriptions/{}"),
    ("POST", "/v1/stream/__ds/subscriptions/{}/claim"),
    ("POST", "/v1/stream/__ds/subscriptions/{}/ack"),
];

const PARAMETERS: &[&str] = &[
    "fromOffset",
    "fromTimestamp",
    "limit",
    "channels",
    "types",
    "order",
    "live",
    "snapshot",
    "projections",
    "epoch",
    "cursor",
    "at",
    "atTime",
    "from",
    "to",
    "pointer",
    "offset",
    "prefix",
    "status",
    "worker",
    "parent",
    "roots",
    "archived",
    "search",
    "keep",
    "expectedOffset",
    "validate",
    "verbatim",
    "sessionId",
    "timestamp",
];

/// Values that parameters take.
const VALUES: &[&str] = &[
    "0",
    "1",
    "3",
    "now",
    "-1",
    "true",
    "false",
    "sse",
    "long-poll",
    "asc",
    "desc",
    "message,todo",
    "message.*",
    "*",
    "session:*,config:*",
    "session:s",
    "app",
    "/session/exists",
    "/messages/0",
    "todo,presence",
    "0000000000000001",
    "5f0c2b1e9a774d10",
    "1795200000000",
    "active",
    "pending",
    "on",
    "off",
    "s",
    "sessions/",
];

/// Names that are there.
const NAMES: &[&str] =
    &["s", "t", "agents/a", "sessions/s", "sessions/é x", "m1", "session:s", "*"];

fn filled(template: &str, names: &[String]) -> String {
    let mut uri = String::new();
    for (at, part) in template.split("{}").enumerate() {
        if at > 0 {
            uri.push_str(&in_url(&names[at - 1]));
        }
        uri.push_str(part);
    }
    uri
}

fn query() -> impl Strategy<Value = String> {
    let one = (prop::sample::select(PARAMETERS), text(VALUES), any::<bool>());
    let written = |(name, value, raw): (&str, String, bool)| {
        let plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let value = if raw && plain { value } else { in_url(&value) };
        format!("{name}={value}")
    };
    vec(one.prop_map(written), 0..4).prop_map(|pairs| pairs.join("&"))
}

fn names() -> impl Strategy<Value = Vec<String>> {
    vec(prop_oneof![3 => prop::sample::select(NAMES).prop_map(str::to_owned), 2 => text(NAMES)], 2)
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn any_url_that_is_read_is_answered(
        template in prop::sample::select(READS), names in names(), query in query(),
        last in prop::option::of(text(&["3", "0000000000000002"])),
    ) {
        let mut asked = Asked::new("GET", format!("{}?{query}", filled(template, &names)));
        if let Some(last) = last {
            asked = asked.header("last-event-id", last);
        }
        with_server(async |server| server.check(&asked).await)?;
    }

    #[test]
    fn any_url_that_is_written_to_is_answered(
        (method, template) in prop::sample::select(WRITES), names in names(), query in query(),
    ) {
        let asked = Asked::new(method, format!("{}?{query}", filled(template, &names)))
            .header("content-type", "application/json");
        with_server(async |server| {
            server.check(&asked).await?;
            // What was asked for has broken nothing for whoever comes next.
            let list = server.check(&Asked::new("GET", "/api/streams")).await?;
            prop_assert!(list.is_some_and(|list| list.status == 200));
            Ok(())
        })?;
    }

    #[test]
    fn a_stream_is_found_again_under_the_path_it_was_made_with(path in text(NAMES)) {
        let uri = format!("/api/streams/{}", scrollback::wire::paths::escaped(&path));
        with_server(async |server| {
            let made = server.check(&Asked::new("PUT", &uri)).await?;
            if !made.is_some_and(|made| made.status.is_success()) {
                return Ok(());
            }
            let found = server.check(&Asked::new("GET", &uri)).await?;
            let found = found.unwrap().json();
            prop_assert_eq!(found["path"].as_str(), Some(path.as_str()));
            let other = format!("/v1/stream/{}", scrollback::wire::paths::escaped(&path));
            let head = server.check(&Asked::new("HEAD", other)).await?;
            prop_assert_eq!(head.unwrap().status, 200);
            Ok(())
        })?;
    }

    #[test]
    fn a_cursor_that_was_changed_is_refused_or_read(
        kind in 0..3_usize, edited in text(&["CURSOR"]),
    ) {
        let (list, uri) = [
            ("/api/streams?limit=1", "/api/streams"),
            ("/api/sessions?limit=1", "/api/sessions"),
            ("/v1/stream/t?offset=now&live=long-poll", "/v1/stream/t"),
        ][kind];
        with_server(async |server| {
            let second = Asked::new("POST", "/api/sessions")
                .header("content-type", "application/json")
                .body(vec![br#"{"id":"s2"}"#.to_vec()]);
            server.check(&second).await?;
            let page = server.check(&Asked::new("GET", list)).await?;
            let given = page.and_then(|page| page.json()["cursor"].as_str().map(str::to_owned));
            let cursor = edited.replace("CURSOR", &given.unwrap_or_else(|| "12345".to_owned()));
            let live = if kind == 2 { "&offset=-1&live=long-poll" } else { "" };
            let uri = format!("{uri}?cursor={}{live}", in_url(&cursor));
            server.check(&Asked::new("GET", uri)).await
        })?;
    }
}
