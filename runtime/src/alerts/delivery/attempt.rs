//! One attempt to deliver one notification: find its channel, send, record.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::alerts::ports::{Attempt, AttemptOutcome};
use crate::domain::{
    Alert, Catalog, Channel, DeliveryError, Message, MessageTexts, Notification, NotificationState, Receipt, UnixMillis,
};

use super::{DeliveryDeps, backoff};

/// Between tries to record what came of an attempt.
const RECORD_RETRY: Duration = Duration::from_secs(1);

/// Tries to record that are made although the program is to stop.
const RECORD_TRIES_AT_LEAST: u32 = 3;

pub(super) struct Sender {
    pub(super) deps: DeliveryDeps,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) shutdown: CancellationToken,
}

impl Sender {
    pub(super) async fn send(&self, notification: Notification) {
        let (started_ms, started) = (self.deps.clock.now_ms(), Instant::now());
        let deadline = self.deps.settings.deadline;
        let sending = AssertUnwindSafe(self.try_send(&notification)).catch_unwind();
        let outcome = match tokio::time::timeout(deadline, sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(retryable("the notifier panicked".to_owned())),
            Err(_) => Err(retryable(format!("no answer within {} s", deadline.as_secs()))),
        };
        let (attempt, next_attempt_ms) = self.judge(&notification, outcome, started_ms, started.elapsed());
        self.report(&notification, &attempt);
        self.record(&notification, attempt, next_attempt_ms).await;
    }

    async fn try_send(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let catalog = self.catalog.borrow().clone();
        let channel = self.channel(&catalog, notification).await?;
        let message = self.message(&catalog, &channel, notification);
        self.deps.notifier.notify(&channel, &message).await
    }

    /// As configured now, or as it was when the notification was committed.
    async fn channel(&self, catalog: &Catalog, notification: &Notification) -> Result<Arc<Channel>, DeliveryError> {
        let id = &notification.channel;
        if let Some(channel) = catalog.channels.get(id) {
            return Ok(Arc::clone(channel));
        }
        match self.deps.store.channel_get(id.clone()).await {
            Ok(Some(channel)) => Ok(Arc::new(channel)),
            Ok(None) => Err(DeliveryError::Permanent(format!(
                "channel `{}` is neither in the configuration nor in the store",
                id.0
            ))),
            Err(error) => Err(retryable(format!("channel `{}` can't be read: {error}", id.0))),
        }
    }

    /// The alerts as they were when the message was decided on.
    fn message(&self, catalog: &Catalog, channel: &Channel, notification: &Notification) -> Message {
        let named = |alert: &Alert| {
            let service = catalog.services.get(&alert.service);
            (alert.clone(), service.map_or_else(|| alert.service.clone(), |service| service.name.clone()))
        };
        let mut message = Message {
            id: notification.idempotency_key.clone(),
            status: notification.status,
            group_key: notification.group_key.clone(),
            group_labels: notification.group_labels.clone(),
            receiver: channel.name.clone(),
            external_url: self.deps.settings.public_url.clone(),
            alerts: notification.alerts.iter().map(named).collect(),
            attempt: notification.attempts + 1,
            texts: MessageTexts::default(),
            reference: None,
        };
        message.texts = texts(channel, &message);
        message
    }

    /// What came of it, and when the next attempt is due.
    fn judge(
        &self,
        notification: &Notification,
        outcome: Result<Receipt, DeliveryError>,
        started_ms: i64,
        took: Duration,
    ) -> (Attempt, UnixMillis) {
        let now_ms = self.deps.clock.now_ms();
        let (outcome, answer, wait) = match outcome {
            Ok(receipt) => (AttemptOutcome::Delivered, receipt.answer, None),
            Err(DeliveryError::Permanent(message)) => (AttemptOutcome::Dead, message, None),
            Err(DeliveryError::Retryable { message, after }) => {
                let attempts = notification.attempts + 1;
                let spread = rand::random();
                match backoff::retry_after(&self.deps.settings, notification, attempts, after, now_ms, spread) {
                    Some(wait) => (AttemptOutcome::Retry, message, Some(wait)),
                    None => (AttemptOutcome::Dead, format!("given up after {attempts} attempts: {message}"), None),
                }
            }
        };
        let next_attempt_ms = now_ms.saturating_add(wait.unwrap_or_default().as_millis() as i64);
        (Attempt { started_ms, duration_ms: took.as_millis() as u64, outcome, answer }, next_attempt_ms)
    }

    fn report(&self, notification: &Notification, attempt: &Attempt) {
        metrics::counter!("extrack_notification_attempts_total", "outcome" => attempt.outcome.as_str()).increment(1);
        let (id, channel) = (notification.id, notification.channel.0.as_str());
        let (group, status) = (notification.group_key.as_str(), notification.status.as_str());
        let (number, answer) = (notification.attempts + 1, attempt.answer.as_str());
        match attempt.outcome {
            AttemptOutcome::Delivered => {
                tracing::info!(notification = id, channel, group, status, attempt = number, "notification delivered");
            }
            AttemptOutcome::Retry => tracing::warn!(
                notification = id,
                channel,
                group,
                status,
                attempt = number,
                error = answer,
                "notification not delivered, it is tried again"
            ),
            AttemptOutcome::Dead => tracing::error!(
                notification = id,
                channel,
                group,
                status,
                attempt = number,
                error = answer,
                "notification given up"
            ),
        }
    }

    /// Until it is done: a message whose delivery is not on record would be sent again at once, and again.
    async fn record(&self, notification: &Notification, attempt: Attempt, next_attempt_ms: UnixMillis) {
        let (id, state) = (notification.id, state_after(attempt.outcome));
        let mut tries = 0;
        loop {
            let recording = self.deps.store.notification_attempt(id, attempt.clone(), state, next_attempt_ms);
            let Err(error) = recording.await else { return };
            tries += 1;
            tracing::error!(notification = id, %error, "the attempt can't be recorded, it is tried again");
            if self.shutdown.is_cancelled() && tries >= RECORD_TRIES_AT_LEAST {
                return;
            }
            tokio::time::sleep(RECORD_RETRY).await;
        }
    }
}

/// A template that fails keeps no message back: the notifier writes it then.
fn texts(channel: &Channel, message: &Message) -> MessageTexts {
    let Some(template) = &channel.options.template else { return MessageTexts::default() };
    template.render(message).unwrap_or_else(|fault| {
        metrics::counter!("extrack_message_template_failures_total", "template" => template.name.clone()).increment(1);
        let (template, field) = (template.name.as_str(), fault.field);
        tracing::error!(template, field, channel = channel.name, %fault, "the message leaves in the notifier's own words");
        MessageTexts::default()
    })
}

fn state_after(outcome: AttemptOutcome) -> NotificationState {
    match outcome {
        AttemptOutcome::Delivered => NotificationState::Delivered,
        AttemptOutcome::Retry => NotificationState::Waiting,
        AttemptOutcome::Dead => NotificationState::Dead,
    }
}

fn retryable(message: String) -> DeliveryError {
    DeliveryError::Retryable { message, after: None }
}
