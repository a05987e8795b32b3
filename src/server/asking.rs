//! Whether the server asks who somebody is, and with what: from settings to the tokens it knows.
//!
//! Invariant: nobody but this machine reaches a server that asks nobody, unless that was said.

use super::settings::{Settings, SettingsError};
use crate::auth::{KeySource, TokenFile, Tokens, jwt::Rules};

/// The tokens of a server with these settings; `None` where it asks nobody.
///
/// # Errors
/// It would be exposed, or a file of tokens or keys cannot be used.
pub(super) fn open(settings: &Settings) -> anyhow::Result<Option<Tokens>> {
    let file = TokenFile::at(settings.token_file());
    // On loopback it is not even looked at unless somebody says so.
    let is_open = !settings.listen.ip().is_loopback() && !settings.insecure_no_auth;
    let has_tokens = is_open && file.registry()?.is_some_and(|known| !known.tokens().is_empty());
    if !asks(settings, has_tokens)? {
        if file.path().exists() {
            let path = file.path().display();
            tracing::warn!(file = %path, "there are tokens, and nobody is asked for one; see --auth");
        }
        return Ok(None);
    }
    if !settings.auth {
        tracing::info!("everybody is asked for a token, because of the other settings");
    }
    let jwt = jwt(settings);
    let has_jwt = jwt.is_some();
    let tokens = Tokens::open(file, jwt)?;
    if !has_jwt && tokens.list()?.is_empty() {
        tracing::warn!(
            file = %tokens.file().path().display(),
            "there is no token, so nobody can do anything; make the first one, with the same \
             --data-dir or --tokens as here: scrollback token create --scope 'admin:**'"
        );
    }
    Ok(Some(tokens))
}

/// Whether everybody is asked for a token. Pure.
fn asks(settings: &Settings, has_tokens: bool) -> Result<bool, SettingsError> {
    if settings.insecure_no_auth {
        return Ok(false);
    }
    if settings.names_auth() || has_tokens {
        return Ok(true);
    }
    if settings.listen.ip().is_loopback() {
        return Ok(false);
    }
    Err(SettingsError::Exposed(settings.listen))
}

fn jwt(settings: &Settings) -> Option<(KeySource, Rules)> {
    let one = settings.jwt_key.clone().map(KeySource::One);
    let source = one.or_else(|| settings.jwt_jwks.clone().map(KeySource::Set))?;
    let rules = Rules {
        audience: settings.jwt_audience.clone()?,
        issuer: settings.jwt_issuer.clone(),
        scope_claim: settings.jwt_scope_claim.clone(),
    };
    Some((source, rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on_unless_somebody_is_asked_or_it_is_said() {
        let loopback = Settings::default();
        let open = Settings { listen: "0.0.0.0:4437".parse().unwrap(), ..Settings::default() };
        let auth = Settings { auth: true, ..loopback.clone() };
        let named = Settings { tokens: Some("t.json".into()), ..loopback.clone() };
        let jwt = Settings { jwt_jwks: Some("k.json".into()), ..open.clone() };
        let insecure = Settings { insecure_no_auth: true, ..open.clone() };
        let exposed = Err(SettingsError::Exposed(open.listen));
        for (settings, has_tokens, expected) in [
            (&loopback, false, Ok(false)),
            (&open, false, exposed),
            (&open, true, Ok(true)),
            (&auth, false, Ok(true)),
            (&named, false, Ok(true)),
            (&jwt, false, Ok(true)),
            (&insecure, false, Ok(false)),
            (&insecure, true, Ok(false)),
        ] {
            assert_eq!(asks(settings, has_tokens), expected, "{settings:?}");
        }
    }
}
