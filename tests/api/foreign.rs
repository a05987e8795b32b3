//! Pages in a browser, against a server that asks nobody who they are.

use scrollback::{http::App, server::Settings, wire::paths};

use crate::{
    access::Guarded,
    documented,
    socket::{exchange, settings, start_as},
    util::TestApp,
};

fn request(method: &str, uri: &str, headers: &str) -> String {
    format!("{method} {uri} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n")
}

/// The route of each address that these tests ask for.
fn route_of(uri: &str) -> &str {
    match uri {
        "/api/sessions/s/end" => paths::SESSION_END,
        "/api/close/a" => paths::CLOSE,
        "/v1/stream/a" => paths::PROTOCOL_STREAM,
        as_it_is => as_it_is,
    }
}

#[tokio::test]
async fn a_page_writes_only_where_its_origin_is_named_or_of_this_machine() {
    let named = |app: App| app.with_origins(vec!["https://app.example".to_owned()]);
    let app = TestApp::with(named);
    for (origin, is_let_in) in [
        ("https://app.example", true),
        ("http://localhost:5173", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("http://log.internal:4437", true),
        ("https://evil.example", false),
        ("https://app.example.evil.example", false),
        ("http://app.example", false),
        ("http://192.0.2.1", false),
        ("http://localhost.evil.example", false),
        ("null", false),
        ("", false),
    ] {
        // What a page may send without asking first: no body, and no type but a form's.
        for uri in ["/api/sessions", "/api/sessions/s/end", "/api/close/a", "/v1/stream/a"] {
            let ask = |method: &str| {
                let request = axum::http::Request::builder().method(method).uri(uri);
                let request = request.header("host", "log.internal:4437").header("origin", origin);
                app.send(request.body(axum::body::Body::empty()).unwrap())
            };
            let answer = ask("POST").await;
            let refused = answer.code() == "forbidden";
            assert_eq!(refused, !is_let_in, "POST {uri} from {origin:?}");
            let route = route_of(uri);
            let lacks = documented::lacks(route, "POST", answer.status.as_u16(), &answer.code());
            assert_eq!(lacks, None, "{}", answer.shown());
            assert_ne!(ask("GET").await.status, 403, "GET {uri} from {origin:?}");
        }
    }
}

#[tokio::test]
async fn the_name_in_the_address_of_a_request_counts_where_no_header_has_one() {
    let app = TestApp::with(|app| app.with_names(Some(vec!["log.example".to_owned()])));
    for (uri, status) in [("http://evil.example/version", 403), ("http://log.example/version", 200)]
    {
        assert_eq!(app.get(uri).await.status, status, "{uri}");
    }
    let ask = |origin: &str| {
        let request = axum::http::Request::post("/api/sessions").header("host", "127.0.0.1");
        let request = request.header("origin", origin).header("content-type", "application/json");
        app.send(request.body(axum::body::Body::from("{}")).unwrap())
    };
    assert_eq!(ask("https://log.example").await.status, 201, "the name of the server's own pages");
    assert_eq!(ask("https://evil.example").await.status, 403);
}

#[tokio::test]
async fn a_page_of_a_named_origin_is_told_what_it_may_send_and_read_and_for_how_long() {
    let app = TestApp::with(|app| app.with_origins(vec!["https://app.example".to_owned()]));
    let ask = |method: &str, uri: &str| {
        let request = axum::http::Request::builder().method(method).uri(uri);
        let request = request.header("origin", "https://app.example");
        let request = request.header("access-control-request-method", "PATCH");
        app.send(request.body(axum::body::Body::empty()).unwrap())
    };
    let preflight = ask("OPTIONS", "/api/sessions/s").await;
    assert_eq!(preflight.headers["access-control-max-age"], "3600");
    let methods = &preflight.headers["access-control-allow-methods"];
    assert_eq!(methods, "GET,HEAD,POST,PUT,PATCH,DELETE");
    let answer = ask("GET", "/version").await;
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    for name in ["stream-next-offset", "etag", "location", "retry-after", "x-request-id"] {
        assert!(exposed.split(',').any(|exposed| exposed == name), "{name}: {exposed}");
    }
}

#[tokio::test]
async fn where_tokens_are_asked_for_a_page_needs_nothing_but_one() {
    let guarded = Guarded::new();
    let mut request = crate::access::request("root", "POST", "/api/sessions", "{}");
    request.headers_mut().insert("origin", "https://app.example".parse().unwrap());
    assert_eq!(guarded.app.send(request).await.status, 201);
}

#[tokio::test]
async fn a_server_on_loopback_answers_under_no_name_that_somebody_points_at_it() {
    let public_url = Some("https://log.example/base".to_owned());
    let server = start_as(Settings { public_url, ..settings() }).await;
    for (host, status) in [
        ("127.0.0.1:4437", "200"),
        ("localhost", "200"),
        ("[::1]:4437", "200"),
        ("machine", "200"),
        ("log.example", "200"),
        ("evil.example:4437", "403"),
        ("127.0.0.1.evil.example", "403"),
    ] {
        for uri in ["/api/sessions", "/", "/healthz", "/readyz", "/version", "/openapi.json"] {
            let headers = format!("host: {host}\r\n");
            let answer = exchange(&server, &request("GET", uri, &headers)).await;
            let code = if status == "403" { "forbidden" } else { "" };
            let lacks = documented::lacks(route_of(uri), "GET", status.parse().unwrap(), code);
            assert_eq!(lacks, None);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{uri} at {host}: {answer}");
        }
    }
    let evil = "host: evil.example\r\norigin: http://evil.example\r\n";
    let answer = exchange(&server, &request("POST", "/api/sessions", evil)).await;
    assert!(answer.contains("--public-url"), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_others_reach_goes_by_whatever_name_they_have_for_it() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let server = start_as(Settings { listen, insecure_no_auth: true, ..Settings::default() }).await;
    let answer = exchange(&server, &request("GET", "/healthz", "host: log.example\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.stop().await.unwrap();
}
