//! Statements, asked of a store.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::json;

use super::*;
use crate::domain::{Alert, AlertEvent, AlertId, AlertState, Severity};
use crate::store::results::tests::sql_settings;
use crate::store::{QueryLimits, ResultSettings, ResultStore, SqlAnswer};

const HOUR_MS: UnixMillis = 3_600_000;

fn alert() -> Alert {
    Alert {
        id: AlertId(1),
        name: "Down".to_owned(),
        rule: "shop/Down".to_owned(),
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

async fn ask(results: &ResultStore, sql: &str) -> SqlAnswer {
    let limits = QueryLimits {
        rows: 500,
        bytes: 16 << 20,
        timeout: Duration::from_secs(30),
    };
    for _ in 0..10 {
        match results.query(sql, limits).await {
            Ok(answer) => return answer,
            // The first files of a machine that stands still take longer than a question waits.
            Err(error) if error.to_string().contains("is being prepared") => {}
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    panic!("{sql}: history is not prepared");
}

#[tokio::test]
async fn an_alert_counts_once_when_it_fires_first_from_whatever_state() {
    use AlertState::{Acknowledged, Firing, Pending, Suppressed};
    let data = tempfile::tempdir().unwrap();
    let settings = ResultSettings {
        sql: sql_settings(),
        ..ResultSettings::default()
    };
    let (results, writer) = ResultStore::open(data.path(), settings).unwrap();
    let thread = writer.start().unwrap();
    let period = ReportPeriod {
        first: NaiveDate::from_ymd_opt(2026, 11, 22).unwrap(),
        end: NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(),
        zone: chrono_tz::Tz::UTC,
    };
    let life = [
        (0, None, Pending),
        (1, Some(Pending), Suppressed),
        (2, Some(Suppressed), Firing),
        (3, Some(Firing), Acknowledged),
        (4, Some(Acknowledged), Firing),
    ];
    let events = life.map(|(hour, from, to)| {
        let event = AlertEvent {
            id: hour + 1,
            alert: AlertId(1),
            ts_ms: period.from_ms() + hour * HOUR_MS,
            from,
            to,
            actor: "engine".to_owned(),
            reason: String::new(),
        };
        (event, alert())
    });
    results.alert_event_append(Vec::from(events)).await.unwrap();
    let counted = ask(&results, &number(ReportNumber::Alerts, period)).await;
    assert_eq!(json!(counted.rows), json!([[1]]));
    let bars = ask(&results, &chart(ReportChart::Alerts, period)).await;
    let value = bars
        .columns
        .iter()
        .position(|column| column.name == "value");
    let value = value.expect("a column of values");
    let heights = bars.rows.iter().filter_map(|row| row[value].as_f64());
    let heights: Vec<f64> = heights.collect();
    let wanted: Vec<f64> = (0..24).map(|hour| f64::from(u8::from(hour == 2))).collect();
    assert_eq!(heights, wanted);
    results.close().await.unwrap();
    thread.join().unwrap().unwrap();
}
