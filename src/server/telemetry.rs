//! The server's own log, on standard error. Never bodies, tokens or event data.
//!
//! Invariant: whatever the filter asks for, no library says more than it says at `info`: what some
//! of them tell below shows headers and addresses, and those hold tokens.

use std::io::{IsTerminal, stderr};

use tokio::runtime::Handle;
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

/// What a process tells of itself beside its log.
#[derive(Debug)]
pub struct Telemetry {
    #[cfg(feature = "otlp")]
    exporter: Option<super::otlp::Exporter>,
}

impl Telemetry {
    /// Sends what is left to send, within a bound. Never from a thread of the runtime, which it
    /// needs.
    pub fn stop(self) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = self.exporter {
            exporter.stop();
        }
    }
}

/// Installs the log for the process, and sends spans over the runtime where the settings name a
/// collector. A second installation changes nothing.
///
/// # Errors
/// The filter is not one, or the collector is none.
#[cfg_attr(not(feature = "otlp"), expect(unused_variables, reason = "spans need the runtime"))]
pub fn install(settings: &Settings, runtime: &Handle) -> anyhow::Result<Telemetry> {
    let is_terminal = stderr().is_terminal();
    let lines = lines(settings, stderr, is_terminal)?;
    #[cfg(feature = "otlp")]
    let (spans, exporter) = match &settings.otlp_endpoint {
        Some(endpoint) => Some(super::otlp::layer(settings, endpoint, runtime.clone())?).unzip(),
        None => (None, None),
    };
    let subscriber = tracing_subscriber::registry();
    #[cfg(feature = "otlp")]
    let subscriber = subscriber.with(spans);
    // Somebody else's subscriber is as good as ours.
    drop(subscriber.with(lines).try_init());
    Ok(Telemetry {
        #[cfg(feature = "otlp")]
        exporter,
    })
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
pub(super) fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "scrollback" || target.starts_with("scrollback::")
}
