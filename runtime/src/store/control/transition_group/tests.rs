use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::Keyring;
use super::*;
use crate::domain::{AlertId, AlertState, Severity};
use crate::store::control::{AlertDraft, EventDraft};

async fn open(dir: &std::path::Path) -> ControlStore {
    let keyring = Keyring::load(None, dir).unwrap();
    ControlStore::open(&dir.join("control.db"), keyring)
        .await
        .unwrap()
}

fn fires(service: usize) -> Transition {
    let service = format!("s{service}");
    let alert = AlertDraft {
        id: None,
        name: "Down".to_owned(),
        rule: format!("{service}/Down"),
        service,
        severity: Severity::Critical,
        state: AlertState::Firing,
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: 1,
        fired_ms: Some(1),
        resolved_ms: None,
        updated_ms: 1,
        flags: Default::default(),
        labels: Default::default(),
    };
    let (actor, reason) = ("engine".to_owned(), String::new());
    let event = EventDraft {
        ts_ms: 1,
        from: None,
        to: AlertState::Firing,
        actor,
        reason,
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

/// Counts the transactions that are committed from now on.
async fn commits(store: &ControlStore) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let mut writer = store.writer.acquire().await.unwrap();
    writer
        .lock_handle()
        .await
        .unwrap()
        .set_commit_hook(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            true
        });
    count
}

/// Holds the writer until all of these wait for it, then lets them go.
async fn together(store: &ControlStore, transitions: Vec<Transition>) -> Vec<Result<Done>> {
    let held = store.begin_write().await.unwrap();
    let count = transitions.len();
    let tasks: Vec<_> = transitions
        .into_iter()
        .map(|transition| {
            let store = store.clone();
            tokio::spawn(async move { store.transition_commit(transition).await })
        })
        .collect();
    while store.transitions.len() < count {
        tokio::task::yield_now().await;
    }
    held.rollback().await.unwrap();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn transitions_that_wait_together_share_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let commits = commits(&store).await;
    let answers = together(&store, (0..50).map(fires).collect()).await;
    let mut ids: Vec<i64> = answers
        .into_iter()
        .map(|answer| answer.unwrap().0.id.0)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=50).collect::<Vec<_>>());
    assert_eq!(commits.load(Ordering::Relaxed), 1);
    assert_eq!(store.alert_open_list().await.unwrap().len(), 50);
}

#[tokio::test]
async fn one_that_is_refused_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut gone = fires(1);
    gone.alert.id = Some(AlertId(99));
    let mut answers = together(&store, vec![fires(0), fires(0), gone, fires(2)])
        .await
        .into_iter();
    assert!(answers.next().unwrap().is_ok());
    assert!(matches!(
        answers.next().unwrap(),
        Err(ControlError::Exists { .. })
    ));
    assert!(matches!(
        answers.next().unwrap(),
        Err(ControlError::NotFound { .. })
    ));
    assert!(answers.next().unwrap().is_ok());
    let open = store.alert_open_list().await.unwrap();
    assert_eq!(
        open.iter()
            .map(|alert| alert.service.as_str())
            .collect::<Vec<_>>(),
        ["s0", "s2"]
    );
    let (_, events) = store.alert_get(open[1].id).await.unwrap().unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn a_store_that_fails_fails_for_all_and_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut writer = store.writer.acquire().await.unwrap();
    // As a full disk does: the commit is turned into a roll-back.
    writer
        .lock_handle()
        .await
        .unwrap()
        .set_commit_hook(|| false);
    drop(writer);
    let answers = together(&store, (0..5).map(fires).collect()).await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(ControlError::Shared(_)))),
        "{answers:?}"
    );
    assert_eq!(store.alert_open_list().await.unwrap(), []);
    store
        .writer
        .acquire()
        .await
        .unwrap()
        .lock_handle()
        .await
        .unwrap()
        .remove_commit_hook();
    let answers = together(&store, (0..5).map(fires).collect()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn a_caller_that_left_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let held = store.begin_write().await.unwrap();
    let leaving = store.clone();
    let task = tokio::spawn(async move { leaving.transition_commit(fires(0)).await });
    while store.transitions.len() < 1 {
        tokio::task::yield_now().await;
    }
    task.abort();
    let _ = task.await;
    held.rollback().await.unwrap();
    store.transition_commit(fires(1)).await.unwrap();
    let open = store.alert_open_list().await.unwrap();
    assert_eq!(
        open.iter()
            .map(|alert| alert.service.as_str())
            .collect::<Vec<_>>(),
        ["s1"]
    );
}
