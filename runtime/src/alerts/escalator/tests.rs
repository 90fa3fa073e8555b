//! Timelines on the real store, under a clock that stands where it is put.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::alerts::fakes::{self, EPOCH_MS, breached, ok, rule};
use crate::alerts::ports::{CommitError, MemoryChange, Transition};
use crate::alerts::{AlertActions, AlertStore, lifecycle};
use crate::domain::{
    Alert, AlertId, AlertRule, EscalationPolicy, EscalationStep, GroupDraft, NotificationReason, NotificationStatus,
    RuleMemory, StepRepeat, Timing,
};
use crate::store::Keyring;
use crate::store::control::{EscalationDraft, NotificationFilter};

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.load(Ordering::Relaxed)
    }
}

struct World {
    dir: tempfile::TempDir,
    /// None only while the program does not run.
    running: Option<ControlStore>,
    clock: HandClock,
    catalog: Catalog,
    rule: AlertRule,
    /// Minute and channel of each message made by an escalation.
    told: Vec<String>,
    seen: i64,
}

async fn open(dir: &Path) -> ControlStore {
    ControlStore::open(&dir.join("control.db"), Keyring::load(None, dir).unwrap()).await.unwrap()
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
    EscalationStep { repeat: Some(StepRepeat { every: Duration::from_secs(every_minutes * 60), times }), ..step }
}

impl World {
    async fn new(steps: Vec<EscalationStep>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let rule = AlertRule { escalation: Some("ops".to_owned()), ..rule("shop-api", "Down") };
        let mut catalog = fakes::catalog(std::slice::from_ref(&rule));
        for step in &steps {
            for id in &step.channels {
                catalog.channels.insert(id.clone(), Arc::new(fakes::channel(&id.0)));
            }
        }
        let policy = EscalationPolicy { name: "ops".to_owned(), steps };
        catalog.escalations = BTreeMap::from([("ops".to_owned(), Arc::new(policy))]);
        Self { dir, running: Some(store), clock: HandClock::default(), catalog, rule, told: Vec::new(), seen: 0 }
    }

    fn store(&self) -> &ControlStore {
        self.running.as_ref().unwrap()
    }

    fn minute(&self) -> i64 {
        self.clock.0.load(Ordering::Relaxed) / 60_000
    }

    fn escalator(&self) -> Escalator {
        Escalator::new(self.store().clone(), Arc::new(self.clock.clone()), AlertSignals::default())
    }

    fn actions(&self) -> AlertActions {
        AlertActions::new(Arc::new(self.store().clone()), Arc::new(self.clock.clone()), AlertSignals::default())
    }

    async fn judge(&self, current: Option<&Alert>, verdict: &crate::domain::Verdict) -> Result<Alert, CommitError> {
        let now_ms = self.clock.now_ms();
        let judged = lifecycle::judge(current, &RuleMemory::default(), verdict, &self.rule, now_ms);
        let change = judged.change.expect("something changes");
        let policy = &self.catalog.escalations["ops"];
        let progress = policy.begin(now_ms).unwrap();
        let escalation = current.is_none().then(|| EscalationDraft {
            policy: "ops".to_owned(),
            progress,
            wait_ms: policy.wait(progress).unwrap().as_millis() as i64,
        });
        let group = GroupDraft {
            key: "Down:shop-api".to_owned(),
            channel: ChannelId("slack-1".to_owned()),
            labels: vec![],
            timing: Timing::AT_ONCE,
            mute_times: vec![],
            flush_at_ms: now_ms,
        };
        let groups = if current.is_none() { vec![group] } else { vec![] };
        let memory = Some(MemoryChange::of(&RuleMemory::default(), judged.memory));
        let transition =
            Transition { alert: change.alert, event: change.event, groups, is_news: false, memory, escalation };
        AlertStore::transition_commit(self.store(), transition).await.map(|committed| committed.alert)
    }

    /// Minute by minute, noting what is told.
    async fn pass(&mut self, minutes: i64) {
        for _ in 0..=minutes {
            self.escalator().take_due(&self.catalog).await.unwrap();
            let filter = NotificationFilter { limit: 1_000, ..NotificationFilter::default() };
            let mut rows = self.store().notification_list(&filter).await.unwrap();
            rows.retain(|row| row.id > self.seen && row.reason == NotificationReason::Escalation);
            rows.reverse();
            for row in rows {
                assert_eq!(row.status, NotificationStatus::Firing);
                self.seen = row.id;
                self.told.push(format!("{}: {}", self.minute(), row.channel.0));
            }
            self.clock.0.fetch_add(60_000, Ordering::Relaxed);
        }
        self.clock.0.fetch_sub(60_000, Ordering::Relaxed);
    }

    /// As by `kill -9`, and a time without the program.
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
        ("step by step, and then no more", two(), vec![Pass(60)], vec!["5: pager", "15: boss"]),
        ("an acknowledgement stops it", two(), vec![Pass(7), Acknowledge(None), Pass(600)], vec!["5: pager"]),
        ("before the first step as well", two(), vec![Acknowledge(None), Pass(600)], vec![]),
        ("a recovery stops it", two(), vec![Pass(7), Recover, Pass(60)], vec!["5: pager"]),
        ("so does a person", two(), vec![Pass(7), Resolve, Pass(60)], vec!["5: pager"]),
        (
            "when the acknowledgement runs out, it goes on where it stood and waits again",
            two(),
            vec![Pass(7), Acknowledge(Some(30)), Pass(29), Expire, Pass(1), Expire, Pass(30)],
            vec!["5: pager", "47: boss"],
        ),
        (
            "when it is taken back as well",
            two(),
            vec![Pass(7), Acknowledge(None), Pass(13), Unacknowledge, Pass(30)],
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
                    drop(world.actions().acknowledge(AlertId(1), "ann", until_ms, "").await.unwrap());
                }
                Unacknowledge => drop(world.actions().unacknowledge(AlertId(1), "ann", "").await.unwrap()),
                Resolve => drop(world.actions().resolve(AlertId(1), "ann", "").await.unwrap()),
                Recover => drop(world.judge(Some(&world.alert().await), &ok()).await.unwrap()),
                Restart(minutes) => world.restart_after(minutes).await,
                Expire => {
                    if let Some(change) = lifecycle::expire(&world.alert().await, world.clock.now_ms()) {
                        let signals = AlertSignals::default();
                        crate::alerts::actions::commit(world.store(), &signals, change, None).await.unwrap();
                    }
                }
            }
        }
        assert_eq!(world.told, wanted, "{name}");
    }
}

#[tokio::test]
async fn whoever_was_told_by_a_step_is_told_of_the_end_once() {
    // `slack-1` hears of the alert anyway, `pager` by the step alone.
    let both = EscalationStep {
        channels: vec![ChannelId("slack-1".to_owned()), ChannelId("pager".to_owned())],
        ..step(1, "pager")
    };
    let mut world = World::new(vec![both]).await;
    let alert = world.judge(None, &breached()).await.unwrap();
    world.pass(2).await;
    assert_eq!(world.told, ["1: slack-1", "1: pager"]);
    world.judge(Some(&alert), &ok()).await.unwrap();
    for group in world.store().group_due(i64::MAX, 100).await.unwrap() {
        let flush = crate::alerts::dispatch::decide(&group, false, world.clock.now_ms());
        world.store().group_flush(&[flush], world.clock.now_ms()).await.unwrap();
    }
    let filter = NotificationFilter { limit: 100, ..NotificationFilter::default() };
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
    assert!(reasons.contains(&"escalation `ops`, step 1: tells slack-1, pager"), "{reasons:?}");
    assert_eq!(world.store().escalation_get(AlertId(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_policy_that_went_ends_its_escalations_and_says_so() {
    let mut world = World::new(vec![step(1, "pager")]).await;
    world.judge(None, &breached()).await.unwrap();
    world.catalog.escalations.clear();
    world.pass(5).await;
    assert!(world.told.is_empty());
    let (_, events) = world.store().alert_get(AlertId(1)).await.unwrap().unwrap();
    assert!(events.last().unwrap().reason.contains("no longer configured"));
}
