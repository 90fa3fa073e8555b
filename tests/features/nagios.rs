//! Programs that were made for Nagios: run where the operator allows it, under limits.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use extrack_tests::{Api, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

const SECRET: &str = "planted-secret-77ab01";

const SCRIPT: &str = r#"#!/bin/sh
case "$1" in
  code) echo "said $3 | load=1.5;2;3 'free space'=80%"; echo "more"; exit "$2" ;;
  variables) echo "set: $(env | tr '\n' ' ')"; exit 2 ;;
  hang) sleep 600 & echo $! > "$2"; wait ;;
esac
"#;

/// Writes the script, which only its owner may change.
fn script(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, SCRIPT).expect("a file");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("its mode");
    path
}

fn service(slug: &str, program: &Path, arguments: &[&str], timeout_ms: u32) -> String {
    let settings = json!({"program": program, "arguments": arguments});
    format!(
        "  - {{name: {slug}, type: Program, baseUrl: a.example, monitoring: {{probe: nagios, interval: 86400, \
         timeout: {timeout_ms}, settings: {settings}}}}}\n"
    )
}

/// Checks that it ends so; returns the observation.
async fn ends(api: &Api, slug: &str, status: &str, kind: Option<&str>, text: &str) -> Value {
    let found = api.check(slug).await;
    assert_eq!(found["status"], status, "{slug}: {found}");
    assert_eq!(found["errorKind"].as_str(), kind, "{slug}: {found}");
    let error = found["error"].as_str().unwrap_or_default();
    assert!(error.contains(text), "{slug}: `{text}` in {found}");
    found
}

async fn started(services: &[String], allowed: &Path) -> TestRuntime {
    TestRuntime::builder()
        .services(format!("services:\n{}", services.concat()))
        .env("EXTRACK_PROGRAMS", allowed.display().to_string())
        .env("PLANTED", SECRET)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_judged_by_its_code_and_its_performance_data_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = script(folder.path(), "check_it");
    let of = |slug: &str, arguments: &[&str]| service(slug, &program, arguments, 20_000);
    let services = [
        of("fine", &["code", "0", "{host}"]),
        of("warning", &["code", "1", "slow"]),
        of("critical", &["code", "2", "down"]),
        of("unknown", &["code", "3", "nothing"]),
        of("odd", &["code", "77", "nothing"]),
        of("variables", &["variables"]),
    ];
    let runtime = started(&services, &program).await;
    let api = runtime.api();
    let found = ends(&api, "fine", "healthy", None, "").await;
    assert_eq!(found["metrics"]["load"].as_f64(), Some(1.5), "{found}");
    let free = &found["metrics"]["free_space_percent"];
    assert_eq!(free.as_f64(), Some(80.0), "{found}");
    ends(&api, "warning", "degraded", Some("assertion"), "said slow").await;
    ends(
        &api,
        "critical",
        "unhealthy",
        Some("assertion"),
        "said down",
    )
    .await;
    ends(&api, "unknown", "error", Some("plugin"), "said nothing").await;
    ends(&api, "odd", "error", Some("plugin"), "ended with code 77").await;
    let found = ends(&api, "variables", "unhealthy", Some("assertion"), "PATH=").await;
    let text = found.to_string();
    assert!(
        !text.contains(SECRET) && !text.contains("EXTRACK_") && !text.contains("PLANTED"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_was_not_named_is_not_run_and_one_that_hangs_ends_with_all_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = script(folder.path(), "check_it");
    let other = script(folder.path(), "check_other");
    let pid = folder.path().join("pid");
    let hang = ["hang", pid.to_str().expect("a path")];
    let services = [
        service("other", &other, &["code", "0", "fine"], 20_000),
        service("hanging", &program, &hang, 15_000),
    ];
    let runtime = started(&services, &program).await;
    let api = runtime.api();
    let remedy = "EXTRACK_PROGRAMS";
    ends(&api, "other", "error", Some("denied"), remedy).await;
    let vendor = Vendor::start().await;
    let spec = json!({
        "name": "Over the API", "baseUrl": vendor.url(), "private": true,
        "monitoring": {"probe": "nagios", "interval": 86_400, "settings": {"program": "/bin/sh", "arguments": ["-c", "exit 0"]}},
    });
    api.post("/api/v1/services", &spec).await.expect(201);
    ends(&api, "over-the-api", "error", Some("denied"), remedy).await;

    ends(&api, "hanging", "error", Some("timeout"), "").await;
    let started = std::fs::read_to_string(&pid).expect("it has begun");
    let process = Path::new("/proc").join(started.trim());
    wait_for("the end of what it started", PATIENCE, async || {
        // Until its parent waits for it, an ended process is a zombie.
        let state = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let is_gone = !state.contains("State:") || state.contains("State:\tZ");
        if is_gone { Ok(()) } else { Err(state) }
    })
    .await;
}
