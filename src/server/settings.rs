//! What a server is started with. The command line merges it from flags, environment and file;
//! here are the defaults and the rules. It refuses to know where a value came from.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use super::socket_mode::SocketMode;
pub use crate::http::{Allowance, RateLimits, TrustedProxy};
use crate::{limits, subscription::Targets};

/// The port, unless told otherwise.
pub const PORT: u16 = 4437;

/// The settings of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the log lives.
    pub data_dir: PathBuf,
    /// How long records are kept where a stream does not say.
    #[serde(with = "span")]
    pub retention: Duration,
    /// The form of the server's own log.
    pub log_format: LogFormat,
    /// What of it is shown, as `tracing` filters are written.
    pub log_filter: String,
    /// A line in the log for every request, though the filter asks for none.
    pub access_log: bool,
    /// The collector that spans are sent to over OTLP, such as `http://127.0.0.1:4318`. Only where
    /// the program was built with the feature `otlp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// What the server is called there.
    pub otlp_service: String,
    /// With fewer bytes free on the disk of the data folder the server says that it is not ready.
    pub low_water: u64,
    /// Origins whose pages may read and write, such as `https://app.example`; `*` is every origin.
    pub cors_origins: Vec<String>,
    /// The URL under which clients and workers reach the server, such as `https://log.example`.
    /// Unless given it is for workers the address it listens on, where that is one, and for clients
    /// what they ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Webhooks may call this machine over plain HTTP, for development. Unless given they may
    /// where the server listens on loopback only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_localhost: Option<bool>,
    /// The server's certificate and those above it, in PEM. With it TCP connections are TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// A Unix socket to listen on beside the address, without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<PathBuf>,
    /// Who may connect to it.
    pub unix_socket_mode: SocketMode,
    /// Proxies that are believed when they say where a request comes from.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Listens beyond loopback although there is no authentication.
    pub insecure_no_auth: bool,
    /// Asks everybody for a token. Other settings below, and tokens where it listens beyond
    /// loopback, say so as well.
    pub auth: bool,
    /// The file of tokens; `tokens.json` in the data folder unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<PathBuf>,
    /// The file of the key that signs JSON Web Tokens: a public key in PEM, or a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_key: Option<PathBuf>,
    /// The file with a set of such keys, instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_jwks: Option<PathBuf>,
    /// For whom JSON Web Tokens have to be: one of their `aud`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_audience: Option<String>,
    /// Who has to have made them: their `iss`. Not asked unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_issuer: Option<String>,
    /// The claim with their scopes.
    pub jwt_scope_claim: String,
    /// What each token and each address may do.
    pub limits: RateLimits,
}

/// The form of the server's own log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            data_dir: PathBuf::from("scrollback-data"),
            retention: limits::RETENTION_DEFAULT,
            log_format: LogFormat::default(),
            log_filter: "info".to_owned(),
            access_log: false,
            otlp_endpoint: None,
            otlp_service: "scrollback".to_owned(),
            low_water: limits::LOW_WATER_BYTES,
            cors_origins: Vec::new(),
            public_url: None,
            webhook_localhost: None,
            tls_cert: None,
            tls_key: None,
            unix_socket: None,
            unix_socket_mode: SocketMode::default(),
            trusted_proxies: Vec::new(),
            insecure_no_auth: false,
            auth: false,
            tokens: None,
            jwt_key: None,
            jwt_jwks: None,
            jwt_audience: None,
            jwt_issuer: None,
            jwt_scope_claim: "scope".to_owned(),
            limits: RateLimits::default(),
        }
    }
}

/// Why a server cannot be started with its settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Anybody on the network could read and write.
    #[error(
        "others could reach {0}, and the server would ask none of them who they are; make the first \
         token with `scrollback token create --scope 'admin:**'` and the same --data-dir, or name \
         the keys of an issuer with --jwt-jwks; `--insecure-no-auth` listens there all the same"
    )]
    Exposed(SocketAddr),
    /// Both cannot be.
    #[error("the settings ask for tokens and for --insecure-no-auth; leave one of them out")]
    AuthAndNone,
    /// Two files of keys.
    #[error("there are --jwt-key and --jwt-jwks; put both keys into the set")]
    TwoKeys,
    /// A token for somebody else would be good here.
    #[error(
        "JSON Web Tokens need --jwt-audience: the `aud` that the issuer gives to tokens for this \
         server"
    )]
    NoAudience,
    /// Rules for tokens that nobody can check.
    #[error("there is a --jwt- setting and no key; name one with --jwt-key or --jwt-jwks")]
    NoKey,
    /// Records would go before anyone could read them.
    #[error("retention is at least {} s", limits::RETENTION_MIN.as_secs())]
    Retention,
    /// Not an origin.
    #[error("{0:?} is no origin; write a scheme and a host, such as https://app.example, or *")]
    Origin(String),
    /// Not a URL that paths can be put behind.
    #[error(
        "{0:?} is no public URL; write a scheme, a host and perhaps a path, such as https://log.example"
    )]
    PublicUrl(String),
    /// A certificate without its key, or a key without its certificate.
    #[error("a certificate and its key belong together; give both --tls-cert and --tls-key")]
    HalfOfTls,
    /// Not file permissions.
    #[error("{0:?} are no permissions of a socket; write them in octal, such as 0600 or 0660")]
    SocketMode(String),
    /// Nobody would send spans.
    #[error(
        "this program was built without OTLP; build it with `--features otlp`, or take \
         `otlp_endpoint` away"
    )]
    NoOtlp,
    /// Not a collector.
    #[error("{0:?} is no collector; write its URL, such as http://127.0.0.1:4318")]
    OtlpEndpoint(String),
    /// Not a span of time.
    #[error("{0:?} is not a span of time; write a number and ms, s, m, h, d or w, such as 30d")]
    Span(String),
}

impl Settings {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_auth()?;
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(SettingsError::HalfOfTls);
        }
        if self.retention < limits::RETENTION_MIN {
            return Err(SettingsError::Retention);
        }
        if let Some(origin) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(SettingsError::Origin(origin.clone()));
        }
        if let Some(url) = self.public_url.as_ref().filter(|url| !is_base(url)) {
            return Err(SettingsError::PublicUrl(url.clone()));
        }
        self.check_otlp(cfg!(feature = "otlp"))
    }

    fn check_otlp(&self, can_send: bool) -> Result<(), SettingsError> {
        match &self.otlp_endpoint {
            Some(_) if !can_send => Err(SettingsError::NoOtlp),
            Some(url) if !is_base(url) => Err(SettingsError::OtlpEndpoint(url.clone())),
            _ => Ok(()),
        }
    }

    fn check_auth(&self) -> Result<(), SettingsError> {
        if self.insecure_no_auth && self.names_auth() {
            return Err(SettingsError::AuthAndNone);
        }
        let has_rule = self.jwt_audience.is_some() || self.jwt_issuer.is_some();
        match (&self.jwt_key, &self.jwt_jwks) {
            (Some(_), Some(_)) => Err(SettingsError::TwoKeys),
            (None, None) if has_rule => Err(SettingsError::NoKey),
            (None, None) => Ok(()),
            _ if self.jwt_audience.as_ref().is_none_or(String::is_empty) => {
                Err(SettingsError::NoAudience)
            }
            _ => Ok(()),
        }
    }

    /// Where the tokens are.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.tokens.clone().unwrap_or_else(|| self.data_dir.join("tokens.json"))
    }

    /// Whether one of the settings says that everybody is asked for a token.
    #[must_use]
    pub fn names_auth(&self) -> bool {
        let named = [&self.tokens, &self.jwt_key, &self.jwt_jwks];
        self.auth || named.into_iter().any(Option::is_some)
    }

    /// Whom webhooks may call.
    #[must_use]
    pub fn webhook_targets(&self) -> Targets {
        let allowed = self.webhook_localhost.unwrap_or_else(|| self.listen.ip().is_loopback());
        if allowed { Targets::Localhost } else { Targets::Public }
    }

    /// The files of the certificate and of its key, where connections are TLS.
    #[must_use]
    pub fn tls_files(&self) -> Option<(PathBuf, PathBuf)> {
        self.tls_cert.clone().zip(self.tls_key.clone())
    }

    /// What URLs of the server begin with.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() { "https" } else { "http" }
    }

    /// The names that a server on loopback goes by beside its address; `None` for one that others
    /// reach by whatever name they have for it.
    #[must_use]
    pub fn names(&self) -> Option<Vec<String>> {
        let said = self.public_url.iter().chain(&self.cors_origins);
        let hosts = said.filter_map(|url| url::Url::parse(url).ok()?.host_str().map(str::to_owned));
        self.listen.ip().is_loopback().then(|| hosts.collect())
    }

    /// The URL that the settings say the server is reached by, as URLs are written (a host of other
    /// letters than ASCII ones is encoded) and without a slash at its end.
    #[must_use]
    pub fn said_url(&self) -> Option<String> {
        let url = url::Url::parse(self.public_url.as_ref()?).ok()?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    }

    /// The URL under which workers reach a server that listens on `addr`, if that is known.
    #[must_use]
    pub fn public_url(&self, addr: SocketAddr) -> Option<String> {
        let here = || (!addr.ip().is_unspecified()).then(|| format!("{}://{addr}", self.scheme()));
        self.said_url().or_else(here)
    }
}

/// Whether paths can be put behind a URL.
fn is_base(text: &str) -> bool {
    let url = url::Url::parse(text);
    url.is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// Whether a text is an origin as browsers send it: a scheme and a host, without a path.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
    };
    text == "*" || host.is_some_and(plain)
}

const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Parses a span of time such as `30d`, `12h`, `90s`, `1500ms`.
///
/// # Errors
/// [`SettingsError::Span`].
pub fn parse_span(text: &str) -> Result<Duration, SettingsError> {
    let refused = || SettingsError::Span(text.to_owned());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(refused)?;
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(refused)?;
    let number: u64 = number.parse().map_err(|_| refused())?;
    number.checked_mul(*unit_ms).map(Duration::from_millis).ok_or_else(refused)
}

/// The span as [`parse_span`] reads it, in the largest unit that holds it exactly.
#[must_use]
pub fn span_text(span: Duration) -> String {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().find(|(_, unit_ms)| ms >= *unit_ms && ms % unit_ms == 0);
    let (name, unit_ms) = unit.unwrap_or(&("ms", 1));
    format!("{}{name}", ms / unit_ms)
}

/// Spans in the settings file are texts.
mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::span_text(*span))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        super::parse_span(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_they_are_read() {
        for text in ["30d", "2w", "12h", "90m", "61s", "1500ms", "0ms"] {
            assert_eq!(span_text(parse_span(text).unwrap()), text);
        }
        assert_eq!(parse_span("24h").unwrap(), parse_span("1d").unwrap());
        for text in ["", "d", "30", "-1d", "1.5h", "3 years", "99999999999999999999d", "é"] {
            assert_eq!(parse_span(text), Err(SettingsError::Span(text.to_owned())));
        }
    }

    #[test]
    fn a_settings_file_names_what_differs_from_the_defaults() {
        let settings: Settings =
            toml::from_str("listen = \"127.0.0.1:0\"\nretention = \"7d\"").unwrap();
        assert_eq!(settings.retention, Duration::from_hours(7 * 24));
        assert_eq!(settings.data_dir, Settings::default().data_dir);
        let again: Settings = toml::from_str(&toml::to_string(&settings).unwrap()).unwrap();
        assert_eq!(again, settings);
        assert!(toml::from_str::<Settings>("lissten = 1").is_err());
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for (text, is_one) in [
            ("*", true),
            ("https://app.example", true),
            ("http://localhost:5173", true),
            ("app.example", false),
            ("https://app.example/", false),
            ("https://", false),
            ("https://a b", false),
        ] {
            let settings = Settings { cors_origins: vec![text.to_owned()], ..Settings::default() };
            assert_eq!(settings.check().is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn settings_of_tokens_have_to_fit_together() {
        let plain = Settings::default;
        let key = || Some(PathBuf::from("k"));
        let log = || Some("log".to_owned());
        let jwt = || Settings { jwt_key: key(), jwt_audience: log(), ..plain() };
        for (settings, expected) in [
            (plain(), Ok(())),
            (Settings { auth: true, ..plain() }, Ok(())),
            (jwt(), Ok(())),
            (Settings { jwt_jwks: key(), ..jwt() }, Err(SettingsError::TwoKeys)),
            (Settings { jwt_audience: None, ..jwt() }, Err(SettingsError::NoAudience)),
            (Settings { jwt_audience: log(), ..plain() }, Err(SettingsError::NoKey)),
            (Settings { jwt_issuer: log(), ..plain() }, Err(SettingsError::NoKey)),
            (Settings { insecure_no_auth: true, ..plain() }, Ok(())),
            (Settings { insecure_no_auth: true, ..jwt() }, Err(SettingsError::AuthAndNone)),
        ] {
            assert_eq!(settings.check(), expected, "{settings:?}");
        }
    }

    #[test]
    fn a_collector_is_a_url_and_needs_a_program_that_can_send() {
        let settings =
            |url: &str| Settings { otlp_endpoint: Some(url.to_owned()), ..Settings::default() };
        let url = settings("http://127.0.0.1:4318");
        assert_eq!(url.check_otlp(true), Ok(()));
        assert_eq!(url.check_otlp(false), Err(SettingsError::NoOtlp));
        assert_eq!(url.check(), url.check_otlp(cfg!(feature = "otlp")));
        let wrong = SettingsError::OtlpEndpoint("127.0.0.1:4318".to_owned());
        assert_eq!(settings("127.0.0.1:4318").check_otlp(true), Err(wrong));
    }

    #[test]
    fn workers_are_told_where_they_reach_the_server() {
        let at = |text: &str| text.parse().unwrap();
        let plain = Settings::default();
        assert_eq!(plain.public_url(at("127.0.0.1:80")).as_deref(), Some("http://127.0.0.1:80"));
        assert_eq!(plain.public_url(at("0.0.0.0:80")), None);
        let given = Settings { public_url: Some("https://log.example/x/".to_owned()), ..plain };
        assert_eq!(given.check(), Ok(()));
        assert_eq!(given.public_url(at("0.0.0.0:80")).as_deref(), Some("https://log.example/x"));
        let other =
            |url: &str| Settings { public_url: Some(url.to_owned()), ..Settings::default() };
        assert_eq!(
            other(" https://lög.example ").said_url().unwrap(),
            "https://xn--lg-fka.example"
        );
        assert_eq!(other("https://log.example").said_url().unwrap(), "https://log.example");
        for url in ["log.example", "ftp://log.example", "https://log.example?x", "https://"] {
            let settings = Settings { public_url: Some(url.to_owned()), ..Settings::default() };
            assert_eq!(settings.check(), Err(SettingsError::PublicUrl(url.to_owned())), "{url}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_belong_together_and_make_urls_https() {
        let half = Settings { tls_cert: Some("c.pem".into()), ..Settings::default() };
        assert_eq!(half.check(), Err(SettingsError::HalfOfTls));
        let other = Settings { tls_key: Some("k.pem".into()), ..Settings::default() };
        assert_eq!(other.check(), Err(SettingsError::HalfOfTls));
        let whole = Settings { tls_key: other.tls_key, ..half };
        assert_eq!(whole.check(), Ok(()));
        let at = "127.0.0.1:80".parse().unwrap();
        assert_eq!(whole.public_url(at).as_deref(), Some("https://127.0.0.1:80"));
    }

    #[test]
    fn permissions_of_the_socket_and_proxies_are_texts_in_the_settings_file() {
        let text = "unix_socket_mode = \"0660\"\ntrusted_proxies = [\"fd00::/8\", \"unix\"]";
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.unix_socket_mode.bits(), 0o660);
        assert_eq!(settings.trusted_proxies.len(), 2);
        assert!(toml::to_string(&settings).unwrap().contains(text));
        for wrong in ["", "8", "rw", "01000", "-1"] {
            assert_eq!(
                wrong.parse::<SocketMode>(),
                Err(SettingsError::SocketMode(wrong.to_owned()))
            );
        }
        assert!(toml::from_str::<Settings>("trusted_proxies = [\"proxy\"]").is_err());
    }

    #[test]
    fn webhooks_call_this_machine_in_development_only() {
        let local = Settings::default();
        assert_eq!(local.webhook_targets(), Targets::Localhost);
        let behind_a_proxy = Settings { webhook_localhost: Some(false), ..local };
        assert_eq!(behind_a_proxy.webhook_targets(), Targets::Public);
        let open = Settings { listen: "0.0.0.0:1".parse().unwrap(), ..Settings::default() };
        assert_eq!(open.webhook_targets(), Targets::Public);
    }
}
