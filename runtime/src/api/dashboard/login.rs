//! Signing in with a token, and out again.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::header::{HOST, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout;
use crate::api::http::auth::{
    clear_cookie, close_session, is_same_origin, open_session, token_find,
};
use crate::api::http::caller::Caller;
use crate::api::http::error::ApiError;
use crate::api::http::state::ApiState;

/// Longer than any token; what is beyond it is not worth hashing.
const MAX_TOKEN_BYTES: usize = 1024;

#[derive(Debug, Deserialize)]
pub(crate) struct LoginQuery {
    next: Option<String>,
}

pub(crate) async fn page(Query(LoginQuery { next }): Query<LoginQuery>) -> Markup {
    form(next.as_deref(), None)
}

#[derive(Deserialize)]
pub(crate) struct LoginForm {
    token: String,
    next: Option<String>,
}

pub(crate) async fn submit(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Form(LoginForm { token, next }): Form<LoginForm>,
) -> Response {
    if from_elsewhere(&headers) {
        return ApiError::cross_origin().into_response();
    }
    let token = token.trim();
    if token.is_empty() {
        // Not a guess: it is not counted.
        return rejected(next.as_deref(), "Enter a token.");
    }
    let found = match token.len() {
        1..=MAX_TOKEN_BYTES => token_find(&state, token).await,
        _ => Err(ApiError::token_unknown()),
    };
    match found {
        Ok(token) => match open_session(&state, &token).await {
            Ok(cookie) => {
                tracing::info!(token = token.name, "signed in to the dashboard");
                (
                    AppendHeaders([(SET_COOKIE, cookie)]),
                    Redirect::to(local(next.as_deref())),
                )
                    .into_response()
            }
            Err(error) => error.into_response(),
        },
        Err(error) if error.is_internal() => error.into_response(),
        Err(_) => {
            if let Err(wait) = state.logins.failed(caller) {
                let seconds = wait.as_secs() + 1;
                let text = format!("Too many attempts. Wait {seconds} seconds.");
                let headers = AppendHeaders([(RETRY_AFTER, seconds.to_string())]);
                return (
                    StatusCode::TOO_MANY_REQUESTS,
                    headers,
                    form(next.as_deref(), Some(&text)),
                )
                    .into_response();
            }
            tracing::warn!("a sign-in to the dashboard failed");
            rejected(next.as_deref(), "This token is not known here.")
        }
    }
}

fn rejected(next: Option<&str>, text: &str) -> Response {
    (StatusCode::UNAUTHORIZED, form(next, Some(text))).into_response()
}

pub(crate) async fn logout(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    match close_session(&state, &headers).await {
        Ok(()) => (
            AppendHeaders([(SET_COOKIE, clear_cookie(&state))]),
            Redirect::to("/login"),
        )
            .into_response(),
        Err(error) => error.into_response(),
    }
}

/// Reports whether the page of another site sent the form, which would sign the user in unasked.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    let is_marked = headers.contains_key("sec-fetch-site")
        || (headers.contains_key(ORIGIN) && headers.contains_key(HOST));
    is_marked && !is_same_origin(headers)
}

/// Only a path of ours.
pub(super) fn local(next: Option<&str>) -> &str {
    match next {
        Some(next)
            if next.starts_with('/')
                && !next.starts_with("//")
                && !next.contains('\\')
                && next.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            next
        }
        _ => "/",
    }
}

fn form(next: Option<&str>, fault: Option<&str>) -> Markup {
    let body = html! {
        h1 { "Sign in" }
        form method="post" action="/login" {
            @if let Some(fault) = fault { p.fault #fault role="alert" { (fault) } }
            label for="token" { "Token" }
            input #token name="token" type="password" autocomplete="current-password" required autofocus
                aria-describedby=[fault.map(|_| "fault")];
            @if local(next) != "/" { input type="hidden" name="next" value=(local(next)); }
            button type="submit" { "Sign in" }
        }
        p.muted { code { "extrack" } " prints a token at its first start, or takes the one in " code { "EXTRACK_ADMIN_TOKEN" } "." }
    };
    layout::bare("Sign in", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_only_to_our_own_pages() {
        for (next, wanted) in [
            (None, "/"),
            (Some("/?status=error"), "/?status=error"),
            (Some("https://evil.org"), "/"),
            (Some("//evil.org"), "/"),
            (Some("/\\evil.org"), "/"),
            (Some("/\t/evil.org"), "/"),
            (Some("javascript:alert(1)"), "/"),
        ] {
            assert_eq!(local(next), wanted, "{next:?}");
        }
    }
}
