//! May this append happen, and where do its records go? Pure: state and request in, decision out.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{
    Append, AppendError, ContentTypeMismatch, Offset, OffsetMismatch, Placed, ProducerError,
    ProducerState, SeqConflict, StreamClosed, StreamPath,
    producer::{self, Verdict},
    stream::Assigned,
};
use crate::limits;

/// An append that may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admitted {
    /// Where each record of the request is or will be, in its order.
    pub(super) placed: SmallVec<[Placed; 1]>,
    /// The tail once it is durable.
    pub(super) tail: Offset,
    /// The last batch of the producer.
    pub(super) producer: Option<ProducerState>,
    /// Nothing is to be written: all of it was before.
    pub(super) duplicate: bool,
    /// The stream is closed once it is durable.
    pub(super) closed: bool,
}

/// Checks what does not depend on the stream.
///
/// # Errors
/// The batch is empty, too long or too large, or has a record that is too large.
pub(super) fn check(append: &Append) -> Result<(), AppendError> {
    let count = append.records.len();
    if (count == 0 && !append.close) || count > limits::BATCH_RECORDS_MAX {
        return Err(AppendError::BatchCount { count, max: limits::BATCH_RECORDS_MAX });
    }
    let sizes = append.records.iter().map(|record| record.payload.len());
    let bytes: usize = sizes.clone().sum();
    if bytes > limits::BATCH_BYTES_MAX {
        return Err(AppendError::BatchBytes { bytes, max: limits::BATCH_BYTES_MAX });
    }
    match sizes.enumerate().find(|(_, bytes)| *bytes > limits::RECORD_BYTES_MAX) {
        Some((index, bytes)) => {
            Err(AppendError::RecordTooLarge { index, bytes, max_bytes: limits::RECORD_BYTES_MAX })
        }
        None => Ok(()),
    }
}

/// Decides an append against the state of its stream.
///
/// What was written before comes first: known ids, a producer's known batch, the close of a closed
/// stream. A resend of it is answered as such, whatever has changed since. Then a fenced producer,
/// closed, content type, the order of batches, the writer's sequence, the expected offset.
///
/// # Errors
/// The first condition that fails.
pub(super) fn admit(
    path: &StreamPath,
    state: &Assigned,
    append: &Append,
) -> Result<Admitted, AppendError> {
    let admitted = place(state, append);
    if admitted.duplicate {
        return Ok(admitted);
    }
    let known = append.producer.as_ref().and_then(|producer| state.producers.get(&producer.id));
    let verdict =
        append.producer.as_ref().map(|batch| producer::decide(known.copied(), batch)).transpose();
    let closes_only = append.close && append.records.is_empty() && append.producer.is_none();
    match verdict {
        Ok(Some(Verdict::Duplicate(last))) => return Ok(again(state, append, Some(last))),
        Ok(None) if state.meta.closed && closes_only => return Ok(again(state, append, None)),
        Err(error @ ProducerError::Fenced { .. }) => return Err(error.into()),
        Ok(_) | Err(_) if state.meta.closed => {
            return Err(StreamClosed { path: path.clone(), tail: state.tail }.into());
        }
        Ok(_) | Err(_) => {}
    }
    check_content_type(state, append)?;
    let producer = match verdict? {
        Some(Verdict::New(new) | Verdict::Duplicate(new)) => Some(new),
        None => None,
    };
    if known.is_none() && producer.is_some() && state.producers.len() >= limits::PRODUCERS_MAX {
        return Err(AppendError::TooManyProducers { max: limits::PRODUCERS_MAX });
    }
    if let (Some(given), Some(last)) = (&append.seq, &state.seq)
        && given.as_bytes() <= last.as_bytes()
    {
        return Err(SeqConflict { given: given.to_string(), last: last.to_string() }.into());
    }
    match append.expected {
        Some(expected) if expected != state.tail => {
            Err(OffsetMismatch { expected, actual: state.tail }.into())
        }
        _ => Ok(Admitted { producer, ..admitted }),
    }
}

fn check_content_type(state: &Assigned, append: &Append) -> Result<(), AppendError> {
    let Some(given) = append.content_type.as_deref() else { return Ok(()) };
    let actual = &*state.meta.content_type;
    if append.records.is_empty() || essence(given) == essence(actual) {
        return Ok(());
    }
    Err(ContentTypeMismatch { given: given.to_owned(), actual: actual.to_owned() }.into())
}

/// A media type without its parameters.
#[must_use]
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim_ascii()
}

/// The answer to what was written before.
fn again(state: &Assigned, append: &Append, producer: Option<ProducerState>) -> Admitted {
    let placed = Placed { offset: state.tail, duplicate: true };
    Admitted {
        placed: append.records.iter().map(|_| placed).collect(),
        tail: state.tail,
        producer,
        duplicate: true,
        closed: state.meta.closed,
    }
}

fn place(state: &Assigned, append: &Append) -> Admitted {
    let mut tail = state.tail;
    let mut own: HashMap<&str, Offset> = HashMap::new();
    let alone = append.records.len() == 1;
    let placed = append.records.iter().map(|record| {
        let id = record.id.as_deref().filter(|_| !append.verbatim);
        let known = id.and_then(|id| state.ids.get(id).or_else(|| own.get(id).copied()));
        if let Some(offset) = known {
            return Placed { offset, duplicate: true };
        }
        tail = tail.plus(1);
        // An id may also stand twice in one batch; a batch of one has no second.
        if let (Some(id), false) = (id, alone) {
            own.insert(id, tail);
        }
        Placed { offset: tail, duplicate: false }
    });
    let placed: SmallVec<[Placed; 1]> = placed.collect();
    let duplicate = !placed.is_empty() && placed.iter().all(|placed| placed.duplicate);
    let closed = state.meta.closed || append.close;
    Admitted { placed, tail, producer: None, duplicate, closed }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::{
        log::{JSON, NewRecord, StreamSpec, meta::StreamMeta, stream::OpenStream},
        store::StreamNo,
    };

    fn path() -> StreamPath {
        StreamPath::parse("sessions/a").unwrap()
    }

    fn with_state<T>(change: impl FnOnce(&mut Assigned), ask: impl FnOnce(&Assigned) -> T) -> T {
        let meta = StreamMeta::new(&StreamSpec::json(), 1, 0);
        let open = OpenStream::fresh(&path(), StreamNo(1), meta);
        let mut assigned = open.assigned();
        assigned.tail = Offset(7);
        assigned.ids.push(Arc::from("old"), Offset(3), 0);
        change(&mut assigned);
        ask(&assigned)
    }

    fn append(ids: &[Option<&str>]) -> Append {
        Append::json(
            ids.iter()
                .map(|id| NewRecord { id: id.map(Arc::from), payload: Bytes::from_static(b"{}") }),
        )
    }

    fn offsets(admitted: &Admitted) -> Vec<(u64, bool)> {
        admitted.placed.iter().map(|placed| (placed.offset.0, placed.duplicate)).collect()
    }

    #[test]
    fn records_are_placed_behind_the_tail_in_order() {
        let admitted =
            with_state(|_| (), |state| admit(&path(), state, &append(&[None, Some("x")])).unwrap());
        assert_eq!(offsets(&admitted), [(8, false), (9, false)]);
        assert_eq!(admitted.tail, Offset(9));
    }

    #[test]
    fn a_known_id_is_answered_with_its_first_offset_and_takes_no_place() {
        let batch = append(&[Some("new"), Some("old"), Some("new"), None]);
        let admitted = with_state(|_| (), |state| admit(&path(), state, &batch).unwrap());
        assert_eq!(offsets(&admitted), [(8, false), (3, true), (8, true), (9, false)]);
    }

    #[test]
    fn a_copy_takes_a_place_for_each_record_whatever_ids_are_known() {
        let copy = Append {
            verbatim: true,
            expected: Some(Offset(7)),
            ..append(&[Some("old"), Some("new"), Some("new")])
        };
        let admitted = with_state(|_| (), |state| admit(&path(), state, &copy).unwrap());
        assert_eq!(offsets(&admitted), [(8, false), (9, false), (10, false)]);
        let late = Append { expected: Some(Offset(6)), ..copy };
        assert!(with_state(|_| (), |state| admit(&path(), state, &late)).is_err());
    }

    #[test]
    fn a_retry_is_a_duplicate_though_the_tail_moved_and_the_stream_was_closed() {
        let retry = Append { expected: Some(Offset(2)), ..append(&[Some("old")]) };
        let admitted = with_state(
            |state| state.meta.closed = true,
            |state| admit(&path(), state, &retry).unwrap(),
        );
        assert!(admitted.duplicate);
        assert_eq!(admitted.tail, Offset(7));
    }

    #[test]
    fn the_expected_offset_must_be_the_tail() {
        let right = Append { expected: Some(Offset(7)), ..append(&[None]) };
        let wrong = Append { expected: Some(Offset(6)), ..append(&[None]) };
        with_state(
            |_| (),
            |state| {
                assert!(admit(&path(), state, &right).is_ok());
                assert_eq!(
                    admit(&path(), state, &wrong),
                    Err(OffsetMismatch { expected: Offset(6), actual: Offset(7) }.into())
                );
            },
        );
    }

    #[test]
    fn a_closed_stream_and_a_foreign_content_type_are_refused() {
        let closed = with_state(
            |state| state.meta.closed = true,
            |state| admit(&path(), state, &append(&[None])),
        );
        assert_eq!(closed, Err(StreamClosed { path: path(), tail: Offset(7) }.into()));
        let text = Append { content_type: Some(Arc::from("text/plain")), ..append(&[None]) };
        let refused = with_state(|_| (), |state| admit(&path(), state, &text));
        assert!(
            matches!(refused, Err(AppendError::ContentType(ref fact)) if fact.actual == JSON),
            "{refused:?}"
        );
    }

    #[test]
    fn batches_and_records_are_bounded() {
        let none: [Option<&str>; 0] = [];
        assert!(matches!(check(&append(&none)), Err(AppendError::BatchCount { count: 0, .. })));
        let many = append(&vec![None; limits::BATCH_RECORDS_MAX + 1]);
        assert!(matches!(check(&many), Err(AppendError::BatchCount { .. })));
        let mut heavy = append(&vec![None; 40]);
        for record in &mut heavy.records {
            record.payload = Bytes::from(vec![b' '; limits::RECORD_BYTES_MAX]);
        }
        assert!(matches!(check(&heavy), Err(AppendError::BatchBytes { .. })));
        let mut large = append(&[None, None]);
        large.records[1].payload = Bytes::from(vec![b' '; limits::RECORD_BYTES_MAX + 1]);
        assert!(matches!(check(&large), Err(AppendError::RecordTooLarge { index: 1, .. })));
    }
}
