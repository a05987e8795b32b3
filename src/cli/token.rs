//! `scrollback token`: tokens made, listed, taken back, approved, JSON Web Tokens revoked; in their
//! file, or over HTTP.
//!
//! The file may be changed while a server has it: the server looks at it. Invariant: a secret is
//! printed once, when it is made, and alone on standard output, so that a shell can take it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::{
    connection::{ServerUrl, block_on},
    output::{Form, Output, notice, time_text},
    shown::visible,
};
use crate::{
    auth::{Access, Actor, Jti, NewToken, Registry, Scope, Scopes, TokenFile, Worker},
    client::Client,
    clock::{Clock, SystemClock},
    server::settings::{Settings, parse_span},
    wire::tokens::{CreateToken, CreatedToken, RevokeJwt, RevokedJwtBody, TokenBody},
};

/// Make, list, revoke and approve tokens
#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    Create(Box<Create>),
    List(List),
    Revoke(Revoke),
    Approve(One),
}

/// Where the tokens are: in a file, or at a server that is asked for them
#[derive(Debug, Args)]
struct Place {
    /// Folder of the log, with tokens.json in it
    #[arg(long, env = "SCROLLBACK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File of tokens, where it is elsewhere
    #[arg(long, env = "SCROLLBACK_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Ask the server at this URL instead, with an admin's token
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Certificates of the authorities to believe, in PEM [default: those of the machine]
    #[arg(long, env = "SCROLLBACK_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// That token; other people can see what is typed, so the variable is the better place
    #[arg(long, env = "SCROLLBACK_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Make a token, and print its secret once
#[derive(Debug, Args)]
struct Create {
    /// What its holder may do: read, write or admin, and paths, such as read:sessions/*
    #[arg(long, value_name = "SCOPE", required_unless_present = "worker")]
    scope: Vec<Scope>,
    /// When it ends, from now on, such as 30d [default: never]
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    expires: Option<Duration>,
    /// What it is for
    #[arg(long)]
    name: Option<String>,
    /// Who stands as the writer of what its holder writes, such as user:u1
    #[arg(long, value_name = "KIND:ID")]
    actor: Option<Actor>,
    /// The worker whose token it is; it waits for an approval, and has no scopes
    #[arg(long, value_name = "ID", conflicts_with = "scope")]
    worker: Option<Worker>,
    /// Print what is noted of it, too, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// List the tokens, without their secrets
#[derive(Debug, Args)]
struct List {
    /// The JSON Web Tokens that are revoked, instead
    #[arg(long)]
    revoked: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    form: Form,
}

/// Take a token back, or revoke a JSON Web Token
#[derive(Debug, Args)]
struct Revoke {
    /// The id of a token, as the list shows it
    #[arg(required_unless_present = "jti", conflicts_with = "jti")]
    id: Option<String>,
    /// A JSON Web Token instead, by its claim jti
    #[arg(long, value_name = "JTI")]
    jti: Option<Jti>,
    /// When that would end by itself at the latest, from now on, such as 1h [default: never]
    #[arg(long, value_name = "SPAN", value_parser = parse_span, requires = "jti", conflicts_with = "id")]
    expires: Option<Duration>,
    #[command(flatten)]
    place: Place,
}

/// One token
#[derive(Debug, Args)]
struct One {
    /// Its id, as the list shows it
    id: String,
    #[command(flatten)]
    place: Place,
}

impl Token {
    /// Does it.
    pub(super) fn run(self) -> Result<()> {
        match self.work {
            Work::Create(create) => create.run(),
            Work::List(list) => list.run(),
            Work::Revoke(revoke) => revoke.run(),
            Work::Approve(one) => one.approve(),
        }
    }
}

impl Place {
    fn client(&self) -> Result<Option<Client>> {
        let Some(url) = &self.url else { return Ok(None) };
        let server = ServerUrl { url: url.clone(), token: self.token.clone(), ca: self.ca.clone() };
        server.client().map(Some)
    }

    fn file(&self) -> TokenFile {
        let mut settings = Settings { tokens: self.tokens.clone(), ..Settings::default() };
        if let Some(folder) = &self.data_dir {
            settings.data_dir.clone_from(folder);
        }
        TokenFile::at(settings.token_file())
    }
}

impl Create {
    fn run(self) -> Result<()> {
        let created = match self.place.client()? {
            Some(client) => block_on(async { Ok(client.create_token(&self.asked()).await?) })?,
            None => self.in_file()?,
        };
        if self.json {
            print(&serde_json::to_string(&created)?)?;
        } else {
            print(&created.secret)?;
        }
        let id = &created.token.id;
        notice(&format!("{id}: this is its secret; it is not shown again"));
        if !created.token.approved {
            notice(&format!(
                "it opens nothing until somebody approves it: scrollback token approve {id}"
            ));
        }
        if self.place.url.is_none() {
            notice(&format!(
                "noted in {}; a server that runs with it knows the token within a second",
                self.place.file().path().display()
            ));
        }
        Ok(())
    }

    fn asked(&self) -> CreateToken {
        CreateToken {
            name: self.name.clone(),
            scopes: self.scope.iter().map(ToString::to_string).collect(),
            worker: self.worker.as_ref().map(ToString::to_string),
            actor: self.actor.as_ref().map(ToString::to_string),
            expires_in_ms: self.lasts_ms(),
        }
    }

    fn lasts_ms(&self) -> Option<u64> {
        self.expires.map(millis)
    }

    fn in_file(&self) -> Result<CreatedToken> {
        let new = NewToken {
            name: self.name.clone(),
            scopes: Scopes::new(self.scope.clone()),
            worker: self.worker.clone(),
            actor: self.actor.clone(),
            lasts_ms: self.lasts_ms(),
        };
        let now_ms = SystemClock.now_ms();
        // Whoever may write the file may write anything into it.
        let create = |registry: &mut Registry| registry.create(new, &Access::Everyone, now_ms);
        let (token, secret) = self.place.file().change(create)?;
        Ok(CreatedToken { secret: secret.text().to_owned(), token: TokenBody::from(&token) })
    }
}

impl List {
    fn run(self) -> Result<()> {
        if self.revoked {
            return self.run_revoked();
        }
        let tokens = match self.place.client()? {
            Some(client) => block_on(async { Ok(client.tokens().await?) })?,
            None => self.registry()?.tokens().iter().map(TokenBody::from).collect(),
        };
        let mut output = self.form.open();
        for token in &tokens {
            line(&mut output, token)?;
        }
        Ok(output.flush()?)
    }

    fn run_revoked(self) -> Result<()> {
        let revoked: Vec<RevokedJwtBody> = match self.place.client()? {
            Some(client) => block_on(async { Ok(client.revoked_jwts().await?) })?,
            None => self.registry()?.revoked().all().iter().map(RevokedJwtBody::from).collect(),
        };
        let mut output = self.form.open();
        for one in &revoked {
            if output.is_for_people() {
                let text = format!("{:<20}  {}", end_text(one.expires_at), one.jti);
                output.line(&visible(&text))?;
            } else {
                output.json(&serde_json::to_vec(one)?)?;
            }
        }
        Ok(output.flush()?)
    }

    fn registry(&self) -> Result<Registry> {
        let file = self.place.file();
        file.registry()?.with_context(|| {
            format!(
                "there are no tokens at {}; make the first one with `scrollback token create`, or \
                 name another place",
                file.path().display()
            )
        })
    }
}

impl Revoke {
    fn run(self) -> Result<()> {
        let what = match (&self.id, &self.jti) {
            (_, Some(jti)) => visible(&jti.to_string()),
            (id, None) => id.clone().unwrap_or_default(),
        };
        if let Some(client) = self.place.client()? {
            block_on(async {
                match self.revoked_jwt() {
                    Some(jwt) => drop(client.revoke_jwt(&jwt).await?),
                    None => drop(client.revoke_token(&what).await?),
                }
                Ok(())
            })?;
            notice(&format!("{what}: revoked; what it has opened ends"));
            return Ok(());
        }
        let file = self.place.file();
        match &self.jti {
            // A server that knows only an issuer's tokens has no list until one of them is revoked.
            Some(jti) => {
                let now_ms = SystemClock.now_ms();
                let ends = self.expires_at(now_ms);
                let revoke = |list: &mut Registry| list.revoke_jwt(jti.clone(), ends, now_ms);
                file.change_in_folder(revoke).map(drop)?;
            }
            None => file.change_known(|list| list.revoke(&what, &Access::Everyone)).map(drop)?,
        }
        notice(&format!(
            "{what}: revoked in {}; a server that runs with it ends within a second what it has \
             opened, and says in its log where it cannot read the file",
            file.path().display()
        ));
        Ok(())
    }

    fn expires_at(&self, now_ms: u64) -> Option<u64> {
        self.expires.map(|span| now_ms.saturating_add(millis(span)))
    }

    fn revoked_jwt(&self) -> Option<RevokeJwt> {
        let jti = self.jti.as_ref()?.to_string();
        Some(RevokeJwt { jti, expires_at: self.expires_at(SystemClock.now_ms()) })
    }
}

impl One {
    fn approve(self) -> Result<()> {
        match self.place.client()? {
            Some(client) => drop(block_on(async { Ok(client.approve_token(&self.id).await?) })?),
            None => {
                let now_ms = SystemClock.now_ms();
                let file = self.place.file();
                file.change_known(|registry| {
                    registry.approve(&self.id, &Access::Everyone, now_ms)
                })?;
            }
        }
        notice(&format!("{}: approved", self.id));
        Ok(())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn end_text(ends: Option<u64>) -> String {
    ends.map_or_else(|| "never".to_owned(), |ends| time_text(Some(ends)))
}

fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

fn line(output: &mut Output, token: &TokenBody) -> Result<()> {
    if !output.is_for_people() {
        return Ok(output.json(&serde_json::to_vec(token)?)?);
    }
    let what = token.worker.as_ref().map_or_else(
        || token.scopes.join(" "),
        |worker| {
            let waits = if token.approved { "" } else { " (waits for approval)" };
            format!("worker {worker}{waits}")
        },
    );
    let text = format!(
        "{}  {:<20}  {:<16}  {what}",
        token.id,
        end_text(token.expires_at),
        token.name.as_deref().unwrap_or("-"),
    );
    Ok(output.line(&visible(&text))?)
}
