//! What can go wrong between a client and a server, worded so that one line says what to do, and
//! whether the same may be asked once more.
//!
//! It refuses to know what was asked. Invariant: what counts as unwritten was not written.

use std::{error::Error, time::Duration};

use crate::wire::problem::Problem;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not the URL of a server.
    #[error("{0:?} is not the URL of a server, such as http://127.0.0.1:4437")]
    Url(String),
    /// Not a token: it has characters that no header may have.
    #[error("the token has characters that no header may have: look for a line break at its end")]
    Token,
    /// Not certificates of authorities.
    #[error(
        "what should be authorities is no certificate in PEM; give the file of the one that signed the server's"
    )]
    Ca,
    /// No answer came.
    #[error("cannot reach {url} ({}): start it with `scrollback serve`, or name another URL", innermost(.source))]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No answer came in time.
    #[error("the server did not answer within {secs} s")]
    Slow {
        /// The time it had.
        secs: u64,
    },
    /// The server refused, and says why.
    #[error("{} ({})", .problem.message, .problem.code.as_str())]
    Problem {
        /// What it says.
        problem: Box<Problem>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server refused without a reason; perhaps it is another kind of server, or one that
    /// stands between.
    #[error("the server answered {status}: is this a Scrollback server?")]
    Status {
        /// The HTTP status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer broke off or is not what was expected.
    #[error("the answer cannot be read: {}", innermost(.0))]
    Answer(reqwest::Error),
    /// The answer is no JSON of the kind that was expected, or has no end.
    #[error("the answer cannot be read: {0}")]
    Garbled(String),
    /// What was to be sent cannot be written as JSON.
    #[error("this cannot be written as JSON: {0}")]
    Body(serde_json::Error),
}

impl ClientError {
    /// The same may succeed later without anything else being changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Answer(_) | Self::Garbled(_) => {
                true
            }
            Self::Problem { problem, .. } => problem.retryable || problem.status >= 500,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Url(_) | Self::Token | Self::Ca | Self::Body(_) => false,
        }
    }

    /// Nothing was written, for certain: the same may be sent again even where sending it twice
    /// would do it twice.
    #[must_use]
    pub fn is_unwritten(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => source.is_connect(),
            // An NDJSON body may be in the stream in part; then a count stands beside it.
            Self::Problem { problem, .. } => {
                let is_refused = problem.retryable || problem.status < 500;
                is_refused && problem.count.unwrap_or(0) == 0
            }
            // A gateway says 503, too, when the server was lost after the request was handed on.
            Self::Status { status, .. } => *status < 500,
            Self::Slow { .. } | Self::Answer(_) | Self::Garbled(_) => false,
            Self::Url(_) | Self::Token | Self::Ca | Self::Body(_) => true,
        }
    }

    /// It is no word of our server: somebody who stands between has answered, or it is another
    /// kind of server. Whoever waits for ever waits for this, too.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Status { .. })
    }

    /// When the server wants to be asked again, where it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the server says, where it says anything.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

/// The cause behind the wrappers: it is what a person can act on.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::code::Code;

    fn problem(code: Code) -> ClientError {
        let problem = Box::new(Problem::new(code, "no"));
        ClientError::Problem { problem, retry_after: None }
    }

    fn status(status: u16) -> ClientError {
        ClientError::Status { status, retry_after: None }
    }

    #[test]
    fn a_gateway_may_have_lost_the_answer_unless_it_says_that_the_request_is_at_fault() {
        assert!(status(502).is_passing() && !status(502).is_unwritten());
        assert!(status(504).is_passing() && !status(504).is_unwritten());
        assert!(status(503).is_passing() && !status(503).is_unwritten());
        assert!(status(429).is_passing() && status(429).is_unwritten());
        assert!(!status(404).is_passing());
    }

    #[test]
    fn a_refusal_is_unwritten_and_passes_only_where_the_server_says_so() {
        assert!(problem(Code::IncompleteBody).is_passing());
        assert!(problem(Code::IncompleteBody).is_unwritten());
        assert!(problem(Code::Busy).is_passing() && problem(Code::Busy).is_unwritten());
        assert!(!problem(Code::SessionEnded).is_passing());
        assert!(problem(Code::SessionEnded).is_unwritten());
        let mut half = Problem::new(Code::IncompleteBody, "no");
        half.count = Some(3);
        let half = ClientError::Problem { problem: Box::new(half), retry_after: None };
        assert!(!half.is_unwritten());
    }
}
