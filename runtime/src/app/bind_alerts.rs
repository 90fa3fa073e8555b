//! What alerting needs, from the control store, the results and the plugin host.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::alerts::{AlertStore, EventSink, HistoryLoader, Notifier, PortError, PortResult, RuleRunner};
use crate::domain::{
    Alert, AlertEvent, AlertId, AlertRule, Attempt, Channel, ChannelId, Committed, DeliveryError, History, Message,
    Notification, Observation, Receipt, Transition, UnixMillis, Verdict,
};
use crate::plugin_host::{PluginHost, RuleCall};
use crate::store::control::NotificationFilter;
use crate::store::{ControlStore, ResultStore};

/// The chain of causes in one line.
fn port<E: std::error::Error>(error: E) -> PortError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    PortError(text)
}

impl AlertStore for ControlStore {
    fn alert_open_list(&self) -> BoxFuture<'_, PortResult<Vec<Alert>>> {
        async move { ControlStore::alert_open_list(self).await.map_err(port) }.boxed()
    }

    fn transition_commit(&self, transition: Transition) -> BoxFuture<'_, PortResult<Committed>> {
        async move {
            let (alert, event, _) = ControlStore::transition_commit(self, transition).await.map_err(port)?;
            Ok(Committed { alert, event })
        }
        .boxed()
    }

    fn alert_event_after(&self, id: i64, limit: usize) -> BoxFuture<'_, PortResult<Vec<(AlertEvent, Alert)>>> {
        async move { ControlStore::alert_event_after(self, id, limit as u32).await.map_err(port) }.boxed()
    }

    fn alert_notifications(&self, alert: AlertId) -> BoxFuture<'_, PortResult<Vec<Notification>>> {
        async move {
            // Newest first, page by page: an alert with many channels and repeats has more than one.
            let mut all = Vec::new();
            let mut before = None;
            loop {
                let filter = NotificationFilter { alert: Some(alert), before, limit: 500, ..Default::default() };
                let page = self.notification_list(&filter).await.map_err(port)?;
                before = page.last().map(|notification| notification.id);
                let whole = page.len() < 500;
                all.extend(page);
                if whole {
                    return Ok(all);
                }
            }
        }
        .boxed()
    }

    fn channel_put(&self, channel: Arc<Channel>) -> BoxFuture<'_, PortResult<()>> {
        async move { ControlStore::channel_put(self, &channel).await.map_err(port) }.boxed()
    }

    fn channel_get(&self, id: ChannelId) -> BoxFuture<'_, PortResult<Option<Channel>>> {
        async move { ControlStore::channel_get(self, &id).await.map_err(port) }.boxed()
    }

    fn notification_due(&self, now_ms: UnixMillis, limit: usize) -> BoxFuture<'_, PortResult<Vec<Notification>>> {
        async move { ControlStore::notification_due(self, now_ms, limit as u32).await.map_err(port) }.boxed()
    }

    fn notification_next_due(&self) -> BoxFuture<'_, PortResult<Option<UnixMillis>>> {
        async move { ControlStore::notification_next_due(self).await.map_err(port) }.boxed()
    }

    fn notification_attempt(&self, id: i64, attempt: Attempt) -> BoxFuture<'_, PortResult<()>> {
        async move { ControlStore::notification_attempt(self, id, &attempt).await.map(drop).map_err(port) }.boxed()
    }
}

impl RuleRunner for PluginHost {
    fn look_back<'a>(&'a self, rule: &'a AlertRule) -> BoxFuture<'a, PortResult<Duration>> {
        async move { PluginHost::look_back(self, &rule.plugin, &rule.settings).await.map_err(port) }.boxed()
    }

    fn evaluate<'a>(
        &'a self,
        rule: &'a AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'a, PortResult<Verdict>> {
        let call =
            RuleCall { plugin: &rule.plugin, service: &rule.service, settings: &rule.settings, now_ms, history };
        async move { PluginHost::evaluate(self, call).await.map_err(port) }.boxed()
    }
}

impl Notifier for PluginHost {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        PluginHost::notify(self, channel, message).boxed()
    }
}

impl HistoryLoader for ResultStore {
    fn load<'a>(
        &'a self,
        service: &'a str,
        since_ms: UnixMillis,
        limit: usize,
    ) -> BoxFuture<'a, PortResult<Vec<Observation>>> {
        async move { self.observation_history(service, since_ms, limit).await.map_err(port) }.boxed()
    }
}

impl EventSink for ResultStore {
    fn alert_event_last_id(&self) -> BoxFuture<'_, PortResult<i64>> {
        async move { Ok(ResultStore::alert_event_last_id(self).await.map_err(port)?.unwrap_or(0)) }.boxed()
    }

    fn alert_event_append(&self, event: AlertEvent, alert: Alert) -> BoxFuture<'_, PortResult<()>> {
        async move { ResultStore::alert_event_append(self, event, alert).await.map_err(port) }.boxed()
    }
}
