//! Whether a server lives, and whether it takes work: asked once and answered soon, so that
//! whoever asks decides what a failure means. It refuses to know why not: the server's own words
//! say so.

use std::time::Duration;

use super::{Client, ClientError};
use crate::wire::{bodies::HealthAnswer, paths};

/// A server that has not answered by then is as good as none; those who look after containers
/// wait 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Client {
    /// Whether the process answers, within 5 s.
    ///
    /// # Errors
    /// It does not.
    pub async fn alive(&self) -> Result<HealthAnswer, ClientError> {
        self.ask_soon(paths::HEALTH).await
    }

    /// Whether the server takes reads and writes.
    ///
    /// # Errors
    /// It is out of reach, or it does not, and says why.
    pub async fn ready(&self) -> Result<HealthAnswer, ClientError> {
        self.ask_soon(paths::READY).await
    }

    async fn ask_soon(&self, route: &str) -> Result<HealthAnswer, ClientError> {
        let request = self.inner.http.get(self.url(route));
        tokio::select! {
            answer = self.once(request) => answer,
            () = self.inner.clock.sleep(ANSWER_WITHIN) => {
                Err(ClientError::Slow { secs: ANSWER_WITHIN.as_secs() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_server_that_takes_the_question_and_says_nothing_is_not_alive() {
        // The system takes the connection; nobody answers it.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let clock = ManualClock::at(0);
        let client = Client::builder(url).clock(clock.clone()).build().unwrap();
        let mut asked = Box::pin(client.alive());
        assert!(futures_util::poll!(&mut asked).is_pending());
        clock.advance(ANSWER_WITHIN);
        assert!(matches!(asked.await, Err(ClientError::Slow { secs: 5 })));
    }
}
