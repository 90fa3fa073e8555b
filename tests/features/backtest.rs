//! Backtests against what really happened.

use extrack_tests::{Inbox, PATIENCE, TargetServer, TestRuntime, wait_for};
use serde_json::{Value, json};

const ALERTS: &str = r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    severity: critical
    notifications: [{channel: webhook, name: hook, url: "URL"}]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backtest_finds_the_alerts_that_fired_and_leaves_no_trace() {
    let (mut nginx, inbox) = (TargetServer::start().await, Inbox::start().await);
    let services = format!(
        r#"
services:
  - {{name: "Shop API", baseUrl: "{}", healthEndpoint: "/health", monitoring: {{interval: 1, timeout: 900}}}}
"#,
        nginx.url()
    );
    let runtime =
        TestRuntime::builder().services(&services).alerts(ALERTS.replace("URL", &inbox.url("/hook"))).start().await;
    let api = runtime.api();
    let resolved = async |count: usize| {
        wait_for(&format!("{count} resolved alerts"), PATIENCE, async || {
            let found = api.list("/api/v1/alerts?state=resolved").await;
            if found.len() == count { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    };
    wait_for("a healthy run", PATIENCE, async || {
        let healthy = api.sql_count("SELECT count(*) FROM observations WHERE status = 'healthy'").await;
        if healthy > 0 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    for round in 1..=2 {
        nginx.stop().await;
        wait_for("an alert", PATIENCE, async || {
            let firing = api.list("/api/v1/alerts?state=firing").await;
            if firing.len() == 1 { Ok(()) } else { Err(format!("{firing:?}")) }
        })
        .await;
        nginx.restart().await;
        resolved(round).await;
    }
    // Rows are committed within a second; the runs go on meanwhile.
    wait_for("the last run of the outage is stored", PATIENCE, async || {
        let last = api.sql("SELECT status FROM observations WHERE NOT missed ORDER BY run_id DESC LIMIT 1").await;
        if last[0][0] == "healthy" { Ok(()) } else { Err(format!("{last:?}")) }
    })
    .await;

    let said = runtime.cli(["rule", "backtest", "--rule", "Service Down", "--since", "1h", "--json"]).await;
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!((&report["fired"], &report["reallyFired"], &report["reallyFound"]), (&2.into(), &2.into(), &2.into()));
    assert_eq!(report["impure"], false);
    assert_eq!(report["messages"], json!({"hook": 4}));
    let really = api.list("/api/v1/alerts").await;
    let found: Vec<&Value> = report["services"][0]["alerts"].as_array().unwrap().iter().collect();
    for (found, really) in found.iter().zip(really.iter().rev()) {
        assert_eq!((&found["firedAt"], &found["resolvedAt"]), (&really["firedAt"], &really["resolvedAt"]));
    }

    // Another rule over the same history, compared with the one in force.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("patient.yaml");
    let patient = "name: Service Down\ncondition: \"status in ['unhealthy', 'error']\"\nduration: 1h\n";
    std::fs::write(&file, patient).unwrap();
    let said = runtime.cli(["rule", "backtest", "--rule", file.to_str().unwrap(), "--since", "1h", "--json"]).await;
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!((&report["fired"], &report["reallyFound"]), (&0.into(), &0.into()));
    assert_eq!(report["services"][0]["cleared"], 2);
    assert_eq!(report["services"][0]["current"].as_array().map(Vec::len), Some(2));
    let text = runtime.cli(["rule", "backtest", "--rule", "Service Down", "--since", "1h"]).await.out;
    assert!(text.contains("would have fired 2 time(s)") && text.contains("4 message(s) to hook"), "{text}");

    assert_eq!(api.list("/api/v1/alerts").await.len(), 2);
    assert_eq!(inbox.received("/hook").len(), 4);
}
