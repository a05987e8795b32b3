//! Following a stream, or several, for as long as they last: connections come and go, the place is
//! kept.
//!
//! It refuses to know what the events mean. Invariant: every offset is handed out once and in
//! order, whatever the network does, and what could not be is said aloud.

mod across;
mod line;
mod place;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Stream, stream};
use reqwest::{Response, header};
use sse_stream::Sse;

use self::{
    across::Across,
    line::Line,
    place::{Place, Taken},
};
use super::{Client, ClientError, Event, State};
use crate::wire::{EVENT_STREAM, SCROLLBACK_EPOCH, bodies::ResetData, paths};

/// What to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowOptions {
    from_offset: u64,
    epoch: Option<String>,
    channels: Vec<String>,
    types: Vec<String>,
    snapshot: bool,
    projections: Vec<String>,
}

impl FollowOptions {
    /// Everything after an offset; 0 is the beginning.
    #[must_use]
    pub fn after(offset: u64) -> Self {
        Self { from_offset: offset, ..Self::default() }
    }

    /// The epoch that the offset is of, from an earlier follower: where the stream was made anew
    /// since, a reset says so.
    #[must_use]
    pub fn epoch(mut self, epoch: impl Into<String>) -> Self {
        self.epoch = Some(epoch.into());
        self
    }

    /// Of these channels only.
    #[must_use]
    pub fn channels<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.channels = names.into_iter().map(Into::into).collect();
        self
    }

    /// Of these types only.
    #[must_use]
    pub fn types<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.types = names.into_iter().map(Into::into).collect();
        self
    }

    /// The state of these projections first, of all where none is named; then everything after
    /// the offset that it stands at.
    #[must_use]
    pub fn snapshot<S: Into<String>>(mut self, projections: impl IntoIterator<Item = S>) -> Self {
        self.snapshot = true;
        self.projections = projections.into_iter().map(Into::into).collect();
        self
    }
}

/// What a follower hands out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Followed {
    /// A line stands; events after this offset come next.
    Connected {
        /// The offset.
        after: u64,
    },
    /// The state, where it was asked for: it comes first, and again after a reset.
    Snapshot(State),
    /// An event.
    Event(Event),
    /// Everything that was there when the line began has come.
    CaughtUp {
        /// The tail.
        offset: u64,
        /// The epoch of the stream, to be given to [`FollowOptions::epoch`] with an offset; none
        /// where several streams are followed.
        epoch: Option<String>,
    },
    /// The stream does not go on where it stood: what was built from it is to be dropped, or a
    /// gap to be marked.
    Reset(ResetData),
    /// The line broke; it is taken up again after a wait.
    Reconnecting {
        /// The offset to go on from.
        after: u64,
        /// The wait.
        wait: Duration,
        /// What happened.
        why: Broken,
    },
    /// Nothing comes any more.
    Ended(Ended),
}

/// Why a line broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The server stops.
    #[error("the server stops")]
    Shutdown,
    /// The server's store does not answer.
    #[error("the store does not answer")]
    Unavailable,
    /// The connection ended without a word.
    #[error("the connection ended")]
    Closed,
    /// The connection was cut.
    #[error("the connection was cut ({0})")]
    Cut(String),
    /// No heartbeat for too long.
    #[error("there was no sign of life")]
    Silent,
    /// What came is not what our server sends.
    #[error("what came cannot be read")]
    Garbled,
    /// Offsets are missing.
    #[error("offsets {after} to {next} are not next to each other")]
    Gap {
        /// The last that was given out.
        after: u64,
        /// What came instead of the next.
        next: u64,
    },
    /// The server could not be reached, or refused for now.
    #[error(transparent)]
    Refused(ClientError),
}

/// Why nothing comes any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The stream is closed, and all of it has come.
    #[error("the stream is closed at offset {offset}")]
    Closed {
        /// The last offset.
        offset: u64,
    },
    /// The stream was deleted.
    #[error("the stream was deleted")]
    Deleted,
    /// The token holds no more, or may not read this any more.
    #[error("the token may not read this any more; connect again with one that may")]
    Unauthorized,
    /// The server refuses, and waiting would not help.
    #[error(transparent)]
    Refused(ClientError),
}

/// A live read over as many connections as it takes. Dropping it ends it.
pub struct Follower {
    inner: Pin<Box<dyn Stream<Item = (Followed, Stand)> + Send>>,
    /// After what was handed out last.
    stand: Stand,
}

/// Where a follower stands: what another one needs to go on from there.
#[derive(Debug, Clone, Default)]
struct Stand {
    after: u64,
    epoch: Option<Arc<str>>,
}

impl Follower {
    fn run(client: &Client, course: Course) -> Self {
        let stand = course.stand();
        let client = client.clone();
        let run = Run { client, course, line: None, failures: 0, wait: None, is_over: false };
        let step = async |mut run: Run| {
            let followed = run.next().await?;
            Some(((followed, run.course.stand()), run))
        };
        Self { inner: Box::pin(stream::unfold(run, step)), stand }
    }

    /// The offset after which it goes on, for [`FollowOptions::after`]; across streams the cursor,
    /// for [`Client::follow_across`]. Everything up to there was handed out, or was not wanted.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.stand.after
    }

    /// The epoch of the stream, for [`FollowOptions::epoch`]. It is known once the follower has
    /// caught up, and never across streams.
    #[must_use]
    pub fn epoch(&self) -> Option<&str> {
        self.stand.epoch.as_deref()
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("stand", &self.stand).finish_non_exhaustive()
    }
}

impl Stream for Follower {
    type Item = Followed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Followed>> {
        let Some((followed, stand)) = ready!(self.inner.as_mut().poll_next(cx)) else {
            return Poll::Ready(None);
        };
        self.stand = stand;
        Poll::Ready(Some(followed))
    }
}

impl Client {
    /// Follows the stream at `path`, such as `sessions/abc`. It reconnects for ever; the last
    /// thing it hands out is [`Followed::Ended`].
    #[must_use]
    pub fn follow(&self, path: &str, options: FollowOptions) -> Follower {
        let place = Box::new(Place::new(options));
        Follower::run(self, Course::Stream { route: paths::follow(path), place })
    }

    /// Follows the streams of some channel names, such as `session:*`, in the order in which their
    /// events were committed: everything after a cursor, which is 0 for all that is kept, the
    /// [`Follower::after`] of an earlier follower, or the position of a list of sessions. Events
    /// say which stream they are of ([`Event::stream`]); places in what it hands out are cursors.
    #[must_use]
    pub fn follow_across<S: Into<String>>(
        &self,
        channels: impl IntoIterator<Item = S>,
        cursor: u64,
    ) -> Follower {
        Follower::run(self, Course::Across(Across::new(channels, cursor)))
    }

    async fn open_line(&self, course: &mut Course) -> Result<Line, ClientError> {
        let request = self.inner.http.get(self.url(course.route())).query(&course.query());
        let request = request.header(header::ACCEPT, EVENT_STREAM);
        let answer = self.in_time(self.send(request)).await?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        // A page of somebody who stands between is no line.
        if !header("content-type").is_some_and(|kind| kind.starts_with(EVENT_STREAM)) {
            let status = answer.status().as_u16();
            return Err(ClientError::Status { status, retry_after: None });
        }
        course.opened(header(SCROLLBACK_EPOCH));
        Ok(self.line(answer))
    }

    fn line(&self, answer: Response) -> Line {
        Line::new(answer, self.inner.clock.clone(), self.inner.silent_for)
    }
}

/// What is followed, and how far.
enum Course {
    Stream { route: String, place: Box<Place> },
    Across(Across),
}

impl Course {
    fn route(&self) -> &str {
        match self {
            Self::Stream { route, .. } => route,
            Self::Across(_) => paths::CHANNELS,
        }
    }

    fn stand(&self) -> Stand {
        match self {
            Self::Stream { place, .. } => Stand { after: place.after(), epoch: place.epoch() },
            Self::Across(across) => Stand { after: across.after(), epoch: None },
        }
    }

    fn query(&mut self) -> Vec<(&'static str, String)> {
        match self {
            Self::Stream { place, .. } => place.query(),
            Self::Across(across) => across.query(),
        }
    }

    /// A line stands, and the stream has this epoch.
    fn opened(&mut self, epoch: Option<&str>) {
        if let Self::Stream { place, .. } = self {
            place.opened(epoch);
        }
    }

    fn take(&mut self, event: Sse) -> Taken {
        let data = event.data.unwrap_or_default();
        match self {
            Self::Stream { place, .. } => place.take(event.event.as_deref(), data),
            Self::Across(across) => across.take(event.event.as_deref(), event.id, data),
        }
    }
}

/// A follower at work.
struct Run {
    client: Client,
    course: Course,
    line: Option<Line>,
    /// Lines that broke since something good came.
    failures: u32,
    /// The wait that was announced.
    wait: Option<Duration>,
    is_over: bool,
}

impl Run {
    async fn next(&mut self) -> Option<Followed> {
        if self.is_over {
            return None;
        }
        if let Some(wait) = self.wait.take() {
            self.client.inner.clock.sleep(wait).await;
        }
        loop {
            let Some(line) = &mut self.line else { return Some(self.connect().await) };
            let taken = match line.next().await {
                Ok(event) => self.course.take(event),
                Err(broken) => Taken::Broken(broken),
            };
            match taken {
                Taken::Broken(why) => return Some(self.broken(why)),
                Taken::Ended(ended) => return Some(self.end(ended)),
                Taken::GiveAndRenew(given) => {
                    self.line = None;
                    return Some(given);
                }
                Taken::Give(given) => {
                    self.failures = 0;
                    return Some(given);
                }
                Taken::Nothing => self.failures = 0,
            }
        }
    }

    async fn connect(&mut self) -> Followed {
        match self.client.open_line(&mut self.course).await {
            Ok(line) => {
                self.line = Some(line);
                Followed::Connected { after: self.course.stand().after }
            }
            Err(error) if error.is_passing() || error.is_foreign() => {
                self.broken(Broken::Refused(error))
            }
            Err(error) => self.end(Ended::Refused(error)),
        }
    }

    fn broken(&mut self, why: Broken) -> Followed {
        self.line = None;
        self.failures = self.failures.saturating_add(1);
        let asked = match &why {
            Broken::Refused(error) => error.retry_after(),
            _ => None,
        };
        let wait = self.client.inner.reconnect.wait(self.failures, rand::random(), asked);
        self.wait = Some(wait);
        Followed::Reconnecting { after: self.course.stand().after, wait, why }
    }

    fn end(&mut self, ended: Ended) -> Followed {
        self.line = None;
        self.is_over = true;
        Followed::Ended(ended)
    }
}
