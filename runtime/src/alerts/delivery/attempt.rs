//! One attempt to deliver one notification: find its channel, send, record.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::alerts::ports::{AfterAttempt, Attempt, AttemptOutcome, PortError};
use crate::domain::{
    Alert, Catalog, Channel, DeliveryError, Message, MessageTexts, Notification, NotificationDraft,
    NotificationReason, NotificationState, Receipt,
};
use crate::store::ControlError;

use super::follow::is_same_channel;
use super::{DeliveryDeps, backoff};

/// Pause between tries to record an attempt.
const RECORD_RETRY: Duration = Duration::from_secs(1);

/// Tries to record that are made although the program is to stop.
const RECORD_TRIES_AT_LEAST: u32 = 3;

/// End of the idempotency key of a fallback's message.
const FALLBACK: &str = "/fallback";

/// Follows what a channel answered that is sent to although it was removed.
const REMOVED: &str =
    "; the channel was removed from the configuration, and its last settings were used";

/// Fallbacks of fallbacks.
const MOST_FALLBACKS: usize = 3;

/// Deadline of the texts of one message. Their steps are bounded; this is for an overloaded
/// machine.
const RENDERING: Duration = Duration::from_secs(5);

pub(super) struct Sender {
    pub(super) deps: DeliveryDeps,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) shutdown: CancellationToken,
}

impl Sender {
    /// Does nothing about a message that no longer waits.
    pub(super) async fn send(&self, id: i64) {
        let found = self.deps.store.notification_get(id).await;
        let notification = match found.map_err(PortError::from) {
            Ok(Some(notification)) if notification.state == NotificationState::Waiting => {
                notification
            }
            Ok(_) => return,
            Err(error) => {
                tracing::error!(notification = id, %error, "a message can't be read, it is tried again");
                return tokio::time::sleep(super::PAUSE).await;
            }
        };
        let (started_ms, started) = (self.deps.clock.now_ms(), Instant::now());
        let deadline = self.deps.settings.deadline;
        let catalog = self.catalog.borrow().clone();
        let channel = self.channel(&catalog, &notification).await;
        let sending = AssertUnwindSafe(self.try_send(&catalog, channel.clone(), &notification))
            .catch_unwind();
        let outcome = match tokio::time::timeout(deadline, sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(retryable("the notifier panicked".to_owned())),
            Err(_) => Err(retryable(format!(
                "no answer within {} s",
                deadline.as_secs()
            ))),
        };
        let (mut attempt, mut after) =
            self.judge(&notification, outcome, started_ms, started.elapsed());
        if let Ok(channel) = &channel {
            self.consider_change(&notification, channel, &mut attempt, &mut after);
        }
        self.report(&notification, &attempt);
        if let Ok(channel) = &channel {
            after.fallback = self
                .fallback(&catalog, channel, &notification, attempt.outcome)
                .await;
        }
        self.record(&notification, attempt, after).await;
    }

    async fn try_send(
        &self,
        catalog: &Catalog,
        channel: Result<Arc<Channel>, DeliveryError>,
        notification: &Notification,
    ) -> Result<Receipt, DeliveryError> {
        let channel = channel?;
        let mut message = self.message(catalog, &channel, notification);
        if notification.reason == NotificationReason::Report {
            self.add_report(notification, &mut message).await?;
        } else {
            message.texts = self.texts(&channel, &message).await;
        }
        match self
            .deps
            .store
            .notification_reference(notification.id)
            .await
            .map_err(PortError::from)
        {
            Ok(reference) => message.reference = reference,
            // The message is complete without it.
            Err(error) => {
                tracing::warn!(notification = notification.id, %error, "the message before can't be read")
            }
        }
        self.deps.notifier.notify(&channel, &message).await
    }

    /// A failure with settings that are no longer those of the channel.
    fn consider_change(
        &self,
        notification: &Notification,
        used: &Channel,
        attempt: &mut Attempt,
        after: &mut AfterAttempt,
    ) {
        if attempt.outcome == AttemptOutcome::Delivered {
            return;
        }
        match self.catalog.borrow().channels.get(&notification.channel) {
            // Mended while the attempt was under way: the next one need not wait, nor was this one
            // the last.
            Some(channel) if !is_same_channel(channel, used) => {
                attempt.outcome = AttemptOutcome::Retry;
                (after.state, after.next_attempt_ms) =
                    (NotificationState::Waiting, self.deps.clock.now_ms());
            }
            Some(_) => {}
            None => attempt.answer.push_str(REMOVED),
        }
    }

    /// Returns the channel as configured now. One that was removed still gets the end of what it
    /// was notified of, with its last settings.
    async fn channel(
        &self,
        catalog: &Catalog,
        notification: &Notification,
    ) -> Result<Arc<Channel>, DeliveryError> {
        let id = &notification.channel;
        if let Some(channel) = catalog.channels.get(id) {
            return Ok(Arc::clone(channel));
        }
        let found = self.deps.store.channel_get(id).await;
        match found.map_err(PortError::from) {
            Ok(Some(channel)) => {
                let (notification, channel_name) = (notification.id, channel.name.as_str());
                tracing::info!(
                    notification,
                    channel = id.0,
                    channel_name,
                    "the channel was removed from the configuration, its last settings are used"
                );
                Ok(Arc::new(channel))
            }
            Ok(None) => Err(DeliveryError::Permanent(format!(
                "channel `{}` is neither in the configuration nor in the store",
                id.0
            ))),
            Err(error) => Err(retryable(format!(
                "channel `{}` can't be read: {error}",
                id.0
            ))),
        }
    }

    /// The alerts as they were when the message was decided on.
    fn message(
        &self,
        catalog: &Catalog,
        channel: &Channel,
        notification: &Notification,
    ) -> Message {
        let named = |alert: &Alert| {
            let service = catalog.described(&alert.service);
            (
                alert.clone(),
                service.map_or_else(|| alert.service.clone(), |service| service.name.clone()),
            )
        };
        Message {
            id: notification.idempotency_key.clone(),
            reason: notification.reason,
            status: notification.status,
            group_key: notification.group_key.clone(),
            group_labels: notification.group_labels.clone(),
            receiver: channel.name.clone(),
            external_url: self.deps.settings.public_url.clone(),
            alerts: notification.alerts.iter().map(named).collect(),
            omitted: notification.omitted,
            attempt: notification.attempts + 1,
            texts: MessageTexts::default(),
            reference: None,
            files: Arc::default(),
        }
    }

    /// Puts in what the run of a report made.
    async fn add_report(
        &self,
        notification: &Notification,
        message: &mut Message,
    ) -> Result<(), DeliveryError> {
        let run = notification.group_key.rsplit(':').next();
        let run = run
            .and_then(|id| id.parse::<i64>().ok())
            .unwrap_or_default();
        let found = self.deps.store.report_letter(run).await;
        let letter = found
            .map_err(PortError::from)
            .map_err(|error| retryable(format!("the report can't be read: {error}")))?;
        let letter = letter.ok_or_else(|| {
            DeliveryError::Permanent("the run of the report is no longer kept".to_owned())
        })?;
        message.texts = MessageTexts {
            title: Some(letter.title),
            text: Some(letter.text),
            html: Some(letter.html),
        };
        message.files = Arc::new(letter.files);
        Ok(())
    }

    /// Renders the channel's template. One that fails, or takes long, holds no message back: the
    /// notifier writes the texts then.
    async fn texts(&self, channel: &Channel, message: &Message) -> MessageTexts {
        let Some(template) = &channel.options.template else {
            return MessageTexts::default();
        };
        let rendering = self.deps.evaluator.template_render(template, message);
        let (field, fault) = match tokio::time::timeout(RENDERING, rendering).await {
            Ok(Ok(texts)) => return texts,
            Ok(Err(fault)) => (fault.pointer, fault.message),
            Err(_) => (
                String::new(),
                format!("is not rendered within {} s", RENDERING.as_secs()),
            ),
        };
        metrics::counter!("extrack_message_template_failures_total", "template" => template.name.clone()).increment(1);
        let template = template.name.as_str();
        tracing::error!(
            template,
            field,
            channel = channel.name,
            fault,
            "the message leaves in the notifier's own words"
        );
        MessageTexts::default()
    }

    /// Returns the attempt and the state of the message after it, with the moment of the next
    /// attempt.
    fn judge(
        &self,
        notification: &Notification,
        outcome: Result<Receipt, DeliveryError>,
        started_ms: i64,
        took: Duration,
    ) -> (Attempt, AfterAttempt) {
        let now_ms = self.deps.clock.now_ms();
        let mut reference = None;
        let (outcome, answer, wait) = match outcome {
            Ok(receipt) => {
                reference = receipt.reference;
                (AttemptOutcome::Delivered, receipt.answer, None)
            }
            Err(DeliveryError::Permanent(message)) => (AttemptOutcome::Dead, message, None),
            Err(DeliveryError::Retryable { message, after }) => {
                let attempts = notification.attempts + 1;
                let spread = rand::random();
                match backoff::retry_after(
                    &self.deps.settings,
                    notification,
                    attempts,
                    after,
                    now_ms,
                    spread,
                ) {
                    Some(wait) => (AttemptOutcome::Retry, message, Some(wait)),
                    None => (
                        AttemptOutcome::Dead,
                        format!("given up after {attempts} attempts: {message}"),
                        None,
                    ),
                }
            }
        };
        let next_attempt_ms = now_ms.saturating_add(wait.unwrap_or_default().as_millis() as i64);
        let attempt = Attempt {
            started_ms,
            duration_ms: took.as_millis() as u64,
            outcome,
            answer,
        };
        (
            attempt,
            AfterAttempt {
                reference,
                ..AfterAttempt::new(state_after(outcome), next_attempt_ms)
            },
        )
    }

    /// The same message to the channel's fallback, once this one has given it up or has failed for
    /// long.
    async fn fallback(
        &self,
        catalog: &Catalog,
        channel: &Channel,
        notification: &Notification,
        outcome: AttemptOutcome,
    ) -> Option<NotificationDraft> {
        // A report that one channel can't take calls nobody on another.
        if notification.reason == NotificationReason::Report {
            return None;
        }
        let fallback = channel.options.fallback.as_ref()?;
        let since_ms = notification.resent_ms.unwrap_or(notification.created_ms);
        let is_late = self.deps.clock.now_ms() - since_ms >= fallback.after.as_millis() as i64;
        let is_wanted = match outcome {
            AttemptOutcome::Delivered => false,
            AttemptOutcome::Retry => is_late,
            AttemptOutcome::Dead => true,
        };
        // Round in circles it would go for ever.
        if !is_wanted || notification.idempotency_key.matches(FALLBACK).count() >= MOST_FALLBACKS {
            return None;
        }
        let mut others = catalog
            .channels
            .values()
            .filter(|other| other.id != channel.id);
        let Some(other) =
            others.find(|other| other.name == fallback.channel || other.id.0 == fallback.channel)
        else {
            let (channel, fallback) = (channel.name.as_str(), fallback.channel.as_str());
            tracing::error!(
                channel,
                fallback,
                "the fallback is not in the configuration, the message does not go there"
            );
            return None;
        };
        // So that messages can be sent to it even after it left the configuration.
        if let Err(error) = self
            .deps
            .store
            .channel_put(other)
            .await
            .map_err(PortError::from)
        {
            tracing::error!(channel = other.name, %error, "the fallback can't be kept, it is tried again with the next attempt");
            return None;
        }
        Some(fallback_message(notification, other))
    }

    fn report(&self, notification: &Notification, attempt: &Attempt) {
        metrics::counter!("extrack_notification_attempts_total", "outcome" => attempt.outcome.as_str()).increment(1);
        let (id, channel) = (notification.id, notification.channel.0.as_str());
        let (group, status) = (
            notification.group_key.as_str(),
            notification.status.as_str(),
        );
        let (number, answer) = (notification.attempts + 1, attempt.answer.as_str());
        match attempt.outcome {
            AttemptOutcome::Delivered => {
                tracing::info!(
                    notification = id,
                    channel,
                    group,
                    status,
                    attempt = number,
                    "notification delivered"
                );
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

    /// Records an attempt, however often that fails: a message whose delivery is not on record
    /// would be sent again and again.
    async fn record(&self, notification: &Notification, attempt: Attempt, after: AfterAttempt) {
        let id = notification.id;
        let mut tries = 0;
        loop {
            let store = &self.deps.store;
            let error = match store
                .notification_attempt(id, &attempt, after.clone())
                .await
            {
                // Recorded by a try that answered with an error, or taken away by a person.
                Ok(_) | Err(ControlError::Conflict { .. } | ControlError::NotFound { .. }) => {
                    if after.fallback.is_some() {
                        self.deps.signals.wake_delivery();
                    }
                    return;
                }
                Err(error) => PortError::from(error),
            };
            tries += 1;
            tracing::error!(notification = id, %error, "the attempt can't be recorded, it is tried again");
            if self.shutdown.is_cancelled() && tries >= RECORD_TRIES_AT_LEAST {
                return;
            }
            tokio::time::sleep(RECORD_RETRY).await;
        }
    }
}

/// Returns the same message for another channel.
fn fallback_message(notification: &Notification, other: &Channel) -> NotificationDraft {
    NotificationDraft {
        group_key: notification.group_key.clone(),
        group_labels: notification.group_labels.clone(),
        channel: other.id.clone(),
        reason: notification.reason,
        status: notification.status,
        idempotency_key: format!("{}{FALLBACK}", notification.idempotency_key),
        alerts: notification.alerts.clone(),
        omitted: notification.omitted,
    }
}

fn state_after(outcome: AttemptOutcome) -> NotificationState {
    match outcome {
        AttemptOutcome::Delivered => NotificationState::Delivered,
        AttemptOutcome::Retry => NotificationState::Waiting,
        AttemptOutcome::Dead => NotificationState::Dead,
    }
}

fn retryable(message: String) -> DeliveryError {
    DeliveryError::Retryable {
        message,
        after: None,
    }
}
