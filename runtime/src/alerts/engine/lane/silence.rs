//! How a service's rules stand, and rules that could not be judged for long: no observation, no
//! opinion, or a rule that fails.

use super::{Lane, Pending};
use crate::alerts::engine::Core;
use crate::alerts::lifecycle;
use crate::alerts::ports::PortResult;
use crate::domain::{Catalog, NoData, UnixMillis, Verdict};

impl Lane {
    /// Some rule has been without a verdict for too long, and nothing has been made of it yet.
    pub(in crate::alerts::engine) fn is_overdue(&self, now_ms: UnixMillis) -> bool {
        self.rules.iter().any(|slot| {
            // An alert may still have to wait for its duration, so what is silent is looked at
            // again.
            let is_done = slot.is_silent && slot.rule.life.no_data != NoData::Alert;
            !is_done && lifecycle::is_without_data(slot.judged_ms, slot.no_data_after, now_ms)
        })
    }

    pub(super) async fn look_for_silence(
        &mut self,
        core: &Core,
        catalog: &Catalog,
        broken: Option<&str>,
        now_ms: UnixMillis,
    ) {
        for index in 0..self.rules.len() {
            let slot = &mut self.rules[index];
            if !lifecycle::is_without_data(slot.judged_ms, slot.no_data_after, now_ms) {
                continue;
            }
            let rule = slot.rule.clone();
            let finding = lifecycle::no_data_finding(
                slot.judged_ms,
                now_ms,
                &reason(core, &rule.key, broken),
            );
            if !slot.is_silent {
                slot.is_silent = true;
                let since_ms = slot.judged_ms;
                core.deps.signals.standings().change(&rule.key, |standing| {
                    standing.no_data_since_ms = Some(since_ms)
                });
                metrics::counter!("extrack_alert_rules_without_data_total").increment(1);
                let (service, counts_as) = (self.service.as_str(), rule.life.no_data.as_str());
                tracing::warn!(
                    service,
                    rule = rule.name,
                    counts_as,
                    "no data: {}",
                    finding.summary
                );
            } else if rule.life.no_data != NoData::Alert {
                continue;
            }
            if rule.life.no_data != NoData::Keep {
                self.take_in(
                    core,
                    catalog,
                    &rule.key,
                    Pending::Silent { finding, now_ms },
                )
                .await;
            }
        }
    }

    /// For people who ask, and for the silence.
    pub(super) fn note_verdict(
        &mut self,
        core: &Core,
        index: usize,
        verdict: &PortResult<Verdict>,
        is_retrying: bool,
        as_of_ms: UnixMillis,
    ) {
        let now_ms = core.deps.clock.now_ms();
        let slot = &mut self.rules[index];
        let is_judged = matches!(verdict, Ok(Verdict::Ok(_) | Verdict::Breached(_)));
        if is_judged {
            slot.judged_ms = slot.judged_ms.max(as_of_ms);
            slot.is_silent = false;
        }
        core.deps
            .signals
            .standings()
            .change(&slot.rule.key, |standing| {
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
        let Some(memory) = self.memories.get(key) else {
            return;
        };
        core.deps.signals.standings().change(key, |standing| {
            standing.is_flapping = memory.is_flapping;
            standing.is_held = memory.is_held;
        });
    }
}

/// `broken`: why the last run of the service's probes gave no answer.
fn reason(core: &Core, key: &str, broken: Option<&str>) -> String {
    let standing = core.deps.signals.standings().get(key);
    match (standing.error, standing.verdict, broken) {
        (Some(error), ..) => format!("the rule fails: {error}"),
        (None, _, Some(broken)) => {
            format!("no run of its probes gave an answer; the last one: {broken}")
        }
        (None, Some(Verdict::NoOpinion(reason)), None) => reason,
        _ => "no run of its probes gave an answer".to_owned(),
    }
}
