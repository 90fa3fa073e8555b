//! The control store from outside, over restarts and with another key. In one file, because the tests
//! share the makers of rows.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::domain::{
    ActivationReason, AlertState, Channel, ChannelId, NotificationState, NotificationStatus,
    Origin, PluginChange, PluginKind, PluginStep, PluginVersion, Severity,
};

const SECRET: &str = "hunter2-is-the-credential";
const KEY: &str = "correct horse battery staple";

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("control.sqlite")
    }

    async fn open(&self) -> ControlStore {
        self.open_with(KEY).await.unwrap()
    }

    async fn open_with(&self, key: &str) -> Result<ControlStore> {
        ControlStore::open(
            &self.path(),
            Keyring::load(Some(key.to_owned().into()), self.dir.path()).unwrap(),
        )
        .await
    }

    /// Bytes on the disk: the file and its write-ahead log.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.dir.path()).unwrap();
        files
            .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }
}

/// One that fires belongs to the groups of these channels.
fn transition(
    id: Option<AlertId>,
    from: Option<AlertState>,
    to: AlertState,
    channels: &[&str],
) -> Transition {
    let alert = AlertDraft {
        id,
        name: "Service Down".to_owned(),
        rule: "shop-api/Service Down".to_owned(),
        service: "shop-api".to_owned(),
        severity: Severity::Critical,
        state: to,
        summary: "status is error, wanted healthy".to_owned(),
        value: Some(0.5),
        wanted: None,
        started_ms: 1_000,
        fired_ms: Some(2_000),
        resolved_ms: (to == AlertState::Resolved).then_some(3_000),
        updated_ms: 3_000,
        flags: Default::default(),
        labels: Default::default(),
    };
    let event = EventDraft {
        ts_ms: 3_000,
        from,
        to,
        actor: "engine".to_owned(),
        reason: "breached".to_owned(),
    };
    let group = |channel: &&str| GroupDraft {
        key: "Service Down:shop-api".to_owned(),
        channel: ChannelId((*channel).to_owned()),
        labels: vec![("service".to_owned(), "shop-api".to_owned())],
        timing: Timing::AT_ONCE,
        mute_times: Vec::new(),
        flush_at_ms: 3_000,
    };
    Transition {
        alert,
        event,
        groups: channels.iter().map(group).collect(),
        is_news: false,
        memory: None,
        escalation: None,
    }
}

/// Decision of the dispatcher on a group that is due.
fn told(group: &AlertGroup, key: &str) -> GroupFlush {
    let alert = group.members[0].alert.clone();
    let is_over = alert.state == AlertState::Resolved;
    GroupFlush {
        group: group.id,
        revision: group.revision,
        notifications: vec![message(key, vec![alert.clone()])],
        notify_states: if is_over {
            vec![]
        } else {
            vec![(alert.id, NotifyState::Notified)]
        },
        leave: if is_over { vec![alert.id] } else { vec![] },
        flush_at_ms: None,
        last_notified_ms: Some(3_000),
    }
}

fn message(key: &str, alerts: Vec<Alert>) -> NotificationDraft {
    let is_over = alerts
        .iter()
        .all(|alert| alert.state == AlertState::Resolved);
    NotificationDraft {
        group_key: "Service Down:shop-api".to_owned(),
        group_labels: vec![("service".to_owned(), "shop-api".to_owned())],
        channel: ChannelId("slack-1".to_owned()),
        reason: NotificationReason::Transition,
        status: if is_over {
            NotificationStatus::Resolved
        } else {
            NotificationStatus::Firing
        },
        idempotency_key: key.to_owned(),
        alerts,
        omitted: 0,
    }
}

use crate::domain::{
    Alert, AlertGroup, AlertId, GroupDraft, GroupFlush, Maintenance, Matcher, MuteChange,
    NotificationDraft, NotificationReason, NotifyState, Recurrence, Timing,
};

fn attempt(outcome: AttemptOutcome) -> Attempt {
    Attempt {
        started_ms: 10_000,
        duration_ms: 25,
        outcome,
        answer: "503 busy".to_owned(),
    }
}

async fn count(store: &ControlStore, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(&store.reader)
        .await
        .unwrap()
}

#[tokio::test]
async fn services_survive_a_restart_and_keep_their_revision() {
    let folder = Folder::new();
    let store = folder.open().await;
    let spec = json!({"name": "Shop API", "authentication": {"token": SECRET}});
    store.service_insert("shop-api", &spec).await.unwrap();
    let updated = store
        .service_update("shop-api", &json!({"name": "Shop"}), Some(1))
        .await
        .unwrap();
    assert_eq!(updated.revision, 2);
    store.close().await;
    drop(store);
    assert_eq!(folder.open().await.service_list().await.unwrap(), [updated]);
}

#[tokio::test]
async fn services_answer_with_typed_errors() {
    let store = Folder::new();
    let store = store.open().await;
    let spec = json!({});
    store.service_insert("a", &spec).await.unwrap();
    assert!(matches!(
        store.service_insert("a", &spec).await,
        Err(ControlError::Exists { .. })
    ));
    assert!(matches!(
        store.service_update("b", &spec, None).await,
        Err(ControlError::NotFound { .. })
    ));
    assert!(matches!(
        store.service_delete("b").await,
        Err(ControlError::NotFound { .. })
    ));
    store.service_update("a", &spec, Some(1)).await.unwrap();
    let stale = store.service_update("a", &spec, Some(1)).await.unwrap_err();
    assert_eq!(
        stale.to_string(),
        "service `a` was changed meanwhile: it is at revision 2, not at revision 1; read it again, then repeat"
    );
    store.service_delete("a").await.unwrap();
    assert!(store.service_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_secret_is_readable_on_the_disk() {
    let folder = Folder::new();
    let store = folder.open().await;
    store
        .service_insert("shop-api", &json!({"token": SECRET}))
        .await
        .unwrap();
    let channel = Channel {
        id: ChannelId("slack-1".to_owned()),
        name: "ops".to_owned(),
        plugin: "slack".to_owned(),
        settings: json!({"webhook": SECRET}),
        origin: Origin::File,
        options: Default::default(),
    };
    store.channel_put(&channel).await.unwrap();
    let bytes = folder.bytes();
    let has = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(has("shop-api") && has("slack-1"), "the rows are there");
    assert!(!has(SECRET));
    assert!(!format!("{:?}", store.service_list().await.unwrap()).contains(SECRET));
}

#[tokio::test]
async fn a_row_moved_to_another_name_does_not_open() {
    let folder = Folder::new();
    let store = folder.open().await;
    store
        .service_insert("a", &json!({"token": SECRET}))
        .await
        .unwrap();
    sqlx::query("UPDATE services SET slug = 'b'")
        .execute(&store.writer)
        .await
        .unwrap();
    let error = store.service_list().await.unwrap_err().to_string();
    assert!(error.contains("services `b` does not decrypt"), "{error}");
}

#[tokio::test]
async fn another_key_is_refused_at_the_start() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let error = folder
        .open_with("a completely different key")
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("another key than the one in `ENCRYPTION_KEY`"),
        "{error}"
    );
    folder.open().await;
}

#[tokio::test]
async fn two_opens_are_refused() {
    let folder = Folder::new();
    let store = folder.open().await;
    let error = folder.open_with(KEY).await.err().unwrap().to_string();
    assert!(
        error.contains("control.sqlite") && error.contains("in use"),
        "{error}"
    );
    drop(store);
    folder.open().await;
}

#[tokio::test]
async fn commits_are_synced_and_foreign_keys_hold() {
    let store = Folder::new();
    let store = store.open().await;
    for (pragma, wanted) in [("PRAGMA synchronous", 2_i64), ("PRAGMA foreign_keys", 1)] {
        let found: i64 = sqlx::query_scalar(pragma)
            .fetch_one(&store.writer)
            .await
            .unwrap();
        assert_eq!(found, wanted, "{pragma}");
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert_eq!(mode, "wal");
    assert!(
        sqlx::query("DELETE FROM services")
            .execute(&store.reader)
            .await
            .is_err(),
        "readers only read"
    );
}

#[tokio::test]
async fn channels_are_replaced_only_when_they_changed() {
    let store = Folder::new();
    let store = store.open().await;
    let mut channel = Channel {
        id: ChannelId("email-1".to_owned()),
        name: "ops".to_owned(),
        plugin: "email".to_owned(),
        settings: json!({"to": "a@example.com"}),
        origin: Origin::Api,
        options: Default::default(),
    };
    let revision = async || -> i64 {
        sqlx::query_scalar("SELECT revision FROM channels")
            .fetch_one(&store.reader)
            .await
            .unwrap()
    };
    store.channel_put(&channel).await.unwrap();
    store.channel_put(&channel).await.unwrap();
    assert_eq!(revision().await, 1);
    channel.settings = json!({"to": "b@example.com"});
    store.channel_put(&channel).await.unwrap();
    assert_eq!(revision().await, 2);
    let found = store.channel_get(&channel.id).await.unwrap().unwrap();
    assert_eq!(
        (found.name, found.plugin, found.settings, found.origin),
        ("ops".into(), "email".into(), channel.settings, Origin::Api)
    );
    assert!(
        store
            .channel_get(&ChannelId("none".to_owned()))
            .await
            .unwrap()
            .is_none()
    );
}

fn hook(id: &str, url: &str) -> (ChannelId, std::sync::Arc<Channel>) {
    let channel = Channel {
        id: ChannelId(id.to_owned()),
        name: id.to_owned(),
        plugin: "webhook".to_owned(),
        settings: json!({"url": url}),
        origin: Origin::File,
        options: Default::default(),
    };
    (channel.id.clone(), std::sync::Arc::new(channel))
}

#[tokio::test]
async fn what_waits_for_a_channel_with_new_settings_is_due_at_once() {
    let folder = Folder::new();
    let store = folder.open().await;
    store
        .channel_put(&hook("slack-1", "https://wrong").1)
        .await
        .unwrap();
    store
        .channel_put(&hook("gone", "https://gone").1)
        .await
        .unwrap();
    store
        .notification_queue(message("k1", vec![]), 1_000)
        .await
        .unwrap();
    let failed = AfterAttempt::new(NotificationState::Waiting, 600_000);
    store
        .notification_attempt(1, &attempt(AttemptOutcome::Retry), failed)
        .await
        .unwrap();
    let same = [
        hook("slack-1", "https://wrong"),
        hook("never-used", "https://wrong"),
    ]
    .into();
    assert_eq!(
        store.channel_follow(&same, 2_000).await.unwrap(),
        ChannelsFollowed::default()
    );
    assert_eq!(store.notification_next_due().await.unwrap(), Some(600_000));
    let mended = [hook("slack-1", "https://right")].into();
    let followed = store.channel_follow(&mended, 2_000).await.unwrap();
    assert_eq!(
        (followed.changed.as_slice(), followed.hastened),
        ([ChannelId("slack-1".to_owned())].as_slice(), 1)
    );
    assert_eq!(store.notification_next_due().await.unwrap(), Some(2_000));
    let settings = async |id: &str| {
        store
            .channel_get(&ChannelId(id.to_owned()))
            .await
            .unwrap()
            .map(|channel| channel.settings["url"].clone())
    };
    assert_eq!(settings("slack-1").await, Some(json!("https://right")));
    assert_eq!(
        settings("gone").await,
        Some(json!("https://gone")),
        "what was told of something is told of its end"
    );
    assert_eq!(settings("never-used").await, None);
    assert_eq!(
        store.channel_follow(&mended, 3_000).await.unwrap(),
        ChannelsFollowed::default()
    );
}

/// So it was kept before channels were known by their names and places: by a digest of the
/// settings.
#[tokio::test]
async fn a_channel_that_is_known_by_another_id_takes_over_what_waits_and_what_is_open() {
    let folder = Folder::new();
    let store = folder.open().await;
    store
        .channel_put(&hook("slack-1", "https://a").1)
        .await
        .unwrap();
    let firing = transition(None, None, AlertState::Firing, &["slack-1"]);
    store.transition_commit(firing).await.unwrap();
    let group = store.group_due(10_000, 10).await.unwrap().remove(0);
    store
        .group_flush(&[told(&group, "firing")], 3_000)
        .await
        .unwrap();
    let delivered = AfterAttempt {
        reference: Some("thread".to_owned()),
        ..AfterAttempt::new(NotificationState::Delivered, 0)
    };
    store
        .notification_attempt(1, &attempt(AttemptOutcome::Delivered), delivered)
        .await
        .unwrap();
    let other = NotificationDraft {
        group_key: "other".to_owned(),
        ..message("waits", vec![])
    };
    store
        .notification_queue(other.clone(), 4_000)
        .await
        .unwrap();
    store
        .notification_queue(
            NotificationDraft {
                idempotency_key: "old".to_owned(),
                ..other
            },
            4_000,
        )
        .await
        .unwrap();
    for id in [2, 3] {
        let after = match id {
            2 => AfterAttempt::new(NotificationState::Waiting, 9_000),
            _ => AfterAttempt::new(NotificationState::Delivered, 0),
        };
        store
            .notification_attempt(id, &attempt(AttemptOutcome::Retry), after)
            .await
            .unwrap();
    }
    let current = [hook("by-name", "https://a")].into();
    let followed = store.channel_follow(&current, 5_000).await.unwrap();
    assert_eq!(
        followed.moved,
        [(
            ChannelId("slack-1".to_owned()),
            ChannelId("by-name".to_owned())
        )]
    );
    let channel = async |id| store.notification_get(id).await.unwrap().unwrap().channel.0;
    assert_eq!(
        [channel(1).await, channel(2).await, channel(3).await],
        ["by-name", "by-name", "slack-1"]
    );
    assert!(
        store
            .channel_get(&ChannelId("slack-1".to_owned()))
            .await
            .unwrap()
            .is_none()
    );
    // The end of the alert goes to the same group, and refers to the message before it.
    let resolved = transition(
        Some(AlertId(1)),
        Some(AlertState::Firing),
        AlertState::Resolved,
        &[],
    );
    store.transition_commit(resolved).await.unwrap();
    let group = store.group_due(10_000, 10).await.unwrap().remove(0);
    assert_eq!((group.id, group.channel.0.as_str()), (1, "by-name"));
    let mut end = told(&group, "resolved");
    end.notifications[0].channel = group.channel.clone();
    store.group_flush(&[end], 6_000).await.unwrap();
    assert_eq!(
        store.notification_reference(4).await.unwrap().as_deref(),
        Some("thread")
    );
    assert_eq!(
        store.channel_follow(&current, 7_000).await.unwrap(),
        ChannelsFollowed::default()
    );
}

#[tokio::test]
async fn an_alert_that_became_worse_goes_to_more_channels_and_to_none_twice() {
    let store = Folder::new();
    let store = store.open().await;
    store
        .transition_commit(transition(None, None, AlertState::Firing, &["slack-1"]))
        .await
        .unwrap();
    let worse = transition(
        Some(AlertId(1)),
        Some(AlertState::Firing),
        AlertState::Firing,
        &["slack-1", "pager-1"],
    );
    let groups = worse
        .groups
        .into_iter()
        .map(|group| GroupDraft {
            key: "severity".to_owned(),
            ..group
        })
        .collect();
    store
        .transition_commit(Transition { groups, ..worse })
        .await
        .unwrap();
    let mut channels: Vec<String> = store
        .group_list(10)
        .await
        .unwrap()
        .into_iter()
        .map(|group| format!("{} {}", group.key, group.channel.0))
        .collect();
    channels.sort();
    assert_eq!(
        channels,
        ["Service Down:shop-api slack-1", "severity pager-1"]
    );
}

#[tokio::test]
async fn a_transition_is_all_or_nothing() {
    let store = Folder::new();
    let store = store.open().await;
    let (alert, event) = store
        .transition_commit(transition(
            None,
            None,
            AlertState::Firing,
            &["slack-1", "slack-2"],
        ))
        .await
        .unwrap();
    assert_eq!(event.alert, alert.id);
    assert_eq!(
        (
            count(&store, "alert_groups").await,
            count(&store, "alert_group_members").await
        ),
        (2, 2)
    );

    sqlx::query(
        "CREATE TRIGGER full BEFORE INSERT ON alert_events BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    let from = Some(AlertState::Firing);
    let resolve = || transition(Some(alert.id), from, AlertState::Resolved, &[]);
    let groups = store.group_list(10).await.unwrap();
    store.transition_commit(resolve()).await.unwrap_err();
    assert_eq!(
        store.alert_open_list().await.unwrap(),
        std::slice::from_ref(&alert),
        "still firing"
    );
    assert_eq!(store.group_list(10).await.unwrap(), groups);

    sqlx::query("DROP TRIGGER full")
        .execute(&store.writer)
        .await
        .unwrap();
    let (resolved, _) = store.transition_commit(resolve()).await.unwrap();
    assert_eq!(resolved.state, AlertState::Resolved);
    assert!(store.alert_open_list().await.unwrap().is_empty());
    let (found, events) = store.alert_get(alert.id).await.unwrap().unwrap();
    assert_eq!(found, resolved);
    assert_eq!(
        events.iter().map(|event| event.to).collect::<Vec<_>>(),
        [AlertState::Firing, AlertState::Resolved]
    );
}

/// The store as the version before groups left it, with one open and one ended alert and a message
/// that waits.
#[tokio::test]
async fn what_was_told_before_there_were_groups_is_known_afterwards() {
    let folder = Folder::new();
    let all = sqlx::migrate!("migrations/control");
    let old = sqlx::migrate::Migrator {
        migrations: all
            .migrations
            .iter()
            .filter(|migration| migration.version < 4)
            .cloned()
            .collect(),
        ..sqlx::migrate::Migrator::DEFAULT
    };
    let options = SqliteConnectOptions::new()
        .filename(folder.path())
        .create_if_missing(true)
        .foreign_keys(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    old.run(&pool).await.unwrap();
    let snapshot = |id: i64| {
        format!(
            r#"{{"id":{id},"name":"Down","rule":"s{id}/Down","service":"s{id}","severity":"critical","state":"firing","summary":"s","value":null,"wanted":null,"startedMs":1,"firedMs":2,"resolvedMs":null,"updatedMs":2}}"#
        )
    };
    for (id, state) in [(1, "resolved"), (2, "firing")] {
        sqlx::query(
            "INSERT INTO alerts (id, name, rule, service, severity, state, summary, started_ms, fired_ms, updated_ms)
             VALUES ($1, 'Down', $2, $3, 'critical', $4, 's', 1, 2, 2)",
        )
        .bind(id)
        .bind(format!("s{id}/Down"))
        .bind(format!("s{id}"))
        .bind(state)
        .execute(&pool)
        .await
        .unwrap();
    }
    let rows = [
        (1, "a-1", "firing", "delivered", 1),
        (1, "a-1", "resolved", "waiting", 0),
        (2, "a-1", "firing", "delivered", 2),
        (2, "b-1", "firing", "dead", 1),
    ];
    for (index, (alert, channel, status, state, attempts)) in rows.into_iter().enumerate() {
        sqlx::query(
            "INSERT INTO notifications (idempotency_key, alert_id, channel, status, state, attempts, created_ms,
                 next_attempt_ms, alert_snapshot)
             VALUES ($1, $2, $3, $4, $5, $6, 10, 10, $7)",
        )
        .bind(format!("k{index}"))
        .bind(alert)
        .bind(channel)
        .bind(status)
        .bind(state)
        .bind(attempts)
        .bind(snapshot(alert))
        .execute(&pool)
        .await
        .unwrap();
    }
    sqlx::query(
        "INSERT INTO notification_attempts (notification_id, number, started_ms, duration_ms, outcome, answer)
         VALUES (1, 1, 10, 5, 'delivered', '200')",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;

    let store = folder.open().await;
    let due = store.notification_due(10, 10).await.unwrap();
    assert_eq!(
        due.iter()
            .map(|row| (row.id, row.group_key.as_str()))
            .collect::<Vec<_>>(),
        [(2, "Down:s1")]
    );
    let first = store.notification_get(2).await.unwrap().unwrap();
    assert_eq!(
        (first.alerts[0].id, &first.group_labels[1].1),
        (AlertId(1), &"s1".to_owned())
    );
    assert_eq!(store.notification_attempts(1).await.unwrap().len(), 1);
    let filter = NotificationFilter {
        service: Some("s2".to_owned()),
        limit: 10,
        ..NotificationFilter::default()
    };
    assert_eq!(store.notification_list(&filter).await.unwrap().len(), 2);
    let groups = store.group_list(10).await.unwrap();
    let told: Vec<_> = groups
        .iter()
        .map(|group| {
            (
                group.key.as_str(),
                group.channel.0.as_str(),
                group.members[0].notify_state,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Down:s2", "a-1", NotifyState::Notified),
            ("Down:s2", "b-1", NotifyState::Rejected)
        ]
    );
    let broken: Vec<SqliteRow> = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&store.writer)
        .await
        .unwrap();
    assert!(broken.is_empty());
}

#[tokio::test]
async fn a_decision_on_what_has_changed_meanwhile_is_not_taken() {
    let store = Folder::new();
    let store = store.open().await;
    let (alert, _) = store
        .transition_commit(transition(None, None, AlertState::Firing, &["slack-1"]))
        .await
        .unwrap();
    assert_eq!(store.group_due(2_999, 10).await.unwrap(), []);
    let [before] = &store.group_due(3_000, 10).await.unwrap()[..] else {
        panic!("one group")
    };
    assert_eq!(
        (before.members[0].notify_state, &before.members[0].fired),
        (NotifyState::Pending, &alert)
    );
    let resolve = transition(
        Some(alert.id),
        Some(AlertState::Firing),
        AlertState::Resolved,
        &[],
    );
    store.transition_commit(resolve).await.unwrap();
    assert_eq!(
        store
            .group_flush(&[told(before, "k1")], 3_000)
            .await
            .unwrap(),
        0
    );
    assert_eq!(count(&store, "notifications").await, 0);

    let [now] = &store.group_due(3_000, 10).await.unwrap()[..] else {
        panic!("still due")
    };
    assert_eq!(
        (now.members[0].alert.state, now.members[0].fired.state),
        (AlertState::Resolved, AlertState::Firing)
    );
    assert_eq!(
        store.group_flush(&[told(now, "k1")], 3_000).await.unwrap(),
        1
    );
    assert_eq!(store.group_next_due(0).await.unwrap(), None);
    assert_eq!(
        count(&store, "alert_groups").await,
        0,
        "a group ends with its last alert"
    );
}

#[tokio::test]
async fn what_ends_while_it_is_muted_is_held_and_what_is_news_is_told_again() {
    let store = Folder::new();
    let store = store.open().await;
    let (alert, _) = store
        .transition_commit(transition(None, None, AlertState::Firing, &["slack-1"]))
        .await
        .unwrap();
    let told_now = async || store.group_list(10).await.unwrap()[0].members[0].notify_state;
    let step = |from, to| transition(Some(alert.id), Some(from), to, &[]);
    store
        .transition_commit(step(AlertState::Firing, AlertState::Suppressed))
        .await
        .unwrap();
    assert_eq!(told_now().await, NotifyState::Pending);
    store
        .transition_commit(step(AlertState::Suppressed, AlertState::Resolved))
        .await
        .unwrap();
    assert_eq!(told_now().await, NotifyState::EndedMuted);

    let (alert, _) = store
        .transition_commit(transition(None, None, AlertState::Firing, &["slack-2"]))
        .await
        .unwrap();
    let group = &store.group_list(10).await.unwrap()[1];
    store
        .group_flush(&[told(group, "k1")], 3_000)
        .await
        .unwrap();
    let news = Transition {
        is_news: true,
        ..transition(Some(alert.id), None, AlertState::Firing, &[])
    };
    store.transition_commit(news).await.unwrap();
    let group = &store.group_list(10).await.unwrap()[1];
    assert_eq!(
        (group.members[0].notify_state, group.flush_at_ms),
        (NotifyState::Stale, Some(3_000))
    );
}

#[tokio::test]
async fn a_rule_has_one_open_alert_and_a_stale_transition_is_refused() {
    let store = Folder::new();
    let store = store.open().await;
    let (alert, _) = store
        .transition_commit(transition(None, None, AlertState::Pending, &[]))
        .await
        .unwrap();
    let second = store
        .transition_commit(transition(None, None, AlertState::Pending, &[]))
        .await;
    assert!(matches!(second, Err(ControlError::Exists { .. })));
    let stale = transition(
        Some(alert.id),
        Some(AlertState::Firing),
        AlertState::Resolved,
        &[],
    );
    let error = store.transition_commit(stale).await.unwrap_err();
    assert!(matches!(error, ControlError::Conflict { .. }), "{error}");
    let gone = transition(Some(AlertId(99)), None, AlertState::Resolved, &[]);
    assert!(matches!(
        store.transition_commit(gone).await,
        Err(ControlError::NotFound { .. })
    ));
}

#[tokio::test]
async fn resolved_waits_until_firing_is_out_of_the_way() {
    for end in [NotificationState::Delivered, NotificationState::Dead] {
        let folder = Folder::new();
        let store = folder.open().await;
        let fire = transition(None, None, AlertState::Firing, &["slack-1"]);
        let (alert, _) = store.transition_commit(fire).await.unwrap();
        store
            .group_flush(
                &[told(&store.group_due(3_000, 1).await.unwrap()[0], "k1")],
                3_000,
            )
            .await
            .unwrap();
        let resolve = transition(
            Some(alert.id),
            Some(AlertState::Firing),
            AlertState::Resolved,
            &[],
        );
        let (over, _) = store.transition_commit(resolve).await.unwrap();
        store
            .group_flush(
                &[told(&store.group_due(3_000, 1).await.unwrap()[0], "k2")],
                3_000,
            )
            .await
            .unwrap();
        // Another group of the same channel does not wait.
        let other = NotificationDraft {
            group_key: "other".to_owned(),
            ..message("k3", vec![over])
        };
        let other = store.notification_queue(other, 70_000).await.unwrap();
        let (firing, resolved) = ([1], [2]);
        let due = async |now| {
            let due = store.notification_due(now, 10).await.unwrap();
            due.into_iter()
                .map(|notification| notification.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(due(3_000).await, [firing[0]]);
        assert_eq!(due(2_999).await, [] as [i64; 0]);

        let waiting = NotificationState::Waiting;
        let retried = store
            .notification_attempt(
                firing[0],
                &attempt(AttemptOutcome::Retry),
                AfterAttempt::new(waiting, 60_000),
            )
            .await
            .unwrap();
        assert_eq!(
            (retried.attempts, retried.last_error.as_deref()),
            (1, Some("503 busy"))
        );
        assert_eq!(
            due(59_999).await,
            [] as [i64; 0],
            "resolved must not overtake"
        );
        assert_eq!(due(70_000).await, [firing[0], other.id]);
        assert_eq!(store.notification_next_due().await.unwrap(), Some(60_000));

        let outcome = if end == NotificationState::Dead {
            AttemptOutcome::Dead
        } else {
            AttemptOutcome::Delivered
        };
        let ended = store
            .notification_attempt(firing[0], &attempt(outcome), AfterAttempt::new(end, 0))
            .await
            .unwrap();
        assert_eq!(
            ended.delivered_ms,
            (end == NotificationState::Delivered).then_some(10_025)
        );
        assert_eq!(due(59_999).await, [resolved[0]]);
        let attempts = store.notification_attempts(firing[0]).await.unwrap();
        assert_eq!(
            attempts
                .iter()
                .map(|attempt| attempt.outcome)
                .collect::<Vec<_>>(),
            [AttemptOutcome::Retry, outcome]
        );

        let late = store
            .notification_attempt(
                firing[0],
                &attempt(AttemptOutcome::Retry),
                AfterAttempt::new(waiting, 1),
            )
            .await;
        assert!(matches!(late, Err(ControlError::Conflict { .. })));
    }
}

#[tokio::test]
async fn the_outbox_survives_a_restart() {
    let folder = Folder::new();
    let store = folder.open().await;
    store
        .transition_commit(transition(None, None, AlertState::Firing, &["slack-1"]))
        .await
        .unwrap();
    let groups = store.group_due(3_000, 10).await.unwrap();
    drop(store);
    let store = folder.open().await;
    assert_eq!(store.group_due(3_000, 10).await.unwrap(), groups);
    let queued = store
        .notification_queue(
            message("k1", vec![groups[0].members[0].alert.clone()]),
            3_000,
        )
        .await
        .unwrap();
    drop(store);
    let store = folder.open().await;
    let due = store.notification_due(3_000, 10).await.unwrap();
    assert_eq!(
        due.iter().map(|due| due.id).collect::<Vec<_>>(),
        [queued.id]
    );
    assert_eq!(
        store.notification_get(queued.id).await.unwrap(),
        Some(queued)
    );
}

#[tokio::test]
async fn a_message_refused_at_the_first_attempt_is_not_followed_by_its_end_unless_it_is_put_back() {
    let store = Folder::new();
    let store = store.open().await;
    store
        .transition_commit(transition(None, None, AlertState::Firing, &["slack-1"]))
        .await
        .unwrap();
    store
        .group_flush(
            &[told(&store.group_due(3_000, 1).await.unwrap()[0], "k1")],
            3_000,
        )
        .await
        .unwrap();
    store
        .notification_attempt(
            1,
            &attempt(AttemptOutcome::Dead),
            AfterAttempt::new(NotificationState::Dead, 0),
        )
        .await
        .unwrap();
    assert_eq!(
        store.group_list(1).await.unwrap()[0].members[0].notify_state,
        NotifyState::Rejected
    );
    store.notification_resend(1, 4_000).await.unwrap();
    assert_eq!(
        store.group_list(1).await.unwrap()[0].members[0].notify_state,
        NotifyState::Notified
    );
}

#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first() {
    let store = Folder::new();
    let store = store.open().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        let key = format!("k{number}");
        let (alert, _) = store
            .transition_commit(transition(None, None, AlertState::Firing, &[]))
            .await
            .unwrap();
        store
            .notification_queue(message(&key, vec![alert.clone()]), 3_000)
            .await
            .unwrap();
        let from = Some(AlertState::Firing);
        store
            .transition_commit(transition(Some(alert.id), from, AlertState::Resolved, &[]))
            .await
            .unwrap();
        ids.push(alert.id);
    }
    let list = async |filter: AlertFilter| {
        let alerts = store.alert_list(&filter).await.unwrap();
        alerts.into_iter().map(|alert| alert.id).collect::<Vec<_>>()
    };
    let all = AlertFilter {
        limit: 2,
        ..AlertFilter::default()
    };
    assert_eq!(list(all.clone()).await, [ids[2], ids[1]]);
    assert_eq!(
        list(AlertFilter {
            before: Some(ids[1].0),
            ..all.clone()
        })
        .await,
        [ids[0]]
    );
    assert_eq!(
        list(AlertFilter {
            state: Some(AlertState::Firing),
            ..all.clone()
        })
        .await,
        []
    );
    assert_eq!(
        list(AlertFilter {
            service: Some("other".to_owned()),
            ..all.clone()
        })
        .await,
        []
    );
    assert_eq!(
        list(AlertFilter {
            service: Some("shop-api".to_owned()),
            limit: 9,
            ..all
        })
        .await
        .len(),
        3
    );

    let filter = NotificationFilter {
        limit: 10,
        alert: Some(ids[1]),
        ..NotificationFilter::default()
    };
    let found = store.notification_list(&filter).await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|found| found.idempotency_key.as_str())
            .collect::<Vec<_>>(),
        ["k1"]
    );
    let other = NotificationFilter {
        service: Some("other".to_owned()),
        limit: 10,
        ..NotificationFilter::default()
    };
    assert!(store.notification_list(&other).await.unwrap().is_empty());

    let after = store.alert_event_after(4, 10).await.unwrap();
    assert_eq!(
        after
            .iter()
            .map(|(event, alert)| (event.id, alert.id))
            .collect::<Vec<_>>(),
        [(5, ids[2]), (6, ids[2])]
    );
}

#[tokio::test]
async fn tokens_are_found_by_hash_and_take_their_sessions_along() {
    let store = Folder::new();
    let store = store.open().await;
    assert_eq!(store.token_count().await.unwrap(), 0);
    let scopes = ["read".to_owned(), "admin".to_owned()];
    let far = crate::domain::now_ms() + 60_000;
    let draft = TokenDraft {
        name: "first",
        hash: &[7; 32],
        scopes: &scopes,
        expires_ms: Some(far + 1),
        origin: TokenOrigin::Environment,
        created_by: "",
    };
    let token = store.token_insert(draft.clone()).await.unwrap();
    let again = store
        .token_insert(TokenDraft {
            hash: &[9; 32],
            ..draft
        })
        .await
        .unwrap_err();
    assert_eq!(again.to_string(), "token `first` exists already");
    assert_eq!(
        store.token_find(&[7; 32], far).await.unwrap(),
        Some(token.clone())
    );
    assert_eq!(
        store.token_find(&[7; 32], far + 1).await.unwrap(),
        None,
        "expired"
    );
    assert_eq!(store.token_find(&[8; 32], far).await.unwrap(), None);
    store.token_used(&[(token.id, 5)].into()).await.unwrap();
    assert_eq!(
        store
            .token_get(token.id)
            .await
            .unwrap()
            .unwrap()
            .last_used_ms,
        Some(5)
    );
    let token = Token {
        last_used_ms: Some(5),
        ..token
    };
    assert_eq!(
        (store.token_count().await.unwrap(), token.scopes.as_slice()),
        (1, scopes.as_slice())
    );

    store.session_insert(&[1; 32], token.id, far).await.unwrap();
    assert_eq!(
        store
            .session_find(&[1; 32], far - 1)
            .await
            .unwrap()
            .unwrap()
            .token,
        token
    );
    assert_eq!(
        store.session_find(&[1; 32], far).await.unwrap(),
        None,
        "ended"
    );
    assert_eq!(
        store
            .token_delete_others(TokenOrigin::Environment, Some(&[7; 32]))
            .await
            .unwrap(),
        [""; 0]
    );
    assert_eq!(
        store
            .token_delete_others(TokenOrigin::Environment, None)
            .await
            .unwrap(),
        ["first"]
    );
    assert_eq!(store.session_find(&[1; 32], far - 1).await.unwrap(), None);
}

fn version(version: &str, digest: &str) -> PluginVersion {
    PluginVersion {
        name: "http".to_owned(),
        kind: PluginKind::Probe,
        version: version.to_owned(),
        digest: digest.to_owned(),
        installed_ms: 1_000,
        installed_by: "cli".to_owned(),
        is_kept: true,
        withdrawn: None,
    }
}

fn change(ts_ms: i64, step: PluginStep) -> PluginChange {
    PluginChange {
        name: "http".to_owned(),
        by: "cli".to_owned(),
        ts_ms,
        from: Some("00".to_owned()),
        step,
    }
}

fn activation(digest: &str, bundled_before: Option<&str>, ends_shadow: bool) -> PluginStep {
    PluginStep::Activate {
        why: ActivationReason::Install,
        version: version("1.0.0", digest),
        is_bundled: false,
        bundled_before: bundled_before.map(|digest| version("0.1.0", digest)),
        ends_shadow,
        trial_after: None,
    }
}

#[tokio::test]
async fn the_trial_of_a_version_is_kept_until_it_is_over_or_another_version_is_active() {
    let folder = Folder::new();
    let on_trial = |digest: &str, previous: &str| match activation(digest, None, false) {
        PluginStep::Activate {
            why,
            version,
            is_bundled,
            bundled_before,
            ends_shadow,
            ..
        } => PluginStep::Activate {
            why,
            version,
            is_bundled,
            bundled_before,
            ends_shadow,
            trial_after: Some(previous.to_owned()),
        },
        other => other,
    };
    let store = folder.open().await;
    let trial = async |store: &ControlStore| {
        let plugin = store.plugin_list(Some("http")).await.unwrap().remove(0);
        let trial = plugin.activations[0].trial.clone();
        trial.map(|trial| (trial.previous, trial.broken))
    };
    store
        .plugin_change(&change(2_000, activation("aa", None, false)))
        .await
        .unwrap();
    assert_eq!(trial(&store).await, None);
    store
        .plugin_change(&change(3_000, on_trial("bb", "aa")))
        .await
        .unwrap();
    assert_eq!(trial(&store).await, Some(("aa".to_owned(), 0)));
    store
        .plugin_trial_note("http", "bb", Some(3))
        .await
        .unwrap();
    // A run of the version before that ends late is no run of this one.
    store.plugin_trial_note("http", "aa", None).await.unwrap();
    drop(store);
    let store = folder.open().await;
    assert_eq!(trial(&store).await, Some(("aa".to_owned(), 3)));
    store.plugin_trial_note("http", "bb", None).await.unwrap();
    assert_eq!(trial(&store).await, None);
    store
        .plugin_trial_note("http", "bb", Some(4))
        .await
        .unwrap();
    assert_eq!(trial(&store).await, None, "what is over does not go on");
    store
        .plugin_change(&change(4_000, on_trial("cc", "bb")))
        .await
        .unwrap();
    store
        .plugin_change(&change(5_000, activation("bb", None, false)))
        .await
        .unwrap();
    assert_eq!(trial(&store).await, None);
}

#[tokio::test]
async fn the_last_activation_of_a_plugin_counts() {
    let store = Folder::new();
    let store = store.open().await;
    let back = PluginStep::Activate {
        why: ActivationReason::Rollback,
        version: version("0.1.0", "00"),
        is_bundled: true,
        bundled_before: None,
        ends_shadow: false,
        trial_after: None,
    };
    for (ts_ms, step) in [
        (2_000, activation("aa", Some("00"), false)),
        (3_000, back),
        (4_000, activation("bb", Some("00"), false)),
    ] {
        store.plugin_change(&change(ts_ms, step)).await.unwrap();
    }
    let [plugin] = &store.plugin_list(Some("http")).await.unwrap()[..] else {
        panic!("one plugin")
    };
    assert_eq!(plugin.versions.len(), 3, "{plugin:?}");
    let active: Vec<_> = plugin
        .activations
        .iter()
        .map(|activation| {
            (
                activation.digest.as_deref().unwrap(),
                activation.activated_ms,
                activation.is_bundled,
            )
        })
        .collect();
    // What came with the program is written down once, with the first version that replaced it.
    assert_eq!(
        active,
        [
            ("bb", 4_000, false),
            ("00", 3_000, true),
            ("aa", 2_000, false),
            ("00", 1_000, true)
        ]
    );
    store
        .plugin_change(&change(5_000, PluginStep::Deactivate))
        .await
        .unwrap();
    assert_eq!(
        store.plugin_list(None).await.unwrap()[0].activations[0].digest,
        None
    );
    assert_eq!(store.plugin_list(Some("none")).await.unwrap(), []);
}

#[tokio::test]
async fn a_version_that_was_rolled_back_by_itself_is_known_as_such_until_somebody_wants_it_again() {
    let store = Folder::new();
    let store = store.open().await;
    let withdrawn = async || {
        let plugin = store.plugin_list(Some("http")).await.unwrap().remove(0);
        plugin
            .version("bb")
            .unwrap()
            .withdrawn
            .clone()
            .map(|withdrawn| (withdrawn.ts_ms, withdrawn.reason))
    };
    store
        .plugin_change(&change(2_000, activation("aa", None, false)))
        .await
        .unwrap();
    store
        .plugin_change(&change(3_000, activation("bb", None, false)))
        .await
        .unwrap();
    assert_eq!(withdrawn().await, None);
    let back = PluginStep::Activate {
        why: ActivationReason::Withdraw {
            version: "1.0.0".to_owned(),
            reason: "all broke".to_owned(),
        },
        version: version("1.0.0", "aa"),
        is_bundled: false,
        bundled_before: None,
        ends_shadow: false,
        trial_after: None,
    };
    store
        .plugin_change(&PluginChange {
            from: Some("bb".to_owned()),
            ..change(4_000, back)
        })
        .await
        .unwrap();
    assert_eq!(withdrawn().await, Some((4_000, "all broke".to_owned())));
    let log = store
        .audit_list(
            &AuditFilter {
                kind: Some("plugin".to_owned()),
                ..AuditFilter::default()
            },
            1,
        )
        .await;
    let entry = log.unwrap().remove(0);
    assert_eq!(
        (entry.action.as_str(), &entry.detail["reason"]),
        ("plugin.rollback", &json!("all broke"))
    );
    store
        .plugin_change(&change(5_000, activation("bb", None, false)))
        .await
        .unwrap();
    assert_eq!(withdrawn().await, None);
}

#[tokio::test]
async fn a_candidate_ends_with_the_activation_that_takes_it_over() {
    let store = Folder::new();
    let store = store.open().await;
    let shadow = async || {
        store.plugin_list(None).await.unwrap()[0]
            .shadow
            .clone()
            .map(|shadow| shadow.digest)
    };
    store
        .plugin_change(&change(2_000, activation("aa", None, false)))
        .await
        .unwrap();
    for digest in ["bb", "cc"] {
        let candidate = version("2.0.0", digest);
        store
            .plugin_change(&change(3_000, PluginStep::Shadow { candidate }))
            .await
            .unwrap();
        assert_eq!(shadow().await.as_deref(), Some(digest), "one at a time");
    }
    store
        .plugin_change(&change(4_000, activation("dd", None, false)))
        .await
        .unwrap();
    assert_eq!(
        shadow().await.as_deref(),
        Some("cc"),
        "another version does not end it"
    );
    store
        .plugin_change(&change(5_000, activation("cc", None, true)))
        .await
        .unwrap();
    assert_eq!(shadow().await, None);
    let candidate = version("2.0.0", "bb");
    store
        .plugin_change(&change(6_000, PluginStep::Shadow { candidate }))
        .await
        .unwrap();
    store
        .plugin_change(&change(
            7_000,
            PluginStep::Discard {
                digest: "bb".to_owned(),
            },
        ))
        .await
        .unwrap();
    assert_eq!(shadow().await, None);
    let log = store
        .audit_list(
            &AuditFilter {
                kind: Some("plugin".to_owned()),
                ..AuditFilter::default()
            },
            3,
        )
        .await;
    let told: Vec<_> = log
        .unwrap()
        .into_iter()
        .map(|entry| (entry.ts_ms, entry.action, entry.detail))
        .collect();
    assert_eq!(
        told,
        [
            (
                7_000,
                "plugin.discard".to_owned(),
                json!({"from": "00", "candidate": "bb"})
            ),
            (
                6_000,
                "plugin.shadow".to_owned(),
                json!({"from": "00", "candidate": "bb", "version": "2.0.0"})
            ),
            (
                5_000,
                "plugin.install".to_owned(),
                json!({"from": "00", "to": "cc", "version": "1.0.0", "bundled": false, "shadowEnded": true})
            ),
        ]
    );
}

#[tokio::test]
async fn a_change_that_fails_leaves_nothing_behind() {
    let folder = Folder::new();
    let store = folder.open().await;
    store
        .plugin_change(&change(2_000, activation("aa", None, false)))
        .await
        .unwrap();
    let before = store.plugin_list(None).await.unwrap();
    sqlx::query(
        "CREATE TRIGGER no_audit BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    store
        .plugin_change(&change(3_000, activation("bb", Some("00"), true)))
        .await
        .unwrap_err();
    store
        .plugin_change(&change(
            3_000,
            PluginStep::Forget {
                digests: vec!["aa".to_owned()],
            },
        ))
        .await
        .unwrap_err();
    assert_eq!(store.plugin_list(None).await.unwrap(), before);
}

#[tokio::test]
async fn a_forgotten_version_stays_in_the_log_and_comes_back_when_it_is_installed_again() {
    let store = Folder::new();
    let store = store.open().await;
    store
        .plugin_change(&change(2_000, activation("aa", None, false)))
        .await
        .unwrap();
    store
        .plugin_change(&change(
            3_000,
            PluginStep::Forget {
                digests: vec!["aa".to_owned()],
            },
        ))
        .await
        .unwrap();
    let plugin = &store.plugin_list(None).await.unwrap()[0];
    assert!(!plugin.versions[0].is_kept);
    assert_eq!(plugin.activations[0].digest.as_deref(), Some("aa"));
    let again = PluginVersion {
        installed_ms: 4_000,
        ..version("1.0.0", "aa")
    };
    store
        .plugin_change(&change(4_000, PluginStep::Shadow { candidate: again }))
        .await
        .unwrap();
    let plugin = &store.plugin_list(None).await.unwrap()[0];
    assert_eq!(
        (plugin.versions[0].is_kept, plugin.versions[0].installed_ms),
        (true, 4_000)
    );
}

#[tokio::test]
async fn the_audit_log_is_read_newest_first() {
    let store = Folder::new();
    let store = store.open().await;
    for action in ["service.create", "service.delete"] {
        store
            .audit_append("cli", action, "shop-api", &json!({"n": 1}))
            .await
            .unwrap();
    }
    let entries = store.audit_list(&AuditFilter::default(), 10).await.unwrap();
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry.action.as_str())
            .collect::<Vec<_>>(),
        ["service.delete", "service.create"]
    );
    assert_eq!(entries[0].detail, json!({"n": 1}));
}

#[tokio::test]
async fn an_alert_falls_silent_and_is_heard_again_with_a_history() {
    let store = Folder::new();
    let store = store.open().await;
    let (alert, _) = store
        .transition_commit(transition(None, None, AlertState::Firing, &["slack-1"]))
        .await
        .unwrap();
    let change = |from, by: Option<&str>| MuteChange {
        alert: alert.id,
        from,
        suppressed_by: by.map(str::to_owned),
        actor: "ana".to_owned(),
        reason: "moving".to_owned(),
        ts_ms: 4_000,
    };
    assert_eq!(
        store
            .alert_mute(vec![change(AlertState::Suppressed, None)])
            .await
            .unwrap(),
        [],
        "it is firing"
    );
    let mut changed = store
        .alert_mute(vec![change(AlertState::Firing, Some("silence 1"))])
        .await
        .unwrap();
    let (muted, event) = changed.remove(0);
    assert_eq!(
        (muted.state, muted.suppressed_by.as_deref()),
        (AlertState::Suppressed, Some("silence 1"))
    );
    assert_eq!(
        (event.actor.as_str(), event.to),
        ("ana", AlertState::Suppressed)
    );
    // The engine, which does not know of it yet, ends the alert all the same.
    let resolve = transition(
        Some(alert.id),
        Some(AlertState::Firing),
        AlertState::Resolved,
        &[],
    );
    let (over, event) = store.transition_commit(resolve).await.unwrap();
    assert_eq!(
        (event.from, over.suppressed_by),
        (Some(AlertState::Suppressed), None)
    );
    assert_eq!(
        store.group_list(10).await.unwrap()[0].members[0].notify_state,
        NotifyState::EndedMuted
    );
}

#[tokio::test]
async fn silences_and_windows_survive_a_restart() {
    let folder = Folder::new();
    let store = folder.open().await;
    let matchers = || vec![Matcher::parse("service=~\"shop-\\d+\"").unwrap()];
    let (author, comment) = ("ana".to_owned(), "moving".to_owned());
    let draft = SilenceDraft {
        matchers: matchers(),
        starts_ms: 1_000,
        ends_ms: 9_000,
        author,
        comment,
    };
    let silence = store.silence_insert(draft, 500).await.unwrap();
    let recurrence =
        Recurrence::cron("0 2 * * SUN", "Europe/Berlin", Duration::from_secs(7_200)).unwrap();
    let window = Maintenance {
        name: "weekly".to_owned(),
        matchers: matchers(),
        recurrence,
    };
    let (author, comment) = ("ana".to_owned(), String::new());
    let draft = MaintenanceDraft {
        window,
        author,
        comment,
    };
    store.maintenance_insert(draft.clone(), 500).await.unwrap();
    assert!(matches!(
        store.maintenance_insert(draft, 500).await,
        Err(ControlError::Exists { .. })
    ));
    store.close().await;
    drop(store);

    let store = folder.open().await;
    assert_eq!(
        store.silence_page(false, 8_999, None, 10).await.unwrap(),
        std::slice::from_ref(&silence)
    );
    assert_eq!(
        store.silence_page(false, 9_000, None, 10).await.unwrap(),
        []
    );
    assert_eq!(
        store.silence_page(true, 9_000, None, 10).await.unwrap(),
        std::slice::from_ref(&silence)
    );
    assert_eq!(
        store
            .silence_page(true, 9_000, Some(silence.silence.id), 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        store.silence_ending_after(8_999).await.unwrap(),
        std::slice::from_ref(&silence)
    );
    assert_eq!(store.silence_ending_after(9_000).await.unwrap(), []);
    assert!(
        store
            .silence_notice(silence.silence.id, &[], "ends", 8_000)
            .await
            .unwrap()
    );
    assert!(
        !store
            .silence_notice(silence.silence.id, &[], "ends", 8_001)
            .await
            .unwrap(),
        "once"
    );
    let expired = store
        .silence_expire(silence.silence.id, 5_000)
        .await
        .unwrap();
    assert_eq!(
        (expired.silence.ends_ms, expired.noticed_ms),
        (5_000, Some(8_000))
    );
    assert!(matches!(
        store.silence_expire(99, 5_000).await,
        Err(ControlError::NotFound { .. })
    ));
    let [found] = &store.maintenance_list().await.unwrap()[..] else {
        panic!("one window")
    };
    let text = WindowText::from(&found.window.recurrence);
    assert_eq!(
        (text.cron.as_deref(), text.zone.as_deref()),
        (Some("0 2 * * SUN"), Some("Europe/Berlin"))
    );
    assert_eq!(found.window.matchers, matchers());
    store.maintenance_delete("weekly").await.unwrap();
    assert!(matches!(
        store.maintenance_delete("weekly").await,
        Err(ControlError::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_deleted_service_takes_along_what_its_rules_remember() {
    let folder = Folder::new();
    let store = folder.open().await;
    for slug in ["shop-api", "mail"] {
        store.service_insert(slug, &json!({})).await.unwrap();
        store
            .rule_memory_put(&format!("{slug}/Down"), slug, MemoryChange::Held)
            .await
            .unwrap();
    }
    store.service_delete("shop-api").await.unwrap();
    let kept = store.rule_memory_list(None).await.unwrap();
    assert_eq!(
        kept.iter()
            .map(|(rule, ..)| rule.as_str())
            .collect::<Vec<_>>(),
        ["mail/Down"]
    );
    assert_eq!(store.rule_memory_list(Some("mail")).await.unwrap(), kept);
    store
        .rule_memory_put("mail/Down", "mail", MemoryChange::Forgotten)
        .await
        .unwrap();
    assert_eq!(store.rule_memory_list(None).await.unwrap(), []);
}

#[tokio::test]
async fn no_silence_and_no_window_is_left_aside_and_one_too_many_is_refused() {
    let folder = Folder::new();
    let store = folder.open().await;
    for query in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
         INSERT INTO silences (matchers, starts_ms, ends_ms, author, comment, created_ms)
         SELECT '[]', 0, 9000 + i, '', '', 0 FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
         INSERT INTO maintenance_windows (name, matchers, starts_ms, ends_ms, author, comment, created_ms)
         SELECT 'w' || i, '[]', 0, 9000 + i, '', '', 0 FROM n",
    ] {
        let mut tx = store.begin_write().await.unwrap();
        sqlx::query(query).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let draft = || SilenceDraft {
        matchers: vec![],
        starts_ms: 0,
        ends_ms: 90_000,
        author: String::new(),
        comment: String::new(),
    };
    let recurrence =
        Recurrence::cron("0 2 * * SUN", "Europe/Berlin", Duration::from_secs(7_200)).unwrap();
    let window = |name: &str| {
        let window = Maintenance {
            name: name.to_owned(),
            matchers: vec![],
            recurrence: recurrence.clone(),
        };
        MaintenanceDraft {
            window,
            author: String::new(),
            comment: String::new(),
        }
    };
    store.silence_insert(draft(), 9_000).await.unwrap();
    store
        .maintenance_insert(window("weekly"), 9_000)
        .await
        .unwrap();
    assert_eq!(
        store.silence_ending_after(9_000).await.unwrap().len(),
        10_000
    );
    assert_eq!(
        store.maintenance_open_after(9_000).await.unwrap().len(),
        10_000
    );
    for refused in [
        store.silence_insert(draft(), 9_000).await.map(|_| ()),
        store
            .maintenance_insert(window("more"), 9_000)
            .await
            .map(|_| ()),
    ] {
        let error = refused.unwrap_err();
        assert!(
            matches!(error, ControlError::Full { limit: 10_000, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("10000"), "{error}");
    }
    // Those that are over make room.
    store.silence_insert(draft(), 9_001).await.unwrap();
    store
        .maintenance_insert(window("more"), 9_001)
        .await
        .unwrap();
    let ended = Retained::Windows;
    let step = store
        .retention_step(ended, 9_003, (i64::MIN, 0), 100)
        .await
        .unwrap();
    assert_eq!((step.removed, step.next), (2, None));
    assert_eq!(store.maintenance_list().await.unwrap().len(), 9_999);
}

#[tokio::test]
async fn attempts_of_a_page_of_messages_are_read_together() {
    let store = Folder::new();
    let store = store.open().await;
    let (alert, _) = store
        .transition_commit(transition(None, None, AlertState::Firing, &[]))
        .await
        .unwrap();
    for key in ["k1", "k2", "k3"] {
        store
            .notification_queue(message(key, vec![alert.clone()]), 1)
            .await
            .unwrap();
    }
    for id in [1, 2, 1] {
        let after = AfterAttempt::new(NotificationState::Waiting, 1);
        store
            .notification_attempt(id, &attempt(AttemptOutcome::Retry), after)
            .await
            .unwrap();
    }
    let attempts = store.notification_attempts_of(&[3, 2, 1]).await.unwrap();
    let counts: std::collections::BTreeMap<i64, usize> = attempts
        .into_iter()
        .map(|(id, attempts)| (id, attempts.len()))
        .collect();
    assert_eq!(counts, [(1, 2), (2, 1)].into());
}
