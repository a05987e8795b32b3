//! What is told to operators who look: whether the server should get work, and what it is busy
//! with.

use std::sync::Arc;

use insta::assert_snapshot;
use scrollback::{
    http::{Host, Room},
    metrics::{Flush, Usage},
};

use crate::{socket, util::TestApp};

/// A process with so much room on its disk.
#[derive(Debug)]
struct WithRoom(u64);

impl Host for WithRoom {
    fn started_ms(&self) -> u64 {
        crate::util::NOW_MS - 5_000
    }

    fn connections(&self) -> usize {
        3
    }

    fn tasks(&self) -> Vec<&'static str> {
        vec!["sweeper"]
    }

    fn usage(&self) -> Usage {
        Usage { threads: 4, ..Usage::default() }
    }

    fn room(&self) -> Option<Room> {
        Some(Room { free: self.0, size: 1_000, data: 10 })
    }
}

fn with_room(free: u64) -> TestApp {
    TestApp::with(|app| app.with_host(Arc::new(WithRoom(free))).with_low_water(100))
}

#[tokio::test]
async fn a_server_whose_disk_is_nearly_full_is_not_ready_and_still_takes_appends() {
    let app = with_room(99);
    let answer = app.get("/readyz").await;
    assert_snapshot!(answer.shown(), @r#"503 {"type":"urn:scrollback:problem:disk_low","title":"Disk low","status":503,"code":"disk_low","message":"99 bytes are free on the disk of the data folder, less than the 100 of --low-water: make room, or shorten --retention; appends are taken until the disk is full","retryable":true}"#);
    app.fill(1).await;
    assert_eq!(app.get("/healthz").await.status, 200);
    let metrics = app.get("/metrics").await.text();
    for line in ["scrollback_ready 0", "scrollback_disk_free_bytes 99", "process_threads 4"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert_eq!(with_room(100).get("/readyz").await.status, 200);
}

#[tokio::test]
async fn an_admin_sees_what_the_server_is_busy_with() {
    let app = with_room(500);
    app.fill(3).await;
    app.post("/api/sessions/t/events", r#"{"channel":"x","data":1}"#).await;
    let _readers = [
        app.follow("/api/sessions/s/stream?fromOffset=now").await,
        app.follow("/api/sessions/t/stream").await,
        app.follow("/api/sessions/s/stream").await,
    ];
    app.get("/api/sessions/s/state").await;
    app.app.log().metrics().flushes.note(Flush {
        ended: std::time::Instant::now(),
        time: std::time::Duration::from_millis(1_500),
        writes: 7,
        bytes: 900,
    });
    let mut told = app.get("/debug").await.json();
    for (place, of) in [("/slowestFlushes/0/agoMs", "time"), ("/views/0/bytes", "memory")] {
        let value = told.pointer_mut(place).unwrap_or_else(|| panic!("{place}"));
        assert!(value.is_u64(), "{place}");
        *value = of.into();
    }
    told["version"] = "V".into();
    assert_snapshot!(told, @r#"{"connections":3,"disk":{"dataBytes":10,"freeBytes":500,"lowWaterBytes":100,"sizeBytes":1000},"mostRead":[{"path":"sessions/s","readers":2},{"path":"sessions/t","readers":1}],"openStreams":2,"queueBytes":0,"readerLag":0,"readers":3,"slowestFlushes":[{"agoMs":"time","bytes":900,"ms":1500.0,"writes":7}],"subscriptions":0,"subscriptionsPending":0,"tasks":["sweeper"],"uptimeMs":5000,"version":"V","views":[{"bytes":"memory","idleMs":0,"path":"sessions/s","pinned":false}],"viewsTotal":1}"#);
}

#[tokio::test]
async fn what_is_told_is_bounded() {
    let app = TestApp::new();
    let mut readers = Vec::new();
    for number in 0..25 {
        app.post(&format!("/api/sessions/{number}/events"), r#"{"channel":"x","data":1}"#).await;
        readers.push(app.follow(&format!("/api/sessions/{number}/stream")).await);
        app.get(&format!("/api/sessions/{number}/state")).await;
    }
    let told = app.get("/debug").await.json();
    let count = |list: &str| told[list].as_array().unwrap().len();
    assert_eq!((count("mostRead"), count("views")), (20, 20));
    assert_eq!((&told["readers"], &told["viewsTotal"]), (&25.into(), &25.into()));
}

#[tokio::test]
async fn a_server_names_its_tasks_and_connections() {
    let server = socket::start().await;
    let request = "GET /debug HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = socket::exchange(&server, request).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["connections"], 1);
    let tasks = told["tasks"].to_string();
    for name in ["acceptor", "disk", "sweeper", "views", "sessions", "subscriptions"] {
        assert!(tasks.contains(name), "{name} is not in {tasks}");
    }
    server.stop().await.unwrap();
}
