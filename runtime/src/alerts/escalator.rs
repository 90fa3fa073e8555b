//! Takes the steps of escalations: tells others when nobody has come. It lives from the control store alone; a step and its
//! messages are one transaction, so that a crash leaves a step that is due or messages that wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::lifecycle::ENGINE;
use super::ports::{PortError, PortResult};
use super::signals::AlertSignals;
use crate::domain::{Catalog, ChannelId, EscalationProgress, UnixMillis};
use crate::store::ControlStore;
use crate::store::control::{Escalation, StepTaken};

/// Read at once.
const PAGE: u32 = 100;

/// Looked at this often even if nobody called: the clock may have been set.
const PATROL: Duration = Duration::from_secs(30);

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

pub struct Escalator {
    store: ControlStore,
    clock: Arc<dyn Clock>,
    signals: AlertSignals,
}

impl Escalator {
    pub fn new(store: ControlStore, clock: Arc<dyn Clock>, signals: AlertSignals) -> Self {
        Self { store, clock, signals }
    }

    /// Runs until the shutdown. Nothing is taken before a catalog was published (version 0 is none): an escalation without
    /// its policy would end.
    pub async fn run(self, mut catalog: watch::Receiver<Arc<Catalog>>, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => return,
            // An error means that the publisher is gone; the shutdown follows.
            _ = catalog.wait_for(|catalog| catalog.version > 0) => {}
        }
        loop {
            let current = catalog.borrow_and_update().clone();
            let wait = match self.take_due(&current).await {
                Ok(wait) => wait,
                Err(error) => {
                    metrics::counter!("extrack_escalation_failures_total").increment(1);
                    tracing::error!(%error, "escalations can't be read or written, they are tried again");
                    RETRY
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.signals.escalations_woken() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Takes every step whose moment has come, and answers how long none has.
    pub(super) async fn take_due(&self, catalog: &Catalog) -> PortResult<Duration> {
        loop {
            let now_ms = self.clock.now_ms();
            let due = self.store.escalation_due(now_ms, PAGE).await.map_err(PortError::of)?;
            if due.is_empty() {
                break;
            }
            for escalation in due {
                self.take(catalog, escalation, now_ms).await?;
            }
        }
        let Some(next_ms) = self.store.escalation_next_due().await.map_err(PortError::of)? else { return Ok(PATROL) };
        let wait_ms = u64::try_from(next_ms - self.clock.now_ms()).unwrap_or(0);
        Ok(Duration::from_millis(wait_ms).min(PATROL))
    }

    async fn take(&self, catalog: &Catalog, escalation: Escalation, now_ms: UnixMillis) -> PortResult<()> {
        let (taken, channels) = self.decide(catalog, &escalation, now_ms);
        for channel in &channels {
            // In the store first, so that it can be told of the end as well.
            if let Some(channel) = catalog.channels.get(channel) {
                self.store.channel_put(channel).await.map_err(PortError::of)?;
            }
        }
        let step = StepTaken { channels, ..taken };
        if !self.store.escalation_take(&step, now_ms).await.map_err(PortError::of)? {
            // Somebody came, or it ended; it is read again.
            return Ok(());
        }
        let (alert, service) = (step.from.alert.id.0, step.from.alert.service.as_str());
        let (escalation, reason) = (step.from.policy.as_str(), step.reason.as_str());
        tracing::warn!(alert, service, escalation, reason, "nobody has come: {reason}");
        metrics::counter!("extrack_escalation_steps_total").increment(1);
        self.signals.wake_all();
        Ok(())
    }

    /// What the step comes to, and whom it tells.
    fn decide(&self, catalog: &Catalog, escalation: &Escalation, now_ms: UnixMillis) -> (StepTaken, Vec<ChannelId>) {
        let name = &escalation.policy;
        let step = |next, reason: String| StepTaken {
            from: escalation.clone(),
            channels: Vec::new(),
            next,
            actor: ENGINE.to_owned(),
            reason,
        };
        let Some(policy) = catalog.escalations.get(name) else {
            tracing::error!(escalation = name, "an alert's escalation is no longer configured, nobody else is told");
            return (step(None, format!("escalation `{name}` is no longer configured, it ends")), Vec::new());
        };
        let due_ms = escalation.due_ms.unwrap_or(now_ms);
        let progress = EscalationProgress { step: escalation.step, taken: escalation.taken, due_ms };
        let (taken, next) = policy.advance(progress, now_ms);
        let next = next.and_then(|next| Some((next, policy.wait(next)?.as_millis() as i64)));
        let Some(taken) = taken else {
            let reason = match next {
                Some(_) => format!("escalation `{name}`: step {} is passed over at this hour", escalation.step + 1),
                None => format!("escalation `{name}` has come to its end"),
            };
            return (step(next, reason), Vec::new());
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            taken.channels.into_iter().partition(|channel| catalog.channels.contains_key(channel));
        for channel in unknown {
            metrics::counter!("extrack_alert_channels_unknown_total").increment(1);
            tracing::error!(channel = channel.0, "an escalation names a channel that is not in the catalog");
        }
        let names: Vec<&str> = known.iter().map(|channel| catalog.channels[channel].name.as_str()).collect();
        let again = match taken.repetition {
            0 => String::new(),
            times => format!(", time {}", times + 1),
        };
        let reason = format!("escalation `{name}`, step {}{again}: tells {}", taken.step + 1, names.join(", "));
        (step(next, reason), known)
    }
}

#[cfg(test)]
mod tests;
