//! Where the server is, and the runtime that talks to it: what every client command shares.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::client::Client;

/// The server a command talks to.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerUrl {
    /// Where the server listens
    #[arg(long, env = "SCROLLBACK_URL", default_value = "http://127.0.0.1:4437")]
    pub(super) url: String,
    /// Certificates of the authorities to believe, in PEM [default: those of the machine]
    #[arg(long, env = "SCROLLBACK_CA", value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// A token for it; other people can see what is typed, so the variable is the better place
    #[arg(long, env = "SCROLLBACK_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
}

impl ServerUrl {
    /// A client of that server.
    pub(super) fn client(&self) -> Result<Client> {
        let mut builder = Client::builder(&self.url);
        if let Some(path) = &self.ca {
            let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            builder = builder.ca(pem);
        }
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        Ok(builder.build()?)
    }
}

/// Runs a client command to its end on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A read of standard input cannot be cut short, and must not hold up the end.
    runtime.shutdown_background();
    done
}
