//! Mutes: what is muted pages in no way, and what ends with its cause is never announced.

use std::time::Duration;

use extrack_tests::{Api, Inbox, TestRuntime, Vendor, wait_for};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

async fn wait_for_alerts(api: &Api, state: &str, count: usize) -> Vec<Value> {
    wait_for(
        &format!("{count} alerts that are {state}"),
        PATIENCE,
        async || {
            let found = api.list(&format!("/api/v1/alerts?state={state}")).await;
            if found.len() == count {
                Ok(found)
            } else {
                Err(format!("{} are", found.len()))
            }
        },
    )
    .await
}

fn service(vendor: &Vendor, slug: &str, path: &str, interval_s: u32, more: &str) -> String {
    let url = vendor.url();
    format!(
        "  - {{name: {slug}, baseUrl: \"{url}\", healthEndpoint: \"{path}\", monitoring: {{interval: {interval_s}, timeout: 2000}}{more}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_escalation_without_a_wait_pages_for_nothing_that_is_in_maintenance() {
    const SERVICES: usize = 12;
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let services: String = (0..SERVICES)
        .map(|index| service(&vendor, &format!("shop-{index}"), "/shop", 1, ""))
        .collect();
    let alerts = format!(
        r#"
channels:
  ops: {{channel: webhook, url: "{}"}}
route: {{receiver: ops, groupWait: 0, groupInterval: 1, escalation: now}}
escalations:
  now: {{steps: [{{wait: 0, notify: [{{channel: webhook, name: pager, url: "{}"}}]}}, {{wait: 0, notify: [ops]}}]}}
maintenance:
  - {{name: everything, start: "2020-01-01T00:00:00Z", end: "2200-01-01T00:00:00Z"}}
alerts:
  - {{name: Down, condition: "status != 'healthy'", severity: critical}}
"#,
        inbox.url("/ops"),
        inbox.url("/pager"),
    );
    let mut runtime = TestRuntime::builder()
        .services(format!("services:\n{services}"))
        .alerts(alerts)
        .start()
        .await;
    for _ in 0..2 {
        vendor.set_status("/shop", 503);
        let muted = wait_for_alerts(&runtime.api(), "suppressed", SERVICES).await;
        assert_eq!(muted[0]["suppressedBy"], "maintenance `everything`");
        runtime.kill().await;
        runtime.start().await;
        wait_for_alerts(&runtime.api(), "suppressed", SERVICES).await;
        vendor.set_status("/shop", 200);
        wait_for_alerts(&runtime.api(), "suppressed", 0).await;
    }
    let api = runtime.api();
    assert_eq!(
        api.list("/api/v1/alerts?state=resolved").await.len(),
        2 * SERVICES
    );
    assert_eq!(api.list("/api/v1/notifications").await, Vec::<Value>::new());
    assert!(inbox.all().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cause_that_recovers_before_its_dependents_leaves_no_messages_about_them() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut services = service(&vendor, "database", "/database", 1, "");
    for index in 0..5 {
        services.push_str(&service(
            &vendor,
            &format!("shop-{index}"),
            "/shop",
            3,
            ", dependsOn: [database]",
        ));
    }
    let alerts = format!(
        r#"
channels:
  ops: {{channel: webhook, url: "{}"}}
route: {{receiver: ops, groupBy: ["..."], groupWait: 0, groupInterval: 1}}
alerts:
  - {{name: Down, condition: "status != 'healthy'", severity: critical}}
"#,
        inbox.url("/ops"),
    );
    let runtime = TestRuntime::builder()
        .services(format!("services:\n{services}"))
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    vendor.set_status("/database", 503);
    wait_for_alerts(&api, "firing", 1).await;
    vendor.set_status("/shop", 503);
    wait_for_alerts(&api, "suppressed", 5).await;
    // The database is checked each second, the shops every three.
    vendor.set_status("/database", 200);
    vendor.set_status("/shop", 200);
    wait_for_alerts(&api, "resolved", 6).await;
    let told = wait_for("the end of the database's alert", PATIENCE, async || {
        let told: Vec<String> = inbox
            .all()
            .iter()
            .map(|message| named(&message.body))
            .collect();
        if told.len() >= 2 {
            Ok(told)
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;
    assert_eq!(told, ["firing database", "resolved database"]);
    assert_eq!(api.list("/api/v1/notifications").await.len(), 2);

    // What still fires when its own check has come round is announced.
    vendor.set_status("/database", 503);
    wait_for_alerts(&api, "firing", 1).await;
    vendor.set_status("/shop", 503);
    wait_for_alerts(&api, "suppressed", 5).await;
    vendor.set_status("/database", 200);
    wait_for_alerts(&api, "firing", 5).await;
    wait_for("messages about the shops", PATIENCE, async || {
        let told: Vec<String> = inbox
            .all()
            .iter()
            .map(|message| named(&message.body))
            .collect();
        let shops = told
            .iter()
            .filter(|message| message.starts_with("firing shop-"))
            .count();
        if shops == 5 {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;
}

fn named(message: &Value) -> String {
    let status = message["status"].as_str().unwrap_or_default();
    format!(
        "{status} {}",
        message["alerts"][0]["labels"]["service"]
            .as_str()
            .unwrap_or_default()
    )
}
