//! API tokens: made with the scopes and the time they need, listed without their text, revoked.

use std::time::Duration;

use aide::transform::TransformOperation;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use rand::RngCore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit;
use super::auth::{Principal, Scope, token_hash};
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{self, Page};
use super::state::ApiState;
use crate::domain::duration::parse_duration;
use crate::domain::{Fault, UnixMillis, now_ms};
use crate::store::ControlError;
use crate::store::control::{Token, TokenDraft, TokenOrigin};

const MAX_NAME_CHARS: usize = 64;
/// What is meant to be longer is meant for ever.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// A token without its text, of which only a hash is kept.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenBody {
    id: i64,
    /// The actor of what is done with it, in the audit log.
    name: String,
    scopes: Vec<String>,
    /// `api`; `environment` for `EXTRACK_ADMIN_TOKEN`; `start` for the one of the first start.
    origin: &'static str,
    created_at: String,
    /// Name of the token it was made with; empty where the program made it.
    created_by: String,
    /// Null: never.
    expires_at: Option<String>,
    is_expired: bool,
    /// Null: not yet.
    last_used_at: Option<String>,
}

impl TokenBody {
    fn new(state: &ApiState, token: Token, now_ms: UnixMillis) -> Self {
        let last_used_ms = state.token_uses.of(token.id).or(token.last_used_ms);
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            origin: token.origin.as_str(),
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

/// A new token, with its text.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NewTokenBody {
    /// Shown now and never again.
    token: String,
    #[serde(flatten)]
    body: TokenBody,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenSpec {
    /// 1 to 64 characters; unique.
    name: String,
    /// What it may do; `admin` includes the others.
    #[schemars(with = "Vec<Scope>")]
    scopes: Vec<String>,
    /// From now on, such as `90d`. For ever, if neither this nor `expiresAt` is given.
    expires_in: Option<String>,
    /// RFC 3339.
    expires_at: Option<String>,
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
        match expires_ms > now_ms && expires_ms - now_ms <= LONGEST.as_millis() as i64 {
            true => Ok(Some(expires_ms)),
            false => Err(Fault::new(
                pointer,
                "must be after now and at most 10 years away",
            )),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<TokenQuery>,
) -> ApiResult<Json<Page<TokenBody>>> {
    let limit = page::limit(query.limit)?;
    let after = page::id_cursor(query.cursor.as_deref())?.unwrap_or(0);
    let rows = state.parts.control.token_page(after, limit + 1).await?;
    let now_ms = now_ms();
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.id.to_string(),
        |token| TokenBody::new(&state, token, now_ms),
    )))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("tokenList")
        .tag("program")
        .summary("API tokens, oldest first, without their text")
}

pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<TokenSpec>,
) -> ApiResult<Response> {
    let now_ms = now_ms();
    let (scopes, expires_ms) = spec.check(now_ms)?;
    let token = new_token();
    let draft = TokenDraft {
        name: &spec.name,
        hash: &token_hash(&token),
        scopes: &scopes,
        expires_ms,
        origin: TokenOrigin::Api,
        created_by: &principal.name,
    };
    let stored = match state.parts.control.token_insert(draft).await {
        Err(ControlError::Exists { .. }) => return Err(ApiError::token_exists(&spec.name)),
        other => other?,
    };
    let detail = json!({ "id": stored.id, "scopes": scopes, "expiresAt": expires_ms.map(rfc3339) });
    audit::note_with(&state, &principal, "token.create", &spec.name, &detail).await;
    let body = TokenBody::new(&state, stored, now_ms);
    Ok((StatusCode::CREATED, Json(NewTokenBody { token, body })).into_response())
}

pub(super) fn create_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("tokenCreate")
        .tag("program")
        .summary("Make a token")
        .description("Its text is in the answer and nowhere else: only a hash of it is kept.")
        .response::<201, Json<NewTokenBody>>()
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TokenPath {
    id: i64,
}

pub(super) async fn revoke(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(TokenPath { id }): Path<TokenPath>,
) -> ApiResult<NoContent> {
    let control = &state.parts.control;
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
        &state,
        &principal,
        "token.revoke",
        &token.name,
        &json!({ "id": id }),
    )
    .await;
    Ok(NoContent)
}

pub(super) fn revoke_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("tokenRevoke")
        .tag("program")
        .summary("Revoke a token, and sign out the sessions that were opened with it")
}

/// 256 random bits, marked so that scanners for secrets find it.
pub fn new_token() -> String {
    let mut secret = [0; 32];
    rand::rng().fill_bytes(&mut secret);
    format!("extrack_{}", hex::encode(secret))
}
