//! The Unix socket: who gets it, what is spoken over it, and what is left of it.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use scrollback::{
    clock::{ManualClock, SystemClock},
    http::RateLimits,
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
    util::NOW_MS,
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

/// A server on whose socket five requests of one address go through at once.
async fn start_limited(folder: &TempDir, proxies: &[&str]) -> Running {
    let mut limits = RateLimits { enforce: Some(true), ..RateLimits::default() };
    limits.address.requests_per_second = 1;
    let trusted_proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    let settings = Settings { limits, trusted_proxies, ..beside(folder) };
    // Time stands, so that nothing is had back.
    try_start(settings, ManualClock::at(NOW_MS)).await.unwrap()
}

/// How many of ten requests over the socket are let in that say to be of an address.
async fn let_in(folder: &TempDir, address: &str) -> u32 {
    let mut count = 0;
    for _ in 0..10 {
        let request =
            format!("GET /version HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {address}\r\n\r\n");
        let answer = said(&folder.path().join("s.sock"), &request).await;
        let is_over = answer.starts_with("HTTP/1.1 429");
        assert!(is_over || answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(is_over, answer.contains("address.requests_per_second"), "{answer}");
        count += u32::from(!is_over);
    }
    count
}

#[tokio::test]
async fn a_user_is_one_address_whomever_its_requests_say_they_are_of() {
    // Those who are believed elsewhere are not believed here.
    for proxies in [&[][..], &["0.0.0.0/0", "::/0"]] {
        let folder = tempfile::tempdir().unwrap();
        let server = start_limited(&folder, proxies).await;
        assert_eq!(let_in(&folder, "192.0.2.1").await, 5);
        assert_eq!(let_in(&folder, "192.0.2.2").await, 0);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_proxy_that_is_believed_names_the_address_and_is_the_user_where_it_names_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = start_limited(&folder, &["unix"]).await;
    for address in ["192.0.2.1", "192.0.2.2", "unknown"] {
        assert_eq!(let_in(&folder, address).await, 5, "{address}");
    }
    assert_eq!(let_in(&folder, "192.0.2.3, no address").await, 0);
    server.stop().await.unwrap();
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
