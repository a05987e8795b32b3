//! The Unix socket: who gets it, what is spoken over it, and what is left of it.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use scrollback::{
    clock::SystemClock,
    server::{Running, Settings},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{
    socket::{EVENT, EVENTS, post, settings, start_as, try_start},
    tls::Authority,
};

fn beside(folder: &TempDir) -> Settings {
    Settings { unix_socket: Some(folder.path().join("s.sock")), ..settings() }
}

async fn said(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn tail(server: &Running) -> u64 {
    let path = scrollback::log::StreamPath::session("s").unwrap();
    server.log().info(&path).await.unwrap().tail.0
}

#[tokio::test]
async fn a_socket_that_a_server_listens_on_is_not_taken_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = start_as(beside(&folder)).await;
    let error = try_start(beside(&folder), Arc::new(SystemClock)).await.unwrap_err();
    assert!(error.to_string().contains("another server listens on "), "{error}");
    let path = folder.path().join("s.sock");
    assert!(said(&path, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.contains("200 OK"));
    first.stop().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn events_go_in_over_the_socket_beside_the_address_and_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let with_tls = Settings { unix_socket: beside(&folder).unix_socket, ..authority.settings() };
    for settings in [beside(&folder), with_tls] {
        let server = start_as(settings).await;
        let path = folder.path().join("s.sock");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let request = post(EVENTS, "application/json", EVENT.len(), EVENT);
        let answer = said(&path, &request).await;
        assert!(answer.contains("\"offset\":1"), "{answer}");
        assert_eq!(tail(&server).await, 1);
        let open = UnixStream::connect(&path).await.unwrap();
        server.stop().await.unwrap();
        drop(open);
    }
}
