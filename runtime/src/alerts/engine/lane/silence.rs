//! How a service's rules stand, and rules that could not be judged for long: no observation, no opinion, or a rule that fails.

use std::time::Duration;

use super::{Lane, Unsettled};
use crate::alerts::engine::Core;
use crate::alerts::ports::PortResult;
use crate::domain::duration::format_duration;
use crate::domain::{AlertRule, Catalog, Finding, NoData, UnixMillis, Verdict};

/// Runs of a probe that have to be missing before there is no data, unless the rule says for how long.
const INTERVALS: u32 = 3;

/// Whatever the interval: a restart of the service's own network is no silence.
const LEAST: Duration = Duration::from_secs(300);

/// How long the rule may say neither `ok` nor `breached`. Who is only told by webhooks has nothing to expect.
pub(super) fn no_data_after(rule: &AlertRule, catalog: &Catalog) -> Option<Duration> {
    rule.life.no_data_after.or_else(|| {
        let probes = &catalog.services.get(&rule.service)?.probes;
        let interval = probes.iter().filter(|probe| rule.looks_at(&probe.name)).map(|probe| probe.interval).max()?;
        Some(interval.saturating_mul(INTERVALS).max(LEAST))
    })
}

impl Lane {
    /// Some rule has been without a verdict for too long, and nothing has been made of it yet.
    pub(in crate::alerts::engine) fn is_overdue(&self, now_ms: UnixMillis) -> bool {
        self.rules.iter().any(|slot| {
            // An alert may still have to wait for its duration, so what is silent is looked at again.
            let is_done = slot.is_silent && slot.rule.life.no_data != NoData::Alert;
            !is_done && is_over(slot.judged_ms, slot.no_data_after, now_ms)
        })
    }

    pub(super) async fn look_for_silence(&mut self, core: &Core, catalog: &Catalog) {
        let now_ms = core.deps.clock.now_ms();
        for index in 0..self.rules.len() {
            let slot = &mut self.rules[index];
            if !is_over(slot.judged_ms, slot.no_data_after, now_ms) {
                continue;
            }
            let rule = slot.rule.clone();
            let silence = Duration::from_millis(u64::try_from(now_ms - slot.judged_ms).unwrap_or_default());
            let summary = format!("no verdict for {}: {}", rounded(silence), reason(core, &rule.key));
            if !slot.is_silent {
                slot.is_silent = true;
                let since_ms = slot.judged_ms;
                core.deps.signals.standings().change(&rule.key, |standing| standing.no_data_since_ms = Some(since_ms));
                metrics::counter!("extrack_alert_rules_without_data_total").increment(1);
                let (service, counts_as) = (self.service.as_str(), rule.life.no_data.as_str());
                tracing::warn!(service, rule = rule.name, counts_as, "no data: {summary}");
            } else if rule.life.no_data != NoData::Alert {
                continue;
            }
            if rule.life.no_data != NoData::Keep {
                let finding = Finding { summary, ..Finding::default() };
                self.unsettled.insert(rule.key.clone(), Unsettled::Silent { finding, now_ms });
                self.settle(core, catalog, &rule.key).await;
            }
        }
    }

    /// For people who ask, and for the silence.
    pub(super) fn note_verdict(&mut self, core: &Core, index: usize, verdict: &PortResult<Verdict>, is_retrying: bool) {
        let now_ms = core.deps.clock.now_ms();
        let slot = &mut self.rules[index];
        let is_judged = matches!(verdict, Ok(Verdict::Ok(_) | Verdict::Breached(_)));
        if is_judged {
            slot.judged_ms = now_ms;
            slot.is_silent = false;
        }
        core.deps.signals.standings().change(&slot.rule.key, |standing| {
            standing.evaluated_ms = Some(now_ms);
            standing.verdict = verdict.as_ref().ok().cloned();
            standing.error = verdict.as_ref().err().map(ToString::to_string);
            standing.is_retrying = is_retrying;
            if is_judged {
                standing.no_data_since_ms = None;
            }
        });
    }

    pub(super) fn note_memory(&self, core: &Core, key: &str) {
        let Some(memory) = self.memories.get(key) else { return };
        core.deps.signals.standings().change(key, |standing| {
            standing.is_flapping = memory.is_flapping;
            standing.is_held = memory.is_held;
        });
    }
}

fn is_over(judged_ms: UnixMillis, after: Option<Duration>, now_ms: UnixMillis) -> bool {
    after.is_some_and(|after| now_ms.saturating_sub(judged_ms) >= i64::try_from(after.as_millis()).unwrap_or(i64::MAX))
}

fn reason(core: &Core, key: &str) -> String {
    let standing = core.deps.signals.standings().get(key);
    match (standing.error, standing.verdict) {
        (Some(error), _) => format!("the rule fails: {error}"),
        (None, Some(Verdict::NoOpinion(reason))) => reason,
        _ => "no run of its probes gave an answer".to_owned(),
    }
}

/// To the minute, or to the second where it is shorter.
fn rounded(silence: Duration) -> String {
    let seconds = silence.as_secs();
    format_duration(Duration::from_secs(if seconds < 120 { seconds } else { seconds - seconds % 60 }))
}
