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
use clap::{Args, builder::FalseyValueParser};

use crate::server::{
    self,
    settings::{Allowance, LogFormat, RateLimits, Settings, SocketMode, TrustedProxy, parse_span},
    telemetry,
};

/// Run the server
#[derive(Debug, Default, Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:4437]
    #[arg(long, env = "SCROLLBACK_LISTEN", value_name = "ADDRESS")]
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
    /// The server's certificate and those above it, in PEM; read again when it changes
    #[arg(long, env = "SCROLLBACK_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, env = "SCROLLBACK_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Unix socket to listen on beside the address
    #[arg(long, env = "SCROLLBACK_UNIX_SOCKET", value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// Permissions of the Unix socket [default: 0600]
    #[arg(long, env = "SCROLLBACK_UNIX_SOCKET_MODE", value_name = "OCTAL")]
    unix_socket_mode: Option<SocketMode>,
    /// Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas
    #[arg(long, env = "SCROLLBACK_TRUSTED_PROXIES", value_name = "ADDRESS", value_delimiter = ',')]
    trusted_proxy: Vec<TrustedProxy>,
    /// Ask everybody for a token [default: where other settings name tokens or keys, and beyond
    /// loopback]
    #[arg(long, env = "SCROLLBACK_AUTH", value_parser = FalseyValueParser::new())]
    auth: bool,
    /// File of tokens; implies --auth [default: tokens.json in the data folder]
    #[arg(long, env = "SCROLLBACK_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// File with the key of JSON Web Tokens, a public key in PEM or a secret; implies --auth
    #[arg(long, env = "SCROLLBACK_JWT_KEY", value_name = "FILE")]
    jwt_key: Option<PathBuf>,
    /// File with a JSON Web Key Set instead
    #[arg(long, env = "SCROLLBACK_JWT_JWKS", value_name = "FILE")]
    jwt_jwks: Option<PathBuf>,
    /// The `aud` that JSON Web Tokens have to have; needed with a key
    #[arg(long, env = "SCROLLBACK_JWT_AUDIENCE", value_name = "NAME")]
    jwt_audience: Option<String>,
    /// The `iss` that they have to have [default: any that the key has signed for]
    #[arg(long, env = "SCROLLBACK_JWT_ISSUER", value_name = "NAME")]
    jwt_issuer: Option<String>,
    /// The claim with their scopes [default: scope]
    #[arg(long, env = "SCROLLBACK_JWT_SCOPE_CLAIM", value_name = "NAME")]
    jwt_scope_claim: Option<String>,
    /// Listen beyond loopback although there is no authentication
    #[arg(long, env = "SCROLLBACK_INSECURE_NO_AUTH", value_parser = FalseyValueParser::new())]
    insecure_no_auth: bool,
    /// Whether the limits of tokens and addresses are in force [default: with authentication, and
    /// where the server listens beyond loopback]
    #[arg(long, env = "SCROLLBACK_LIMITS", value_name = "BOOL")]
    limits: Option<bool>,
    /// Requests of one token in a second; 0 is no limit [default: 2000]
    #[arg(long, env = "SCROLLBACK_TOKEN_REQUESTS", value_name = "NUMBER")]
    token_requests: Option<u64>,
    /// Bytes of request bodies of one token in a second; 0 is no limit [default: 33554432]
    #[arg(long, env = "SCROLLBACK_TOKEN_BYTES", value_name = "NUMBER")]
    token_bytes: Option<u64>,
    /// Requests of one address in a second; 0 is no limit [default: 2000]
    #[arg(long, env = "SCROLLBACK_ADDRESS_REQUESTS", value_name = "NUMBER")]
    address_requests: Option<u64>,
    /// Bytes of request bodies of one address in a second; 0 is no limit [default: 33554432]
    #[arg(long, env = "SCROLLBACK_ADDRESS_BYTES", value_name = "NUMBER")]
    address_bytes: Option<u64>,
    /// Form of the server's own log: pretty or json
    #[arg(long, env = "SCROLLBACK_LOG_FORMAT", value_name = "FORM", value_parser = log_format)]
    log_format: Option<LogFormat>,
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
        let proxies = Some(self.trusted_proxy).filter(|proxies| !proxies.is_empty());
        Settings {
            cors_origins: typed.unwrap_or(file.cors_origins),
            listen: self.listen.unwrap_or(file.listen),
            data_dir: self.data_dir.unwrap_or(file.data_dir),
            retention: self.retention.unwrap_or(file.retention),
            log_format: self.log_format.unwrap_or(file.log_format),
            log_filter: self.log_filter.unwrap_or(file.log_filter),
            access_log: self.access_log || file.access_log,
            low_water: self.low_water.unwrap_or(file.low_water),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
            otlp_service: self.otlp_service.unwrap_or(file.otlp_service),
            public_url: self.public_url.or(file.public_url),
            webhook_localhost: self.webhook_localhost.or(file.webhook_localhost),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            unix_socket: self.unix_socket.or(file.unix_socket),
            unix_socket_mode: self.unix_socket_mode.unwrap_or(file.unix_socket_mode),
            trusted_proxies: proxies.unwrap_or(file.trusted_proxies),
            insecure_no_auth: self.insecure_no_auth || file.insecure_no_auth,
            auth: self.auth || file.auth,
            tokens: self.tokens.or(file.tokens),
            jwt_key: self.jwt_key.or(file.jwt_key),
            jwt_jwks: self.jwt_jwks.or(file.jwt_jwks),
            jwt_audience: self.jwt_audience.or(file.jwt_audience),
            jwt_issuer: self.jwt_issuer.or(file.jwt_issuer),
            jwt_scope_claim: self.jwt_scope_claim.unwrap_or(file.jwt_scope_claim),
            limits: RateLimits {
                enforce: self.limits.or(file.limits.enforce),
                token: allowance(file.limits.token, self.token_requests, self.token_bytes),
                address: allowance(file.limits.address, self.address_requests, self.address_bytes),
                ..file.limits
            },
        }
    }
}

/// What the file allows, with what was typed laid over it.
fn allowance(file: Allowance, requests: Option<u64>, bytes: Option<u64>) -> Allowance {
    Allowance {
        requests_per_second: requests.unwrap_or(file.requests_per_second),
        bytes_per_second: bytes.unwrap_or(file.bytes_per_second),
        ..file
    }
}

fn start(settings: Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
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

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("write pretty or json".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_wins_over_the_file_and_the_file_over_the_defaults() {
        let file: Settings =
            toml::from_str("listen = \"127.0.0.1:1\"\nretention = \"7d\"\nlog_filter = \"warn\"")
                .unwrap();
        let typed = Serve {
            retention: Some(Duration::from_mins(1)),
            log_format: Some(LogFormat::Json),
            ..Serve::default()
        };
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
