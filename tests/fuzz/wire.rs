//! Raw bytes into a served connection: request lines, headers and bodies that are none. It shows
//! that every connection comes to an end, with answers below 500 or none, and that the server
//! goes on for others.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use scrollback::{
    clock::SystemClock,
    metrics::Metrics,
    server::{self, Running, Settings},
    store::memory::MemoryStore,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
};

use crate::{
    fewer,
    hostile::{changed, cuts, pieces},
};

/// By then any connection whose client says no more has ended, unless it is read live: such a
/// client may have closed its half and go on reading, and where it has sent more behind its request
/// the server does not look whether it has.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// What a live answer says of itself.
const LIVE: &[u8] = b"text/event-stream";

const REQUESTS: &[&str] = &[
    "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /api/streams?limit=1 HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n",
    "GET /api/sessions/s/stream?fromOffset=0&live=false HTTP/1.1\r\nhost: x\r\nlast-event-id: 1\r\n\r\n",
    "GET /v1/stream/t?offset=-1 HTTP/1.1\r\nhost: x\r\n\r\n",
    "HEAD /v1/stream/t HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: x\r\norigin: null\r\n\r\n",
    "POST /api/sessions/s/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"channel\":\"x\"}",
    "POST /api/sessions/s/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{\"channel\":\"x\"}\n\r\n0\r\n\r\n",
    "PUT /v1/stream/t HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi",
    "CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
];

/// Whoever begins with it speaks HTTP/2, and is answered in it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn start() -> Running {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { listen, ..Settings::default() };
    let (store, metrics) = (Arc::new(MemoryStore::default()), Arc::new(Metrics::default()));
    server::start_with(&settings, store, Arc::new(SystemClock), metrics).await.unwrap()
}

/// Says `pieces` and no more, and returns what came back until the server closed.
async fn said(addr: SocketAddr, pieces: &[Vec<u8>]) -> Result<Vec<u8>, TestCaseError> {
    let mut wire = TcpStream::connect(addr).await.unwrap();
    let mut answer = Vec::new();
    let talk = async {
        for piece in pieces {
            // A server that has closed already does not hear the rest.
            if wire.write_all(piece).await.is_err() {
                break;
            }
        }
        let _ = wire.shutdown().await;
        // A reset is an end, too.
        let _ = wire.read_to_end(&mut answer).await;
    };
    let ended = tokio::time::timeout(ENDS_WITHIN, talk).await;
    let is_live = answer.windows(LIVE.len()).any(|part| part == LIVE);
    prop_assert!(ended.is_ok() || is_live, "the connection stays open");
    Ok(answer)
}

/// The statuses in what came back. Bodies of ours hold no status lines.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let lines = text.split("HTTP/1.").skip(1);
    lines.filter_map(|rest| rest.get(2..5)?.parse().ok()).collect()
}

struct Fixture {
    runtime: Runtime,
    server: Running,
}

impl Fixture {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(start());
        Self { runtime, server }
    }

    fn check(&self, pieces: &[Vec<u8>]) -> Result<(), TestCaseError> {
        self.runtime.block_on(async {
            let addr = self.server.addr();
            let answer = said(addr, pieces).await?;
            let shown = String::from_utf8_lossy(&answer);
            let is_http2 = pieces.concat().starts_with(PREFACE);
            let is_one = answer.starts_with(b"HTTP/1.") || is_http2;
            prop_assert!(answer.is_empty() || is_one, "{shown}");
            prop_assert!(statuses(&answer).iter().all(|status| *status < 500), "{shown}");
            let health =
                said(addr, &[b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()]).await?;
            prop_assert_eq!(statuses(&health), [200]);
            Ok(())
        })
    }
}

#[test]
fn a_connection_takes_any_bytes_and_the_server_goes_on() {
    let fixture = Fixture::new();
    let requests = vec(changed(REQUESTS), 1..4).prop_map(|requests| requests.concat());
    let given = (requests, cuts());
    proptest!(fewer(), |((bytes, cuts) in given)| fixture.check(&pieces(&bytes, &cuts))?);
    let noise = vec(any::<u8>(), 0..2_000);
    proptest!(fewer(), |(bytes in noise)| fixture.check(&[bytes])?);
    fixture.runtime.block_on(fixture.server.stop()).unwrap();
}
