//! A server in a process of its own, which can be killed.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
};

use tempfile::TempDir;

/// A served folder. The process ends with it, and so does the folder.
pub(crate) struct Served {
    child: Child,
    /// Kept open: a server that cannot write its log would notice.
    log: BufReader<ChildStderr>,
    address: SocketAddr,
    dir: TempDir,
}

impl Served {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let (child, log, address) = spawn(&dir, "127.0.0.1:0");
        Self { child, log, address, dir }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut said = String::new();
        self.log.read_to_string(&mut said).unwrap();
        assert!(!said.contains("ERROR"), "{said}");
    }

    /// A new process on the same folder and address.
    pub(crate) fn start_again(&mut self) {
        let (child, log, _) = spawn(&self.dir, &self.address.to_string());
        self.child = child;
        self.log = log;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(dir: &TempDir, listen: &str) -> (Child, BufReader<ChildStderr>, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrollback"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SCROLLBACK_")) {
        command.env_remove(name);
    }
    command.args(["serve", "--log-filter", "warn", "--listen", listen]);
    command.arg("--data-dir").arg(dir.path().join("data"));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = listening(&mut log);
    (child, log, address)
}

/// The address in what a server says first.
fn listening(log: &mut impl BufRead) -> SocketAddr {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the server ended: {said}");
        if let Some((_, rest)) = line.split_once("listens on http://") {
            return rest.split([';', ' ', '\n']).next().unwrap().parse().unwrap();
        }
        said.push_str(&line);
    }
}
