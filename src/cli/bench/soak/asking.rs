//! Requests that are answered in the end, whatever becomes of the server meanwhile: sent again
//! after every failure that allows it, and now and then after an answer that was thrown away. It
//! refuses to know what is asked. Invariant: only requests that do nothing twice are given to it.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    super::conn::Conn,
    dice::Dice,
    run::{Phase, Run},
};

/// Longer than any answer takes: a long-poll, or what a stopping server finishes.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);
/// Room for one read.
const READ_BYTES: usize = 16_384;
/// Of a hundred requests, those whose connection is cut before the answer was read.
const LOST_PERCENT: u64 = 2;

/// The bytes of a request.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: soak\r\n");
    for (name, value) in headers {
        // Writing to a text does not fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if method != "GET" {
        let _ = write!(head, "content-length: {}\r\n", body.len());
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A request that brings JSON.
pub(super) fn json(method: &str, path: &str, body: &str) -> Vec<u8> {
    request(method, path, &[("content-type", "application/json")], body.as_bytes())
}

/// A request that only reads.
pub(super) fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[], b"")
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Its status.
    pub(super) status: u16,
    /// Its body.
    pub(super) body: Vec<u8>,
    /// `Stream-Next-Offset`.
    pub(super) next: Option<String>,
    /// `Stream-Cursor`.
    pub(super) cursor: Option<String>,
}

impl Reply {
    /// Whether it says that it was done.
    pub(super) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What it says, read as JSON.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| self.shown())
    }

    /// Status and body in words.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body).trim())
    }
}

/// Who asks, over one connection at a time.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    run: &'a Run,
    conn: Option<Conn>,
    dice: Dice,
}

impl<'a> Asker<'a> {
    /// An actor's.
    pub(super) fn new(run: &'a Run, dice: Dice) -> Self {
        Self { run, conn: None, dice }
    }

    /// Asks until there is an answer that is not about the moment; `None` when the run is over.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Option<Reply> {
        let mut tries = 0_u64;
        while self.run.phase() < Phase::Over {
            if tries > 0 {
                self.run.counts.retries.add(1);
                let wait = self.dice.span_ms(10, 20 + 40 * tries.min(10));
                tokio::select! {
                    () = crate::clock::Clock::sleep(&crate::clock::SystemClock, wait) => {}
                    () = self.run.until_over() => return None,
                }
            }
            tries += 1;
            match timeout(ANSWER_WITHIN, self.once(request)).await {
                Ok(Ok(Some(reply))) if !matches!(reply.status, 408 | 429 | 502..=504 | 507) => {
                    self.run.counts.requests.add(1);
                    return Some(reply);
                }
                Ok(Ok(Some(_))) => {}
                // The line is of no more use.
                _ => self.conn = None,
            }
        }
        None
    }

    /// Asks for something that must be done; what else is answered is a finding.
    pub(super) async fn done(&mut self, request: &[u8]) -> Option<Reply> {
        let reply = self.ask(request).await?;
        if reply.is_ok() {
            return Some(reply);
        }
        let head = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        self.run.found(format!("{}: {}", String::from_utf8_lossy(head), reply.shown()));
        None
    }

    /// One try; `None` where the answer was thrown away.
    async fn once(&mut self, request: &[u8]) -> Result<Option<Reply>> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => Conn::open(&self.run.address, READ_BYTES).await?,
        };
        conn.send(request).await?;
        if self.dice.percent(LOST_PERCENT) {
            conn.abandon()?;
            return Ok(None);
        }
        let mut reply = Reply::default();
        let (mut next, mut cursor) = (None, None);
        reply.status = conn
            .head(|name, value| {
                let value = || Some(String::from_utf8_lossy(value).into_owned());
                if name.eq_ignore_ascii_case("stream-next-offset") {
                    next = value();
                } else if name.eq_ignore_ascii_case("stream-cursor") {
                    cursor = value();
                }
            })
            .await?;
        conn.body(&mut reply.body).await?;
        (reply.next, reply.cursor) = (next, cursor);
        self.conn = Some(conn);
        Ok(Some(reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_it_is() {
        let text = String::from_utf8(json("POST", "/a", "{}")).unwrap();
        assert_eq!(
            text,
            "POST /a HTTP/1.1\r\nhost: soak\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n{}"
        );
        assert_eq!(get("/a"), b"GET /a HTTP/1.1\r\nhost: soak\r\n\r\n");
    }
}
