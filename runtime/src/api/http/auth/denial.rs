//! Errors of requests that bring no token, a wrong one, or one with too narrow a scope.

use std::time::Duration;

use axum::http::StatusCode;

use crate::api::http::error::ApiError;
use crate::api_types::scope::Scope;

const TOKEN_UNKNOWN: &str = "token-unknown";

impl ApiError {
    pub(crate) fn is_token_unknown(&self) -> bool {
        self.name() == TOKEN_UNKNOWN
    }

    pub(crate) fn token_missing() -> Self {
        let detail = "this needs a token; send it as `Authorization: Bearer TOKEN`";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "token-missing",
            "Token missing",
            detail,
        )
        .with_header("www-authenticate", "Bearer")
    }

    pub(crate) fn token_unknown() -> Self {
        let detail = "the token is not known here, or its session has ended";
        Self::new(
            StatusCode::UNAUTHORIZED,
            TOKEN_UNKNOWN,
            "Token unknown",
            detail,
        )
        .with_header("www-authenticate", "Bearer error=\"invalid_token\"")
    }

    pub(crate) fn too_many_guesses(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let detail = format!(
            "too many wrong tokens came from this address; the next one is looked at in {seconds} s"
        );
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-guesses",
            "Too many wrong tokens",
            detail,
        )
        .with_header("retry-after", seconds.to_string())
    }

    pub(crate) fn scope_missing(scope: Scope) -> Self {
        let detail = format!("the token lacks the scope `{}`", scope.as_str());
        Self::new(
            StatusCode::FORBIDDEN,
            "scope-missing",
            "Scope missing",
            detail,
        )
    }

    pub(crate) fn cross_origin() -> Self {
        let detail =
            "a change that is authorised by a cookie has to come from the dashboard's own pages";
        Self::new(
            StatusCode::FORBIDDEN,
            "cross-origin",
            "Cross-origin request refused",
            detail,
        )
    }
}
