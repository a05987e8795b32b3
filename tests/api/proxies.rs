//! The URLs that a server behind a proxy tells, over real sockets: whom it believes about them.

use scrollback::server::{Running, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{
    socket::{exchange, settings, start_as},
    tls::Authority,
};

/// What a proxy says that speaks TLS with its clients.
const SAID: &str = "x-forwarded-proto: https\r\nx-forwarded-host: log.example\r\n";

fn put(headers: &str) -> String {
    let length = "content-length: 0\r\nconnection: close\r\n";
    format!("PUT /v1/stream/a HTTP/1.1\r\nhost: machine:1\r\n{length}{headers}\r\n")
}

/// The URL that an answer tells.
fn location(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap()
}

/// Where a server with these settings says that a stream is which a request with these headers
/// makes.
async fn told(settings: Settings, headers: &str) -> String {
    let server = start_as(settings).await;
    let answer = exchange(&server, &put(headers)).await;
    server.stop().await.unwrap();
    location(&answer).to_owned()
}

fn trusting(proxies: &[&str]) -> Settings {
    let trusted_proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    Settings { trusted_proxies, ..settings() }
}

/// With limits of addresses in force.
fn limiting(mut settings: Settings) -> Settings {
    settings.limits.enforce = Some(true);
    settings
}

#[tokio::test]
async fn a_stranger_is_not_believed_about_how_the_server_is_reached() {
    for settings in [trusting(&[]), trusting(&["10.0.0.1", "unix"])] {
        for settings in [limiting(settings.clone()), settings] {
            assert_eq!(told(settings, SAID).await, "http://machine:1/v1/stream/a");
        }
    }
}

#[tokio::test]
async fn rubbish_of_a_proxy_that_is_believed_is_not_heard() {
    for said in [
        "x-forwarded-proto: gopher\r\nx-forwarded-host: evil.example/x?\r\n",
        "x-forwarded-proto: https evil\r\nx-forwarded-host: u@evil.example\r\n",
        "x-forwarded-proto: \r\nx-forwarded-host: \r\n",
        "x-forwarded-proto: \u{e9}\r\nx-forwarded-host: \u{e9}.example\r\n",
        "x-forwarded-proto: https,\r\nx-forwarded-host: evil.example, \"\r\n",
    ] {
        let told = told(trusting(&["127.0.0.1"]), said).await;
        assert_eq!(told, "http://machine:1/v1/stream/a", "{said}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_believed_says_what_its_clients_see() {
    for settings in [trusting(&["127.0.0.0/8"]), limiting(trusting(&["127.0.0.1"]))] {
        let told = told(settings, SAID).await;
        assert_eq!(told, "https://log.example/v1/stream/a");
    }
    let scheme_only = "x-forwarded-proto: https\r\n";
    let told = told(trusting(&["127.0.0.1"]), scheme_only).await;
    assert_eq!(told, "https://machine:1/v1/stream/a");
}

#[tokio::test]
async fn what_the_settings_say_counts_before_what_a_proxy_says() {
    let public_url = Some("https://public.example/log/".to_owned());
    for settings in [trusting(&[]), trusting(&["127.0.0.1"])] {
        let settings = Settings { public_url: public_url.clone(), ..settings };
        let told = told(settings, SAID).await;
        assert_eq!(told, "https://public.example/log/v1/stream/a");
    }
}

/// The same over the Unix socket of a server.
async fn told_beside(server: Running, path: &std::path::Path) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(put(SAID).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    server.stop().await.unwrap();
    location(&answer).to_owned()
}

#[tokio::test]
async fn over_the_unix_socket_urls_have_no_tls_unless_a_proxy_that_is_believed_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let authority = Authority::new();
    for (proxies, url) in [
        (&["127.0.0.1"][..], "http://machine:1/v1/stream/a"),
        (&["unix"], "https://log.example/v1/stream/a"),
    ] {
        let trusted_proxies = trusting(proxies).trusted_proxies;
        let unix_socket = Some(path.clone());
        let settings = Settings { unix_socket, trusted_proxies, ..authority.settings() };
        let server = start_as(settings).await;
        assert_eq!(told_beside(server, &path).await, url);
    }
}
