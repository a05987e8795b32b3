//! A server to test: the service over a log in memory and a clock that stands still.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Request, StatusCode},
};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use scrollback::{
    clock::ManualClock,
    http::{self, App},
    log::{Log, Settings, StreamPath},
    metrics::Metrics,
    session::Ids,
    store::{Store, memory::MemoryStore},
    subscription::{
        self, Missed, Post, Posting, Request as WebhookRequest, Subscriptions, Targets,
    },
};
use tower::ServiceExt;

/// When every test begins.
pub(crate) const NOW_MS: u64 = 1_795_200_000_000;

/// One server.
pub(crate) struct TestApp {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<ManualClock>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Webhooks that nobody answers.
#[derive(Debug)]
struct Nobody;

impl Post for Nobody {
    fn post(&self, _: WebhookRequest) -> Posting<'_> {
        Box::pin(async { Err(Missed("nobody is there".to_owned())) })
    }
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::with(|app| app)
    }

    pub(crate) fn with(change: impl FnOnce(App) -> App) -> Self {
        Self::over(Arc::new(MemoryStore::default()), change)
    }

    pub(crate) fn over(store: Arc<dyn Store>, change: impl FnOnce(App) -> App) -> Self {
        let clock = ManualClock::at(NOW_MS);
        let metrics = Arc::new(Metrics::default());
        let log = Log::new(store, clock.clone(), Settings::default(), metrics);
        let public_url = Some(Arc::from("https://log.example"));
        let settings = subscription::Settings { targets: Targets::Public, public_url };
        let subscriptions = Subscriptions::new(log.clone(), Arc::new(Nobody), settings);
        let app = App::new(log, subscriptions).with_ids(Ids::counting());
        Self { app: Arc::new(change(app)), clock }
    }

    /// The answer, without the name of the request in the body of a problem: it differs each time.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = Box::pin(self.send_named(request)).await;
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let named = text.split_once(r#","requestId":""#).filter(|_| !answer.status.is_success());
        let rest = named.and_then(|(before, named)| Some((before, named.split_once('"')?.1)));
        let body = rest.map(|(before, rest)| format!("{before}{rest}").into());
        Answer { body: body.unwrap_or_else(|| answer.body.clone()), ..answer }
    }

    /// The answer as it is.
    pub(crate) async fn send_named(&self, request: Request<Body>) -> Answer {
        let response = http::service(Arc::clone(&self.app)).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn request(&self, method: &str, uri: &str) -> Answer {
        self.send(Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.request("GET", uri).await
    }

    pub(crate) async fn post_as(&self, uri: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(uri).header("content-type", kind).body(body.into()).unwrap();
        self.send(request).await
    }

    pub(crate) async fn post(&self, uri: &str, body: impl Into<Body>) -> Answer {
        self.post_as(uri, "application/json", body).await
    }

    pub(crate) async fn put(&self, uri: &str, body: &'static str) -> Answer {
        let request = Request::put(uri).header("content-type", "application/json");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Appends `count` events to session `s`, on channels `c0`, `c1`, `c2`, `c0` …
    pub(crate) async fn fill(&self, count: usize) {
        let events: Vec<String> = (1..=count)
            .map(|n| format!(r#"{{"id":"e{n}","channel":"c{}","type":"t.{n}","data":{n}}}"#, n % 3))
            .collect();
        let answer = self.post("/api/sessions/s/events", format!("[{}]", events.join(","))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The tail of session `s`, 0 where it does not exist.
    pub(crate) async fn tail(&self) -> u64 {
        match self.app.log().info(&StreamPath::session("s").unwrap()).await {
            Ok(info) => info.tail.0,
            Err(_) => 0,
        }
    }

    /// Lets `span` pass and removes what is then too old.
    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.app.log().sweep().await.unwrap();
    }

    pub(crate) async fn follow(&self, uri: &str) -> Live {
        self.follow_from(uri, None).await
    }

    pub(crate) async fn follow_from(&self, uri: &str, last_event_id: Option<&str>) -> Live {
        let mut request = Request::get(uri);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        self.open(request.body(Body::empty()).unwrap()).await
    }

    /// Follows with a token.
    pub(crate) async fn follow_as(&self, uri: &str, token: &str) -> Live {
        let request = Request::get(uri).header("authorization", format!("Bearer {token}"));
        self.open(request.body(Body::empty()).unwrap()).await
    }

    async fn open(&self, request: Request<Body>) -> Live {
        let response = http::service(Arc::clone(&self.app)).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        let mut live = Live { headers, body: response.into_body(), unread: String::new() };
        assert_eq!(live.frame().await.unwrap(), "retry: 1000");
        assert_eq!(live.frame().await.unwrap(), ": connected");
        live
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// Status and body, as they are compared.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.text())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The offsets of the events of a page.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        let json = self.json();
        let events = json["events"].as_array().unwrap_or_else(|| panic!("{}", self.text()));
        events.iter().map(|event| event["offset"].as_u64().unwrap()).collect()
    }
}

/// A live read.
pub(crate) struct Live {
    pub(crate) headers: HeaderMap,
    body: Body,
    unread: String,
}

impl Live {
    /// The next frame, without the empty line behind it; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.unread.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.unread = rest;
                return Some(frame);
            }
            // A read that never ends would hang the test.
            let piece = self.body.frame();
            let piece = tokio::time::timeout(Duration::from_secs(10), piece).await;
            let Some(piece) = piece.expect("a frame within ten seconds") else {
                assert_eq!(self.unread, "", "an unfinished frame at the end");
                return None;
            };
            let data = piece.unwrap().into_data().unwrap();
            self.unread += std::str::from_utf8(&data).unwrap();
        }
    }

    /// All frames up to the end, in short form.
    pub(crate) async fn rest(mut self) -> String {
        let mut shown = Vec::new();
        while let Some(frame) = self.frame().await {
            shown.push(short(&frame));
        }
        shown.join("\n")
    }

    /// The next `count` frames, in short form.
    pub(crate) async fn frames(&mut self, count: usize) -> String {
        let mut shown = Vec::new();
        for _ in 0..count {
            shown.push(short(&self.frame().await.expect("another frame")));
        }
        shown.join("\n")
    }

    /// Nothing is there to be read now.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        self.unread.is_empty() && futures_util::poll!(self.body.frame()).is_pending()
    }
}

/// A frame in one line: unnamed events by id and offset, named ones with their data.
fn short(frame: &str) -> String {
    let field = |name: &str| {
        frame.lines().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>().join("\n")
    };
    let (id, event, data) = (field("id: "), field("event: "), field("data: "));
    let json: serde_json::Value = serde_json::from_str(&data).expect("data is JSON");
    if event.is_empty() {
        assert_eq!(json["offset"].to_string(), id, "the id of an event is its offset");
        return format!("{id} {}", json["id"].as_str().unwrap());
    }
    let mut json = json;
    // The epoch of a stream is random.
    if let Some(epoch) = json.get_mut("epoch") {
        assert_eq!(epoch.as_str().unwrap().len(), 16);
        *epoch = "E".into();
    }
    format!("{id} [{event}] {json}")
}

/// A body that comes in these pieces, and breaks off after them if `breaks`.
pub(crate) fn pieces(pieces: Vec<&'static [u8]>, breaks: bool) -> Body {
    let pieces = pieces.into_iter().map(|piece| Ok(Bytes::from_static(piece)));
    let end = breaks.then(|| Err(std::io::Error::other("connection reset")));
    Body::from_stream(futures_util::stream::iter(pieces.chain(end)).boxed())
}
