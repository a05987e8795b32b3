//! Where many streams are shown at once: only what may be read, page by page, and nothing that tells
//! of the rest.

use std::collections::BTreeSet;

use proptest::prelude::*;
use scrollback::{
    auth::{Right, Scopes},
    limits,
};

use super::{EVENT, Guarded};

const PATHS: [&str; 9] = [
    "a",
    "app",
    "agents/x",
    "config/ai",
    "sessions/a",
    "sessions/b",
    "sessions/b/c",
    "sessions/c",
    "workers/w",
];

async fn filled() -> Guarded {
    let guarded = Guarded::new();
    for path in PATHS {
        guarded.done("root", "POST", &format!("/api/events/{path}"), EVENT).await;
    }
    guarded
}

async fn listed(guarded: &Guarded, token: &str, limit: usize) -> (Vec<String>, Vec<String>) {
    let (mut paths, mut cursors) = (Vec::new(), Vec::new());
    let mut cursor = String::new();
    loop {
        let uri = format!("/api/streams?limit={limit}&cursor={cursor}");
        let page = guarded.get(token, &uri).await.json();
        let streams = page["streams"].as_array().unwrap();
        assert!(page["cursor"].is_null() || streams.len() == limit, "a page is full: {page}");
        paths.extend(streams.iter().map(|stream| stream["path"].as_str().unwrap().to_owned()));
        let Some(next) = page["cursor"].as_str() else { return (paths, cursors) };
        next.clone_into(&mut cursor);
        cursors.push(cursor.clone());
    }
}

#[tokio::test]
async fn a_live_read_of_many_streams_says_nothing_of_those_that_may_not_be_read() {
    let guarded = filled().await;
    guarded.scopes("reader", &["read:sessions/b", "read:sessions/later"]);
    for uri in ["/api/events?channels=*&cursor=0", "/event?cursor=0"] {
        let mut live = guarded.follow("reader", uri).await;
        let first = live.frame().await.unwrap();
        let first = if uri.starts_with("/event") { live.frame().await.unwrap() } else { first };
        assert!(first.contains("note.made"), "{first}");
        assert!(!uri.starts_with("/api") || first.contains("\"stream\":\"sessions/b\""), "{first}");
        if uri.starts_with("/api") {
            assert!(live.frame().await.unwrap().contains("caught-up"));
        }
        guarded.done("root", "POST", "/api/events/sessions/other", EVENT).await;
        assert!(live.is_quiet().await);
        guarded.done("root", "POST", "/api/events/sessions/later", EVENT).await;
        let later = live.frame().await.unwrap();
        assert!(later.contains("note.made"), "{later}");
        assert!(live.is_quiet().await);
        guarded.done("root", "DELETE", "/api/streams/sessions/later", "").await;
    }
}

#[tokio::test]
async fn what_is_no_longer_kept_of_others_is_no_reset() {
    let guarded = filled().await;
    guarded.scopes("reader", &["read:sessions/*"]);
    guarded.scopes("blind", &["read:nothing"]);
    guarded.app.pass(std::time::Duration::from_secs(31 * 24 * 3_600)).await;
    guarded.done("root", "POST", "/api/events/sessions/a", EVENT).await;
    for (token, expected) in [("root", true), ("reader", true), ("blind", false)] {
        let uri = "/api/events?channels=*&cursor=1&live=false";
        let told = guarded.get(token, uri).await.text();
        assert_eq!(told.contains("event: reset"), expected, "{token}: {told}");
    }
}

#[tokio::test]
async fn sessions_that_may_be_read_fill_their_pages() {
    let guarded = Guarded::new();
    for n in 0..30 {
        let body = format!(r#"{{"id":"{}{n:02}"}}"#, if n % 3 == 0 { "mine" } else { "other" });
        guarded.done("root", "POST", "/api/sessions", &body).await;
        if n % 3 == 0 {
            guarded.scopes("none", &[]);
        }
    }
    let mine: Vec<String> =
        (0..30).step_by(3).map(|n| format!("read:sessions/mine{n:02}")).collect();
    let mine: Vec<&str> = mine.iter().map(String::as_str).collect();
    guarded.scopes("reader", &mine);
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let uri = format!("/api/sessions?limit=4{cursor}");
        let page = guarded.get("reader", &uri).await;
        assert!(!page.text().contains("other"), "{}", page.text());
        let page = page.json();
        seen += page["sessions"].as_array().unwrap().len();
        let Some(next) = page["cursor"].as_str() else { break };
        assert_eq!(seen % 4, 0, "a page is full");
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, 10);
    let none = guarded.get("none", "/api/sessions").await.json();
    assert_eq!((none["sessions"].as_array().unwrap().len(), none.get("cursor")), (0, None));
}

fn scope() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "c", "x", "*", "**"]);
    let first =
        prop::sample::select(vec!["sessions", "agents", "config", "workers", "app", "*", "**"]);
    let right = prop::sample::select(vec!["read", "write", "admin"]);
    (right, first, prop::collection::vec(segment, 0..3)).prop_map(|(right, first, rest)| {
        let paths = [vec![first], rest].concat().join("/");
        format!("{right}:{paths}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_and_channels_show_what_scopes_allow_and_nothing_else(
        scopes in prop::collection::vec(scope(), 0..4),
        limit in 1_usize..5,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let guarded = filled().await;
            let texts: Vec<&str> = scopes.iter().map(String::as_str).collect();
            guarded.scopes("t", &texts);
            let allowed = Scopes::new(scopes.iter().map(|scope| scope.parse().unwrap()).collect());
            let may: BTreeSet<&str> =
                PATHS.into_iter().filter(|path| allowed.allow(Right::Read, path)).collect();
            let (paths, cursors) = listed(&guarded, "t", limit).await;
            prop_assert!(paths.iter().map(String::as_str).eq(may.iter().copied()), "{:?}", paths);
            prop_assert!(cursors.iter().all(|cursor| may.contains(cursor.as_str())));
            let told = guarded.get("t", "/api/events?channels=*&cursor=0&live=false").await.text();
            for path in PATHS {
                let shown = told.contains(&format!("\"stream\":\"{path}\""));
                prop_assert_eq!(shown, may.contains(path), "{}", path);
            }
            for path in PATHS {
                let read = guarded.get("t", &format!("/api/events/{path}")).await.status == 200;
                prop_assert_eq!(read, may.contains(path), "{}", path);
                let write = guarded.post("t", &format!("/api/events/{path}"), EVENT).await;
                let may_write = allowed.allow(Right::Write, path);
                prop_assert_eq!(write.status == 200, may_write, "{} {}", path, write.text());
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn who_may_read_little_has_the_order_read_for_them_piece_by_piece_and_misses_nothing() {
    let guarded = Guarded::new();
    guarded.scopes("reader", &["read:mine"]);
    let events = format!("[{}]", vec![EVENT; 1_000].join(","));
    for _ in 0..=limits::ORDER_PASSED_OVER_MAX.div_ceil(1_000) {
        guarded.done("root", "POST", "/api/events/others", &events).await;
    }
    guarded.done("root", "POST", "/api/events/mine", EVENT).await;
    let uri = "/api/events?channels=*&cursor=0";
    let mut live = guarded.follow("reader", uri).await;
    for _ in 0..100 {
        // Each look lets it read a page.
        assert!(live.is_quiet().await, "it pauses");
    }
    guarded.app.clock.advance(limits::ORDER_PAUSE);
    let found = live.frame().await.unwrap();
    assert!(found.contains("\"stream\":\"mine\""), "{found}");
    assert!(live.frame().await.unwrap().contains("caught-up"));
    // Whoever is sent what is looked at reads at their own pace.
    let mut live = guarded.follow("root", uri).await;
    while !live.frame().await.unwrap().contains("caught-up") {}
}

#[tokio::test]
async fn who_comes_again_at_the_beginning_waits_for_what_was_passed_over_for_them_before() {
    let guarded = Guarded::new();
    guarded.scopes("reader", &["read:mine"]);
    guarded.scopes("neighbour", &["read:mine"]);
    guarded.done("root", "POST", "/api/events/mine", EVENT).await;
    let events = format!("[{}]", vec![EVENT; 1_000].join(","));
    for _ in 0..limits::ORDER_PASSED_OVER_MAX.div_ceil(1_000) + 3 {
        guarded.done("root", "POST", "/api/events/others", &events).await;
    }
    let uri = "/api/events?channels=*&cursor=0";
    let is_mine = |frame: Option<String>| frame.unwrap().contains("\"stream\":\"mine\"");
    let mut live = guarded.follow("reader", uri).await;
    assert!(is_mine(live.frame().await));
    for _ in 0..100 {
        assert!(live.is_quiet().await, "it pauses");
    }
    drop(live);
    let mut again = guarded.follow("reader", uri).await;
    for _ in 0..100 {
        assert!(again.is_quiet().await, "it comes to what is paused");
    }
    assert!(is_mine(guarded.follow("neighbour", uri).await.frame().await));
    let mut at_the_end = guarded.follow("reader", "/api/events?channels=*").await;
    assert!(at_the_end.frame().await.unwrap().contains("caught-up"), "it passes over nothing");
    guarded.app.clock.advance(limits::ORDER_PAUSE);
    assert!(is_mine(again.frame().await));
}
