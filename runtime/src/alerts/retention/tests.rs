//! Tests on the real store.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::alerts::fakes::{EPOCH_MS, FakeResults};
use crate::alerts::ports::{
    AfterAttempt, AlertDraft, Attempt, AttemptOutcome, EventDraft, Transition,
};
use crate::domain::{
    Alert, AlertState, ChannelId, DeliveryDraft, DeliveryOutcome, NotificationDraft,
    NotificationReason, NotificationState, NotificationStatus, Severity, WebhookRequest,
};
use crate::store::Keyring;
use crate::store::control::{AlertFilter, NotificationFilter, SilenceDraft};

#[derive(Clone, Default)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.load(Ordering::Relaxed)
    }
}

async fn open(dir: &std::path::Path) -> ControlStore {
    let keyring = Keyring::load(None, dir).unwrap();
    ControlStore::open(&dir.join("control.db"), keyring)
        .await
        .unwrap()
}

async fn step(
    store: &ControlStore,
    of: Option<&Alert>,
    rule: &str,
    to: AlertState,
    ts_ms: UnixMillis,
) -> Alert {
    let alert = AlertDraft {
        id: of.map(|alert| alert.id),
        name: rule.to_owned(),
        rule: format!("shop-api/{rule}"),
        service: "shop-api".to_owned(),
        severity: Severity::Critical,
        state: to,
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: ts_ms,
        fired_ms: Some(ts_ms),
        resolved_ms: (to == AlertState::Resolved).then_some(ts_ms),
        updated_ms: ts_ms,
        flags: Default::default(),
        labels: Default::default(),
    };
    let from = of.map(|alert| alert.state);
    let event = EventDraft {
        ts_ms,
        from,
        to,
        actor: "engine".to_owned(),
        reason: String::new(),
    };
    let transition = Transition {
        alert,
        event,
        groups: vec![],
        is_news: false,
        memory: None,
        escalation: None,
    };
    store.transition_commit(transition).await.unwrap().0
}

/// A message about an alert; delivered or left waiting.
async fn message(
    store: &ControlStore,
    alert: &Alert,
    is_delivered: bool,
    made_ms: UnixMillis,
) -> i64 {
    let draft = NotificationDraft {
        group_key: "g".to_owned(),
        group_labels: vec![],
        channel: ChannelId("mail".to_owned()),
        reason: NotificationReason::Transition,
        status: NotificationStatus::Firing,
        idempotency_key: format!("{:032x}", rand::random::<u128>()),
        alerts: vec![alert.clone()],
        omitted: 0,
    };
    let id = store.notification_queue(draft, made_ms).await.unwrap().id;
    if is_delivered {
        let (outcome, answer) = (AttemptOutcome::Delivered, String::new());
        let attempt = Attempt {
            started_ms: made_ms,
            duration_ms: 1,
            outcome,
            answer,
        };
        store
            .notification_attempt(
                id,
                &attempt,
                AfterAttempt::new(NotificationState::Delivered, 0),
            )
            .await
            .unwrap();
    }
    id
}

async fn ids(store: &ControlStore) -> (Vec<i64>, Vec<i64>) {
    let alerts = store
        .alert_list(&AlertFilter {
            limit: 1_000,
            ..Default::default()
        })
        .await
        .unwrap();
    let messages = store
        .notification_list(&NotificationFilter {
            limit: 1_000,
            ..Default::default()
        })
        .await
        .unwrap();
    (
        alerts.iter().rev().map(|alert| alert.id.0).collect(),
        messages.iter().rev().map(|row| row.id).collect(),
    )
}

fn retention(
    store: &ControlStore,
    results: &FakeResults,
    clock: &HandClock,
) -> Retention<FakeResults> {
    let settings = RetentionSettings::default();
    Retention::new(
        store.clone(),
        results.clone(),
        Arc::new(clock.clone()),
        settings,
    )
}

#[tokio::test]
async fn what_is_over_goes_after_its_time_and_what_is_needed_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (results, clock) = (FakeResults::default(), HandClock::default());
    let over = step(&store, None, "Over", AlertState::Firing, EPOCH_MS).await;
    message(&store, &over, true, EPOCH_MS).await;
    step(&store, Some(&over), "Over", AlertState::Resolved, EPOCH_MS).await;
    let open = step(&store, None, "Open", AlertState::Firing, EPOCH_MS).await;
    let kept = message(&store, &open, true, EPOCH_MS).await;
    let waiting = step(&store, None, "Waiting", AlertState::Firing, EPOCH_MS).await;
    let unsent = message(&store, &waiting, false, EPOCH_MS).await;
    step(
        &store,
        Some(&waiting),
        "Waiting",
        AlertState::Resolved,
        EPOCH_MS,
    )
    .await;
    let draft = |ends_ms| SilenceDraft {
        matchers: vec![],
        starts_ms: EPOCH_MS,
        ends_ms,
        author: String::new(),
        comment: String::new(),
    };
    let year_ms = 366 * DAY.as_millis() as i64;
    store
        .silence_insert(draft(EPOCH_MS + 1), EPOCH_MS)
        .await
        .unwrap();
    store
        .silence_insert(draft(EPOCH_MS + year_ms * 2), EPOCH_MS)
        .await
        .unwrap();

    clock
        .0
        .store(89 * DAY.as_millis() as i64, Ordering::Relaxed);
    let retention = retention(&store, &results, &clock);
    retention.round().await.unwrap();
    assert_eq!(
        ids(&store).await,
        (vec![1, 2, 3], vec![1, 2, 3]),
        "nothing is old enough"
    );

    clock.0.store(year_ms, Ordering::Relaxed);
    retention.round().await.unwrap();
    assert_eq!(
        ids(&store).await.0,
        [1, 2, 3],
        "no event was copied to the results yet"
    );
    assert_eq!(
        ids(&store).await.1,
        [kept, unsent],
        "a message is kept while its alert is open, or while it waits"
    );

    results
        .alert_event_append(store.alert_event_after(0, 100).await.unwrap())
        .await
        .unwrap();
    retention.round().await.unwrap();
    assert_eq!(
        ids(&store).await.0,
        [open.id.0, waiting.id.0],
        "an alert is kept while it is open or a message waits"
    );
    assert_eq!(
        store
            .silence_page(true, EPOCH_MS, None, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.notification_attempts(1).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_round_goes_on_behind_rows_that_have_to_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (results, clock) = (FakeResults::default(), HandClock::default());
    let open = step(&store, None, "Open", AlertState::Firing, EPOCH_MS).await;
    let over = step(&store, None, "Over", AlertState::Firing, EPOCH_MS).await;
    step(&store, Some(&over), "Over", AlertState::Resolved, EPOCH_MS).await;
    // More than a step looks at, all of one moment.
    for _ in 0..STEP_ROWS + 5 {
        message(&store, &open, true, EPOCH_MS).await;
    }
    message(&store, &over, true, EPOCH_MS).await;
    clock
        .0
        .store(100 * DAY.as_millis() as i64, Ordering::Relaxed);
    retention(&store, &results, &clock).round().await.unwrap();
    let over = NotificationFilter {
        alert: Some(over.id),
        limit: 10,
        ..Default::default()
    };
    assert_eq!(store.notification_list(&over).await.unwrap(), []);
    let open = NotificationFilter {
        alert: Some(open.id),
        limit: 1_000,
        ..Default::default()
    };
    assert_eq!(
        store.notification_list(&open).await.unwrap().len(),
        STEP_ROWS as usize + 5
    );
}

#[tokio::test]
async fn signs_of_life_go_after_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (results, clock) = (FakeResults::default(), HandClock::default());
    let alert = step(&store, None, "Open", AlertState::Firing, EPOCH_MS).await;
    for index in 0..3 {
        let draft = NotificationDraft {
            group_key: "watchdog".to_owned(),
            group_labels: vec![],
            channel: ChannelId("mail".to_owned()),
            reason: NotificationReason::Watchdog,
            status: NotificationStatus::Firing,
            idempotency_key: format!("w{index}"),
            alerts: vec![Alert {
                id: crate::domain::AlertId(0),
                ..alert.clone()
            }],
            omitted: 0,
        };
        assert!(
            store
                .notification_queue_alone(draft, EPOCH_MS + index * 3_600_000)
                .await
                .unwrap()
        );
        let (outcome, answer) = (AttemptOutcome::Delivered, String::new());
        let attempt = Attempt {
            started_ms: EPOCH_MS,
            duration_ms: 1,
            outcome,
            answer,
        };
        let after = AfterAttempt::new(NotificationState::Delivered, 0);
        store
            .notification_attempt(index + 1, &attempt, after)
            .await
            .unwrap();
    }
    clock.0.store(25 * 3_600_000, Ordering::Relaxed);
    retention(&store, &results, &clock).round().await.unwrap();
    assert_eq!(ids(&store).await.1, [2, 3]);
}

#[tokio::test]
async fn deliveries_go_after_their_time_though_no_other_one_comes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (results, clock) = (FakeResults::default(), HandClock::default());
    // More than a step looks at.
    for _ in 0..STEP_DELIVERIES + 2 {
        let draft = DeliveryDraft {
            service: "shop-api".to_owned(),
            webhook: "github".to_owned(),
            request: WebhookRequest {
                method: "POST".to_owned(),
                path: String::new(),
                query: String::new(),
                headers: Vec::new(),
                body: b"{}".to_vec(),
                received_ms: EPOCH_MS,
            },
            is_proven: true,
            outcome: DeliveryOutcome::Taken,
            error: None,
            events: 1,
        };
        store.delivery_insert(&draft).await.unwrap();
    }
    for (days, left) in [(30, STEP_DELIVERIES as usize + 2), (31, 0)] {
        let elapsed = days * DAY.as_millis() as i64;
        clock.0.store(elapsed, Ordering::Relaxed);
        retention(&store, &results, &clock).round().await.unwrap();
        let page = store.delivery_page("shop-api", None, None, 100).await;
        assert_eq!(page.unwrap().len(), left, "{days} days");
    }
}
