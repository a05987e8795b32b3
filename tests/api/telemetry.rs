//! What an operator finds about a request: its id in the answer and in the log, a line where one
//! is wanted, and never anything that was to stay secret.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, Once},
};

use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use scrollback::server::{Settings, settings::LogFormat, telemetry};
use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{filter::dynamic_filter_fn, layer::SubscriberExt};

use crate::{socket, util::TestApp};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// A log of what this thread does, as these settings want it, until the guard is dropped.
    fn of(settings: &Settings) -> (Self, DefaultGuard) {
        // Tests run beside each other, and what the one logs the other does not want. Where nobody
        // in the process has decided yet, a place in the code that logs is asked each time anew.
        static UNDECIDED: Once = Once::new();
        UNDECIDED.call_once(|| {
            let nothing = dynamic_filter_fn(|_, _| false).with_max_level_hint(LevelFilter::TRACE);
            let everywhere = tracing_subscriber::registry().with(nothing);
            drop(tracing::subscriber::set_global_default(everywhere));
        });
        let log = Self::default();
        let writer = log.clone();
        let lines = telemetry::lines(settings, move || writer.clone(), false).unwrap();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn json_lines(filter: &str) -> Settings {
    let log_filter = filter.to_owned();
    Settings { log_format: LogFormat::Json, log_filter, ..Settings::default() }
}

fn id(headers: &HeaderMap) -> &str {
    headers["x-request-id"].to_str().unwrap()
}

async fn named(app: &TestApp, method: &str, uri: &str, id: &str) -> crate::util::Answer {
    let request = Request::builder().method(method).uri(uri).header("x-request-id", id);
    app.send_named(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_answer_names_its_request_as_the_client_did_or_anew() {
    let app = TestApp::new();
    app.fill(1).await;
    let uris =
        ["/healthz", "/nothing", "/api/sessions/s/events", "/api/sessions/s/stream?live=false"];
    for uri in uris {
        assert_eq!(id(&named(&app, "GET", uri, "req-1").await.headers), "req-1", "{uri}");
        let (one, two) = (app.get(uri).await, app.get(uri).await);
        assert_eq!(id(&one.headers).len(), 16, "{uri}");
        assert_ne!(id(&one.headers), id(&two.headers), "{uri}");
        let wrong = named(&app, "GET", uri, "not plain").await;
        assert_eq!(id(&wrong.headers).len(), 16, "{uri}");
    }
}

#[tokio::test]
async fn a_problem_names_its_request() {
    let app = TestApp::new();
    for (method, uri) in [
        ("GET", "/nothing"),
        ("DELETE", "/api/sessions/s/events"),
        ("GET", "/api/sessions/s/events"),
        ("GET", "/v1/stream/__ds/subscriptions/none"),
    ] {
        let answer = named(&app, method, uri, "req-2").await;
        assert!(answer.status.is_client_error(), "{uri}");
        assert_eq!(answer.json()["requestId"], "req-2", "{uri}");
        let length = answer.headers.get("content-length").map(|value| value.to_str().unwrap());
        assert!(length.is_none_or(|length| length == answer.body.len().to_string()), "{uri}");
    }
    let head = named(&app, "HEAD", "/api/sessions/s/events", "req-3").await;
    assert_eq!((id(&head.headers), head.body.len()), ("req-3", 0));
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_the_name() {
    let app = TestApp::with(|app| app.with_origins(vec!["https://app.example".to_owned()]));
    let request = Request::get("/healthz").header("origin", "https://app.example");
    let answer = app.send(request.body(Body::empty()).unwrap()).await;
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("x-request-id"), "{exposed}");
}

#[tokio::test]
async fn a_line_of_the_log_says_which_request_it_was_and_how_it_went() {
    let app = TestApp::new();
    let settings = Settings { access_log: true, ..json_lines("warn") };
    let (log, _guard) = Log::of(&settings);
    named(&app, "GET", "/api/sessions/s/events?fromOffset=1", "req-4").await;
    let text = log.text();
    let line: serde_json::Value = serde_json::from_str(text.trim()).expect("one line");
    for (field, value) in [
        ("level", "DEBUG".into()),
        ("target", "scrollback::access".into()),
        ("message", "answered".into()),
        ("method", "GET".into()),
        ("route", "/api/sessions/{id}/events".into()),
        ("status", serde_json::json!(404)),
        ("request_id", "req-4".into()),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert!(line["ms"].as_f64().unwrap() >= 0.0 && line["timestamp"].is_string(), "{line}");
}

#[tokio::test]
async fn what_is_done_for_a_request_is_in_its_span() {
    let app = TestApp::new();
    let (log, guard) = Log::of(&json_lines("debug"));
    app.fill(1).await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("answered")).unwrap();
    assert!(line.contains(r#""route":"/api/sessions/{id}/events""#), "{line}");
    // Without anybody who wants it nothing is made ready for it.
    drop(guard);
    app.fill(1).await;
    assert_eq!(log.text(), text);
}

#[tokio::test]
async fn no_secret_is_in_logs_metrics_or_errors_at_whatever_level() {
    let quiet = json_lines("trace");
    for settings in [quiet.clone(), Settings { log_format: LogFormat::Pretty, ..quiet }] {
        let (log, guard) = Log::of(&settings);
        let server = socket::start().await;
        let mut answers = String::new();
        for (method, target, body) in [
            ("GET", "/api/sessions/s/events?access_token=SECRET", ""),
            ("GET", "/api/sessions/s/stream?access_token=SECRET&live=false", ""),
            ("GET", "/nothing?access_token=SECRET", ""),
            ("GET", "/api/streams?access_token=SECRET&limit=x", ""),
            ("GET", "/api/streams?access_token=%SECRET", ""),
            ("GET", "/debug?access_token=SECRET", ""),
            ("DELETE", "/healthz?access_token=SECRET", ""),
            ("POST", "/api/sessions/s/events", r#"{"channel":"x","data":"SECRET"}"#),
            ("POST", "/api/sessions/s/events", r#"{"channel":"x","data":"SECRET" oops"#),
            ("POST", "/api/sessions/s/events", r#"{"type":"turn.started","data":{"x":"SECRET"}}"#),
            ("GET", "/metrics?access_token=SECRET", ""),
        ] {
            answers += &socket::exchange(
                &server,
                &format!(
                    "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                 authorization: Bearer SECRET\r\ncookie: SECRET\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len(),
                ),
            )
            .await;
        }
        server.stop().await.unwrap();
        drop(guard);
        let text = log.text();
        assert!(text.contains("answered") && text.contains("listening"), "{text}");
        for shown in [&text, &answers] {
            let found = shown.lines().find(|line| line.contains("SECRET"));
            assert_eq!(found, None);
        }
        assert!(answers.contains("HTTP/1.1 200") && answers.contains("HTTP/1.1 400"), "{answers}");
    }
}

#[test]
fn a_library_says_no_more_than_at_info() {
    let (log, _guard) = Log::of(&json_lines("trace"));
    tracing::trace!(target: "hyper::proto", "authorization: SECRET");
    tracing::debug!(target: "scrollbacks", "SECRET");
    tracing::info!(target: "tower", "told");
    tracing::trace!(target: "scrollback::log", "ours");
    let text = log.text();
    assert!(text.contains("told") && text.contains("ours") && !text.contains("SECRET"), "{text}");
}

#[test]
fn a_filter_that_is_none_is_refused_by_its_name() {
    let refused = telemetry::lines::<tracing_subscriber::Registry, _>(
        &json_lines("scrollback=loud"),
        io::sink,
        false,
    );
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("log_filter \"scrollback=loud\""), "{error}");
}
