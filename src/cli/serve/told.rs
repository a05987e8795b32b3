//! What the server tells of itself, as it was typed.

use clap::{Args, builder::FalseyValueParser};

use crate::server::settings::{LogFormat, Settings};

/// Its log, its readiness, its spans.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What it tells of itself")]
pub(super) struct Told {
    /// Form of the server's own log: pretty or json
    #[arg(long, env = "SCROLLBACK_LOG_FORMAT", value_name = "FORM", value_parser = log_format)]
    pub(super) log_format: Option<LogFormat>,
    /// What of it is shown, such as info or scrollback=debug
    #[arg(long, env = "SCROLLBACK_LOG", value_name = "FILTER")]
    log_filter: Option<String>,
    /// A line in it for every request
    #[arg(long, env = "SCROLLBACK_ACCESS_LOG", value_parser = FalseyValueParser::new())]
    access_log: bool,
    /// With fewer bytes free on the disk, `/readyz` says no [default: 268435456]
    #[arg(long, env = "SCROLLBACK_LOW_WATER", value_name = "BYTES")]
    low_water: Option<u64>,
    /// Collector that spans are sent to over OTLP, such as <http://127.0.0.1:4318>; needs a program
    /// built with the feature otlp
    #[arg(long, env = "SCROLLBACK_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// What the server is called there [default: scrollback]
    #[arg(long, env = "SCROLLBACK_OTLP_SERVICE", value_name = "NAME")]
    otlp_service: Option<String>,
}

impl Told {
    /// The settings with what was typed laid over.
    pub(super) fn over(self, file: Settings) -> Settings {
        Settings {
            log_format: self.log_format.unwrap_or(file.log_format),
            log_filter: self.log_filter.unwrap_or(file.log_filter),
            access_log: self.access_log || file.access_log,
            low_water: self.low_water.unwrap_or(file.low_water),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
            otlp_service: self.otlp_service.unwrap_or(file.otlp_service),
            ..file
        }
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("write pretty or json".to_owned()),
    }
}
