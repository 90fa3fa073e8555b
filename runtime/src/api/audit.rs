//! Who changed what, in the audit log: written for changes over the API, and read.

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{self, Page};
use super::state::ApiState;
use crate::store::control::{AuditEntry, AuditFilter};

/// A change that could not be written down is still a change, so this does not fail; the log has
/// it.
pub(super) async fn note(state: &ApiState, principal: &Principal, action: &str, subject: &str) {
    note_with(state, principal, action, subject, &json!({})).await;
}

/// With what it was changed to, which must hold no secret.
pub(super) async fn note_with(
    state: &ApiState,
    principal: &Principal,
    action: &str,
    subject: &str,
    detail: &Value,
) {
    let actor = principal.name.as_str();
    let address = principal.address.map(|address| address.to_string());
    let control = &state.parts.control;
    if let Err(error) = control
        .audit_append_from(address.as_deref(), actor, action, subject, detail)
        .await
    {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::error!(
            error,
            actor,
            action,
            subject,
            "a change could not be written to the audit log"
        );
    }
}

/// One change.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AuditBody {
    id: i64,
    /// RFC 3339.
    ts: String,
    /// Name of the token, or the part of the program.
    actor: String,
    /// E.g. `plugin.install`.
    action: String,
    /// `KIND:NAME`, e.g. `plugin:http` or `service:shop-api`.
    subject: String,
    /// What else there is to know; for a plugin the digests before (`from`) and after (`to`).
    detail: Value,
    /// Of the client, if it came over the API; behind a proxy that is not trusted, the proxy's.
    address: Option<String>,
}

impl From<AuditEntry> for AuditBody {
    fn from(entry: AuditEntry) -> Self {
        let kind = entry.action.split('.').next().unwrap_or_default();
        Self {
            id: entry.id,
            ts: rfc3339(entry.ts_ms),
            subject: format!("{kind}:{}", entry.subject),
            actor: entry.actor,
            action: entry.action,
            detail: entry.detail,
            address: entry.address,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// `KIND:NAME`, e.g. `plugin:http`; `plugin:` for all plugins.
    subject: Option<String>,
    actor: Option<String>,
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<AuditQuery>,
) -> ApiResult<Json<Page<AuditBody>>> {
    let limit = page::limit(query.limit)?;
    let (kind, subject) = match query
        .subject
        .as_deref()
        .map(|subject| subject.split_once(':'))
    {
        None => (None, None),
        Some(Some((kind, name))) => (
            Some(kind.to_owned()),
            (!name.is_empty()).then(|| name.to_owned()),
        ),
        Some(None) => {
            return Err(ApiError::bad_parameter(
                "subject",
                "`subject` is written `KIND:NAME`, e.g. `plugin:http`",
            ));
        }
    };
    let filter = AuditFilter {
        kind,
        subject,
        actor: query.actor,
        before: page::id_cursor(query.cursor.as_deref())?,
    };
    let rows = state.parts.control.audit_list(&filter, limit + 1).await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |entry| entry.id.to_string(),
        AuditBody::from,
    )))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("auditList")
        .tag("program")
        .summary("Who changed what, newest first")
}
