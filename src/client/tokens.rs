//! The tokens of a server, for those who may see to them.

use super::{Client, ClientError, request::Repeat};
use crate::wire::{
    paths,
    tokens::{
        CreateToken, CreatedToken, RevokeJwt, RevokedAnswer, RevokedJwtBody, TokenBody,
        TokensAnswer,
    },
};

impl Client {
    /// Makes a token. Its secret is in the answer and is never shown again, so a request that broke
    /// off is not sent again: the token may be there, and somebody has to take it back.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn create_token(&self, asked: &CreateToken) -> Result<CreatedToken, ClientError> {
        self.post(paths::TOKENS, asked, Repeat::Unwritten).await
    }

    /// The tokens there are, without their secrets.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn tokens(&self) -> Result<Vec<TokenBody>, ClientError> {
        let answer: TokensAnswer = self.get(paths::TOKENS, &()).await?;
        Ok(answer.tokens)
    }

    /// Takes a token back. What it has opened ends.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn revoke_token(&self, id: &str) -> Result<TokenBody, ClientError> {
        let route = paths::TOKEN.replace("{id}", &paths::escaped(id));
        self.answer(self.inner.http.delete(self.url(&route)), Repeat::Unwritten).await
    }

    /// Revokes a JSON Web Token by its `jti`. What it has opened ends.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn revoke_jwt(&self, revoked: &RevokeJwt) -> Result<RevokedJwtBody, ClientError> {
        self.post(paths::TOKENS_REVOKED, revoked, Repeat::Safe).await
    }

    /// The JSON Web Tokens that are revoked.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn revoked_jwts(&self) -> Result<Vec<RevokedJwtBody>, ClientError> {
        let answer: RevokedAnswer = self.get(paths::TOKENS_REVOKED, &()).await?;
        Ok(answer.revoked)
    }

    /// Approves a worker's token.
    ///
    /// # Errors
    /// The server is out of reach or refuses.
    pub async fn approve_token(&self, id: &str) -> Result<TokenBody, ClientError> {
        let route = paths::TOKEN_APPROVE.replace("{id}", &paths::escaped(id));
        self.answer(self.inner.http.post(self.url(&route)), Repeat::Safe).await
    }
}
