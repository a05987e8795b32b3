//! The server under soak: this very program in a process of its own, with one folder and one
//! address through all its lives. It owns starting, killing, stopping and looking at it, and the
//! other commands that are run beside it.

use std::{
    fs::{self, File, OpenOptions},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::super::{conn::Conn, idle::resident_bytes};
use crate::clock::{Clock, SystemClock};

/// By then a server has started or ended.
const SETTLES_WITHIN: Duration = Duration::from_secs(90);
/// How often a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The server.
#[derive(Debug)]
pub(super) struct Server {
    dir: PathBuf,
    address: String,
    child: Option<Child>,
}

impl Server {
    /// A server on a free port that keeps everything below `dir`. It is not started.
    pub(super) fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { dir: dir.to_owned(), address: free.to_string(), child: None })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Its data folder.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What all its lives said.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Starts it, and waits until it takes reads and writes.
    pub(super) async fn start(&mut self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = program()?;
        command.args(["serve", "--log-filter", "warn", "--listen", &self.address]);
        command.arg("--data-dir").arg(self.data_dir()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().context("starting the server")?);
        let began = Instant::now();
        while began.elapsed() < SETTLES_WITHIN {
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("the server did not start: {status}; {}", self.log().display());
            }
            if is_ready(&self.address).await {
                return Ok(());
            }
            SystemClock.sleep(LOOK_EVERY).await;
        }
        bail!("the server was not ready within {} s", SETTLES_WITHIN.as_secs())
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        ended(&mut child).await.map(drop)
    }

    /// SIGTERM, and waits for its end, which must be a good one.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let told = Command::new("kill").arg(child.id().to_string()).status();
        let waited = if told.context("running `kill`")?.success() {
            ended(&mut child).await
        } else {
            bail!("the server had ended by itself")
        };
        match waited {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("told to stop, the server ended with {status}"),
            Err(error) => {
                drop(child.kill());
                Err(error.context("the server does not stop"))
            }
        }
    }

    /// Its resident memory in bytes, while it lives.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(self.child.as_ref()?.id()).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

async fn is_ready(address: &str) -> bool {
    let asked = async {
        let mut conn = Conn::open(address, 4_096).await?;
        conn.exchange(b"GET /readyz HTTP/1.1\r\nhost: soak\r\n\r\n").await
    };
    matches!(tokio::time::timeout(Duration::from_secs(5), asked).await, Ok(Ok(200)))
}

async fn ended(child: &mut Child) -> Result<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < SETTLES_WITHIN {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        SystemClock.sleep(LOOK_EVERY).await;
    }
    bail!("process {} has not ended within {} s", child.id(), SETTLES_WITHIN.as_secs())
}

/// This program, without what the environment says to it.
fn program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SCROLLBACK_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    Ok(command)
}

/// Runs another command of this program, whose words go into `log`, and returns whether it ended
/// well, and its words.
pub(super) async fn command(args: &[&str], log: &Path) -> Result<(bool, String)> {
    let (out, err) = {
        let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
        (file.try_clone()?, file)
    };
    let mut child = program()?.args(args).stdout(out).stderr(err).spawn()?;
    let status = ended(&mut child).await;
    if status.is_err() {
        drop(child.kill());
        drop(child.wait());
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    Ok((status?.success(), said.trim().to_owned()))
}
