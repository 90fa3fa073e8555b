//! The registry: facts that SQL groups by, pauses, and the registry as a file.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

const SECRET: &str = "planted-secret-5c1f0e";

fn described(vendor: &Vendor, name: &str) -> Value {
    json!({
        "name": name, "baseUrl": vendor.url(), "healthEndpoint": "/health", "private": true,
        "monitoring": {"interval": 1, "timeout": 900},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_groups_services_by_their_facts_and_alerts_are_routed_by_them() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/pay", 503);
    let url = vendor.url();
    let services = format!(
        r#"
services:
  - {{name: Payments, baseUrl: "{url}", healthEndpoint: "/pay", monitoring: {{interval: 1, timeout: 20000}},
      owner: ana, team: payments, criticality: critical, environment: production, dependsOn: [identity],
      links: {{runbook: "https://wiki.example/pay"}}, contract: {{sla: 99.95, claimWithin: 30d}}, public: true}}
  - {{name: Identity, baseUrl: "{url}", healthEndpoint: "/identity", monitoring: {{interval: 3600, timeout: 20000}},
      team: platform, criticality: low, labels: {{team: on-call}}}}
"#
    );
    let alerts = format!(
        r#"
channels:
  payments: {{channel: webhook, url: "{}"}}
  others: {{channel: webhook, url: "{}"}}
route:
  receiver: others
  groupWait: 0
  routes:
    - {{receiver: payments, match: ["team=payments", "criticality=critical", "environment=production"]}}
alerts:
  - {{name: Down, condition: "status != 'healthy'", severity: critical}}
"#,
        inbox.url("/payments"),
        inbox.url("/others"),
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    wait_for("the message to the team", PATIENCE, async || {
        let paths: Vec<String> = inbox
            .all()
            .into_iter()
            .map(|message| message.path)
            .collect();
        match paths.first().map(String::as_str) {
            Some("/payments") => Ok(()),
            _ => Err(format!("{paths:?}")),
        }
    })
    .await;
    let rows = api
        .sql(
            "SELECT owner, team, criticality, environment, links->>'runbook', depends_on[1], sla, claim_days, public \
             FROM services WHERE slug = 'payments'",
        )
        .await;
    assert_eq!(
        rows,
        [json!([
            "ana",
            "payments",
            "critical",
            "production",
            "https://wiki.example/pay",
            "identity",
            99.95,
            30,
            true
        ])
        .as_array()
        .unwrap()
        .clone()]
    );
    let filtered = api.list("/api/v1/services?team=platform").await;
    assert_eq!(filtered.len(), 1, "{filtered:?}");
    assert_eq!(filtered[0]["slug"], "identity");
}

/// Writes a registry file and applies it.
async fn apply(runtime: &TestRuntime, text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let path = runtime.data().parent().unwrap().join("registry.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let said = runtime
        .cli(
            ["apply", "-f", path]
                .into_iter()
                .chain(more.iter().copied()),
        )
        .await;
    (said.code, said.out, said.err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_applied_changes_nothing_and_holds_no_secret() {
    let vendor = Vendor::start().await;
    let filed = format!(
        "services:\n  - {{name: Filed, baseUrl: \"{}\", monitoring: {{interval: 60}}}}\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(filed).start().await;
    let api = runtime.api();
    let mut shop = described(&vendor, "Shop API");
    shop["authentication"] = json!({"type": "bearer", "token": SECRET});
    shop["alerts"] = json!([{
        "name": "Down", "condition": "status != 'healthy'",
        "notifications": [{"channel": "webhook", "url": "https://hooks.example/x", "headers": {"x-key": SECRET}}],
    }]);
    shop["description"] = json!("not a variable: ${AMOUNT}");
    api.post("/api/v1/services", &shop).await.expect(201);
    let mut till = described(&vendor, "Till");
    till["dependsOn"] = json!(["shop-api", "filed"]);
    api.post("/api/v1/services", &till).await.expect(201);

    let exported = runtime.cli(["export"]).await;
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    let exported = exported.out;
    assert!(!exported.contains(SECRET), "{exported}");
    assert!(!exported.contains("Filed"), "{exported}");
    let (code, out, err) = apply(&runtime, &exported, &["--prune", "--yes"]).await;
    assert_eq!((code, out.trim()), (Some(0), "2 unchanged"), "{err}");
    for slug in ["shop-api", "till"] {
        assert_eq!(api.service(slug).await["revision"], 1, "{slug}");
    }

    // A change shows what it is, and with `--dry-run` that is all.
    let edited = exported.replace("name: Till", "name: Till\n  team: stores");
    let (code, out, err) = apply(&runtime, &edited, &["--dry-run"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("changed till\n  /team: - -> stores"), "{out}");
    assert_eq!(api.service("till").await["revision"], 1);
    assert_eq!(apply(&runtime, &edited, &[]).await.0, Some(0));
    assert_eq!(api.service("till").await["team"], "stores");
    let audit = api.list("/api/v1/audit?subject=service:till").await;
    assert_eq!(
        (&audit[0]["action"], &audit[0]["detail"]["changes"]),
        (
            &json!("service.replace"),
            &json!([{"field": "/team", "before": null, "after": "stores"}])
        )
    );
    let everything = api.get("/api/v1/audit?limit=1000").await.expect_text(200);
    assert!(!everything.contains(SECRET), "a secret is in the audit log");

    // What files own, and what is wrong, is refused with its place; nothing of the rest is done.
    let wrong = format!(
        "{edited}- name: Filed\n  baseUrl: {url}\n- name: New\n  baseUrl: {url}\n  dependsOn: [nobody]\n",
        url = vendor.url()
    );
    let filed_line = 1 + edited.trim_end().lines().count();
    let (code, _, err) = apply(&runtime, &wrong, &[]).await;
    assert_eq!(code, Some(64), "{err}");
    assert!(
        err.contains(&format!("registry.yaml:{filed_line}:"))
            && err.contains("service `filed` comes from services.yaml"),
        "{err}"
    );
    api.get("/api/v1/services/new").await.expect_problem(404);

    // Deleting has to be meant.
    let without_till = exported.split("- name: Till").next().unwrap().to_owned();
    let (code, _, err) = apply(&runtime, &without_till, &["--prune"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("--yes"), "{err}");
    let (code, out, err) = apply(&runtime, &without_till, &["--prune", "--yes"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("deleted till"), "{out}");
    api.get("/api/v1/services/till").await.expect_problem(404);
    api.service("shop-api").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_windows_silences_and_saved_queries_and_applying_it_changes_nothing() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let window = json!({
        "name": "weekly", "match": ["service=\"db\""], "cron": "0 2 * * SUN", "duration": "120m",
        "timezone": "Europe/Berlin", "comment": "vacuum ${NOT_A_VARIABLE}",
    });
    api.post("/api/v1/maintenance", &window).await.expect(201);
    let silence = json!({
        "matchers": ["service=~\"db|cache\"", "severity=\"info\""], "endsAt": "2099-01-01T00:00:00Z",
        "startsAt": "2098-12-31T00:00:00.250Z", "comment": "two\nlines",
    });
    api.post("/api/v1/silences", &silence).await.expect(201);
    let query = json!({
        "name": "answer", "query": "SELECT $n AS n -- \"quoted\"", "description": "what it is",
        "defaults": {"n": 42},
    });
    api.post("/api/v1/queries", &query).await.expect(201);

    let exported = runtime.cli(["export"]).await;
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    let exported = exported.out;
    let (code, out, err) = apply(&runtime, &exported, &["--prune", "--yes"]).await;
    assert_eq!(
        (code, out.trim()),
        (Some(0), "3 unchanged"),
        "{exported}\n{err}"
    );

    // Each is changed where the file differs, and what is wrong has its place.
    let edited = exported
        .replace("$n AS n", "$n AS number")
        .replace("duration: 2h", "duration: 3h")
        .replace("duration: \"2h\"", "duration: 3h");
    let (code, out, err) = apply(&runtime, &edited, &[]).await;
    assert_eq!(code, Some(0), "{edited}\n{err}");
    for wanted in [
        "changed maintenance window weekly",
        "changed saved query answer",
        "1 unchanged",
    ] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
    let windows = api.list("/api/v1/maintenance").await;
    assert_eq!(windows[0]["duration"], "3h", "{windows:?}");
    let wrong = edited.replace("0 2 * * SUN", "0 2 * * NEVER");
    let (code, _, err) = apply(&runtime, &wrong, &[]).await;
    assert_eq!(code, Some(64), "{err}");
    assert!(
        err.contains("registry.yaml:") && err.contains("cron"),
        "{err}"
    );
    let windows = api.list("/api/v1/maintenance").await;
    assert_eq!(windows[0]["duration"], "3h", "{windows:?}");

    // Only lists that are there are pruned.
    let (code, out, err) = apply(&runtime, "silences: []\n", &["--prune", "--yes"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("deleted silence"), "{out}");
    assert_eq!(api.list("/api/v1/silences").await.len(), 0);
    assert_eq!(api.list("/api/v1/queries").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_one_gets_412_and_leaves_everything_as_the_other_made_it() {
    let vendor = Vendor::start().await;
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    for name in ["a", "b"] {
        let spec = described(&vendor, name);
        api.post("/api/v1/services", &spec).await.expect(201);
    }
    let batch = |team: &str| {
        let operations: Vec<Value> = ["a", "b"]
            .into_iter()
            .map(|name| {
                let mut spec = described(&vendor, name);
                spec["team"] = json!(team);
                json!({"spec": spec, "revision": 1})
            })
            .collect();
        let body = json!({"operations": operations});
        api.request(Method::POST, "/api/v1/services/batch")
            .json(&body)
    };
    let (first, second) = tokio::join!(api.send(batch("one")), api.send(batch("two")));
    let (won, lost, team) = if first.status == 200 {
        (first, second, "one")
    } else {
        (second, first, "two")
    };
    let won = won.expect(200);
    assert_eq!(won["results"][1]["action"], "changed", "{won}");
    let lost = lost.expect_problem(412);
    assert_eq!(lost["faults"][0]["pointer"], "/operations/0", "{lost}");
    assert!(lost.to_string().contains("revision 2"), "{lost}");
    for slug in ["a", "b"] {
        assert_eq!(api.service(slug).await["team"], team);
    }
}

/// Waits for so many more moments at which a run was due and did not take place.
async fn wait_for_paused_runs(api: &Api, more: i64) {
    let query = "SELECT count(*) FROM observations WHERE excluded = 'paused'";
    let before = api.sql_count(query).await;
    wait_for("moments of the pause", PATIENCE, async || {
        let found = api.sql_count(query).await - before;
        if found >= more {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await;
}

/// State of the latest alert.
async fn alert_state(api: &Api) -> Option<Value> {
    let alerts = api.list("/api/v1/alerts").await;
    alerts.first().map(|alert| alert["state"].clone())
}

async fn wait_for_state(api: &Api, wanted: &str) {
    wait_for(
        "the state of the alert",
        PATIENCE,
        async || match alert_state(api).await {
            Some(found) if found == wanted => Ok(()),
            found => Err(format!("{found:?}, not {wanted}")),
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_a_kill_runs_no_probe_pages_nobody_and_ends_by_itself() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 503);
    let services = format!(
        "services:\n  - {{name: shop, baseUrl: \"{}\", healthEndpoint: \"/health\", monitoring: {{interval: 1, timeout: 900}}}}\n",
        vendor.url()
    );
    // Repeated often, unless somebody keeps it from being sent.
    let alerts = format!(
        r#"
channels:
  ops: {{channel: webhook, url: "{}"}}
route: {{receiver: ops, groupWait: 0, groupInterval: 1, repeatInterval: 1s}}
alerts:
  - {{name: Down, condition: "status != 'healthy'", severity: critical}}
"#,
        inbox.url("/ops")
    );
    let mut runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    wait_for_state(&runtime.api(), "firing").await;
    let said = runtime
        .cli(["services", "pause", "shop", "--reason", "migration"])
        .await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    runtime.kill().await;
    runtime.start().await;
    let api = runtime.api();
    let service = api.service("shop").await;
    assert_eq!(service["pause"]["reason"], "migration", "{service}");
    wait_for_state(&api, "suppressed").await;

    // The vendor is asked nothing, and nobody is paged, while time goes on.
    // What had been decided on before may be on its way for a moment.
    wait_for_paused_runs(&api, 2).await;
    let (asked, sent) = (vendor.hits("/health"), inbox.all().len());
    wait_for_paused_runs(&api, 3).await;
    assert_eq!(vendor.hits("/health"), asked);
    assert_eq!(inbox.all().len(), sent);
    assert_eq!(alert_state(&api).await, Some(json!("suppressed")));

    // In place of the pause without an end, one that ends.
    vendor.set_status("/health", 200);
    let body = json!({"for": "2s"});
    let pause = api.post("/api/v1/services/shop/pause", &body).await;
    assert!(pause.expect(200)["pause"]["until"].is_string());
    wait_for_state(&api, "resolved").await;
    assert_eq!(api.service("shop").await["pause"], Value::Null);
    let audit = api.list("/api/v1/audit?subject=service:shop").await;
    let actions: Vec<&Value> = audit.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(
        actions,
        ["service.resume", "service.pause", "service.pause"]
    );
}
