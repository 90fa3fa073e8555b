//! Vendors' status pages beside what we measure.

use extrack_tests::{Api, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

/// A page by Statuspage with one component and the incidents given.
fn summary(api: &str, incidents: &[Value]) -> String {
    let indicator = match api {
        "operational" => "none",
        _ => "critical",
    };
    json!({
        "page": {"id": "p1", "name": "Acme"},
        "status": {"indicator": indicator, "description": "as it is"},
        "components": [
            {"id": "c1", "name": "API", "status": api, "group": false, "group_id": null},
            {"id": "c2", "name": "Website", "status": "operational", "group": false, "group_id": null},
        ],
        "incidents": incidents,
        "scheduled_maintenances": [],
    })
    .to_string()
}

fn incident(status: &str) -> Value {
    json!({
        "id": "i1", "name": "Checkout fails", "status": status, "impact": "critical", "shortlink": "https://stspg.example/i1",
        "created_at": "2026-01-01T00:05:00Z", "started_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:10:00Z",
        "components": [{"id": "c1", "name": "API", "status": "major_outage"}],
    })
}

/// Waits until the only incident of the vendor looks as wanted, and returns it.
async fn incident_of(api: &Api, is_wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for("the vendor's incident", PATIENCE, async || {
        let found = api.list("/api/v1/incidents?source=vendor").await;
        match &found[..] {
            [one] if is_wanted(one) => Ok(one.clone()),
            _ => Err(format!("{found:?}")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendors_word_is_shown_beside_what_we_measure_and_does_not_count_in_it() {
    let vendor = Vendor::start().await;
    let path = "/api/v2/summary.json";
    vendor.set_body(path, summary("operational", &[]));
    let url = vendor.url();
    let services = format!(
        "services:\n  - name: Acme\n    baseUrl: \"{url}\"\n    healthEndpoint: /health\n    monitoring: {{interval: 1, timeout: 5000}}\n    \
         probes:\n      - {{plugin: status-page, interval: 1, settings: {{page: \"{url}\", components: [API]}}}}\n      \
         - {{plugin: status-page, name: site, interval: 86400, settings: {{page: \"{url}\", components: [Website]}}}}\n"
    );
    let runtime = TestRuntime::builder().services(services).start().await;
    let api = runtime.api();
    let quiet = api.check_probe("acme", "status-page").await;
    assert_eq!(quiet["status"], "healthy", "{quiet}");

    vendor.set_body(path, summary("major_outage", &[incident("identified")]));
    let claimed = api.check_probe("acme", "status-page").await;
    assert_eq!(claimed["status"], "degraded", "{claimed}");
    let said = claimed["error"].as_str().unwrap();
    assert!(
        said.contains("an outage: `Checkout fails` (identified, impact critical"),
        "{said}"
    );
    let site = api.check_probe("acme", "site").await;
    assert_eq!(site["status"], "healthy", "{site}");
    wait_for("the board", PATIENCE, async || {
        let shown = api.service("acme").await["status"].clone();
        if shown == "degraded" {
            Ok(())
        } else {
            Err(format!("{shown}"))
        }
    })
    .await;
    wait_for("rows of both probes", PATIENCE, async || {
        let rows = api
            .sql(
                "SELECT probe, status, metrics->>'page_status', metrics->>'incident_id' FROM observations
                 WHERE status <> 'healthy' OR probe = 'http' GROUP BY ALL ORDER BY ALL",
            )
            .await;
        let wanted = json!([
            ["http", "healthy", null, null],
            ["status-page", "degraded", "outage", "i1"]
        ]);
        if json!(rows) == wanted {
            Ok(())
        } else {
            Err(format!("{rows:?}"))
        }
    })
    .await;
    assert_eq!(
        api.list("/api/v1/incidents?source=ours").await,
        [Value::Null; 0]
    );
    let claim = incident_of(&api, |claim| claim["endedAt"].is_null()).await;
    assert_eq!(claim["startedAt"], "2026-01-01T00:00:00.000Z");
    assert_eq!(
        (&claim["kind"], &claim["probe"]),
        (&json!("outage"), &json!("status-page"))
    );

    // Our own outage comes later than the claim.
    vendor.set_status("/health", 503);
    wait_for("the claim beside our outage", PATIENCE, async || {
        let sql = "SELECT knew_first, claim, lag_s < 0, backdated_s > 0 FROM vendor_claims WHERE incident_id IS NOT NULL";
        let rows = api.sql(sql).await;
        let wanted = json!([["vendor", "Checkout fails: identified, impact critical", true, true]]);
        if json!(rows) == wanted {
            Ok(())
        } else {
            Err(format!("{rows:?}"))
        }
    })
    .await;
    vendor.set_body(path, summary("operational", &[]));
    let over = incident_of(&api, |claim| !claim["endedAt"].is_null()).await;
    assert_eq!(
        (&over["id"], &over["outcome"]),
        (&claim["id"], &json!("recovered"))
    );

    vendor.set_status(path, 503);
    let unread = api.check_probe("acme", "status-page").await;
    assert_eq!(unread["status"], "degraded", "{unread}");
    assert!(
        unread["error"]
            .as_str()
            .unwrap()
            .contains("no format that is known fits"),
        "{unread}"
    );
}
