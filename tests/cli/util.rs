//! A server in a process of its own, and commands run against it.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;

/// A served folder. The process ends with it, and so does the folder.
pub(crate) struct Server {
    child: Child,
    /// Kept open: a server that cannot write its log would notice.
    log: BufReader<ChildStderr>,
    url: String,
    dir: Arc<TempDir>,
}

/// The program with no setting of the machine in its way.
pub(crate) fn scrollback(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrollback"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SCROLLBACK_")) {
        command.env_remove(name);
    }
    command.args(args.split_whitespace());
    command
}

fn spawn(data: &Path, listen: &str, more: &str) -> (Child, BufReader<ChildStderr>, String) {
    let mut command = scrollback("serve --log-filter warn");
    command.arg("--data-dir").arg(data).args(["--listen", listen]);
    command.args(more.split_whitespace());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let url = listening(&mut log);
    (child, log, url)
}

/// The URL in what a server says first.
fn listening(log: &mut impl BufRead) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the server ended: {said}");
        if let Some((_, rest)) = line.split_once("listens on ") {
            return rest.split([';', ' ', '\n']).next().unwrap().to_owned();
        }
        said.push_str(&line);
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let (child, log, url) = spawn(&dir.path().join("data"), "127.0.0.1:0", "");
        Self { child, log, url, dir }
    }

    /// A server with more said to it.
    pub(crate) fn start_with(more: &str) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let (child, log, url) = spawn(&dir.path().join("data"), "127.0.0.1:0", more);
        Self { child, log, url, dir }
    }

    /// A server on a folder of somebody else's.
    pub(crate) fn start_on(data: &Path) -> Self {
        Self::start_on_with(data, "")
    }

    /// The same with settings of its own.
    pub(crate) fn start_on_with(data: &Path, more: &str) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let (child, log, url) = spawn(data, "127.0.0.1:0", more);
        Self { child, log, url, dir }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// A gauge of the server.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut socket = TcpStream::connect(self.address()).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let name = format!("scrollback_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        value.trim().parse().unwrap()
    }

    /// A request without a command for it: the body of the answer, which must be a success.
    pub(crate) fn http(&self, request: &str, kind: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(self.address()).unwrap();
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        socket.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{request}: {answer}");
        body.to_owned()
    }

    /// The memory the process holds.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// SIGKILL, and a new process on the same folder and address.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (child, log, _) = spawn(&self.data_dir(), self.address(), "");
        self.child = child;
        self.log = log;
    }

    /// SIGTERM, and the folder it leaves, which is there as long as the guard is.
    pub(crate) fn stop(mut self) -> (Arc<TempDir>, PathBuf) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        let mut said = String::new();
        self.log.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        (Arc::clone(&self.dir), self.data_dir())
    }

    /// A client command.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = scrollback(args);
        command.env("SCROLLBACK_URL", self.url());
        command
    }

    /// Runs a client command that must succeed, and returns what it printed.
    pub(crate) fn run(&self, args: &str) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The same, with something on standard input.
    pub(crate) fn run_with(&self, args: &str, input: &str) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have stopped reading: then its answer says why.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    }

    /// Appends `count` numbered events.
    pub(crate) fn append_numbers(&self, stream: &str, count: u64) {
        let mut input = String::new();
        for n in 0..count {
            writeln!(input, "{{\"channel\":\"n\",\"data\":{{\"n\":{n}}}}}").unwrap();
        }
        assert!(self.run_with(&format!("append {stream}"), &input).status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// One JSON value a line.
pub(crate) fn ndjson(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
