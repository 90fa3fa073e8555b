//! Heartbeats: a job calls by `curl`, and is late and down when it does not, whatever happens to the
//! program meanwhile.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, wait_for};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

async fn state(api: &Api, service: &str, wanted: &str) -> Value {
    wait_for(&format!("{service} is {wanted}"), PATIENCE, async || {
        let heartbeat = api.service(service).await["heartbeatStatus"].clone();
        if heartbeat["state"] == wanted {
            Ok(heartbeat)
        } else {
            Err(heartbeat.to_string())
        }
    })
    .await
}

/// Rows of a service in the order in which they came, without those that repeat the one before.
async fn history(api: &Api, service: &str, last: &str) -> Vec<(String, String)> {
    let query = format!(
        "SELECT metrics->>'state' AS state, status FROM observations WHERE service = '{service}' AND probe = 'heartbeat' \
         AND location = 'heartbeat' ORDER BY run_id"
    );
    wait_for(&format!("a row of {last}"), PATIENCE, async || {
        let rows = api.sql(&query).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut seen: Vec<(String, String)> = rows
            .iter()
            .map(|row| (text(&row[0]), text(&row[1])))
            .collect();
        seen.dedup();
        if seen.last().is_some_and(|(state, _)| state == last) {
            Ok(seen)
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await
}

/// Sends as a job, without a token.
async fn ping(api: &Api, path: &str, message: &str) {
    let anonymous = api.anonymous();
    let request = anonymous.request(Method::POST, path);
    anonymous
        .send(request.body(message.to_owned()))
        .await
        .expect_text(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_makes_a_job_up_and_silence_makes_it_late_then_down_and_alerts() {
    let inbox = Inbox::start().await;
    let services = "services:\n  - name: Backup\n    type: Heartbeat\n    monitoring: {interval: 1}\n    heartbeat: {every: 6s, grace: 5s}\n";
    let alerts = format!(
        "alerts:\n  - name: Down\n    condition: \"status in ['unhealthy', 'error']\"\n    notifications: [{{channel: webhook, url: \"{}\"}}]\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    let never = state(&api, "backup", "never").await;
    assert_eq!(
        (&never["dueAt"], &never["pings"]),
        (&Value::Null, &json!(0))
    );
    api.send(api.check_request("backup"))
        .await
        .expect_problem(409);

    // By the line that the command prints.
    let shown = runtime.cli(["heartbeats", "show", "backup"]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let line = shown.out.lines().last().unwrap_or_default().trim();
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[0], "curl", "{line}");
    let called = Command::new("curl").args(&words[1..]).output();
    let called = called.await.expect("curl is installed");
    assert!(called.status.success(), "{line}: {called:?}");
    let down = state(&api, "backup", "down").await;
    let reason = down["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("the grace of 5s is over"), "{reason}");
    wait_for("the message", PATIENCE, async || {
        let received = inbox.received("/hook");
        if received.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    assert_eq!(api.service("backup").await["status"], "error");
    wait_for("the incident", PATIENCE, async || {
        let found = api.list("/api/v1/incidents").await;
        match found.len() {
            1 => Ok(()),
            _ => Err(format!("{found:?}")),
        }
    })
    .await;

    ping(&api, never["path"].as_str().expect("a path"), "").await;
    let seen = history(&api, "backup", "up").await;
    let expected = [
        ("up", "healthy"),
        ("late", "degraded"),
        ("down", "error"),
        ("up", "healthy"),
    ];
    assert_eq!(
        seen,
        expected.map(|(state, status)| (state.to_owned(), status.to_owned()))
    );
    wait_for("the message of the end", PATIENCE, async || {
        let received = inbox.received("/hook");
        if received.len() >= 2 {
            Ok(())
        } else {
            Err(format!("{received:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_survive_a_kill_and_the_due_time_with_them() {
    let services = "services:\n  - name: Sync\n    type: Heartbeat\n    monitoring: {interval: 1}\n    heartbeat: {every: 8s, grace: 6s}\n  \
         - name: Nightly\n    type: Heartbeat\n    heartbeat: {cron: \"0 3 * * *\", timezone: America/New_York}\n";
    let mut runtime = TestRuntime::builder().services(services).start().await;
    let api = runtime.api();
    let path = |heartbeat: &Value| heartbeat["path"].as_str().expect("a path").to_owned();
    let nightly = state(&api, "nightly", "never").await;
    let sync = state(&api, "sync", "never").await;
    ping(&api, &format!("{}/start", path(&nightly)), "").await;
    ping(&api, &path(&nightly), "4 tables").await;
    ping(&api, &path(&sync), "").await;
    // At once after the answer.
    runtime.kill().await;
    let before = json!({"uuid": nightly["uuid"], "state": "up", "message": "4 tables", "pings": 2});
    runtime.start().await;
    let api = runtime.api();
    let nightly = state(&api, "nightly", "up").await;
    for key in ["uuid", "state", "message", "pings"] {
        assert_eq!(nightly[key], before[key], "{key}");
    }
    assert!(nightly["lastDurationS"].is_number(), "{nightly}");
    let due = nightly["dueAt"].as_str().unwrap_or_default();
    assert!(due.ends_with(":00:00.000Z"), "{due}");
    // It was due while or soon after the program was started: never down without having been late.
    state(&api, "sync", "down").await;
    let states: Vec<String> = history(&api, "sync", "down")
        .await
        .into_iter()
        .map(|(state, _)| state)
        .collect();
    assert_eq!(states, ["up", "late", "down"]);

    // What is down stays down over another kill.
    runtime.kill().await;
    runtime.start().await;
    let api = runtime.api();
    assert_eq!(
        api.service("sync").await["heartbeatStatus"]["state"],
        "down"
    );
    assert!(
        !runtime
            .logs()
            .contains(nightly["uuid"].as_str().expect("a text"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_have_their_length_and_failures_their_exit_status_and_message() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = json!({"name": "Import", "type": "Heartbeat", "heartbeat": {"every": "1h", "grace": "2s", "maxDuration": "1s"}});
    let made = api.post("/api/v1/services", &spec).await.expect(201);
    let path = made["heartbeatStatus"]["path"]
        .as_str()
        .expect("the answer has the address")
        .to_owned();
    ping(&api, &format!("{path}/start"), "").await;
    let down = state(&api, "import", "down").await;
    let reason = down["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("did not end within 1s"), "{reason}");
    ping(&api, &format!("{path}/3"), "<b>disk\u{1b}[2J full").await;
    let failed = state(&api, "import", "down").await;
    assert_eq!(failed["exitStatus"], 3);
    assert_eq!(failed["message"], "<b>disk\\u{1b}[2J full");
    let checked = api.check("import").await;
    assert_eq!(checked["status"], "unhealthy");
    let rows = wait_for("the row of the failure", PATIENCE, async || {
        let rows = api
            .sql("SELECT latency_us, error, metrics->>'exit_status' FROM observations WHERE service = 'import' AND latency_us IS NOT NULL")
            .await;
        if rows.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(rows)
        }
    })
    .await;
    assert!(
        rows[0][0].as_i64().is_some_and(|us| us >= 1_000_000),
        "{rows:?}"
    );
    let error = rows[0][1].as_str().unwrap_or_default();
    assert!(error.contains("exit status 3: <b>disk"), "{error}");

    // Another address; the one before is refused.
    let rotated = runtime.cli(["heartbeats", "rotate", "import"]).await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    api.anonymous().get(&path).await.expect_problem(404);
    let heartbeat = api.service("import").await["heartbeatStatus"].clone();
    let path = heartbeat["path"].as_str().expect("a path");
    assert!(rotated.out.trim().ends_with(path), "{rotated:?}");
    ping(&api, path, "").await;
    let up = state(&api, "import", "up").await;
    assert_eq!(up["exitStatus"], Value::Null);
    let listed = runtime.cli(["heartbeats", "list"]).await;
    assert!(listed.out.contains("every 1h"), "{listed:?}");
}
