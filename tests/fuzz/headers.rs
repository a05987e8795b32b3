//! Whatever stands in a header: the protocol's own, content types, preconditions of caches.

use proptest::{collection::vec, prelude::*};

use crate::{
    few,
    hostile::changed,
    server::{Asked, with_server},
};

/// Headers that somebody reads, with values that are right.
const HEADERS: &[(&str, &[&str])] = &[
    ("content-type", &["application/json", "application/x-ndjson", "text/plain; charset=utf-8"]),
    ("producer-id", &["p1"]),
    ("producer-epoch", &["0", "1", "9007199254740991"]),
    ("producer-seq", &["0", "1", "9007199254740991"]),
    ("stream-seq", &["a", "b", "00000001"]),
    ("stream-ttl", &["60", "0", "9007199254740"]),
    ("stream-expires-at", &["2026-11-21T12:00:00Z", "2100-01-01T00:00:00.123+05:30"]),
    ("stream-closed", &["true", "false"]),
    ("stream-forked-from", &["/v1/stream/t", "/v1/stream/sessions/s", "http://x/v1/stream/t"]),
    ("stream-fork-offset", &["0000000000000001", "-1", "now", "0000000000000003"]),
    ("stream-fork-sub-offset", &["0", "1", "3"]),
    ("last-event-id", &["1", "0000000000000001"]),
    ("if-none-match", &["*", "\"x\"", "W/\"x\", \"y\""]),
    ("accept", &["text/event-stream", "application/json;q=0.5, */*"]),
    ("accept-encoding", &["gzip, br;q=0"]),
    ("content-length", &["3"]),
    ("origin", &["https://app.example", "null"]),
    ("access-control-request-method", &["POST"]),
    ("authorization", &["Bearer abc.def.ghi", "Basic eDp5"]),
    ("host", &["log.example:80"]),
    ("forwarded", &["for=\"[::1]:80\";proto=https"]),
    ("x-forwarded-for", &["10.0.0.1, ::1"]),
    ("traceparent", &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
    ("x-request-id", &["abc"]),
];

const TARGETS: &[(&str, &str)] = &[
    ("PUT", "/v1/stream/n"),
    ("PUT", "/v1/stream/t"),
    ("POST", "/v1/stream/t"),
    ("POST", "/v1/stream/sessions/s"),
    ("GET", "/v1/stream/t?offset=-1"),
    ("GET", "/v1/stream/t?offset=-1&live=sse"),
    ("HEAD", "/v1/stream/t"),
    ("DELETE", "/v1/stream/t"),
    ("POST", "/api/sessions/s/events"),
    ("POST", "/api/sessions"),
    ("PUT", "/api/streams/n"),
    ("GET", "/api/sessions/s/stream?live=false"),
    ("GET", "/api/events?channels=*&live=false&cursor=0"),
    ("OPTIONS", "/api/sessions"),
];

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    prop::sample::select(HEADERS)
        .prop_flat_map(|(name, right)| changed(right).prop_map(move |value| (name, value)))
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn any_headers_are_answered(
        (method, uri) in prop::sample::select(TARGETS),
        headers in vec(header(), 0..8),
        body in changed(&["[1,2]", "{\"channel\":\"x\"}", "{\"channel\":\"x\"}\n", ""]),
    ) {
        let mut asked = Asked::new(method, uri);
        for (name, value) in headers {
            asked = asked.header(name, value);
        }
        if matches!(method, "PUT" | "POST") {
            asked = asked.body(vec![body]);
        }
        with_server(async |server| {
            server.check(&asked).await?;
            // A stream that came of it can be shown, forks of forks and expiries among them.
            for uri in ["/api/streams", "/api/streams/n", "/v1/stream/n?offset=-1"] {
                server.check(&Asked::new("GET", uri)).await?;
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_content_type_that_is_taken_is_the_one_that_is_told(
        given in changed(&["text/plain", "application/json", "Application/JSON; charset=utf-8", "a/b;c=\"d\""]),
    ) {
        let asked = Asked::new("PUT", "/v1/stream/n").header("content-type", given);
        with_server(async |server| {
            let made = server.check(&asked).await?;
            let Some(made) = made.filter(|made| made.status == 201) else { return Ok(()) };
            let head = server.check(&Asked::new("HEAD", "/v1/stream/n")).await?.unwrap();
            prop_assert_eq!(head.headers.get("content-type"), made.headers.get("content-type"));
            // Whoever says the same again means the same stream.
            let told = made.headers["content-type"].as_bytes().to_vec();
            let again = Asked::new("PUT", "/v1/stream/n").header("content-type", told);
            prop_assert_eq!(server.check(&again).await?.unwrap().status, 200);
            Ok(())
        })?;
    }

    #[test]
    fn what_a_producer_sends_twice_is_there_once(
        id in changed(&["p", "é"]), epoch in changed(&["0", "7"]), seq in changed(&["0"]),
    ) {
        let asked = Asked::new("POST", "/v1/stream/t")
            .header("content-type", "text/plain")
            .header("producer-id", id).header("producer-epoch", epoch).header("producer-seq", seq)
            .body(vec![b"x".to_vec()]);
        with_server(async |server| {
            for _ in 0..2 {
                server.check(&asked).await?;
            }
            let head = server.check(&Asked::new("GET", "/api/streams/t")).await?.unwrap();
            prop_assert!(head.json()["tail"].as_u64() <= Some(2), "{:?}", head.json());
            Ok(())
        })?;
    }
}
