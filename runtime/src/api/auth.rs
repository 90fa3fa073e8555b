//! Who is asking, and may they. Everything is denied unless a token or a dashboard session says otherwise; only hashes of
//! either are kept.

mod credential;
mod origin;
mod scope;
mod session;
mod throttle;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub(super) use origin::is_same_origin;
pub use scope::Scope;
pub use session::SESSION_LIFETIME;
pub(super) use session::{clear_cookie, close_session, open_session};
pub(super) use throttle::{Caller, Throttle};

use super::error::{ApiError, ApiResult};
use super::guard::wants_html;
use super::state::ApiState;
use crate::store::control::{Token, TokenHash};
use credential::Credential;

/// Who is asking; an extension of every request behind [`authenticate`].
#[derive(Debug, Clone)]
pub(super) struct Principal {
    /// Name of the token, for the audit log.
    pub(super) name: String,
    scopes: Vec<Scope>,
}

impl Principal {
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

impl From<Token> for Principal {
    fn from(token: Token) -> Self {
        // A word we do not know grants nothing.
        let scopes = token.scopes.iter().filter_map(|word| Scope::parse(word)).collect();
        Self { name: token.name, scopes }
    }
}

/// How tokens and session ids are kept: sha256. They carry 256 random bits, so there is nothing to guess slowly.
pub fn token_hash(secret: &str) -> TokenHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// In front of everything that is not explicitly open.
pub(super) async fn authenticate(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    match principal(&state, request.method(), request.headers()).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(_) if is_page(&request) => Redirect::to(&super::dashboard::login_url(request.uri())).into_response(),
        Err(error) => error.into_response(),
    }
}

/// In front of one route.
pub(super) async fn require(scope: Scope, request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>() {
        Some(principal) if principal.may(scope) => next.run(request).await,
        Some(_) => ApiError::scope_missing(scope).into_response(),
        None => ApiError::token_missing().into_response(),
    }
}

async fn principal(state: &ApiState, method: &Method, headers: &HeaderMap) -> ApiResult<Principal> {
    match Credential::from_headers(headers) {
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

/// The store looks it up by its hash; the hash is compared again, in constant time.
pub(super) async fn token_find(state: &ApiState, token: &str) -> ApiResult<Token> {
    let hash = token_hash(token);
    let found = state.parts.control.token_find(&hash).await?;
    found.filter(|token| token.hash.ct_eq(&hash).into()).ok_or_else(ApiError::token_unknown)
}

/// Somebody opens a page in a browser: the login page says more than an error.
fn is_page(request: &Request) -> bool {
    request.method() == Method::GET && wants_html(request.headers()) && !request.uri().path().starts_with("/api/")
}
