//! A version that breaks from its first run on, where the one before worked, does not stay.

use std::time::Duration;

use extrack_tests::{
    Api, Inbox, PATIENCE, TargetServer, TestRuntime, Vendor, components, wait_for,
};
use serde_json::{Value, json};

/// Loading a version compiles it, in a debug build of the compiler and at low priority.
const LOADING: Duration = Duration::from_secs(120);

async fn wait_for_version(api: &Api, name: &str, wanted: &str) -> Value {
    wait_for(
        &format!("version {wanted} of {name}"),
        LOADING,
        async || {
            let plugin = api
                .get(&format!("/api/v1/plugins/{name}"))
                .await
                .expect(200);
            if plugin["version"] == wanted {
                Ok(plugin)
            } else {
                Err(plugin.to_string())
            }
        },
    )
    .await
}

async fn wait_for_good_run(api: &Api, plugin: &str, function: &str, version: &str) {
    wait_for(&format!("a run of {plugin} {version}"), PATIENCE, async || {
        let sql = format!(
            "SELECT count(*) FROM plugin_runs WHERE plugin = '{plugin}' AND function = '{function}' \
             AND version = '{version}' AND outcome = 'ok'"
        );
        if api.sql_count(&sql).await > 0 { Ok(()) } else { Err("none yet".to_owned()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_breaks_from_its_first_run_on_is_rolled_back_and_stays_so() {
    let nginx = TargetServer::start().await;
    let services = format!(
        "services:\n  - {{name: Shop, type: own, baseUrl: \"{}\", monitoring: {{probe: swapped, interval: 1, timeout: 5000}}}}\n",
        nginx.url()
    );
    let mut runtime = TestRuntime::builder()
        .services(services)
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    wait_for_good_run(&runtime.api(), "swapped", "check", "1.0.0").await;
    let broken = components::guest("swapped-broken");
    let installed = runtime
        .api()
        .plugin_put("swapped", &broken)
        .await
        .expect(200);
    assert_eq!(installed["version"], "4.0.0");

    let back = wait_for_version(&runtime.api(), "swapped", "1.0.0").await;
    assert_eq!(
        [
            &back["rolledBack"]["version"],
            &back["rolledBack"]["digest"]
        ],
        ["4.0.0", &components::sha256(&broken)]
    );
    let reason = back["rolledBack"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("first 5 runs all broke") && reason.contains("was never tried"),
        "{reason}"
    );
    assert_eq!(back["installedBy"], "extrack");
    wait_for("the service to be well again", PATIENCE, async || {
        let service = runtime.api().service("shop").await;
        if service["status"] == "healthy" {
            Ok(())
        } else {
            Err(service.to_string())
        }
    })
    .await;
    let listed = runtime.cli(["plugin", "list"]).await.out;
    assert!(
        listed.contains("swapped 4.0.0") && listed.contains("was rolled back by itself"),
        "{listed}"
    );
    let audit = runtime
        .api()
        .list("/api/v1/audit?subject=plugin:swapped")
        .await;
    assert!(
        audit
            .iter()
            .any(|entry| entry["action"] == "plugin.rollback" && entry["actor"] == "extrack"),
        "{audit:?}"
    );

    // Neither the watched folder nor a restart brings it back.
    std::fs::write(runtime.plugins().join("swapped-again.wasm"), &broken)
        .expect("the folder is there");
    runtime.restart().await;
    let after = wait_for_version(&runtime.api(), "swapped", "1.0.0").await;
    assert_eq!(after["rolledBack"], back["rolledBack"]);
    let versions = runtime.api().list("/api/v1/plugins/swapped/versions").await;
    assert!(
        versions
            .iter()
            .any(|version| version["version"] == "4.0.0" && version["rolledBack"] == reason),
        "{versions:?}"
    );
    // Somebody may.
    let again = runtime
        .api()
        .plugin_put("swapped", &broken)
        .await
        .expect(200);
    assert_eq!(
        [&again["version"], &again["rolledBack"]],
        [&json!("4.0.0"), &Value::Null]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trial_of_a_version_goes_on_after_a_restart() {
    let nginx = TargetServer::start().await;
    // Nothing runs by itself while this test does.
    let services = format!(
        "services:\n  - {{name: Shop, type: own, baseUrl: \"{}\", monitoring: {{probe: swapped, interval: 86400, timeout: 5000}}}}\n",
        nginx.url()
    );
    let mut runtime = TestRuntime::builder()
        .services(services)
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    let check = async |runtime: &TestRuntime, times: usize| {
        for _ in 0..times {
            runtime.api().check("shop").await;
        }
    };
    check(&runtime, 1).await;
    runtime
        .api()
        .plugin_put("swapped", &components::guest("swapped-broken"))
        .await
        .expect(200);
    check(&runtime, 3).await;
    runtime.restart().await;
    let plugin = runtime
        .api()
        .get("/api/v1/plugins/swapped")
        .await
        .expect(200);
    assert_eq!(plugin["version"], "4.0.0", "three runs decide nothing");
    check(&runtime, 2).await;
    let back = wait_for_version(&runtime.api(), "swapped", "1.0.0").await;
    assert_eq!(back["rolledBack"]["version"], "4.0.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_notifiers_are_rolled_back_too_and_no_message_is_lost() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let service = |name: &str| {
        format!(
            "\n  - {{name: {name}, type: REST, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1, timeout: 5000}}, \
             alerts: [{{type: judge, name: Judged}}]}}",
            vendor.url()
        )
    };
    let names = ["one", "two", "three", "four", "five", "six"];
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\nroute: {{groupBy: ['...'], groupWait: 0, groupInterval: 1s}}\n\
         alerts:\n  - {{name: Plugin failing, disabled: true}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(format!("services:{}\n", names.map(service).concat()))
        .alerts(alerts)
        .plugin("judge.wasm", components::guest("judge-two"))
        .start()
        .await;
    let api = runtime.api();
    wait_for_good_run(&api, "judge", "evaluate", "2.0.0").await;
    api.plugin_put("judge", &components::guest("judge-broken"))
        .await
        .expect(200);
    let back = wait_for_version(&api, "judge", "2.0.0").await;
    assert_eq!(back["rolledBack"]["version"], "3.0.0", "{back}");

    let before = api.get("/api/v1/plugins/webhook").await.expect(200);
    api.post("/api/v1/channels/webhook/test", &json!({}))
        .await
        .expect(200);
    api.plugin_put("webhook", &components::guest("webhook-broken"))
        .await
        .expect(200);
    vendor.set_status("/health", 500);
    let back = wait_for_version(&api, "webhook", before["version"].as_str().unwrap()).await;
    assert_eq!(back["rolledBack"]["version"], "99.0.0", "{back}");
    wait_for("the messages of all services", LOADING, async || {
        let told: Vec<Value> = inbox
            .received("/hook")
            .iter()
            .map(|message| message.body["alerts"].clone())
            .collect();
        let missing = names.iter().find(|name| {
            !told
                .iter()
                .any(|alerts| alerts.to_string().contains(**name))
        });
        missing.map_or(Ok(()), |name| Err(format!("{name} is not in {told:?}")))
    })
    .await;
}
