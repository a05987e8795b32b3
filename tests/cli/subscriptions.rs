//! Subscriptions over real sockets, with a server that is killed: a webhook is called again after
//! the restart, a lease goes on, and the keys are the same. Durable Streams protocol, section 7.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};

use crate::util::Server;

const ROOT: &str = "/v1/stream/__ds/subscriptions/s";

/// A request to the server; the status and the JSON of the answer.
fn ask(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
         application/json\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// A worker that is called.
struct Worker(TcpListener);

/// A call that waits for its answer.
struct Call {
    socket: TcpStream,
    head: String,
    body: Value,
}

impl Worker {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.0.local_addr().unwrap())
    }

    /// The next call, which comes however long it takes. One whose server was killed before it
    /// had sent the head is none.
    fn call(&self) -> Call {
        let (socket, mut reader, head) = loop {
            let (socket, _) = self.0.accept().unwrap();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if !matches!(reader.read_line(&mut head), Ok(1..)) {
                    break;
                }
            }
            if head.ends_with("\r\n\r\n") {
                break (socket, reader, head);
            }
        };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        Call { socket, head, body: serde_json::from_slice(&body).unwrap() }
    }
}

impl Call {
    fn answer(mut self, status: &str, body: &str) -> Value {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.socket.write_all(answer.as_bytes()).unwrap();
        self.body
    }
}

fn subscribe(server: &Server, worker: &Worker, lease_ttl_ms: u64) {
    let asked = json!({
        "type": "webhook",
        "pattern": "events/*",
        "webhook": { "url": worker.url() },
        "lease_ttl_ms": lease_ttl_ms,
    });
    let (status, answer) = ask(server, "PUT", ROOT, "", &asked);
    assert_eq!(status, 201, "{answer}");
}

fn append(server: &Server, path: &str) {
    let (status, answer) = ask(server, "PUT", &format!("/v1/stream/{path}"), "", &json!([1]));
    assert_eq!(status, 201, "{answer}");
}

fn acknowledge(server: &Server, wake: &Value) -> (u16, Value) {
    let acks = wake["streams"].as_array().unwrap().iter();
    let acks: Vec<_> =
        acks.map(|link| json!({"stream": link["path"], "offset": link["tail_offset"]})).collect();
    let about = json!({
        "wake_id": wake["wake_id"],
        "generation": wake["generation"],
        "acks": acks,
        "done": true,
    });
    let path = wake["callback_url"].as_str().unwrap().strip_prefix(&server.url()).unwrap();
    ask(server, "POST", path, wake["callback_token"].as_str().unwrap(), &about)
}

#[test]
fn a_server_that_is_killed_goes_on_in_the_middle_of_a_lease() {
    let (mut server, worker) = (Server::start(), Worker::new());
    subscribe(&server, &worker, 600_000);
    append(&server, "events/a");
    let call = worker.call();
    assert!(call.head.contains("webhook-signature: t="), "{}", call.head);
    let wake = call.answer("202 Accepted", "");
    let keys = ask(&server, "GET", "/v1/stream/__ds/jwks.json", "", &json!({}));
    // Known to the server before it is killed: it answers after it has taken the answer in.
    while ask(&server, "GET", ROOT, "", &json!({})).1["streams"][0]["acked_offset"].is_null() {}
    server.kill_and_restart();
    append(&server, "events/b");
    assert_eq!(ask(&server, "GET", "/v1/stream/__ds/jwks.json", "", &json!({})), keys);
    // A call that was on its way when the server died may come twice, for the same wake.
    assert_eq!(acknowledge(&server, &wake), (200, json!({"ok": true, "next_wake": true})));
    let mut next = worker.call();
    while next.body["wake_id"] == wake["wake_id"] {
        next.answer("202 Accepted", "");
        next = worker.call();
    }
    assert_eq!(next.body["generation"], 2);
    assert_eq!(next.body["streams"][0]["path"], "events/b");
    next.answer("200 OK", r#"{"done":true}"#);
    assert_eq!(acknowledge(&server, &wake).0, 409, "the wake before is over");
}

#[test]
fn a_server_that_is_killed_calls_again_whom_it_could_not_reach() {
    let (mut server, worker) = (Server::start(), Worker::new());
    subscribe(&server, &worker, 600_000);
    append(&server, "events/a");
    let first = worker.call().answer("503 Service Unavailable", "");
    server.kill_and_restart();
    let again = worker.call();
    assert_eq!(again.body["wake_id"], first["wake_id"]);
    assert_eq!(again.body["generation"], 1);
    // Killed with the call open: nobody knows what became of it, so it comes again.
    server.kill_and_restart();
    let once_more = worker.call();
    assert_eq!(once_more.body["wake_id"], first["wake_id"]);
    once_more.answer("200 OK", r#"{"done":true}"#);
    let subscription = || ask(&server, "GET", ROOT, "", &json!({})).1;
    while subscription()["streams"][0]["acked_offset"] != "0000000000000001" {}
}

#[test]
fn a_redirect_of_a_webhook_is_not_followed() {
    let (server, worker) = (Server::start(), Worker::new());
    subscribe(&server, &worker, 600_000);
    append(&server, "events/a");
    let elsewhere = Worker::new();
    let location = format!("307 Temporary Redirect\r\nlocation: {}", elsewhere.url());
    let first = worker.call().answer(&location, "");
    let again = worker.call();
    assert_eq!(again.body["wake_id"], first["wake_id"]);
    again.answer("200 OK", "");
    elsewhere.0.set_nonblocking(true).unwrap();
    assert!(elsewhere.0.accept().is_err(), "somebody was called who was not asked for");
}
