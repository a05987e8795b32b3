//! The operations that may happen to a store, and how often each does.

use proptest::prelude::*;

/// What may happen. Streams are named by the paths they may have; numbers are taken modulo what
/// there is.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Create {
        path: u8,
        tail: u64,
        records: u8,
    },
    Append {
        path: u8,
        records: u8,
        size: u16,
        late: bool,
        meta: Option<(u8, bool)>,
        due: Option<u8>,
    },
    Trim {
        path: u8,
        back: u8,
    },
    Delete {
        path: u8,
    },
    Checkpoint {
        path: u8,
        name: u8,
        size: u16,
    },
    Read {
        path: u8,
        after: u8,
        records: u8,
        bytes: u16,
    },
    ReadAll {
        after: u8,
        records: u8,
        bytes: u16,
    },
    Seek {
        path: u8,
        time: u8,
    },
    List {
        prefix: u8,
        after: u8,
        limit: u8,
    },
    Due {
        now: u8,
        limit: u8,
    },
    Old {
        stream: u8,
    },
    Compact,
    Reopen,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let meta = proptest::option::weighted(0.3, (0..3_u8, any::<bool>()));
    let due = proptest::option::weighted(0.3, 1..60_u8);
    let path = 0..6_u8;
    prop_oneof![
        3 => (path.clone(), 0..3_u64, 0..4_u8)
            .prop_map(|(path, tail, records)| Op::Create { path, tail, records }),
        12 => (path.clone(), 0..20_u8, 0..2_500_u16, prop::bool::weighted(0.1), meta, due).prop_map(
            |(path, records, size, late, meta, due)| Op::Append {
                path, records, size, late, meta, due
            }
        ),
        3 => (path.clone(), any::<u8>()).prop_map(|(path, back)| Op::Trim { path, back }),
        1 => path.clone().prop_map(|path| Op::Delete { path }),
        2 => (path.clone(), 0..2_u8, 0..900_u16)
            .prop_map(|(path, name, size)| Op::Checkpoint { path, name, size }),
        4 => (path.clone(), any::<u8>(), 0..40_u8, 0..9_000_u16).prop_map(
            |(path, after, records, bytes)| Op::Read { path, after, records, bytes }
        ),
        2 => (any::<u8>(), 0..40_u8, 0..9_000_u16)
            .prop_map(|(after, records, bytes)| Op::ReadAll { after, records, bytes }),
        2 => (path.clone(), any::<u8>()).prop_map(|(path, time)| Op::Seek { path, time }),
        2 => (0..4_u8, 0..8_u8, 1..8_u8)
            .prop_map(|(prefix, after, limit)| Op::List { prefix, after, limit }),
        2 => (0..70_u8, 1..5_u8).prop_map(|(now, limit)| Op::Due { now, limit }),
        1 => any::<u8>().prop_map(|stream| Op::Old { stream }),
        3 => Just(Op::Compact),
        1 => Just(Op::Reopen),
    ]
}

pub(crate) fn path_of(path: u8) -> String {
    ["a", "a/1", "a/2", "b", "b/ü", "c"][usize::from(path) % 6].to_owned()
}
