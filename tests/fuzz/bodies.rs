//! Whatever stands in a body: events alone, in arrays and one a line in any pieces; nesting;
//! bodies of commands, streams and subscriptions.

use proptest::prelude::*;
use serde_json::Value;

use crate::{
    few,
    hostile::{changed, cuts, pieces, text},
    server::{Asked, Server, with_server},
};

const EVENTS: &str = "/api/sessions/n/events";

const ENVELOPES: &[&str] = &[
    r#"{"channel":"x","data":{}}"#,
    r#"{"id":"e1","channel":"message","type":"message.part.delta","timestamp":1795200000000,"data":{"text":"a\u00e9"},"actor":{"kind":"user","id":"u1"},"other":[1,2.50,-0]}"#,
    r#"{"type":"message.part.updated","properties":{"part":{"id":"p","messageID":"m","type":"text","text":"x"}}}"#,
    r#"{"channel":"session","type":"session.created","data":{"id":"n","title":"t"}}"#,
    r#"{"offset":9,"channel":"terminal","data":"\ud83e\udd80"}"#,
    r#"[{"channel":"x"},{"channel":"y","data":null}]"#,
];

const LINES: &[&str] = &[
    "{\"channel\":\"x\",\"data\":1}\n{\"channel\":\"x\",\"data\":2}\n{\"channel\":\"x\",\"data\":3}\n",
    "{\"id\":\"a\",\"channel\":\"x\"}\r\n\r\n{\"id\":\"a\",\"channel\":\"x\"}\n{\"channel\":\"y\"}",
    "\n\n{\"channel\":\"terminal\",\"data\":\"é\"}\n",
];

/// What is sent where.
const BODIES: &[(&str, &str, &[&str])] = &[
    ("POST", "/api/sessions", &[r#"{"id":"n","title":"t","model":"m","metadata":{"a":1}}"#]),
    ("PATCH", "/api/sessions/s", &[r#"{"title":"t","pinned":true,"share":null}"#]),
    (
        "POST",
        "/api/sessions/s/messages",
        &[r#"{"id":"m2","text":"hi","userId":"u"}"#, r#"{"parts":[{"type":"text","text":"x"}]}"#],
    ),
    ("POST", "/api/sessions/s/interrupt", &[r#"{"reason":"r","by":"u"}"#]),
    (
        "POST",
        "/api/sessions/s/presence",
        &[r##"{"userId":"u","type":"cursor","cursor":{"x":1},"color":"#fff"}"##],
    ),
    ("POST", "/api/sessions/s/terminal/input", &[r#"{"data":"ls\r","terminalId":"t"}"#]),
    ("POST", "/api/sessions/s/permissions/p/reply", &[r#"{"reply":"once"}"#]),
    ("POST", "/api/sessions/s/end", &[r#"{"reason":"r"}"#]),
    (
        "POST",
        "/api/streams?sessionId=s",
        &[r#"{"channel":"message","data":{"id":"x","timestamp":1}}"#],
    ),
    (
        "PUT",
        "/api/streams/n",
        &[r#"{"contentType":"text/plain","retentionSeconds":60,"firstOffset":7}"#],
    ),
    ("POST", "/v1/stream/sessions/s", &[r#"[{"a":1},[2]]"#, r#"{"a":1}"#]),
    (
        "PUT",
        "/v1/stream/__ds/subscriptions/w",
        &[
            r#"{"type":"webhook","pattern":"sessions/*","webhook":{"url":"https://worker.example/hook"}}"#,
            r#"{"type":"pull-wake","streams":["sessions/s"],"wake_stream":"t","lease_ttl_ms":2000}"#,
        ],
    ),
    ("POST", "/v1/stream/__ds/subscriptions/w/claim", &[r#"{"worker":"a"}"#]),
    (
        "POST",
        "/v1/stream/__ds/subscriptions/w/ack",
        &[
            r#"{"wake_id":"x","generation":1,"acks":[{"path":"sessions/s","offset":"0000000000000001"}],"done":true}"#,
        ],
    ),
];

fn json(method: &'static str, uri: &str, body: Vec<Vec<u8>>) -> Asked {
    Asked::new(method, uri).header("content-type", "application/json").body(body)
}

fn ndjson(body: Vec<Vec<u8>>) -> Asked {
    Asked::new("POST", EVENTS).header("content-type", "application/x-ndjson").body(body)
}

/// The events that are in the stream, as they are told.
async fn events(server: &Server) -> Result<Vec<Value>, TestCaseError> {
    let asked = Asked::new("GET", format!("{EVENTS}?limit=1000"));
    let answer = server.check(&asked).await?.unwrap();
    Ok(answer.json()["events"].as_array().cloned().unwrap_or_default())
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn an_event_that_is_taken_is_read_as_it_was_sent(body in changed(ENVELOPES)) {
        with_server(async |server| {
            let answer = server.check(&json("POST", EVENTS, vec![body.clone()])).await?.unwrap();
            let stored = events(server).await?;
            if !answer.status.is_success() {
                prop_assert!(stored.is_empty(), "refused, and there: {stored:?}");
                return Ok(());
            }
            let Ok(sent) = serde_json::from_slice::<Value>(&body) else {
                // Our grammar takes numbers and depths that this reader does not.
                return Ok(());
            };
            let sent = sent.as_array().cloned().unwrap_or_else(|| vec![sent]);
            prop_assert!(stored.len() <= sent.len());
            if stored.len() == sent.len() {
                for (sent, stored) in sent.iter().zip(&stored) {
                    for field in ["data", "actor", "other", "channel"] {
                        if let Some(value) = sent.get(field).filter(|value| !value.is_null()) {
                            prop_assert_eq!(stored.get(field), Some(value));
                        }
                    }
                }
            }
            // The folds have read it, too.
            server.check(&Asked::new("GET", "/api/sessions/n/state")).await?;
            server.check(&Asked::new("GET", "/api/sessions")).await?;
            Ok(())
        })?;
    }

    #[test]
    fn lines_mean_the_same_in_whatever_pieces_they_come(body in changed(LINES), cuts in cuts()) {
        let run = |body: Vec<Vec<u8>>| with_server(async |server| {
            let answer = server.check(&ndjson(body)).await?.unwrap();
            let mut said = answer.json();
            // Each request has an id of its own.
            said.as_object_mut().map(|said| said.remove("requestId"));
            Ok((answer.status, said, events(server).await?))
        });
        let (status, whole, stored) = run(vec![body.clone()])?;
        let (status_in_pieces, in_pieces, stored_in_pieces) = run(pieces(&body, &cuts))?;
        prop_assert_eq!(status, status_in_pieces);
        prop_assert_eq!(whole, in_pieces);
        prop_assert_eq!(stored, stored_in_pieces);
    }

    #[test]
    fn json_is_nested_a_hundred_levels_and_no_deeper(depth in 1..2_000_usize, objects: bool) {
        let (open, close) = if objects { ("{\"a\":", "}") } else { ("[", "]") };
        let data = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let body = format!("{{\"channel\":\"x\",\"data\":{data}}}");
        with_server(async |server| {
            let answer = server.check(&json("POST", EVENTS, vec![body.into_bytes()])).await?.unwrap();
            // The envelope is a level of its own.
            let expected = if depth < 100 { 200 } else { 400 };
            prop_assert_eq!(answer.status.as_u16(), expected);
            server.check(&Asked::new("GET", "/api/sessions/n/state")).await?;
            Ok(())
        })?;
    }

    #[test]
    fn any_body_is_answered(
        (method, uri, body) in prop::sample::select(BODIES)
            .prop_flat_map(|(method, uri, right)| changed(right).prop_map(move |body| (method, uri, body))),
        cuts in cuts(),
    ) {
        with_server(async |server| {
            server.check(&json(method, uri, pieces(&body, &cuts))).await?;
            for uri in ["/api/sessions/s/state", "/api/sessions", "/v1/stream/__ds/subscriptions/w"] {
                server.check(&Asked::new("GET", uri)).await?;
            }
            Ok(())
        })?;
    }

    #[test]
    fn bytes_of_any_kind_are_read_as_they_were_written(body in text(&["héllo", "a\r\nb\u{0}"]), cuts in cuts()) {
        let bytes = body.as_bytes();
        with_server(async |server| {
            let put = Asked::new("PUT", "/v1/stream/n").header("content-type", "text/plain");
            server.check(&put).await?;
            let post = Asked::new("POST", "/v1/stream/n").header("content-type", "text/plain");
            let posted = server.check(&post.body(pieces(bytes, &cuts))).await?.unwrap();
            let read = server.check(&Asked::new("GET", "/v1/stream/n?offset=-1")).await?.unwrap();
            let expected = if posted.status.is_success() { bytes } else { b"" };
            prop_assert_eq!(read.body.as_slice(), expected);
            // Server-sent, it ends where it should, too.
            let sse = server.check(&Asked::new("GET", "/v1/stream/n?offset=-1&live=sse")).await?;
            prop_assert!(sse.is_some_and(|sse| sse.goes_on));
            Ok(())
        })?;
    }
}
