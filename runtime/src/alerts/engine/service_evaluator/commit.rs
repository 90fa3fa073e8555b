//! Commit of what the evaluations of a rule led to, in their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ServiceEvaluator;
use super::pending::PendingChange;
use super::transition::commit;
use crate::alerts::engine::Core;
use crate::alerts::lifecycle::{self, Change, Judgement};
use crate::alerts::ports::{CommitError, MemoryChange, PortError, PortResult, RuleRunner};
use crate::domain::{Alert, Catalog, RuleMemory};

/// A transition that another one came before is decided on anew; more often than this means that
/// something is wrong.
const MAX_COMMIT_TRIES: u32 = 4;

/// The write that the oldest pending change of a rule leads to.
enum Write {
    Transition {
        change: Box<Change>,
        /// Memory to be kept; none: the rule is gone, and its memory with it.
        memory: Option<RuleMemory>,
    },
    /// No transition; the memory is kept where it matters after a restart.
    Memory(RuleMemory),
    /// The rule is gone, and there is no open alert.
    Forgotten,
}

/// Why the oldest pending change of a rule can't be committed.
pub(super) enum CommitBlock {
    /// The store failed with this error.
    Failed(String),
    /// Others changed the alert each time it was tried.
    Contested,
}

impl ServiceEvaluator {
    /// Commits what comes of a change. Where that is not possible, people are notified from memory.
    pub(super) async fn add_pending(
        &mut self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        key: &str,
        change: PendingChange,
    ) {
        self.pending.push(key, change);
        match self.commit_pending(core, catalog, key).await {
            Ok(()) => {}
            Err(CommitBlock::Failed(fault)) => self.foresee(core, catalog, key, &fault),
            // What was foreseen lacks this change.
            Err(CommitBlock::Contested) => drop(self.foreseen.remove(key)),
        }
    }

    /// Commits the pending changes of one rule, in their order. What fails stays, with the alert as
    /// it was, and so does what comes after it.
    pub(super) async fn commit_pending(
        &mut self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        key: &str,
    ) -> Result<(), CommitBlock> {
        while self.pending.first(key).is_some() {
            self.commit_first(core, catalog, key).await?;
        }
        self.end_foreseen(core, key);
        Ok(())
    }

    async fn commit_first(
        &mut self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        key: &str,
    ) -> Result<(), CommitBlock> {
        for _ in 0..MAX_COMMIT_TRIES {
            let (change, memory) = match self.next_write(core, key) {
                Some(Write::Transition { change, memory }) => (*change, memory),
                Some(Write::Memory(memory)) => {
                    self.keep_memory(core, key, memory).await;
                    self.pending.remove_first(key);
                    return Ok(());
                }
                Some(Write::Forgotten) => return self.forget(core, key).await,
                None => {
                    self.pending.remove_first(key);
                    return Ok(());
                }
            };
            if self.is_stale {
                // What was thought to have failed may have been done.
                self.read_alerts(core)
                    .await
                    .map_err(|error| CommitBlock::Failed(error.0))?;
                continue;
            }
            match self
                .commit_transition(core, catalog, key, change.clone(), memory)
                .await
            {
                Ok(alert) => {
                    self.take_committed(core, key, alert, memory);
                    return Ok(());
                }
                Err(CommitError::Changed(reason)) => {
                    let service = self.service.as_str();
                    tracing::info!(
                        service,
                        rule = key,
                        reason,
                        "an alert was changed meanwhile, its rule's verdict is applied anew"
                    );
                    self.is_stale = true;
                }
                Err(CommitError::Port(error)) => {
                    self.is_stale = true;
                    if memory.is_none() {
                        self.offer_removal(core, catalog, &change, &error);
                    }
                    self.note_commit_failure(core, key, &error);
                    return Err(CommitBlock::Failed(error.0));
                }
            }
        }
        Err(CommitBlock::Contested)
    }

    fn next_write(&self, core: &Core<impl RuleRunner>, key: &str) -> Option<Write> {
        match self.pending.first(key)? {
            PendingChange::Removed => {
                let state = self.state(key)?;
                match &state.alert {
                    Some(alert) => Some(Write::Transition {
                        change: Box::new(lifecycle::remove(alert, core.clock.now_ms())),
                        memory: None,
                    }),
                    None => state.memory.map(|_| Write::Forgotten),
                }
            }
            PendingChange::Outcome(outcome) => {
                let evaluator = &self.slot(key)?.evaluator;
                let Judgement { memory, change } =
                    evaluator.state().decide(outcome, evaluator.rule());
                Some(match change {
                    Some(change) => Write::Transition {
                        change,
                        memory: Some(memory),
                    },
                    None => Write::Memory(memory),
                })
            }
        }
    }

    async fn commit_transition(
        &self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        key: &str,
        change: Change,
        memory: Option<RuleMemory>,
    ) -> Result<Alert, CommitError> {
        let rule = self.slot(key).map(|slot| Arc::clone(slot.rule()));
        let state = self.state(key);
        let kept = memory.map_or(MemoryChange::Forgotten, |memory| {
            let before = state.map(|state| state.memory()).unwrap_or_default();
            MemoryChange::of(&before, memory)
        });
        let before = state.and_then(|state| state.alert.as_ref());
        commit(core, catalog, rule.as_deref(), before, change, kept).await
    }

    fn take_committed(
        &mut self,
        core: &Core<impl RuleRunner>,
        key: &str,
        alert: Alert,
        memory: Option<RuleMemory>,
    ) {
        if memory.is_none() {
            self.unruled.remove(key);
        } else if let Some(state) = self.state_mut(key) {
            state.take_alert(alert);
            state.memory = memory;
        }
        self.note_memory(core, key);
        self.pending.remove_first(key);
    }

    /// Has the end of an alert whose rule is gone sent from memory.
    fn offer_removal(
        &self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        removal: &Change,
        error: &PortError,
    ) {
        let now_ms = core.clock.now_ms();
        core.signals
            .unrecorded()
            .offer(None, removal, catalog, &error.0, now_ms);
    }

    fn note_commit_failure(&self, core: &Core<impl RuleRunner>, key: &str, error: &PortError) {
        metrics::counter!("extrack_alert_commit_failures_total").increment(1);
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

    /// Takes over the memory of a rule, and stores it if it matters after a restart. A failure to
    /// store it does no harm.
    async fn keep_memory(&mut self, core: &Core<impl RuleRunner>, key: &str, memory: RuleMemory) {
        let Some(state) = self.state(key) else { return };
        let before = state.memory();
        if memory == before {
            return;
        }
        if lifecycle::is_worth_keeping(&before, &memory, state.alert.as_ref()) {
            let change = MemoryChange::of(&before, memory);
            if let Err(error) = core
                .store
                .rule_memory_put(key, &self.service, change)
                .await
                .map_err(PortError::from)
            {
                let service = self.service.as_str();
                tracing::warn!(service, rule = key, %error, "the memory of a rule can't be kept for after a restart");
            }
        }
        if let Some(state) = self.state_mut(key) {
            state.memory = Some(memory);
        }
        self.note_memory(core, key);
    }

    async fn forget(&mut self, core: &Core<impl RuleRunner>, key: &str) -> Result<(), CommitBlock> {
        if let Err(error) = core
            .store
            .rule_memory_put(key, &self.service, MemoryChange::Forgotten)
            .await
            .map_err(PortError::from)
        {
            let service = self.service.as_str();
            tracing::warn!(service, rule = key, %error, "the memory of a removed rule can't be removed, it is tried again");
            return Err(CommitBlock::Failed(error.0));
        }
        self.unruled.remove(key);
        self.pending.remove_first(key);
        Ok(())
    }

    pub(super) async fn read_alerts(&mut self, core: &Core<impl RuleRunner>) -> PortResult<()> {
        let store = &core.store;
        let read = async {
            let open = store.alert_open_of_service(&self.service).await?;
            Ok::<_, PortError>((open, store.rule_memory_list(Some(&self.service)).await?))
        };
        match read.await {
            Ok((open, memories)) => {
                let memories = memories.into_iter().map(|(rule, _, kept)| (rule, kept));
                self.take_stored(open, memories.collect());
                self.is_stale = false;
                let now_ms = core.clock.now_ms();
                self.states()
                    .filter_map(|state| state.alert.as_ref())
                    .for_each(|alert| core.signals.unrecorded().recorded(alert, now_ms));
                // A commit that was thought to have failed may have left something to send.
                core.signals.wake_all();
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

    fn take_stored(&mut self, open: Vec<Alert>, mut memories: BTreeMap<String, RuleMemory>) {
        let mut open: BTreeMap<String, Alert> = open
            .into_iter()
            .map(|alert| (alert.rule.clone(), alert))
            .collect();
        for slot in &mut self.rules {
            let (alert, memory) = (open.remove(slot.key()), memories.remove(slot.key()));
            slot.evaluator.state_mut().take_stored(alert, memory);
        }
        for key in open.keys().chain(memories.keys()) {
            self.unruled.entry(key.clone()).or_default();
        }
        self.unruled.retain(|key, state| {
            state.take_stored(open.remove(key), memories.remove(key));
            !state.is_empty()
        });
    }
}
