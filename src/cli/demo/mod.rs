//! `scrollback demo`: plays a sample session into a running server as if it happened now. It
//! appends like any client, into a session of its own, so it can be played again and again.

mod script;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use ulid::Ulid;

pub(super) use self::script::speed;
use super::{connection::ServerUrl, output::notice};
use crate::clock::{Clock, SystemClock};

/// The sessions that come with the program.
const BUNDLED: &[(&str, &str)] = &[
    ("coding-agent", include_str!("../../../fixtures/sessions/coding-agent.ndjson")),
    ("team-chat", include_str!("../../../fixtures/sessions/team-chat.ndjson")),
    ("terminal", include_str!("../../../fixtures/sessions/terminal.ndjson")),
];
/// A pause in the original that is longer is cut to this.
const GAP_MAX: Duration = Duration::from_secs(2);
/// Events that fall due together and go in one append.
const TOGETHER_MAX: usize = 100;

/// Play a sample session into a running server
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// coding-agent, team-chat or terminal, or an NDJSON file of events
    #[arg(long, value_name = "NAME|FILE", default_value = "coding-agent")]
    session: String,
    /// How much faster than it happened, such as 4x or 0.5x
    #[arg(long, default_value = "4x", value_parser = speed)]
    speed: f64,
    #[command(flatten)]
    server: ServerUrl,
}

impl Demo {
    /// Plays it to its end.
    pub(super) async fn run(self) -> Result<()> {
        let client = self.server.client()?;
        let (name, text) = self.script()?;
        let lines = script::parse(&text)?;
        let due = script::due(&lines, GAP_MAX, self.speed);
        let id = fresh_id(&name);
        // Fails before anything is said where no server is.
        client.streams(None, None).await?;
        let events = lines.len();
        notice(&format!("playing {name}, {events} events, at {}x into session {id}", self.speed));
        notice(&format!(
            "follow it with:  curl -N '{}?fromOffset=0'",
            client.url(&format!("/api/sessions/{id}/stream"))
        ));
        writeln!(io::stdout(), "{id}")?;
        let bar = progress(events as u64);
        let began = Instant::now();
        let path = format!("sessions/{id}");
        let mut rest = lines.iter().zip(&due).peekable();
        while let Some(&(_, due)) = rest.peek() {
            SystemClock.sleep(due.saturating_sub(began.elapsed())).await;
            let mut body = Vec::new();
            let mut together = 0;
            while let Some((line, _)) = rest.next_if(|(_, due)| **due <= began.elapsed()) {
                line.write_at(SystemClock.now_ms(), &mut body)?;
                together += 1;
                if together == TOGETHER_MAX {
                    break;
                }
            }
            if together > 0 {
                client.append(&path, body).await?;
                bar.inc(together as u64);
            }
        }
        bar.finish_and_clear();
        notice(&format!("done: {events} events in {path}"));
        Ok(())
    }

    /// The name and text of what to play.
    fn script(&self) -> Result<(String, String)> {
        if let Some((name, text)) = BUNDLED.iter().find(|(name, _)| *name == self.session) {
            return Ok(((*name).to_owned(), (*text).to_owned()));
        }
        let path = PathBuf::from(&self.session);
        let text = fs::read_to_string(&path).with_context(|| {
            let names: Vec<_> = BUNDLED.iter().map(|(name, _)| *name).collect();
            format!("{:?} is neither a file nor one of {}", self.session, names.join(", "))
        })?;
        let stem = path.file_stem().map_or_else(|| "demo".into(), |stem| stem.to_string_lossy());
        Ok((stem.into_owned(), text))
    }
}

/// A session id that no earlier play had.
fn fresh_id(name: &str) -> String {
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
    let ulid = Ulid::from_parts(SystemClock.now_ms(), rand::random()).to_string().to_lowercase();
    format!("demo-{name}-{ulid}")
}

fn progress(events: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} events, {elapsed}");
    ProgressBar::new(events).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_session_can_be_played() {
        for (name, text) in BUNDLED {
            let lines = script::parse(text).unwrap();
            assert!(lines.len() >= 1_000, "{name}");
        }
    }

    #[test]
    fn a_session_id_is_new_each_time_and_fits_a_path() {
        let id = fresh_id("my session/ä");
        assert!(id.starts_with("demo-mysession-"), "{id}");
        assert_ne!(id, fresh_id("my session/ä"));
    }
}
