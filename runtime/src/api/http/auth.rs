//! Authentication and access. Everything is denied without a token or a dashboard session; only
//! hashes of either are kept.

mod address;
mod credential;
mod denial;
mod origin;
mod session;

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub(crate) use address::identify;
pub(crate) use origin::is_same_origin;
pub use session::SESSION_LIFETIME;
pub(crate) use session::{clear_cookie, close_session, open_session};

use super::caller::ClientAddress;
use super::error::{ApiError, ApiResult};
use super::negotiation::wants_html;
use super::state::ApiState;
use crate::api_types::scope::Scope;
use crate::domain::now_ms;
use crate::store::control::{Token, TokenHash};
use credential::Credential;

/// Interval at which the token or session of a live connection is checked again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Caller with its scopes; an extension of every request behind [`authenticate`].
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// Name of the token, for the audit log.
    pub(crate) name: String,
    /// Address of the client, for the audit log.
    pub(crate) address: Option<IpAddr>,
    scopes: Vec<Scope>,
}

impl Principal {
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

impl From<Token> for Principal {
    fn from(token: Token) -> Self {
        // A word we do not know grants nothing.
        let scopes = token
            .scopes
            .iter()
            .filter_map(|word| Scope::parse(word))
            .collect();
        Self {
            name: token.name,
            address: None,
            scopes,
        }
    }
}

/// How tokens and session ids are kept: sha256. They carry 256 random bits, so there is nothing to
/// guess slowly.
pub fn token_hash(secret: &str) -> TokenHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Middleware in front of everything that is not explicitly open.
pub(crate) async fn authenticate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = request
        .extensions()
        .get::<ClientAddress>()
        .map(|ClientAddress(address)| *address);
    match principal(&state, request.method(), request.headers()).await {
        Ok(principal) => {
            request.extensions_mut().insert(Principal {
                address,
                ..principal
            });
            next.run(request).await
        }
        Err(error) if error.is_token_unknown() && request.headers().contains_key(AUTHORIZATION) => {
            match state.guesses.failed(address.into()) {
                Ok(()) => error.into_response(),
                Err(wait) => ApiError::too_many_guesses(wait).into_response(),
            }
        }
        Err(_) if is_page(&request) => Redirect::to(&login_url(request.uri())).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Middleware in front of one route.
pub(crate) async fn require(scope: Scope, request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>() {
        Some(principal) if principal.may(scope) => next.run(request).await,
        Some(_) => ApiError::scope_missing(scope).into_response(),
        None => ApiError::token_missing().into_response(),
    }
}

async fn principal(state: &ApiState, method: &Method, headers: &HeaderMap) -> ApiResult<Principal> {
    match Credential::from_headers(headers, state.is_https()) {
        None => Err(ApiError::token_missing()),
        Some(Credential::Token(token)) => token_find(state, token).await.map(Principal::from),
        Some(Credential::Cookie(cookie)) => {
            let token = session::token_of(state, cookie).await?;
            if !method.is_safe() && !is_same_origin(headers) {
                return Err(ApiError::cross_origin());
            }
            Ok(token.into())
        }
    }
}

/// Returns the token, looked up by its hash; the hash is compared again, in constant time.
pub(crate) async fn token_find(state: &ApiState, token: &str) -> ApiResult<Token> {
    let hash = token_hash(token);
    let found = state.deps.control.token_find(&hash, now_ms()).await?;
    let token = found
        .filter(|token| token.hash.ct_eq(&hash).into())
        .ok_or_else(ApiError::token_unknown)?;
    state.token_uses.note(token.id);
    Ok(token)
}

/// Returns when what a request was admitted with is no longer good: signed out, expired or revoked.
/// For answers that take long.
pub(crate) async fn ended(state: &ApiState, headers: &HeaderMap) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        match principal(state, &Method::GET, headers).await {
            Err(error) if !error.is_internal() => return,
            // A store that can't be read proves nothing about the token.
            _ => {}
        }
    }
}

/// Reports whether a browser opens a page: the login page helps more than an error.
fn is_page(request: &Request) -> bool {
    request.method() == Method::GET
        && wants_html(request.headers())
        && !request.uri().path().starts_with("/api/")
}

/// Returns the address of the login page, from which the browser goes on to the wanted one.
fn login_url(wanted: &Uri) -> String {
    match wanted.path_and_query().map(|wanted| wanted.as_str()) {
        None | Some("/") => "/login".to_owned(),
        Some(wanted) => {
            format!(
                "/login?{}",
                url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("next", wanted)
                    .finish()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_page_gets_the_wanted_page_in_its_address() {
        assert_eq!(login_url(&Uri::from_static("/")), "/login");
        assert_eq!(
            login_url(&Uri::from_static("/?q=a&b")),
            "/login?next=%2F%3Fq%3Da%26b"
        );
    }
}
