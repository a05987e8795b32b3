//! Bars of long commands. Invariant: nothing is drawn where nobody looks, or where the work is over
//! before anybody could.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// Work of fewer events, or of fewer KiB, is over in the blink of an eye.
const LONG: u64 = 5_000;

/// A bar for `total` events, on standard error if that is a terminal.
pub(super) fn events(total: u64) -> ProgressBar {
    bar(total, total, "{bar:30} {human_pos}/{human_len} events, {eta} left")
}

/// The same for bytes.
pub(super) fn bytes(total: u64) -> ProgressBar {
    bar(total, total / 1024, "{bar:30} {bytes}/{total_bytes} checked, {eta} left")
}

/// No bar where events themselves go to the terminal.
pub(super) fn events_into_pipe(total: u64) -> ProgressBar {
    if io::stdout().is_terminal() { ProgressBar::hidden() } else { events(total) }
}

fn bar(total: u64, size: u64, template: &str) -> ProgressBar {
    if size < LONG {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
