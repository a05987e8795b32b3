//! TLS over real sockets: what is refused, what is spoken over it, and a certificate that changes.

use std::{fs, path::Path, sync::Arc, time::Duration};

use futures_util::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Version};
use scrollback::{
    client::Client,
    clock::{Clock, ManualClock, Sleep},
    limits,
    server::{Running, Settings},
    tls,
};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::{
    socket::{EVENT, EVENTS, Wire, settings, start_as, try_start},
    util::NOW_MS,
};

/// An authority, and a certificate of it in a folder.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = issuer();
        let authority = Self { pem: issuer.pem(), issuer, folder };
        authority.sign(authority.folder.path());
        authority
    }

    /// Puts a new certificate and its key into a folder.
    fn sign(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let cert = params.unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("c.pem"), cert.pem()).unwrap();
        fs::write(folder.join("k.pem"), key.serialize_pem()).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        let folder = self.folder.path();
        Settings {
            tls_cert: Some(folder.join("c.pem")),
            tls_key: Some(folder.join("k.pem")),
            ..settings()
        }
    }

    /// A client that believes this authority alone, and comes over a connection of its own.
    pub(crate) fn client(&self) -> reqwest::ClientBuilder {
        tls::choose();
        let ca = Certificate::from_pem(self.pem.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([ca])
    }

    async fn reaches(&self, server: &Running) -> bool {
        let client = self.client().build().unwrap();
        client.get(format!("{}/healthz", server.url())).send().await.is_ok()
    }
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn a_server_does_not_start_without_its_certificate() {
    let authority = Authority::new();
    let clock = || Arc::new(ManualClock::default());
    let half = Settings { tls_key: None, ..authority.settings() };
    let error = try_start(half, clock()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a certificate and its key belong together; give both --tls-cert and --tls-key"
    );
    let settings = authority.settings();
    fs::remove_file(settings.tls_key.as_ref().unwrap()).unwrap();
    let error = try_start(settings, clock()).await.unwrap_err();
    assert!(error.to_string().contains("k.pem cannot be read: "), "{error}");
}

#[tokio::test]
async fn what_is_no_tls_and_whoever_believes_another_authority_gets_no_answer() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = start_as(authority.settings()).await;
    let mut wire = Wire::to(&server).await;
    wire.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    drop(wire.0.read_to_end(&mut answer).await);
    // An alert of TLS, and no HTTP.
    assert_eq!(answer.first(), Some(&21));
    assert!(!other.reaches(&server).await);
    assert!(authority.reaches(&server).await);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_gives_its_place_back() {
    let authority = Authority::new();
    let server = start_as(authority.settings()).await;
    let begun = tokio::time::Instant::now();
    let mut wire = Wire::to(&server).await;
    // The beginning of a handshake of which the rest does not come.
    tokio::io::AsyncWriteExt::write_all(&mut wire.0, &[22, 3, 1, 1]).await.unwrap();
    let mut answer = Vec::new();
    drop(wire.0.read_to_end(&mut answer).await);
    assert!(begun.elapsed() >= limits::TLS_HANDSHAKE_WITHIN);
    assert!(begun.elapsed() < limits::HEADER_TIMEOUT);
    server.stop().await.unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_and_urls_say_https() {
    let authority = Authority::new();
    let server = start_as(authority.settings()).await;
    assert!(server.url().starts_with("https://127.0.0.1:"), "{}", server.url());
    let url = format!("{}/healthz", server.url());
    let newest = authority.client().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!((newest.status().as_u16(), newest.version()), (200, Version::HTTP_2));
    let older = authority.client().http1_only().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!((older.status().as_u16(), older.version()), (200, Version::HTTP_11));
    let made = authority.client().build().unwrap().put(format!("{}/v1/stream/x", server.url()));
    let made = made.send().await.unwrap();
    let location = made.headers()["location"].to_str().unwrap();
    assert_eq!(location, format!("{}/v1/stream/x", server.url()));
    let client = Client::builder(server.url()).ca(authority.pem.as_str()).build().unwrap();
    assert_eq!(client.streams(None, None).await.unwrap().streams.len(), 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_taken_when_it_is_of_use_and_the_old_one_stays_until_then() {
    let (old, new) = (Authority::new(), Authority::new());
    let settings = old.settings();
    let clock = ManualClock::at(NOW_MS);
    let server = try_start(settings.clone(), clock.clone()).await.unwrap();
    assert!(old.reaches(&server).await);
    let cert = settings.tls_cert.unwrap();
    fs::write(&cert, "no certificate").unwrap();
    for _ in 0..3 {
        clock.advance(limits::CERTIFICATE_LOOK_EVERY);
        assert!(old.reaches(&server).await);
    }
    new.sign(cert.parent().unwrap());
    let taken = async {
        while !new.reaches(&server).await {
            clock.advance(limits::CERTIFICATE_LOOK_EVERY);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), taken).await.unwrap();
    assert!(!old.reaches(&server).await);
    server.stop().await.unwrap();
}

/// A clock on which only the looks at the certificate are ever due, so that no handshake under way
/// is late when they are; whoever is held after a handshake that failed is let go at once.
#[derive(Debug)]
struct LooksOnly(Arc<ManualClock>);

impl Clock for LooksOnly {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        match span {
            limits::CERTIFICATE_LOOK_EVERY => self.0.sleep(span),
            limits::RUBBISH_HELD => Box::pin(std::future::ready(())),
            _ => Box::pin(std::future::pending()),
        }
    }
}

/// Asks until told to stop, each time over a new connection or over the one it has, and says how
/// often. Each time it is answered.
async fn asks(url: String, client: impl Fn() -> reqwest::Client, stop: &CancellationToken) -> u32 {
    let mut answered = 0;
    while !stop.is_cancelled() {
        let answer = client().get(&url).send().await;
        assert_eq!(answer.expect("it is answered").status(), 200);
        answered += 1;
    }
    answered
}

#[tokio::test]
async fn a_certificate_that_changes_under_load_costs_nobody_an_answer() {
    let (old, new) = (Authority::new(), Authority::new());
    let settings = old.settings();
    let folder = old.folder.path();
    let clock = ManualClock::at(NOW_MS);
    let server = try_start(settings, Arc::new(LooksOnly(clock.clone()))).await.unwrap();
    let url = format!("{}{EVENTS}", server.url());
    let kept = old.client().build().unwrap();
    let append = async || {
        let request = kept.post(&url).header("content-type", "application/json").body(EVENT);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(append().await, 200);
    let live = format!("{}/api/sessions/s/stream", server.url());
    let mut live = kept.get(live).send().await.unwrap();
    let both = || {
        let authorities = [&old, &new].map(|of| Certificate::from_pem(of.pem.as_bytes()).unwrap());
        reqwest::Client::builder().tls_certs_only(authorities).build().unwrap()
    };
    let stop = CancellationToken::new();
    let newcomers = join_all((0..4).map(|_| asks(url.clone(), both, &stop)));
    let regulars = join_all((0..4).map(|_| asks(url.clone(), || kept.clone(), &stop)));
    let changing = async {
        fs::write(folder.join("k.pem"), "no key").unwrap();
        for _ in 0..3 {
            clock.advance(limits::CERTIFICATE_LOOK_EVERY);
            assert!(old.reaches(&server).await && !new.reaches(&server).await);
        }
        new.sign(folder);
        while !new.reaches(&server).await {
            clock.advance(limits::CERTIFICATE_LOOK_EVERY);
        }
        // Broken again, the one that came last stays.
        fs::remove_file(folder.join("c.pem")).unwrap();
        for _ in 0..3 {
            clock.advance(limits::CERTIFICATE_LOOK_EVERY);
            assert!(new.reaches(&server).await && !old.reaches(&server).await);
        }
        stop.cancel();
    };
    let all = async { tokio::join!(newcomers, regulars, changing) };
    let (newcomers, regulars, ()) =
        tokio::time::timeout(Duration::from_mins(1), all).await.unwrap();
    assert!(newcomers.into_iter().chain(regulars).all(|answered| answered > 0));
    // Over the connection of the old certificate, which nobody could open any more.
    assert_eq!(append().await, 200);
    let mut text = String::new();
    while !text.contains("id: 2\ndata: ") {
        text += std::str::from_utf8(&live.chunk().await.unwrap().unwrap()).unwrap();
    }
    drop((kept, live));
    while server.connections() > 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await.unwrap();
}
