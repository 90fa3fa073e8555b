//! Alerts with their history and the messages about them.

pub(super) mod act;

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::notifications::NotificationBody;
use super::page::{self, Page};
use super::state::ApiState;
use crate::domain::{Acknowledgement, Alert, AlertEvent, AlertId, AlertState, Severity};
use crate::store::control::{AlertFilter, Escalation, NotificationFilter};

/// One breach of one rule for one service.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertBody {
    id: i64,
    /// The rule's, e.g. `Service Down`.
    name: String,
    rule: String,
    /// Slug.
    service: String,
    severity: Severity,
    state: AlertState,
    /// The value found beside the value wanted.
    summary: String,
    value: Option<f64>,
    wanted: Option<f64>,
    /// First breach, RFC 3339.
    started_at: String,
    fired_at: Option<String>,
    resolved_at: Option<String>,
    updated_at: String,
    /// What mutes it, while it is suppressed: e.g. `silence 3`.
    suppressed_by: Option<String>,
    /// The last one; it holds while the state is `acknowledged`.
    acknowledged: Option<AcknowledgementBody>,
    /// It changes so often that only the beginning and the end of that are told.
    flapping: bool,
    /// It is open because its rule could not be judged.
    no_data: bool,
}

/// Somebody said to be on it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AcknowledgementBody {
    by: String,
    at: String,
    /// Null: until the alert ends.
    until: Option<String>,
    note: String,
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

/// Who else is told if nobody comes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertEscalationBody {
    policy: String,
    /// Number of the step that is next, from 1.
    step: usize,
    /// How often that one was taken already.
    taken: u32,
    /// Null while it waits for an acknowledgement to end, and at its end.
    due_at: Option<String>,
    started_at: String,
}

impl From<Escalation> for AlertEscalationBody {
    fn from(escalation: Escalation) -> Self {
        let Escalation {
            policy,
            step,
            taken,
            due_ms,
            started_ms,
            ..
        } = escalation;
        let (due_at, started_at) = (due_ms.map(rfc3339), rfc3339(started_ms));
        Self {
            policy,
            step: step.saturating_add(1),
            taken,
            due_at,
            started_at,
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
            acknowledged: alert.marks.acknowledged.map(AcknowledgementBody::from),
            flapping: alert.marks.flapping,
            no_data: alert.marks.no_data,
        }
    }
}

/// One change in an alert's life.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertEventBody {
    id: i64,
    ts: String,
    /// Null for the first.
    from: Option<AlertState>,
    to: AlertState,
    /// `engine`, or who did it.
    actor: String,
    reason: String,
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

/// An alert with all that happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertDetailBody {
    #[serde(flatten)]
    alert: AlertBody,
    /// Oldest first.
    events: Vec<AlertEventBody>,
    /// Newest first.
    notifications: Vec<NotificationBody>,
    /// Null without one, and when the alert has ended.
    escalation: Option<AlertEscalationBody>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertQuery {
    /// `next` of the page before.
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

pub(super) async fn list(
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
    let rows = state.parts.control.alert_list(&filter).await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |alert: &Alert| alert.id.0.to_string(),
        AlertBody::from,
    )))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("alertList")
        .tag("alerts")
        .summary("Alerts, newest first")
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct AlertPath {
    id: i64,
}

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(AlertPath { id }): Path<AlertPath>,
) -> ApiResult<Json<AlertDetailBody>> {
    let found = state.parts.control.alert_get(AlertId(id)).await?;
    let (alert, events) = found.ok_or_else(|| ApiError::alert_not_found(&id.to_string()))?;
    let filter = NotificationFilter {
        alert: Some(alert.id),
        limit: page::DEFAULT_LIMIT,
        ..NotificationFilter::default()
    };
    let notifications = state.parts.control.notification_list(&filter).await?;
    let notifications = NotificationBody::load_all(&state, notifications).await?;
    let events = events.into_iter().map(AlertEventBody::from).collect();
    let escalation = state
        .parts
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

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("alertGet")
        .tag("alerts")
        .summary("One alert with its history and the messages about it")
}
