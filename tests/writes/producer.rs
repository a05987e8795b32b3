//! A producer whose server is killed, and one that a younger life takes the place of.

use futures_util::future::join_all;
use scrollback::client::{ProducerError, ProducerOptions};

use crate::{client, ids, note, util::Server};

const EVENTS: usize = 4_000;
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_there_once_and_in_order_though_the_server_is_killed() {
    let mut server = Server::start();
    let client = client(&server.url());
    let options = ProducerOptions::default().batch_events(40);
    let producer = client.producer("sessions/s", "worker", options).unwrap();
    let expected: Vec<String> = (0..EVENTS).map(|n| format!("e{n}")).collect();
    let mut receipts = Vec::new();
    for (n, id) in expected.iter().enumerate() {
        if n % (EVENTS / KILLS) == EVENTS / KILLS / 2 {
            // Batches are on their way, somewhere, when it dies.
            server.kill_and_restart();
        }
        receipts.push(producer.send(note(id)).await.unwrap());
    }
    producer.close().await.unwrap();
    let written: Vec<_> = join_all(receipts).await.into_iter().map(Result::unwrap).collect();
    assert!(written.iter().map(|written| &written.id).eq(&expected));
    let offsets = written.iter().map(|written| written.offset);
    assert!(offsets.eq((1..=EVENTS as u64).map(Some)), "{written:?}");
    assert_eq!(ids(&client, "sessions/s").await, expected);
}

#[tokio::test]
async fn a_younger_life_of_a_producer_fences_off_the_older_one() {
    let server = Server::start();
    let client = client(&server.url());
    let begin = |epoch| client.producer("notes", "p", ProducerOptions::default().epoch(epoch));
    let older = begin(1).unwrap();
    older.send(note("a")).await.unwrap().await.unwrap();
    let younger = client.producer("notes", "p", ProducerOptions::default()).unwrap();
    younger.send(note("b")).await.unwrap().await.unwrap();
    let fenced = older.send(note("c")).await.unwrap().await;
    assert!(matches!(fenced, Err(ProducerError::Fenced { epoch: 1, .. })), "{fenced:?}");
    younger.close().await.unwrap();
    assert_eq!(ids(&client, "notes").await, ["a", "b"]);
}

#[tokio::test]
async fn an_epoch_that_was_not_raised_is_said_and_loses_nothing() {
    let server = Server::start();
    let client = client(&server.url());
    for (life, id) in ["a", "b"].into_iter().enumerate() {
        let options = ProducerOptions::default().epoch(7);
        let producer = client.producer("notes", "p", options).unwrap();
        let written = producer.send(note(id)).await.unwrap().await;
        assert_eq!(written.is_ok(), life == 0, "{written:?}");
        if life == 1 {
            let closed = producer.close().await;
            assert!(matches!(closed, Err(ProducerError::EpochUsed { epoch: 7 })), "{closed:?}");
        }
    }
}
