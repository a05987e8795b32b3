//! Files that somebody brings: backups. (Bundles, frames and blocks have theirs beside their
//! private readers.)

use std::sync::LazyLock;

use proptest::prelude::*;
use scrollback::store::{
    backup::{Part, Unsealing},
    sled,
};
use tempfile::TempDir;

use crate::{
    few, fewer,
    hostile::{changed_bytes, cuts, pieces},
    server::{Asked, with_server},
};

/// A backup of the server that all targets ask.
static BACKUP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let taken = with_server(async |server| {
        let answer = server.check(&Asked::new("GET", "/api/backup")).await?.unwrap();
        assert!(!answer.goes_on, "a backup has an end");
        Ok(answer.body)
    });
    taken.unwrap()
});

fn backups() -> impl Strategy<Value = Vec<u8>> {
    changed_bytes(vec![BACKUP.clone()])
}

/// Whether the bytes pass for a whole backup.
fn is_whole(pieces: &[Vec<u8>]) -> bool {
    let mut unsealing = Unsealing::default();
    let mut ended = false;
    for piece in pieces {
        unsealing.push(piece);
        loop {
            match unsealing.part() {
                Ok(Some(part)) => ended |= part == Part::End,
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    unsealing.finish().is_ok() && ended
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn only_the_backup_that_was_taken_is_a_whole_one(bytes in backups(), cuts in cuts()) {
        prop_assert_eq!(is_whole(&pieces(&bytes, &cuts)), bytes == *BACKUP);
    }
}

proptest! {
    #![proptest_config(fewer())]

    #[test]
    fn nothing_is_restored_of_a_backup_that_was_changed(bytes in backups()) {
        let dir = TempDir::new().unwrap();
        let place = dir.path().join("data");
        let restored = sled::restore(&mut bytes.as_slice(), &place, &mut |_, _| {});
        prop_assert_eq!(restored.is_ok(), bytes == *BACKUP, "{:?}", restored);
        prop_assert_eq!(place.exists(), restored.is_ok());
        if let Ok(restored) = restored {
            prop_assert!(restored.report.problems.is_empty(), "{:?}", restored.report);
        }
    }
}
