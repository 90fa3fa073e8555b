//! Reports beside messages about alerts.

use super::*;
use crate::domain::{ReportRunState, UnixMillis};
use crate::store::control::{ReportResult, ReportRunDraft};

/// Makes a run of a report, which is queued for a channel.
async fn report(outbox: &Outbox, number: i64, channel: &str) {
    let now_ms: UnixMillis = outbox.clock.now_ms();
    let name = format!("report-{number}");
    let draft = ReportRunDraft {
        run_key: name.clone(),
        report: name,
        period: "2026-11-16/2026-11-23".to_owned(),
        is_scheduled: true,
        due_ms: now_ms,
    };
    let result = ReportResult {
        state: ReportRunState::Sent,
        error: None,
        title: "Weekly".to_owned(),
        data: "{}".to_owned(),
        letter: "text".to_owned(),
        page: "<p>page</p>".to_owned(),
        files: Vec::new(),
    };
    let store = outbox.store.control();
    let run = store.report_run_begin(&draft, now_ms).await.unwrap();
    let run = run.unwrap();
    let channels = [ChannelId(channel.to_owned())];
    let finished = store.report_run_finish(&run, &result, &channels, now_ms);
    finished.await.unwrap();
    outbox.signals.wake_delivery();
}

fn tried(outbox: &Outbox, reason: NotificationReason) -> usize {
    let tries = outbox.notifier.tries();
    tries
        .iter()
        .filter(|(_, message)| message.reason == reason)
        .count()
}

#[tokio::test(start_paused = true)]
async fn reports_that_hang_go_one_by_one_and_leave_all_places_to_alerts() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", ChannelOptions::default());
    outbox.notifier.set("slack-1", Line::Hangs);
    outbox.start().await;
    for number in 1..=6 {
        report(&outbox, number, "slack-1").await;
    }
    settle().await;
    assert_eq!(tried(&outbox, NotificationReason::Report), 1);
    let places = DeliverySettings::default().at_once_per_channel;
    for alert in 1..=places as i64 {
        outbox.queue(alert, "slack-1", Firing).await;
    }
    settle().await;
    assert_eq!(tried(&outbox, NotificationReason::Transition), places);
    assert_eq!(tried(&outbox, NotificationReason::Report), 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_takes_nothing_of_the_limit_of_its_channel() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", limited(1, true));
    outbox.start().await;
    for number in 1..=3 {
        report(&outbox, number, "slack-1").await;
        settle().await;
    }
    settle().await;
    outbox.queue(1, "slack-1", Firing).await;
    settle().await;
    assert_eq!(tried(&outbox, NotificationReason::Report), 3);
    assert_eq!(tried(&outbox, NotificationReason::Transition), 1);
    // Nor does it after a restart, which counts what was sent before.
    tokio::time::sleep(Duration::from_secs(120)).await;
    report(&outbox, 4, "slack-1").await;
    settle().await;
    outbox.crash().await;
    outbox.start().await;
    outbox.queue(2, "slack-1", Firing).await;
    settle().await;
    assert_eq!(tried(&outbox, NotificationReason::Transition), 2);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_refused_goes_nowhere_else() {
    let mut outbox = Outbox::new(&[]);
    configured(&outbox, "slack-1", falling_back("pager-1"));
    configured(&outbox, "pager-1", ChannelOptions::default());
    outbox.notifier.set("slack-1", Line::Refuses);
    outbox.start().await;
    report(&outbox, 1, "slack-1").await;
    settle().await;
    settle().await;
    assert_eq!(outbox.store.waiting(), 0);
    let tries = outbox.notifier.tries();
    let channels: Vec<&str> = tries.iter().map(|(channel, _)| channel.as_str()).collect();
    assert_eq!(channels, ["slack-1"]);
}
