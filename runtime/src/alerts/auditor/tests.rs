//! Tests on the real store, under a clock that is set by hand.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::alerts::fakes::{EPOCH_MS, breached, rule};
use crate::alerts::lifecycle;
use crate::alerts::ports::Transition;
use crate::domain::{
    AlertId, ChannelId, EscalationProgress, GroupDraft, NotificationDraft, NotificationReason,
    NotificationState, NotificationStatus, RuleMemory, Timing,
};
use crate::store::Keyring;
use crate::store::control::{AfterAttempt, Attempt, AttemptOutcome, EscalationDraft};

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn finds_what_nobody_did_and_says_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::load(None, dir.path()).unwrap();
    let store = ControlStore::open(&dir.path().join("control.db"), keyring)
        .await
        .unwrap();
    let (clock, signals) = (HandClock::default(), AlertSignals::default());
    let mut auditor = Auditor::new(
        store.clone(),
        Arc::new(clock.clone()),
        signals.clone(),
        watch::channel(Arc::default()).1,
    );
    let judged = lifecycle::judge(
        None,
        &RuleMemory::default(),
        &breached(),
        &rule("shop-api", "Down"),
        EPOCH_MS,
    );
    let change = judged.change.unwrap();
    let group = GroupDraft {
        key: "Down:shop-api".to_owned(),
        channel: ChannelId("slack-1".to_owned()),
        labels: vec![],
        timing: Timing::AT_ONCE,
        mute_times: vec![],
        flush_at_ms: EPOCH_MS,
    };
    let escalation = EscalationDraft {
        policy: "ops".to_owned(),
        progress: EscalationProgress {
            step: 0,
            taken: 0,
            due_ms: Some(EPOCH_MS + 600_000),
            wait_ms: Some(600_000),
        },
    };
    let transition = Transition {
        alert: change.alert,
        event: change.event,
        groups: vec![group],
        is_news: false,
        memory: None,
        escalation: Some(escalation),
    };
    let (alert, _) = store.transition_commit(transition).await.unwrap();
    let message = NotificationDraft {
        group_key: "other".to_owned(),
        group_labels: vec![],
        channel: ChannelId("pager-1".to_owned()),
        reason: NotificationReason::Test,
        status: NotificationStatus::Firing,
        idempotency_key: "k".to_owned(),
        alerts: vec![alert.clone()],
        omitted: 0,
    };
    store
        .notification_queue(message, EPOCH_MS + 300_000)
        .await
        .unwrap();

    let mut counts = Vec::new();
    for second in [0, 30, 90, 120, 400, 700, 720] {
        clock.0.store(second * 1_000, Ordering::Relaxed);
        auditor.look().await.unwrap();
        let (_, events) = store.alert_get(AlertId(1)).await.unwrap().unwrap();
        let noted = events.iter().filter(|event| event.actor == AUDITOR).count();
        counts.push((second, signals.overdue().len(), noted));
    }
    // The group from one minute on, the message from six, the step from eleven; each is noted once.
    assert_eq!(
        counts,
        [
            (0, 0, 0),
            (30, 0, 0),
            (90, 1, 1),
            (120, 1, 1),
            (400, 2, 2),
            (700, 3, 3),
            (720, 3, 3)
        ]
    );
    let (_, events) = store.alert_get(AlertId(1)).await.unwrap().unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.reason.contains("step of an escalation")),
        "{events:?}"
    );

    // Once it is done, all is well again.
    for group in store.group_due(i64::MAX, 10).await.unwrap() {
        let flush = crate::alerts::dispatch::decide(&group, false, clock.now_ms());
        store.group_flush(&[flush], clock.now_ms()).await.unwrap();
    }
    auditor.look().await.unwrap();
    assert_eq!(signals.overdue().len(), 2, "{:?}", signals.overdue());
}

fn queued(channel: &str, group: &str) -> NotificationDraft {
    NotificationDraft {
        group_key: group.to_owned(),
        group_labels: vec![],
        channel: ChannelId(channel.to_owned()),
        reason: NotificationReason::Transition,
        status: NotificationStatus::Firing,
        idempotency_key: format!("{channel}/{group}/{:x}", rand::random::<u64>()),
        alerts: vec![],
        omitted: 0,
    }
}

#[tokio::test]
async fn messages_that_wait_for_a_limit_or_a_failing_receiver_are_not_overdue() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::load(None, dir.path()).unwrap();
    let store = ControlStore::open(&dir.path().join("control.db"), keyring)
        .await
        .unwrap();
    let (clock, signals) = (HandClock::default(), AlertSignals::default());
    let mut catalog = Catalog::default();
    let rate_limit = crate::domain::MessageRate {
        messages: 1,
        per: Duration::from_secs(3_600),
        digest: false,
    };
    let options = crate::domain::ChannelOptions {
        rate_limit: Some(rate_limit),
        ..Default::default()
    };
    let limited = crate::domain::Channel {
        options,
        ..crate::alerts::fakes::channel("limited")
    };
    catalog
        .channels
        .insert(limited.id.clone(), Arc::new(limited));
    let catalog = watch::channel(Arc::new(catalog)).1;
    let mut auditor = Auditor::new(
        store.clone(),
        Arc::new(clock.clone()),
        signals.clone(),
        catalog,
    );
    let attempt = async |id: i64, second: i64, state: NotificationState, next_s: i64| {
        let outcome = if state == NotificationState::Waiting {
            AttemptOutcome::Retry
        } else {
            AttemptOutcome::Delivered
        };
        let (started_ms, answer) = (EPOCH_MS + second * 1_000, "503".to_owned());
        let attempt = Attempt {
            started_ms,
            duration_ms: 1,
            outcome,
            answer,
        };
        store
            .notification_attempt(
                id,
                &attempt,
                AfterAttempt::new(state, EPOCH_MS + next_s * 1_000),
            )
            .await
            .unwrap();
    };
    // The limit allows the first of two messages.
    let first = store
        .notification_queue(queued("limited", "one"), EPOCH_MS)
        .await
        .unwrap();
    store
        .notification_queue(queued("limited", "two"), EPOCH_MS)
        .await
        .unwrap();
    attempt(first.id, 0, NotificationState::Delivered, 0).await;
    // A receiver that is down: the first of a group is tried again and again, the second waits
    // behind it.
    let failing = store
        .notification_queue(queued("down", "one"), EPOCH_MS)
        .await
        .unwrap();
    store
        .notification_queue(queued("down", "one"), EPOCH_MS)
        .await
        .unwrap();
    attempt(failing.id, 0, NotificationState::Waiting, 3_000).await;
    let mut counts = Vec::new();
    for second in [100, 1_000, 2_990, 3_590] {
        clock.0.store(second * 1_000, Ordering::Relaxed);
        auditor.look().await.unwrap();
        counts.push((second, signals.overdue().len()));
        if second == 2_990 {
            attempt(failing.id, 3_000, NotificationState::Waiting, 9_000).await;
        }
    }
    assert_eq!(counts, [(100, 0), (1_000, 0), (2_990, 0), (3_590, 0)]);
    // The limit has had room for the second one for more than a minute.
    clock.0.store(3_700_000, Ordering::Relaxed);
    auditor.look().await.unwrap();
    assert_eq!(signals.overdue().len(), 1, "{:?}", signals.overdue());
}
