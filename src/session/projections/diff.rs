//! What the session has changed in files, as it was said last.

use serde::{Deserialize, Serialize};

use super::Event;
use crate::{
    projection::Projection,
    session::vocabulary::{KnownEvent, diff::FileDiff},
};

/// Changes in files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// The files.
    pub files: Vec<FileDiff>,
    /// Lines added in all of them: as said, or else their sum.
    pub additions: u64,
    /// Lines deleted in all of them: as said, or else their sum.
    pub deletions: u64,
    /// When it was said, Unix milliseconds; 0 where it never was.
    pub updated_at: u64,
    /// The event that said it; 0 where none did.
    pub updated_offset: u64,
}

impl Projection for Diff {
    type Event<'a> = Event<'a>;

    const NAME: &'static str = "diff";
    const VERSION: u32 = 1;

    fn apply(&mut self, event: &Event<'_>) {
        if let Some(KnownEvent::DiffUpdated(said)) = &event.known {
            self.files.clone_from(&said.files);
            let sum =
                |of: fn(&FileDiff) -> u64| said.files.iter().map(of).fold(0, u64::saturating_add);
            self.additions = said.additions.unwrap_or_else(|| sum(|file| file.additions));
            self.deletions = said.deletions.unwrap_or_else(|| sum(|file| file.deletions));
            self.updated_at = event.timestamp_ms;
            self.updated_offset = event.offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::projections::testing::{fold, text_of};

    #[test]
    fn changes_take_the_place_of_those_before_and_are_summed_where_nobody_did() {
        let diff: Diff = fold(&[
            (
                "diff.updated",
                json!({"files": [{"path": "a", "additions": 9, "deletions": 9}], "additions": 9}),
            ),
            (
                "diff.updated",
                json!({"diffs": [
                    {"file": "b.rs", "additions": 2, "deletions": 1, "diff": "@@", "lang": "rust"},
                    {"path": "c.rs", "additions": 3, "deletions": 0, "status": "added"},
                ], "deletions": 7}),
            ),
        ]);
        insta::assert_snapshot!(text_of(&diff), @r#"
        additions: 5
        deletions: 7
        files: [{"additions":2,"deletions":1,"lang":"rust","patch":"@@","path":"b.rs"},{"additions":3,"deletions":0,"path":"c.rs","status":"added"}]
        updatedAt: 2000
        updatedOffset: 2
        "#);
    }
}
