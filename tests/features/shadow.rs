//! A candidate runs beside the active version of its plugin: it is compared, it alerts no one, and
//! it does no harm.

use std::time::Duration;

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, components, wait_for};
use serde_json::Value;

const SERVICES: usize = 3;

/// Each every second, with an alert for everything that is not healthy.
fn services(url: &str) -> String {
    let service = |index: usize| {
        format!(
            "\n  - {{name: \"s{index}\", type: own, baseUrl: \"{url}\", \
             monitoring: {{probe: swapped, interval: 1, timeout: 5000, settings: {{path: /health}}}}}}"
        )
    };
    format!(
        "services:{}\n",
        (0..SERVICES).map(service).collect::<String>()
    )
}

fn alerts(inbox: &Inbox) -> String {
    format!(
        "alerts:\n  - {{name: \"Down\", condition: \"status != 'healthy'\", \
         notifications: [{{channel: webhook, url: \"{}\"}}]}}\n",
        inbox.url("/hook")
    )
}

async fn shadow(api: &Api, name: &str) -> Value {
    api.get(&format!("/api/v1/plugins/{name}/shadow"))
        .await
        .expect(200)
}

/// Waits until the comparison looks so.
async fn wait_for_shadow(
    api: &Api,
    name: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    wait_for(what, PATIENCE, async || {
        let found = shadow(api, name).await;
        if holds(&found) {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    })
    .await
}

/// Waits until the active version has run so often again.
async fn wait_for_runs(vendor: &Vendor, more: u64) {
    let before = vendor.hits("/health");
    wait_for(
        "more runs of the active version",
        PATIENCE,
        async || match vendor.hits("/health") {
            hits if hits >= before + more => Ok(()),
            hits => Err(format!("{hits} after {before}")),
        },
    )
    .await;
}

/// Checks that no run of the active version was bad, late or left out, and that no message was
/// sent.
async fn check_unharmed(api: &Api, inbox: &Inbox, since_ms: i64) {
    let bad = api
        .sql(
            "SELECT ts, service, status, plugin_version, error FROM observations \
             WHERE status <> 'healthy' OR missed OR plugin_version <> '1.0.0'",
        )
        .await;
    assert!(bad.is_empty(), "{bad:?}");
    let gaps = api
        .sql(&format!(
            "SELECT * FROM (SELECT service, ts, epoch_ms(ts) - epoch_ms(lag(ts) OVER (PARTITION BY service ORDER BY ts)) \
             AS gap_ms FROM observations WHERE epoch_ms(ts) > {since_ms}) WHERE gap_ms > 1000"
        ))
        .await;
    assert!(gaps.is_empty(), "{gaps:?}");
    assert_eq!(api.list("/api/v1/alerts").await, Vec::<Value>::new());
    assert!(inbox.all().is_empty());
    for index in 0..SERVICES {
        assert_eq!(api.service(&format!("s{index}")).await["status"], "healthy");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_is_compared_and_nobody_acts_on_it() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .alerts(alerts(&inbox))
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    let api = runtime.api();
    let path = components::path("swapped-candidate");
    let started = runtime
        .cli(["plugin", "shadow", path.to_str().unwrap()])
        .await;
    assert!(
        started.code == Some(0) && started.out.contains("3.1.0 runs beside 1.0.0"),
        "{started:?}"
    );
    assert!(started.out.contains("its requests are real"), "{started:?}");

    // It agrees, and asked for itself.
    let agreeing = wait_for_shadow(&api, "swapped", "runs that agree", |found| {
        found["runs"].as_u64() >= Some(6)
    })
    .await;
    assert_eq!(
        [&agreeing["runs"], &agreeing["agreement"]],
        [&agreeing["agreed"], &100.0.into()],
        "{agreeing}"
    );
    assert_eq!(
        [
            &agreeing["active"]["version"],
            &agreeing["candidate"]["version"]
        ],
        ["1.0.0", "3.1.0"]
    );
    assert_eq!(agreeing["candidate"]["state"], "comparing");
    for side in ["active", "candidate"] {
        for value in ["latencyUs", "cpuUs", "memoryBytes"] {
            assert!(
                agreeing["cost"][side][value]["p95"].as_f64() > Some(0.0),
                "{side} {value}: {agreeing}"
            );
        }
    }
    assert!(vendor.hits("/candidate") >= 6);
    let told = api.sql("SELECT DISTINCT difference FROM shadow_runs").await;
    assert_eq!(told, [["metrics +instead_of"]]);

    // It disagrees.
    vendor.set_status("/candidate", 503);
    let found = wait_for_shadow(&api, "swapped", "disagreements", |found| {
        let told = found["disagreements"]
            .as_array()
            .is_some_and(|all| all.len() >= 3);
        told && found["agreement"].as_f64() < Some(100.0)
    })
    .await;
    let last = &found["disagreements"][0];
    assert_eq!(
        [
            &last["activeStatus"],
            &last["candidateStatus"],
            &last["probe"]
        ],
        ["healthy", "unhealthy", "swapped"]
    );
    let difference = last["difference"].as_str().unwrap();
    assert!(
        difference.contains("status healthy → unhealthy") && difference.contains("status is 503"),
        "{difference}"
    );
    // Both sides can be looked up.
    let run = &last["activeRunId"];
    assert_eq!(
        api.sql_count(&format!(
            "SELECT count(*) FROM observations WHERE run_id = {run}"
        ))
        .await,
        1
    );
    let run = &last["candidateRunId"];
    let functions = api
        .sql(&format!(
            "SELECT function, version FROM plugin_runs WHERE run_id = {run}"
        ))
        .await;
    assert_eq!(functions, [["shadow-check", "3.1.0"]]);
    check_unharmed(&api, &inbox, 0).await;

    // Over a restart, from where it was.
    runtime.restart().await;
    let restarted_ms = jiff::Timestamp::now().as_millisecond();
    let api = runtime.api();
    vendor.set_status("/candidate", 418);
    let failing = wait_for_shadow(
        &api,
        "swapped",
        "a candidate that keeps trapping to be called failing",
        |found| found["candidate"]["state"] == "failing",
    )
    .await;
    assert!(
        failing["runs"].as_u64() > found["runs"].as_u64(),
        "{failing}"
    );
    assert!(
        failing["candidate"]["lastError"]
            .as_str()
            .unwrap()
            .contains("trap"),
        "{failing}"
    );
    wait_for_shadow(&api, "swapped", "its traps to be stored", |found| {
        found["broken"]["traps"].as_u64() >= Some(3)
    })
    .await;
    let listed = runtime.cli(["plugin", "list"]).await;
    assert!(listed.out.contains("3.1.0 (failing)"), "{listed:?}");
    let page = api.get("/").await.expect_text(200);
    assert!(
        page.contains("shadow 3.1.0, failing"),
        "the dashboard does not say so"
    );
    let compared = runtime.cli(["plugin", "compare", "swapped"]).await;
    assert!(
        compared.out.contains("beside 1.0.0, failing since"),
        "{compared:?}"
    );
    assert!(
        compared.out.contains("LAST DISAGREEMENTS") && compared.out.contains("trap"),
        "{compared:?}"
    );
    assert_eq!(
        api.get("/api/v1/plugins/swapped").await.expect(200)["state"],
        "active"
    );

    // It hangs: the others do not wait for it. What it does not get is counted.
    vendor.set_status("/candidate", 200);
    vendor.set_delay("/candidate", Duration::from_secs(30));
    wait_for_runs(&vendor, 8 * SERVICES as u64).await;
    wait_for_shadow(&api, "swapped", "time-outs", |found| {
        found["disagreements"].to_string().contains("timed out")
    })
    .await;
    check_unharmed(&api, &inbox, restarted_ms).await;

    // It ends.
    vendor.set_delay("/candidate", Duration::ZERO);
    let ended = runtime.cli(["plugin", "discard", "swapped"]).await;
    assert_eq!(
        (ended.code, ended.out.trim()),
        (Some(0), "swapped 1.0.0 runs alone again"),
        "{ended:?}"
    );
    api.get("/api/v1/plugins/swapped/shadow")
        .await
        .expect_problem(404);
    // One run of it may still have been under way.
    wait_for_runs(&vendor, SERVICES as u64).await;
    let hits = vendor.hits("/candidate");
    wait_for_runs(&vendor, 3 * SERVICES as u64).await;
    assert_eq!(vendor.hits("/candidate"), hits, "the candidate goes on");
    check_unharmed(&api, &inbox, restarted_ms).await;
    let kept = api.list("/api/v1/plugins/swapped/versions").await;
    assert!(
        kept.iter()
            .any(|entry| entry["version"] == "3.1.0" && entry["state"] == "kept"),
        "{kept:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_of_a_rule_judges_the_same_history_and_fires_only_once_it_is_promoted() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let services = format!(
        "services:\n  - name: \"Shop\"\n    baseUrl: \"{}\"\n    healthEndpoint: /health\n    \
         monitoring: {{interval: 1, timeout: 5000}}\n    alerts: [{{type: judge, name: \"Judged\"}}]\n",
        vendor.url()
    );
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\nroute: {{groupWait: 0}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .plugin("judge.wasm", components::guest("judge-one"))
        .start()
        .await;
    let api = runtime.api();
    api.shadow_put("judge", &components::guest("judge-two"))
        .await
        .expect(200);
    wait_for_shadow(&api, "judge", "verdicts that agree", |found| {
        found["agreed"].as_u64() >= Some(2)
    })
    .await;
    vendor.set_status("/health", 503);
    let found = wait_for_shadow(&api, "judge", "verdicts that differ", |found| {
        found["disagreements"]
            .as_array()
            .is_some_and(|all| all.len() >= 3)
    })
    .await;
    let last = &found["disagreements"][0];
    assert_eq!(
        [
            &last["activeStatus"],
            &last["candidateStatus"],
            &last["service"]
        ],
        ["ok", "breached", "shop"],
        "{last}"
    );
    assert!(last["probe"].is_null());
    assert!(
        last["difference"].as_str().unwrap().contains("Unhealthy"),
        "{last}"
    );
    assert_eq!(api.list("/api/v1/alerts").await, Vec::<Value>::new());
    assert!(inbox.all().is_empty());

    let promoted = runtime.cli(["plugin", "promote", "judge"]).await;
    assert_eq!(
        (promoted.code, promoted.out.trim()),
        (Some(0), "judge 2.0.0 is active"),
        "{promoted:?}"
    );
    wait_for(
        "the alert and its message",
        PATIENCE,
        async || match inbox.received("/hook").len() {
            1 => Ok(()),
            other => Err(format!("{other} messages")),
        },
    )
    .await;
    let active = api.get("/api/v1/plugins/judge").await.expect(200);
    assert_eq!(
        (&active["version"], &active["shadow"]),
        (&"2.0.0".into(), &Value::Null)
    );
    api.promote("judge").await.expect_problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_compared_is_refused_with_the_reason() {
    let vendor = Vendor::start().await;
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    let api = runtime.api();
    for (name, guest, status, reason) in [
        (
            "webhook",
            "webhook",
            409,
            "every message would be sent twice",
        ),
        ("swapped", "swapped-one", 409, "is the active version"),
        ("judge", "judge-one", 409, "install this one instead"),
        (
            "swapped",
            "swapped-strict",
            422,
            "does not accept settings that are in use",
        ),
        ("swapped", "judge-one", 422, "calls itself `judge`"),
        ("swapped", "probe-describe-traps", 422, "describe"),
    ] {
        let refused = api
            .shadow_put(name, &components::guest(guest))
            .await
            .expect_problem(status);
        assert!(
            refused["detail"].as_str().unwrap().contains(reason),
            "{guest}: {refused}"
        );
    }
    for reply in [api.promote("swapped").await, api.discard("swapped").await] {
        let refused = reply.expect_problem(404);
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("no candidate runs beside"),
            "{refused}"
        );
    }
    // Installed for good, it is no candidate any more.
    api.shadow_put("swapped", &components::guest("swapped-two"))
        .await
        .expect(200);
    let installed = api
        .plugin_put("swapped", &components::guest("swapped-two"))
        .await
        .expect(200);
    assert_eq!(
        (&installed["version"], &installed["shadow"]),
        (&"2.0.0".into(), &Value::Null)
    );
}
