//! Alerts with their history and the messages about them.

pub(crate) mod act;

use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::alerts::{
    AcknowledgementBody, AlertBody, AlertDetailBody, AlertEscalationBody, AlertEventBody,
};
use crate::api_types::notifications::NotificationBody;
use crate::api_types::scope::Scope::Read;
use crate::domain::{Acknowledgement, Alert, AlertEvent, AlertId, AlertState};
use crate::store::control::{AlertFilter, Escalation, NotificationFilter};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/alerts", list)
            .id("alertList")
            .summary("Alerts, newest first"),
        Endpoint::get(Read, "/api/v1/alerts/{id}", get)
            .id("alertGet")
            .summary("One alert with its history and the messages about it"),
    ]
}

impl From<Acknowledgement> for AcknowledgementBody {
    fn from(acknowledged: Acknowledgement) -> Self {
        let Acknowledgement {
            by,
            at_ms,
            until_ms,
            note,
        } = acknowledged;
        Self {
            by,
            at: rfc3339(at_ms),
            until: until_ms.map(rfc3339),
            note,
        }
    }
}

impl From<Escalation> for AlertEscalationBody {
    fn from(escalation: Escalation) -> Self {
        let Escalation {
            policy,
            progress,
            started_ms,
            ..
        } = escalation;
        Self {
            policy,
            step: progress.step.saturating_add(1),
            taken: progress.taken,
            due_at: progress.due_ms.map(rfc3339),
            started_at: rfc3339(started_ms),
        }
    }
}

impl From<Alert> for AlertBody {
    fn from(alert: Alert) -> Self {
        Self {
            id: alert.id.0,
            name: alert.name,
            rule: alert.rule,
            service: alert.service,
            severity: alert.severity,
            state: alert.state,
            summary: alert.summary,
            value: alert.value,
            wanted: alert.wanted,
            started_at: rfc3339(alert.started_ms),
            fired_at: alert.fired_ms.map(rfc3339),
            resolved_at: alert.resolved_ms.map(rfc3339),
            updated_at: rfc3339(alert.updated_ms),
            suppressed_by: alert.suppressed_by,
            acknowledged: alert.flags.acknowledged.map(AcknowledgementBody::from),
            flapping: alert.flags.flapping,
            no_data: alert.flags.no_data,
        }
    }
}

impl From<AlertEvent> for AlertEventBody {
    fn from(event: AlertEvent) -> Self {
        let AlertEvent {
            id,
            ts_ms,
            from,
            to,
            actor,
            reason,
            ..
        } = event;
        Self {
            id,
            ts: rfc3339(ts_ms),
            from,
            to,
            actor,
            reason,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only alerts in that state.
    #[schemars(with = "Option<AlertState>")]
    state: Option<String>,
    /// Only alerts of the service with that slug.
    service: Option<String>,
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<AlertQuery>,
) -> ApiResult<Json<Page<AlertBody>>> {
    let limit = page::limit(query.limit)?;
    let filter = AlertFilter {
        state: page::word(
            "state",
            query.state.as_deref(),
            AlertState::parse,
            &AlertState::ALL.map(AlertState::as_str),
        )?,
        service: query.service,
        before: page::id_cursor(query.cursor.as_deref())?,
        limit: limit + 1,
    };
    let rows = state.deps.control.alert_list(&filter).await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |alert: &Alert| alert.id.0.to_string(),
        AlertBody::from,
    )))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct AlertPath {
    pub(crate) id: i64,
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(AlertPath { id }): Path<AlertPath>,
) -> ApiResult<Json<AlertDetailBody>> {
    let found = state.deps.control.alert_get(AlertId(id)).await?;
    let (alert, events) = found.ok_or_else(|| ApiError::alert_not_found(&id.to_string()))?;
    let filter = NotificationFilter {
        alert: Some(alert.id),
        limit: page::DEFAULT_LIMIT,
        ..NotificationFilter::default()
    };
    let notifications = state.deps.control.notification_list(&filter).await?;
    let notifications = NotificationBody::load_all(&state, notifications).await?;
    let events = events.into_iter().map(AlertEventBody::from).collect();
    let escalation = state
        .deps
        .control
        .escalation_get(alert.id)
        .await?
        .map(AlertEscalationBody::from);
    Ok(Json(AlertDetailBody {
        alert: alert.into(),
        events,
        notifications,
        escalation,
    }))
}

impl ApiError {
    pub(crate) fn alert_not_found(id: &str) -> Self {
        let detail = format!("there is no alert `{id}`; `GET /api/v1/alerts` lists them");
        Self::not_found("alert-not-found", "Alert not found", detail)
    }
}
