//! A token revoked while everything that can be open is: each live read, a backup and an upload of
//! it end, and those of another token go on, whichever connections they share.

use std::{collections::BTreeMap, time::Duration};

use axum::body::Bytes;
use futures_util::future::join_all;
use reqwest::{Body, Client, Method, RequestBuilder, Response, Version};
use scrollback::{
    client::Client as Sdk, clock::ManualClock, server::Running, tls, wire::tokens::CreateToken,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::EVENT;
use crate::{
    tokens::{file, made, served},
    util::NOW_MS,
};

/// Live reads: where, what says that one has begun, and how it ends.
const READS: [(&str, &str, &str); 8] = [
    ("/api/sessions/s/stream", "caught-up", UNAUTHORIZED),
    ("/api/sessions/s/stream?snapshot=true", "caught-up", UNAUTHORIZED),
    ("/api/follow/config/ai", "caught-up", UNAUTHORIZED),
    ("/api/events?channels=session:*,config:ai", "caught-up", UNAUTHORIZED),
    ("/api/channels/session:s/stream", "caught-up", UNAUTHORIZED),
    ("/event", "server.connected", UNAUTHORIZED),
    // Its client asks again, and is told by the status.
    ("/v1/stream/sessions/s?live=sse&offset=-1", "upToDate", ""),
    ("/v1/stream/config/ai?live=sse&offset=-1", "upToDate", ""),
];
const UNAUTHORIZED: &str = "\"reason\":\"unauthorized\"";
const POLL: &str = "/v1/stream/sessions/s?live=long-poll&offset=now";

/// A server, two tokens on it, and the hand that revokes one of them.
struct Two {
    _dir: TempDir,
    server: Running,
    root: Sdk,
    /// The token that is revoked, and its secret.
    one: (String, String),
    /// The secret of the other.
    other: String,
}

impl Two {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (_, secret) = made(&file(&dir), &["admin:**"]);
        let server = served(&dir, ManualClock::at(NOW_MS)).await;
        let root = Sdk::builder(server.url()).token(secret).build().unwrap();
        let scopes = ["read:**", "write:uploads/*", "admin:__server/backup"];
        let asked =
            CreateToken { scopes: scopes.map(str::to_owned).into(), ..CreateToken::default() };
        let one = root.create_token(&asked).await.unwrap();
        let other = root.create_token(&asked).await.unwrap().secret;
        let two = Self { _dir: dir, server, root, one: (one.token.id, one.secret), other };
        two.append().await;
        two
    }

    /// An event in each of the streams that are read.
    async fn append(&self) {
        for path in ["sessions/s", "config/ai"] {
            self.root.append(path, format!("{EVENT}\n").into_bytes()).await.unwrap();
        }
    }

    fn ask(&self, client: &Client, secret: &str, method: Method, uri: &str) -> RequestBuilder {
        client.request(method, format!("{}{uri}", self.server.url())).bearer_auth(secret)
    }

    async fn readers(&self, count: usize) {
        let readers = || self.server.log().metrics().readers.get();
        let reached = async {
            while readers() != i64::try_from(count).unwrap() {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
        reached.unwrap_or_else(|_| panic!("{} readers, not {count}", readers()));
    }
}

/// A live read, as far as it was read.
struct Read {
    uri: &'static str,
    answer: Response,
    text: String,
}

impl Read {
    async fn of(two: &Two, client: &Client, secret: &str, uri: &'static str, begun: &str) -> Self {
        let answer = two.ask(client, secret, Method::GET, uri).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{uri}");
        let mut read = Self { uri, answer, text: String::new() };
        read.until(begun).await;
        read
    }

    /// The next piece; `None` at an end that is not broken off.
    async fn piece(&mut self) -> Option<Bytes> {
        let piece = tokio::time::timeout(Duration::from_secs(30), self.answer.chunk()).await;
        let piece = piece.unwrap_or_else(|_| panic!("{}: {:?}, and no end", self.uri, self.text));
        piece.unwrap_or_else(|error| panic!("{}: it broke off: {error}", self.uri))
    }

    async fn until(&mut self, end: &str) {
        while !self.text.contains(end) {
            let Some(piece) = self.piece().await else { panic!("{}: {}", self.uri, self.text) };
            self.text += std::str::from_utf8(&piece).unwrap();
        }
        self.text.clear();
    }

    /// What is left of it.
    async fn rest(mut self) -> String {
        while let Some(piece) = self.piece().await {
            self.text += std::str::from_utf8(&piece).unwrap();
        }
        self.text
    }
}

/// A body of lines that are sent one by one, and the answer to it.
struct Upload {
    lines: mpsc::Sender<Result<Bytes, std::io::Error>>,
    request: RequestBuilder,
}

impl Upload {
    fn to(two: &Two, client: &Client, secret: &str, path: &str) -> Self {
        let (lines, pieces) = mpsc::channel(1);
        let pieces = futures_util::stream::unfold(pieces, async |mut pieces| {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        let request = two.ask(client, secret, Method::POST, &format!("/api/events/{path}"));
        let request = request.header("content-type", "application/x-ndjson");
        Self { lines, request: request.body(Body::wrap_stream(pieces)) }
    }

    /// Sends a line, the server's work between, and another line.
    async fn around(self, two: &Two, path: &str, revoked: impl Future<Output = ()>) -> (u16, u64) {
        let line = || Ok(Bytes::from(format!("{EVENT}\n")));
        let path = scrollback::log::StreamPath::parse(path).unwrap();
        let sending = async {
            self.lines.send(line()).await.unwrap();
            while two.server.log().info(&path).await.is_err() {
                tokio::task::yield_now().await;
            }
            revoked.await;
            // Nobody takes it where the answer has come already.
            drop(self.lines.send(line()).await);
            drop(self.lines);
        };
        let (answer, ()) = tokio::join!(self.request.send(), sending);
        let answer = answer.unwrap();
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.unwrap();
        (status, body["count"].as_u64().unwrap())
    }
}

/// A client of its own: with HTTP/2 all of it goes over one connection.
fn client(version: Version) -> Client {
    tls::choose();
    let builder = Client::builder();
    let builder =
        if version == Version::HTTP_2 { builder.http2_prior_knowledge() } else { builder };
    builder.build().unwrap()
}

async fn open(two: &Two, client: &Client, secret: &str) -> Vec<Read> {
    join_all(READS.map(|(uri, begun, _)| Read::of(two, client, secret, uri, begun))).await
}

/// The first token reads with one client and the second with the other, if there is another.
async fn revoked_in_mid_stream(version: Version, clients: usize) {
    let two = Two::new().await;
    let (ours, theirs) = (client(version), client(version));
    let theirs = if clients == 1 { &ours } else { &theirs };
    let (id, one) = (&two.one.0, &two.one.1);
    let ended = open(&two, &ours, one).await;
    let mut lasting = open(&two, theirs, &two.other).await;
    if version == Version::HTTP_2 {
        // Beside that of the hand that revokes, which may keep its own or not.
        assert!((clients..=clients + 1).contains(&two.server.connections()));
    }
    let poll = |client: &Client, secret: &str| two.ask(client, secret, Method::GET, POLL).send();
    let (our_poll, their_poll) = (poll(&ours, one), poll(theirs, &two.other));
    let revoking = async {
        two.readers(2 * READS.len() + 2).await;
        two.root.revoke_token(id).await.unwrap();
        let ends = join_all(ended.into_iter().map(|read| async { (read.uri, read.rest().await) }));
        let ends: BTreeMap<_, _> = ends.await.into_iter().collect();
        for (uri, _, end) in READS {
            assert!(ends[uri].contains(end), "{uri}: {}", ends[uri]);
        }
        two.readers(READS.len() + 1).await;
        two.append().await;
    };
    let (our_poll, their_poll, ()) = tokio::join!(our_poll, their_poll, revoking);
    assert_eq!(our_poll.unwrap().status(), 401);
    let their_poll = their_poll.unwrap();
    assert_eq!(their_poll.status(), 200);
    assert!(their_poll.text().await.unwrap().contains("note.made"));
    join_all(lasting.iter_mut().map(|read| read.until("note.made"))).await;
    let again = two.ask(&ours, one, Method::GET, READS[0].0).send().await.unwrap();
    assert_eq!(again.status(), 401);
    drop(lasting);
    // On a clock that stands still a server that stops does not look again.
    two.readers(0).await;
    two.server.stop().await.unwrap();
}

#[tokio::test]
async fn live_reads_of_a_revoked_token_end_and_others_of_the_same_connection_go_on() {
    revoked_in_mid_stream(Version::HTTP_2, 1).await;
}

#[tokio::test]
async fn live_reads_of_a_revoked_token_end_and_those_of_another_connection_go_on() {
    revoked_in_mid_stream(Version::HTTP_2, 2).await;
    revoked_in_mid_stream(Version::HTTP_11, 1).await;
}

#[tokio::test]
async fn an_upload_under_way_is_refused_from_where_it_was_and_another_goes_on() {
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let two = Two::new().await;
        let client = client(version);
        let ours = Upload::to(&two, &client, &two.one.1, "uploads/ours");
        let theirs = Upload::to(&two, &client, &two.other, "uploads/theirs");
        let revoking = async { two.root.revoke_token(&two.one.0).await.map(drop).unwrap() };
        let both = theirs.around(&two, "uploads/theirs", async {
            assert_eq!(ours.around(&two, "uploads/ours", revoking).await, (401, 1));
        });
        assert_eq!(Box::pin(both).await, (200, 2));
        two.server.stop().await.unwrap();
    }
}
