//! Dashboard sessions: a random id in a cookie, its hash in the control store, worth what the token
//! behind it is worth.

use std::time::Duration;

use axum::http::HeaderMap;
use rand::RngCore;

use super::credential::session_cookie;
use super::token_hash;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::domain::now_ms;
use crate::store::control::Token;

/// A working day; then the token is asked for again.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The prefixed one is bound to this host by the browser, which needs `https`.
const COOKIE_NAMES: [&str; 2] = ["__Host-extrack_session", "extrack_session"];

pub(super) fn cookie_name(https: bool) -> &'static str {
    COOKIE_NAMES[usize::from(!https)]
}

/// The session's token, if both are still good.
pub(super) async fn token_of(state: &ApiState, cookie: &str) -> ApiResult<Token> {
    let session = state
        .deps
        .control
        .session_find(&token_hash(cookie), now_ms())
        .await?;
    let token = session
        .map(|session| session.token)
        .ok_or_else(ApiError::token_unknown)?;
    state.token_uses.note(token.id);
    Ok(token)
}

/// Opens a session for a token and answers the `Set-Cookie` value.
pub(crate) async fn open_session(state: &ApiState, token: &Token) -> ApiResult<String> {
    let mut id = [0; 32];
    rand::rng().fill_bytes(&mut id);
    let id = hex::encode(id);
    let expires_ms = now_ms() + SESSION_LIFETIME.as_millis() as i64;
    state
        .deps
        .control
        .session_insert(&token_hash(&id), token.id, expires_ms)
        .await?;
    Ok(cookie(state.is_https(), &id, SESSION_LIFETIME))
}

pub(crate) async fn close_session(state: &ApiState, headers: &HeaderMap) -> ApiResult<()> {
    if let Some(id) = session_cookie(headers, state.is_https()) {
        state.deps.control.session_delete(&token_hash(id)).await?;
    }
    Ok(())
}

/// The `Set-Cookie` value that makes the browser forget.
pub(crate) fn clear_cookie(state: &ApiState) -> String {
    cookie(state.is_https(), "", Duration::ZERO)
}

fn cookie(https: bool, value: &str, lifetime: Duration) -> String {
    let secure = if https { "; Secure" } else { "" };
    let name = cookie_name(https);
    format!(
        "{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        lifetime.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
        assert_eq!(
            cookie(false, "id", SESSION_LIFETIME),
            "extrack_session=id; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            cookie(true, "", Duration::ZERO),
            "__Host-extrack_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
        );
    }
}
