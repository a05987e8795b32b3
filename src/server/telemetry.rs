//! The server's own log, on standard error. Never bodies, tokens or event data.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

use super::settings::LogFormat;

/// Installs the log for the process. A second installation changes nothing.
///
/// # Errors
/// The filter is not one.
pub fn install(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("log_filter {filter:?}: {error}"))?;
    let lines = fmt().with_env_filter(filter).with_writer(stderr);
    // Where standard error is broken there is nobody to tell, and telling would panic.
    let lines = lines.log_internal_errors(false);
    let lines = lines.with_ansi(stderr().is_terminal());
    // Somebody else's subscriber is as good as ours.
    drop(match format {
        LogFormat::Pretty => lines.with_target(false).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    });
    Ok(())
}
