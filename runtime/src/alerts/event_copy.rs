//! Carries alert events from the control store to the results, where they can be queried.
//!
//! It follows the sequence of their ids, and the results leave out what they have, so that a crash
//! between the two stores loses and repeats nothing. Nothing waits for it: events stay in the
//! control store while the results do not take them.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ports::{EventSink, PortResult};
use super::signals::AlertSignals;
use crate::store::{ControlStore, ResultStore};

/// Events read at once.
const BATCH: u32 = 500;

/// Interval of the looks without a call: what was missed is found then.
const PATROL: Duration = Duration::from_secs(60);

const RETRY: Duration = Duration::from_secs(5);

pub struct EventCopy<S = ResultStore> {
    store: ControlStore,
    results: S,
    signals: AlertSignals,
}

impl<S: EventSink> EventCopy<S> {
    pub fn new(store: ControlStore, results: S, signals: AlertSignals) -> Self {
        Self {
            store,
            results,
            signals,
        }
    }

    /// Runs until the shutdown, then copies what is left.
    pub async fn run(self, shutdown: CancellationToken) {
        // Unknown until the results have answered.
        let mut copied = None;
        let mut is_failing = false;
        loop {
            let wait = match self.copy(&mut copied).await {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("alert events are copied to the results again");
                    }
                    PATROL
                }
                Err(error) => {
                    // Said once: an outage of the results may last.
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "alert events can't be copied to the results; they are kept and tried again");
                    }
                    RETRY
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = self.signals.events_woken() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Err(error) = self.copy(&mut copied).await {
            tracing::warn!(%error, "the last alert events were not copied to the results, the next start does it");
        }
    }

    async fn copy(&self, copied: &mut Option<i64>) -> PortResult<()> {
        let mut last = match *copied {
            Some(id) => id,
            None => self.watermark().await?,
        };
        loop {
            *copied = Some(last);
            let events = self.store.alert_event_after(last, BATCH).await?;
            let is_all = events.len() < BATCH as usize;
            if let Some((event, _)) = events.last() {
                last = event.id;
                self.results.alert_event_append(events).await?;
                *copied = Some(last);
            }
            if is_all {
                return Ok(());
            }
        }
    }

    /// The last event that both stores have. A control store that was made anew or restored counts
    /// from where it was, beside results that know higher ids: then all of its events are
    /// offered, and the results leave out what they have.
    async fn watermark(&self) -> PortResult<i64> {
        let Some((id, ts_ms)) = self.results.alert_event_last().await? else {
            return Ok(0);
        };
        let found = self.store.alert_event_after(id - 1, 1).await?;
        let is_same = found
            .first()
            .is_some_and(|(event, _)| (event.id, event.ts_ms) == (id, ts_ms));
        if !is_same {
            tracing::info!(
                id,
                "the last alert event of the results is not in the control store; all events are compared"
            );
        }
        Ok(if is_same { id } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fakes::{FakeResults, TestStore, wait_until};
    use crate::alerts::lifecycle;
    use crate::alerts::ports::Transition;

    async fn commit_one(store: &TestStore, now_ms: i64) {
        let name = format!("Down {}", store.state().events.len());
        let rule = crate::alerts::fakes::rule("shop-api", &name);
        let judged = lifecycle::judge(
            None,
            &Default::default(),
            &crate::alerts::fakes::breached(),
            &rule,
            now_ms,
        );
        let change = judged.change.expect("must fire");
        let (alert, event) = (change.alert, change.event);
        let transition = Transition {
            alert,
            event,
            groups: vec![],
            is_news: false,
            memory: None,
            escalation: None,
        };
        store.transition_commit(transition).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn copies_each_event_once_over_a_restart() {
        let (store, results, signals) = (
            TestStore::default(),
            FakeResults::default(),
            AlertSignals::default(),
        );
        for round in 1..=3 {
            commit_one(&store, 0).await;
            let shutdown = CancellationToken::new();
            let copy = EventCopy::new(store.control(), results.clone(), signals.clone());
            let task = tokio::spawn(copy.run(shutdown.clone()));
            commit_one(&store, 0).await;
            results.fail_next(1);
            signals.wake_all();
            wait_until(|| results.events().len() == round * 2).await;
            shutdown.cancel();
            task.await.unwrap();
        }
        let ids: Vec<i64> = results.events().iter().map(|event| event.id).collect();
        assert_eq!(ids, (1..=6).collect::<Vec<_>>());
    }
    #[tokio::test(start_paused = true)]
    async fn a_control_store_made_anew_beside_kept_results_has_its_first_events_copied() {
        let results = FakeResults::default();
        let mut copied = 0;
        for (store, events) in [(TestStore::default(), 5), (TestStore::default(), 2)] {
            for _ in 0..events {
                copied += 1;
                commit_one(&store, copied * 1_000).await;
            }
            let shutdown = CancellationToken::new();
            let copy = EventCopy::new(store.control(), results.clone(), AlertSignals::default());
            let task = tokio::spawn(copy.run(shutdown.clone()));
            wait_until(|| results.events().len() == copied as usize).await;
            shutdown.cancel();
            task.await.unwrap();
        }
        let ids: Vec<i64> = results.events().iter().map(|event| event.id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 1, 2]);
    }
}
