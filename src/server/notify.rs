//! What the service manager of the machine is told, in the words of `sd_notify(3)`: the server is
//! ready, it is well, it stops. Without a manager every call does nothing.
//!
//! It refuses to know what being well means. Invariant: nothing here fails the server or waits;
//! what cannot be told is logged.
//!
//! The protocol is one datagram of text, so the standard library does; the crate for it does not
//! know abstract sockets.

use std::{
    convert::Infallible,
    ffi::OsStr,
    future,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use crate::clock::Clock;

/// The service manager, if there is one that wants to hear.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<UnixDatagram>,
    /// Half of the time in which it expects a sign of life: one may be late, or get lost.
    feed_every: Option<Duration>,
}

impl Manager {
    /// The manager of this process: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` in the
    /// environment.
    #[must_use]
    pub fn of_process() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let socket = match connect(&address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%error, ?address, "the service manager is out of reach");
                None
            }
        };
        let variable = |name| std::env::var(name).ok();
        let (span, pid) = (variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Self { socket, feed_every: feed_every(span.as_deref(), pid.as_deref(), std::process::id()) }
    }

    /// Requests are answered from now on, at `url`.
    pub fn ready(&self, url: &str) {
        self.tell(&format!("READY=1\nSTATUS=listening on {url}"));
    }

    /// No more requests are taken.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    /// Shows signs of life for as long as the server is well; then no more, so that the manager
    /// ends what does not end by itself.
    pub async fn feed(&self, clock: &dyn Clock, is_well: impl Fn() -> bool) -> Infallible {
        if let Some(every) = self.feed_every {
            while is_well() {
                self.tell("WATCHDOG=1");
                clock.sleep(every).await;
            }
        }
        future::pending().await
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(state.as_bytes()) {
            tracing::warn!(%error, "the service manager was not told");
        }
    }
}

/// A socket that sends to `address`: a path, or an abstract name behind `@`. It never waits for
/// the manager to read.
fn connect(address: &OsStr) -> std::io::Result<UnixDatagram> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How often to show a sign of life, where the manager wants any from the process `own`.
fn feed_every(span_us: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let span = span_us?.parse().ok().filter(|span| *span > 1)?;
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    is_ours.then(|| Duration::from_micros(span) / 2)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::clock::ManualClock;

    fn manager(feed_every: Option<Duration>) -> (UnixDatagram, Manager) {
        let (theirs, ours) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (theirs, Manager { socket: Some(ours), feed_every })
    }

    fn told(socket: &UnixDatagram) -> Option<String> {
        let mut state = [0; 200];
        let length = socket.recv(&mut state).ok()?;
        Some(String::from_utf8(state[..length].to_vec()).unwrap())
    }

    #[test]
    fn half_of_the_watchdogs_time_passes_between_signs_of_life_to_our_own_manager() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(feed_every(Some("2000000"), None, 7), second);
        assert_eq!(feed_every(Some("2000000"), Some("7"), 7), second);
        assert_eq!(feed_every(Some("2000000"), Some("8"), 7), None);
        assert_eq!(feed_every(Some("2000000"), Some("x"), 7), None);
        for none in [None, Some("0"), Some("1"), Some("-1"), Some("soon")] {
            assert_eq!(feed_every(none, None, 7), None, "{none:?}");
        }
    }

    #[test]
    fn a_manager_hears_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        connect(path.as_os_str()).unwrap().send(b"READY=1").unwrap();
        assert_eq!(told(&at_path).unwrap(), "READY=1");

        let name = format!("scrollback-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let at_name = UnixDatagram::bind_addr(&abstract_name).unwrap();
        connect(OsStr::new(&format!("@{name}"))).unwrap().send(b"READY=1").unwrap();
        assert_eq!(told(&at_name).unwrap(), "READY=1");

        assert!(connect(OsStr::new("/nowhere/notify")).is_err());
    }

    #[test]
    fn a_manager_that_does_not_read_or_is_gone_holds_nothing_up() {
        let (theirs, manager) = manager(None);
        manager.socket.as_ref().unwrap().set_nonblocking(true).unwrap();
        for _ in 0..100_000 {
            manager.ready("http://x");
        }
        assert_eq!(told(&theirs).unwrap(), "READY=1\nSTATUS=listening on http://x");
        drop(theirs);
        manager.stopping();
        Manager::default().ready("http://x");
    }

    #[tokio::test]
    async fn signs_of_life_come_as_long_as_the_server_is_well_and_no_longer() {
        let clock = ManualClock::at(0);
        let (theirs, manager) = manager(Some(Duration::from_secs(10)));
        let well = Arc::new(AtomicBool::new(true));
        let mut feed = Box::pin(manager.feed(&*clock, || well.load(Ordering::Relaxed)));
        for _ in 0..3 {
            assert!(futures_util::poll!(&mut feed).is_pending());
            assert_eq!(told(&theirs).as_deref(), Some("WATCHDOG=1"));
            assert!(futures_util::poll!(&mut feed).is_pending());
            assert_eq!(told(&theirs), None, "before its time");
            clock.advance(Duration::from_secs(10));
        }
        well.store(false, Ordering::Relaxed);
        assert!(futures_util::poll!(&mut feed).is_pending());
        assert_eq!(told(&theirs), None);
    }
}
