//! Guards of the other face of SQL, which shares tokens and limits of guesses with this one.

use std::net::IpAddr;
use std::time::Duration;

use super::auth::{LOOK_AGAIN, Principal, token_find};
use super::state::ApiState;
use crate::api_types::scope::Scope;

/// Reason why a token does not open a session.
#[derive(Debug)]
pub(crate) enum SqlSignInError {
    Unknown,
    /// There were too many; how long until they are forgotten.
    TooMany(Duration),
    /// It is known, and may not query.
    Scope,
    /// The tokens can't be read.
    Store,
}

impl ApiState {
    /// Returns whom a token stands for, if it may query.
    pub(crate) async fn sql_sign_in(
        &self,
        token: &str,
        address: IpAddr,
    ) -> Result<Principal, SqlSignInError> {
        match token_find(self, token).await {
            Ok(token) => {
                let principal = Principal::from(token);
                if principal.may(Scope::Sql) {
                    Ok(principal)
                } else {
                    Err(SqlSignInError::Scope)
                }
            }
            Err(error) if error.is_token_unknown() => match self.guesses.failed(address.into()) {
                Ok(()) => Err(SqlSignInError::Unknown),
                Err(wait) => Err(SqlSignInError::TooMany(wait)),
            },
            Err(_) => Err(SqlSignInError::Store),
        }
    }

    /// Returns when a token is no longer good. A store that can't be read proves nothing.
    pub(crate) async fn sql_signed_out(&self, token: &str) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            match token_find(self, token).await {
                Ok(token) => {
                    if !Principal::from(token).may(Scope::Sql) {
                        return;
                    }
                }
                Err(error) if error.is_token_unknown() => return,
                Err(_) => {}
            }
        }
    }
}
