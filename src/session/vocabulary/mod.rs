//! What is said in a session: one module for each channel, with a type for the data of each event.
//!
//! It refuses to know how events are stored and answered. Invariants: reading is pure and total,
//! and stored bytes are never made from these types again, so that fields nobody here knows pass
//! through.
//!
//! Names with `ID` at their end are taken beside those with `Id`; unknown fields are allowed
//! everywhere.

use self::{
    agent::{AgentState, AgentStep},
    app::{AppStarted, AppStopped},
    chunks::ChunkAppended,
    config::{
        ConfigAgentSelected, ConfigModelSelected, ConfigProviderAdded, ConfigProviderRemoved,
        ConfigProviderUpdated, ConfigRuleToggled,
    },
    diff::DiffUpdated,
    message::{MessageCompleted, MessageCreated, MessageRemoved, MessageUpdated},
    part::{MessagePartDelta, MessagePartRemoved, MessagePartUpdated},
    permission::{PermissionAsked, PermissionReplied},
    presence::{PresenceCursor, PresenceHeartbeat, PresenceJoined, PresenceLeft},
    queue::{QueueAdded, QueueRemoved},
    session::{
        SessionCreated, SessionDeleted, SessionEnded, SessionReady, SessionStatus, SessionUpdated,
    },
    terminal::{TerminalExit, TerminalInput, TerminalOutput, TerminalResize},
    todo::TodoUpdated,
    tool_calls::{ToolCompleted, ToolError, ToolPending, ToolRunning},
    turn::{TurnCompleted, TurnFailed, TurnInterrupted, TurnStarted},
    worker::{WorkerOffline, WorkerOnline},
};
pub use self::{
    common::{CacheTokens, Fault, Id, Times, Tokens},
    field::{FieldError, read_field, read_text},
    names::channel_of,
};

pub mod agent;
pub mod app;
pub mod chunks;
mod common;
pub mod config;
pub mod diff;
#[cfg(test)]
mod document;
#[cfg(test)]
mod examples;
mod field;
pub mod message;
mod names;
pub mod part;
pub mod permission;
pub mod presence;
pub mod queue;
mod quick;
pub mod session;
mod shape;
pub mod terminal;
pub mod todo;
pub mod tool_calls;
pub mod turn;
pub mod worker;

/// The data of one kind of event.
pub trait Said: Sized {
    /// The kind.
    const KIND: Kind;

    /// The data, where the event is of this kind.
    fn of(event: KnownEvent) -> Option<Self>;
}

macro_rules! vocabulary {
    ($($text:literal = $name:ident;)*) => {
        /// The types of events that mean something here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Kind {
            /// All of them, channel by channel.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The kind that a `type` names. One match on the text and nothing else.
            #[must_use]
            pub fn of(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The `type`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the data of an event of this kind.
            ///
            /// # Errors
            /// [`FieldError`], whose path begins with `data`.
            pub fn parse(self, data: &str) -> Result<KnownEvent, FieldError> {
                field::is_object(data)?;
                let event = match self {
                    $(Self::$name => field::from_text(data).map(KnownEvent::$name),)*
                };
                let whole = event.and_then(|event| event.lacks().map_or(Ok(event), Err));
                whole.map_err(|error| error.below("data"))
            }

            #[cfg(test)]
            fn schema(self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $(Self::$name => generator.subschema_for::<$name>(),)* }
            }
        }

        /// An event with its data.
        #[derive(Debug, Clone, PartialEq)]
        pub enum KnownEvent {
            $(#[doc = concat!("`", $text, "`")] $name($name),)*
        }

        impl KnownEvent {
            /// What kind of event it is.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)* }
            }

            /// Its data as JSON.
            ///
            /// # Errors
            /// None that these types can cause; serde's signature has one.
            pub fn data(&self) -> serde_json::Result<Box<serde_json::value::RawValue>> {
                match self { $(Self::$name(data) => serde_json::value::to_raw_value(data),)* }
            }
        }

        $(
            impl Said for $name {
                const KIND: Kind = Kind::$name;

                fn of(event: KnownEvent) -> Option<Self> {
                    match event {
                        KnownEvent::$name(data) => Some(data),
                        _ => None,
                    }
                }
            }
        )*
    };
}

vocabulary! {
    "session.created" = SessionCreated;
    "session.updated" = SessionUpdated;
    "session.deleted" = SessionDeleted;
    "session.status" = SessionStatus;
    "session.ready" = SessionReady;
    "session.ended" = SessionEnded;
    "turn.started" = TurnStarted;
    "turn.completed" = TurnCompleted;
    "turn.interrupted" = TurnInterrupted;
    "turn.failed" = TurnFailed;
    "message.created" = MessageCreated;
    "message.updated" = MessageUpdated;
    "message.completed" = MessageCompleted;
    "message.removed" = MessageRemoved;
    "message.part.updated" = MessagePartUpdated;
    "message.part.delta" = MessagePartDelta;
    "message.part.removed" = MessagePartRemoved;
    "chunk.appended" = ChunkAppended;
    "tool.pending" = ToolPending;
    "tool.running" = ToolRunning;
    "tool.completed" = ToolCompleted;
    "tool.error" = ToolError;
    "queue.added" = QueueAdded;
    "queue.removed" = QueueRemoved;
    "presence.joined" = PresenceJoined;
    "presence.heartbeat" = PresenceHeartbeat;
    "presence.cursor" = PresenceCursor;
    "presence.left" = PresenceLeft;
    "terminal.input" = TerminalInput;
    "terminal.output" = TerminalOutput;
    "terminal.resize" = TerminalResize;
    "terminal.exit" = TerminalExit;
    "agent.state" = AgentState;
    "agent.step" = AgentStep;
    "permission.asked" = PermissionAsked;
    "permission.replied" = PermissionReplied;
    "todo.updated" = TodoUpdated;
    "diff.updated" = DiffUpdated;
    "config.provider.added" = ConfigProviderAdded;
    "config.provider.updated" = ConfigProviderUpdated;
    "config.provider.removed" = ConfigProviderRemoved;
    "config.model.selected" = ConfigModelSelected;
    "config.rule.toggled" = ConfigRuleToggled;
    "config.agent.selected" = ConfigAgentSelected;
    "app.started" = AppStarted;
    "app.stopped" = AppStopped;
    "worker.online" = WorkerOnline;
    "worker.offline" = WorkerOffline;
}

impl KnownEvent {
    /// Reads an event by its `type` and the JSON text of its `data`. `None` where the type is
    /// unknown.
    #[must_use]
    pub fn parse(kind: &str, data: &str) -> Option<Result<Self, FieldError>> {
        Kind::of(kind).map(|kind| kind.parse(data))
    }

    /// Reads an event as a fold does: also under the short names that some writers use, such as
    /// type `input` on channel `terminal`. What is unknown, or does not fit its type, is `None`
    /// and means nothing.
    #[must_use]
    pub fn read(channel: &str, kind: &str, data: &str) -> Option<Self> {
        names::resolve(channel, kind)?.parse(data).ok()
    }

    /// Rules that go beyond one field.
    fn lacks(&self) -> Option<FieldError> {
        let missing = |field, rule: &str| Some(FieldError::new(field, rule));
        match self {
            Self::ChunkAppended(chunk) if !chunk.has_home() => {
                missing("agentId", "is missing, and so are `turnId` and `messageId`")
            }
            Self::ToolPending(ToolPending(call)) if call.tool.is_none() => {
                missing("tool", "is missing")
            }
            Self::ToolError(ToolError(call)) if call.error.is_none() => {
                missing("error", "is missing")
            }
            Self::PermissionAsked(PermissionAsked(request))
                if request.permission.is_none() && request.tool.is_none() =>
            {
                missing("permission", "is missing, and so is `tool`")
            }
            _ => None,
        }
    }
}
