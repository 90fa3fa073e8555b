//! The control store forgets what is gone, and what it refuses it refuses aloud.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

async fn wait_for_alerts(api: &Api, states: &[&str]) -> Vec<Value> {
    wait_for(
        &format!("alerts that are {states:?}"),
        PATIENCE,
        async || {
            let alerts = api.list("/api/v1/alerts").await;
            let is_so = alerts
                .iter()
                .map(|alert| alert["state"].as_str().unwrap_or("?"))
                .eq(states.iter().copied());
            if is_so {
                Ok(alerts)
            } else {
                Err(format!("{alerts:?}"))
            }
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_deleted_and_made_again_while_it_is_down_alerts_again() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = json!({
        "name": "Shop API",
        "baseUrl": vendor.url(),
        "healthEndpoint": "/health",
        "private": true,
        "monitoring": {"interval": 1, "timeout": 5_000},
        "alerts": [{
            "name": "Service Down",
            "condition": "status in ['unhealthy', 'error']",
            "severity": "critical",
            "notifications": [{"channel": "webhook", "url": inbox.url("/hook")}],
        }],
    });
    vendor.set_status("/health", 503);
    api.post("/api/v1/services", &spec).await.expect(201);
    let alerts = wait_for_alerts(&api, &["firing"]).await;
    api.post(
        &format!("/api/v1/alerts/{}/resolve", alerts[0]["id"]),
        &json!({"note": "known"}),
    )
    .await
    .expect(200);

    // Held: further failing runs open no other alert.
    let runs = async || {
        api.sql_count("SELECT count(*) FROM observations WHERE NOT missed")
            .await
    };
    let before = runs().await;
    wait_for("three more runs", PATIENCE, async || {
        let now = runs().await;
        if now >= before + 3 {
            Ok(())
        } else {
            Err(format!("{now} after {before}"))
        }
    })
    .await;
    wait_for_alerts(&api, &["resolved"]).await;

    api.delete("/api/v1/services/shop-api")
        .await
        .expect_text(204);
    api.post("/api/v1/services", &spec).await.expect(201);
    let alerts = wait_for_alerts(&api, &["firing", "resolved"]).await;
    assert_ne!(alerts[0]["id"], alerts[1]["id"]);
}
