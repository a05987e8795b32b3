//! The two protocols the bench speaks: the request bytes of each operation, and where an answer
//! says the offset. It prepares requests and refuses to send or time them.

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use memchr::memmem;

use super::{conn::Conn, payload::Bodies};
use crate::clock::{Clock, SystemClock};

/// What the server at the other end speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// Scrollback's own API.
    Scrollback,
    /// Any Durable Streams server.
    Ds,
}

/// A server under load, and the streams of this run.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) protocol: Protocol,
    address: String,
    run: String,
}

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// From an offset to the tail, and on.
    Live,
    /// From an offset to the tail.
    ToTail,
    /// The next page.
    Page,
}

impl Target {
    /// A server by its URL; the streams of this run get names of their own.
    pub(super) fn new(protocol: Protocol, url: &str) -> Result<Self> {
        let rest = url.strip_prefix("http://").context("the bench speaks plain http:// only")?;
        let host = rest.split('/').next().unwrap_or_default();
        ensure!(!host.is_empty(), "no host in the URL {url:?}");
        let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let run = format!("{:x}-{:x}", SystemClock.now_ms(), std::process::id());
        Ok(Self { protocol, address, run })
    }

    /// A connection whose reads take up to `buffer_bytes`.
    pub(super) async fn connect(&self, buffer_bytes: usize) -> Result<Conn> {
        Conn::open(&self.address, buffer_bytes).await
    }

    /// The URL path of the run's `index`-th stream, for appends.
    fn append_path(&self, index: usize) -> String {
        match self.protocol {
            Protocol::Scrollback => format!("/api/events/sessions/bench-{}-{index}", self.run),
            Protocol::Ds => format!("/v1/stream/bench-{}-{index}", self.run),
        }
    }

    /// The head of an append of `body_bytes` to a stream; the body follows it.
    pub(super) fn append_head(&self, index: usize, body_bytes: usize) -> Vec<u8> {
        format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {body_bytes}\r\n\r\n",
            self.append_path(index),
            self.address
        )
        .into_bytes()
    }

    /// A whole request that reads a stream from `from`, an offset as this protocol writes it.
    pub(super) fn read(&self, index: usize, from: &str, reading: Reading) -> Vec<u8> {
        let name = format!("sessions/bench-{}-{index}", self.run);
        let path = match (self.protocol, reading) {
            (Protocol::Scrollback, Reading::Live) => {
                format!("/api/follow/{name}?fromOffset={from}")
            }
            (Protocol::Scrollback, Reading::ToTail) => {
                format!("/api/follow/{name}?fromOffset={from}&live=false")
            }
            (Protocol::Scrollback, Reading::Page) => {
                format!("/api/events/{name}?fromOffset={from}&limit=1000")
            }
            (Protocol::Ds, Reading::Live) => {
                format!("{}?offset={from}&live=sse", self.append_path(index))
            }
            (Protocol::Ds, Reading::ToTail | Reading::Page) => {
                format!("{}?offset={from}", self.append_path(index))
            }
        };
        let accept = match (self.protocol, reading) {
            (Protocol::Ds, Reading::ToTail) | (_, Reading::Page) => "application/json",
            _ => "text/event-stream",
        };
        format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\n\r\n", self.address)
            .into_bytes()
    }

    /// Opens a live read of a stream and returns the connection in front of its first event.
    pub(super) async fn follow(&self, index: usize, from: &str, bytes: usize) -> Result<Conn> {
        let mut conn = self.connect(bytes).await?;
        conn.send(&self.read(index, from, Reading::Live)).await?;
        let status = conn.head(|_, _| {}).await?;
        ensure!(status == 200, "following was answered {status}");
        Ok(conn)
    }

    /// The offset of a stream's beginning.
    pub(super) fn beginning(&self) -> &'static str {
        match self.protocol {
            Protocol::Scrollback => "0",
            Protocol::Ds => "-1",
        }
    }

    /// Makes sure that streams `0..count` exist, as both servers would find them in use.
    pub(super) async fn create(&self, count: usize) -> Result<()> {
        let mut conn = self.connect(4_096).await?;
        let seed = Bodies::prepare(256, 1)?;
        for index in 0..count {
            if self.protocol == Protocol::Ds {
                let request = format!(
                    "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
                     content-length: 0\r\n\r\n",
                    self.append_path(index),
                    self.address
                );
                let status = conn.exchange(request.as_bytes()).await?;
                ensure!((200..300).contains(&status), "creating a stream was answered {status}");
            } else if count > 1 {
                self.append(&mut conn, index, seed.pick(index)).await?;
            }
        }
        Ok(())
    }

    /// Appends a body and returns the offset behind it, as this protocol writes it.
    pub(super) async fn append(
        &self,
        conn: &mut Conn,
        index: usize,
        body: &[u8],
    ) -> Result<String> {
        let mut request = self.append_head(index, body.len());
        request.extend_from_slice(body);
        conn.send(&request).await?;
        let mut next = None;
        let status = conn
            .head(|name, value| {
                if name.eq_ignore_ascii_case("stream-next-offset") {
                    next = Some(String::from_utf8_lossy(value).into_owned());
                }
            })
            .await?;
        let mut answer = Vec::new();
        conn.body(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer);
        ensure!((200..300).contains(&status), "an append was answered {status}: {}", text.trim());
        match self.protocol {
            Protocol::Ds => next.context("no Stream-Next-Offset in the answer to an append"),
            Protocol::Scrollback => number_after(&answer, b"\"offset\":")
                .map(|offset| offset.to_string())
                .with_context(|| format!("no offset in the answer to an append: {}", text.trim())),
        }
    }
}

/// The number behind the last occurrence of `label`.
pub(super) fn number_after(bytes: &[u8], label: &[u8]) -> Option<u64> {
    let from = memmem::rfind(bytes, label)? + label.len();
    let digits = bytes.get(from..)?;
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(digits.get(..length)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_comes_from_the_url() {
        let target = Target::new(Protocol::Ds, "http://127.0.0.1:99/").unwrap();
        assert_eq!(target.address, "127.0.0.1:99");
        assert_eq!(Target::new(Protocol::Ds, "http://box").unwrap().address, "box:80");
        assert!(Target::new(Protocol::Ds, "https://box").is_err());
        assert!(Target::new(Protocol::Ds, "http:///x").is_err());
    }

    #[test]
    fn a_number_is_read_behind_its_last_label() {
        assert_eq!(number_after(b"{\"offset\":1},{\"offset\":23}", b"\"offset\":"), Some(23));
        assert_eq!(number_after(b"{}", b"\"offset\":"), None);
    }
}
