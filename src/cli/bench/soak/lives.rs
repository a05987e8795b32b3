//! Whole sessions: begun, talked in, answered, interrupted, ended and sometimes removed. After
//! each, its state must be what was said, whatever became of the server meanwhile.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    asking::{Asker, get, json},
    dice::Dice,
    run::Run,
};

/// Messages of one session, at most.
const MESSAGES_MAX: u64 = 4;
/// Pieces of one answer, at most.
const PIECES_MAX: u64 = 8;
/// Of a hundred sessions, those whose stream is removed; the rest stay, so that lists grow.
const REMOVED_PERCENT: u64 = 80;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    turn_id: String,
}

#[derive(Deserialize)]
struct Conversation {
    total: u64,
}

/// Lives one session after the other until the load ends.
pub(super) async fn live(run: Arc<Run>, actor: u64) {
    let mut life = Life {
        run: &run,
        asker: Asker::new(&run, run.dice(actor + 1_000)),
        dice: run.dice(actor),
        id: String::new(),
    };
    let mut number = 0;
    while run.loads() {
        number += 1;
        life.id = format!("life-{actor}-{number}");
        if life.whole().await.is_none() {
            return;
        }
        run.counts.sessions.add(1);
        run.pause(life.dice.span_ms(10, 200)).await;
    }
}

struct Life<'a> {
    run: &'a Run,
    asker: Asker<'a>,
    dice: Dice,
    id: String,
}

impl Life<'_> {
    /// One session; `None` where the run is over, or something was found.
    async fn whole(&mut self) -> Option<()> {
        let begin = format!(r#"{{"id":"{}","title":"Soak","agent":"soak"}}"#, self.id);
        self.asker.done(&json("POST", "/api/sessions", &begin)).await?;
        let mut last = String::new();
        let messages = 1 + self.dice.below(MESSAGES_MAX);
        for number in 1..=messages {
            self.people(number).await?;
            last = self.turn(number).await?;
        }
        self.look(messages, &last).await?;
        if self.dice.percent(50) {
            self.post("end", r#"{"reason":"done"}"#).await?;
        }
        if self.dice.percent(REMOVED_PERCENT) {
            self.remove().await?;
        }
        Some(())
    }

    async fn post(&mut self, what: &str, body: &str) -> Option<super::asking::Reply> {
        let path = format!("/api/sessions/{}/{what}", self.id);
        self.asker.done(&json("POST", &path, body)).await
    }

    async fn people(&mut self, number: u64) -> Option<()> {
        let kind = self.dice.pick(&["joined", "heartbeat", "cursor", "left"])?;
        let body = format!(r#"{{"userId":"u{number}","type":"{kind}","cursor":{{"x":1}}}}"#);
        self.post("presence", &body).await?;
        self.post("terminal/input", r#"{"data":"ls -l\r","terminalId":"t"}"#).await.map(drop)
    }

    /// A message and its answer; what the answer must be in the end.
    async fn turn(&mut self, number: u64) -> Option<String> {
        let message = format!(r#"{{"id":"m{number}","text":"say {number}"}}"#);
        let sent = self.post("messages", &message).await?;
        let Ok(Sent { turn_id }) = sent.read() else {
            self.run.found(format!("sending was answered {}", sent.shown()));
            return None;
        };
        let mut answer = String::new();
        for index in 0..self.dice.below(PIECES_MAX) {
            let piece = format!("{:x} ", self.dice.next());
            let body = format!(r#"{{"index":{index},"texts":["{piece}"]}}"#);
            self.post(&format!("turns/{turn_id}/chunks"), &body).await?;
            answer.push_str(&piece);
        }
        match self.dice.below(4) {
            0 => {
                let body = format!(r#"{{"turnId":"{turn_id}","reason":"soak"}}"#);
                self.post("interrupt", &body).await?;
            }
            1 => {
                let body = r#"{"error":"soak"}"#;
                self.post(&format!("turns/{turn_id}/fail"), body).await?;
            }
            _ => {
                answer = format!("whole {:x}", self.dice.next());
                let body = format!(r#"{{"text":"{answer}"}}"#);
                self.post(&format!("turns/{turn_id}/complete"), &body).await?;
            }
        }
        Some(answer.trim().to_owned())
    }

    /// The conversation is there, and its last answer is what it was made of.
    async fn look(&mut self, messages: u64, last: &str) -> Option<()> {
        let path = format!("/api/sessions/{}/messages?limit=400", self.id);
        let reply = self.asker.done(&get(&path)).await?;
        let total = reply.read::<Conversation>().map_or(0, |conversation| conversation.total);
        let shown = String::from_utf8_lossy(&reply.body);
        if total != 2 * messages || !shown.contains(last) {
            self.run.found(format!(
                "session {}: {messages} messages and {last:?} at the end were said: {shown}",
                self.id
            ));
            return None;
        }
        Some(())
    }

    async fn remove(&mut self) -> Option<()> {
        let path = format!("/api/streams/sessions/{}", self.id);
        let gone = self.asker.ask(&json("DELETE", &path, "")).await?;
        // A 404 answers the second try.
        if !(gone.is_ok() || gone.status == 404) {
            self.run.found(format!("deleting {path}: {}", gone.shown()));
            return None;
        }
        Some(())
    }
}
