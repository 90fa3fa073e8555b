//! The outbox under virtual time: what arrives, when, how often, in which order.

use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::*;
use crate::alerts::dispatch::{DispatchDeps, Dispatcher};
use crate::alerts::engine::{AlertEngine, EngineDeps, EngineSettings};
use crate::alerts::fakes::{self, *};
use crate::alerts::ports::AttemptOutcome;
use crate::domain::{AlertRule, NotificationState, NotificationStatus, Observation, Status};

struct Outbox {
    store: FakeStore,
    notifier: FakeNotifier,
    clock: FakeClock,
    signals: AlertSignals,
    catalog: watch::Sender<Arc<Catalog>>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Outbox {
    fn new(rules: &[AlertRule]) -> Self {
        Self {
            store: FakeStore::default(),
            notifier: FakeNotifier::default(),
            clock: FakeClock::new(),
            signals: AlertSignals::default(),
            catalog: watch::channel(Arc::new(fakes::catalog(rules))).0,
            running: None,
        }
    }

    async fn start(&mut self) {
        let delivery = Delivery::new(DeliveryDeps {
            store: Arc::new(self.store.clone()),
            notifier: Arc::new(self.notifier.clone()),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
            settings: DeliverySettings::default(),
        });
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(delivery.run(self.catalog.subscribe(), shutdown.clone()));
        self.running = Some((shutdown, task));
        settle().await;
    }

    async fn crash(&mut self) {
        let (_, task) = self.running.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    fn queue(&self, alert_id: i64, channel: &str, status: NotificationStatus) {
        let now_ms = self.clock.now_ms();
        let mut state = self.store.state();
        let id = state.notifications.len() as i64 + 1;
        state.channels.insert(ChannelId(channel.to_owned()), fakes::channel(channel));
        state.notifications.push(Notification {
            id,
            idempotency_key: format!("key-{id}"),
            group_key: format!("Down:s{alert_id}"),
            channel: ChannelId(channel.to_owned()),
            status,
            alerts: vec![alert(alert_id, &format!("s{alert_id}"))],
            ..notification(now_ms)
        });
        drop(state);
        self.signals.wake_delivery();
    }

    fn states(&self) -> Vec<NotificationState> {
        self.store.state().notifications.iter().map(|row| row.state).collect()
    }
}

use NotificationStatus::{Firing, Resolved};

#[tokio::test(start_paused = true)]
async fn sends_at_once_and_says_what_people_need() {
    let mut outbox = Outbox::new(&[]);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing);
    settle().await;
    let (_, message) = &outbox.notifier.tries()[0];
    assert_eq!(message.id, "key-1");
    assert_eq!(message.group_key, "Down:s1");
    assert_eq!(message.receiver, "slack-1");
    assert_eq!(message.attempt, 1);
    assert_eq!(message.group_labels, [("service".to_owned(), "shop-api".to_owned())]);
    assert_eq!(message.alerts[0].0.summary, "found 90, wanted 99.5");
    assert_eq!(outbox.states(), [NotificationState::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_comes_back_gets_everything_in_order_with_the_same_keys() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Down);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing);
    outbox.queue(1, "pager-1", Firing);
    tokio::time::sleep(Duration::from_secs(600)).await;
    outbox.queue(1, "slack-1", Resolved);
    outbox.queue(1, "pager-1", Resolved);
    settle().await;
    assert_eq!(outbox.notifier.inbox(), ["pager-1:firing:s1", "pager-1:resolved:s1"], "nobody waits for another");
    outbox.notifier.set("slack-1", Line::Up);
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(outbox.notifier.inbox()[2..], ["slack-1:firing:s1", "slack-1:resolved:s1"]);
    let tries = outbox.notifier.tries();
    let firing: Vec<_> = tries.iter().filter(|(to, message)| to == "slack-1" && message.status == Firing).collect();
    assert!(firing.iter().all(|(_, message)| message.id == "key-1"));
    assert_eq!(
        firing.iter().map(|(_, message)| message.attempt).collect::<Vec<_>>(),
        (1..=firing.len() as u32).collect::<Vec<_>>()
    );
    assert!((6..=12).contains(&firing.len()), "backs off: {}", firing.len());
}

#[tokio::test(start_paused = true)]
async fn permanent_errors_die_at_once_and_make_way() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Refuses);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing);
    outbox.queue(1, "slack-1", Resolved);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(outbox.states(), [NotificationState::Dead, NotificationState::Dead]);
    let state = outbox.store.state();
    assert_eq!(state.attempts.len(), 2);
    assert_eq!(state.attempts[0].1.answer, "404 no such hook");
}

#[tokio::test(start_paused = true)]
async fn gives_up_after_a_day_and_keeps_the_dead_letter() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Down);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing);
    wait_until(|| outbox.states() == [NotificationState::Dead]).await;
    let state = outbox.store.state();
    let (_, last) = state.attempts.last().unwrap();
    assert_eq!(last.outcome, AttemptOutcome::Dead);
    assert!(
        last.answer.starts_with("given up after") && last.answer.ends_with("connection refused"),
        "{}",
        last.answer
    );
    assert!((145..260).contains(&state.attempts.len()), "{}", state.attempts.len());
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_other_side_asks() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::RetryAfter(120));
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing);
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert_eq!(outbox.notifier.tries().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(outbox.notifier.tries().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_hangs_or_panics_leaves_room_for_the_others() {
    for (line, alerts) in [(Line::Hangs, 2_000), (Line::Panics, 20)] {
        let mut outbox = Outbox::new(&[]);
        outbox.notifier.set("bad-1", line);
        outbox.start().await;
        for alert in 0..alerts {
            outbox.queue(alert, "bad-1", Firing);
        }
        outbox.queue(5_000, "slack-1", Firing);
        settle().await;
        assert_eq!(outbox.notifier.inbox(), ["slack-1:firing:s5000"], "{line:?}");
        tokio::time::sleep(Duration::from_secs(36)).await;
        let state = outbox.store.state();
        let (_, attempt) = state.attempts.iter().find(|(id, _)| *id == 1).unwrap();
        assert_eq!(attempt.outcome, AttemptOutcome::Retry);
        assert!(["no answer within 35 s", "the notifier panicked"].contains(&attempt.answer.as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_can_not_be_recorded_is_not_made_again_meanwhile() {
    let mut outbox = Outbox::new(&[]);
    outbox.start().await;
    outbox.store.state().failing_attempts = 20;
    outbox.queue(1, "slack-1", Firing);
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(outbox.notifier.tries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_left_the_configuration_is_still_told() {
    let mut outbox = Outbox::new(&[]);
    outbox.queue(1, "old-1", Resolved);
    outbox.start().await;
    assert_eq!(outbox.notifier.inbox(), ["old-1:resolved:s1"]);
    outbox.queue(2, "gone-1", Firing);
    outbox.store.state().channels.clear();
    settle().await;
    assert_eq!(outbox.states()[1], NotificationState::Dead);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_is_under_way_and_starts_nothing_new() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Hangs);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing);
    settle().await;
    let (shutdown, task) = outbox.running.take().unwrap();
    shutdown.cancel();
    outbox.queue(2, "pager-1", Firing);
    task.await.unwrap();
    assert!(outbox.notifier.inbox().is_empty());
    assert_eq!(outbox.store.state().attempts.len(), 1, "what was under way is on record");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_cut_off_by_a_crash_is_made_again_with_the_same_key() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Hangs);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing);
    settle().await;
    outbox.crash().await;
    outbox.notifier.set("slack-1", Line::Up);
    outbox.start().await;
    let keys: Vec<String> = outbox.notifier.tries().iter().map(|(_, message)| message.id.clone()).collect();
    assert_eq!(keys, ["key-1", "key-1"]);
    assert_eq!(outbox.states(), [NotificationState::Delivered]);
}

/// One step in the life of engine and delivery together.
#[derive(Debug, Clone)]
enum Step {
    Observe(usize, Status),
    Pass(u64),
    Crash,
    Line(usize, Line),
    CommitsFail(usize),
    CommitsDoubtful(usize),
    AttemptsFail(usize),
}

const SERVICES: [&str; 3] = ["shop-api", "mail", "sms"];
const CHANNELS: [&str; 2] = ["slack-1", "pager-1"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status = prop_oneof![
        4 => Just(Status::Healthy),
        1 => Just(Status::Degraded),
        4 => Just(Status::Unhealthy),
        1 => Just(Status::Error)
    ];
    let line = prop_oneof![3 => Just(Line::Up), 2 => Just(Line::Down), 1 => Just(Line::Hangs), 1 => Just(Line::Panics)];
    let step = prop_oneof![
        8 => (0..3_usize, status).prop_map(|(service, status)| Step::Observe(service, status)),
        4 => (0..90_u64).prop_map(Step::Pass),
        2 => Just(Step::Crash),
        2 => (0..2_usize, line).prop_map(|(channel, line)| Step::Line(channel, line)),
        1 => (1..3_usize).prop_map(Step::CommitsFail),
        1 => (1..3_usize).prop_map(Step::CommitsDoubtful),
        1 => (1..3_usize).prop_map(Step::AttemptsFail),
    ];
    proptest::collection::vec(step, 1..80)
}

type Engine = (tokio::sync::mpsc::Sender<Arc<Observation>>, JoinHandle<()>, JoinHandle<()>);

fn start_engine(outbox: &Outbox) -> Engine {
    let engine = AlertEngine::new(EngineDeps {
        rules: Arc::new(FakeRules::default()),
        store: Arc::new(outbox.store.clone()),
        history: Arc::new(FakeHistory::default()),
        clock: Arc::new(outbox.clock),
        signals: outbox.signals.clone(),
        settings: EngineSettings::default(),
    });
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    let dispatcher = Dispatcher::new(DispatchDeps {
        store: Arc::new(outbox.store.clone()),
        clock: Arc::new(outbox.clock),
        signals: outbox.signals.clone(),
    });
    let engine = tokio::spawn(engine.run(receiver, outbox.catalog.subscribe(), CancellationToken::new()));
    (sender, engine, tokio::spawn(dispatcher.run(outbox.catalog.subscribe(), CancellationToken::new())))
}

async fn live_through(steps: Vec<Step>) -> Outbox {
    let rules: Vec<AlertRule> = SERVICES
        .iter()
        .zip([0, 30, 60])
        .map(|(service, seconds)| AlertRule {
            duration: Duration::from_secs(seconds),
            channels: CHANNELS.iter().map(|channel| ChannelId((*channel).to_owned())).collect(),
            ..rule(service, "Down")
        })
        .collect();
    let mut outbox = Outbox::new(&rules);
    let mut engine = start_engine(&outbox);
    outbox.start().await;
    for (run_id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Observe(service, status) => {
                let run = observation(SERVICES[service], outbox.clock.now_ms(), status);
                let run = Observation { run_id: run_id as i64, ..run };
                engine.0.send(Arc::new(run)).await.unwrap();
                // Not settled: a crash may come in the middle of it.
                tokio::task::yield_now().await;
            }
            Step::Pass(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Step::Crash => {
                for task in [engine.1, engine.2] {
                    task.abort();
                    let _ = task.await;
                }
                outbox.crash().await;
                engine = start_engine(&outbox);
                outbox.start().await;
            }
            Step::Line(channel, line) => outbox.notifier.set(CHANNELS[channel], line),
            Step::CommitsFail(count) => outbox.store.state().failing_commits = count,
            Step::CommitsDoubtful(count) => outbox.store.state().doubtful_commits = count,
            Step::AttemptsFail(count) => outbox.store.state().failing_attempts = count,
        }
    }
    for channel in CHANNELS {
        outbox.notifier.set(channel, Line::Up);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    wait_until(|| outbox.store.waiting() == 0).await;
    outbox
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_committed_firing_and_resolved_arrives_in_order_once_the_channel_is_up(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let outbox = runtime.block_on(live_through(steps));
        let state = outbox.store.state();
        let arrived = outbox.notifier.arrived.lock().unwrap();
        for event in &state.events {
            let (told, fired) = match event.to {
                crate::domain::AlertState::Firing => (Firing, true),
                crate::domain::AlertState::Resolved => (Resolved, state.alerts[&event.alert.0].fired_ms.is_some()),
                _ => continue,
            };
            for channel in CHANNELS {
                let count = arrived.iter().filter(|(to, message)| {
                    to == channel && message.status == told && message.alerts[0].0.id == event.alert
                }).count();
                prop_assert_eq!(count > 0, fired, "{:?} to {}", event, channel);
            }
        }
        // Nobody reads the end of an alert before its beginning, and what comes twice comes with the same key.
        for channel in CHANNELS {
            let mut keys = HashMap::new();
            let mut ended = HashSet::new();
            for (_, message) in arrived.iter().filter(|(to, _)| to == channel) {
                let id = message.alerts[0].0.id;
                prop_assert!(!(ended.contains(&id) && message.status == Firing), "firing after resolved");
                if message.status == Resolved {
                    ended.insert(id);
                }
                prop_assert_eq!(&keys.entry((id, message.status)).or_insert(message.id.clone()).clone(), &message.id);
            }
        }
        prop_assert!(state.notifications.iter().all(|row| row.state == NotificationState::Delivered));
    }
}
