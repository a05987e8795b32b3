//! The service over a log in memory, asked without a socket, and what every answer must be.
//! Time is paused: an answer that waits for its time is told from one that hangs at once.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode},
};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use proptest::test_runner::TestCaseError;
use scrollback::{
    clock::ManualClock,
    http::{self, App},
    log::{Log, Settings},
    metrics::Metrics,
    session::Ids,
    store::memory::MemoryStore,
    subscription::{
        self, Missed, Post, Posting, Request as WebhookRequest, Subscriptions, Targets,
    },
};
use tower::ServiceExt;

/// Longer than any answer takes that waits for nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Frames that are read of an answer; a live one has no end.
const FRAMES_MAX: usize = 64;

/// Webhooks that nobody answers.
#[derive(Debug)]
struct Nobody;

impl Post for Nobody {
    fn post(&self, _: WebhookRequest) -> Posting<'_> {
        Box::pin(async { Err(Missed("nobody is there".to_owned())) })
    }
}

/// One server, with the streams that targets ask about.
pub(crate) struct Server(Arc<App>);

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// What came at once; of a live answer it is the beginning.
    pub(crate) body: Vec<u8>,
    /// It is live, or longer than what was read.
    pub(crate) goes_on: bool,
}

/// A request as the targets write it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: Vec<Vec<u8>>,
}

impl Asked {
    pub(crate) fn new(method: &'static str, uri: impl Into<String>) -> Self {
        Self { method, uri: uri.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, pieces: Vec<Vec<u8>>) -> Self {
        self.body = pieces;
        self
    }

    /// `None` where it is nothing that a connection would hand on.
    fn request(&self) -> Option<Request<Body>> {
        let pieces: Vec<_> =
            self.body.iter().cloned().map(Bytes::from).map(Ok::<_, std::io::Error>).collect();
        let body = Body::from_stream(futures_util::stream::iter(pieces).boxed());
        let mut request = Request::builder().method(self.method).uri(&self.uri).body(body).ok()?;
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value).ok()?;
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        Some(request)
    }
}

/// Runs a case on a server of its own. Errors name what was wrong.
pub(crate) fn with_server<T>(
    case: impl AsyncFnOnce(&Server) -> Result<T, TestCaseError>,
) -> Result<T, TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
        let server = Server::new().await;
        case(&server).await
    })
}

impl Server {
    async fn new() -> Self {
        let clock = ManualClock::at(1_795_200_000_000);
        let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
        let log = Log::new(store, clock, Settings::default(), metrics);
        let public_url = Some(Arc::from("https://log.example"));
        let settings = subscription::Settings { targets: Targets::Public, public_url };
        let subscriptions = Subscriptions::new(log.clone(), Arc::new(Nobody), settings);
        let server = Self(Arc::new(App::new(log, subscriptions).with_ids(Ids::counting())));
        server.fill().await;
        server
    }

    /// A session with a turn that runs, a stream of text, one that is closed.
    async fn fill(&self) {
        let json = |method, uri: &str, body: &str| {
            Asked::new(method, uri)
                .header("content-type", "application/json")
                .body(vec![body.as_bytes().to_vec()])
        };
        let text = Asked::new("PUT", "/v1/stream/t").header("content-type", "text/plain");
        for asked in [
            json("POST", "/api/sessions", r#"{"id":"s","title":"S"}"#),
            json("POST", "/api/sessions/s/messages", r#"{"id":"m1","text":"hello"}"#),
            json(
                "POST",
                "/api/sessions/s/events",
                r#"[{"id":"e1","channel":"todo"},{"id":"e2","channel":"x"}]"#,
            ),
            text.body(vec!["héllo".into()]),
            json("PUT", "/api/streams/agents/a", r"{}"),
            json("POST", "/api/close/agents/a", ""),
        ] {
            let answer = self.ask(&asked).await.unwrap().unwrap();
            assert!(answer.status.is_success(), "{asked:?}: {answer:?}");
        }
    }

    /// Asks, and reads what comes at once. `None` where the request cannot be made, or its answer
    /// waits for something to happen, as a long-poll does.
    pub(crate) async fn ask(&self, asked: &Asked) -> Option<Result<Answer, TestCaseError>> {
        let request = asked.request()?;
        let answering = http::service(Arc::clone(&self.0)).oneshot(request);
        let response = tokio::time::timeout(ANSWER_WITHIN, answering).await.ok()?.unwrap();
        let (parts, mut body) = response.into_parts();
        let (mut read, mut goes_on) = (Vec::new(), true);
        for _ in 0..FRAMES_MAX {
            match tokio::time::timeout(ANSWER_WITHIN, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    read.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                Ok(Some(Err(error))) => {
                    return Some(Err(TestCaseError::fail(format!(
                        "{asked:?} breaks off: {error}"
                    ))));
                }
                Ok(None) => {
                    goes_on = false;
                    break;
                }
                Err(_) => break,
            }
        }
        Some(Ok(Answer { status: parts.status, headers: parts.headers, body: read, goes_on }))
    }

    /// Asks, and holds the answer against what every answer must be.
    pub(crate) async fn check(&self, asked: &Asked) -> Result<Option<Answer>, TestCaseError> {
        let Some(answer) = self.ask(asked).await.transpose()? else { return Ok(None) };
        let shown = || {
            format!(
                "{asked:?} was answered {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            )
        };
        if answer.status.is_server_error() {
            return Err(TestCaseError::fail(shown()));
        }
        if answer.status.is_client_error() && asked.method != Method::HEAD.as_str() {
            let problem: Result<serde_json::Value, _> = serde_json::from_slice(&answer.body);
            let told = problem.is_ok_and(|problem| {
                problem["code"].is_string() || problem["error"]["code"].is_string()
            });
            if !told {
                return Err(TestCaseError::fail(format!("no problem document: {}", shown())));
            }
        }
        Ok(Some(answer))
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}
