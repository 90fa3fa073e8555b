//! Takes the steps of escalations: notifies others while an alert goes unacknowledged. A step and
//! its messages are one transaction, so that a crash leaves a step that is due or messages that
//! wait. A step that can't be taken holds up no other one.

use std::collections::BTreeMap;

use super::{Dispatcher, Sweep};
use crate::alerts::lifecycle::ENGINE;
use crate::alerts::ports::{Escalation, PortResult, StepTaken};
use crate::domain::{AlertId, Catalog, EscalationProgress, UnixMillis};

/// Read at once.
const PAGE: u32 = 100;

/// Warnings that are shown.
const MOST_WARNINGS: usize = 10;

/// Where the reading of due steps stands within a look, and which of them failed.
#[derive(Default)]
pub(super) struct Steps {
    /// The moment and the alert of the last one that was read.
    after: Option<(UnixMillis, i64)>,
    /// Errors of steps that could not be taken in this look, by alert.
    failed: BTreeMap<AlertId, String>,
    /// The same of the look before, logged by then.
    failed_before: BTreeMap<AlertId, String>,
}

impl Steps {
    /// Reads from the first one again.
    pub(super) fn begin_look(&mut self) {
        self.after = None;
        self.failed_before = std::mem::take(&mut self.failed);
    }

    pub(super) fn have_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Returns warnings for people, without names.
    pub(super) fn warnings(&self) -> Vec<String> {
        let text = |alert: &AlertId| {
            format!(
                "a step of the escalation of alert {} can't be taken",
                alert.0
            )
        };
        self.failed.keys().take(MOST_WARNINGS).map(text).collect()
    }
}

impl Dispatcher {
    /// The next page of steps whose moment has come.
    pub(super) async fn steps_due(&mut self, now_ms: UnixMillis) -> PortResult<Vec<Escalation>> {
        let after = self.steps.after.unwrap_or((UnixMillis::MIN, 0));
        let due = self
            .deps
            .store
            .escalation_due_after(now_ms, after, PAGE)
            .await?;
        if let Some(last) = due.last() {
            self.steps.after = Some((last.progress.due_ms.unwrap_or(now_ms), last.alert.id.0));
        }
        Ok(due)
    }

    /// Takes steps of which the sweep has muted what is to be muted: the store takes none of an
    /// alert that does not fire.
    pub(super) async fn take(&mut self, due: Vec<Escalation>, sweep: &Sweep) {
        for escalation in due {
            let alert = escalation.alert.id;
            if sweep.muted.contains(&alert) {
                continue;
            }
            let Err(error) = self.take_step(&sweep.catalog, escalation).await else {
                continue;
            };
            metrics::counter!("extrack_escalation_failures_total").increment(1);
            let error = error.to_string();
            if self.steps.failed_before.get(&alert) != Some(&error) {
                tracing::error!(
                    alert = alert.0,
                    error,
                    "a step of an escalation can't be taken, it is tried again"
                );
            }
            self.steps.failed.insert(alert, error);
        }
    }

    async fn take_step(&self, catalog: &Catalog, escalation: Escalation) -> PortResult<()> {
        let now_ms = self.deps.clock.now_ms();
        let step = decide_step(catalog, &escalation, now_ms);
        for channel in &step.channels {
            // In the store first, so that it can be notified of the end as well.
            if let Some(channel) = catalog.channels.get(channel) {
                self.deps.store.channel_put(channel).await?;
            }
        }
        let reason = step.reason.clone();
        if !self.deps.store.escalation_take(&step, now_ms).await? {
            // The alert was muted, acknowledged or resolved: it is read again.
            return Ok(());
        }
        let (alert, service) = (escalation.alert.id.0, escalation.alert.service.as_str());
        let policy = escalation.policy.as_str();
        tracing::warn!(
            alert,
            service,
            escalation = policy,
            reason,
            "the alert is not acknowledged: {reason}"
        );
        metrics::counter!("extrack_escalation_steps_total").increment(1);
        self.deps.signals.wake_all();
        Ok(())
    }
}

/// Decides on a step that is due. Pure, but for what it logs.
fn decide_step(catalog: &Catalog, escalation: &Escalation, now_ms: UnixMillis) -> StepTaken {
    let name = &escalation.policy;
    let step = |channels, next: Option<EscalationProgress>, reason: String| StepTaken {
        from: escalation.clone(),
        channels,
        next: next.unwrap_or_else(|| escalation.progress.at_end()),
        actor: ENGINE.to_owned(),
        reason,
    };
    let Some(policy) = catalog.escalations.get(name) else {
        tracing::error!(
            escalation = name,
            "an alert's escalation is no longer configured, no one else is notified"
        );
        return step(
            Vec::new(),
            None,
            format!("escalation `{name}` is no longer configured, it ends"),
        );
    };
    let (taken, next) = policy.advance(escalation.progress, now_ms);
    let Some(taken) = taken else {
        let reason = match next {
            Some(_) => format!(
                "escalation `{name}`: step {} is passed over at this hour",
                escalation.progress.step + 1
            ),
            None => format!("escalation `{name}` has come to its end"),
        };
        return step(Vec::new(), next, reason);
    };
    let (known, unknown): (Vec<_>, Vec<_>) = taken
        .channels
        .into_iter()
        .partition(|channel| catalog.channels.contains_key(channel));
    for channel in unknown {
        metrics::counter!("extrack_alert_channels_unknown_total").increment(1);
        tracing::error!(
            channel = channel.0,
            "an escalation names a channel that is not in the catalog"
        );
    }
    let names: Vec<&str> = known
        .iter()
        .map(|channel| catalog.channels[channel].name.as_str())
        .collect();
    let again = match taken.repetition {
        0 => String::new(),
        times => format!(", time {}", times + 1),
    };
    let reason = format!(
        "escalation `{name}`, step {}{again}: notifies {}",
        taken.step + 1,
        names.join(", ")
    );
    step(known, next, reason)
}

#[cfg(test)]
mod tests;
