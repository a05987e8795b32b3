//! Following a stream for as long as it lasts: connections come and go, the place is kept.
//! Invariant: every record is handed out once and in order, and what could not be is said aloud.

use std::{fmt, time::Duration};

use reqwest::Response;
use tokio::time::timeout;

use super::{Client, ClientError, ReadQuery, sse::SseParser};
use crate::{
    clock::Clock,
    wire::{
        bodies::{EndData, EndReason, ResetData},
        sse,
    },
};

/// Three heartbeats missed: the line is dead, whatever TCP says.
const SILENT_MAX: Duration = Duration::from_secs(45);
/// The wait before the first reconnect …
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// … which doubles up to here while nothing comes.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What a follower hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed<'a> {
    /// A record, in the envelope with its offset.
    Event(&'a [u8]),
    /// Something about the line that a person wants to know.
    Notice(&'a str),
}

/// Whether to go on.
pub type Handled = Result<(), std::io::Error>;

/// Why following stopped.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The server refuses, and waiting would not help.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What came could not be handed on.
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

/// A live read over as many connections as it takes.
pub struct Follower<'a> {
    client: &'a Client,
    clock: &'a dyn Clock,
    path: String,
    query: ReadQuery,
    waits: Backoff,
}

impl fmt::Debug for Follower<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("path", &self.path).field("query", &self.query).finish()
    }
}

impl<'a> Follower<'a> {
    /// Follows `path` as `query` says; sleeps between connections on `clock`.
    pub fn new(client: &'a Client, clock: &'a dyn Clock, path: &str, query: ReadQuery) -> Self {
        Self { client, clock, path: path.to_owned(), query, waits: Backoff::default() }
    }

    /// Runs until the stream ends, and returns why it did.
    ///
    /// # Errors
    /// The first connection fails, a later one is refused for good, or `on` fails.
    pub async fn run(
        &mut self,
        mut on: impl FnMut(Followed<'_>) -> Handled,
    ) -> Result<EndReason, FollowError> {
        let mut was_connected = false;
        loop {
            let ended = match self.client.follow(&self.path, &self.query).await {
                Ok(answer) => {
                    was_connected = true;
                    self.read(answer, &mut on).await?
                }
                Err(error) if !was_connected || !error.is_passing() => return Err(error.into()),
                Err(error) => Line::Broken(error.to_string()),
            };
            let why = match ended {
                Line::Ended(EndReason::Shutdown) => "the server stops".to_owned(),
                Line::Ended(EndReason::Unavailable) => "the store does not answer".to_owned(),
                Line::Ended(reason) => return Ok(reason),
                Line::Broken(why) => why,
            };
            let wait = self.waits.next_wait();
            let from = self.query.from_offset;
            let secs = wait.as_secs();
            on(Followed::Notice(&format!("{why}; reconnecting from offset {from} in {secs} s")))?;
            self.clock.sleep(wait).await;
        }
    }

    /// Reads one connection to its end.
    async fn read(
        &mut self,
        mut answer: Response,
        on: &mut impl FnMut(Followed<'_>) -> Handled,
    ) -> Result<Line, std::io::Error> {
        let mut parser = SseParser::new();
        loop {
            let piece = match timeout(SILENT_MAX, answer.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(Line::Broken("the connection ended".to_owned())),
                Ok(Err(error)) => return Ok(Line::Broken(ClientError::Answer(error).to_string())),
                Err(_) => {
                    let silent = ClientError::Silent { silent_secs: SILENT_MAX.as_secs() };
                    return Ok(Line::Broken(silent.to_string()));
                }
            };
            let mut outcome = Ok(None);
            parser.feed(&piece, |event| {
                if matches!(outcome, Ok(None)) {
                    outcome = self.take(event.name, event.id, event.data, on);
                }
            });
            if let Some(reason) = outcome? {
                return Ok(Line::Ended(reason));
            }
        }
    }

    /// Takes one SSE event; the end of the stream is `Some`.
    fn take(
        &mut self,
        name: &[u8],
        id: &[u8],
        data: &[u8],
        on: &mut impl FnMut(Followed<'_>) -> Handled,
    ) -> Result<Option<EndReason>, std::io::Error> {
        self.waits = Backoff::default();
        let place = str::from_utf8(id).ok().and_then(|text| text.parse::<u64>().ok());
        if name.is_empty() {
            on(Followed::Event(data))?;
        } else if name == sse::RESET.as_bytes() {
            if let Ok(reset) = serde_json::from_slice::<ResetData>(data) {
                on(Followed::Notice(&reset.message))?;
                self.query.from_offset = reset.resume_from;
            }
            return Ok(None);
        } else if name == sse::END.as_bytes() {
            let Ok(end) = serde_json::from_slice::<EndData>(data) else {
                return Ok(Some(EndReason::Shutdown));
            };
            self.query.from_offset = self.query.from_offset.max(end.offset);
            return Ok(Some(end.reason));
        }
        if let Some(place) = place {
            self.query.from_offset = self.query.from_offset.max(place);
        }
        Ok(None)
    }
}

/// How a connection ended.
enum Line {
    Ended(EndReason),
    Broken(String),
}

/// The waits between attempts, from a second up, each twice the one before.
#[derive(Debug, Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    fn next_wait(&mut self) -> Duration {
        let wait = self.last.map_or(BACKOFF_MIN, |last| (last * 2).min(BACKOFF_MAX));
        self.last = Some(wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A clock on which every wait is over at once.
    #[derive(Debug)]
    struct Hasty;

    impl Clock for Hasty {
        fn now_ms(&self) -> u64 {
            0
        }

        fn sleep(&self, _: Duration) -> crate::clock::Sleep<'_> {
            Box::pin(async {})
        }
    }

    #[test]
    fn waits_double_from_one_second_to_thirty() {
        let mut waits = Backoff::default();
        let secs: Vec<u64> = (0..7).map(|_| waits.next_wait().as_secs()).collect();
        assert_eq!(secs, [1, 2, 4, 8, 16, 30, 30]);
    }

    /// Answers each connection with the next body and closes it; returns the request lines.
    async fn serve(listener: TcpListener, bodies: &[&str]) -> Vec<String> {
        let mut asked = Vec::new();
        for body in bodies {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                socket.read_buf(&mut request).await.unwrap();
            }
            let text = String::from_utf8(request).unwrap();
            asked.push(text.lines().next().unwrap().to_owned());
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
        asked
    }

    #[tokio::test]
    async fn a_broken_line_is_taken_up_again_where_it_broke() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(&url).unwrap();
        let mut follower = Follower::new(&client, &Hasty, "sessions/a", ReadQuery::default());
        let (mut events, mut notices) = (Vec::new(), 0);
        let bodies = [
            "id: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: cut o",
            "id: 3\ndata: three\n\nid: 4\nevent: end\ndata: {\"reason\":\"shutdown\",\"offset\":4}\n\n",
            "id: 9\nevent: reset\ndata: {\"reason\":\"trimmed\",\"earliest\":8,\"resumeFrom\":7,\"message\":\"gone\"}\n\n\
             id: 8\ndata: eight\n\nid: 8\nevent: end\ndata: {\"reason\":\"closed\",\"offset\":8}\n\n",
        ];
        let (asked, ended) = tokio::join!(
            serve(listener, &bodies),
            follower.run(|followed| {
                match followed {
                    Followed::Event(data) => events.push(String::from_utf8(data.to_vec()).unwrap()),
                    Followed::Notice(_) => notices += 1,
                }
                Ok(())
            })
        );
        assert_eq!(ended.unwrap(), EndReason::Closed);
        assert_eq!(events, ["one", "two", "three", "eight"]);
        assert_eq!(notices, 3, "two reconnects and one reset");
        let from: Vec<_> =
            asked.iter().map(|line| line.split(['=', ' ']).nth(2).unwrap()).collect();
        assert_eq!(from, ["0", "2", "4"]);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_at_first_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = Client::new(&url).unwrap();
        let mut follower = Follower::new(&client, &Hasty, "sessions/a", ReadQuery::default());
        let ended = follower.run(|_| Ok(())).await;
        assert!(matches!(ended, Err(FollowError::Client(ClientError::Unreachable { .. }))));
    }
}
