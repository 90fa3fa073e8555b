//! Tests on the real store, under a clock that is set by hand.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::alerts::fakes::{self, EPOCH_MS, rule};
use crate::domain::{ChannelId, NotificationState};
use crate::store::Keyring;
use crate::store::control::{AfterAttempt, Attempt, AttemptOutcome, NotificationFilter};

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn it_is_sent_while_all_is_well_and_at_no_other_time() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = Keyring::load(None, dir.path()).unwrap();
    let store = ControlStore::open(&dir.path().join("control.db"), keyring)
        .await
        .unwrap();
    let (clock, signals) = (HandClock::default(), AlertSignals::default());
    let mut sender = WatchdogSender::new(store.clone(), Arc::new(clock.clone()), signals.clone());
    let catalog = fakes::catalog(&[rule("shop-api", "Down")]);
    let watchdog = Watchdog {
        channel: ChannelId("slack-1".to_owned()),
        interval: Duration::from_secs(60),
    };
    let deliver = async |id: i64| {
        let attempt = Attempt {
            started_ms: EPOCH_MS,
            duration_ms: 1,
            outcome: AttemptOutcome::Delivered,
            answer: String::new(),
        };
        store
            .notification_attempt(
                id,
                &attempt,
                AfterAttempt::new(NotificationState::Delivered, 0),
            )
            .await
            .unwrap();
    };

    assert!(
        !sender.send(&catalog, &watchdog).await.unwrap(),
        "the engine has not begun"
    );
    signals.beat(clock.now_ms());
    assert!(sender.send(&catalog, &watchdog).await.unwrap());
    assert!(
        !sender.send(&catalog, &watchdog).await.unwrap(),
        "the one before still waits"
    );
    deliver(1).await;
    signals.set_overdue(vec!["1 overdue: a message".to_owned()]);
    assert!(
        !sender.send(&catalog, &watchdog).await.unwrap(),
        "something is overdue"
    );
    signals.set_overdue(Vec::new());
    signals.set_not_recorded(Some("results are not committed since 07:43".to_owned()));
    assert!(
        !sender.send(&catalog, &watchdog).await.unwrap(),
        "results are not committed"
    );
    signals.set_not_recorded(None);
    assert!(sender.send(&catalog, &watchdog).await.unwrap());
    deliver(2).await;
    clock.0.store(61_000, Ordering::Relaxed);
    assert!(
        !sender.send(&catalog, &watchdog).await.unwrap(),
        "the engine is stuck"
    );
    clock.0.store(2 * 86_400_000, Ordering::Relaxed);
    signals.beat(clock.now_ms());
    assert!(sender.send(&catalog, &watchdog).await.unwrap());

    let filter = NotificationFilter {
        limit: 100,
        ..NotificationFilter::default()
    };
    let rows = store.notification_list(&filter).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (rows[0].reason, rows[0].alerts[0].name.as_str()),
        (NotificationReason::Watchdog, NAME)
    );
}
