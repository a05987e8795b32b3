//! Which channel a type belongs to, and which type is meant where a writer uses a short name.
//! Pure.

use super::Kind;

/// The first segment of types, and their channel.
const CHANNELS: &[(&str, &str)] = &[
    ("message", "message"),
    ("session", "session"),
    ("turn", "session"),
    ("chunk", "chunks"),
    ("tool", "toolCalls"),
    ("queue", "queue"),
    ("presence", "presence"),
    ("terminal", "terminal"),
    ("agent", "agentState"),
    ("permission", "permission"),
    ("todo", "todo"),
    ("diff", "diff"),
    ("config", "config"),
    ("app", "app"),
    ("worker", "app"),
];

/// Types of one word that have a channel of their own, and what they mean there.
const WORDS: &[(&str, &str, Kind)] = &[
    ("chunks", "chunk", Kind::ChunkAppended),
    ("chunks", "chunks", Kind::ChunkAppended),
    ("agentState", "agentState", Kind::AgentState),
    ("todo", "todo", Kind::TodoUpdated),
    ("diff", "diff", Kind::DiffUpdated),
];

/// The channel of a type that comes without one: that of its first segment.
#[must_use]
pub fn channel_of(kind: &str) -> Option<&'static str> {
    let (first, _) = kind.split_once('.')?;
    CHANNELS.iter().find(|(segment, _)| *segment == first).map(|(_, channel)| *channel)
}

impl Kind {
    /// The channel it belongs to.
    #[must_use]
    pub fn channel(self) -> &'static str {
        // Every kind has a first segment of the table; a test says so.
        channel_of(self.as_str()).unwrap_or_default()
    }

    /// The kind that a fold understands by a type on a channel: also under the short names that
    /// some writers use, such as `input` on channel `terminal`.
    #[must_use]
    pub fn meant(channel: &str, kind: &str) -> Option<Self> {
        resolve(channel, kind)
    }
}

/// The kind that is meant by a type on a channel: the type itself, or a word that becomes one
/// behind the channel's segment.
pub(super) fn resolve(channel: &str, kind: &str) -> Option<Kind> {
    if kind.contains('.') {
        return Kind::of(kind);
    }
    let word = WORDS.iter().find(|(on, word, _)| *on == channel && *word == kind);
    let word = word.map(|(.., kind)| *kind);
    word.or_else(|| {
        let segments = CHANNELS.iter().filter(|(_, name)| *name == channel);
        segments.into_iter().find_map(|(segment, _)| Kind::of(&format!("{segment}.{kind}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_channel_and_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert!(!kind.channel().is_empty(), "{kind:?}");
            assert_eq!(Kind::of(kind.as_str()), Some(*kind));
        }
    }

    #[test]
    fn a_channel_is_derived_from_the_first_segment_only() {
        assert_eq!(channel_of("message.part.whatever"), Some("message"));
        assert_eq!(channel_of("worker.online"), Some("app"));
        for kind in ["message", "server.connected", "messages.x", "", "."] {
            assert_eq!(channel_of(kind), None, "{kind}");
        }
    }

    #[test]
    fn short_names_are_understood_on_their_channel() {
        assert_eq!(resolve("terminal", "input"), Some(Kind::TerminalInput));
        assert_eq!(resolve("chunks", "chunk"), Some(Kind::ChunkAppended));
        assert_eq!(resolve("agentState", "step"), Some(Kind::AgentStep));
        assert_eq!(resolve("app", "online"), Some(Kind::WorkerOnline));
        assert_eq!(resolve("anything", "terminal.input"), Some(Kind::TerminalInput));
        assert_eq!(resolve("message", "input"), None);
        assert_eq!(resolve("reactions", "created"), None);
    }
}
