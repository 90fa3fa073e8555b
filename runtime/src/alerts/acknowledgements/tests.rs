//! People and the engine on the same alert, under virtual time.

use std::time::Duration;

use super::*;
use crate::alerts::actions::{ActionError, AlertActions};
use crate::alerts::fakes::{FakeClock, TestStore, breached, rule, settle};
use crate::alerts::lifecycle;
use crate::alerts::ports::{MemoryChange, Transition};
use crate::domain::{Alert, AlertId, AlertState, RuleMemory};

struct World {
    store: TestStore,
    clock: FakeClock,
    signals: AlertSignals,
    actions: AlertActions,
    watch: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
}

impl World {
    async fn new() -> Self {
        let (store, clock, signals) = (
            TestStore::default(),
            FakeClock::new(),
            AlertSignals::default(),
        );
        let actions = AlertActions::new(store.control(), Arc::new(clock), signals.clone());
        let mut world = Self {
            store,
            clock,
            signals,
            actions,
            watch: None,
        };
        world.start();
        let judged = lifecycle::judge(
            None,
            &RuleMemory::default(),
            &breached(),
            &rule("shop-api", "Down"),
            clock.now_ms(),
        );
        let change = judged.change.unwrap();
        let transition = Transition {
            alert: change.alert,
            event: change.event,
            groups: vec![],
            is_news: false,
            memory: Some(MemoryChange::of(&RuleMemory::default(), judged.memory)),
            escalation: None,
        };
        world.store.transition_commit(transition).await.unwrap();
        world
    }

    fn start(&mut self) {
        let watch = AcknowledgementWatch::new(
            self.store.control(),
            Arc::new(self.clock),
            self.signals.clone(),
        );
        let shutdown = CancellationToken::new();
        self.watch = Some((shutdown.clone(), tokio::spawn(watch.run(shutdown))));
    }

    async fn restart_after(&mut self, seconds: u64) {
        let (_, task) = self.watch.take().unwrap();
        task.abort();
        let _ = task.await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.start();
        settle().await;
    }

    fn in_s(&self, seconds: i64) -> Option<i64> {
        Some(self.clock.now_ms() + seconds * 1_000)
    }

    fn alert(&self) -> Alert {
        self.store.state().alerts[&1].clone()
    }

    /// `state by actor` of each event but the first.
    fn story(&self) -> Vec<String> {
        let state = self.store.state();
        state
            .events
            .iter()
            .skip(1)
            .map(|event| format!("{} by {}", event.to.as_str(), event.actor))
            .collect()
    }
}

const ID: AlertId = AlertId(1);

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_runs_out_at_its_moment_also_over_a_restart() {
    for restart_after_s in [None, Some(60), Some(7_200)] {
        let mut world = World::new().await;
        world
            .actions
            .acknowledge(ID, "ann", world.in_s(3_600), "looking")
            .await
            .unwrap();
        assert_eq!(world.alert().state, AlertState::Acknowledged);
        let end_ms = world.clock.now_ms() + 3_600_000;
        if let Some(seconds) = restart_after_s {
            world.restart_after(seconds).await;
        }
        let rest_ms = u64::try_from(end_ms - world.clock.now_ms() - 1_000).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(rest_ms)).await;
        if rest_ms > 0 {
            assert_eq!(world.alert().state, AlertState::Acknowledged);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(world.alert().state, AlertState::Firing);
        assert_eq!(
            world.story(),
            ["acknowledged by ann", "firing by engine"],
            "{restart_after_s:?}"
        );
        assert!(
            world
                .store
                .state()
                .events
                .last()
                .unwrap()
                .reason
                .contains("ann ran out")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_word_takes_the_place_of_the_old_one() {
    let world = World::new().await;
    world
        .actions
        .acknowledge(ID, "ann", world.in_s(60), "")
        .await
        .unwrap();
    world
        .actions
        .acknowledge(ID, "bob", world.in_s(600), "mine")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let acknowledged = world.alert().flags.acknowledged.unwrap();
    assert_eq!(
        (acknowledged.by.as_str(), acknowledged.note.as_str()),
        ("bob", "mine")
    );
    assert_eq!(world.alert().state, AlertState::Acknowledged);
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(world.alert().state, AlertState::Firing);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_done_is_refused_with_its_reason() {
    let world = World::new().await;
    let refused = |result: Result<Alert, ActionError>| result.unwrap_err().to_string();
    assert_eq!(
        refused(world.actions.acknowledge(AlertId(9), "ann", None, "").await),
        "there is no alert 9"
    );
    assert!(
        refused(
            world
                .actions
                .acknowledge(ID, "ann", world.in_s(-1), "")
                .await
        )
        .contains("future")
    );
    assert_eq!(
        refused(world.actions.unacknowledge(ID, "ann", "").await),
        "alert 1 is firing: it is not acknowledged"
    );
    world
        .actions
        .acknowledge(ID, "ann", None, "")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(30 * 86_400)).await;
    assert_eq!(
        world.alert().state,
        AlertState::Acknowledged,
        "without an end"
    );
    world
        .actions
        .unacknowledge(ID, "bob", "not mine")
        .await
        .unwrap();
    world.actions.resolve(ID, "bob", "").await.unwrap();
    assert!(refused(world.actions.resolve(ID, "bob", "").await).contains("ended already"));
    assert!(
        refused(world.actions.acknowledge(ID, "bob", None, "").await)
            .contains("only an alert that fires")
    );
    assert_eq!(
        world.story(),
        ["acknowledged by ann", "firing by bob", "resolved by bob"]
    );
    assert!(world.store.state().memories["shop-api/Down"].1.is_held);
}
