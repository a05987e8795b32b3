//! `scrollback serve`: merges flags, environment, file and defaults into settings, and hands
//! them to the server. Whoever is more explicit wins: a flag over a variable over the file.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;

use self::{asking::Asking, rates::Rates, reach::Reach, told::Told};
use crate::{
    limits,
    server::{
        self,
        settings::{Settings, parse_span},
        telemetry,
    },
};

mod asking;
mod rates;
mod reach;
mod told;

/// Run the server
#[derive(Debug, Default, Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:4437]
    #[arg(long, env = "SCROLLBACK_LISTEN", value_name = "ADDRESS", value_parser = reach::parse_listen)]
    listen: Option<SocketAddr>,
    /// Folder of the log [default: scrollback-data]
    #[arg(long, env = "SCROLLBACK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How long records are kept where a stream does not say [default: 30d]
    #[arg(long, env = "SCROLLBACK_RETENTION", value_name = "SPAN", value_parser = parse_span)]
    retention: Option<Duration>,
    /// Settings file in TOML
    #[arg(long, env = "SCROLLBACK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Origins whose pages may use the server, scheme and host, separated by commas; * is every one
    #[arg(long, env = "SCROLLBACK_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<String>,
    /// URL under which workers reach the server, for the calls of subscriptions [default: the
    /// address it listens on]
    #[arg(long, env = "SCROLLBACK_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Whether webhooks may call this machine over plain HTTP, for development [default: where the
    /// server listens on loopback]
    #[arg(long, env = "SCROLLBACK_WEBHOOK_LOCALHOST", value_name = "BOOL")]
    webhook_localhost: Option<bool>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    rates: Rates,
    #[command(flatten)]
    told: Told,
    /// Print the settings as a file would say them, and end
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    /// Runs the server until it is told to stop.
    pub(super) fn run(self) -> Result<()> {
        let file = self.config.as_deref().map(read_file).transpose()?;
        let print_config = self.print_config;
        let settings = self.over(file.unwrap_or_default());
        settings.check()?;
        if print_config {
            let text = toml::to_string(&settings)?;
            return Ok(io::stdout().write_all(text.as_bytes())?);
        }
        start(settings)
    }

    /// The settings with what was typed laid over what the file says.
    fn over(self, file: Settings) -> Settings {
        let typed = Some(self.cors_origin).filter(|origins| !origins.is_empty());
        let file = self.reach.over(self.asking.over(self.rates.over(self.told.over(file))));
        Settings {
            cors_origins: typed.unwrap_or(file.cors_origins),
            listen: self.listen.unwrap_or(file.listen),
            data_dir: self.data_dir.unwrap_or(file.data_dir),
            retention: self.retention.unwrap_or(file.retention),
            public_url: self.public_url.or(file.public_url),
            webhook_localhost: self.webhook_localhost.or(file.webhook_localhost),
            ..file
        }
    }
}

fn start(settings: Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(limits::BLOCKING_THREADS_MAX)
        .enable_all()
        .build()?;
    let telemetry = telemetry::install(&settings, runtime.handle())?;
    let ended = runtime.block_on(async { server::run(settings, server::signals()?).await });
    telemetry.stop();
    ended
}

fn read_file(path: &Path) -> Result<Settings> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in the settings file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::LogFormat;

    #[test]
    fn work_that_holds_a_thread_for_long_leaves_some_to_reads() {
        let long = limits::WEBHOOK_LOOKUPS_AT_ONCE + limits::REPLAYS_AT_ONCE + limits::BACKUPS_MAX;
        assert!(3 * (limits::BLOCKING_THREADS_MAX - long) >= limits::BLOCKING_THREADS_MAX);
    }

    #[test]
    fn what_was_typed_wins_over_the_file_and_the_file_over_the_defaults() {
        let file: Settings =
            toml::from_str("listen = \"127.0.0.1:1\"\nretention = \"7d\"\nlog_filter = \"warn\"")
                .unwrap();
        let mut typed = Serve { retention: Some(Duration::from_mins(1)), ..Serve::default() };
        typed.told.log_format = Some(LogFormat::Json);
        let settings = typed.over(file);
        assert_eq!(settings.listen.port(), 1);
        assert_eq!(settings.retention, Duration::from_mins(1));
        assert_eq!(settings.log_format, LogFormat::Json);
        assert_eq!(settings.log_filter, "warn");
        assert_eq!(settings.data_dir, Settings::default().data_dir);
    }

    #[test]
    fn a_settings_file_that_is_not_there_is_named() {
        let error = read_file(Path::new("/nowhere/s.toml")).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/s.toml"));
    }
}
