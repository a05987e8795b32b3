//! Where a bundle goes: may it, and from where on. Pure.

use crate::{cli::bundle::Header, wire::bodies::StreamBody};

/// Why a stream does not take a bundle.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// It holds something else than events.
    #[error("holds {0}, not events")]
    ContentType(String),
    /// It begins elsewhere.
    #[error("begins at offset {has}, and the bundle at {bundle}")]
    Beginning {
        /// Its first offset.
        has: u64,
        /// That of the bundle.
        bundle: u64,
    },
    /// It goes on where the bundle ends.
    #[error("goes on to offset {has}, and the bundle ends at {bundle}")]
    Beyond {
        /// Its last offset.
        has: u64,
        /// That of the bundle.
        bundle: u64,
    },
    /// It takes no more.
    #[error("is closed at offset {has}, and the bundle goes on to {bundle}")]
    Closed {
        /// Its last offset.
        has: u64,
        /// That of the bundle.
        bundle: u64,
    },
    /// It holds another event.
    #[error("has another event at offset {0} than the bundle")]
    Other(u64),
}

/// Up to which offset the stream holds records that must be those of the bundle; the rest is to be
/// appended.
///
/// # Errors
/// [`Refused`].
pub(super) fn place(header: &Header, found: &StreamBody) -> Result<u64, Refused> {
    let (has, bundle) = (found.tail, header.tail);
    if found.content_type != header.content_type {
        return Err(Refused::ContentType(found.content_type.clone()));
    }
    if found.earliest != header.earliest {
        return Err(Refused::Beginning { has: found.earliest, bundle: header.earliest });
    }
    if has > bundle {
        return Err(Refused::Beyond { has, bundle });
    }
    if found.closed && has < bundle {
        return Err(Refused::Closed { has, bundle });
    }
    Ok(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(earliest: u64, tail: u64) -> Header {
        Header { earliest, tail, ..Header::new("sessions/a", "e", "application/json") }
    }

    fn stream(earliest: u64, tail: u64) -> StreamBody {
        StreamBody {
            path: "sessions/b".to_owned(),
            content_type: "application/json".to_owned(),
            tail,
            earliest,
            closed: false,
            created_at: 0,
            last_append_at: None,
            epoch: "f".to_owned(),
            retention_seconds: 1,
        }
    }

    #[test]
    fn a_stream_that_may_hold_the_beginning_is_continued() {
        for (first, has) in [(1, 0), (1, 4), (1, 9), (5, 4), (5, 7), (10, 9)] {
            assert_eq!(place(&header(first, 9), &stream(first, has)), Ok(has));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = |stream| place(&header(3, 9), &stream).unwrap_err();
        assert_eq!(refused(stream(3, 10)), Refused::Beyond { has: 10, bundle: 9 });
        // An empty stream in which the bundle's offsets would be others.
        assert_eq!(refused(stream(1, 0)), Refused::Beginning { has: 1, bundle: 3 });
        // Retention has been at it.
        assert_eq!(refused(stream(5, 9)), Refused::Beginning { has: 5, bundle: 3 });
        let closed = StreamBody { closed: true, ..stream(3, 8) };
        assert_eq!(refused(closed.clone()), Refused::Closed { has: 8, bundle: 9 });
        let whole = StreamBody { tail: 9, ..closed };
        assert_eq!(place(&header(3, 9), &whole), Ok(9));
        let text = StreamBody { content_type: "text/plain".to_owned(), ..stream(3, 9) };
        assert_eq!(refused(text), Refused::ContentType("text/plain".to_owned()));
    }
}
