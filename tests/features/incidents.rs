//! Incidents: an outage is one row, whatever happens to the program meanwhile, and planned work is
//! none.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

fn services(vendor: &Vendor, more: &str) -> String {
    format!(
        "services:\n  - name: Shop\n    baseUrl: \"{}\"\n    healthEndpoint: /health\n    monitoring: {{interval: 1, timeout: 900}}\n{more}",
        vendor.url()
    )
}

/// Waits until the only incident looks as wanted, and returns it.
async fn incident(api: &Api, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, async || {
        let found = api.list("/api/v1/incidents").await;
        match &found[..] {
            [one] if is_wanted(one) => Ok(one.clone()),
            _ => Err(format!("{found:?}")),
        }
    })
    .await
}

async fn status(api: &Api, wanted: &str) {
    wait_for(&format!("the status {wanted}"), PATIENCE, async || {
        let shown = api.service("shop").await["status"].clone();
        if shown == wanted {
            Ok(())
        } else {
            Err(format!("{shown}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_one_incident_with_both_ends_however_often_the_program_is_killed() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\n\
         route: {{groupBy: [alertname], groupWait: 0, groupInterval: 1s}}\n\
         alerts: [{{name: Down, condition: \"status == 'unhealthy'\"}}]\n",
        inbox.url("/hook")
    );
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, ""))
        .alerts(alerts)
        .start()
        .await;
    status(&runtime.api(), "healthy").await;
    assert_eq!(
        runtime.api().list("/api/v1/incidents").await,
        [Value::Null; 0]
    );

    vendor.set_status("/health", 503);
    let begun = incident(
        &runtime.api(),
        "an open incident with its alert",
        |incident| incident["endedAt"].is_null() && incident["alertId"] == 1,
    )
    .await;
    assert_eq!(begun["kind"], "outage");
    assert_eq!(begun["source"], "ours");
    assert!(begun["cause"].as_str().unwrap().contains("503"), "{begun}");
    for _ in 0..2 {
        runtime.kill().await;
        runtime.start().await;
        let hits = vendor.hits("/health");
        wait_for("more runs that fail", PATIENCE, async || {
            match vendor.hits("/health") - hits {
                0 | 1 => Err("none yet".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
    }
    let api = runtime.api();
    let still = incident(&api, "the same incident", |_| true).await;
    assert_eq!(
        (&still["id"], &still["startedAt"], &still["endedAt"]),
        (&begun["id"], &begun["startedAt"], &Value::Null)
    );

    vendor.set_status("/health", 200);
    let ended = incident(&api, "its end", |incident| !incident["endedAt"].is_null()).await;
    assert_eq!(ended["startedAt"], begun["startedAt"]);
    assert_eq!(ended["outcome"], "recovered");
    assert!(ended["runs"].as_i64().unwrap() >= 2, "{ended}");
    runtime.kill().await;
    runtime.start().await;
    let api = runtime.api();
    status(&api, "healthy").await;
    let kept = incident(&api, "the incident after another kill", |_| true).await;
    assert_eq!(kept["endedAt"], ended["endedAt"]);
    let rows = api
        .sql("SELECT source, kind, alert_id, ended > started FROM incidents")
        .await;
    assert_eq!(
        rows,
        [json!(["ours", "outage", 1, true])
            .as_array()
            .unwrap()
            .clone()]
    );

    for (filter, count) in [
        ("service=shop", 1),
        ("service=other", 0),
        ("source=vendor", 0),
        ("open=true", 0),
        ("open=false", 1),
        ("from=2100-01-01T00:00:00%2B01:00", 0),
        ("from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z", 1),
        ("to=2020-01-01T00:00:00Z", 0),
    ] {
        let found = api.list(&format!("/api/v1/incidents?{filter}")).await;
        assert_eq!(found.len(), count, "{filter}");
    }
    let refused = api.get("/api/v1/incidents?from=yesterday").await;
    refused.expect_problem(400);
    let said = runtime
        .cli(["incidents", "list", "--service", "shop"])
        .await;
    assert!(said.out.contains("outage"), "{}", said.out);

    let path = format!("/api/v1/incidents/{}", kept["id"]);
    let detail = api.get(&path).await.expect(200);
    let happened: Vec<&Value> = detail["timeline"].as_array().unwrap().iter().collect();
    let events: Vec<&Value> = happened.iter().map(|entry| &entry["event"]).collect();
    assert_eq!(
        (events[0], detail["id"] == kept["id"]),
        (&json!("started"), true)
    );
    for event in ["alert", "ended"] {
        assert!(events.contains(&&json!(event)), "{event}: {detail}");
    }
    assert_eq!(detail["alerts"][0]["id"], 1);
    wait_for("a delivered message", PATIENCE, async || {
        let detail = api.get(&path).await.expect(200);
        let notified = &detail["notified"][0];
        let channel = notified["channel"].as_str().unwrap_or_default();
        if channel.contains("webhook") && notified["delivered"].as_i64() >= Some(1) {
            Ok(())
        } else {
            Err(detail.to_string())
        }
    })
    .await;
    let said = runtime.cli(["incidents", "show", "1"]).await;
    assert!(said.out.contains("is firing"), "{said:?}");
    api.get("/api/v1/incidents/999").await.expect_problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_in_a_maintenance_window_is_neither_an_incident_nor_unavailability() {
    let vendor = Vendor::start().await;
    let runtime = TestRuntime::builder()
        .services(services(&vendor, "    slo: {target: 99.9, window: 7d}\n"))
        .start()
        .await;
    let api = runtime.api();
    status(&api, "healthy").await;
    let window = json!({
        "name": "move", "match": "service=\"shop\"",
        "start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z",
    });
    api.post("/api/v1/maintenance", &window).await.expect(201);
    let marked = "SELECT count(*) FROM observations WHERE excluded = 'maintenance'";
    wait_for("a marked run", PATIENCE, async || {
        match api.sql_count(marked).await {
            0 => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    vendor.set_status("/health", 503);
    status(&api, "unhealthy").await;
    wait_for("failed runs in the history", PATIENCE, async || {
        let failed = "SELECT count(*) FROM observations WHERE status = 'unhealthy'";
        match api.sql_count(failed).await {
            0..3 => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let rows = api
        .sql("SELECT down, missed, maintenance > 3, availability, coverage FROM availability('shop', INTERVAL 1 DAY)")
        .await;
    assert_eq!(
        rows,
        [json!([0, 0, true, 100.0, 100.0])
            .as_array()
            .unwrap()
            .clone()]
    );
    assert_eq!(api.list("/api/v1/incidents").await, [Value::Null; 0]);

    assert_eq!(api.service("shop").await["slo"]["target"], 99.9);
    let rows = api
        .sql("SELECT s.target, s.days, s.is_met, s.bad_s, b.used_s, b.left_s = b.budget_s FROM slo s JOIN error_budget b USING (service)")
        .await;
    assert_eq!(
        rows,
        [json!([99.9, 7, true, 0, 0, true])
            .as_array()
            .unwrap()
            .clone()]
    );
    let rows = api
        .sql("SELECT bad_s, good_s > 0 FROM availability_between('shop', '2020-01-01T00:00:00+01:00', '2100-01-01T00:00:00Z')")
        .await;
    assert_eq!(rows, [json!([0, true]).as_array().unwrap().clone()]);
    let rows = api
        .sql("SELECT bad_s, is_frozen, good_s > 0 FROM availability_by_month")
        .await;
    assert_eq!(rows, [json!([0, false, true]).as_array().unwrap().clone()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_vendor_reports_on_its_page_is_an_incident_of_the_vendor() {
    let vendor = Vendor::start().await;
    let webhook = "    webhooks: [{plugin: statuspage, unsigned: true}]\n";
    let runtime = TestRuntime::builder()
        .services(services(&vendor, webhook))
        .start()
        .await;
    let api = runtime.api();
    for (status, impact, at) in [
        ("investigating", "major", "2026-11-23T10:00:00Z"),
        ("resolved", "major", "2026-11-23T11:30:00Z"),
    ] {
        let payload = json!({
            "page": {"status_indicator": "none", "status_description": "All Systems Operational"},
            "incident": {
                "id": "abc", "name": "API errors", "status": status, "impact": impact, "updated_at": at,
                "incident_updates": [{"id": at, "body": "We look into it."}], "components": [],
            },
        });
        let request = api
            .anonymous()
            .request(Method::POST, "/webhooks/shop/statuspage")
            .json(&payload);
        let taken = api.anonymous().send(request).await;
        assert!((200..300).contains(&taken.status), "{:?}", taken.status);
    }
    let ended = incident(&api, "the vendor's incident", |incident| {
        !incident["endedAt"].is_null()
    })
    .await;
    assert_eq!(ended["source"], "vendor");
    assert_eq!(ended["kind"], "outage");
    assert_eq!(ended["seconds"], 5_400);
    assert_eq!(ended["errorKind"], "major");
    assert_eq!(ended["probe"], "statuspage");
}
