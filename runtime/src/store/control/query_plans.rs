//! The control store stays quick as it fills: every query text in this folder has to find its rows
//! by an index, and what is asked all the time takes as many steps in a full store as in an empty
//! one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, Row};

use super::*;
use crate::domain::{
    AlertId, AlertState, ChannelId, NotificationDraft, NotificationReason, NotificationState,
    NotificationStatus, Severity,
};

/// Tables that are read whole, and are small by nature: what was configured, what is open, or one
/// row a rule.
const SMALL: &[&str] = &[
    "alert_groups",
    "archive_files",
    "channels",
    "consumers",
    "credential_tokens",
    "credential_uses",
    "heartbeats",
    "maintenance_windows",
    "plugin_activations",
    "plugin_policies",
    "plugin_shadows",
    "plugin_versions",
    "quota_use",
    "report_schedules",
    "reports",
    "rule_memory",
    "saved_queries",
    "sealed_check",
    "service_pauses",
    "services",
    "sessions",
    "tokens",
];

/// Parts of queries that may read all rows of something, or sort them, and what it is that they
/// read.
const ALLOWED: &[(&str, &str)] = &[
    ("INDEXED BY notifications_waiting", "messages that wait"),
    (
        "FROM alert_group_members m JOIN alert_groups g",
        "groups of one alert",
    ),
    ("INDEXED BY alerts_open", "open alerts of one service"),
    (
        "UNION ALL SELECT * FROM alerts",
        "alerts of the span of a backtest",
    ),
    (
        "UPDATE notifications SET channel = $2",
        "all messages, once, when a channel is known by another id",
    ),
    ("FROM _sqlx_migrations", "migrations of a store"),
];

async fn open(dir: &Path) -> ControlStore {
    let keyring = Keyring::load(None, dir).unwrap();
    ControlStore::open(&dir.join("control.sqlite"), keyring)
        .await
        .unwrap()
}

/// The string literals of a source file, without those of its tests.
fn literals(source: &str) -> Vec<String> {
    let code = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let (mut found, mut chars) = (Vec::new(), code.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|c| c != '\n') {},
            '\'' => {
                // A character, or a lifetime, which has no second quote.
                let ahead: Vec<char> = chars.clone().take(2).collect();
                match ahead[..] {
                    ['\\', _] => _ = chars.by_ref().skip(2).find(|c| *c == '\''),
                    [_, '\''] => _ = chars.nth(1),
                    _ => {}
                }
            }
            '"' => {
                let mut text = String::new();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    match c {
                        '\\' => text.extend(chars.next().filter(|c| *c != '\n')),
                        c => text.push(c),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
    }
    found
}

/// Every query text of the store, as it stands in the sources.
fn queries() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/control");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !path.is_file() || ["tests.rs", "testing.rs", "query_plans.rs"].contains(&name.as_str())
        {
            continue;
        }
        for text in literals(&std::fs::read_to_string(&path).unwrap()) {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "]
                .iter()
                .any(|verb| text.starts_with(verb))
            {
                found.push((name.clone(), text));
            }
        }
    }
    assert!(
        found.len() > 80,
        "the queries were not found: {}",
        found.len()
    );
    found
}

/// The table that a plan means by a name, which may be an alias.
fn table<'a>(text: &'a str, name: &'a str, tables: &BTreeSet<String>) -> Option<&'a str> {
    if tables.contains(name) {
        return Some(name);
    }
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    words.windows(3).find_map(|words| match words {
        [of, alias, _] if *alias == name && tables.contains(*of) => Some(*of),
        [of, "AS", alias] if *alias == name && tables.contains(*of) => Some(*of),
        _ => None,
    })
}

#[tokio::test]
async fn every_query_finds_its_rows_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    fill(&store, 200, 100).await;
    let names = async |what: &'static str| -> BTreeSet<String> {
        sqlx::query_scalar(what)
            .fetch_all(&store.reader)
            .await
            .unwrap()
            .into_iter()
            .collect()
    };
    let tables = names("SELECT name FROM sqlite_master WHERE type = 'table'").await;
    let partial =
        names("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'").await;
    let mut faults = Vec::new();
    for (file, text) in queries() {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let plan = match sqlx::query(explain).fetch_all(&store.reader).await {
            Ok(plan) => plan,
            Err(error) => {
                faults.push(format!("{file}: {text}\n    is no whole query: {error}"));
                continue;
            }
        };
        for row in plan {
            let detail: String = row.try_get("detail").unwrap();
            let words: Vec<&str> = detail.split(' ').collect();
            let is_bad = match words[..] {
                ["SCAN", name, ..] => {
                    let is_small =
                        table(&text, name, &tables).is_none_or(|table| SMALL.contains(&table));
                    !is_small && !words.last().is_some_and(|index| partial.contains(*index))
                }
                // A page that is sorted reads all pages first.
                ["USE", "TEMP", "B-TREE", "FOR", ..] => text.contains(" LIMIT "),
                _ => detail.contains("AUTOMATIC"),
            };
            if is_bad && !ALLOWED.iter().any(|(part, _)| text.contains(part)) {
                faults.push(format!("{file}: {text}\n    {detail}"));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} queries read more than they answer:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// A store with a history: messages that were delivered or given up, and alerts that ended.
async fn fill(store: &ControlStore, messages: i64, alerts: i64) {
    let mut tx = store.begin_write().await.unwrap();
    for query in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
         INSERT INTO alerts (name, rule, service, severity, state, summary, started_ms, fired_ms, resolved_ms, updated_ms)
         SELECT 'Down', 's' || (i % 50) || '/Down', 's' || (i % 50), 'critical', 'resolved', 'x', i, i, i + 5, i
         FROM n WHERE $1 IS NOT NULL",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
         INSERT INTO alert_events (alert_id, ts_ms, from_state, to_state, actor, reason)
         SELECT i, i, NULL, 'firing', 'engine', '' FROM n WHERE $1 IS NOT NULL",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO notifications (idempotency_key, group_key, group_labels, channel, reason, status, state, attempts,
             created_ms, next_attempt_ms, alerts, omitted)
         SELECT 'k' || i, 'Down:s' || (i % 50), '[]', 'chat', 'transition', 'firing',
             CASE i % 100 WHEN 0 THEN 'dead' ELSE 'delivered' END, 1, i, i, '[]', 0 FROM n",
        "INSERT INTO notification_alerts (notification_id, alert_id) SELECT id, 1 + id % $2 FROM notifications
         WHERE $1 IS NOT NULL",
        "INSERT INTO notification_attempts (notification_id, number, started_ms, duration_ms, outcome, answer)
         SELECT id, 1, id, 1, 'delivered', '' FROM notifications WHERE $1 IS NOT NULL AND $2 IS NOT NULL",
        "INSERT INTO audit_log (ts_ms, actor, action, subject, detail)
         SELECT id, 'ann', 'service.update', 's' || (id % 50), '{}' FROM alerts
         WHERE $1 IS NOT NULL AND $2 IS NOT NULL",
        "INSERT INTO silences (matchers, starts_ms, ends_ms, author, comment, created_ms)
         SELECT '[]', id, id + 1, 'ann', '', id FROM alerts WHERE $1 IS NOT NULL AND $2 IS NOT NULL",
    ] {
        sqlx::query(query).bind(messages).bind(alerts).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Counts the instructions of SQLite's machine on all connections from now on.
async fn count_steps(store: &ControlStore) -> Arc<AtomicU64> {
    let steps = Arc::new(AtomicU64::new(0));
    let (mut writer, mut readers) = (store.writer.acquire().await.unwrap(), Vec::new());
    for _ in 0..super::opening::READERS {
        readers.push(store.reader.acquire().await.unwrap());
    }
    for connection in readers.iter_mut().chain([&mut writer]) {
        let steps = Arc::clone(&steps);
        connection
            .lock_handle()
            .await
            .unwrap()
            .set_progress_handler(1, move || {
                steps.fetch_add(1, Ordering::Relaxed);
                true
            });
    }
    steps
}

fn transition(of: Option<&crate::domain::Alert>, to: AlertState, now_ms: i64) -> Transition {
    let alert = AlertDraft {
        id: of.map(|alert| alert.id),
        name: "Down".to_owned(),
        rule: "s1/Down".to_owned(),
        service: "s1".to_owned(),
        severity: Severity::Critical,
        state: to,
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: now_ms,
        fired_ms: Some(now_ms),
        resolved_ms: (to == AlertState::Resolved).then_some(now_ms),
        updated_ms: now_ms,
        flags: Default::default(),
        labels: Default::default(),
    };
    let (from, actor) = (of.map(|alert| alert.state), "engine".to_owned());
    let event = EventDraft {
        ts_ms: now_ms,
        from,
        to,
        actor,
        reason: String::new(),
    };
    Transition {
        alert,
        event,
        groups: vec![],
        is_news: false,
        memory: None,
        escalation: None,
    }
}

/// Runs the queries that the program repeats all the time or shows first, and returns the steps
/// that each took.
async fn hot(store: &ControlStore, steps: &AtomicU64) -> Vec<(&'static str, u64)> {
    const NOW_MS: i64 = 10_000_000;
    let mut taken = Vec::new();
    let mut note = |what| taken.push((what, steps.swap(0, Ordering::Relaxed)));
    let chat = ChannelId("chat".to_owned());
    steps.store(0, Ordering::Relaxed);

    let (alert, _) = store
        .transition_commit(transition(None, AlertState::Firing, NOW_MS))
        .await
        .unwrap();
    note("commit a transition");
    let draft = NotificationDraft {
        group_key: "Down:s1".to_owned(),
        group_labels: vec![],
        channel: chat.clone(),
        reason: NotificationReason::Transition,
        status: NotificationStatus::Firing,
        idempotency_key: "new".to_owned(),
        alerts: vec![alert.clone()],
        omitted: 0,
    };
    let message = store
        .notification_queue(draft.clone(), NOW_MS)
        .await
        .unwrap();
    note("queue a message");
    let alone = NotificationDraft {
        idempotency_key: "alone".to_owned(),
        ..draft
    };
    assert!(!store.notification_queue_alone(alone, NOW_MS).await.unwrap());
    note("queue a sign of life");
    assert_eq!(store.notification_due(NOW_MS, 100).await.unwrap().len(), 1);
    note("due messages");
    assert_eq!(store.notification_next_due().await.unwrap(), Some(NOW_MS));
    note("the next due message");
    assert_eq!(
        store.notification_reference(message.id).await.unwrap(),
        None
    );
    note("the message before");
    assert_eq!(
        store
            .notification_attempts_since(&chat, NOW_MS)
            .await
            .unwrap(),
        [] as [i64; 0]
    );
    note("attempts of a channel");
    assert_eq!(store.overdue_list(NOW_MS - 1, &[], 100).await.unwrap(), []);
    note("what is overdue");
    let answer = String::new();
    let attempt = Attempt {
        started_ms: NOW_MS,
        duration_ms: 1,
        outcome: AttemptOutcome::Delivered,
        answer,
    };
    let after = AfterAttempt::new(NotificationState::Delivered, 0);
    store
        .notification_attempt(message.id, &attempt, after)
        .await
        .unwrap();
    note("record an attempt");
    assert_eq!(store.alert_open_list().await.unwrap().len(), 1);
    note("open alerts");
    assert_eq!(store.alert_open_of_service("s1").await.unwrap().len(), 1);
    note("open alerts of a service");
    assert_eq!(store.alert_expiring(100).await.unwrap(), []);
    note("acknowledgements that end");
    assert_eq!(store.group_due(NOW_MS, 100).await.unwrap(), []);
    note("due groups");
    assert_eq!(
        store
            .escalation_due_after(NOW_MS, (i64::MIN, 0), 100)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.escalation_next_due(NOW_MS).await.unwrap(), None);
    note("due escalations");
    assert_eq!(store.silence_ending_after(NOW_MS).await.unwrap(), []);
    assert_eq!(store.maintenance_open_after(NOW_MS).await.unwrap().len(), 0);
    note("silences and windows that hold");
    assert_eq!(
        store.alert_event_after(i64::MAX - 1, 100).await.unwrap(),
        []
    );
    note("events to be copied");
    for filter in [
        AlertFilter {
            limit: 10,
            ..Default::default()
        },
        AlertFilter {
            state: Some(AlertState::Firing),
            limit: 10,
            ..Default::default()
        },
        AlertFilter {
            state: Some(AlertState::Resolved),
            limit: 10,
            ..Default::default()
        },
        AlertFilter {
            service: Some("s1".to_owned()),
            limit: 10,
            ..Default::default()
        },
        AlertFilter {
            service: Some("s1".to_owned()),
            state: Some(AlertState::Firing),
            limit: 10,
            before: None,
        },
    ] {
        assert!(!store.alert_list(&filter).await.unwrap().is_empty());
        note("a page of alerts");
    }
    for state in NotificationState::ALL.into_iter().map(Some).chain([None]) {
        store
            .notification_list(&NotificationFilter {
                state,
                limit: 10,
                ..Default::default()
            })
            .await
            .unwrap();
        note("a page of messages");
    }
    let of_alert = NotificationFilter {
        alert: Some(alert.id),
        limit: 10,
        ..Default::default()
    };
    assert_eq!(store.notification_list(&of_alert).await.unwrap().len(), 1);
    note("messages about an alert");
    for filter in [
        AuditFilter::default(),
        AuditFilter {
            kind: Some("plugin".to_owned()),
            ..Default::default()
        },
        AuditFilter {
            actor: Some("bob".to_owned()),
            ..Default::default()
        },
        AuditFilter {
            subject: Some("other".to_owned()),
            ..Default::default()
        },
    ] {
        store.audit_list(&filter, 10).await.unwrap();
        note("a page of the audit log");
    }
    store
        .audit_append("ann", "service.update", "s1", &serde_json::Value::Null)
        .await
        .unwrap();
    note("write into the audit log");
    store
        .transition_commit(transition(Some(&alert), AlertState::Resolved, NOW_MS))
        .await
        .unwrap();
    note("resolve an alert");
    store
        .retention_step(Retained::SignsOfLife, NOW_MS, (i64::MIN, 0), 100)
        .await
        .unwrap();
    note("a step of retention that finds nothing");
    store
        .retention_step(Retained::Notifications, 0, (i64::MIN, 0), 100)
        .await
        .unwrap();
    note("a step of retention that finds nothing");
    store
        .retention_step(Retained::Alerts { copied_event: 0 }, 10, (i64::MIN, 0), 1)
        .await
        .unwrap();
    note("a step of retention that removes nothing");
    assert_eq!(
        store
            .retention_step(Retained::Notifications, NOW_MS, (i64::MIN, 0), 20)
            .await
            .unwrap()
            .removed,
        20
    );
    note("a step of retention");
    taken
}

#[tokio::test]
async fn what_is_asked_all_the_time_takes_as_many_steps_with_a_long_history() {
    let mut counts = Vec::new();
    for (messages, alerts) in [(2_000, 1_000), (200_000, 100_000)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        fill(&store, messages, alerts).await;
        let steps = count_steps(&store).await;
        // The schema is read once by each connection.
        store.alert_get(AlertId(1)).await.unwrap();
        counts.push(hot(&store, &steps).await);
    }
    let [few, many] = &counts[..] else {
        panic!("two stores")
    };
    for ((what, few), (_, many)) in few.iter().zip(many) {
        println!("{what}: {few} steps with a short history, {many} with a long one");
    }
    for ((what, few), (_, many)) in few.iter().zip(many) {
        // Trees get one level deeper, which is no step of the machine; a page may be found a little
        // later.
        assert!(
            *many <= few + few / 4 + 100,
            "{what}: {few} steps become {many}"
        );
    }
}
