//! Carries alert events from the control store to the results, where they can be queried.
//!
//! It follows the sequence of their ids, so that a crash between the two stores loses and repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ports::{AlertStore, EventSink, PortResult};
use super::signals::AlertSignals;

/// Events read at once.
const BATCH: u32 = 500;

/// Looked at even if nobody called: whatever was missed is found then.
const PATROL: Duration = Duration::from_secs(60);

const RETRY: Duration = Duration::from_secs(5);

pub struct EventCopy {
    store: Arc<dyn AlertStore>,
    results: Arc<dyn EventSink>,
    signals: AlertSignals,
}

impl EventCopy {
    pub fn new(store: Arc<dyn AlertStore>, results: Arc<dyn EventSink>, signals: AlertSignals) -> Self {
        Self { store, results, signals }
    }

    /// Runs until the shutdown, then copies what is left.
    pub async fn run(self, shutdown: CancellationToken) {
        // Unknown until the results have answered.
        let mut copied = None;
        loop {
            let wait = match self.copy(&mut copied).await {
                Ok(()) => PATROL,
                Err(error) => {
                    tracing::warn!(%error, "alert events can't be copied to the results, they are tried again");
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
            None => self.results.alert_event_last_id().await?,
        };
        loop {
            *copied = Some(last);
            let events = self.store.alert_event_after(last, BATCH).await?;
            let is_all = events.len() < BATCH as usize;
            for (event, alert) in events {
                let id = event.id;
                self.results.alert_event_append(event, alert).await?;
                last = id;
                *copied = Some(last);
            }
            if is_all {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fakes::{FakeResults, FakeStore, wait_until};
    use crate::alerts::lifecycle;
    use crate::alerts::ports::Transition;

    async fn commit_one(store: &FakeStore) {
        let name = format!("Down {}", store.state().events.len());
        let rule = crate::alerts::fakes::rule("shop-api", &name);
        let judged = lifecycle::judge(None, &Default::default(), &crate::alerts::fakes::breached(), &rule, 0);
        let change = judged.change.expect("must fire");
        let (alert, event) = (change.alert, change.event);
        let transition = Transition { alert, event, groups: vec![], is_news: false, memory: None, escalation: None };
        store.transition_commit(transition).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn copies_each_event_once_over_a_restart() {
        let (store, results, signals) = (FakeStore::default(), FakeResults::default(), AlertSignals::default());
        for round in 1..=3 {
            commit_one(&store).await;
            let shutdown = CancellationToken::new();
            let copy = EventCopy::new(Arc::new(store.clone()), Arc::new(results.clone()), signals.clone());
            let task = tokio::spawn(copy.run(shutdown.clone()));
            commit_one(&store).await;
            results.fail_next(1);
            signals.wake_all();
            wait_until(|| results.events().len() == round * 2).await;
            shutdown.cancel();
            task.await.unwrap();
        }
        let ids: Vec<i64> = results.events().iter().map(|event| event.id).collect();
        assert_eq!(ids, (1..=6).collect::<Vec<_>>());
    }
}
