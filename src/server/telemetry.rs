//! The server's own log, on standard error. Never bodies, tokens or event data.
//!
//! Invariant: whatever the filter asks for, no library says more than it says at `info`: what some
//! of them tell below shows headers and addresses, and those hold tokens.

use std::io::{IsTerminal, stderr};

use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::settings::{LogFormat, Settings};

/// What a line for every request is called.
const ACCESS: &str = "scrollback::access=debug";

/// Installs the log for the process. A second installation changes nothing.
///
/// # Errors
/// The filter is not one.
pub fn install(settings: &Settings) -> anyhow::Result<()> {
    let is_terminal = stderr().is_terminal();
    let lines = lines(settings, stderr, is_terminal)?;
    // Somebody else's subscriber is as good as ours.
    drop(tracing_subscriber::registry().with(lines).try_init());
    Ok(())
}

/// The lines of the log, as the settings want them, for a place of the caller's.
///
/// # Errors
/// The filter is not one.
pub fn lines<S, W>(
    settings: &Settings,
    writer: W,
    with_colours: bool,
) -> anyhow::Result<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = &settings.log_filter;
    let mut wanted = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("log_filter {filter:?}: {error}"))?;
    if settings.access_log {
        wanted = wanted.add_directive(ACCESS.parse()?);
    }
    // Where standard error is broken there is nobody to tell, and telling would panic.
    let lines = fmt::layer().log_internal_errors(false).with_writer(writer).with_ansi(with_colours);
    let lines = match settings.log_format {
        LogFormat::Pretty => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let quiet = filter_fn(|metadata| is_ours(metadata) || *metadata.level() <= Level::INFO);
    // Told that it may want anything, it leaves it to the other to say how little that is, and
    // what nobody wants costs no more than a look at a flag.
    Ok(lines.with_filter(wanted.and(quiet.with_max_level_hint(LevelFilter::TRACE))))
}

/// Whether a line or a span is of this program.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "scrollback" || target.starts_with("scrollback::")
}
