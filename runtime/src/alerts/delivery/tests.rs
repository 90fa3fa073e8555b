//! Delivery under virtual time: the messages that arrive, their moments and their order. In one file,
//! because every test drives the same outbox.

mod reports;

use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::*;
use crate::alerts::dispatch::{DispatchDeps, Dispatcher};
use crate::alerts::engine::{AlertEngine, EngineDeps, EngineSettings};
use crate::alerts::fakes::{self, *};
use crate::alerts::ports::AttemptOutcome;
use crate::domain::{
    AlertRule, Channel, ChannelOptions, Fallback, MessageRate, MessageTemplate, MessageTexts,
    NotificationDraft, NotificationReason, NotificationState, NotificationStatus, Observation,
    Status,
};

struct Outbox {
    store: TestStore,
    notifier: FakeNotifier,
    clock: FakeClock,
    signals: AlertSignals,
    catalog: watch::Sender<Arc<Catalog>>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
    /// Messages put into the outbox so far.
    queued: usize,
}

impl Outbox {
    fn new(rules: &[AlertRule]) -> Self {
        Self {
            store: TestStore::default(),
            notifier: FakeNotifier::default(),
            clock: FakeClock::new(),
            signals: AlertSignals::default(),
            catalog: watch::channel(Arc::new(fakes::catalog(rules))).0,
            running: None,
            queued: 0,
        }
    }

    async fn start(&mut self) {
        let delivery = Delivery::new(DeliveryDeps {
            store: self.store.control(),
            notifier: Arc::new(self.notifier.clone()),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
            evaluator: crate::plugin_host::Evaluator::for_tests().clone(),
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

    async fn queue(&mut self, alert_id: i64, channel: &str, status: NotificationStatus) {
        self.queued += 1;
        let alert = alert(alert_id, &format!("s{alert_id}"));
        self.store.alert_put(&alert).await;
        let kept = self.store.channel_put(&fakes::channel(channel)).await;
        kept.unwrap();
        let draft = NotificationDraft {
            group_key: format!("Down:s{alert_id}"),
            group_labels: vec![("service".to_owned(), "shop-api".to_owned())],
            channel: ChannelId(channel.to_owned()),
            reason: NotificationReason::Transition,
            status,
            idempotency_key: format!("key-{}", self.queued),
            alerts: vec![alert],
            omitted: 0,
        };
        let now_ms = self.clock.now_ms();
        self.store.notification_queue(draft, now_ms).await.unwrap();
        self.signals.wake_delivery();
    }

    fn states(&self) -> Vec<NotificationState> {
        self.store
            .state()
            .notifications
            .iter()
            .map(|row| row.state)
            .collect()
    }
}

use NotificationStatus::{Firing, Resolved};

#[tokio::test(start_paused = true)]
async fn sends_at_once_and_says_what_people_need() {
    let mut outbox = Outbox::new(&[]);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    settle().await;
    let (_, message) = &outbox.notifier.tries()[0];
    assert_eq!(message.id, "key-1");
    assert_eq!(message.group_key, "Down:s1");
    assert_eq!(message.receiver, "slack-1");
    assert_eq!(message.attempt, 1);
    assert_eq!(
        message.group_labels,
        [("service".to_owned(), "shop-api".to_owned())]
    );
    assert_eq!(message.alerts[0].0.summary, "found 90, wanted 99.5");
    assert_eq!(outbox.states(), [NotificationState::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_comes_back_gets_everything_in_order_with_the_same_keys() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Down);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    outbox.queue(1, "pager-1", Firing).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    outbox.queue(1, "slack-1", Resolved).await;
    outbox.queue(1, "pager-1", Resolved).await;
    settle().await;
    assert_eq!(
        outbox.notifier.inbox(),
        ["pager-1:firing:s1", "pager-1:resolved:s1"],
        "nobody waits for another"
    );
    outbox.notifier.set("slack-1", Line::Up);
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(
        outbox.notifier.inbox()[2..],
        ["slack-1:firing:s1", "slack-1:resolved:s1"]
    );
    let tries = outbox.notifier.tries();
    let firing: Vec<_> = tries
        .iter()
        .filter(|(to, message)| to == "slack-1" && message.status == Firing)
        .collect();
    assert!(firing.iter().all(|(_, message)| message.id == "key-1"));
    assert_eq!(
        firing
            .iter()
            .map(|(_, message)| message.attempt)
            .collect::<Vec<_>>(),
        (1..=firing.len() as u32).collect::<Vec<_>>()
    );
    assert!(
        (6..=12).contains(&firing.len()),
        "backs off: {}",
        firing.len()
    );
}

#[tokio::test(start_paused = true)]
async fn permanent_errors_die_at_once_and_make_way() {
    let mut outbox = Outbox::new(&[rule("shop-api", "Down")]);
    outbox.notifier.set("slack-1", Line::Refuses);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    outbox.queue(1, "slack-1", Resolved).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        outbox.states(),
        [NotificationState::Dead, NotificationState::Dead]
    );
    let state = outbox.store.state();
    assert_eq!(state.attempts.len(), 2);
    assert_eq!(state.attempts[0].1.answer, "404 no such hook");
}

#[tokio::test(start_paused = true)]
async fn gives_up_after_a_day_and_keeps_the_dead_letter() {
    let mut outbox = Outbox::new(&[rule("shop-api", "Down")]);
    outbox.notifier.set("slack-1", Line::Down);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    wait_until(|| outbox.states() == [NotificationState::Dead]).await;
    let state = outbox.store.state();
    let (_, last) = state.attempts.last().unwrap();
    assert_eq!(last.outcome, AttemptOutcome::Dead);
    assert!(
        last.answer.starts_with("given up after") && last.answer.ends_with("connection refused"),
        "{}",
        last.answer
    );
    assert!(
        (145..260).contains(&state.attempts.len()),
        "{}",
        state.attempts.len()
    );
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_other_side_asks() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::RetryAfter(120));
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert_eq!(outbox.notifier.tries().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(outbox.notifier.tries().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_hangs_or_panics_leaves_room_for_the_others() {
    for (line, alerts) in [(Line::Hangs, 2_000), (Line::Panics, 20)] {
        let channels = vec![
            ChannelId("bad-1".to_owned()),
            ChannelId("slack-1".to_owned()),
        ];
        let mut outbox = Outbox::new(&[AlertRule {
            channels,
            ..rule("shop-api", "Down")
        }]);
        outbox.notifier.set("bad-1", line);
        outbox.start().await;
        for alert in 0..alerts {
            outbox.queue(alert, "bad-1", Firing).await;
        }
        outbox.queue(5_000, "slack-1", Firing).await;
        settle().await;
        assert_eq!(
            outbox.notifier.inbox(),
            ["slack-1:firing:s5000"],
            "{line:?}"
        );
        tokio::time::sleep(Duration::from_secs(36)).await;
        let state = outbox.store.state();
        let (_, attempt) = state.attempts.iter().find(|(id, _)| *id == 1).unwrap();
        assert_eq!(attempt.outcome, AttemptOutcome::Retry);
        assert!(
            ["no answer within 35 s", "the notifier panicked"].contains(&attempt.answer.as_str())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_can_not_be_recorded_is_not_made_again_meanwhile() {
    let mut outbox = Outbox::new(&[]);
    outbox.start().await;
    outbox.store.fail_attempts(20);
    outbox.queue(1, "slack-1", Firing).await;
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(outbox.notifier.tries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_left_the_configuration_is_still_told() {
    let mut outbox = Outbox::new(&[]);
    outbox.queue(1, "old-1", Resolved).await;
    outbox.start().await;
    assert_eq!(outbox.notifier.inbox(), ["old-1:resolved:s1"]);
    outbox.crash().await;
    outbox.queue(2, "gone-1", Firing).await;
    outbox.store.execute("DELETE FROM channels").await;
    outbox.start().await;
    assert_eq!(outbox.states()[1], NotificationState::Dead);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_is_under_way_and_starts_nothing_new() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Hangs);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    settle().await;
    let (shutdown, task) = outbox.running.take().unwrap();
    shutdown.cancel();
    outbox.queue(2, "pager-1", Firing).await;
    task.await.unwrap();
    assert!(outbox.notifier.inbox().is_empty());
    assert_eq!(
        outbox.store.state().attempts.len(),
        1,
        "what was under way is on record"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_cut_off_by_a_crash_is_made_again_with_the_same_key() {
    let mut outbox = Outbox::new(&[]);
    outbox.notifier.set("slack-1", Line::Hangs);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    settle().await;
    outbox.crash().await;
    outbox.notifier.set("slack-1", Line::Up);
    outbox.start().await;
    let keys: Vec<String> = outbox
        .notifier
        .tries()
        .iter()
        .map(|(_, message)| message.id.clone())
        .collect();
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

type Engine = (
    tokio::sync::mpsc::Sender<Arc<Observation>>,
    JoinHandle<()>,
    JoinHandle<()>,
);

fn start_engine(outbox: &Outbox) -> Engine {
    let engine = AlertEngine::new(EngineDeps {
        rules: FakeRules::default(),
        store: outbox.store.control(),
        history: FakeHistory::default(),
        clock: Arc::new(outbox.clock),
        signals: outbox.signals.clone(),
        settings: EngineSettings::default(),
    });
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    let dispatcher = Dispatcher::new(DispatchDeps {
        store: outbox.store.control(),
        clock: Arc::new(outbox.clock),
        signals: outbox.signals.clone(),
    });
    let engine = tokio::spawn(engine.run(
        receiver,
        outbox.catalog.subscribe(),
        CancellationToken::new(),
    ));
    (
        sender,
        engine,
        tokio::spawn(dispatcher.run(outbox.catalog.subscribe(), CancellationToken::new())),
    )
}

async fn live_through(steps: Vec<Step>) -> Outbox {
    let rules: Vec<AlertRule> = SERVICES
        .iter()
        .zip([0, 30, 60])
        .map(|(service, seconds)| AlertRule {
            duration: Duration::from_secs(seconds),
            channels: CHANNELS
                .iter()
                .map(|channel| ChannelId((*channel).to_owned()))
                .collect(),
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
                let run = Observation {
                    run_id: run_id as i64,
                    ..run
                };
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
            Step::CommitsFail(count) => outbox.store.fail_commits(count),
            Step::CommitsDoubtful(count) => outbox.store.fail_commits_afterwards(count),
            Step::AttemptsFail(count) => outbox.store.fail_attempts(count),
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
        // The end of an alert never arrives before its beginning, and what comes twice comes with
        // the same key.
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

/// A channel with options, in the configuration.
fn configured(outbox: &Outbox, id: &str, options: ChannelOptions) {
    let mut catalog = Catalog::clone(&outbox.catalog.borrow());
    let channel = Channel {
        options,
        ..fakes::channel(id)
    };
    catalog
        .channels
        .insert(channel.id.clone(), Arc::new(channel));
    outbox.catalog.send_replace(Arc::new(catalog));
}

fn limited(messages: u32, digest: bool) -> ChannelOptions {
    let rate_limit = Some(MessageRate {
        messages,
        per: Duration::from_secs(60),
        digest,
    });
    ChannelOptions {
        rate_limit,
        ..ChannelOptions::default()
    }
}

fn falling_back(channel: &str) -> ChannelOptions {
    let fallback = Fallback {
        channel: channel.to_owned(),
        after: Duration::from_secs(900),
    };
    ChannelOptions {
        fallback: Some(fallback),
        ..ChannelOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_with_the_reference_of_the_message_it_takes_the_place_of() {
    let mut outbox = Outbox::new(&[]);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    settle().await;
    outbox.queue(2, "slack-1", Resolved).await;
    outbox.queue(1, "slack-1", Resolved).await;
    settle().await;
    outbox.queue(1, "slack-1", Firing).await;
    settle().await;
    let references: Vec<_> = outbox
        .notifier
        .tries()
        .into_iter()
        .map(|(_, message)| message.reference)
        .collect();
    assert_eq!(
        references,
        [None, None, Some("ref of key-1".to_owned()), None],
        "a new outage is a new message"
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_cut_off_by_the_limit_and_told_of_in_one_digest() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", limited(3, true));
    configured(&outbox, "pager-1", ChannelOptions::default());
    for alert in 1..=6 {
        outbox.queue(alert, "slack-1", Firing).await;
    }
    outbox.queue(6, "slack-1", Resolved).await;
    outbox.queue(1, "pager-1", Firing).await;
    outbox.start().await;
    wait_until(|| outbox.notifier.inbox().len() >= 4).await;
    let inbox = outbox.notifier.inbox();
    assert_eq!(
        inbox
            .iter()
            .filter(|line| line.starts_with("slack-1"))
            .count(),
        3,
        "{inbox:?}"
    );
    assert!(
        inbox.contains(&"pager-1:firing:s1".to_owned()),
        "others are not held back: {inbox:?}"
    );
    let tries = outbox.notifier.tries();
    let (_, digest) = tries
        .iter()
        .find(|(_, message)| message.reason == NotificationReason::Digest)
        .unwrap();
    let told: Vec<i64> = digest.alerts.iter().map(|(alert, _)| alert.id.0).collect();
    assert_eq!(told, [3, 4, 5, 6]);
    assert_eq!(
        digest.title(),
        "[DIGEST] 4 firing, 0 resolved: s3, s4, s5 …"
    );
    let digested = outbox
        .states()
        .iter()
        .filter(|state| **state == NotificationState::Digested)
        .count();
    assert_eq!(digested, 5, "the end of the last one too");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_limit_waits_for_it_and_comes_in_order() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", limited(2, true));
    outbox.start().await;
    for alert in 1..=5 {
        outbox.queue(alert, "slack-1", Firing).await;
        settle().await;
    }
    outbox.queue(3, "slack-1", Resolved).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(
        outbox.notifier.inbox(),
        ["slack-1:firing:s1", "slack-1:firing:s2"]
    );
    wait_until(|| outbox.store.waiting() == 0).await;
    assert!(
        (60_000..65_000).contains(&(outbox.clock.now_ms() - EPOCH_MS)),
        "as soon as the limit allows"
    );
    let tries = outbox.notifier.tries();
    assert_eq!(outbox.notifier.inbox()[2], "slack-1:firing:s3");
    assert_eq!(
        (tries.len(), tries[3].1.reason),
        (4, NotificationReason::Digest),
        "after what is told by itself"
    );
    let told: Vec<i64> = tries[3]
        .1
        .alerts
        .iter()
        .map(|(alert, _)| alert.id.0)
        .collect();
    assert_eq!(told, [3, 4, 5], "the end of the third as well");
    outbox.queue(4, "slack-1", Resolved).await;
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(
        outbox.notifier.inbox().last().unwrap(),
        "slack-1:resolved:s4"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_digest_what_is_held_back_leaves_one_by_one() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", limited(2, false));
    outbox.start().await;
    for alert in 1..=5 {
        outbox.queue(alert, "slack-1", Firing).await;
    }
    wait_until(|| outbox.store.waiting() == 0).await;
    let took_s = (outbox.clock.now_ms() - EPOCH_MS) / 1_000;
    assert!((120..130).contains(&took_s), "{took_s}");
    let mut arrived = outbox.notifier.inbox();
    // Those of one moment belong to different groups: any of them may be first.
    arrived.chunks_mut(2).for_each(<[String]>::sort);
    let wanted: Vec<String> = (1..=5)
        .map(|alert| format!("slack-1:firing:s{alert}"))
        .collect();
    assert_eq!(arrived, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_over_a_restart() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", limited(2, false));
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    outbox.queue(2, "slack-1", Firing).await;
    settle().await;
    outbox.crash().await;
    outbox.queue(3, "slack-1", Firing).await;
    outbox.start().await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(outbox.notifier.inbox().len(), 2);
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(outbox.notifier.inbox().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_channel_in_a_storm_that_crashes_loses_nothing_and_tells_nothing_out_of_order() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", limited(3, true));
    outbox.notifier.set("slack-1", Line::Down);
    outbox.start().await;
    for alert in 1..=20 {
        outbox.queue(alert, "slack-1", Firing).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        if alert % 7 == 0 {
            outbox.crash().await;
            outbox.start().await;
        }
    }
    for alert in 1..=20 {
        outbox.queue(alert, "slack-1", Resolved).await;
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    outbox.notifier.set("slack-1", Line::Up);
    wait_until(|| outbox.store.waiting() == 0).await;
    // What a digest tells of an alert is what was queued last of it: the fakes' snapshots say
    // nothing of the end.
    let arrived = outbox.notifier.tries();
    for alert in 1..=20_i64 {
        let told = arrived
            .iter()
            .filter(|(_, message)| message.alerts.iter().any(|(found, _)| found.id.0 == alert));
        assert!(told.count() >= 1, "alert {alert} was told of");
    }
    let dead = outbox
        .states()
        .iter()
        .filter(|state| **state == NotificationState::Dead)
        .count();
    assert_eq!(dead, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_channel_refuses_goes_to_its_fallback_and_so_does_the_end() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", falling_back("mail-1"));
    configured(&outbox, "mail-1", ChannelOptions::default());
    outbox.notifier.set("slack-1", Line::Refuses);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    settle().await;
    settle().await;
    outbox.queue(1, "slack-1", Resolved).await;
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(
        outbox.notifier.inbox(),
        ["mail-1:firing:s1", "mail-1:resolved:s1"]
    );
    let tries = outbox.notifier.tries();
    let (_, first) = tries.iter().find(|(to, _)| to == "mail-1").unwrap();
    assert_eq!(first.id, "key-1/fallback");
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_long_goes_to_the_fallback_once_and_is_tried_on() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", falling_back("mail-1"));
    configured(&outbox, "mail-1", falling_back("slack-1"));
    outbox.notifier.set("slack-1", Line::Down);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    tokio::time::sleep(Duration::from_secs(890)).await;
    assert_eq!(outbox.notifier.inbox(), Vec::<String>::new());
    wait_until(|| !outbox.notifier.inbox().is_empty()).await;
    assert!(outbox.clock.now_ms() - EPOCH_MS < 2_000_000);
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    outbox.notifier.set("slack-1", Line::Up);
    wait_until(|| outbox.store.waiting() == 0).await;
    assert_eq!(
        outbox.notifier.inbox(),
        ["mail-1:firing:s1", "slack-1:firing:s1"]
    );
}

#[tokio::test(start_paused = true)]
async fn fallbacks_that_go_in_circles_come_to_an_end() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", falling_back("mail-1"));
    configured(&outbox, "mail-1", falling_back("slack-1"));
    outbox.notifier.set("slack-1", Line::Refuses);
    outbox.notifier.set("mail-1", Line::Refuses);
    outbox.start().await;
    outbox.queue(1, "slack-1", Firing).await;
    wait_until(|| outbox.store.waiting() == 0).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(outbox.states(), [NotificationState::Dead; 4]);
}

#[tokio::test(start_paused = true)]
async fn writes_in_the_words_of_the_channels_template_and_in_its_own_where_that_fails() {
    let mut outbox = Outbox::new(&[]);
    let texts = |text: &str| MessageTexts {
        text: Some(text.to_owned()),
        ..MessageTexts::default()
    };
    for (id, text) in [
        ("slack-1", "{{ alerts[0].summary }}"),
        (
            "slack-2",
            "{% if alerts[0].id == 7 %}{{ alerts[0].nothing }}{% endif %}",
        ),
    ] {
        let template = Some(Arc::new(MessageTemplate {
            name: id.to_owned(),
            sources: texts(text),
        }));
        configured(
            &outbox,
            id,
            ChannelOptions {
                template,
                ..ChannelOptions::default()
            },
        );
    }
    outbox.start().await;
    outbox.queue(7, "slack-1", Firing).await;
    outbox.queue(7, "slack-2", Firing).await;
    settle().await;
    let texts: std::collections::BTreeMap<_, _> = outbox
        .notifier
        .tries()
        .into_iter()
        .map(|(_, message)| (message.receiver, message.texts.text))
        .collect();
    assert_eq!(texts["slack-1"].as_deref(), Some("found 90, wanted 99.5"));
    assert_eq!(texts["slack-2"], None);
    assert_eq!(outbox.states(), [NotificationState::Delivered; 2]);
}
