//! The `scrollback` binary: hands over to the command line.

use std::process::ExitCode;

/// Appends allocate much and free it on other threads; this one is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    scrollback::cli::main()
}
