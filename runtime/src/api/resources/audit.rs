//! The audit log: entries are written for changes over the API, and listed.

use axum::Json;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::audit::AuditBody;
use crate::api_types::scope::Scope::Admin;
use crate::store::control::{AuditEntry, AuditFilter};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Admin, "/api/v1/audit", list)
            .id("auditList")
            .summary("Entries of the audit log, newest first"),
    ]
}

/// A change that could not be written down is still a change, so this does not fail; the log has
/// it.
pub(crate) async fn note(state: &ApiState, principal: &Principal, action: &str, subject: &str) {
    note_with(state, principal, action, subject, &json!({})).await;
}

/// Writes an entry with the new value, which must hold no secret.
pub(crate) async fn note_with(
    state: &ApiState,
    principal: &Principal,
    action: &str,
    subject: &str,
    detail: &Value,
) {
    note_all(state, principal, &[(action, subject, detail)]).await;
}

/// Writes the entries of one request, each with action, subject and detail.
pub(crate) async fn note_all(
    state: &ApiState,
    principal: &Principal,
    entries: &[(&str, &str, &Value)],
) {
    let Some((action, subject, _)) = entries.first() else {
        return;
    };
    let actor = principal.name.as_str();
    let address = principal.address.map(|address| address.to_string());
    let control = &state.deps.control;
    if let Err(error) = control
        .audit_append_all(address.as_deref(), actor, entries)
        .await
    {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::error!(
            error,
            actor,
            action,
            subject,
            changes = entries.len(),
            "a change could not be written to the audit log"
        );
    }
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

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// `KIND:NAME`, e.g. `plugin:http`; `plugin:` for all plugins.
    subject: Option<String>,
    actor: Option<String>,
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(crate) async fn list(
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
    let rows = state.deps.control.audit_list(&filter, limit + 1).await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |entry| entry.id.to_string(),
        AuditBody::from,
    )))
}
