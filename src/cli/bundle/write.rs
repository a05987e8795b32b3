//! Writing a bundle: events as the server shows them become lines.

use blake3::Hash;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{END, HASH, Header, LastLine, START, link};

/// Why the events that came are not those of the stream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum WriteError {
    /// Another event, or none.
    #[error("the server did not send the event at offset {offset} of {tail}: export again")]
    Missing {
        /// The offset that was due.
        offset: u64,
        /// The last one.
        tail: u64,
    },
    /// Not an event.
    #[error("what the server sent for offset {offset} is no event: is this a Scrollback server?")]
    NoEvent {
        /// The offset.
        offset: u64,
    },
}

/// Writes the lines of one bundle.
#[derive(Debug)]
pub(in crate::cli) struct Writer {
    header: Hash,
    chain: Hash,
    first: u64,
    next: u64,
    tail: u64,
}

/// What a line says of its event, as it came.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

impl Writer {
    /// Begins with the header.
    pub(in crate::cli) fn begin(header: &Header, out: &mut Vec<u8>) -> Self {
        let line = header.line();
        out.extend_from_slice(&line);
        out.push(b'\n');
        let Header { earliest, tail, .. } = *header;
        Self { header: blake3::hash(&line), chain: START, first: earliest, next: earliest, tail }
    }

    /// Adds the event of the next offset, as the server shows it: the offset in front.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was added.
    pub(in crate::cli) fn event(
        &mut self,
        shown: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let (offset, tail) = (self.next, self.tail);
        let missing = WriteError::Missing { offset, tail };
        let payload = payload_of(shown, offset).filter(|_| offset <= tail).ok_or(missing)?;
        let no_event = |_| WriteError::NoEvent { offset };
        let named: Named<'_> = serde_json::from_str(&payload).map_err(no_event)?;
        let (id, timestamp) = (named.id, named.timestamp.map_or("null", RawValue::get));
        let content = format!(
            "{{\"offset\":{offset},\"id\":{id},\"timestamp\":{timestamp},\"event\":{payload}"
        );
        self.chain = link(&self.chain, content.as_bytes());
        self.next += 1;
        out.extend_from_slice(content.as_bytes());
        out.extend_from_slice(HASH);
        out.extend_from_slice(self.chain.to_hex().as_bytes());
        out.extend_from_slice(END);
        out.push(b'\n');
        Ok(())
    }

    /// Ends with the seal.
    ///
    /// # Errors
    /// There are events to come.
    pub(in crate::cli) fn end(self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let Self { header, chain, first, next, tail } = self;
        if next <= tail {
            return Err(WriteError::Missing { offset: next, tail });
        }
        out.extend_from_slice(&LastLine::of(&header, &chain, next - first).line());
        out.push(b'\n');
        Ok(())
    }
}

/// An event as it is stored, out of the way it is shown: without its offset, and on one line, for
/// line breaks stand between the tokens of JSON only. `None` where it has another offset.
pub(in crate::cli) fn payload_of(shown: &str, offset: u64) -> Option<String> {
    let rest = shown.strip_prefix("{\"offset\":")?.strip_prefix(offset.to_string().as_str())?;
    let rest = rest.strip_prefix(',')?;
    Some(std::iter::once('{').chain(rest.chars().filter(|c| !matches!(c, '\n' | '\r'))).collect())
}
