//! The tokens of a running server: what the files say, and a guard that is kept at it.
//!
//! Invariants: the guard never goes back to an older list than the one it has; a file that cannot
//! be used or is gone changes nothing, and is told of once, and nothing is put in the place of one that is
//! gone while what it said is in force; a change that was confirmed is in force. The files are compared
//! by what is in them: their times can lie.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    Access, ChangeError, Digest, FileError, Guard, Jti, NewToken, Registry, RevokedJwt, Secret,
    Token, TokenError, TokenFile, file,
    jwt::{Jwt, Key, KeyError, Keys, Rules},
};
use crate::{clock::Clock, limits};

/// Where the keys of JSON Web Tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A secret, or a public key in PEM.
    One(PathBuf),
    /// A JSON Web Key Set.
    Set(PathBuf),
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// One of them cannot be read, or is no list of tokens.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file of keys is not there.
    #[error("{}: there is no such file of keys", .0.display())]
    NoKeys(PathBuf),
    /// It holds none that can be used.
    #[error("{}: {reason}", .path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why. It is in the message, and so no cause that is told once more.
        reason: KeyError,
    },
}

/// The tokens of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: TokenFile,
    keys: Option<KeySource>,
    guard: Guard,
    seen: Mutex<Seen>,
}

/// What the guard was told last.
#[derive(Debug, Default)]
struct Seen {
    tokens: Option<Digest>,
    /// The list that is in force.
    registry: Registry,
    keys: Option<Digest>,
    /// What was wrong when the files were looked at last.
    wrong: Option<String>,
}

impl KeySource {
    fn path(&self) -> &Path {
        match self {
            Self::One(path) | Self::Set(path) => path,
        }
    }

    fn read(&self) -> Result<(Digest, file::Contents), LoadError> {
        let contents = file::contents(self.path(), limits::JWT_KEY_FILE_BYTES_MAX)?;
        let contents = contents.ok_or_else(|| LoadError::NoKeys(self.path().to_owned()))?;
        Ok((Digest::of(&contents.bytes), contents))
    }

    fn keys(&self, contents: &file::Contents) -> Result<Keys, LoadError> {
        let keys = match self {
            Self::One(_) => Key::parse(&contents.bytes).map(Keys::one),
            Self::Set(_) => Keys::parse(&contents.bytes),
        };
        let keys =
            keys.map_err(|reason| LoadError::Keys { path: self.path().to_owned(), reason })?;
        // Public keys are for everybody.
        if keys.have_secret() {
            told_if_shown(self.path(), contents);
        }
        Ok(keys)
    }
}

impl Tokens {
    /// Reads the files. That of the tokens need not be there yet.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn open(file: TokenFile, jwt: Option<(KeySource, Rules)>) -> Result<Self, LoadError> {
        let mut seen = Seen::default();
        let (guard, keys) = match jwt {
            None => (Guard::on(), None),
            Some((source, rules)) => {
                let (digest, contents) = source.read()?;
                seen.keys = Some(digest);
                (Guard::with_jwt(Jwt::new(rules, source.keys(&contents)?)), Some(source))
            }
        };
        let tokens = Self { inner: Arc::new(Inner { file, keys, guard, seen: Mutex::new(seen) }) };
        tokens.inner.look_at_tokens(&mut tokens.inner.seen.lock())?;
        Ok(tokens)
    }

    /// The guard that is kept at what the files say.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.inner.guard
    }

    /// The file of the tokens.
    #[must_use]
    pub fn file(&self) -> &TokenFile {
        &self.inner.file
    }

    /// Looks whether the files have changed, and tells the guard. It waits for the disk.
    pub fn look(&self) {
        let mut seen = self.inner.seen.lock();
        let looked = self.inner.look_at_tokens(&mut seen);
        let looked = looked.and(self.inner.look_at_keys(&mut seen));
        let wrong = looked.err().map(|error| error.to_string());
        match &wrong {
            Some(reason) if seen.wrong != wrong => tracing::error!(
                reason,
                "what the tokens and keys were stays in force until this is put right"
            ),
            None if seen.wrong.is_some() => tracing::info!("tokens and keys can be read again"),
            _ => {}
        }
        seen.wrong = wrong;
    }

    /// Looks at the files now and then, for ever.
    ///
    /// # Errors
    /// A look did not come to its end, as when the process stops.
    pub async fn run(self, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
        loop {
            clock.sleep(limits::TOKENS_LOOK_EVERY).await;
            let tokens = self.clone();
            tokio::task::spawn_blocking(move || tokens.look()).await?;
        }
    }

    /// The tokens that were given out; those that are in force where the file is gone. It waits for the
    /// disk, as what follows does.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn list(&self) -> Result<Vec<Token>, FileError> {
        Ok(self.registry()?.tokens().to_vec())
    }

    /// Makes a token for somebody whose own rights are `by`. It is good when this returns.
    ///
    /// # Errors
    /// It may not be like this, or the file cannot be used.
    /// [`ChangeError::NotInForce`] where it is in the file and not in force.
    pub fn create(
        &self,
        new: NewToken,
        by: &Access,
        now_ms: u64,
    ) -> Result<(Token, Secret), ChangeError> {
        self.change(|registry| registry.create(new, by, now_ms))
    }

    /// Takes a token back for somebody whose own rights are `by`. What it has opened is told to end when
    /// this returns.
    ///
    /// # Errors
    /// There is none with this id, it opens more than they may, or the file cannot be used.
    /// [`ChangeError::NotInForce`] where it is in the file and not in force.
    pub fn revoke(&self, id: &str, by: &Access) -> Result<Token, ChangeError> {
        self.change(|registry| registry.revoke(id, by))
    }

    /// The JSON Web Tokens that are revoked.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn revoked(&self) -> Result<Vec<RevokedJwt>, FileError> {
        Ok(self.registry()?.revoked().all().to_vec())
    }

    fn registry(&self) -> Result<Registry, FileError> {
        let in_force = || self.inner.seen.lock().registry.clone();
        Ok(self.inner.file.registry()?.unwrap_or_else(in_force))
    }

    /// Revokes a JSON Web Token that would have ended at `expires_at`, in Unix milliseconds. What it
    /// has opened is told to end when this returns.
    ///
    /// # Errors
    /// It is over, too many are revoked, or the file cannot be used.
    /// [`ChangeError::NotInForce`] where it is in the file and not in force.
    pub fn revoke_jwt(
        &self,
        jti: Jti,
        expires_at: Option<u64>,
        now_ms: u64,
    ) -> Result<RevokedJwt, ChangeError> {
        self.change(|registry| registry.revoke_jwt(jti, expires_at, now_ms))
    }

    /// Approves a worker's token. It is good when this returns.
    ///
    /// # Errors
    /// There is none with this id, it is not a worker's, or the file cannot be used.
    /// [`ChangeError::NotInForce`] where it is in the file and not in force.
    pub fn approve(&self, id: &str, by: &Access, now_ms: u64) -> Result<Token, ChangeError> {
        self.change(|registry| registry.approve(id, by, now_ms))
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<T, TokenError>,
    ) -> Result<T, ChangeError> {
        let done = match self.inner.file.change_or_begin(|| self.begun(), change) {
            // Gone from the file, and perhaps not from the guard: who asks again is not told that
            // all is well.
            Err(ChangeError::Token(TokenError::Unknown(id))) => Err(TokenError::Unknown(id)),
            done => Ok(done?),
        };
        // Read again, and not taken from the change: somebody else may have been next, and a guard
        // that is told twice in the wrong order would let in whoever was revoked in between.
        let looked = self.inner.look_at_tokens(&mut self.inner.seen.lock());
        looked.map_err(|error| ChangeError::NotInForce(error.to_string()))?;
        Ok(done?)
    }

    /// What to begin with where there is no file: nothing, and not even that while something is in
    /// force, for a list that holds only what is new would end all the rest.
    fn begun(&self) -> Result<Registry, FileError> {
        let none = Registry::default();
        if self.inner.seen.lock().registry == none {
            return Ok(none);
        }
        Err(FileError::Gone(self.inner.file.path().to_owned()))
    }
}

impl Inner {
    fn look_at_tokens(&self, seen: &mut Seen) -> Result<(), LoadError> {
        let Some(contents) = self.file.contents()? else {
            // A list that was there and is gone is more likely a mistake than the wish to lock
            // everybody out.
            let gone = FileError::Gone(self.file.path().to_owned());
            return if seen.tokens.is_some() { Err(gone.into()) } else { Ok(()) };
        };
        let digest = Some(Digest::of(&contents.bytes));
        if digest == seen.tokens {
            return Ok(());
        }
        let registry = self.file.parsed(&contents)?;
        told_if_shown(self.file.path(), &contents);
        self.guard.set(&registry);
        seen.tokens = digest;
        let revoked = registry.revoked().all().len();
        tracing::info!(tokens = registry.tokens().len(), revoked, "tokens were read");
        seen.registry = registry;
        Ok(())
    }

    fn look_at_keys(&self, seen: &mut Seen) -> Result<(), LoadError> {
        let (Some(source), Some(jwt)) = (&self.keys, self.guard.jwt()) else { return Ok(()) };
        let (digest, contents) = source.read()?;
        if seen.keys == Some(digest) {
            return Ok(());
        }
        jwt.replace(source.keys(&contents)?);
        seen.keys = Some(digest);
        tracing::info!("keys of JSON Web Tokens were read");
        Ok(())
    }
}

fn told_if_shown(path: &Path, contents: &file::Contents) {
    if contents.is_shown {
        tracing::warn!(
            file = %path.display(),
            "others than its owner can read this file of tokens or of a secret; run `chmod 600` on it"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::auth::{Denied, Scopes};

    const SECRET: &str = "a secret of thirty-two bytes, or more";
    // `jti` is `a` and `b`, `exp` is in the year 2065, and the secret is the one above.
    const JTI_A: &str = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJsb2ciLCJleHAiOjMwMDAwMDAwMDAsImp0aSI6ImEifQ.Ldgejkz6pUA77MJJ8Qywb7HZMfzCroB3IFq8IJCF4YU";
    const JTI_B: &str = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJsb2ciLCJleHAiOjMwMDAwMDAwMDAsImp0aSI6ImIifQ.it-4OaNNSXtm-HrkeFC82AQSZ7G2UQDchOsWUDtIuGY";

    fn new() -> NewToken {
        let scopes = Scopes::new(vec!["read:a".parse().unwrap()]);
        NewToken { scopes, ..NewToken::default() }
    }

    fn is_let_in(tokens: &Tokens, secret: &Secret) -> bool {
        match tokens.guard().check(Some(secret.text()), 0) {
            Access::Holder(_) => true,
            Access::Nobody(Denied::Invalid) => false,
            other => unreachable!("{other}"),
        }
    }

    #[test]
    fn what_others_change_in_the_file_is_in_force_after_a_look() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let tokens = Tokens::open(file.clone(), None).unwrap();
        let made = file.change(|registry| registry.create(new(), &Access::Everyone, 0));
        let (token, secret) = made.unwrap();
        assert!(!is_let_in(&tokens, &secret));
        tokens.look();
        assert!(is_let_in(&tokens, &secret));
        let (_, ours) = tokens.create(new(), &Access::Everyone, 0).unwrap();
        assert!(is_let_in(&tokens, &ours) && is_let_in(&tokens, &secret));
        file.change(|registry| registry.revoke(&token.id, &Access::Everyone)).unwrap();
        tokens.look();
        assert!(is_let_in(&tokens, &ours) && !is_let_in(&tokens, &secret));
    }

    #[test]
    fn a_json_web_token_that_is_revoked_here_ends_at_once_and_one_elsewhere_after_a_look() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let key = dir.path().join("key");
        fs::write(&key, SECRET).unwrap();
        let rules =
            Rules { audience: "log".to_owned(), issuer: None, scope_claim: "scope".to_owned() };
        let open = || {
            let jwt = Some((KeySource::One(key.clone()), rules.clone()));
            Tokens::open(file.clone(), jwt).unwrap()
        };
        let held = |tokens: &Tokens, text: &str| match tokens.guard().check(Some(text), 0) {
            Access::Holder(grant) => Some(grant),
            _ => None,
        };
        let tokens = open();
        let (a, b) = (held(&tokens, JTI_A).unwrap(), held(&tokens, JTI_B).unwrap());
        tokens.revoke_jwt("a".parse().unwrap(), None, 0).unwrap();
        assert!(a.revoked.is_cancelled() && held(&tokens, JTI_A).is_none());
        assert!(!b.revoked.is_cancelled() && held(&tokens, JTI_B).is_some());
        file.change(|registry| registry.revoke_jwt("b".parse().unwrap(), Some(9), 0)).unwrap();
        assert!(held(&tokens, JTI_B).is_some());
        tokens.look();
        assert!(b.revoked.is_cancelled() && held(&tokens, JTI_B).is_none());
        assert_eq!(tokens.revoked().unwrap().len(), 2);
        let restarted = open();
        assert!(held(&restarted, JTI_A).is_none() && held(&restarted, JTI_B).is_none());
        // A file that goes lets nobody in again.
        fs::remove_file(file.path()).unwrap();
        tokens.look();
        assert!(held(&tokens, JTI_A).is_none() && held(&tokens, JTI_B).is_none());
    }

    #[test]
    fn a_file_that_is_broken_or_gone_changes_nothing_while_the_server_runs() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let tokens = Tokens::open(file.clone(), None).unwrap();
        let (token, secret) = tokens.create(new(), &Access::Everyone, 0).unwrap();
        let good = fs::read(file.path()).unwrap();
        fs::write(file.path(), "{").unwrap();
        tokens.look();
        assert!(is_let_in(&tokens, &secret));
        assert!(tokens.revoke(&token.id, &Access::Everyone).is_err());
        assert!(matches!(Tokens::open(file.clone(), None), Err(LoadError::File(_))));
        fs::remove_file(file.path()).unwrap();
        tokens.look();
        assert!(is_let_in(&tokens, &secret));
        fs::write(file.path(), good).unwrap();
        tokens.revoke(&token.id, &Access::Everyone).unwrap();
        assert!(!is_let_in(&tokens, &secret));
    }

    #[test]
    fn while_a_list_is_gone_what_it_gave_is_shown_and_nothing_is_put_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let tokens = Tokens::open(file.clone(), None).unwrap();
        let (token, secret) = tokens.create(new(), &Access::Everyone, 0).unwrap();
        let good = fs::read(file.path()).unwrap();
        fs::remove_file(file.path()).unwrap();
        for _ in 0..2 {
            let error = tokens.create(new(), &Access::Everyone, 0).unwrap_err();
            assert!(matches!(error, ChangeError::File(FileError::Gone(_))), "{error}");
            assert!(error.to_string().contains("put it back"), "{error}");
            assert!(tokens.revoke_jwt("a".parse().unwrap(), None, 0).is_err());
            assert!(!file.path().exists() && is_let_in(&tokens, &secret));
            assert_eq!(tokens.list().unwrap(), std::slice::from_ref(&token));
            tokens.look();
        }
        fs::write(file.path(), good).unwrap();
        tokens.create(new(), &Access::Everyone, 0).unwrap();
        assert!(is_let_in(&tokens, &secret));
        assert_eq!(tokens.list().unwrap().len(), 2);
    }

    #[test]
    fn a_revoked_json_web_token_stays_so_while_the_list_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let tokens = Tokens::open(file.clone(), None).unwrap();
        tokens.revoke_jwt("a".parse().unwrap(), None, 0).unwrap();
        fs::remove_file(file.path()).unwrap();
        assert!(tokens.create(new(), &Access::Everyone, 0).is_err());
        assert_eq!(tokens.revoked().unwrap().len(), 1);
        assert!(!file.path().exists());
    }

    #[test]
    fn where_nothing_is_in_force_a_list_that_is_gone_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let tokens = Tokens::open(file.clone(), None).unwrap();
        let (token, _) = tokens.create(new(), &Access::Everyone, 0).unwrap();
        tokens.revoke(&token.id, &Access::Everyone).unwrap();
        fs::remove_file(file.path()).unwrap();
        let (_, secret) = tokens.create(new(), &Access::Everyone, 0).unwrap();
        assert!(is_let_in(&tokens, &secret));
    }

    #[test]
    fn a_change_that_is_in_the_file_and_not_in_force_is_an_error_however_often_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let tokens = Tokens::open(file.clone(), None).unwrap();
        let (token, secret) = tokens.create(new(), &Access::Everyone, 0).unwrap();
        // A list of the next version cannot be read by this one.
        let next: Registry = serde_json::from_str(r#"{"version":3,"tokens":[]}"#).unwrap();
        let revoked = tokens.change(|registry| {
            let token = registry.revoke(&token.id, &Access::Everyone)?;
            *registry = next.clone();
            Ok(token)
        });
        let error = revoked.unwrap_err();
        assert!(matches!(error, ChangeError::NotInForce(_)), "{error}");
        assert!(error.to_string().contains("restart the server"), "{error}");
        assert!(is_let_in(&tokens, &secret));
        let again = tokens.revoke(&token.id, &Access::Everyone).unwrap_err();
        assert!(matches!(again, ChangeError::File(_)), "{again}");
        let unknown = |_: &mut Registry| Err::<Token, _>(TokenError::Unknown("t".to_owned()));
        fs::write(file.path(), Registry::default().text().unwrap()).unwrap();
        let gone = tokens.revoke(&token.id, &Access::Everyone).unwrap_err();
        assert!(matches!(gone, ChangeError::Token(TokenError::Unknown(_))), "{gone}");
        assert!(!is_let_in(&tokens, &secret), "what was answered is in force");
        assert!(tokens.change(unknown).is_err());
    }

    #[test]
    fn keys_are_read_again_when_their_file_changes_and_kept_when_it_breaks() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.json"));
        let path = dir.path().join("key");
        let rules =
            Rules { audience: "log".to_owned(), issuer: None, scope_claim: "scope".to_owned() };
        let jwt = || Some((KeySource::One(path.clone()), rules.clone()));
        assert!(matches!(Tokens::open(file.clone(), jwt()), Err(LoadError::NoKeys(_))));
        fs::write(&path, "short").unwrap();
        let error = Tokens::open(file.clone(), jwt()).unwrap_err();
        assert!(matches!(error, LoadError::Keys { .. }));
        let error = format!("{:#}", anyhow::Error::from(error));
        assert_eq!(error.matches("the secret has 5 bytes").count(), 1, "{error}");
        fs::write(&path, SECRET).unwrap();
        let tokens = Tokens::open(file, jwt()).unwrap();
        // exp is in the year 2065, and the secret is the one above.
        let text = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJsb2ciLCJleHAiOjMwMDAwMDAwMDB9.ZOeSGQXIO0mM8icbGZWsgVklTDnG-3wfM20QPsEidOA";
        let opens = || matches!(tokens.guard().check(Some(text), 0), Access::Holder(_));
        assert!(opens());
        fs::write(&path, "short").unwrap();
        tokens.look();
        assert!(opens());
        fs::write(&path, SECRET.to_uppercase()).unwrap();
        tokens.look();
        assert!(!opens());
    }
}
