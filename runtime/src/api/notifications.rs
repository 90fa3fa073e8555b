//! Notifications with every attempt to deliver them.

use aide::transform::TransformOperation;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit;
use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{self, Page};
use super::state::ApiState;
use crate::domain::{
    Alert, AlertId, AlertState, Notification, NotificationReason, NotificationState,
    NotificationStatus, Severity, now_ms,
};
use crate::store::ControlError;
use crate::store::control::{Attempt, AttemptOutcome, NotificationFilter};

/// One message to one channel.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotificationBody {
    id: i64,
    /// The same for every attempt.
    idempotency_key: String,
    /// Messages of one group arrive at their channel in the order of their ids.
    group_key: String,
    channel: String,
    reason: NotificationReason,
    status: NotificationStatus,
    state: NotificationState,
    created_at: String,
    /// Null when there will be none.
    next_attempt_at: Option<String>,
    delivered_at: Option<String>,
    last_error: Option<String>,
    /// As they were when the message was decided on, firing ones first.
    alerts: Vec<NotifiedAlertBody>,
    /// Alerts of the group that the message has no room for.
    omitted: u32,
    /// What the other side calls the message, once it is delivered.
    reference: Option<String>,
    /// When it was put back after it had been given up.
    resent_at: Option<String>,
    /// Id of the message that tells of this one as well, if its channel's rate limit held it back.
    digest: Option<i64>,
    /// Oldest first.
    attempts: Vec<AttemptBody>,
}

/// An alert as a message names it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotifiedAlertBody {
    id: i64,
    name: String,
    /// Slug.
    service: String,
    severity: Severity,
    state: AlertState,
    summary: String,
}

impl From<Alert> for NotifiedAlertBody {
    fn from(alert: Alert) -> Self {
        let Alert {
            id,
            name,
            service,
            severity,
            state,
            summary,
            ..
        } = alert;
        Self {
            id: id.0,
            name,
            service,
            severity,
            state,
            summary,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttemptBody {
    started_at: String,
    duration_ms: u64,
    outcome: AttemptOutcome,
    /// What the other side answered, or why it failed.
    answer: String,
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        let Attempt {
            started_ms,
            duration_ms,
            outcome,
            answer,
        } = attempt;
        Self {
            started_at: rfc3339(started_ms),
            duration_ms,
            outcome,
            answer,
        }
    }
}

impl NotificationBody {
    pub(super) async fn load(state: &ApiState, notification: Notification) -> ApiResult<Self> {
        let attempts = state
            .parts
            .control
            .notification_attempts(notification.id)
            .await?;
        Ok(Self::new(notification, attempts))
    }

    /// A page of them, with one more query for all their attempts.
    pub(super) async fn load_all(
        state: &ApiState,
        notifications: Vec<Notification>,
    ) -> ApiResult<Vec<Self>> {
        let ids: Vec<i64> = notifications
            .iter()
            .map(|notification| notification.id)
            .collect();
        let mut attempts = state.parts.control.notification_attempts_of(&ids).await?;
        let body = |notification: Notification| {
            let attempts = attempts.remove(&notification.id).unwrap_or_default();
            Self::new(notification, attempts)
        };
        Ok(notifications.into_iter().map(body).collect())
    }

    fn new(notification: Notification, attempts: Vec<Attempt>) -> Self {
        let waiting = notification.state == NotificationState::Waiting;
        Self {
            id: notification.id,
            idempotency_key: notification.idempotency_key,
            group_key: notification.group_key,
            channel: notification.channel.0,
            reason: notification.reason,
            status: notification.status,
            state: notification.state,
            created_at: rfc3339(notification.created_ms),
            next_attempt_at: waiting.then(|| rfc3339(notification.next_attempt_ms)),
            delivered_at: notification.delivered_ms.map(rfc3339),
            last_error: notification.last_error,
            alerts: notification
                .alerts
                .into_iter()
                .map(NotifiedAlertBody::from)
                .collect(),
            omitted: notification.omitted,
            reference: notification.reference,
            resent_at: notification.resent_ms.map(rfc3339),
            digest: notification.digest,
            attempts: attempts.into_iter().map(AttemptBody::from).collect(),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only those in that state.
    #[schemars(with = "Option<NotificationState>")]
    state: Option<String>,
    /// Only those about that alert.
    alert: Option<i64>,
    /// Only those about the service with that slug.
    service: Option<String>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<NotificationQuery>,
) -> ApiResult<Json<Page<NotificationBody>>> {
    let limit = page::limit(query.limit)?;
    let words = NotificationState::ALL.map(NotificationState::as_str);
    let filter = NotificationFilter {
        state: page::word(
            "state",
            query.state.as_deref(),
            NotificationState::parse,
            &words,
        )?,
        alert: query.alert.map(AlertId),
        service: query.service,
        before: page::id_cursor(query.cursor.as_deref())?,
        limit: limit + 1,
    };
    let rows = state.parts.control.notification_list(&filter).await?;
    let rows = Page::from_rows(
        rows,
        limit,
        |row: &Notification| row.id.to_string(),
        |row| row,
    );
    let items = NotificationBody::load_all(&state, rows.items).await?;
    Ok(Json(Page {
        items,
        next: rows.next,
    }))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("notificationList")
        .tag("alerts")
        .summary("Messages and their deliveries, newest first")
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct NotificationPath {
    id: i64,
}

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(NotificationPath { id }): Path<NotificationPath>,
) -> ApiResult<Json<NotificationBody>> {
    let found = state.parts.control.notification_get(id).await?;
    let notification = found.ok_or_else(|| ApiError::notification_not_found(id))?;
    Ok(Json(NotificationBody::load(&state, notification).await?))
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("notificationGet")
        .tag("alerts")
        .summary("One message with its attempts")
}

pub(super) async fn resend(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(NotificationPath { id }): Path<NotificationPath>,
) -> ApiResult<Json<NotificationBody>> {
    let notification = match state.parts.control.notification_resend(id, now_ms()).await {
        Ok(notification) => notification,
        Err(ControlError::NotFound { .. }) => return Err(ApiError::notification_not_found(id)),
        Err(ControlError::Conflict { found, .. }) => {
            return Err(ApiError::notification_not_dead(id, &found));
        }
        Err(error) => return Err(error.into()),
    };
    state.parts.signals.wake_delivery();
    audit::note(&state, &principal, "notification.resend", &id.to_string()).await;
    Ok(Json(NotificationBody::load(&state, notification).await?))
}

pub(super) fn resend_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("notificationResend")
        .tag("alerts")
        .summary("Puts a message back that was given up")
        .description(
            "It is due at once, under the same idempotency key, and tried again as a new one is. Alerts that have ended since \
             are in it as ended; if all have, it is a message of their end, with a key of its own.",
        )
}
