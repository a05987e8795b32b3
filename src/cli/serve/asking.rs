//! Whom the server lets in, as it was typed.

use std::path::PathBuf;

use clap::{Args, builder::FalseyValueParser};

use crate::server::Settings;

/// Tokens and keys.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Whom it lets in")]
pub(super) struct Asking {
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
    /// The claim with their scopes, or the way to it with dots [default: scope]
    #[arg(long, env = "SCROLLBACK_JWT_SCOPE_CLAIM", value_name = "NAME")]
    jwt_scope_claim: Option<String>,
    /// Listen beyond loopback although there is no authentication
    #[arg(long, env = "SCROLLBACK_INSECURE_NO_AUTH", value_parser = FalseyValueParser::new())]
    insecure_no_auth: bool,
}

impl Asking {
    /// The settings with what was typed laid over.
    pub(super) fn over(self, file: Settings) -> Settings {
        Settings {
            insecure_no_auth: self.insecure_no_auth || file.insecure_no_auth,
            auth: self.auth || file.auth,
            tokens: self.tokens.or(file.tokens),
            jwt_key: self.jwt_key.or(file.jwt_key),
            jwt_jwks: self.jwt_jwks.or(file.jwt_jwks),
            jwt_audience: self.jwt_audience.or(file.jwt_audience),
            jwt_issuer: self.jwt_issuer.or(file.jwt_issuer),
            jwt_scope_claim: self.jwt_scope_claim.unwrap_or(file.jwt_scope_claim),
            ..file
        }
    }
}
