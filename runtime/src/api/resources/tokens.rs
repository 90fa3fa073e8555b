//! API tokens: made with the scopes and the time they need, listed without their text, revoked.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use rand::RngCore;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::audit;
use crate::api::http::auth::{Principal, token_hash};
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope;
use crate::api_types::scope::Scope::Admin;
use crate::api_types::tokens::{NewTokenBody, TokenBody, TokenSpec};
use crate::domain::duration::parse_duration;
use crate::domain::{Fault, UnixMillis, now_ms};
use crate::store::ControlError;
use crate::store::control::{Token, TokenDraft, TokenOrigin};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Admin, "/api/v1/tokens", list)
            .id("tokenList")
            .summary("API tokens, oldest first, without their text"),
        Endpoint::post(Admin, "/api/v1/tokens", create)
            .id("tokenCreate")
            .summary("Make a token")
            .description("Its text is in the answer and nowhere else: only a hash of it is kept.")
            .returns::<201, Json<NewTokenBody>>(),
        Endpoint::delete(Admin, "/api/v1/tokens/{id}", revoke)
            .id("tokenRevoke")
            .summary("Revoke a token, and sign out the sessions that were opened with it"),
    ]
}

const MAX_NAME_CHARS: usize = 64;
/// Longest lifetime; a token that should live longer gets no end.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

impl TokenBody {
    fn new(state: &ApiState, token: Token, now_ms: UnixMillis) -> Self {
        let last_used_ms = state.token_uses.of(token.id).or(token.last_used_ms);
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            origin: token.origin.as_str().to_owned(),
            created_at: rfc3339(token.created_ms),
            created_by: token.created_by,
            expires_at: token.expires_ms.map(rfc3339),
            is_expired: token
                .expires_ms
                .is_some_and(|expires_ms| expires_ms <= now_ms),
            last_used_at: last_used_ms.map(rfc3339),
        }
    }
}

impl TokenSpec {
    fn check(&self, now_ms: UnixMillis) -> ApiResult<(Vec<String>, Option<UnixMillis>)> {
        let mut faults = Vec::new();
        let length = self.name.chars().count();
        if !(1..=MAX_NAME_CHARS).contains(&length)
            || self.name.trim() != self.name
            || self.name.contains(char::is_control)
        {
            faults.push(Fault::new(
                "/name",
                format!("must be 1 to {MAX_NAME_CHARS} characters, without spaces around"),
            ));
        }
        let words = Scope::ALL.map(Scope::as_str);
        if self.scopes.is_empty() {
            faults.push(Fault::new(
                "/scopes",
                format!("must name at least one of `{}`", words.join("`, `")),
            ));
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            if Scope::parse(scope).is_none() {
                let message = format!("`{scope}` is not one of `{}`", words.join("`, `"));
                faults.push(Fault::new(format!("/scopes/{index}"), message));
            }
        }
        let expires_ms = self.expires_ms(now_ms).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if !faults.is_empty() {
            return Err(ApiError::invalid_token(faults));
        }
        let scopes = Scope::ALL.iter().map(|scope| scope.as_str().to_owned());
        Ok((
            scopes.filter(|scope| self.scopes.contains(scope)).collect(),
            expires_ms,
        ))
    }

    fn expires_ms(&self, now_ms: UnixMillis) -> Result<Option<UnixMillis>, Fault> {
        let (pointer, expires_ms) = match (&self.expires_in, &self.expires_at) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(Fault::new(
                    "/expiresIn",
                    "goes with no `expiresAt`; leave one of them out",
                ));
            }
            (Some(text), None) => {
                let duration = parse_duration(text)
                    .map_err(|fault| Fault::new("/expiresIn", fault.to_string()))?;
                (
                    "/expiresIn",
                    now_ms.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
                )
            }
            (None, Some(text)) => {
                let moment: jiff::Timestamp = text.parse().map_err(|_| {
                    Fault::new(
                        "/expiresAt",
                        "is not a moment with an offset; write e.g. `2027-11-23T22:00:00Z`",
                    )
                })?;
                ("/expiresAt", moment.as_millisecond())
            }
        };
        if expires_ms > now_ms && expires_ms - now_ms <= LONGEST.as_millis() as i64 {
            return Ok(Some(expires_ms));
        }
        let message = "must be after now and at most 10 years away";
        Err(Fault::new(pointer, message))
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<TokenQuery>,
) -> ApiResult<Json<Page<TokenBody>>> {
    let limit = page::limit(query.limit)?;
    let after = page::id_cursor(query.cursor.as_deref())?.unwrap_or(0);
    let rows = state.deps.control.token_page(after, limit + 1).await?;
    let now_ms = now_ms();
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.id.to_string(),
        |token| TokenBody::new(&state, token, now_ms),
    )))
}

async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<TokenSpec>,
) -> ApiResult<Response> {
    let made = make(&state, principal, spec).await?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

pub(crate) async fn make(
    state: &ApiState,
    principal: Principal,
    spec: TokenSpec,
) -> ApiResult<NewTokenBody> {
    let now_ms = now_ms();
    let (scopes, expires_ms) = spec.check(now_ms)?;
    let token = new_token();
    let (working, hash) = (state.clone(), token_hash(&token));
    let creating = async move {
        let draft = TokenDraft {
            name: &spec.name,
            hash: &hash,
            scopes: &scopes,
            expires_ms,
            origin: TokenOrigin::Api,
            created_by: &principal.name,
        };
        let stored = match working.deps.control.token_insert(draft).await {
            Err(ControlError::Exists { .. }) => return Err(ApiError::token_exists(&spec.name)),
            other => other?,
        };
        let detail =
            json!({ "id": stored.id, "scopes": scopes, "expiresAt": expires_ms.map(rfc3339) });
        audit::note_with(&working, &principal, "token.create", &spec.name, &detail).await;
        Ok(stored)
    };
    let stored = state.to_its_end(creating).await?;
    let body = TokenBody::new(state, stored, now_ms);
    Ok(NewTokenBody { token, body })
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct TokenPath {
    pub(crate) id: i64,
}

pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(TokenPath { id }): Path<TokenPath>,
) -> ApiResult<NoContent> {
    let working = state.clone();
    state
        .to_its_end(async move { revoke_one(&working, &principal, id).await })
        .await
}

async fn revoke_one(state: &ApiState, principal: &Principal, id: i64) -> ApiResult<NoContent> {
    let control = &state.deps.control;
    let token = control
        .token_get(id)
        .await?
        .ok_or_else(|| ApiError::token_not_found(id))?;
    if token.origin == TokenOrigin::Environment {
        let detail = "this token comes from `EXTRACK_ADMIN_TOKEN`; change or remove the variable and restart";
        return Err(ApiError::token_needed(detail));
    }
    if !control
        .token_delete_unless_last(id, Scope::Admin.as_str())
        .await?
    {
        let detail = "this is the last token with the scope `admin` that does not expire; make another one first";
        return Err(ApiError::token_needed(detail));
    }
    audit::note_with(
        state,
        principal,
        "token.revoke",
        &token.name,
        &json!({ "id": id }),
    )
    .await;
    Ok(NoContent)
}

/// 256 random bits, marked so that scanners for secrets find it.
pub fn new_token() -> String {
    let mut secret = [0; 32];
    rand::rng().fill_bytes(&mut secret);
    format!("extrack_{}", hex::encode(secret))
}

impl ApiError {
    pub(crate) fn token_not_found(id: i64) -> Self {
        let detail = format!("there is no token {id}; `GET /api/v1/tokens` lists them");
        Self::not_found("token-not-found", "Token not found", detail)
    }

    pub(crate) fn token_exists(name: &str) -> Self {
        let detail =
            format!("there is already a token `{name}`; revoke it, or give this one another name");
        Self::conflict("token-exists", "Token exists", detail)
    }

    pub(crate) fn token_needed(detail: &'static str) -> Self {
        Self::conflict("token-needed", "Token can't be revoked so", detail)
    }

    pub(crate) fn invalid_token(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-token", "Invalid token", faults)
    }
}
