//! A guarded server behind a real socket, and requests written by hand.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use scrollback::http::{self, App};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::Service;

/// Serves until the test ends.
#[expect(clippy::disallowed_methods, reason = "the server runs beside its test")]
pub(super) async fn serve(app: Arc<App>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = http::service(app);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                service.clone().call(request.map(Body::new))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    addr
}

/// A connection.
pub(super) struct Wire(TcpStream);

/// What came over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Told {
    pub(super) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Wire {
    /// Sends a request, after which the server closes.
    pub(super) async fn send(
        addr: SocketAddr,
        token: &str,
        (method, uri, body): (&str, &str, &str),
    ) -> Self {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let bearer = if token.is_empty() {
            String::new()
        } else {
            format!("authorization: Bearer {token}\r\n")
        };
        let length = body.len();
        let head = format!(
            "{method} {uri} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: r\r\n{bearer}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// The whole answer.
    pub(super) async fn told(self) -> Told {
        let text = self.rest().await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Told { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Reads until `end` has come.
    pub(super) async fn until(&mut self, end: &str) -> String {
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        while !text.contains(end) {
            let read = tokio::time::timeout(Duration::from_secs(10), self.0.read(&mut piece));
            let count = read.await.unwrap_or_else(|_| panic!("no {end:?} in {text:?}")).unwrap();
            assert!(count > 0, "closed without {end:?}: {text:?}");
            text += std::str::from_utf8(&piece[..count]).unwrap();
        }
        text
    }

    /// Reads until the server closes.
    pub(super) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("an end").unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

pub(super) async fn ask(addr: SocketAddr, token: &str, asked: (&str, &str, &str)) -> Told {
    Wire::send(addr, token, asked).await.told().await
}
