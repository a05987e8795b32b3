//! Bodies and events of the protocol: JSON messages in an array, everything else as one run of
//! bytes. Message bytes are spliced as they came.

use axum::body::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::BytesMut;

use crate::{
    log::{Encode, Encoding, JSON, Record},
    wire,
};

/// How the records of a stream are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Messages in an array.
    Json,
    /// Text.
    Text,
    /// Bytes; in server-sent events as base64.
    Binary,
}

impl Form {
    /// The form of a content type.
    pub(super) fn of(content_type: &str) -> Self {
        match content_type {
            JSON => Self::Json,
            text if text.starts_with("text/") => Self::Text,
            _ => Self::Binary,
        }
    }

    /// The body of a page, as its readers share it.
    pub(super) fn body(self) -> Encoding {
        match self {
            Self::Json => Encoding { name: "protocol-array", encode: Encode::Records(array) },
            Self::Text | Self::Binary => {
                Encoding { name: "protocol-bytes", encode: Encode::Records(joined) }
            }
        }
    }

    /// The body of a page without records.
    pub(super) fn nothing(self) -> Bytes {
        match self {
            Self::Json => Bytes::from_static(b"[]"),
            Self::Text | Self::Binary => Bytes::new(),
        }
    }

    /// The first page of a body that goes on: as [`Form::body`] has it, with its end open.
    pub(super) fn opened(self, page: &Bytes) -> Bytes {
        match self {
            Self::Json => page.slice(..page.len().saturating_sub(1)),
            Self::Text | Self::Binary => page.clone(),
        }
    }

    /// A page behind others in the same body.
    pub(super) fn continued(self, page: &Bytes) -> Bytes {
        match self {
            Self::Json => {
                let mut out = BytesMut::with_capacity(page.len());
                out.extend_from_slice(b",");
                out.extend_from_slice(page.get(1..page.len().saturating_sub(1)).unwrap_or(b""));
                out.freeze()
            }
            Self::Text | Self::Binary => page.clone(),
        }
    }

    /// What closes such a body.
    pub(super) fn end(self) -> Bytes {
        match self {
            Self::Json => Bytes::from_static(b"]"),
            Self::Text | Self::Binary => Bytes::new(),
        }
    }

    /// The `data` event of a page, as its readers share it; nothing where there is no text yet.
    pub(super) fn event(self) -> Encoding {
        let (name, encode) = match self {
            Self::Json => ("protocol-json", Encode::Records(json_event)),
            Self::Text => ("protocol-text", Encode::Text(text_event)),
            Self::Binary => ("protocol-base64", Encode::Records(binary_event)),
        };
        Encoding { name, encode }
    }
}

fn size(records: &[Record]) -> usize {
    records.iter().map(|record| record.payload.len() + 1).sum()
}

fn joined(records: &[Record]) -> Bytes {
    let mut out = Vec::with_capacity(size(records));
    for record in records {
        out.extend_from_slice(&record.payload);
    }
    out.into()
}

fn array(records: &[Record]) -> Bytes {
    let mut out = Vec::with_capacity(size(records) + 2);
    out.push(b'[');
    for (record, index) in records.iter().zip(0..) {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&record.payload);
    }
    out.push(b']');
    out.into()
}

fn json_event(records: &[Record]) -> Bytes {
    event(&array(records))
}

fn text_event(text: &str) -> Bytes {
    if text.is_empty() { Bytes::new() } else { event(text.as_bytes()) }
}

fn binary_event(records: &[Record]) -> Bytes {
    event(STANDARD.encode(joined(records)).as_bytes())
}

/// A `data` event. Every kind of line end begins a new line, so that nothing in the data passes
/// for a field.
fn event(data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 32);
    out.extend_from_slice(b"event: data\n");
    wire::sse::data_lines(&mut out, data);
    out.push(b'\n');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Offset, Position};

    fn record(payload: &'static str) -> Record {
        let payload = Bytes::from_static(payload.as_bytes());
        Record { offset: Offset(1), position: Position(1), timestamp_ms: 0, payload }
    }

    #[test]
    fn messages_are_an_array_and_bytes_are_joined() {
        assert_eq!(array(&[record("1"), record(r#"{"a" : 2}"#)]), r#"[1,{"a" : 2}]"#);
        assert_eq!(joined(&[record("ab"), record("c")]), "abc");
        assert_eq!((Form::Json.nothing(), Form::Text.nothing()), (array(&[]), joined(&[])));
    }

    #[test]
    fn no_line_end_in_the_data_ends_the_event() {
        assert_eq!(
            text_event("a\nb\r\nc\rd\r\n\r\nevent: control"),
            "event: data\ndata:a\ndata:b\ndata:c\ndata:d\ndata:\ndata:event: control\n\n"
        );
        assert_eq!(text_event(""), "");
        assert_eq!(binary_event(&[record("\0")]), "event: data\ndata:AA==\n\n");
        assert_eq!(json_event(&[record("1\n")]), "event: data\ndata:[1\ndata:]\n\n");
    }
}
