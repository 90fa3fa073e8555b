use serde_json::json;

use super::*;
use crate::domain::NotificationState;
use crate::store::Keyring;
use crate::store::control::Retained;

async fn store() -> (tempfile::TempDir, ControlStore) {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::load(None, folder.path()).unwrap();
    let path = folder.path().join("control.sqlite");
    let store = ControlStore::open(&path, keyring).await.unwrap();
    (folder, store)
}

fn draft() -> ReportRunDraft {
    ReportRunDraft {
        report: "weekly".to_owned(),
        run_key: "weekly/2026-11-16/2026-11-23".to_owned(),
        period: "2026-11-16/2026-11-23".to_owned(),
        is_scheduled: true,
        due_ms: 10,
    }
}

fn result() -> ReportResult {
    ReportResult {
        state: ReportRunState::Sent,
        error: None,
        title: "Weekly".to_owned(),
        data: "{}".to_owned(),
        letter: "text".to_owned(),
        page: "<p>page</p>".to_owned(),
        files: vec![MessageFile {
            name: "weekly.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            content_id: None,
            content: vec![1, 2],
        }],
    }
}

#[tokio::test]
async fn a_run_is_a_row_before_it_is_rendered_and_is_sent_once_to_each_channel() {
    let (_folder, store) = store().await;
    let run = store.report_run_begin(&draft(), 11).await.unwrap().unwrap();
    assert_eq!(store.report_run_begin(&draft(), 12).await.unwrap(), None);
    let unfinished = store.report_run_unfinished().await.unwrap();
    assert_eq!(unfinished, std::slice::from_ref(&run));
    let channels = [ChannelId("ops".to_owned()), ChannelId("cto".to_owned())];
    let finish = async || {
        store
            .report_run_finish(&run, &result(), &channels, 13)
            .await
    };
    finish().await.unwrap();
    let again = finish().await;
    assert!(
        matches!(again, Err(ControlError::Conflict { .. })),
        "{again:?}"
    );
    let sent = store.report_notifications(&run).await.unwrap();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|it| it.state == NotificationState::Waiting));
    let letter = store.report_letter(run.id).await.unwrap().unwrap();
    assert_eq!(
        (letter.text.as_str(), letter.files),
        ("text", result().files)
    );
    store
        .report_run_resend(&run, &channels[..1], 14)
        .await
        .unwrap();
    assert_eq!(store.report_notifications(&run).await.unwrap().len(), 3);
    assert!(store.report_run_unfinished().await.unwrap().is_empty());
}

#[tokio::test]
async fn each_attempt_is_counted_before_it_can_fail() {
    let (_folder, store) = store().await;
    let run = store.report_run_begin(&draft(), 11).await.unwrap().unwrap();
    assert_eq!((run.attempts, run.next_attempt_ms), (0, 0));
    for attempt in 1..=2 {
        let next_ms = 100 * attempt;
        store.report_run_rendering(run.id, next_ms).await.unwrap();
        let found = store.report_run_unfinished().await.unwrap().remove(0);
        assert_eq!((found.attempts, found.next_attempt_ms), (attempt, next_ms));
    }
}

#[tokio::test]
async fn only_some_runs_of_a_report_wait_at_once() {
    let (_folder, store) = store().await;
    let begin = async |report: &str, index: i64| {
        let draft = ReportRunDraft {
            report: report.to_owned(),
            run_key: format!("{report}/{index}"),
            ..draft()
        };
        store.report_run_begin(&draft, index).await
    };
    let mut first = None;
    for index in 0..MOST_UNFINISHED {
        let run = begin("weekly", index).await.unwrap().unwrap();
        first = first.or(Some(run.id));
    }
    let more = begin("weekly", MOST_UNFINISHED).await;
    assert!(matches!(more, Err(ControlError::Full { .. })), "{more:?}");
    begin("cost", 0).await.unwrap().unwrap();
    store
        .report_run_fail(first.unwrap(), "broken", 20)
        .await
        .unwrap();
    begin("weekly", MOST_UNFINISHED).await.unwrap().unwrap();
}

#[tokio::test]
async fn another_schedule_counts_from_when_it_was_seen() {
    let (_folder, store) = store().await;
    let since = async |schedule: &str, now_ms| {
        store
            .report_schedule_since("weekly", schedule, now_ms)
            .await
            .unwrap()
    };
    assert_eq!(since("0 8 * * 1 UTC", 5).await, 5);
    assert_eq!(since("0 8 * * 1 UTC", 9).await, 5);
    assert_eq!(since("0 9 * * 1 UTC", 12).await, 12);
    store.report_schedule_retain(&["weekly"]).await.unwrap();
    assert_eq!(since("0 9 * * 1 UTC", 13).await, 12);
    store.report_schedule_retain(&[]).await.unwrap();
    assert_eq!(since("0 9 * * 1 UTC", 14).await, 14);
}

#[tokio::test]
async fn the_oldest_runs_go() {
    let (_folder, store) = store().await;
    for index in 0..RUNS_KEPT + 3 {
        let draft = ReportRunDraft {
            run_key: index.to_string(),
            ..draft()
        };
        let run = store
            .report_run_begin(&draft, index)
            .await
            .unwrap()
            .unwrap();
        let finished = store.report_run_finish(&run, &result(), &[], index).await;
        finished.unwrap();
    }
    let kept = store.report_run_list("weekly", None, 1_000).await.unwrap();
    assert_eq!(kept.len() as i64, RUNS_KEPT);
    assert_eq!(kept[0].created_ms, RUNS_KEPT + 2);
}

#[tokio::test]
async fn old_runs_go_with_their_files_and_one_that_is_on_its_way_stays() {
    let (_folder, store) = store().await;
    let mut runs = Vec::new();
    let (none, ops): (&[ChannelId], _) = (&[], [ChannelId("ops".to_owned())]);
    for (index, channels) in [none, &ops[..], none].into_iter().enumerate() {
        let finished_ms = 100 * index as i64;
        let draft = ReportRunDraft {
            run_key: index.to_string(),
            ..draft()
        };
        let run = store.report_run_begin(&draft, finished_ms).await.unwrap();
        let (run, made) = (run.unwrap(), result());
        let finished = store.report_run_finish(&run, &made, channels, finished_ms);
        finished.await.unwrap();
        runs.push(run.id);
    }
    let what = Retained::ReportRuns;
    let step = store.retention_step(what, 200, (i64::MIN, 0), 100).await;
    assert_eq!(step.unwrap().removed, 1);
    let kept = store.report_run_list("weekly", None, 10).await.unwrap();
    let kept: Vec<i64> = kept.iter().map(|run| run.id).collect();
    assert_eq!(kept, [runs[2], runs[1]]);
}

#[tokio::test]
async fn a_report_of_the_api_is_kept_changed_and_removed() {
    let (_folder, store) = store().await;
    let spec = json!({"name": "cost"});
    store.report_insert("cost", &spec, "ci", 1).await.unwrap();
    let again = store.report_insert("cost", &spec, "ci", 2).await;
    assert!(
        matches!(again, Err(ControlError::Exists { .. })),
        "{again:?}"
    );
    let other = json!({"name": "cost", "title": "Bills"});
    store
        .report_replace("cost", &other, "ops", 3)
        .await
        .unwrap();
    let kept = store.report_list().await.unwrap();
    assert_eq!((&kept[0].spec, kept[0].updated_ms), (&other, 3));
    let run = ReportRunDraft {
        report: "cost".to_owned(),
        ..draft()
    };
    let run = store.report_run_begin(&run, 4).await.unwrap().unwrap();
    let finished = store.report_run_finish(&run, &result(), &[], 5).await;
    finished.unwrap();
    let since = async |now_ms| {
        let since = store.report_schedule_since("cost", "0 8 * * 1 UTC", now_ms);
        since.await.unwrap()
    };
    assert_eq!(since(6).await, 6);
    store.report_delete("cost").await.unwrap();
    assert_eq!(store.report_run_get("cost", run.id).await.unwrap(), None);
    assert_eq!(store.report_letter(run.id).await.unwrap(), None);
    assert_eq!(since(7).await, 7, "a schedule that comes back begins anew");
    let gone = store.report_delete("cost").await;
    assert!(
        matches!(gone, Err(ControlError::NotFound { .. })),
        "{gone:?}"
    );
}
