//! verify, rebuild and salvage: what they say of a folder, and their exit status.

use std::{path::Path, sync::Arc};

use insta::assert_snapshot;
use scrollback::{
    clock::SystemClock,
    log::{Append, Log, NewRecord, Record, Settings, StreamPath},
    metrics::Metrics,
    projection::{Fold, Views},
    session::projections::Projections,
    store::sled::SledStore,
};
use serde_json::{Value, json};

use crate::util::{Server, ndjson, scrollback, text};

fn examined(command: &str, dir: &Path) -> (Option<i32>, String, String) {
    let output = scrollback(command).arg("--data-dir").arg(dir).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_folder_that_a_server_left_is_clean() {
    let server = Server::start();
    server.append_numbers("s", 100);
    let (_keep, dir) = server.stop();
    for command in ["verify", "salvage", "verify"] {
        let (status, found, said) = examined(command, &dir);
        assert_eq!((status, said.as_str()), (Some(0), ""), "{command}: {found}");
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!((&found["clean"], &found["records"]), (&true.into(), &100.into()), "{command}");
    }
}

#[test]
fn a_folder_that_cannot_be_checked_is_told_apart_from_a_damaged_one() {
    let (status, _, said) = examined("verify", Path::new("/nowhere/at/all"));
    assert_eq!(status, Some(2), "{said}");
    let server = Server::start();
    let (status, _, said) = examined("verify", &server.data_dir());
    assert_eq!(status, Some(2), "a server has it open: {said}");
    assert!(said.starts_with("error: "), "{said}");
}

#[test]
fn saved_states_are_compared_with_a_replay_and_made_anew() {
    let server = Server::start();
    let event = |n: u64| {
        let todo = format!(r#"{{"id":"{n}","text":"t","status":"pending"}}"#);
        format!(r#"{{"channel":"todo","type":"todo.updated","data":{{"todos":[{todo}]}}}}"#)
    };
    let events = (1..=1_200).map(event).collect::<Vec<_>>().join("\n");
    server.run_with("append long", &events);
    server.append_numbers("short", 3);
    let (_dir, data) = server.stop();
    let data = data.display().to_string();
    let check = || {
        let output =
            scrollback("verify --projections --json --data-dir").arg(&data).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        ndjson(&text(&output.stdout))
    };
    // Nothing was looked at, so nothing was saved.
    let before = check();
    assert_eq!(
        (before[1]["sessions"].as_u64(), before[1]["checkpoints"].as_u64()),
        (Some(2), Some(0))
    );
    // The list of sessions was, when the server stopped.
    let list = &before[1]["list"];
    assert_eq!((&list["clean"], &list["compared"]), (&true.into(), &2.into()), "{list}");
    let rebuilt = scrollback("rebuild --json --data-dir").arg(&data).output().unwrap();
    assert!(rebuilt.status.success(), "{}", text(&rebuilt.stderr));
    assert_eq!(ndjson(&text(&rebuilt.stdout))[0]["list"]["sessions"], 2);
    let after = check();
    assert_eq!(after[0]["clean"], true);
    assert_eq!(
        (after[1]["clean"].as_bool(), after[1]["checkpoints"].as_u64()),
        (Some(true), Some(2))
    );
    assert_eq!(after[1]["list"]["compared"], 2);
}

/// The states of a program with a fault: one event it passes by, another it reads wrongly.
#[derive(Debug, Clone, Default)]
struct Faulty(Projections);

const PASSED_BY: u64 = 1_500;
const MISREAD: u64 = 1_600;

impl Fold for Faulty {
    fn fold(&mut self, record: &Record) {
        let mut record = record.clone();
        if record.offset.0 == PASSED_BY {
            return;
        }
        if record.offset.0 == MISREAD {
            let right = std::str::from_utf8(&record.payload).unwrap();
            record.payload = right.replace("right", "wrong").into();
        }
        self.0.fold(&record);
    }

    fn save(&self) -> Vec<u8> {
        Fold::save(&self.0)
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        Fold::load(bytes).map(Self)
    }
}

/// Writes a session of 2,000 events to a folder, with a right checkpoint at 1,000 and a wrong one
/// at the end.
async fn write_with_a_fault(data: &Path) {
    let metrics = || Arc::new(Metrics::default());
    let store = SledStore::open(data, metrics()).unwrap();
    let log = Log::new(Arc::new(store), Arc::new(SystemClock), Settings::default(), metrics());
    let path = StreamPath::session("faulty").unwrap();
    let event = |n: u64| {
        let (channel, kind, data) = match n {
            PASSED_BY => ("presence", "presence.joined", json!({"userId": "u1", "name": "Mara"})),
            MISREAD => {
                let todo = json!({"id": "1", "text": "right", "status": "pending"});
                ("todo", "todo.updated", json!({"todos": [todo]}))
            }
            _ => ("n", "n", json!({"n": n})),
        };
        let (id, timestamp) = (format!("e{n}"), 1_795_200_000_000 + n);
        let event = json!({"id": id, "channel": channel, "type": kind, "timestamp": timestamp, "data": data});
        NewRecord { id: None, payload: event.to_string().into() }
    };
    log.append(&path, Append::json((1..=1_000).map(event))).await.unwrap();
    Views::<Projections>::new(log.clone()).read(&path, |_, _| ()).await.unwrap();
    log.append(&path, Append::json((1_001..=2_000).map(event))).await.unwrap();
    Views::<Faulty>::new(log.clone()).read(&path, |_, _| ()).await.unwrap();
    log.stop().await.unwrap();
}

#[test]
fn a_wrong_state_is_reported_with_the_place_and_the_event_from_which_on_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(write_with_a_fault(&data));
    drop(runtime);
    let check = || {
        let output =
            scrollback("verify --projections --json --data-dir").arg(&data).output().unwrap();
        (output.status.code(), ndjson(&text(&output.stdout)).pop().unwrap())
    };
    let (status, report) = check();
    assert_eq!(status, Some(1));
    let found = &report["differing"][0];
    let shown = |name: &str| format!("{name} {}", found[name]);
    let mut lines: Vec<_> = ["after", "offset", "first"].map(shown).into();
    lines.extend(found["projections"].as_array().unwrap().iter().map(Value::to_string));
    assert_snapshot!(lines.join("\n"), @r#"
    after 1000
    offset 2000
    first {"id":"e1500","offset":1500,"type":"presence.joined"}
    {"event":{"id":"e1500","offset":1500,"type":"presence.joined","why":"missing"},"pointer":"/presence/0","projection":"presence","replayed":"{\"userId\":\"u1\",\"name\":\"Mara\",\"joinedAt\":1795200001500,\"lastSeenAt\":1795200001500,\"offset\":1500,\"updatedOffset\":1500}","saved":null,"sealed":true}
    {"event":{"id":"e1600","offset":1600,"type":"todo.updated","why":"set"},"pointer":"/todo/todos/0/text","projection":"todo","replayed":"\"right\"","saved":"\"wrong\"","sealed":true}
    "#);
    assert_eq!((&report["clean"], &report["checkpoints"]), (&false.into(), &2.into()));
    let rebuilt = scrollback("rebuild --json --data-dir").arg(&data).output().unwrap();
    assert!(rebuilt.status.success(), "{}", text(&rebuilt.stderr));
    let (status, report) = check();
    assert_eq!((status, &report["checkpoints"]), (Some(0), &1.into()));
}
