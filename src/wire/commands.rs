//! Request and answer bodies of commands in a session, in camelCase.
//!
//! It refuses to know what ids, parts and tokens are: the domain reads those. Fields that nobody
//! here knows are passed over; one that is null counts as missing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$about:meta])* $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[$doc])*
            #[skip_serializing_none]
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
            #[serde(rename_all = "camelCase")]
            pub struct $name {
                $($(#[$about])* pub $field: Option<$type>,)*
            }
        )*
    };
}

bodies! {
    /// `POST /api/sessions`.
    StartSession {
        /// Its id, unless one is to be made.
        id: String,
        /// Its title.
        title: String,
        /// The model that answers.
        model: String,
        /// Whose model it is.
        provider: String,
        /// The session it is begun from.
        #[serde(alias = "parentId")]
        parent: String,
        /// The worker it belongs to.
        #[serde(alias = "workerId")]
        worker: String,
        /// The agent that answers.
        agent: String,
        /// Whatever its maker wants to keep with it.
        metadata: Map<String, Value>,
    }

    /// `PATCH /api/sessions/{id}`: the fields that are there.
    ChangeSession {
        /// Its title.
        title: String,
        /// The model that answers.
        model: String,
        /// Whose model it is.
        provider: String,
        /// The session it was begun from.
        #[serde(alias = "parentId")]
        parent: String,
        /// The worker it belongs to.
        #[serde(alias = "workerId")]
        worker: String,
        /// The agent that answers.
        agent: String,
        /// What it has changed in files.
        summary: Value,
        /// Where others can see it.
        share: Value,
        /// It stays when old sessions are trimmed.
        pinned: bool,
        /// It is kept out of the list.
        archived: bool,
        /// Replaces what was kept.
        metadata: Map<String, Value>,
    }

    /// `DELETE /api/sessions/{id}`, `POST …/end`, `DELETE …/queue/{messageId}`. All of it is
    /// optional, the body too.
    Because {
        /// Why.
        reason: String,
        /// Who says so.
        #[serde(alias = "userId")]
        by: String,
    }

    /// `POST …/messages`.
    SendMessage {
        /// Its id, unless one is to be made. A message that comes again has the same.
        id: String,
        /// What it says, as a text.
        text: String,
        /// What it says, in parts.
        parts: Vec<Value>,
        /// Who wrote it.
        user_id: String,
    }

    /// `POST …/interrupt`. All of it is optional, the body too.
    InterruptTurn {
        /// The turn; the one that runs unless given.
        turn_id: String,
        /// Why.
        reason: String,
        /// Who stops it.
        #[serde(alias = "userId")]
        by: String,
    }

    /// `POST …/presence`.
    NotePresence {
        /// `joined`, `heartbeat`, `cursor` or `left`. Unless given: `cursor` where there is one,
        /// else `heartbeat`.
        #[serde(rename = "type")]
        kind: String,
        /// The user.
        user_id: String,
        /// Their name.
        name: String,
        /// The colour they are shown in.
        color: String,
        /// The place they point at.
        cursor: Map<String, Value>,
        /// Why they have gone.
        reason: String,
    }

    /// `POST …/terminal/input`.
    TypeInput {
        /// The text.
        data: String,
        /// The terminal, where a session has several.
        terminal_id: String,
        /// Who typed it.
        user_id: String,
        /// Where it came from.
        source: String,
    }

    /// `POST …/permissions/{id}/reply`.
    ReplyPermission {
        /// `once`, `always` or `reject`.
        reply: String,
        /// Who answers.
        #[serde(alias = "userId")]
        by: String,
    }

    /// `POST …/turns/{turnId}/chunks`: one of `text`, `texts` and `deltas`.
    AddChunks {
        /// The index of the first piece, from 0 within the turn.
        index: u64,
        /// One text.
        text: String,
        /// Texts.
        texts: Vec<String>,
        /// Texts that are added to parts.
        deltas: Vec<PartDelta>,
    }

    /// A text that is added to a part.
    PartDelta {
        /// The part.
        part_id: String,
        /// The field of the part that grows; `text` unless given.
        field: String,
        /// What is added.
        delta: String,
    }

    /// `POST …/turns/{turnId}/complete`. All of it is optional, the body too.
    CompleteTurn {
        /// The whole answer, as a text.
        #[serde(alias = "content")]
        text: String,
        /// The whole answer, in parts.
        parts: Vec<Value>,
        /// Why the model stopped.
        finish: String,
        /// Tokens it took.
        tokens: Value,
        /// What it cost, in dollars.
        cost: f64,
    }

    /// `POST …/turns/{turnId}/fail`.
    FailTurn {
        /// An object with a `message`, or a text.
        error: Value,
    }

    /// `POST …/ready`. All of it is optional, the body too.
    SayReady {
        /// The worker that answers.
        #[serde(alias = "worker")]
        worker_id: String,
    }
}

/// The answer to every command.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandAnswer {
    /// Always true.
    pub ok: bool,
    /// The session, message or request that it is about, where the request did not name it, or a
    /// client may want to match answers by it.
    pub id: Option<String>,
    /// The turn that it is about.
    pub turn_id: Option<String>,
    /// Offset of the last event that was written, or of the one that had made it so already.
    pub offset: u64,
    /// The message waits for another turn.
    pub queued: Option<bool>,
    /// How the turn ended.
    pub outcome: Option<String>,
    /// The index of the piece that comes next.
    pub next: Option<u64>,
    /// How the request is answered.
    pub reply: Option<String>,
}
