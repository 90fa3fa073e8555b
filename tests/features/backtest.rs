//! Backtests against what really happened.

use extrack_tests::{Inbox, PATIENCE, TargetServer, TestRuntime, components, wait_for};
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
  - {{name: "Shop API", baseUrl: "{}", healthEndpoint: "/health", monitoring: {{interval: 1, timeout: 5000}}}}
"#,
        nginx.url()
    );
    let runtime = TestRuntime::builder()
        .services(&services)
        .alerts(ALERTS.replace("URL", &inbox.url("/hook")))
        .start()
        .await;
    let api = runtime.api();
    let resolved = async |count: usize| {
        wait_for(&format!("{count} resolved alerts"), PATIENCE, async || {
            let found = api.list("/api/v1/alerts?state=resolved").await;
            if found.len() == count {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await;
    };
    wait_for("a healthy run", PATIENCE, async || {
        let healthy = api
            .sql_count("SELECT count(*) FROM observations WHERE status = 'healthy'")
            .await;
        if healthy > 0 {
            Ok(())
        } else {
            Err("none".to_owned())
        }
    })
    .await;
    for (round, state) in [(1, "firing"), (2, "firing"), (3, "suppressed")] {
        if state == "suppressed" {
            let silence = [
                "silences",
                "add",
                "--match",
                "service=shop-api",
                "--for",
                "1h",
                "--comment",
                "moving",
            ];
            assert_eq!(runtime.cli(silence).await.code, Some(0));
        }
        nginx.stop().await;
        wait_for("an alert", PATIENCE, async || {
            let open = api.list(&format!("/api/v1/alerts?state={state}")).await;
            if open.len() == 1 {
                Ok(())
            } else {
                Err(format!("{open:?}"))
            }
        })
        .await;
        nginx.restart().await;
        resolved(round).await;
    }
    // Rows are committed within a second; the runs go on meanwhile.
    wait_for(
        "the last run of the outage is stored",
        PATIENCE,
        async || {
            let last = api
                .sql(
                    "SELECT status FROM observations WHERE NOT missed ORDER BY run_id DESC LIMIT 1",
                )
                .await;
            if last[0][0] == "healthy" {
                Ok(())
            } else {
                Err(format!("{last:?}"))
            }
        },
    )
    .await;

    let said = runtime
        .cli([
            "rule",
            "backtest",
            "--rule",
            "Service Down",
            "--since",
            "1h",
            "--json",
        ])
        .await;
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(
        (
            &report["fired"],
            &report["reallyFired"],
            &report["reallyFound"]
        ),
        (&3.into(), &3.into(), &3.into())
    );
    assert_eq!(report["impure"], false);
    assert_eq!(report["messages"], json!({"hook": 4}));
    let really = api.list("/api/v1/alerts").await;
    let found: Vec<&Value> = report["services"][0]["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let muted: Vec<&Value> = found.iter().map(|alert| &alert["suppressedBy"]).collect();
    assert_eq!(muted, [&Value::Null, &Value::Null, &"silence 1".into()]);
    for (found, really) in found.iter().zip(really.iter().rev()) {
        assert_eq!(
            (&found["firedAt"], &found["resolvedAt"]),
            (&really["firedAt"], &really["resolvedAt"])
        );
    }

    // Another rule over the same history, compared with the one in force.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("patient.yaml");
    let patient =
        "name: Service Down\ncondition: \"status in ['unhealthy', 'error']\"\nduration: 1h\n";
    std::fs::write(&file, patient).unwrap();
    let said = runtime
        .cli([
            "rule",
            "backtest",
            "--rule",
            file.to_str().unwrap(),
            "--since",
            "1h",
            "--json",
        ])
        .await;
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(
        (&report["fired"], &report["reallyFound"]),
        (&0.into(), &0.into())
    );
    assert_eq!(report["services"][0]["cleared"], 3);
    assert_eq!(
        report["services"][0]["current"].as_array().map(Vec::len),
        Some(3)
    );
    let text = runtime
        .cli([
            "rule",
            "backtest",
            "--rule",
            "Service Down",
            "--since",
            "1h",
        ])
        .await
        .out;
    for wanted in [
        "would have fired 3 time(s)",
        "4 message(s) to hook",
        "(muted by silence 1)",
    ] {
        assert!(text.contains(wanted), "`{wanted}` is not in {text}");
    }

    // A rule that is not installed, and is not by this.
    let component = components::path("rule-impure");
    let file = folder.path().join("odd.yaml");
    std::fs::write(&file, "name: Odd\ntype: rule-impure\n").unwrap();
    let odd = [
        "rule",
        "backtest",
        "--rule",
        file.to_str().unwrap(),
        "--since",
        "1h",
        "--json",
    ];
    let refused = runtime.cli(odd).await;
    assert!(
        refused.code != Some(0) && refused.err.contains("rule-impure"),
        "{refused:?}"
    );
    let said = runtime
        .cli(
            odd.into_iter()
                .chain(["--plugin", component.to_str().unwrap()]),
        )
        .await;
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(report["plugin"], "rule-impure");
    assert!(
        report["fired"].as_u64().is_some_and(|fired| fired > 0),
        "{report}"
    );
    assert_eq!(report["services"][0]["really"], json!([]));
    let plugins = api.list("/api/v1/plugins").await;
    assert!(
        plugins.iter().all(|plugin| plugin["name"] != "rule-impure"),
        "{plugins:?}"
    );

    assert_eq!(api.list("/api/v1/alerts").await.len(), 3);
    assert_eq!(inbox.received("/hook").len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backtested_rule_does_not_see_the_secrets_of_its_settings() {
    let nginx = TargetServer::start().await;
    let services = format!(
        "services:\n  - {{name: Shop, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1}}}}\n",
        nginx.url()
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .plugin("reveals.wasm", components::guest("rule-reveals"))
        .start()
        .await;
    let api = runtime.api();
    wait_for("some runs", PATIENCE, async || {
        match api.sql_count("SELECT count(*) FROM observations").await {
            0..3 => Err("fewer than three".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let backtest = async |token: &str| {
        let file = folder.path().join("reveals.yaml");
        let rule = format!(
            "name: Reveals\ntype: rule-reveals\ntoken: {token}\nhalves: [s3cret-of, -the-rule]\n"
        );
        std::fs::write(&file, rule).unwrap();
        let said = runtime
            .cli([
                "rule",
                "backtest",
                "--rule",
                file.to_str().unwrap(),
                "--since",
                "1h",
                "--json",
            ])
            .await;
        serde_json::from_str::<Value>(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
    };
    let report = backtest("s3cret-of-the-rule").await;
    assert_eq!(
        (&report["fired"], &report["impure"]),
        (&json!(0), &json!(false)),
        "{report}"
    );
}
