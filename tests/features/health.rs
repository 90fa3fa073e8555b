//! Plugins that break: who is notified, what is shown of their services, and how it ends.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, components, wait_for};
use serde_json::Value;

const GUEST: &str = "probe-moody";

fn services(url: &str) -> String {
    let service = |name: &str| {
        format!(
            "\n  - {{name: {name}, type: own, baseUrl: \"{url}\", monitoring: {{probe: {GUEST}, interval: 1, timeout: 5000}}}}"
        )
    };
    format!("services:{}{}\n", service("one"), service("two"))
}

async fn wait_for_state(api: &Api, state: &str) -> Value {
    wait_for(&format!("the plugin to be {state}"), PATIENCE, async || {
        let plugin = api
            .get(&format!("/api/v1/plugins/{GUEST}"))
            .await
            .expect(200);
        if plugin["state"] == state {
            Ok(plugin)
        } else {
            Err(plugin.to_string())
        }
    })
    .await
}

async fn wait_for_message(inbox: &Inbox, status: &str) -> Value {
    wait_for(&format!("the message `{status}`"), PATIENCE, async || {
        let received = inbox.received("/hook");
        let found = received
            .iter()
            .find(|message| message.body["status"] == status);
        found
            .map(|message| message.body.clone())
            .ok_or_else(|| format!("{received:?}"))
    })
    .await
}

async fn runs(api: &Api, outcome: &str) -> i64 {
    api.sql_count(&format!(
        "SELECT count(*) FROM plugin_runs WHERE plugin = '{GUEST}' AND function = 'check' AND outcome = '{outcome}'"
    ))
    .await
}

async fn wait_for_runs(api: &Api, outcome: &str, more: i64) {
    let before = runs(api, outcome).await;
    wait_for(
        &format!("{more} more runs with {outcome}"),
        PATIENCE,
        async || {
            let now = runs(api, outcome).await;
            if now >= before + more {
                Ok(())
            } else {
                Err(format!("{now} after {before}"))
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_keeps_trapping_is_told_once_and_is_no_outage_of_its_services() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\n\
         route: {{groupBy: ['...'], groupWait: 0, groupInterval: 1s}}\n\
         alerts:\n  - {{name: Down, condition: \"status in ['unhealthy', 'error']\", severity: critical}}\n\
         \x20 - {{name: Rare, type: availability, threshold: 99, window: 10m}}\n",
        inbox.url("/hook")
    );
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .alerts(alerts)
        .plugin("moody.wasm", components::guest(GUEST))
        .start()
        .await;
    let api = runtime.api();
    wait_for_runs(&api, "ok", 4).await;
    let plugin = wait_for_state(&api, "active").await;
    assert_eq!(plugin["health"]["failing"], Value::Null, "{plugin}");
    assert!(
        plugin["health"]["total"]["ok"]
            .as_u64()
            .is_some_and(|ok| ok >= 4),
        "{plugin}"
    );

    vendor.set_status("/mood", 500);
    let plugin = wait_for_state(&api, "failing").await;
    let reason = plugin["health"]["failing"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("runs broke") && reason.contains("nobody told me of status 500"),
        "{reason}"
    );
    assert_eq!(
        plugin["health"]["lastBroken"]["outcome"], "trap",
        "{plugin}"
    );
    let message = wait_for_message(&inbox, "firing").await;
    let alert = &message["alerts"][0];
    assert_eq!(
        [&alert["labels"]["alertname"], &alert["labels"]["service"]],
        ["Plugin failing", "plugin:probe-moody"]
    );
    assert_eq!(alert["labels"]["severity"], "warning");
    assert!(message.to_string().contains("runs broke"), "{message}");
    // Not an outage: it is not known how the services are.
    for slug in ["one", "two"] {
        let service = api.service(slug).await;
        assert_eq!(service["status"], "unknown", "{service}");
        let reason = service["statusReason"].as_str().unwrap();
        assert!(
            reason.starts_with("plugin `probe-moody` is failing: "),
            "{reason}"
        );
    }
    assert_eq!(api.list("/api/v1/services?status=unknown").await.len(), 2);
    assert_eq!(api.list("/api/v1/services?status=error").await.len(), 0);
    let metrics = api.metrics().await;
    for line in [
        "extrack_plugin_failing{plugin=\"probe-moody\"} 1",
        "extrack_services_by_status{status=\"unknown\"} 2",
        "extrack_plugin_run_duration_seconds_bucket{plugin=\"probe-moody\",version=\"1.0.0\",outcome=\"trap\"",
        "extrack_plugin_runs_total{plugin=\"probe-moody\",version=\"1.0.0\",outcome=\"trap\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    let listed = runtime.cli(["plugin", "list"]).await.out;
    assert!(
        listed
            .lines()
            .any(|line| line.contains(GUEST) && line.contains("failing")),
        "{listed}"
    );
    assert!(listed.contains("nobody told me of status 500"), "{listed}");
    let page = api.get("/").await.expect_text(200);
    assert!(
        page.contains(">failing<") && page.contains("failing since"),
        "the page does not show it"
    );
    assert!(
        page.contains("data-status=\"unknown\""),
        "the page shows an outage"
    );

    // A restart forgets nothing, and notifies nothing again. What is counted in SQL comes a second
    // after what the health knows.
    wait_for_runs(&api, "trap", 3).await;
    runtime.restart().await;
    let api = runtime.api();
    let plugin = wait_for_state(&api, "failing").await;
    assert!(
        plugin["health"]["total"]["traps"]
            .as_u64()
            .is_some_and(|traps| traps >= 6),
        "{plugin}"
    );
    assert!(
        plugin["health"]["lastHour"]["ok"]
            .as_u64()
            .is_some_and(|ok| ok >= 4),
        "{plugin}"
    );
    wait_for_runs(&api, "trap", 6).await;
    let open: Vec<Value> = api.list("/api/v1/alerts").await;
    assert_eq!(
        open.len(),
        1,
        "one alert for the plugin, and none for its services: {open:?}"
    );
    assert_eq!(
        [&open[0]["name"], &open[0]["state"]],
        ["Plugin failing", "firing"]
    );
    assert_eq!(inbox.received("/hook").len(), 1);

    vendor.set_status("/mood", 200);
    let plugin = wait_for_state(&api, "active").await;
    assert_eq!(plugin["health"]["recent"]["broken"], 0, "{plugin}");
    let message = wait_for_message(&inbox, "resolved").await;
    assert_eq!(
        message["alerts"][0]["labels"]["alertname"],
        "Plugin failing"
    );
    wait_for_runs(&api, "ok", 4).await;
    for slug in ["one", "two"] {
        let service = api.service(slug).await;
        assert_eq!(
            [&service["status"], &service["statusReason"]],
            [&Value::from("healthy"), &Value::Null]
        );
    }
    // What broke counted neither for nor against: availability is whole.
    let alerts = api.list("/api/v1/alerts").await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["state"], "resolved");
    assert_eq!(inbox.received("/hook").len(), 2);
    let health = api
        .sql(&format!(
            "SELECT runs, ok, traps, runs - ok - traps, last_error FROM plugin_health WHERE plugin = '{GUEST}'"
        ))
        .await;
    let figures =
        [&health[0][0], &health[0][1], &health[0][2]].map(|figure| figure.as_i64().unwrap());
    assert!(
        figures[0] == figures[1] + figures[2] && figures[2] >= 12,
        "{health:?}"
    );
    assert!(
        health[0][4]
            .as_str()
            .is_some_and(|error| error.contains("status 500")),
        "{health:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alert_of_failing_plugins_can_be_switched_off() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/mood", 500);
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\nalerts:\n  - {{name: Plugin failing, disabled: true}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .alerts(alerts)
        .plugin("moody.wasm", components::guest(GUEST))
        .start()
        .await;
    let api = runtime.api();
    wait_for_state(&api, "failing").await;
    // Long enough for an alert to have been opened.
    wait_for_runs(&api, "trap", 8).await;
    assert_eq!(api.list("/api/v1/alerts").await, Vec::<Value>::new());
    assert!(inbox.all().is_empty());
}
