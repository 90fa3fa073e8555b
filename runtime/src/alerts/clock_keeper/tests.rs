//! Tests on the real store, under a clock that is set by hand.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::alerts::fakes::{EPOCH_MS, breached, rule};
use crate::alerts::lifecycle;
use crate::alerts::ports::{EscalationDraft, MemoryChange, Transition};
use crate::domain::{
    ChannelId, EscalationProgress, GroupDraft, NotificationDraft, NotificationReason,
    NotificationState, NotificationStatus, RuleMemory, Timing, UnixMillis,
};
use crate::store::Keyring;
use crate::store::control::{AfterAttempt, Attempt, AttemptOutcome};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.load(Ordering::Relaxed)
    }
}

struct World {
    _dir: tempfile::TempDir,
    store: ControlStore,
    clock: HandClock,
    signals: AlertSignals,
}

impl World {
    /// A group that waits 5 minutes, a message that waits 8 and an escalation that waits 10.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, dir.path()).unwrap();
        let store = ControlStore::open(&dir.path().join("control.db"), keyring)
            .await
            .unwrap();
        let rule = rule("shop-api", "Down");
        let judged = lifecycle::judge(None, &RuleMemory::default(), &breached(), &rule, EPOCH_MS);
        let change = judged.change.unwrap();
        let five = Duration::from_secs(300);
        let group = GroupDraft {
            key: "Down".to_owned(),
            channel: ChannelId("slack-1".to_owned()),
            labels: vec![],
            timing: Timing {
                wait: five,
                interval: five,
                repeat: five * 12,
            },
            mute_times: vec![],
            flush_at_ms: EPOCH_MS + 5 * MINUTE,
        };
        let progress = EscalationProgress {
            step: 0,
            taken: 0,
            due_ms: Some(EPOCH_MS + 10 * MINUTE),
            wait_ms: Some(10 * MINUTE),
        };
        let transition = Transition {
            alert: change.alert,
            event: change.event,
            groups: vec![group],
            is_news: false,
            memory: Some(MemoryChange::of(&RuleMemory::default(), judged.memory)),
            escalation: Some(EscalationDraft {
                policy: "ops".to_owned(),
                progress,
            }),
        };
        let alert = store.transition_commit(transition).await.unwrap().0;
        let draft = NotificationDraft {
            group_key: "other".to_owned(),
            group_labels: vec![],
            channel: ChannelId("slack-1".to_owned()),
            reason: NotificationReason::Watchdog,
            status: NotificationStatus::Firing,
            idempotency_key: "1".repeat(32),
            alerts: vec![alert],
            omitted: 0,
        };
        store
            .notification_queue_alone(draft, EPOCH_MS)
            .await
            .unwrap();
        let answer = String::new();
        let attempt = Attempt {
            started_ms: EPOCH_MS,
            duration_ms: 1,
            outcome: AttemptOutcome::Retry,
            answer,
        };
        let after = AfterAttempt::new(NotificationState::Waiting, EPOCH_MS + 8 * MINUTE);
        store
            .notification_attempt(1, &attempt, after)
            .await
            .unwrap();
        Self {
            _dir: dir,
            store,
            clock: HandClock::default(),
            signals: AlertSignals::default(),
        }
    }

    fn keeper(&self) -> ClockKeeper {
        ClockKeeper::new(
            self.store.clone(),
            Arc::new(self.clock.clone()),
            self.signals.clone(),
        )
    }

    /// Minutes after the epoch: group, message, escalation.
    async fn due(&self) -> [i64; 3] {
        let group = self.store.group_next_due(i64::MIN).await.unwrap().unwrap();
        let message = self.store.notification_next_due().await.unwrap().unwrap();
        let escalation = self
            .store
            .escalation_next_due(i64::MIN)
            .await
            .unwrap()
            .unwrap();
        [group, message, escalation].map(|due_ms| (due_ms - EPOCH_MS) / MINUTE)
    }
}

#[tokio::test]
async fn a_clock_set_back_makes_nothing_wait_longer() {
    let world = World::new().await;
    let mut keeper = world.keeper();
    keeper.look().await.unwrap();
    assert_eq!(
        world.due().await,
        [5, 1, 10],
        "a message waits a minute at most after a start"
    );
    // Six minutes later the clock is set back by an hour.
    world.clock.0.store(6 * MINUTE - HOUR, Ordering::Relaxed);
    world.signals.clock_jumps().add(-HOUR);
    keeper.look().await.unwrap();
    assert_eq!(
        world.due().await,
        [-54, -54, -50],
        "the group and the message at once, the escalation in four minutes"
    );
    keeper.look().await.unwrap();
    assert_eq!(world.due().await, [-54, -54, -50], "moved once");
}

#[tokio::test]
async fn a_clock_set_back_while_the_program_was_stopped_makes_nothing_wait_longer_than_its_interval()
 {
    let world = World::new().await;
    world.clock.0.store(-24 * HOUR, Ordering::Relaxed);
    world.keeper().look().await.unwrap();
    assert_eq!(
        world.due().await,
        [5, 1, 10].map(|minutes| minutes - 24 * 60)
    );
}

#[tokio::test]
async fn a_clock_set_ahead_moves_nothing() {
    let world = World::new().await;
    let mut keeper = world.keeper();
    world.clock.0.store(24 * HOUR, Ordering::Relaxed);
    world.signals.clock_jumps().add(24 * HOUR);
    keeper.look().await.unwrap();
    assert_eq!(world.due().await, [5, 8, 10], "all of it is due now");
}
