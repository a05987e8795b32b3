//! What clients that mean harm do, each as a loop that goes on until it is stopped. It knows
//! requests as bytes, and refuses to know what they do to a server: `hostile.rs` measures that.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::clock::{Clock, SystemClock};

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Attack {
    /// Headers byte by byte, on 500 connections.
    Slowloris,
    /// 200 live readers of 8 MiB who take nothing.
    Deaf,
    /// 5,000 connections on which nothing happens.
    Idle,
    /// 16 bodies that never end.
    Endless,
    /// Requests by hundreds behind each other, on 16 connections.
    Pipeline,
    /// Tiny streams, one after the other, on 16 connections.
    Streams,
    /// Lists of headers of a megabyte, on 200 connections.
    Headers,
    /// What is no request, on 200 connections.
    Rubbish,
}

impl Attack {
    /// On how many connections it runs.
    fn connections(self) -> usize {
        match self {
            Self::Slowloris => 500,
            Self::Deaf | Self::Headers | Self::Rubbish => 200,
            Self::Idle => 5_000,
            _ => 16,
        }
    }

    /// Runs it against a server, from another loopback address than others use, until it is
    /// stopped.
    pub(super) async fn run(self, server: SocketAddr) -> Result<()> {
        if self == Self::Deaf {
            fill(server).await?;
        }
        let mut connections = JoinSet::new();
        for number in 0..self.connections() {
            connections.spawn(async move {
                loop {
                    // Whatever the server does to it, it comes again.
                    if self.once(server, number).await.is_err() {
                        SystemClock.sleep(AGAIN_AFTER).await;
                    }
                }
            });
        }
        connections.join_next().await.context("an attack has connections")?.context("an attack")
    }

    async fn once(self, server: SocketAddr, number: usize) -> Result<()> {
        let mut stream = connect(server).await?;
        match self {
            Self::Slowloris => {
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx: ").await?;
                loop {
                    SystemClock.sleep(Duration::from_secs(1)).await;
                    stream.write_all(b"y").await?;
                }
            }
            Self::Deaf => {
                let get = "GET /api/sessions/attacked/stream HTTP/1.1\r\nhost: x\r\n\r\n";
                stream.write_all(get.as_bytes()).await?;
                std::future::pending().await
            }
            Self::Idle => {
                // The end of the connection is all that can be read.
                stream.read_u8().await?;
                Ok(())
            }
            Self::Endless => {
                let head = "POST /api/sessions/attacked/events HTTP/1.1\r\nhost: x\r\n\
                            content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
                both_ways(stream, chunk.as_bytes()).await
            }
            Self::Pipeline => {
                let get = "GET /api/sessions HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
                both_ways(stream, get.as_bytes()).await
            }
            Self::Streams => tiny_streams(stream, number).await,
            Self::Headers => {
                let headers = format!("x: {}\r\n", "y".repeat(1_000)).repeat(1_000);
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await?;
                stream.write_all(headers.as_bytes()).await?;
                both_ways(stream, b"\r\n").await
            }
            Self::Rubbish => {
                let rubbish: Vec<u8> = (0..4_096).map(|_| rand::random()).collect();
                stream.write_all(&rubbish).await?;
                both_ways(stream, b"\r\n\r\n").await
            }
        }
    }
}

/// How long an attack waits after it was cut off.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
/// Where attacks come from: the machine itself, but not the address that others use.
const FROM: [u8; 4] = [127, 0, 0, 2];

async fn connect(server: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((FROM, 0)))?;
    Ok(socket.connect(server).await?)
}

/// Sends the same again and again, and takes whatever comes, until the server closes.
async fn both_ways(stream: TcpStream, bytes: &[u8]) -> Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let sending = async {
        loop {
            writer.write_all(bytes).await?;
        }
    };
    let taking = async {
        let mut room = vec![0; 16 * 1024];
        while reader.read(&mut room).await? > 0 {}
        anyhow::bail!("closed")
    };
    tokio::select! {
        sent = sending => sent,
        taken = taking => taken,
    }
}

async fn tiny_streams(mut stream: TcpStream, number: usize) -> Result<()> {
    let mut room = vec![0; 4_096];
    for tiny in 0_u64.. {
        let id = format!("tiny-{number}-{tiny}-{:x}", SystemClock.now_ms());
        stream.write_all(append(&id, "{\"channel\":\"x\"}").as_bytes()).await?;
        anyhow::ensure!(stream.read(&mut room).await? > 0, "closed");
    }
    Ok(())
}

/// The stream that deaf readers do not read.
async fn fill(server: SocketAddr) -> Result<()> {
    let mut stream = connect(server).await?;
    let mut room = vec![0; 4_096];
    let event = format!("{{\"channel\":\"x\",\"data\":\"{}\"}}", "z".repeat(128 * 1024));
    for _ in 0..64 {
        stream.write_all(append("attacked", &event).as_bytes()).await?;
        anyhow::ensure!(stream.read(&mut room).await? > 0, "closed");
    }
    Ok(())
}

fn append(session: &str, event: &str) -> String {
    format!(
        "POST /api/sessions/{session}/events HTTP/1.1\r\nhost: x\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{event}",
        event.len()
    )
}
