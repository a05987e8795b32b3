//! `scrollback grep`: a pattern in the text of events, over all sessions or some.
//!
//! It refuses to know what events mean. Each stream is read by itself: the list of streams says
//! which of them have anything new enough, and the server finds the place of a time in each, so
//! that old records are not read at all. Invariant: a few pages are in memory, however much is
//! read; streams come in the order of their paths.

mod matching;
mod report;
mod texts;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, stream};

use self::{
    matching::Matcher,
    report::{Report, Show},
};
use super::{
    connection::{ServerUrl, block_on},
    error_line, is_broken_pipe,
    moment::Moment,
    output::{Form, notice},
    stream_name::StreamName,
};
use crate::{
    client::{Client, ClientError, Event, ReadQuery},
    clock::{Clock, SystemClock},
    limits,
    wire::{
        JSON,
        bodies::{EventsAnswer, StreamBody},
    },
};

/// The exit status of a search that was not made, as of other programs of this name.
const COULD_NOT_LOOK: u8 = 2;
/// Streams whose first page is asked for ahead: many are short, and then asking is all the time.
const AHEAD: usize = 8;

/// Find a pattern in the text of events; ends with 0 if found, 1 if not, 2 if it cannot look
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
pub(super) struct Grep {
    /// A regular expression; each line of each text of an event is looked at by itself
    #[arg(value_parser = is_pattern)]
    pattern: String,
    /// In any case
    #[arg(short, long)]
    ignore_case: bool,
    /// Only the names of sessions with a match
    #[arg(short = 'l', long, conflicts_with_all = ["count", "json"])]
    names: bool,
    /// Only how many events match, for each session with a match
    #[arg(short, long, conflicts_with = "json")]
    count: bool,
    /// One JSON object for each event that matches
    #[arg(long)]
    json: bool,
    /// At most so many events; with -l and -c sessions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only in this session; may be given several times
    #[arg(long, value_name = "SESSION", conflicts_with = "prefix")]
    session: Vec<StreamName>,
    /// Only in streams whose path begins so
    #[arg(long, default_value = "sessions/")]
    prefix: String,
    /// Only these channels, with commas between them
    #[arg(long, value_name = "NAMES")]
    channel: Option<String>,
    /// Only these types, with commas between them; tool.* is all that begin so
    #[arg(long = "type", value_name = "NAMES", value_delimiter = ',')]
    types: Vec<String>,
    /// Only what was appended since: 2h, 2026-11-20T10:00:00Z, or Unix milliseconds
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    #[command(flatten)]
    server: ServerUrl,
}

fn is_pattern(text: &str) -> Result<String, String> {
    matching::pattern(text, false).map(|_| text.to_owned()).map_err(|error| format!("{error:#}"))
}

impl Grep {
    /// Prints what matches.
    pub(super) fn run(self) -> Result<ExitCode> {
        match block_on(self.search()) {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(ExitCode::FAILURE),
            Err(error) if is_broken_pipe(&error) => Err(error),
            Err(error) => {
                notice(&error_line(&error));
                Ok(COULD_NOT_LOOK.into())
            }
        }
    }

    async fn search(self) -> Result<bool> {
        let pattern = matching::pattern(&self.pattern, self.ignore_case)?;
        let show = match () {
            () if self.json => Show::Json,
            () if self.names => Show::Names,
            () if self.count => Show::Counts,
            () => Show::Lines,
        };
        let mut search = Search {
            client: self.server.client()?,
            matcher: Matcher::new(pattern, self.types),
            channels: self.channel,
            since_ms: self.since.map(|moment| moment.unix_ms(SystemClock.now_ms())),
            report: Report::new(Form::default().open(), show, self.limit),
        };
        if self.session.is_empty() {
            search.below(&self.prefix).await?;
        } else {
            let mut streams = Vec::new();
            for session in &self.session {
                streams.push(search.client.stream(session.path()).await?);
            }
            search.streams(streams).await?;
        }
        search.report.finish()
    }
}

/// A search under way.
struct Search {
    client: Client,
    matcher: Matcher,
    channels: Option<String>,
    since_ms: Option<u64>,
    report: Report,
}

impl Search {
    /// Looks into all streams whose path begins so.
    async fn below(&mut self, prefix: &str) -> Result<()> {
        let mut cursor = None;
        loop {
            let page = self.client.streams(Some(prefix), cursor.as_deref()).await?;
            self.streams(page.streams).await?;
            cursor = page.cursor;
            if cursor.is_none() || self.report.is_enough() {
                return Ok(());
            }
        }
    }

    /// Looks into streams, one after the other.
    async fn streams(&mut self, streams: Vec<StreamBody>) -> Result<()> {
        let since_ms = self.since_ms;
        let wanted = streams.into_iter().filter(|stream| has_any(stream, since_ms));
        let (client, channels) = (self.client.clone(), self.channels.clone());
        let mut firsts = stream::iter(wanted)
            .map(|stream| first_page(&client, stream, channels.clone(), since_ms))
            .buffered(AHEAD);
        while let Some(first) = firsts.next().await {
            let (path, page) = first?;
            if let Some(page) = page {
                self.stream(&path, page).await?;
            }
            if self.report.is_enough() {
                break;
            }
        }
        Ok(())
    }

    /// Looks into a stream, of which the first page is there.
    async fn stream(&mut self, path: &str, first: EventsAnswer) -> Result<()> {
        self.report.begin(path);
        let mut page = Some(first);
        while let Some(answer) = page.take() {
            self.page(&answer)?;
            if answer.has_more && !self.report.is_enough_here() {
                page = read(&self.client, path, self.channels.clone(), answer.next_offset).await?;
            }
        }
        self.report.end()
    }

    fn page(&mut self, answer: &EventsAnswer) -> Result<()> {
        for event in &answer.events {
            let event = Event::read(event.get().to_owned())
                .context("the server's events cannot be read; is it of another version?")?;
            let found = self.matcher.found(&event);
            if !found.is_empty() {
                self.report.found(&event, &found)?;
                if self.report.is_enough_here() {
                    break;
                }
            }
        }
        self.report.looked_at(answer.events.len());
        Ok(())
    }
}

/// Whether a stream may hold what is looked for: events, and some that are new enough.
fn has_any(stream: &StreamBody, since_ms: Option<u64>) -> bool {
    let is_new = since_ms.is_none_or(|since| stream.last_append_at.is_some_and(|at| at >= since));
    is_new && stream.earliest <= stream.tail && stream.content_type.starts_with(JSON)
}

/// The first page of a stream, with its path; none where the stream went away meanwhile.
async fn first_page(
    client: &Client,
    stream: StreamBody,
    channels: Option<String>,
    since_ms: Option<u64>,
) -> Result<(String, Option<EventsAnswer>)> {
    let path = stream.path;
    let kept = stream.earliest.saturating_sub(1);
    let from = match since_ms {
        None => Ok(kept),
        Some(since) => client.place_at(&path, since).await.map(|place| place.max(kept)),
    };
    let page = match from {
        Ok(from) => read(client, &path, channels, from).await?,
        Err(error) if is_gone(&error) => None,
        Err(error) => return Err(error.into()),
    };
    Ok((path, page))
}

/// The page after an offset, or after what is no longer kept behind it; none where the stream
/// went away.
async fn read(
    client: &Client,
    path: &str,
    channels: Option<String>,
    from: u64,
) -> Result<Option<EventsAnswer>> {
    let limit = Some(limits::EVENTS_LIMIT_MAX as u64);
    let mut query = ReadQuery { from_offset: from, limit, channels };
    loop {
        match client.events(path, &query).await {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => match resumes(&error, query.from_offset) {
                Some(place) => {
                    let lost = format!("{path}: events up to offset {place} cannot be read");
                    notice(&lost);
                    query.from_offset = place;
                }
                None if is_gone(&error) => return Ok(None),
                None => return Err(error.into()),
            },
        }
    }
}

/// Where reading goes on behind records that are trimmed or damaged.
fn resumes(error: &ClientError, from: u64) -> Option<u64> {
    error.problem()?.resume_from.filter(|place| *place > from)
}

/// The stream was deleted, or begun anew, since it was listed.
fn is_gone(error: &ClientError) -> bool {
    error.problem().is_some_and(|problem| matches!(problem.status, 404 | 410 | 416))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{code::Code, problem::Problem};

    fn stream(earliest: u64, tail: u64, last_append_at: Option<u64>, kind: &str) -> StreamBody {
        StreamBody {
            path: "sessions/a".into(),
            content_type: kind.into(),
            tail,
            earliest,
            closed: false,
            created_at: 0,
            last_append_at,
            epoch: String::new(),
            retention_seconds: 0,
        }
    }

    #[test]
    fn streams_with_nothing_new_enough_are_not_read() {
        assert!(has_any(&stream(1, 5, Some(100), "application/json"), None));
        assert!(has_any(&stream(1, 5, Some(100), "application/json; charset=utf-8"), Some(100)));
        assert!(!has_any(&stream(1, 5, Some(99), "application/json"), Some(100)));
        assert!(!has_any(&stream(6, 5, Some(100), "application/json"), None));
        assert!(!has_any(&stream(1, 5, Some(100), "text/plain"), None));
    }

    #[test]
    fn reading_goes_on_behind_what_is_lost_and_never_stands_still() {
        let error = |code, resume_from| {
            let mut problem = Problem::new(code, "no");
            problem.resume_from = resume_from;
            ClientError::Problem { problem: Box::new(problem), retry_after: None }
        };
        assert_eq!(resumes(&error(Code::OffsetTrimmed, Some(9)), 3), Some(9));
        assert_eq!(resumes(&error(Code::RecordsDamaged, Some(9)), 9), None);
        assert_eq!(resumes(&error(Code::StreamNotFound, None), 0), None);
        assert!(is_gone(&error(Code::StreamNotFound, None)));
        assert!(!is_gone(&error(Code::Busy, None)));
    }
}
