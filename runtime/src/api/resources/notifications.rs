//! Notifications with every attempt to deliver them.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::audit;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::notifications::{
    AttemptBody, AttemptOutcome, NotificationBody, NotifiedAlertBody,
};
use crate::api_types::scope::Scope::{Read, Write};
use crate::domain::{Alert, AlertId, Notification, NotificationState, now_ms};
use crate::store::ControlError;
use crate::store::control::{self, Attempt, NotificationFilter};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/notifications", list)
            .id("notificationList")
            .summary("Messages and their deliveries, newest first"),
        Endpoint::get(Read, "/api/v1/notifications/{id}", get)
            .id("notificationGet")
            .summary("One message with its attempts"),
        Endpoint::post(Write, "/api/v1/notifications/{id}/resend", resend)
            .id("notificationResend")
            .summary("Put a message back that was given up")
            .description(
                "It is due at once, under the same idempotency key, and tried again as a new \
                 one is. Alerts that have ended since are in it as ended; if all have, it is a \
                 message of their end, with a key of its own.",
            ),
    ]
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
            outcome: match outcome {
                control::AttemptOutcome::Delivered => AttemptOutcome::Delivered,
                control::AttemptOutcome::Retry => AttemptOutcome::Retry,
                control::AttemptOutcome::Dead => AttemptOutcome::Dead,
            },
            answer,
        }
    }
}

impl NotificationBody {
    pub(crate) async fn load(state: &ApiState, notification: Notification) -> ApiResult<Self> {
        let attempts = state
            .deps
            .control
            .notification_attempts(notification.id)
            .await?;
        Ok(Self::new(notification, attempts))
    }

    /// A page of them, with one more query for all their attempts.
    pub(crate) async fn load_all(
        state: &ApiState,
        notifications: Vec<Notification>,
    ) -> ApiResult<Vec<Self>> {
        let ids: Vec<i64> = notifications
            .iter()
            .map(|notification| notification.id)
            .collect();
        let mut attempts = state.deps.control.notification_attempts_of(&ids).await?;
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
pub(crate) struct NotificationQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
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

async fn list(
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
    let rows = state.deps.control.notification_list(&filter).await?;
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

#[derive(Deserialize, JsonSchema)]
pub(crate) struct NotificationPath {
    id: i64,
}

async fn get(
    State(state): State<ApiState>,
    Path(NotificationPath { id }): Path<NotificationPath>,
) -> ApiResult<Json<NotificationBody>> {
    let found = state.deps.control.notification_get(id).await?;
    let notification = found.ok_or_else(|| ApiError::notification_not_found(id))?;
    Ok(Json(NotificationBody::load(&state, notification).await?))
}

async fn resend(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(NotificationPath { id }): Path<NotificationPath>,
) -> ApiResult<Json<NotificationBody>> {
    let notification = match state.deps.control.notification_resend(id, now_ms()).await {
        Ok(notification) => notification,
        Err(ControlError::NotFound { .. }) => return Err(ApiError::notification_not_found(id)),
        Err(ControlError::Conflict { found, .. }) => {
            return Err(ApiError::notification_not_dead(id, &found));
        }
        Err(error) => return Err(error.into()),
    };
    state.deps.signals.wake_delivery();
    audit::note(&state, &principal, "notification.resend", &id.to_string()).await;
    Ok(Json(NotificationBody::load(&state, notification).await?))
}

impl ApiError {
    pub(crate) fn notification_not_found(id: i64) -> Self {
        let detail =
            format!("there is no notification `{id}`; `GET /api/v1/notifications` lists them");
        Self::not_found("notification-not-found", "Notification not found", detail)
    }

    pub(crate) fn notification_not_dead(id: i64, found: &str) -> Self {
        let detail = format!(
            "notification `{id}` is in {found}; only one that was given up can be put back"
        );
        Self::conflict(
            "notification-not-dead",
            "Notification was not given up",
            detail,
        )
    }
}
