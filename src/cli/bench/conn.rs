//! One keep-alive connection of the bench: prebuilt bytes out, just enough of HTTP/1.1 in. It
//! knows framing and status lines, and refuses to know requests and what an answer means.

use std::io;

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::framing::{Framing, Step};

/// Headers of an answer that are looked at; more is an error.
const HEADERS_MAX: usize = 48;

/// A connection with the bytes read ahead of what was asked for.
#[derive(Debug)]
pub(super) struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    framing: Framing,
}

impl Conn {
    /// Connects; `buffer_bytes` is the room for one read.
    pub(super) async fn open(address: &str, buffer_bytes: usize) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}: is the server running?"))?;
        stream.set_nodelay(true)?;
        let buffer = vec![0; buffer_bytes];
        Ok(Self { stream, buffer, start: 0, end: 0, framing: Framing::Done })
    }

    /// Writes a whole request.
    pub(super) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// Reads up to the end of an answer's headers and returns the status. `on_header` sees each.
    pub(super) async fn head(&mut self, mut on_header: impl FnMut(&str, &[u8])) -> Result<u16> {
        loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            if !unread.is_empty() {
                let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
                let mut answer = httparse::Response::new(&mut headers);
                if let httparse::Status::Complete(length) = answer.parse(unread)? {
                    let status = answer.code.context("an answer without a status")?;
                    let mut framing = Framing::UntilClose;
                    for header in answer.headers.iter() {
                        framing = framed_by(framing, header);
                        on_header(header.name, header.value);
                    }
                    self.framing = if status == 204 { Framing::Done } else { framing };
                    self.start += length;
                    return Ok(status);
                }
            }
            if self.fill().await? == 0 {
                bail!("the server closed the connection before it answered");
            }
        }
    }

    /// The next bytes of the body, or `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>> {
        let length = loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            match self.framing.step(unread) {
                Step::Data { skip, len } => {
                    self.start += skip + len;
                    break len;
                }
                Step::End { skip } => {
                    self.start += skip;
                    return Ok(None);
                }
                Step::Bad => bail!("the server's chunked encoding is broken"),
                Step::More { skip } => {
                    self.start += skip;
                    if self.fill().await? == 0 {
                        if self.framing == Framing::UntilClose {
                            return Ok(None);
                        }
                        bail!("the server closed the connection in the middle of a body");
                    }
                }
            }
        };
        Ok(self.buffer.get(self.start - length..self.start))
    }

    /// Reads the body to its end into `into`.
    pub(super) async fn body(&mut self, into: &mut Vec<u8>) -> Result<()> {
        into.clear();
        while let Some(piece) = self.piece().await? {
            into.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Sends a request and reads its answer to the end, which is dropped. Returns the status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.send(request).await?;
        let status = self.head(|_, _| {}).await?;
        while self.piece().await?.is_some() {}
        Ok(status)
    }

    /// Drops the connection without the wait in which its port could not be used again.
    pub(super) fn abandon(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    async fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.buffer.len() {
            if self.start == 0 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = self.stream.read(room).await?;
        self.end += read;
        Ok(read)
    }
}

fn framed_by(so_far: Framing, header: &httparse::Header<'_>) -> Framing {
    if header.name.eq_ignore_ascii_case("content-length") {
        let length = str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
        return length.map_or(so_far, Framing::Length);
    }
    if header.name.eq_ignore_ascii_case("transfer-encoding") {
        return Framing::ChunkSize;
    }
    so_far
}
