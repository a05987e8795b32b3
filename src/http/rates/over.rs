//! What is said to who is over a limit: which one, whose, and when to come again.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Extensions, HeaderValue, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};

use super::{Limiter, Sender, table::Counted};
use crate::{
    http::{App, body::Incoming, error::Fail},
    metrics::Limited,
    wire::code::Code,
};

/// A limit that somebody is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Over {
    pub(super) limit: Limit,
    pub(super) whose: Whose,
    /// When to come again.
    pub(super) wait: Duration,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Requests,
    Bytes,
    Streams,
    Readers,
    FailedAuth,
}

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Token,
    Address,
}

impl From<Counted> for Limit {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::Requests | Counted::Refusals => Self::Requests,
            Counted::Bytes => Self::Bytes,
            Counted::Streams => Self::Streams,
            Counted::Failures => Self::FailedAuth,
        }
    }
}

impl From<Limit> for Limited {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Requests => Self::Requests,
            Limit::Bytes => Self::Bytes,
            Limit::Streams => Self::Streams,
            Limit::Readers => Self::Readers,
            Limit::FailedAuth => Self::FailedAuth,
        }
    }
}

impl Over {
    /// The answer, with the setting that is the limit.
    pub(super) fn fail(self, limiter: &Limiter) -> Fail {
        let (who, allowance) = match self.whose {
            Whose::Token => ("token", &limiter.settings.token),
            Whose::Address => ("address", &limiter.settings.address),
        };
        let (name, most, what) = match self.limit {
            Limit::Requests => {
                ("requests_per_second", allowance.requests_per_second, "requests a second")
            }
            Limit::Bytes => {
                ("bytes_per_second", allowance.bytes_per_second, "bytes of bodies a second")
            }
            Limit::Streams => {
                ("streams_per_hour", allowance.streams_per_hour, "new streams an hour")
            }
            Limit::Readers => ("live_readers", allowance.live_readers, "open live reads"),
            Limit::FailedAuth => {
                let most = limiter.settings.failed_auth_per_minute;
                return self.answer(
                    "failed_auth_per_minute",
                    &format!("from this address came more than {most} wrong tokens a minute"),
                );
            }
        };
        let message = format!("the limit of this {who} is {most} {what}, and it is used up");
        self.answer(&format!("{who}.{name}"), &message)
    }

    fn answer(self, setting: &str, message: &str) -> Fail {
        let seconds = seconds(self.wait);
        let message = format!("{message}; nothing was done, send it again in {seconds} s");
        Fail::new(Code::TooManyRequests, message)
            .with(|problem| problem.limit = Some(setting.to_owned()))
            .header(RETRY_AFTER, HeaderValue::from(seconds))
    }
}

/// Whole seconds, after which it is surely time.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The answer to a request that is not let in. Who does not heed it gets it late: refusing would
/// else be what the server does all day. Its body is taken in up to a bound, so that a
/// client which is still sending gets to see the answer.
pub(in crate::http) async fn refused(
    app: &App,
    over: Over,
    extensions: &Extensions,
    body: &mut Body,
) -> Response {
    let Some(limiter) = app.limiter() else { return Response::default() };
    app.log().metrics().limit(over.limit.into());
    let clock = app.log().clock();
    if let Some(pause) = limiter.refusal(&Sender::of(extensions), clock.now_ms()) {
        clock.sleep(pause).await;
    }
    Incoming::new(body, &**clock).leave().await;
    over.fail(limiter).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_to_wait_are_rounded_up() {
        for (nanos, expected) in [(1, 1), (999_999_999, 1), (1_000_000_000, 1), (1_000_000_001, 2)]
        {
            assert_eq!(seconds(Duration::from_nanos(nanos)), expected, "{nanos}");
        }
    }
}
