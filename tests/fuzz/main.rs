//! Bytes from outside against everything that reads them: one target for each parser. A target
//! takes things that are right, changes them (`hostile.rs`), and says what has to hold: nothing
//! panics, nothing is answered with a 5xx, and what is taken prints back to itself where it has a
//! printed form.
//!
//! A new target is a test in a `proptest!` block: a strategy of `hostile.rs` goes in, and
//! `Server::check` or the parser itself takes it. `PROPTEST_CASES` says how many cases are tried.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod bodies;
mod files;
mod headers;
mod hostile;
mod server;
mod text;
mod urls;
mod wire;

use proptest::test_runner::Config;

/// As many cases as `PROPTEST_CASES` says, else so few that all targets take seconds together.
pub(crate) fn few() -> Config {
    cases(64)
}

/// The same for targets whose cases cost a folder or a connection each.
pub(crate) fn fewer() -> Config {
    cases(24)
}

fn cases(few: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").is_ok();
    let config = Config::default();
    Config { cases: if asked { config.cases } else { few }, ..config }
}
