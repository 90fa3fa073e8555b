//! Noise of alerts, and services side by side.

use std::sync::Arc;

use super::*;
use crate::domain::now_ms;

const HOUR: i64 = 60 * MINUTE;

fn alert(id: i64, rule: &str) -> Alert {
    Alert {
        id: AlertId(id),
        name: rule.to_owned(),
        rule: format!("shop/{rule}"),
        service: "shop".to_owned(),
        severity: Severity::Critical,
        state: AlertState::Firing,
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: 0,
        fired_ms: None,
        resolved_ms: None,
        updated_ms: 0,
        suppressed_by: None,
        flags: Default::default(),
        labels: Default::default(),
    }
}

#[tokio::test]
async fn alerts_that_nobody_acted_on_and_that_fire_again_are_counted_by_rule() {
    use AlertState::{Acknowledged, Firing, Pending, Resolved};
    let running = Running::start();
    let now = now_ms() / MINUTE * MINUTE;
    // Alert, rule, minutes ago, state, actor.
    let life = [
        (1, "Down", 3_000, Pending, "engine"),
        (1, "Down", 2_999, Firing, "engine"),
        (1, "Down", 2_989, Resolved, "engine"),
        // Fired again within a day, and a person took it.
        (2, "Down", 2_000, Firing, "engine"),
        (2, "Down", 1_995, Acknowledged, "anna"),
        (2, "Down", 1_900, Resolved, "engine"),
        // More than a day later, and still firing.
        (3, "Down", 100, Firing, "engine"),
        // The program itself says that a message is overdue.
        (3, "Down", 99, Firing, "auditor"),
        // Never fired, and fired before the span.
        (4, "Slow", 90, Pending, "engine"),
        (4, "Slow", 80, Resolved, "engine"),
        (5, "Slow", 100_000, Firing, "engine"),
    ];
    let events = life
        .into_iter()
        .zip(1..)
        .map(|((id, rule, minutes, to, actor), event)| {
            let event = AlertEvent {
                id: event,
                alert: AlertId(id),
                ts_ms: now - minutes * MINUTE,
                from: None,
                to,
                actor: actor.to_owned(),
                reason: String::new(),
            };
            (event, alert(id, rule))
        });
    let events = events.collect();
    running.store.alert_event_append(events).await.unwrap();
    let span = (now - 30 * 24 * HOUR, now + MINUTE);
    let found = running.store.alert_noise(span).await.unwrap();
    let [row] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (row.rule.as_str(), row.alert.as_str()),
        ("shop/Down", "Down")
    );
    assert_eq!((row.fired, row.not_acted_on, row.refired), (3, 2, 1));
    assert_eq!(row.acknowledge_p50_s, Some(300));
    assert_eq!(
        (row.resolve_p50_s, row.resolve_p90_s),
        (Some(600), Some(6_000))
    );
    assert_eq!(row.last_fired_ms, now - 100 * MINUTE);
    let before_the_second = (span.0, now - 2_500 * MINUTE);
    let found = running.store.alert_noise(before_the_second).await.unwrap();
    let fired: Vec<_> = found.iter().map(|row| (row.fired, row.refired)).collect();
    assert_eq!(fired, [(1, 1)], "what fires behind the span counts");
    let moments = running.store.alert_fired_moments(span).await.unwrap();
    assert_eq!(moments.len(), 3);
    assert_eq!(moments[0], ("shop/Down".to_owned(), now - 2_999 * MINUTE));
    let sql = "SELECT rule, times_fired, not_acted_on, refired, acknowledge_p50_s, resolve_p90_s FROM alert_noise";
    assert_eq!(
        json!(running.rows(sql).await),
        json!([["shop/Down", 3, 2, 1, 300, 6_000]])
    );
    running.stop().await;
}

#[tokio::test]
async fn a_service_is_compared_by_seconds_and_by_the_latencies_of_its_hours() {
    let running = Running::start();
    let hour = now_ms() / HOUR * HOUR - 5 * HOUR;
    for minute in 0..60 {
        let is_down = minute < 6;
        let run = Observation {
            ts_ms: hour + minute * MINUTE,
            run_id: minute + 1,
            status: if is_down {
                Status::Error
            } else {
                Status::Healthy
            },
            latency_us: (!is_down).then_some(if minute < 57 { 100_000 } else { 400_000 }),
            failure: is_down.then(|| Failure::new(ErrorKind::Timeout, "late")),
            ..observation(minute)
        };
        let stored = running.store.observation_append_durable(Arc::new(run));
        stored.await.unwrap();
    }
    let span = (hour, hour + HOUR);
    let found = running.store.service_comparison(span).await.unwrap();
    let [row] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((row.availability, row.coverage), (Some(90.0), Some(100.0)));
    assert_eq!((row.bad_s, row.incidents, row.calls), (360, 0, 0));
    assert_eq!((&row.cost_min, &row.currency), (&None, &None));
    let near = |found: Option<f64>, wanted: f64| (found.unwrap() / wanted - 1.0).abs() < 0.026;
    assert!(
        near(row.p50_ms, 100.0) && near(row.p99_ms, 400.0),
        "{row:?}"
    );
    let phases = running.store.phase_sums("shop-api", span).await.unwrap();
    assert_eq!((phases.runs, phases.us), (54, [5_400, 0, 0, 0, 0]));
    let sql = "SELECT service, p95_ms > p50_ms, incidents FROM service_comparison";
    assert_eq!(
        json!(running.rows(sql).await),
        json!([["shop-api", true, 0]])
    );
    let calls = running.store.usage_by_hour("shop-api", span).await.unwrap();
    assert!(calls.is_empty());
    running.stop().await;
}
