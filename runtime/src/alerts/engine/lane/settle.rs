//! How what was judged of a rule is committed, in its order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::unsettled::Pending;
use super::{Lane, commit};
use crate::alerts::engine::Core;
use crate::alerts::lifecycle::{self, Change, Judgement};
use crate::alerts::ports::{CommitError, MemoryChange, PortError, PortResult};
use crate::domain::{Catalog, RuleMemory};

/// A transition that somebody else's came before is decided on anew; more than this often means
/// that something is wrong.
const SETTLE_TRIES: u32 = 4;

/// What is to be done about one rule.
enum Act {
    Judgement(Judgement),
    Removal(Box<Change>),
    /// What the rule remembered goes with it; there is no open alert.
    Forgetting,
}

/// Why the oldest verdict of a rule can't be settled.
pub(super) enum Stuck {
    /// The store failed, and this is how.
    Failed(String),
    /// Others changed the alert each time it was tried.
    Contested,
}

impl Lane {
    /// Commits what comes of a verdict. Where that is not possible, people are notified from
    /// memory.
    pub(super) async fn take_in(
        &mut self,
        core: &Core,
        catalog: &Catalog,
        key: &str,
        pending: Pending,
    ) {
        self.unsettled.push(key, pending);
        match self.settle(core, catalog, key).await {
            Ok(()) => {}
            Err(Stuck::Failed(fault)) => self.foresee(core, catalog, key, &fault),
            // What was foreseen lacks this verdict.
            Err(Stuck::Contested) => drop(self.foreseen.remove(key)),
        }
    }

    /// Commits what has been judged of one rule, in its order. What fails stays, with the alert as
    /// it was, and so does what stands behind it.
    pub(super) async fn settle(
        &mut self,
        core: &Core,
        catalog: &Catalog,
        key: &str,
    ) -> Result<(), Stuck> {
        while self.unsettled.first(key).is_some() {
            self.settle_first(core, catalog, key).await?;
        }
        self.end_foreseen(core, key);
        Ok(())
    }

    async fn settle_first(
        &mut self,
        core: &Core,
        catalog: &Catalog,
        key: &str,
    ) -> Result<(), Stuck> {
        for _ in 0..SETTLE_TRIES {
            let before = self.memories.get(key).copied().unwrap_or_default();
            let (change, memory) = match self.act(core, key) {
                Some(Act::Judgement(Judgement {
                    change: Some(change),
                    memory,
                })) => (*change, Some(memory)),
                Some(Act::Removal(change)) => (*change, None),
                Some(Act::Forgetting) => return self.forget(core, key).await,
                Some(Act::Judgement(Judgement {
                    change: None,
                    memory,
                })) => {
                    self.keep_in_mind(core, key, before, memory).await;
                    self.unsettled.settle_first(key);
                    return Ok(());
                }
                None => {
                    self.unsettled.settle_first(key);
                    return Ok(());
                }
            };
            if self.stale {
                // What was thought to have failed may have been done.
                self.read_alerts(core)
                    .await
                    .map_err(|error| Stuck::Failed(error.0))?;
                continue;
            }
            let rule = self
                .rules
                .iter()
                .find(|slot| slot.rule.key == key)
                .map(|slot| Arc::clone(&slot.rule));
            let kept = memory.map_or(MemoryChange::Forgotten, |memory| {
                MemoryChange::of(&before, memory)
            });
            let removal = memory.is_none().then(|| change.clone());
            match commit(
                core,
                catalog,
                rule.as_deref(),
                self.alerts.get(key),
                change,
                kept,
            )
            .await
            {
                Ok(alert) => {
                    match alert.state.is_open() {
                        true => self.alerts.insert(key.to_owned(), alert),
                        false => self.alerts.remove(key),
                    };
                    match memory {
                        Some(memory) => self.memories.insert(key.to_owned(), memory),
                        None => self.memories.remove(key),
                    };
                    self.note_memory(core, key);
                    self.unsettled.settle_first(key);
                    return Ok(());
                }
                Err(CommitError::Changed(reason)) => {
                    let service = self.service.as_str();
                    tracing::info!(
                        service,
                        rule = key,
                        reason,
                        "an alert was changed meanwhile, it is judged anew"
                    );
                    self.stale = true;
                }
                Err(CommitError::Port(error)) => {
                    self.stale = true;
                    if let Some(removal) = removal {
                        let now_ms = core.deps.clock.now_ms();
                        core.deps
                            .signals
                            .unrecorded()
                            .offer(None, &removal, catalog, &error.0, now_ms);
                    }
                    metrics::counter!("extrack_alert_commit_failures_total").increment(1);
                    self.note_stuck(core, key, &error);
                    return Err(Stuck::Failed(error.0));
                }
            }
        }
        Err(Stuck::Contested)
    }

    fn note_stuck(&self, core: &Core, key: &str, error: &PortError) {
        if let Some(before) = core.commit_faults.count() {
            let service = self.service.as_str();
            tracing::error!(
                service,
                rule = key,
                %error,
                before,
                "an alert's transition can't be committed, it is tried again; `before` others failed since the line before"
            );
        }
    }

    fn act(&self, core: &Core, key: &str) -> Option<Act> {
        let current = self.alerts.get(key);
        let memory = self.memories.get(key).copied().unwrap_or_default();
        let rule = || {
            self.rules
                .iter()
                .find(|slot| slot.rule.key == key)
                .map(|slot| slot.rule.as_ref())
        };
        match self.unsettled.first(key)? {
            Pending::Removed => match current {
                Some(alert) => Some(Act::Removal(Box::new(lifecycle::remove(
                    alert,
                    core.deps.clock.now_ms(),
                )))),
                None => self.memories.contains_key(key).then_some(Act::Forgetting),
            },
            Pending::Judged { verdict, now_ms } => Some(Act::Judgement(lifecycle::judge(
                current,
                &memory,
                verdict,
                rule()?,
                *now_ms,
            ))),
            Pending::Silent { finding, now_ms } => {
                let finding = finding.clone();
                Some(Act::Judgement(lifecycle::judge_no_data(
                    current,
                    &memory,
                    finding,
                    rule()?,
                    *now_ms,
                )))
            }
        }
    }

    /// A judgement without a transition. What matters after a restart is kept; that it fails is no
    /// harm to anyone.
    async fn keep_in_mind(
        &mut self,
        core: &Core,
        key: &str,
        before: RuleMemory,
        memory: RuleMemory,
    ) {
        if memory == before {
            return;
        }
        if lifecycle::is_worth_keeping(&before, &memory, self.alerts.get(key)) {
            let change = MemoryChange::of(&before, memory);
            if let Err(error) = core
                .deps
                .store
                .rule_memory_put(key, &self.service, change)
                .await
            {
                let service = self.service.as_str();
                tracing::warn!(service, rule = key, %error, "what a rule remembers can't be kept for after a restart");
            }
        }
        self.memories.insert(key.to_owned(), memory);
        self.note_memory(core, key);
    }

    async fn forget(&mut self, core: &Core, key: &str) -> Result<(), Stuck> {
        if let Err(error) = core
            .deps
            .store
            .rule_memory_put(key, &self.service, MemoryChange::Forgotten)
            .await
        {
            let service = self.service.as_str();
            tracing::warn!(service, rule = key, %error, "what a removed rule remembered can't be removed, it is tried again");
            return Err(Stuck::Failed(error.0));
        }
        self.memories.remove(key);
        self.unsettled.settle_first(key);
        Ok(())
    }

    pub(super) async fn read_alerts(&mut self, core: &Core) -> PortResult<()> {
        let store = &core.deps.store;
        let read = async {
            let open = store.alert_open_of_service(&self.service).await?;
            Ok::<_, PortError>((open, store.rule_memory_list(Some(&self.service)).await?))
        };
        match read.await {
            Ok((open, memories)) => {
                self.alerts = open
                    .into_iter()
                    .map(|alert| (alert.rule.clone(), alert))
                    .collect();
                let memories: BTreeMap<String, RuleMemory> = memories
                    .into_iter()
                    .map(|(rule, _, kept)| (rule, kept))
                    .collect();
                // Held, and the store does not have it: it was forgotten with its service.
                self.memories
                    .retain(|rule, memory| !memory.is_held || memories.contains_key(rule));
                for (rule, kept) in memories {
                    // What is kept may be older than what is in mind, but for what people did.
                    self.memories.entry(rule).or_insert(kept).is_held = kept.is_held;
                }
                self.stale = false;
                let now_ms = core.deps.clock.now_ms();
                self.alerts
                    .values()
                    .for_each(|alert| core.deps.signals.unrecorded().recorded(alert, now_ms));
                // A commit that was thought to have failed may have left something to send.
                core.deps.signals.wake_all();
                Ok(())
            }
            Err(error) => {
                if let Some(before) = core.read_faults.count() {
                    let service = self.service.as_str();
                    tracing::error!(
                        service,
                        %error,
                        before,
                        "the open alerts can't be read, they stay as they are; `before` others failed since the line before"
                    );
                }
                Err(error)
            }
        }
    }
}
