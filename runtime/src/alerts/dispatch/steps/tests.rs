//! Timelines of escalations on the real store, under a clock that is set by hand; in one file, because
//! they share one notation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::alerts::dispatch::DispatchDeps;
use crate::alerts::fakes::{self, EPOCH_MS, breached, ok, rule};
use crate::alerts::ports::{CommitError, MemoryChange, Transition};
use crate::alerts::{AlertActions, AlertSignals, Clock, SystemClock, lifecycle};
use crate::domain::{
    Alert, AlertRule, AlertState, ChannelId, EscalationPolicy, EscalationStep, GroupDraft,
    Maintenance, Matcher, NotificationReason, NotificationStatus, Recurrence, RuleMemory,
    StepRepeat, Timing,
};
use crate::store::control::{EscalationDraft, MaintenanceDraft, NotificationFilter, SilenceDraft};
use crate::store::{ControlStore, Keyring};

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.load(Ordering::Relaxed)
    }
}

struct World {
    dir: tempfile::TempDir,
    /// The store; none only while the program does not run.
    running: Option<ControlStore>,
    clock: HandClock,
    catalog: Catalog,
    rule: AlertRule,
    /// Minute and channel of each message made by an escalation.
    told: Vec<String>,
    seen: i64,
}

async fn open(dir: &Path) -> ControlStore {
    ControlStore::open(&dir.join("control.db"), Keyring::load(None, dir).unwrap())
        .await
        .unwrap()
}

fn step(wait_minutes: u64, channel: &str) -> EscalationStep {
    EscalationStep {
        wait: Duration::from_secs(wait_minutes * 60),
        channels: vec![ChannelId(channel.to_owned())],
        repeat: None,
        hours: None,
    }
}

fn repeated(step: EscalationStep, every_minutes: u64, times: Option<u32>) -> EscalationStep {
    EscalationStep {
        repeat: Some(StepRepeat {
            every: Duration::from_secs(every_minutes * 60),
            times,
        }),
        ..step
    }
}

impl World {
    async fn new(steps: Vec<EscalationStep>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let rule = AlertRule {
            escalation: Some("ops".to_owned()),
            ..rule("shop-api", "Down")
        };
        let mut catalog = fakes::catalog(std::slice::from_ref(&rule));
        for step in &steps {
            for id in &step.channels {
                catalog
                    .channels
                    .insert(id.clone(), Arc::new(fakes::channel(&id.0)));
            }
        }
        let policy = EscalationPolicy {
            name: "ops".to_owned(),
            steps,
        };
        catalog.escalations = BTreeMap::from([("ops".to_owned(), Arc::new(policy))]);
        Self {
            dir,
            running: Some(store),
            clock: HandClock::default(),
            catalog,
            rule,
            told: Vec::new(),
            seen: 0,
        }
    }

    fn store(&self) -> &ControlStore {
        self.running.as_ref().unwrap()
    }

    fn minute(&self) -> i64 {
        self.clock.0.load(Ordering::Relaxed) / 60_000
    }

    /// One that has just been started.
    fn dispatcher(&self) -> Dispatcher {
        Dispatcher::new(DispatchDeps {
            store: self.store().clone(),
            clock: Arc::new(self.clock.clone()),
            signals: AlertSignals::default(),
        })
    }

    async fn look(&self) {
        let (_sender, catalog) = watch::channel(Arc::new(self.catalog.clone()));
        self.dispatcher().try_look(&catalog).await.unwrap();
    }

    fn actions(&self) -> AlertActions {
        AlertActions::new(
            self.store().clone(),
            Arc::new(self.clock.clone()),
            AlertSignals::default(),
        )
    }

    async fn judge(
        &self,
        current: Option<&Alert>,
        verdict: &crate::domain::Verdict,
    ) -> Result<Alert, CommitError> {
        self.judge_at(self.clock.now_ms(), &self.rule, current, verdict)
            .await
    }

    async fn judge_at(
        &self,
        now_ms: UnixMillis,
        rule: &AlertRule,
        current: Option<&Alert>,
        verdict: &crate::domain::Verdict,
    ) -> Result<Alert, CommitError> {
        let judged = lifecycle::judge(current, &RuleMemory::default(), verdict, rule, now_ms);
        let change = judged.change.expect("something changes");
        let policy = &self.catalog.escalations["ops"];
        let progress = policy.begin(now_ms).unwrap();
        let escalation = current.is_none().then(|| EscalationDraft {
            policy: "ops".to_owned(),
            progress,
        });
        let group = GroupDraft {
            key: format!("Down:{}", rule.service),
            channel: ChannelId("slack-1".to_owned()),
            labels: vec![],
            timing: Timing::AT_ONCE,
            mute_times: vec![],
            flush_at_ms: now_ms,
        };
        let groups = if current.is_none() {
            vec![group]
        } else {
            vec![]
        };
        let memory = Some(MemoryChange::of(&RuleMemory::default(), judged.memory));
        let transition = Transition {
            alert: change.alert,
            event: change.event,
            groups,
            is_news: false,
            memory,
            escalation,
        };
        self.store()
            .transition_commit(transition)
            .await
            .map(|(alert, _)| alert)
            .map_err(CommitError::from)
    }

    /// Lets minutes pass, and notes the messages of each.
    async fn pass(&mut self, minutes: i64) {
        for _ in 0..=minutes {
            self.look().await;
            let filter = NotificationFilter {
                limit: 1_000,
                ..NotificationFilter::default()
            };
            let mut rows = self.store().notification_list(&filter).await.unwrap();
            rows.retain(|row| row.id > self.seen && row.reason == NotificationReason::Escalation);
            rows.reverse();
            for row in rows {
                assert_eq!(row.status, NotificationStatus::Firing);
                self.seen = row.id;
                self.told
                    .push(format!("{}: {}", self.minute(), row.channel.0));
            }
            self.clock.0.fetch_add(60_000, Ordering::Relaxed);
        }
        self.clock.0.fetch_sub(60_000, Ordering::Relaxed);
    }

    /// Stops as `kill -9` does, and lets time pass without the program.
    async fn restart_after(&mut self, minutes: i64) {
        self.running.take().unwrap().close().await;
        self.running = Some(open(self.dir.path()).await);
        self.clock.0.fetch_add(minutes * 60_000, Ordering::Relaxed);
    }

    async fn alert(&self) -> Alert {
        self.store().alert_get(AlertId(1)).await.unwrap().unwrap().0
    }
}

enum Act {
    Pass(i64),
    Acknowledge(Option<i64>),
    Unacknowledge,
    Resolve,
    Recover,
    Restart(i64),
    Expire,
}

#[tokio::test]
async fn others_are_told_until_somebody_comes() {
    use Act::*;
    let two = || vec![step(5, "pager"), step(10, "boss")];
    for (name, steps, acts, wanted) in [
        (
            "step by step, and then no more",
            two(),
            vec![Pass(60)],
            vec!["5: pager", "15: boss"],
        ),
        (
            "an acknowledgement stops it",
            two(),
            vec![Pass(7), Acknowledge(None), Pass(600)],
            vec!["5: pager"],
        ),
        (
            "before the first step as well",
            two(),
            vec![Acknowledge(None), Pass(600)],
            vec![],
        ),
        (
            "a recovery stops it",
            two(),
            vec![Pass(7), Recover, Pass(60)],
            vec!["5: pager"],
        ),
        (
            "so does a person",
            two(),
            vec![Pass(7), Resolve, Pass(60)],
            vec!["5: pager"],
        ),
        (
            "when the acknowledgement runs out, it goes on where it stood and waits again",
            two(),
            vec![
                Pass(7),
                Acknowledge(Some(30)),
                Pass(29),
                Expire,
                Pass(1),
                Expire,
                Pass(30),
            ],
            vec!["5: pager", "47: boss"],
        ),
        (
            "when it is taken back as well",
            two(),
            vec![
                Pass(7),
                Acknowledge(None),
                Pass(13),
                Unacknowledge,
                Pass(30),
            ],
            vec!["5: pager", "30: boss"],
        ),
        (
            "a first step without a wait goes on too",
            vec![step(0, "pager"), step(10, "boss")],
            vec![Acknowledge(None), Pass(5), Unacknowledge, Pass(20)],
            vec!["5: pager", "15: boss"],
        ),
        (
            "a step is repeated before the next",
            vec![repeated(step(0, "pager"), 3, Some(2)), step(4, "boss")],
            vec![Pass(30)],
            vec!["0: pager", "3: pager", "6: pager", "10: boss"],
        ),
        (
            "for ever, unless somebody comes",
            vec![repeated(step(0, "pager"), 30, None)],
            vec![Pass(100), Acknowledge(None), Pass(600)],
            vec!["0: pager", "30: pager", "60: pager", "90: pager"],
        ),
        (
            "a restart in the middle changes nothing",
            two(),
            vec![Pass(4), Restart(0), Pass(3), Restart(0), Pass(30)],
            vec!["5: pager", "15: boss"],
        ),
        (
            "what was missed is made up for at once, and the next one waits",
            two(),
            vec![Pass(2), Restart(60), Pass(30)],
            vec!["62: pager", "72: boss"],
        ),
        (
            "an acknowledgement outlives a restart",
            two(),
            vec![Pass(2), Acknowledge(None), Restart(60), Pass(60)],
            vec![],
        ),
        (
            "nobody is told after the end was reached",
            vec![step(1, "pager")],
            vec![Pass(5), Acknowledge(Some(2)), Pass(3), Expire, Pass(60)],
            vec!["1: pager"],
        ),
    ] {
        let mut world = World::new(steps).await;
        world.judge(None, &breached()).await.unwrap();
        for act in acts {
            let until = |minutes: i64| Some(world.clock.now_ms() + minutes * 60_000);
            match act {
                Pass(minutes) => world.pass(minutes).await,
                Acknowledge(minutes) => {
                    let until_ms = minutes.and_then(until);
                    drop(
                        world
                            .actions()
                            .acknowledge(AlertId(1), "ann", until_ms, "")
                            .await
                            .unwrap(),
                    );
                }
                Unacknowledge => drop(
                    world
                        .actions()
                        .unacknowledge(AlertId(1), "ann", "")
                        .await
                        .unwrap(),
                ),
                Resolve => drop(
                    world
                        .actions()
                        .resolve(AlertId(1), "ann", "")
                        .await
                        .unwrap(),
                ),
                Recover => drop(
                    world
                        .judge(Some(&world.alert().await), &ok())
                        .await
                        .unwrap(),
                ),
                Restart(minutes) => world.restart_after(minutes).await,
                Expire => {
                    if let Some(change) =
                        lifecycle::expire(&world.alert().await, world.clock.now_ms())
                    {
                        let signals = AlertSignals::default();
                        crate::alerts::actions::commit(world.store(), &signals, change, None)
                            .await
                            .unwrap();
                    }
                }
            }
        }
        assert_eq!(world.told, wanted, "{name}");
    }
}

#[tokio::test]
async fn whoever_was_told_by_a_step_is_told_of_the_end_once() {
    // `slack-1` is notified of the alert anyway, `pager` by the step alone.
    let both = EscalationStep {
        channels: vec![
            ChannelId("slack-1".to_owned()),
            ChannelId("pager".to_owned()),
        ],
        ..step(1, "pager")
    };
    let mut world = World::new(vec![both]).await;
    let alert = world.judge(None, &breached()).await.unwrap();
    world.pass(2).await;
    assert_eq!(world.told, ["1: slack-1", "1: pager"]);
    world.judge(Some(&alert), &ok()).await.unwrap();
    for group in world.store().group_due(i64::MAX, 100).await.unwrap() {
        let flush = crate::alerts::dispatch::decide(&group, false, world.clock.now_ms());
        world
            .store()
            .group_flush(&[flush], world.clock.now_ms())
            .await
            .unwrap();
    }
    let filter = NotificationFilter {
        limit: 100,
        ..NotificationFilter::default()
    };
    let rows = world.store().notification_list(&filter).await.unwrap();
    let mut resolved: Vec<&str> = rows
        .iter()
        .filter(|row| row.status == NotificationStatus::Resolved)
        .map(|row| row.channel.0.as_str())
        .collect();
    resolved.sort_unstable();
    assert_eq!(resolved, ["pager", "slack-1"]);
    let (_, events) = world.store().alert_get(AlertId(1)).await.unwrap().unwrap();
    let reasons: Vec<&str> = events.iter().map(|event| event.reason.as_str()).collect();
    assert!(
        reasons.contains(&"escalation `ops`, step 1: notifies slack-1, pager"),
        "{reasons:?}"
    );
    assert_eq!(
        world.store().escalation_get(AlertId(1)).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_policy_that_went_ends_its_escalations_and_says_so() {
    let mut world = World::new(vec![step(1, "pager")]).await;
    world.judge(None, &breached()).await.unwrap();
    world.catalog.escalations.clear();
    world.pass(5).await;
    assert!(world.told.is_empty());
    let (_, events) = world.store().alert_get(AlertId(1)).await.unwrap().unwrap();
    assert!(
        events
            .last()
            .unwrap()
            .reason
            .contains("no longer configured")
    );
}

/// Returns all messages as `alert: reason`.
async fn messages(store: &ControlStore) -> Vec<String> {
    let filter = NotificationFilter {
        limit: 1_000,
        ..NotificationFilter::default()
    };
    let rows = store.notification_list(&filter).await.unwrap();
    rows.iter()
        .map(|row| format!("{}: {:?}", row.alerts[0].service, row.reason))
        .collect()
}

fn silence_of(service: &str, now_ms: UnixMillis) -> SilenceDraft {
    SilenceDraft {
        matchers: vec![Matcher::parse(&format!("service={service}")).unwrap()],
        starts_ms: now_ms - 1_000,
        ends_ms: now_ms + 3_600_000,
        author: "ann".to_owned(),
        comment: String::new(),
    }
}

fn window(name: &str, starts_ms: UnixMillis, ends_ms: UnixMillis) -> MaintenanceDraft {
    let recurrence = Recurrence::once(starts_ms, ends_ms).unwrap();
    let window = Maintenance {
        name: name.to_owned(),
        matchers: Vec::new(),
        recurrence,
    };
    MaintenanceDraft {
        window,
        author: "ann".to_owned(),
        comment: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_muted_when_it_fires_never_pages_by_a_step_without_a_wait() {
    const ALERTS: usize = 40;
    let world = World::new(vec![step(0, "pager")]).await;
    let store = world.store().clone();
    let signals = AlertSignals::default();
    let clock = Arc::new(SystemClock);
    let dispatcher = Dispatcher::new(DispatchDeps {
        store: store.clone(),
        clock: clock.clone(),
        signals: signals.clone(),
    });
    let stop = CancellationToken::new();
    let (_sender, catalog) = watch::channel(Arc::new(world.catalog.clone()));
    let running = tokio::spawn(dispatcher.run(catalog, stop.clone()));
    // Each alert has a silence that is made just before it fires, while the dispatcher looks all
    // the time.
    for at in 0..ALERTS {
        let rule = AlertRule {
            escalation: Some("ops".to_owned()),
            ..rule(&format!("shop-{at}"), "Down")
        };
        store
            .silence_insert(silence_of(&rule.service, clock.now_ms()), clock.now_ms())
            .await
            .unwrap();
        let waker = tokio::spawn({
            let signals = signals.clone();
            async move {
                for _ in 0..at {
                    signals.wake_dispatcher();
                    tokio::task::yield_now().await;
                }
            }
        });
        world
            .judge_at(clock.now_ms(), &rule, None, &breached())
            .await
            .unwrap();
        signals.wake_dispatcher();
        waker.await.unwrap();
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(messages(&store).await, Vec::<String>::new());
    let open = store.alert_open_list().await.unwrap();
    assert!(
        open.iter()
            .all(|alert| alert.state == AlertState::Suppressed)
    );
    assert_eq!(open.len(), ALERTS);
}

#[tokio::test]
async fn an_alert_that_is_muted_while_the_program_is_off_does_not_page_when_it_starts() {
    let mut world = World::new(vec![step(0, "pager"), step(5, "boss")]).await;
    world.judge(None, &breached()).await.unwrap();
    world.pass(1).await;
    assert_eq!(world.told, ["0: pager"]);
    let now_ms = world.clock.now_ms();
    world
        .store()
        .maintenance_insert(window("move", now_ms + 60_000, now_ms + 3_600_000), now_ms)
        .await
        .unwrap();
    world.restart_after(30).await;
    world.pass(20).await;
    assert_eq!(
        world.told,
        ["0: pager"],
        "the step is overdue, and the window is open"
    );
    world.pass(60).await;
    assert_eq!(
        world.told.len(),
        2,
        "the step waits again once the window is over: {:?}",
        world.told
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_read_mutes_and_stops_nothing_else() {
    let world = World::new(vec![step(0, "pager")]).await;
    let (store, now_ms) = (world.store(), world.clock.now_ms());
    let hour = Duration::from_secs(3_600);
    let recurring = Maintenance {
        name: "weekly".to_owned(),
        matchers: Vec::new(),
        recurrence: Recurrence::cron("* * * * *", "UTC", hour).unwrap(),
    };
    let draft = MaintenanceDraft {
        window: recurring,
        author: "ann".to_owned(),
        comment: String::new(),
    };
    store.maintenance_insert(draft, now_ms).await.unwrap();
    store
        .silence_insert(silence_of("mail", now_ms), now_ms)
        .await
        .unwrap();
    for service in ["shop-api", "mail", "db"] {
        let rule = AlertRule {
            escalation: Some("ops".to_owned()),
            ..rule(service, "Down")
        };
        world
            .judge_at(now_ms, &rule, None, &breached())
            .await
            .unwrap();
    }
    for statement in [
        "UPDATE maintenance_windows SET zone = 'X/Y'",
        "UPDATE silences SET matchers = '[\"service=~\\\"(\\\"\"]'",
        "UPDATE alerts SET severity = 'odd' WHERE service = 'db'",
    ] {
        store.execute(statement).await;
    }
    world.look().await;
    let mut found = messages(store).await;
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "mail: Escalation",
            "mail: Transition",
            "shop-api: Escalation",
            "shop-api: Transition"
        ]
    );
    let warnings = store.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("maintenance window")),
        "{warnings:?}"
    );
    assert!(
        store.maintenance_list().await.unwrap().is_empty(),
        "the others are listed"
    );
    store.maintenance_delete("weekly").await.unwrap();
    world.look().await;
    assert_eq!(
        store.warnings().len(),
        2,
        "what is gone is no fault any more"
    );
}

#[tokio::test]
async fn a_step_that_cannot_be_taken_holds_up_no_other_one() {
    let world = World::new(vec![step(0, "pager")]).await;
    let (store, now_ms) = (world.store(), world.clock.now_ms());
    for service in ["a", "b", "c"] {
        let rule = AlertRule {
            escalation: Some("ops".to_owned()),
            ..rule(service, "Down")
        };
        world
            .judge_at(now_ms, &rule, None, &breached())
            .await
            .unwrap();
    }
    store
        .execute(
            "CREATE TRIGGER broken BEFORE UPDATE ON escalations WHEN NEW.alert_id = 2
             BEGIN SELECT RAISE(FAIL, 'odd'); END",
        )
        .await;
    let (_sender, catalog) = watch::channel(Arc::new(world.catalog.clone()));
    let mut dispatcher = world.dispatcher();
    let wait = dispatcher.try_look(&catalog).await.unwrap();
    let mut steps: Vec<String> = messages(store).await;
    steps.retain(|step| step.ends_with("Escalation"));
    steps.sort_unstable();
    assert_eq!(steps, ["a: Escalation", "c: Escalation"]);
    assert!(wait <= Duration::from_secs(1), "it is tried again soon");
    assert_eq!(
        dispatcher.deps.signals.warnings(),
        ["a step of the escalation of alert 2 can't be taken"]
    );
    store.execute("DROP TRIGGER broken").await;
    dispatcher.try_look(&catalog).await.unwrap();
    assert!(messages(store).await.contains(&"b: Escalation".to_owned()));
    assert!(dispatcher.deps.signals.warnings().is_empty());
}

#[tokio::test]
async fn one_silence_or_window_among_thousands_mutes() {
    let world = World::new(vec![step(0, "pager")]).await;
    let (store, now_ms) = (world.store(), world.clock.now_ms());
    // The oldest silence, and the last window by name.
    store
        .silence_insert(silence_of("shop-api", now_ms), now_ms)
        .await
        .unwrap();
    let mut last = window("zzz", now_ms - 1_000, now_ms + 3_600_000);
    last.window.matchers = vec![Matcher::parse("service=mail").unwrap()];
    store.maintenance_insert(last, now_ms).await.unwrap();
    store
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
             INSERT INTO silences (matchers, starts_ms, ends_ms, author, comment, created_ms)
                 SELECT '[\"service=other\"]', 0, 9000000000000, '', '', 0 FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
             INSERT INTO maintenance_windows (name, matchers, starts_ms, ends_ms, author, comment, created_ms)
                 SELECT 'a' || i, '[\"service=other\"]', 0, 9000000000000, '', '', 0 FROM n;",
        )
        .await;
    for service in ["shop-api", "mail"] {
        let rule = AlertRule {
            escalation: Some("ops".to_owned()),
            ..rule(service, "Down")
        };
        world
            .judge_at(now_ms, &rule, None, &breached())
            .await
            .unwrap();
    }
    world.look().await;
    assert_eq!(messages(store).await, Vec::<String>::new());
    let by: Vec<_> = store
        .alert_open_list()
        .await
        .unwrap()
        .into_iter()
        .filter_map(|alert| alert.suppressed_by)
        .collect();
    assert_eq!(by, ["silence 1", "maintenance `zzz`"]);
}

#[tokio::test]
async fn what_is_muted_and_cannot_be_marked_as_such_is_not_announced() {
    let world = World::new(vec![step(0, "pager")]).await;
    let (store, now_ms) = (world.store(), world.clock.now_ms());
    store
        .silence_insert(silence_of("shop-api", now_ms), now_ms)
        .await
        .unwrap();
    for service in ["shop-api", "mail"] {
        let rule = AlertRule {
            escalation: Some("ops".to_owned()),
            ..rule(service, "Down")
        };
        world
            .judge_at(now_ms, &rule, None, &breached())
            .await
            .unwrap();
    }
    let broken =
        "CREATE TRIGGER broken BEFORE UPDATE ON alerts BEGIN SELECT RAISE(FAIL, 'odd'); END";
    store.execute(broken).await;
    let (_sender, catalog) = watch::channel(Arc::new(world.catalog.clone()));
    assert!(
        world.dispatcher().try_look(&catalog).await.is_err(),
        "it is tried again"
    );
    assert_eq!(
        messages(store).await,
        ["mail: Escalation", "mail: Transition"]
    );
    // The silence ends before it was ever committed that it muted anything.
    store
        .execute("DROP TRIGGER broken; UPDATE silences SET ends_ms = 0")
        .await;
    world.look().await;
    assert!(
        messages(store)
            .await
            .contains(&"shop-api: Transition".to_owned()),
        "it is announced then"
    );
}
