//! A producer against a server of a few lines: what it sends again, what it says, when it waits.

use futures_util::{FutureExt, future::join_all};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::clock::{Clock, Sleep};

/// A clock on which every wait of less than a minute is over at once.
#[derive(Debug)]
struct Hasty;

impl Clock for Hasty {
    fn now_ms(&self) -> u64 {
        1_000
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        if span >= Duration::from_mins(1) {
            return Box::pin(std::future::pending());
        }
        Box::pin(async {})
    }
}

struct Fixture {
    listener: TcpListener,
    client: Client,
}

impl Fixture {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::builder(url).clock(Arc::new(Hasty)).build().unwrap();
        Self { listener, client }
    }

    /// Answers a connection each; returns what was asked.
    async fn serve(&self, answers: &[String]) -> Vec<Asked> {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut socket, _) = self.listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let request = loop {
                socket.read_buf(&mut bytes).await.unwrap();
                if let Some(request) = Asked::read(&bytes) {
                    break request;
                }
            };
            asked.push(request);
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    }
}

/// A request.
#[derive(Debug)]
struct Asked {
    head: String,
    body: String,
}

impl Asked {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let asked = Self { head: head.to_lowercase(), body: body.to_owned() };
        let length: usize = asked.field("content-length").map_or(0, |n| n.parse().unwrap());
        (body.len() == length).then_some(asked)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    fn seq(&self) -> &str {
        self.field("producer-seq").unwrap()
    }

    fn ids(&self) -> Vec<String> {
        let events: Vec<NewEvent> = serde_json::from_str(&self.body).unwrap();
        events.into_iter().map(|event| event.id.unwrap()).collect()
    }
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{fields}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn written(tail: u64, seq: u64) -> String {
    answer("200 OK", &acknowledged(tail, seq), "")
}

fn duplicate(tail: u64, seq: u64) -> String {
    let fields = acknowledged(tail, seq);
    format!("HTTP/1.1 204 No Content\r\n{fields}connection: close\r\n\r\n")
}

fn acknowledged(tail: u64, seq: u64) -> String {
    format!("stream-next-offset: {tail:016}\r\nproducer-epoch: 1\r\nproducer-seq: {seq}\r\n")
}

fn event(id: &str) -> NewEvent {
    NewEvent::new("note", "note.added", json!({})).with_id(id)
}

/// Large enough for an event to fill a batch, and never in haste.
fn options() -> ProducerOptions {
    ProducerOptions::default().linger(Duration::from_mins(5))
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_sent_again_under_its_number_and_found() {
    let fixture = Fixture::new().await;
    let producer = fixture.client.producer("sessions/s", "p", options()).unwrap();
    let found = r#"{"events":[{"offset":6,"id":"x"},{"offset":7,"id":"a"},{"offset":8,"id":"b"},{"offset":9,"id":"y"}],"nextOffset":9,"tail":9,"earliest":1,"hasMore":false}"#;
    let answers = [String::new(), duplicate(9, 0), answer("200 OK", "", found), written(12, 1)];
    let write = async {
        let first = producer.send(event("a")).await.unwrap();
        let second = producer.send(event("b")).await.unwrap();
        producer.flush().await.unwrap();
        let third = producer.send(event("c")).await.unwrap();
        producer.flush().await.unwrap();
        join_all([first, second, third]).await
    };
    let (asked, written) = tokio::join!(fixture.serve(&answers), write);
    let offsets: Vec<_> = written.into_iter().map(|written| written.unwrap().offset).collect();
    assert_eq!(offsets, [Some(7), Some(8), Some(12)]);
    assert_eq!([asked[0].seq(), asked[1].seq(), asked[3].seq()], ["0", "0", "1"]);
    assert_eq!(asked[0].field("producer-epoch"), asked[3].field("producer-epoch"));
    assert_eq!(asked[0].body, asked[1].body);
    assert_eq!((asked[0].ids(), asked[3].ids()), (vec!["a".into(), "b".into()], vec!["c".into()]));
    assert!(asked[0].head.starts_with("post /v1/stream/sessions/s "), "{}", asked[0].head);
    producer.close().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_made_and_a_server_that_starts_is_waited_for() {
    let fixture = Fixture::new().await;
    let producer = fixture.client.producer("notes", "p", options()).unwrap();
    let problem = |code| crate::wire::problem::Problem::new(code, "no");
    let refusal =
        |status, code| answer(status, "", &serde_json::to_string(&problem(code)).unwrap());
    let answers = [
        refusal("503 Service Unavailable", crate::wire::code::Code::Stopping),
        refusal("404 Not Found", crate::wire::code::Code::StreamNotFound),
        refusal("409 Conflict", crate::wire::code::Code::StreamExists),
        written(1, 0),
    ];
    let write = async {
        let receipt = producer.send(event("a")).await.unwrap();
        producer.flush().await.unwrap();
        receipt.await.unwrap()
    };
    let (asked, written) = tokio::join!(fixture.serve(&answers), write);
    assert_eq!(written, Written { id: "a".to_owned(), offset: Some(1) });
    assert!(asked[2].head.starts_with("put /api/streams/notes "), "{}", asked[2].head);
}

#[tokio::test]
async fn what_others_answer_in_the_place_of_the_server_says_nothing_of_the_batch() {
    let found = r#"{"events":[{"offset":1,"id":"a"}],"nextOffset":1,"tail":1,"earliest":1,"hasMore":false}"#;
    let others = [("404 Not Found", "default backend"), ("200 OK", "Our hotel"), ("403 No", "")];
    for (status, body) in others {
        let fixture = Fixture::new().await;
        let producer = fixture.client.producer("sessions/s", "p", options().epoch(1)).unwrap();
        // It was passed on all the same: in an epoch that is kept, only doubt makes it ours.
        let answers =
            [answer(status, "", body), duplicate(1, 0), answer("200 OK", "", found), written(2, 1)];
        let write = async {
            let receipt = producer.send(event("a")).await.unwrap();
            producer.flush().await.unwrap();
            producer.send(event("b")).await.unwrap();
            producer.flush().await.unwrap();
            receipt.await.unwrap()
        };
        let (asked, written) = tokio::join!(fixture.serve(&answers), write);
        assert_eq!(written, Written { id: "a".to_owned(), offset: Some(1) }, "{status}");
        assert_eq!([asked[0].seq(), asked[1].seq(), asked[3].seq()], ["0", "0", "1"]);
        assert_eq!(asked[0].body, asked[1].body);
    }
}

#[tokio::test]
async fn a_fenced_producer_stops_and_everybody_is_told() {
    let fixture = Fixture::new().await;
    let producer = fixture.client.producer("sessions/s", "p", options().epoch(4)).unwrap();
    let problem = crate::wire::problem::Problem::new(crate::wire::code::Code::ProducerFenced, "no");
    let body = serde_json::to_string(&problem).unwrap();
    let answers = [answer("403 Forbidden", "producer-epoch: 9\r\n", &body)];
    let write = async {
        let receipt = producer.send(event("a")).await.unwrap();
        let flushed = producer.flush().await;
        (receipt.await, flushed, producer.send(event("b")).await.map(drop))
    };
    let (_, (receipt, flushed, later)) = tokio::join!(fixture.serve(&answers), write);
    for error in [receipt.map(drop), flushed, later, producer.close().await] {
        let fenced = matches!(error, Err(ProducerError::Fenced { epoch: 4, current: Some(9) }));
        assert!(fenced, "{error:?}");
    }
}

#[tokio::test]
async fn a_sender_waits_for_room_and_has_it_when_something_was_acknowledged() {
    let fixture = Fixture::new().await;
    let options = options().in_flight_bytes(0).batch_bytes(150_000);
    let producer = fixture.client.producer("sessions/s", "p", options).unwrap();
    let large = |id| NewEvent { data: json!("x".repeat(150_000)), ..event(id) };
    let first = producer.send(large("a")).await.unwrap();
    let mut second = Box::pin(producer.send(large("b")));
    assert!((&mut second).now_or_never().is_none());
    let answers = [written(1, 0), written(2, 1)];
    let write = async {
        assert_eq!(first.await.unwrap().offset, Some(1));
        second.await.unwrap().await.unwrap()
    };
    let (asked, second) = tokio::join!(fixture.serve(&answers), write);
    assert_eq!(second.offset, Some(2));
    assert_eq!((asked[0].ids(), asked[1].ids()), (vec!["a".into()], vec!["b".into()]));
}

#[tokio::test]
async fn what_cannot_be_an_event_is_refused_and_hurts_no_other() {
    let fixture = Fixture::new().await;
    let producer = fixture.client.producer("sessions/s", "p", options()).unwrap();
    let large = NewEvent { data: json!("x".repeat(limits::RECORD_BYTES_MAX)), ..event("a") };
    let refused = producer.send(large).await;
    assert!(matches!(refused, Err(ProducerError::TooLarge { .. })), "{refused:?}");
    let nameless = producer.send(NewEvent { channel: String::new(), ..event("a") }).await;
    assert!(matches!(nameless, Err(ProducerError::Field { field: "channel", .. })), "{nameless:?}");
    let deep = (0..99).fold(json!(1), |inner, _| json!([inner]));
    let refused = producer.send(NewEvent { data: deep, ..event("a") }).await;
    assert!(
        matches!(refused, Err(ProducerError::TooDeep { levels: 101, max: 100 })),
        "{refused:?}"
    );
    for name in ["", "a\nb", " a", "ä"] {
        let refused = fixture.client.producer("sessions/s", name, options());
        assert!(matches!(refused, Err(ProducerError::Name(_))), "{name:?}");
    }
    let receipt = producer.send(event("a")).await.unwrap();
    drop(producer);
    assert!(matches!(receipt.await, Err(ProducerError::Dropped)));
}

#[test]
fn an_event_is_sent_in_the_envelope_that_is_stored() {
    let untyped = |data| NewEvent { channel: "note".to_owned(), data, ..NewEvent::default() };
    let json = |event: NewEvent| String::from_utf8(run::json_of(event, 7).unwrap()).unwrap();
    assert_eq!(
        json(untyped(json!({"type": "note.added"})).with_id("a")),
        r#"{"id":"a","channel":"note","type":"note.added","timestamp":7,"data":{"type":"note.added"}}"#
    );
    assert_eq!(
        json(untyped(json!(1)).with_id("a")),
        r#"{"id":"a","channel":"note","type":"note","timestamp":7,"data":1}"#
    );
}
