use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::alerts::dispatch::decide;
use crate::alerts::fakes::{self, *};
use crate::alerts::lifecycle;
use crate::domain::{
    ChannelId, Finding, GroupMember, Inhibition, Matcher, RuleMemory, Timing, Verdict,
};

const FAULT: &str = "database or disk is full";

/// A breach at so many milliseconds of the clock's time.
fn breached(rule: &AlertRule, now_ms: UnixMillis) -> Change {
    let now_ms = EPOCH_MS + now_ms;
    let verdict = Verdict::Breached(Finding {
        summary: "found 90".to_owned(),
        ..Finding::default()
    });
    *lifecycle::judge(None, &RuleMemory::default(), &verdict, rule, now_ms)
        .change
        .expect("a breach is a change")
}

/// How a breach ends at so many milliseconds of the clock's time. `id`: its number, if the store
/// has it.
fn ended(rule: &AlertRule, breach: &Change, id: AlertId, now_ms: UnixMillis) -> Change {
    let (alert, memory) = (
        alert_of(&breach.alert, id),
        RuleMemory {
            was_breached: true,
            ..RuleMemory::default()
        },
    );
    let verdict = Verdict::Ok(Finding::default());
    let judged = lifecycle::judge(Some(&alert), &memory, &verdict, rule, EPOCH_MS + now_ms);
    *judged.change.expect("an end is a change")
}

fn group(alert: &Alert, told: NotifyState) -> AlertGroup {
    AlertGroup {
        id: 1,
        key: "Down:shop-api".to_owned(),
        channel: ChannelId("slack-1".to_owned()),
        labels: Vec::new(),
        timing: Timing::AT_ONCE,
        mute_times: Vec::new(),
        flush_at_ms: Some(0),
        last_notified_ms: None,
        revision: 1,
        members: vec![GroupMember {
            alert: alert.clone(),
            fired: alert.clone(),
            notify_state: told,
        }],
    }
}

struct World {
    store: TestStore,
    unrecorded: Unrecorded,
    notifier: FakeNotifier,
    catalog: watch::Sender<Arc<Catalog>>,
    stop: CancellationToken,
}

impl World {
    fn new(rules: &[AlertRule]) -> Self {
        let world = Self {
            store: TestStore::default(),
            unrecorded: Unrecorded::default(),
            notifier: FakeNotifier::default(),
            catalog: watch::channel(Arc::new(fakes::catalog(rules))).0,
            stop: CancellationToken::new(),
        };
        let sender = UnrecordedSender::new(
            world.store.control(),
            Arc::new(world.notifier.clone()),
            Arc::new(FakeClock::new()),
            world.unrecorded.clone(),
            String::new(),
        );
        tokio::spawn(sender.run(world.catalog.subscribe(), world.stop.clone()));
        world
    }

    fn offer(&self, rule: &AlertRule, change: &Change) {
        self.offer_at(rule, change, change.alert.updated_ms);
    }

    fn offer_at(&self, rule: &AlertRule, change: &Change, now_ms: UnixMillis) {
        self.unrecorded.offer(
            Some(rule),
            change,
            &self.catalog.borrow().clone(),
            FAULT,
            now_ms,
        );
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_breach_that_cant_be_committed_is_sent_once_with_a_note_and_so_is_its_end() {
    let rule = rule("shop-api", "Down");
    let world = World::new(std::slice::from_ref(&rule));
    for now_ms in [0, 1_000, 3_000] {
        world.offer_at(&rule, &breached(&rule, 0), EPOCH_MS + now_ms);
        seconds(5).await;
    }
    assert_eq!(world.notifier.inbox(), ["slack-1:firing:shop-api"]);
    let summary = world.notifier.tries()[0].1.alerts[0].0.summary.clone();
    assert_eq!(
        summary,
        format!("found 90 (sent from memory, it could not be recorded: {FAULT})")
    );
    let first = breached(&rule, 0);
    world.offer(&rule, &ended(&rule, &first, NOT_YET, 9_000));
    world.offer(&rule, &ended(&rule, &first, NOT_YET, 9_500));
    seconds(5).await;
    // The commit of the breach before is tried again.
    world.offer_at(&rule, &first, EPOCH_MS + 12_000);
    seconds(5).await;
    assert_eq!(
        world.notifier.inbox(),
        ["slack-1:firing:shop-api", "slack-1:resolved:shop-api"]
    );
    world.offer(&rule, &breached(&rule, 20_000));
    seconds(5).await;
    assert_eq!(
        world.notifier.inbox().len(),
        3,
        "the next breach is another alert"
    );
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_alert_goes_to_the_channels_that_were_notified_of_it_and_to_no_other() {
    let rule = AlertRule {
        channels: vec![
            ChannelId("slack-1".to_owned()),
            ChannelId("mail-1".to_owned()),
        ],
        ..rule("shop-api", "Down")
    };
    let world = World::new(std::slice::from_ref(&rule));
    let breach = breached(&rule, 0);
    let alert = alert_of(&breach.alert, AlertId(7));
    {
        // The group of the mail still waits for others.
        let mail = AlertGroup {
            id: 2,
            channel: ChannelId("mail-1".to_owned()),
            ..group(&alert, NotifyState::Pending)
        };
        let slack = group(&alert, NotifyState::Notified);
        for group in [slack, mail] {
            world.store.group_put(&group).await;
        }
    }
    world.offer(&rule, &ended(&rule, &breach, AlertId(7), 9_000));
    seconds(5).await;
    assert_eq!(world.notifier.inbox(), ["slack-1:resolved:shop-api"]);
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn each_of_two_outages_is_known_by_itself_when_both_are_on_record() {
    let rule = rule("shop-api", "Down");
    let world = World::new(std::slice::from_ref(&rule));
    let (first, second) = (breached(&rule, 0), breached(&rule, 20_000));
    for change in [&first, &ended(&rule, &first, NOT_YET, 10_000), &second] {
        world.offer(&rule, change);
        seconds(5).await;
    }
    let sent = [
        "slack-1:firing:shop-api",
        "slack-1:resolved:shop-api",
        "slack-1:firing:shop-api",
    ];
    assert_eq!(world.notifier.inbox(), sent);
    let fired = alert_of(&first.alert, AlertId(7));
    let resolved = alert_of(&ended(&rule, &first, AlertId(7), 10_000).alert, AlertId(7));
    let later = alert_of(&second.alert, AlertId(8));
    for alert in [&fired, &resolved, &later] {
        world.unrecorded.recorded(alert, EPOCH_MS + 30_000);
    }
    world
        .unrecorded
        .settled(&rule.key, Some(&later), EPOCH_MS + 30_000);
    let told_of = |alert: &Alert, told| {
        let mut due = group(alert, told);
        world.unrecorded.take_over(&mut due);
        due.members[0].notify_state
    };
    assert_eq!(told_of(&fired, NotifyState::Pending), NotifyState::Notified);
    assert_eq!(
        told_of(&resolved, NotifyState::Notified),
        NotifyState::Rejected
    );
    assert_eq!(told_of(&later, NotifyState::Pending), NotifyState::Notified);
    seconds(5).await;
    assert_eq!(world.notifier.inbox(), sent);
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_the_store_never_had_ends_when_all_of_its_rule_is_on_record() {
    let rule = rule("shop-api", "Down");
    let world = World::new(std::slice::from_ref(&rule));
    world.offer(&rule, &breached(&rule, 0));
    seconds(5).await;
    world.unrecorded.settled(&rule.key, None, EPOCH_MS + 10_000);
    seconds(5).await;
    assert_eq!(
        world.notifier.inbox(),
        ["slack-1:firing:shop-api", "slack-1:resolved:shop-api"]
    );
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_breach_that_came_and_went_in_memory_is_not_told_of_again_when_both_are_on_record() {
    let rule = rule("shop-api", "Down");
    let world = World::new(std::slice::from_ref(&rule));
    world.offer(&rule, &breached(&rule, 0));
    seconds(5).await;
    world.offer(&rule, &ended(&rule, &breached(&rule, 0), NOT_YET, 9_000));
    seconds(5).await;
    let alert = Alert {
        rule: rule.key.clone(),
        started_ms: EPOCH_MS,
        ..alert(7, "shop-api")
    };
    let resolved = Alert {
        state: AlertState::Resolved,
        ..alert.clone()
    };
    world.unrecorded.recorded(&alert, EPOCH_MS + 10_000);
    let mut due = group(&alert, NotifyState::Pending);
    world.unrecorded.take_over(&mut due);
    assert_eq!(due.members[0].notify_state, NotifyState::Notified);
    world.unrecorded.recorded(&resolved, EPOCH_MS + 10_000);
    let mut ended = group(&resolved, NotifyState::Pending);
    world.unrecorded.take_over(&mut ended);
    assert_eq!(ended.members[0].notify_state, NotifyState::Rejected);
    let next = Alert {
        id: AlertId(8),
        started_ms: EPOCH_MS + 20_000,
        ..alert
    };
    world.unrecorded.recorded(&next, EPOCH_MS + 20_000);
    assert!(
        world
            .unrecorded
            .take_over(&mut group(&next, NotifyState::Pending))
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_fails_is_tried_again_and_many_alerts_are_one_message() {
    let rules: Vec<AlertRule> = (0..5)
        .map(|index| rule(&format!("shop-{index}"), "Down"))
        .collect();
    let world = World::new(&rules);
    world.notifier.set("slack-1", Line::Down);
    for rule in &rules {
        world.offer(rule, &breached(rule, 0));
    }
    seconds(5).await;
    world.notifier.set("slack-1", Line::Up);
    seconds(30).await;
    let tries = world.notifier.tries();
    assert_eq!(world.notifier.inbox().len(), 1);
    assert!(tries.len() > 1 && tries.iter().all(|(_, message)| message.alerts.len() == 5));
    assert!(
        tries.iter().all(|(_, message)| message.id == tries[0].1.id),
        "one key for all attempts"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_from_memory_is_not_sent_again_when_it_is_on_record() {
    let rule = rule("shop-api", "Down");
    let world = World::new(std::slice::from_ref(&rule));
    world.offer(&rule, &breached(&rule, 0));
    seconds(5).await;
    let alert = Alert {
        rule: rule.key.clone(),
        started_ms: EPOCH_MS,
        ..alert(7, "shop-api")
    };
    world.unrecorded.recorded(&alert, EPOCH_MS);
    let mut due = group(&alert, NotifyState::Pending);
    assert_eq!(
        world.unrecorded.take_over(&mut due),
        [(AlertId(7), NotifyState::Notified)]
    );
    assert_eq!(due.members[0].notify_state, NotifyState::Notified);
    let other = Alert {
        id: AlertId(8),
        ..alert.clone()
    };
    assert!(
        world
            .unrecorded
            .take_over(&mut group(&other, NotifyState::Pending))
            .is_empty(),
        "another alert is news"
    );
    // The usual way goes on from there.
    let resolved = Alert {
        state: AlertState::Resolved,
        ..alert
    };
    world.unrecorded.recorded(&resolved, EPOCH_MS);
    let mut ended = group(&resolved, NotifyState::Notified);
    assert!(world.unrecorded.take_over(&mut ended).is_empty());
    assert_eq!(ended.members[0].notify_state, NotifyState::Notified);
    assert_eq!(world.notifier.inbox().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_record_before_it_was_sent_goes_the_usual_way() {
    let rule = rule("shop-api", "Down");
    let world = World::new(std::slice::from_ref(&rule));
    world.offer(&rule, &breached(&rule, 0));
    let alert = Alert {
        rule: rule.key.clone(),
        started_ms: EPOCH_MS,
        ..alert(7, "shop-api")
    };
    world.unrecorded.recorded(&alert, EPOCH_MS);
    seconds(5).await;
    assert!(world.notifier.inbox().is_empty());
    assert!(
        world
            .unrecorded
            .take_over(&mut group(&alert, NotifyState::Pending))
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn an_older_breach_whose_end_comes_late_says_nothing_of_the_one_that_lasts() {
    let rule = rule("shop-api", "Down");
    let world = World::new(std::slice::from_ref(&rule));
    let older = alert_of(&breached(&rule, 0).alert, AlertId(7));
    let ended = Alert {
        state: AlertState::Resolved,
        resolved_ms: Some(EPOCH_MS + 10_000),
        ..older
    };
    world.offer(&rule, &breached(&rule, 20_000));
    seconds(5).await;
    let flush = decide(
        &group(&ended, NotifyState::Notified),
        false,
        EPOCH_MS + 25_000,
    );
    assert_eq!(flush.notifications.len(), 1, "the end is owed");
    world
        .unrecorded
        .offer_flushes(&[flush], FAULT, EPOCH_MS + 25_000);
    seconds(5).await;
    assert_eq!(world.notifier.inbox(), ["slack-1:firing:shop-api"]);
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_was_sent_from_memory_inhibits_what_comes_later() {
    let (cause, effect) = (rule("shop-api", "Down"), rule("mail", "Slow"));
    let world = World::new(&[cause.clone(), effect.clone()]);
    let matchers = |text: &str| vec![Matcher::parse(text).unwrap()];
    let inhibition = Inhibition {
        source: matchers("alertname=Down"),
        target: matchers("alertname=Slow"),
        equal: Vec::new(),
    };
    world
        .catalog
        .send_modify(|catalog| Arc::make_mut(catalog).inhibitions = Arc::new(vec![inhibition]));
    world.offer(&cause, &breached(&cause, 0));
    seconds(5).await;
    world.offer(&effect, &breached(&effect, 6_000));
    seconds(5).await;
    assert_eq!(world.notifier.inbox(), ["slack-1:firing:shop-api"]);
    world.stop.cancel();
}
