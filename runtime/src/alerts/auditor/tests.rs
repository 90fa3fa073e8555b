//! On the real store, under a clock that stands where it is put.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::alerts::fakes::{EPOCH_MS, breached, rule};
use crate::alerts::lifecycle;
use crate::alerts::ports::Transition;
use crate::domain::{
    AlertId, ChannelId, EscalationProgress, GroupDraft, NotificationDraft, NotificationReason, NotificationStatus,
    RuleMemory, Timing,
};
use crate::store::Keyring;
use crate::store::control::EscalationDraft;

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
    let store = ControlStore::open(&dir.path().join("control.db"), keyring).await.unwrap();
    let (clock, signals) = (HandClock::default(), AlertSignals::default());
    let mut auditor = Auditor::new(store.clone(), Arc::new(clock.clone()), signals.clone());
    let judged = lifecycle::judge(None, &RuleMemory::default(), &breached(), &rule("shop-api", "Down"), EPOCH_MS);
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
        progress: EscalationProgress { step: 0, taken: 0, due_ms: EPOCH_MS + 600_000 },
        wait_ms: 600_000,
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
    store.notification_queue(message, EPOCH_MS + 300_000).await.unwrap();

    let mut counts = Vec::new();
    for second in [0, 30, 90, 120, 400, 700, 720] {
        clock.0.store(second * 1_000, Ordering::Relaxed);
        auditor.look().await.unwrap();
        let (_, events) = store.alert_get(AlertId(1)).await.unwrap().unwrap();
        let noted = events.iter().filter(|event| event.actor == AUDITOR).count();
        counts.push((second, signals.overdue().len(), noted));
    }
    // The group from one minute on, the message from six, the step from eleven; each is noted once.
    assert_eq!(counts, [(0, 0, 0), (30, 0, 0), (90, 1, 1), (120, 1, 1), (400, 2, 2), (700, 3, 3), (720, 3, 3)]);
    let (_, events) = store.alert_get(AlertId(1)).await.unwrap().unwrap();
    assert!(events.iter().any(|event| event.reason.contains("step of an escalation")), "{events:?}");

    // Once it is done, all is well again.
    for group in store.group_due(i64::MAX, 10).await.unwrap() {
        let flush = crate::alerts::dispatch::decide(&group, false, clock.now_ms());
        store.group_flush(&[flush], clock.now_ms()).await.unwrap();
    }
    auditor.look().await.unwrap();
    assert_eq!(signals.overdue().len(), 2, "{:?}", signals.overdue());
}
