//! The command line: what was typed, one file for each command. It knows the server only by its
//! settings and over HTTP. Invariant: an error is one line that says what to do.

mod append;
mod backup;
mod bench;
mod blame;
mod bundle;
mod changes;
mod completions;
mod connection;
mod demo;
mod diff;
mod differing;
mod export;
mod grep;
mod health;
mod import;
mod list_check;
mod moment;
mod output;
mod progress;
mod read;
mod rebuild;
mod replay;
mod restore;
mod salvage;
mod serve;
mod shown;
mod stat;
mod stream_name;
mod streams;
mod tail;
mod token;
mod verify;

use std::{io, process::ExitCode};

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use self::{connection::block_on, output::notice, shown::visible};

/// The exit status of an offline check that could not be made.
const COULD_NOT_RUN: u8 = 2;

/// A durable, append-only event log for chat and agent sessions
#[derive(Debug, Parser)]
#[command(name = "scrollback", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Append(append::Append),
    Read(read::Read),
    Tail(tail::Tail),
    Streams(streams::Streams),
    Stat(stat::Stat),
    Token(token::Token),
    Export(export::Export),
    Import(import::Import),
    Replay(replay::Replay),
    Diff(diff::Diff),
    Blame(blame::Blame),
    Grep(grep::Grep),
    Health(health::Health),
    Demo(demo::Demo),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Verify(verify::Verify),
    Salvage(salvage::Salvage),
    Rebuild(rebuild::Rebuild),
    Bench(bench::Bench),
    Completions(completions::Completions),
}

/// Does what the arguments of this process say.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(status) => status,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            notice(&error_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Backup(backup) => return backup.run(),
        Command::Restore(restore) => return restore.run(),
        Command::Verify(verify) => return verify.run(),
        Command::Salvage(salvage) => return salvage.run(),
        Command::Rebuild(rebuild) => return rebuild.run(),
        Command::Grep(grep) => return grep.run(),
        Command::Serve(serve) => serve.run(),
        Command::Append(append) => block_on(append.run()),
        Command::Read(read) => block_on(read.run()),
        Command::Tail(tail) => block_on(tail.run()),
        Command::Streams(streams) => block_on(streams.run()),
        Command::Stat(stat) => block_on(stat.run()),
        Command::Token(token) => token.run(),
        Command::Export(export) => block_on(export.run()),
        Command::Import(import) => block_on(import.run()),
        Command::Replay(replay) => block_on(replay.run()),
        Command::Diff(diff) => block_on(diff.run()),
        Command::Blame(blame) => block_on(blame.run()),
        Command::Health(health) => block_on(health.run()),
        Command::Demo(demo) => block_on(demo.run()),
        Command::Bench(bench) => bench.run(),
        Command::Completions(completions) => completions.run(Cli::command()),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Whoever read our output has had enough: that is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// What is said of an error: one line, in which words of files and servers are not obeyed.
fn error_line(error: &anyhow::Error) -> String {
    let words = format!("error: {error:#}");
    visible(&words.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backup::BackupError;

    #[test]
    fn the_definition_of_the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ordinary_command_lines_are_understood() {
        for line in [
            "serve --listen 127.0.0.1:0 --data-dir d --retention 30d --log-format json --print-config",
            "append abc --text",
            "read session:abc --from 5 --limit 10 --channels terminal,message",
            "tail agents/x --from 0 --url http://127.0.0.1:1",
            "streams --prefix sessions/ --json",
            "stat config:ai",
            "export abc --format asciicast --terminal-id term_1",
            "import --into agent:x bundle.ndjson",
            "import",
            "replay abc --from 5 --to 9 --speed max --projection messages --projection todo",
            "replay abc --at 7",
            "replay abc --step",
            "diff abc 3 9 --json",
            "blame abc /messages/0/state --at 9",
            "grep -il budget --channel message --since 2h --session a --session b",
            "demo --session team-chat --speed 0.5x",
            "bench append --writers 256 --streams 1000 --batch 100 --protocol ds --duration 500ms",
            "verify --data-dir d",
            "salvage --data-dir d --json",
            "backup -o backup.sbk --url http://127.0.0.1:1",
            "restore backup.sbk --data-dir d",
            "bench idle --pid 1",
            "bench soak --duration 30m --seed 7 --dir d",
            "health --ready --url http://127.0.0.1:1",
            "serve --auth --tokens t.json --jwt-jwks k.json --jwt-audience log --jwt-issuer i",
            "token create --scope read:sessions/* --scope write:sessions/a --expires 30d --name ci",
            "token create --worker w1 --actor user:u1 --url http://127.0.0.1:1 --json",
            "token list --data-dir d",
            "token revoke tok_1 --tokens t.json",
            "token revoke --jti a --expires 1h",
            "token list --revoked",
            "token approve tok_1",
            "completions bash",
        ] {
            let typed = ["scrollback"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(typed).is_ok(), "{line}");
        }
        for line in [
            "",
            "read",
            "read abc --from -1",
            "tail session:*",
            "serve --retention 30",
            "token create",
            "token create --scope own:a",
            "token create --scope read:a --worker w1",
            "token create --scope read:a --actor u1",
            "token revoke",
            "token revoke tok_1 --jti a",
            "token revoke tok_1 --expires 1h",
            "token revoke --jti=",
            "demo --speed 0x",
            "restore",
            "replay abc --at 7 --step",
            "replay abc --at-time yesterday",
            "diff abc 3",
            "grep (",
            "grep x -l -c",
        ] {
            let typed = ["scrollback"].into_iter().chain(line.split_whitespace());
            assert!(Cli::try_parse_from(typed).is_err(), "{line}");
        }
    }

    #[test]
    fn a_broken_pipe_is_told_apart_and_other_errors_are_one_line() {
        let pipe =
            anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert!(is_broken_pipe(&pipe));
        let other = anyhow::anyhow!("a\n  b").context("c");
        assert!(!is_broken_pipe(&other));
        assert_eq!(error_line(&other), "error: c: a b");
    }

    #[test]
    fn an_error_shows_words_of_others_and_obeys_none() {
        let reason = "\u{1b}[2Jgone\u{9b}1m\n\u{202e}x".to_owned();
        let failed = anyhow::Error::new(BackupError::Failed(reason)).context("a\u{7}");
        let line = error_line(&failed);
        assert!(line.contains("\\x1b[2Jgone\\u{9b}1m \\u{202e}x"), "{line}");
        assert!(line.starts_with("error: a\\x07: ") && !line.contains(shown::is_obeyed), "{line}");
    }
}
