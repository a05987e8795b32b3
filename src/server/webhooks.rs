//! Requests to webhooks, over HTTPS.
//!
//! Invariant: a connection goes only where `subscription::target` allows: the URL is checked
//! again, each address its name stands for is checked when the connection is made, no redirect is
//! followed, and no proxy of the environment is used.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    vec,
};

use anyhow::Context;
use bytes::BytesMut;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
    redirect,
};
use tokio::sync::Semaphore;

use crate::{
    limits,
    subscription::{
        Answer, Missed, Post, Posting, Request, Targets,
        target::{self, is_localhost, is_public},
    },
    tls,
    wire::{JSON, subscription::SIGNATURE},
};

/// Calls webhooks.
#[derive(Debug, Clone)]
pub struct Webhooks {
    client: Client,
    targets: Targets,
}

impl Webhooks {
    /// Calls those that `targets` allows.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new(targets: Targets) -> anyhow::Result<Self> {
        tls::choose();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Guarded::new(targets, by_system))
            .connect_timeout(limits::WEBHOOK_CONNECT_WITHIN)
            .user_agent(concat!("scrollback/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("preparing to call webhooks")?;
        Ok(Self { client, targets })
    }

    async fn send(&self, request: Request) -> Result<Answer, Missed> {
        let url = target::check(&request.url, self.targets).map_err(missed)?;
        let posting = self
            .client
            .post(url)
            .header(CONTENT_TYPE, JSON)
            .header(SIGNATURE, request.signature)
            .body(request.body)
            .send();
        // Addresses may hold secrets, and reasons are logged.
        let missed = |error: reqwest::Error| missed(error.without_url());
        let mut response = posting.await.map_err(missed)?;
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(missed)? {
            body.extend_from_slice(&piece);
            if body.len() > limits::WEBHOOK_ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(Answer { status: response.status().as_u16(), body: body.freeze() })
    }
}

impl Post for Webhooks {
    fn post(&self, request: Request) -> Posting<'_> {
        Box::pin(self.send(request))
    }
}

/// The error with its causes: what a library says first is seldom the reason.
fn missed(error: impl std::error::Error + Send + Sync + 'static) -> Missed {
    Missed(format!("{:#}", anyhow::Error::new(error)))
}

/// Names stand only for addresses that may be called.
#[derive(Debug)]
struct Guarded {
    targets: Targets,
    look_up: LookUp,
    turns: Arc<Semaphore>,
}

/// Looks a name up. It may take as long as it likes.
type LookUp = fn(&str) -> io::Result<vec::IntoIter<SocketAddr>>;

fn by_system(name: &str) -> io::Result<vec::IntoIter<SocketAddr>> {
    (name, 0).to_socket_addrs()
}

impl Guarded {
    fn new(targets: Targets, look_up: LookUp) -> Self {
        let turns = Arc::new(Semaphore::new(limits::WEBHOOK_LOOKUPS_AT_ONCE));
        Self { targets, look_up, turns }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (targets, look_up, turns) = (self.targets, self.look_up, Arc::clone(&self.turns));
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let turn = turns.acquire_owned().await?;
            let asked = name.clone();
            // Nothing ends a lookup before its time, so the turn lasts as long as the thread.
            let looking = tokio::task::spawn_blocking(move || {
                let found = look_up(&asked);
                drop(turn);
                found
            });
            let allowed = allowed(&name, looking.await??, targets);
            if allowed.is_empty() {
                return Err(format!("{name} stands for no address that may be called").into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed(
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
    targets: Targets,
) -> Vec<SocketAddr> {
    let is_own = targets == Targets::Localhost && is_localhost(name);
    let may_be_called = |address: &SocketAddr| {
        if is_own { address.ip().is_loopback() } else { is_public(address.ip()) }
    };
    found.filter(may_be_called).collect()
}

#[cfg(test)]
mod tests {
    use parking_lot::{Condvar, Mutex};

    use super::*;

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        use tokio::{
            io::{AsyncReadExt, AsyncWriteExt},
            net::TcpListener,
        };
        let listen = || TcpListener::bind("127.0.0.1:0");
        let (here, there) = (listen().await.unwrap(), listen().await.unwrap());
        let url = format!("http://{}/hook", here.local_addr().unwrap());
        let elsewhere = format!("http://{}/", there.local_addr().unwrap());
        let webhooks = Webhooks::new(Targets::Localhost).unwrap();
        let request = Request { url: url.into(), body: "{}".into(), signature: "s".to_owned() };
        let answering = async {
            let (mut stream, _) = here.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (answer, _open) = tokio::join!(webhooks.send(request), answering);
        assert_eq!(answer.unwrap().status, 307);
        assert!(futures_util::poll!(std::pin::pin!(there.accept())).is_pending());
    }

    #[test]
    fn a_public_name_does_not_stand_for_a_local_address() {
        let addresses = ["10.0.0.1:0", "93.184.215.14:0", "127.0.0.1:0", "[::1]:0"];
        let found = || addresses.iter().map(|text| text.parse().unwrap());
        for targets in [Targets::Public, Targets::Localhost] {
            let allowed = allowed("worker.example", found(), targets);
            assert_eq!(allowed, ["93.184.215.14:0".parse().unwrap()]);
        }
        let own = allowed("localhost", found(), Targets::Localhost);
        assert_eq!(own, ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]);
        assert_eq!(allowed("localhost", found(), Targets::Public).len(), 1);
    }

    /// Whether [`stuck`] may answer.
    static ANSWERS: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    fn stuck(_: &str) -> io::Result<vec::IntoIter<SocketAddr>> {
        let (answers, changed) = &ANSWERS;
        changed.wait_while(&mut answers.lock(), |answers| !*answers);
        by_system("93.184.215.14")
    }

    #[tokio::test]
    async fn lookups_that_nobody_waits_for_any_more_still_count_until_they_end() {
        let guarded = Guarded::new(Targets::Public, stuck);
        let resolve = || guarded.resolve("worker.example".parse().unwrap());
        for _ in 0..limits::WEBHOOK_LOOKUPS_AT_ONCE {
            assert!(futures_util::poll!(resolve()).is_pending());
        }
        assert_eq!(guarded.turns.available_permits(), 0, "the threads are taken");
        let mut next = resolve();
        assert!(futures_util::poll!(&mut next).is_pending());
        *ANSWERS.0.lock() = true;
        ANSWERS.1.notify_all();
        assert_eq!(next.await.unwrap().count(), 1);
    }
}
