//! Every route and method, over a socket: without a token, with a wrong one, an expired one, a
//! revoked one, one with other scopes, and the right one.
//!
//! The table is held against `src/wire/paths.rs` and the methods that the router names, so that a
//! route without a row here fails a test.

use std::collections::{BTreeMap, BTreeSet};

use scrollback::{auth::Guard, wire::paths};

use super::{
    grant, scoped,
    socket::{Told, Wire, serve},
    table::{
        Need::{self, Any, OwnToken, Public, Read, Server, Subscription, Write},
        Row, SUBSCRIPTION, rows,
    },
};
use crate::{
    documented,
    util::{NOW_MS, TestApp},
};

/// A server with the session and the subscription, or with nothing.
async fn server(filled: bool) -> (std::net::SocketAddr, Guard, TestApp) {
    let guard = Guard::on();
    let app = TestApp::with(|app| app.with_guard(guard.clone()));
    let addr = serve(app.app.clone()).await;
    grant(&guard, "root", scoped(&["admin:**"]), None);
    grant(&guard, "late", scoped(&["admin:**"]), Some(NOW_MS));
    grant(&guard, "gone", scoped(&["admin:**"]), None).cancel();
    grant(&guard, "elsewhere", scoped(&["admin:other/**", "admin:sessions/*/x"]), None);
    if filled {
        for asked in [
            ("POST", "/api/sessions", r#"{"id":"s","title":"t"}"#),
            ("POST", "/api/sessions/s/messages", r#"{"id":"m","text":"x"}"#),
            ("PUT", "/v1/stream/__ds/subscriptions/a", SUBSCRIPTION),
        ] {
            let told = ask(addr, "root", asked).await;
            assert_eq!(told.status, 201.min(told.status.max(200)), "{told:?}");
        }
    }
    (addr, guard, app)
}

/// The answer to a request. Where it is one of the table, the document of the interface has it.
async fn ask(addr: std::net::SocketAddr, token: &str, asked: (&str, &str, &str)) -> Told {
    let told = super::socket::ask(addr, token, asked).await;
    let rows = rows();
    if let Some((route, method, ..)) = rows.iter().find(|row| (row.1, row.2) == (asked.0, asked.1))
    {
        let lacks = documented::lacks(route, method, told.status, &told.code());
        assert_eq!(lacks, None, "the document of the interface, of {told:?}");
    }
    told
}

/// The answer of the guard, and of nobody behind it.
fn is_refused(told: &Told) -> bool {
    let codes = ["unauthenticated", "forbidden", "stream_not_found", "subscription_not_found"];
    codes.contains(&&*told.code())
}

/// Scopes that are enough, and those that let the holder see what they may not change.
fn scopes(need: Need) -> (Vec<String>, Option<String>) {
    match need {
        Public | OwnToken | Any => (vec!["read:none".to_owned()], None),
        Read => (vec!["read:sessions/s".to_owned()], None),
        Write => (vec!["write:sessions/s".to_owned()], Some("read:sessions/s".to_owned())),
        Server(scope) => (vec![scope.to_owned()], None),
        Subscription(right) => {
            let on = |right| format!("{right}:__ds/subscriptions/a");
            // What SUBSCRIPTION follows and writes, and what is added to it.
            let beside = ["read:sessions/*", "read:x", "write:wakes"].map(str::to_owned);
            let enough = std::iter::once(on(right)).chain(beside).collect();
            (enough, (right != "read").then(|| on("read")))
        }
    }
}

#[tokio::test]
async fn who_is_not_known_gets_nothing_anywhere_but_what_is_public() {
    let (addr, ..) = server(true).await;
    for (_, method, uri, body, need) in rows() {
        for token in ["", "wrong", "late", "gone"] {
            let told = ask(addr, token, (method, uri, body)).await;
            let what = format!("{method} {uri} with {token:?}: {told:?}");
            match need {
                Public => assert_eq!(told.status, 200, "{what}"),
                OwnToken => {
                    assert_eq!((told.status, &*told.code()), (401, "token_invalid"), "{what}");
                }
                _ => {
                    assert_eq!((told.status, &*told.code()), (401, "unauthenticated"), "{what}");
                    assert!(told.head.contains("www-authenticate: bearer"), "{what}");
                    assert!(!told.body.contains("sessions/s"), "{what}");
                }
            }
            assert!(told.head.contains("default-src 'none'; frame-ancestors 'none'"), "{what}");
        }
        let wrong = ask(addr, "wrong", (method, uri, body)).await;
        let late = ask(addr, "late", (method, uri, body)).await;
        if need != Public {
            assert_eq!(
                wrong.body, late.body,
                "{method} {uri}: nobody is told what is wrong with it"
            );
        }
    }
    for (method, uri) in [
        ("GET", "/nothing"),
        ("TRACE", "/api/sessions/s/events"),
        ("GET", "/v1/stream/__ds/x"),
        ("GET", "/v1/stream/__ds/subscriptions/a/ack"),
    ] {
        let told = ask(addr, "", (method, uri, "")).await;
        assert_eq!(told.code(), "unauthenticated", "{method} {uri}: {told:?}");
    }
}

#[tokio::test]
async fn what_other_scopes_hide_answers_as_what_is_not_there() {
    let (filled, ..) = server(true).await;
    let (empty, ..) = server(false).await;
    for (_, method, uri, body, need) in rows() {
        if matches!(need, Public | OwnToken | Any) {
            continue;
        }
        let there = ask(filled, "elsewhere", (method, uri, body)).await;
        let nowhere = ask(empty, "elsewhere", (method, uri, body)).await;
        let expected = match need {
            Server(_) => (403, "forbidden"),
            Subscription(_) => (404, "subscription_not_found"),
            _ => (404, "stream_not_found"),
        };
        assert_eq!((there.status, &*there.code()), expected, "{method} {uri}: {there:?}");
        assert_eq!(there.body, nowhere.body, "{method} {uri}");
        assert_eq!(there.head, nowhere.head, "{method} {uri}");
    }
    let head = ask(filled, "elsewhere", ("HEAD", "/v1/stream/sessions/s", "")).await;
    assert_eq!((head.status, head.body), (404, String::new()));
}

#[tokio::test]
async fn what_may_be_seen_and_not_changed_says_so() {
    for (_, method, uri, body, need) in rows() {
        let (_, Some(sees)) = scopes(need) else { continue };
        let (addr, guard, _) = server(true).await;
        grant(&guard, "reader", scoped(&[&sees]), None);
        let told = ask(addr, "reader", (method, uri, body)).await;
        assert_eq!((told.status, &*told.code()), (403, "forbidden"), "{method} {uri}: {told:?}");
    }
}

#[tokio::test]
async fn the_right_scope_is_enough_and_the_other_right_is_not() {
    for (_, method, uri, body, need) in rows() {
        let (addr, guard, _) = server(true).await;
        let (enough, _) = scopes(need);
        let enough: Vec<&str> = enough.iter().map(String::as_str).collect();
        if need == Read {
            grant(&guard, "writer", scoped(&["write:sessions/s"]), None);
            let told = ask(addr, "writer", (method, uri, body)).await;
            assert_eq!(told.code(), "stream_not_found", "{method} {uri}: {told:?}");
        }
        let revoked = grant(&guard, "right", scoped(&enough), None);
        let told = ask(addr, "right", (method, uri, body)).await;
        assert!(!is_refused(&told), "{method} {uri}: {told:?}");
        assert!(told.status < 500, "{method} {uri}: {told:?}");
        revoked.cancel();
        let told = ask(addr, "right", (method, uri, body)).await;
        let is_open = matches!(need, Public | OwnToken);
        assert!(is_open || told.code() == "unauthenticated", "{method} {uri}: {told:?}");
    }
}

#[tokio::test]
async fn a_live_read_ends_when_its_token_is_revoked() {
    for (uri, begun, end) in [
        ("/api/sessions/s/stream", "caught-up", "\"reason\":\"unauthorized\""),
        ("/api/follow/sessions/s?snapshot=true", "caught-up", "\"reason\":\"unauthorized\""),
        ("/api/events?channels=*", "caught-up", "\"reason\":\"unauthorized\""),
        ("/api/channels/session:s/stream", "caught-up", "\"reason\":\"unauthorized\""),
        ("/event", "server.connected", "\"reason\":\"unauthorized\""),
        ("/v1/stream/sessions/s?live=sse&offset=now", "upToDate", "0\r\n\r\n"),
    ] {
        let (addr, guard, app) = server(true).await;
        let revoked = grant(&guard, "reader", scoped(&["read:sessions/s"]), None);
        let mut wire = Wire::send(addr, "reader", ("GET", uri, "")).await;
        wire.until(begun).await;
        revoked.cancel();
        let rest = wire.rest().await;
        assert!(rest.contains(end), "{uri}: {rest}");
        assert!(rest.ends_with("0\r\n\r\n"), "{uri}: it ends as a whole: {rest}");
        assert_eq!(app.app.readers(), 0, "{uri}");
    }
    let (addr, guard, app) = server(true).await;
    let revoked = grant(&guard, "reader", scoped(&["read:sessions/s"]), None);
    let poll = ("GET", "/v1/stream/sessions/s?live=long-poll&offset=now", "");
    let wire = Wire::send(addr, "reader", poll).await;
    while app.app.readers() == 0 {
        tokio::task::yield_now().await;
    }
    revoked.cancel();
    let told = wire.told().await;
    assert_eq!((told.status, &*told.code()), (401, "unauthenticated"), "{told:?}");
}

/// The text of each route in `src/wire/paths.rs`.
fn routes_of_the_source() -> BTreeSet<String> {
    let source = include_str!("../../../src/wire/paths.rs");
    let texts = source.split('"').skip(1).step_by(2);
    let is_route = |text: &&str| text.starts_with('/') && !text.contains(' ');
    let constants = source
        .lines()
        .filter(|line| line.starts_with("pub const") || line.trim_start().starts_with("(\"/"));
    let named: BTreeSet<&str> =
        constants.flat_map(|line| line.split('"').skip(1).step_by(2)).collect();
    texts.filter(is_route).filter(|text| named.contains(text)).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_route_and_method_has_its_row() {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (route, method, ..) in rows() {
        known.entry(route).or_default().insert(method);
    }
    // Whatever else lies below the server's own prefix is not there.
    let nothing = [paths::CONTROL, paths::CONTROL_REST];
    let missing: Vec<_> = routes_of_the_source()
        .into_iter()
        .filter(|route| !known.contains_key(&**route) && !nothing.contains(&&**route))
        .collect();
    assert!(missing.is_empty(), "routes without a row: {missing:?}");
    let (addr, ..) = server(true).await;
    for (_, _, uri, _, _) in rows() {
        let told = ask(addr, "root", ("TRACE", uri, "")).await;
        assert_eq!(told.status, 405, "{uri}: {told:?}");
        let allowed = told.head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap();
        for method in allowed.split(',').map(str::trim).filter(|method| *method != "head") {
            let rows = rows();
            let has = |row: &Row| {
                row.2.split('?').next() == uri.split('?').next()
                    && row.1.eq_ignore_ascii_case(method)
            };
            assert!(rows.iter().any(has), "{method} {uri} has no row");
        }
    }
}
