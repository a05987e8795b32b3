//! Playing a session: its events at their pace on a terminal, all at once in a pipe.
//!
//! It refuses to know how an event looks. Invariant: whatever the pace, the text is the same.

use anyhow::Result;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Span,
    events::Pages,
    pace::{GAP_MAX, Pace, Speed},
    render::Renderer,
    speech::Speech,
};
use crate::{
    cli::{
        output::{Output, notice},
        stream_name::StreamName,
    },
    client::{Client, StateAt},
    clock::{Clock, SystemClock},
};

/// A play of some events of a stream.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) client: Client,
    pub(super) stream: StreamName,
    /// Only these, with commas between them.
    pub(super) channels: Option<String>,
    pub(super) speed: Option<Speed>,
    pub(super) span: Span,
}

impl Play {
    /// Plays to the end.
    pub(super) async fn run(self, output: &mut Output) -> Result<()> {
        let Span { after, until, is_trimmed } = self.span;
        let is_live = output.is_for_people();
        let speed = if is_live { self.speed.unwrap_or(Speed::Times(1.0)) } else { Speed::Max };
        if is_trimmed {
            notice(&format!(
                "events up to offset {after} are no longer kept; this begins behind them"
            ));
        }
        if is_live && speed != Speed::Max {
            let (events, secs) = (until.saturating_sub(after), GAP_MAX.as_secs());
            notice(&format!(
                "{events} events; pauses are cut to {secs} s before the speed counts; --speed max does not wait"
            ));
        }
        let mut renderer = Renderer::new(output.paint(), self.speech().await);
        let Self { client, stream, channels, .. } = self;
        let mut events = Pages::new(client, stream.path(), after, channels);
        let (mut pace, began) = (Pace::new(speed), Instant::now());
        while let Some(event) = events.next().await?.filter(|event| event.offset() <= until) {
            let due = pace.due(event.timestamp_ms());
            if let Some(wait) = due.checked_sub(began.elapsed()).filter(|_| speed != Speed::Max) {
                output.flush()?;
                SystemClock.sleep(wait).await;
            }
            output.text(&renderer.show(&event))?;
        }
        output.text(&renderer.end())?;
        Ok(output.flush()?)
    }

    /// Who spoke before the first event, and what. Where that is not known, names are taken from
    /// events, and text that was begun before is shown whole when it comes again.
    async fn speech(&self) -> Speech {
        let mut speech = Speech::default();
        let Ok(id) = self.stream.session() else { return speech };
        if self.span.after > 0 {
            let at = StateAt::Offset(self.span.after);
            if let Ok(state) = self.client.session(id).state(at, &["messages"]).await {
                let messages: Vec<Value> = state.get("messages").ok().flatten().unwrap_or_default();
                speech.know(&messages);
            }
        }
        speech
    }
}
