//! Carries alert events from the control store to the results, where they can be queried.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ports::{EventSink, PortError, PortResult};
use super::signals::AlertSignals;
use crate::domain::{Alert, AlertEvent, UnixMillis};
use crate::store::carrier::{Carried, carry_all};
use crate::store::{ControlStore, ResultStore};

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
        carry_all(self, shutdown).await;
    }
}

impl<S: EventSink> Carried for EventCopy<S> {
    type Row = (AlertEvent, Alert);
    type Error = PortError;

    const WHAT: &'static str = "alert events";
    const PATROL: Duration = Duration::from_secs(60);

    fn key((event, _): &Self::Row) -> (i64, UnixMillis) {
        (event.id, event.ts_ms)
    }

    async fn after(&self, id: i64, limit: u32) -> PortResult<Vec<Self::Row>> {
        Ok(self.store.alert_event_after(id, limit).await?)
    }

    async fn last(&self) -> PortResult<Option<(i64, UnixMillis)>> {
        self.results.alert_event_last().await
    }

    async fn append(&self, rows: Vec<Self::Row>) -> PortResult<()> {
        self.results.alert_event_append(rows).await
    }

    async fn woken(&self) {
        self.signals.events_woken().await;
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
