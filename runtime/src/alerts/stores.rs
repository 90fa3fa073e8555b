//! The control store and the results behind the ports.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::{
    Alert, AlertEvent, AlertId, Channel, ChannelId, Notification, NotificationState, Observation, UnixMillis,
};
use crate::store::control::{Attempt, MAX_PAGE, NotificationFilter, Transition};
use crate::store::{ControlError, ControlStore, ResultStore};

use super::ports::{AlertStore, Committed, EventSink, HistoryLoader, PortError, PortResult};

/// With the whole chain of causes, on one line.
fn port_error(error: impl std::error::Error) -> PortError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    PortError(text)
}

impl AlertStore for ControlStore {
    fn alert_open_list(&self) -> BoxFuture<'_, PortResult<Vec<Alert>>> {
        self.alert_open_list().map(|answer| answer.map_err(port_error)).boxed()
    }

    fn transition_commit(&self, transition: Transition) -> BoxFuture<'_, PortResult<Committed>> {
        async move {
            let (alert, event, _) = self.transition_commit(transition).await.map_err(port_error)?;
            Ok(Committed { alert, event })
        }
        .boxed()
    }

    fn alert_event_after(&self, id: i64, limit: u32) -> BoxFuture<'_, PortResult<Vec<(AlertEvent, Alert)>>> {
        self.alert_event_after(id, limit).map(|answer| answer.map_err(port_error)).boxed()
    }

    fn alert_notifications(&self, alert: AlertId) -> BoxFuture<'_, PortResult<Vec<Notification>>> {
        async move {
            let mut filter = NotificationFilter { alert: Some(alert), limit: MAX_PAGE, ..Default::default() };
            let mut found = Vec::new();
            loop {
                let page = self.notification_list(&filter).await.map_err(port_error)?;
                let is_last = page.len() < MAX_PAGE as usize;
                filter.before = page.last().map(|notification| notification.id);
                found.extend(page);
                if is_last {
                    found.reverse();
                    return Ok(found);
                }
            }
        }
        .boxed()
    }

    fn channel_put(&self, channel: Arc<Channel>) -> BoxFuture<'_, PortResult<()>> {
        async move { self.channel_put(&channel).await.map_err(port_error) }.boxed()
    }

    fn channel_get(&self, id: ChannelId) -> BoxFuture<'_, PortResult<Option<Channel>>> {
        async move { self.channel_get(&id).await.map_err(port_error) }.boxed()
    }

    fn notification_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<Notification>>> {
        self.notification_due_after(now_ms, after, limit).map(|answer| answer.map_err(port_error)).boxed()
    }

    fn notification_next_due(&self) -> BoxFuture<'_, PortResult<Option<UnixMillis>>> {
        self.notification_next_due().map(|answer| answer.map_err(port_error)).boxed()
    }

    fn notification_attempt(
        &self,
        id: i64,
        attempt: Attempt,
        state: NotificationState,
        next_attempt_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<()>> {
        async move {
            match self.notification_attempt(id, &attempt, state, next_attempt_ms).await {
                Ok(_) => Ok(()),
                // Recorded by an earlier try that answered with an error, or taken away by a person.
                Err(ControlError::Conflict { .. } | ControlError::NotFound { .. }) => Ok(()),
                Err(error) => Err(port_error(error)),
            }
        }
        .boxed()
    }
}

impl HistoryLoader for ResultStore {
    fn load<'a>(
        &'a self,
        service: &'a str,
        since_ms: UnixMillis,
        limit: usize,
    ) -> BoxFuture<'a, PortResult<Vec<Observation>>> {
        self.observation_history(service, since_ms, limit).map(|answer| answer.map_err(port_error)).boxed()
    }
}

impl EventSink for ResultStore {
    fn alert_event_last_id(&self) -> BoxFuture<'_, PortResult<i64>> {
        self.alert_event_last_id().map(|answer| answer.map(|id| id.unwrap_or(0)).map_err(port_error)).boxed()
    }

    fn alert_event_append(&self, event: AlertEvent, alert: Alert) -> BoxFuture<'_, PortResult<()>> {
        self.alert_event_append(event, alert).map(|answer| answer.map_err(port_error)).boxed()
    }
}
