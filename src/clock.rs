//! Time, as a value that is handed in. This is the one file that reads the system's clock and
//! sleeps; everything else takes a [`Clock`], so that tests decide what time it is.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// A future that a clock hands out.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where time comes from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;

    /// Completes once `span` has passed on this clock.
    fn sleep(&self, span: Duration) -> Sleep<'_>;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one reading of the system's clock")]
    fn now_ms(&self) -> u64 {
        u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or(0)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    fn sleep(&self, span: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock that moves when a test says so.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicU64,
    moved: Notify,
}

impl ManualClock {
    /// A clock that stands at `now_ms`.
    #[must_use]
    pub fn at(now_ms: u64) -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicU64::new(now_ms), moved: Notify::new() })
    }

    /// Moves the clock forward and wakes every sleeper whose time has come.
    pub fn advance(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        let until = self.now_ms() + u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Box::pin(async move {
            loop {
                let moved = self.moved.notified();
                if self.now_ms() >= until {
                    return;
                }
                moved.await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_sleeper_on_the_manual_clock_wakes_when_its_time_has_come() {
        let clock = ManualClock::at(1_000);
        let other = Arc::clone(&clock);
        let mut sleeper = other.sleep(Duration::from_secs(2));
        assert_eq!((&mut sleeper).now_or_never(), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!((&mut sleeper).now_or_never(), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!((&mut sleeper).now_or_never(), Some(()));
        assert_eq!(clock.now_ms(), 3_000);
    }
}
