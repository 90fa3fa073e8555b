//! Actions of people on alerts, what happens without any, and what of it outlives a restart.

use std::time::Duration;

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

fn services(vendor: &Vendor, more: &str) -> String {
    format!(
        r#"
services:
  - name: "Shop API"
    baseUrl: "{}"
    healthEndpoint: "/health"
    tags: ["prod"]
    monitoring: {{interval: 1, timeout: 5000{more}}}
"#,
        vendor.url()
    )
}

async fn wait_for_alert(api: &Api, state: &str) -> Value {
    wait_for(&format!("an alert that is {state}"), PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts").await;
        alerts
            .iter()
            .find(|alert| alert["state"] == state)
            .cloned()
            .ok_or_else(|| format!("{alerts:?}"))
    })
    .await
}

async fn wait_for_messages(inbox: &Inbox, path: &str, count: usize) {
    wait_for(
        &format!("{count} messages at {path}"),
        PATIENCE,
        async || {
            let received = inbox.received(path);
            if received.len() >= count {
                Ok(())
            } else {
                Err(format!("{received:?}"))
            }
        },
    )
    .await;
}

/// Waits until so many more runs were stored.
async fn more_runs(api: &Api, more: i64) {
    let count = async || {
        api.sql_count("SELECT count(*) FROM observations WHERE service = 'shop-api' AND NOT missed")
            .await
    };
    let before = count().await;
    wait_for(&format!("{more} more runs"), PATIENCE, async || {
        let now = count().await;
        if now >= before + more {
            Ok(())
        } else {
            Err(format!("{now} after {before}"))
        }
    })
    .await;
}

fn statuses(inbox: &Inbox, path: &str) -> Vec<String> {
    inbox
        .received(path)
        .iter()
        .map(|message| message.body["status"].as_str().unwrap_or("?").to_owned())
        .collect()
}

fn escalating(inbox: &Inbox) -> String {
    format!(
        r#"
alertTemplates:
  down:
    params: {{severity: {{default: "warning"}}}}
    condition: "status in ['unhealthy', 'error']"
    severity: "{{{{severity}}}}"
    escalation: "ops"
alerts:
  - name: "Service Down"
    template: "down"
    with: {{severity: "critical"}}
    where: "'prod' in service.tags"
    notifications:
      - {{channel: webhook, name: team, url: "{}"}}
escalations:
  ops:
    steps:
      - {{wait: 2, notify: [{{channel: webhook, name: pager, url: "{}"}}]}}
      - {{wait: 10, notify: [{{channel: webhook, name: boss, url: "{}"}}]}}
watchdog: {{url: "{}", interval: 5}}
"#,
        inbox.url("/team"),
        inbox.url("/pager"),
        inbox.url("/boss"),
        inbox.url("/watchdog")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_stops_the_escalation_over_a_restart_until_it_runs_out() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, ""))
        .alerts(escalating(&inbox))
        .start()
        .await;
    let api = runtime.api();
    vendor.set_status("/health", 503);
    let alert = wait_for_alert(&api, "firing").await;
    assert_eq!(
        alert["severity"], "critical",
        "from the template's parameter"
    );
    let path = format!("/api/v1/alerts/{}", alert["id"]);
    wait_for_messages(&inbox, "/pager", 1).await;
    let until = json!({"note": "on it"});
    let acknowledged = api
        .post(&format!("{path}/acknowledge"), &until)
        .await
        .expect(200);
    assert_eq!(acknowledged["state"], "acknowledged");
    assert_eq!(acknowledged["acknowledged"]["note"], "on it");
    let boss = inbox.received("/boss").len();
    assert_eq!(boss, 0, "the second step is ten seconds behind the first");

    // What arrived and is not on record would arrive again.
    wait_for("all deliveries to be on record", PATIENCE, async || {
        let waiting = api.list("/api/v1/notifications?state=waiting").await;
        if waiting.is_empty() {
            Ok(())
        } else {
            Err(format!("{waiting:?}"))
        }
    })
    .await;
    runtime.kill().await;
    runtime.start().await;
    let api = runtime.api();
    let detail = api.get(&path).await.expect(200);
    assert_eq!(
        (&detail["state"], &detail["escalation"]["dueAt"]),
        (&json!("acknowledged"), &Value::Null)
    );
    // Longer than the step would have waited, in the program's own runs.
    more_runs(&api, 13).await;
    assert_eq!(inbox.received("/boss").len(), 0, "somebody is on it");

    // A short one runs out: that is news to the team, and the escalation goes on where it stood.
    let told = inbox.received("/team").len();
    api.post(&format!("{path}/acknowledge"), &json!({"for": "2s"}))
        .await
        .expect(200);
    wait_for_messages(&inbox, "/team", told + 1).await;
    wait_for_messages(&inbox, "/boss", 1).await;

    vendor.set_status("/health", 200);
    wait_for_alert(&api, "resolved").await;
    for channel in ["/team", "/pager", "/boss"] {
        wait_for(
            &format!("{channel} hears of the end"),
            PATIENCE,
            async || {
                let statuses = statuses(&inbox, channel);
                let ends = statuses
                    .iter()
                    .filter(|status| *status == "resolved")
                    .count();
                if ends == 1 && statuses.last().is_some_and(|last| last == "resolved") {
                    Ok(())
                } else {
                    Err(format!("{statuses:?}"))
                }
            },
        )
        .await;
    }
    // Once for its step, once because the acknowledgement was taken back.
    assert_eq!(statuses(&inbox, "/pager"), ["firing", "firing", "resolved"]);
    wait_for_messages(&inbox, "/watchdog", 2).await;
    assert!(
        statuses(&inbox, "/watchdog")
            .iter()
            .all(|status| status == "firing")
    );

    // Who did what, in SQL.
    wait_for("the history in SQL", PATIENCE, async || {
        let rows = api
            .sql("SELECT to_state, actor, reason FROM alert_events ORDER BY event_id")
            .await;
        let text = format!("{rows:?}");
        let wanted = [
            "acknowledged: on it",
            "ran out",
            "escalation `ops`, step 1: notifies pager",
            "step 2: notifies boss",
        ];
        match wanted.iter().find(|wanted| !text.contains(**wanted)) {
            None => Ok(()),
            Some(missing) => Err(format!("{missing} is not in {text}")),
        }
    })
    .await;
    let audit = api.list("/api/v1/audit").await;
    assert!(
        audit
            .iter()
            .any(|entry| entry["action"] == "alert.acknowledge"),
        "{audit:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_resolved_stays_resolved_over_a_restart_until_it_was_well_once() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let alerts = format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    notifications: [{{channel: webhook, url: "{}"}}]
"#,
        inbox.url("/team")
    );
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, ""))
        .alerts(alerts)
        .start()
        .await;
    vendor.set_status("/health", 503);
    let alert = wait_for_alert(&runtime.api(), "firing").await;
    let id = alert["id"].to_string();
    let said = runtime
        .cli(["alerts", "resolve", &id, "--note", "the vendor knows"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("is resolved"), "{said:?}");
    wait_for_messages(&inbox, "/team", 2).await;

    runtime.kill().await;
    runtime.start().await;
    let api = runtime.api();
    more_runs(&api, 4).await;
    assert_eq!(
        api.list("/api/v1/alerts").await.len(),
        1,
        "still broken, and no new alert"
    );
    let rules = api.list("/api/v1/rules?service=shop-api").await;
    assert_eq!(
        (
            &rules[0]["standing"]["held"],
            &rules[0]["standing"]["verdict"]
        ),
        (&json!(true), &json!("breached"))
    );

    let conflict = api
        .post(&format!("/api/v1/alerts/{id}/acknowledge"), &json!({}))
        .await
        .expect_problem(409);
    assert_eq!(conflict["type"], "urn:problem-type:extrack:alert-not-now");
    api.post("/api/v1/alerts/999/resolve", &json!({}))
        .await
        .expect_problem(404);

    vendor.set_status("/health", 200);
    wait_for("a rule that is satisfied", PATIENCE, async || {
        let rules = api.list("/api/v1/rules?service=shop-api").await;
        if rules[0]["standing"]["held"] == false {
            Ok(())
        } else {
            Err(format!("{rules:?}"))
        }
    })
    .await;
    vendor.set_status("/health", 503);
    let next = wait_for_alert(&api, "firing").await;
    assert_ne!(next["id"], alert["id"]);
    let shown = runtime.cli(["alerts", "show", &id]).await;
    assert!(
        shown.out.contains("resolved by hand: the vendor knows"),
        "{shown:?}"
    );
    assert_eq!(
        statuses(&inbox, "/team").first_chunk::<2>().unwrap(),
        &["firing".to_owned(), "resolved".to_owned()]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_fails_is_repeated_faster_and_suspects_nobody_before() {
    let vendor = Vendor::start().await;
    let services = services(&vendor, ", retries: 2, retryInterval: 1")
        .replace("interval: 1,", "interval: 20,");
    let alerts = "alerts: [{name: \"Service Down\", condition: \"status != 'healthy'\", notifications: []}]\n";
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    vendor.set_status("/health", 503);
    wait_for_alert(&api, "firing").await;
    let query = "SELECT epoch_ms(ts) FROM observations WHERE service = 'shop-api' AND status = 'unhealthy' ORDER BY ts";
    let runs = wait_for("three runs that failed", PATIENCE, async || {
        let runs = api.sql_numbers(query).await;
        if runs.len() >= 3 {
            Ok(runs)
        } else {
            Err(format!("{runs:?}"))
        }
    })
    .await;
    let gap = Duration::from_millis((runs[2] - runs[0]).unsigned_abs());
    assert!(
        gap < Duration::from_secs(15),
        "the retries did not wait for the interval: {gap:?}"
    );
    let events = api
        .sql_numbers("SELECT epoch_ms(ts) FROM alert_events ORDER BY event_id")
        .await;
    if let Some(fired) = events.first() {
        assert!(
            *fired >= runs[2],
            "not before the last retry: {fired} {runs:?}"
        );
    }
}
