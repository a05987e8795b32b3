//! A follower against a server of a few lines: what it asks for, what it hands out, how it waits.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    client::{ClientBuilder, Waits},
    clock::{Clock, Sleep},
    wire::{code::Code, problem::Problem},
};

/// A clock on which waits of up to 30 s are over at once, and longer ones never.
#[derive(Debug)]
struct Hasty;

impl Clock for Hasty {
    fn now_ms(&self) -> u64 {
        0
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        if span > Waits::FOLLOWER.most {
            return Box::pin(std::future::pending());
        }
        Box::pin(async {})
    }
}

fn client(listener: &TcpListener) -> ClientBuilder {
    let url = format!("http://{}", listener.local_addr().unwrap());
    Client::builder(url).clock(Arc::new(Hasty))
}

async fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        socket.read_buf(&mut request).await.unwrap();
    }
    (socket, String::from_utf8(request).unwrap())
}

/// Answers each connection with the next text and closes it; notes the request lines.
async fn serve(listener: TcpListener, answers: Vec<String>, asked: &mut Vec<String>) {
    for answer in answers {
        let (mut socket, request) = accept(&listener).await;
        asked.push(request.lines().next().unwrap().to_owned());
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn live(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\n\n{body}")
}

fn frame(offset: u64) -> String {
    format!(
        "id: {offset}\ndata: {{\"offset\":{offset},\"id\":\"{offset}\",\"channel\":\"c\",\"type\":\"t\",\"timestamp\":1}}\n\n"
    )
}

fn named(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn refused(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nretry-after: 7\r\nconnection: close\r\n\r\n")
}

/// What was handed out, a word each.
fn word(followed: &Followed) -> String {
    match followed {
        Followed::Connected { after } => format!("connected {after}"),
        Followed::Snapshot(state) => format!("state {}", state.offset),
        Followed::Event(event) => event.offset().to_string(),
        Followed::CaughtUp { offset, .. } => format!("caught up {offset}"),
        Followed::Reset(reset) => format!("reset {}", reset.resume_from),
        Followed::Reconnecting { wait, why, .. } => format!("{why}, {} s", wait.as_secs()),
        Followed::Ended(ended) => format!("{ended:?}").chars().take(8).collect(),
    }
}

async fn run(answers: Vec<String>) -> (Vec<String>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let follower = client(&listener).build().unwrap().session("a").follow(0);
    let all = follower.map(|followed| word(&followed)).collect::<Vec<_>>();
    let mut asked = Vec::new();
    // Whoever ends too early does not leave the server waiting.
    let all = tokio::select! {
        all = all => all,
        () = async {
            serve(listener, answers, &mut asked).await;
            std::future::pending::<()>().await;
        } => unreachable!(),
    };
    let from = asked.iter().map(|line| line.split(' ').nth(1).unwrap().to_owned());
    (from.collect(), all)
}

#[tokio::test]
async fn a_broken_line_is_taken_up_again_where_it_broke() {
    let cut = frame(3);
    let closed = r#"{"reason":"closed","offset":8}"#;
    let reset = r#"{"reason":"trimmed","earliest":8,"resumeFrom":7,"message":"gone"}"#;
    let (asked, all) = run(vec![
        live(&(frame(1) + &frame(2) + &cut[..cut.len() - 9])),
        live(&(frame(2) + &frame(3) + &named("end", r#"{"reason":"shutdown","offset":3}"#))),
        live(&(named("reset", reset) + &frame(8) + &named("end", closed))),
    ])
    .await;
    assert_eq!(
        all,
        [
            "connected 0",
            "1",
            "2",
            "the connection ended, 1 s",
            "connected 2",
            "3",
            "the server stops, 1 s",
            "connected 3",
            "reset 7",
            "8",
            "Closed {"
        ]
    );
    let path = "/api/follow/sessions/a?fromOffset=";
    assert_eq!(asked, [0, 2, 3].map(|from| format!("{path}{from}")));
}

#[tokio::test]
async fn waits_grow_until_something_good_comes_and_a_gateway_is_waited_for() {
    let ended = named("end", r#"{"reason":"deleted","offset":1}"#);
    let (_, all) = run(vec![
        refused("502 Bad Gateway"),
        live(""),
        refused("503 Service Unavailable"),
        live(&frame(1)),
        live(&ended),
    ])
    .await;
    let waits: Vec<_> = all.iter().filter_map(|word| word.split_once(", ")).collect();
    let secs: Vec<_> = waits.iter().map(|(_, secs)| *secs).collect();
    assert_eq!(secs, ["7 s", "2 s", "7 s", "1 s"]);
    assert_eq!(all.last().unwrap(), "Deleted");
}

#[tokio::test]
async fn a_refusal_that_does_not_pass_is_the_end() {
    let problem = Problem::new(Code::SessionNotFound, "nothing was ever said");
    let body = serde_json::to_string(&problem).unwrap();
    let ours = format!(
        "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Of somebody who stands between it says nothing of the stream, nor does a page.
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>".to_owned();
    let (_, all) = run(vec![refused("404 Not Found"), page, ours]).await;
    let foreign = |status| format!("the server answered {status}: is this a Scrollback server?");
    assert_eq!(all, [foreign(404) + ", 7 s", foreign(200) + ", 2 s", "Refused(".to_owned()]);
}

#[tokio::test]
async fn a_refusal_without_end_is_not_read_to_its_end() {
    let page = "x".repeat(70_000);
    let endless = format!("HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n{page}");
    let ended = named("end", r#"{"reason":"deleted","offset":0}"#);
    let (_, all) = run(vec![endless, live(&ended)]).await;
    assert_eq!(
        all,
        ["the answer cannot be read: it has more than 65536 bytes, 1 s", "connected 0", "Deleted"]
    );
}

#[tokio::test]
async fn a_silent_line_is_left_and_a_server_that_is_not_there_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let builder = client(&listener).silent_for(Duration::from_secs(30));
    let mut follower = builder.build().unwrap().session("a").follow(0);
    let (mut socket, answered) = tokio::join!(
        async {
            let (mut socket, _) = accept(&listener).await;
            socket.write_all(live("").as_bytes()).await.unwrap();
            socket
        },
        follower.next()
    );
    assert_eq!(word(&answered.unwrap()), "connected 0");
    let broken = follower.next().await.unwrap();
    assert_eq!(word(&broken), "there was no sign of life, 1 s");
    drop(listener);
    socket.shutdown().await.unwrap();
    let refused = follower.next().await.unwrap();
    assert!(
        matches!(refused, Followed::Reconnecting { why: Broken::Refused(_), .. }),
        "{refused:?}"
    );
}
