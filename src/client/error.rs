//! What can go wrong between a client and a server, worded so that one line says what to do.

use std::error::Error;

use crate::wire::problem::Problem;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not the URL of a server.
    #[error("{0:?} is not the URL of a server, such as http://127.0.0.1:4437")]
    Url(String),
    /// No answer came.
    #[error("cannot reach {url} ({}): start it with `scrollback serve`, or name another with --url", innermost(.source))]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server refused, and says why.
    #[error("{} ({})", .0.message, .0.code.as_str())]
    Problem(Box<Problem>),
    /// The server refused without a reason; perhaps it is another kind of server.
    #[error("the server answered {status}: is this a Scrollback server?")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer broke off or is not what was expected.
    #[error("the answer cannot be read: {}", innermost(.0))]
    Answer(reqwest::Error),
    /// A live line fell silent.
    #[error("no sign of life for {silent_secs} s")]
    Silent {
        /// For how long.
        silent_secs: u64,
    },
}

impl ClientError {
    /// The same may succeed later without anything else being changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Answer(_) | Self::Silent { .. } => true,
            Self::Problem(problem) => problem.retryable,
            Self::Status { status } => matches!(status, 429 | 502 | 503 | 504),
            Self::Url(_) => false,
        }
    }
}

/// The cause behind the wrappers: it is what a person can act on.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
