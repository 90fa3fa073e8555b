//! Credentials reach the service they belong to, and are visible to no one else.

use std::path::Path;

use extrack_tests::{Inbox, PATIENCE, TargetServer, TestRuntime, Vendor, wait_for};
use serde_json::json;

/// Authorization that nginx wants at `/locked`.
const API_KEY: &str = "s3cret-k3y";
const HOOK_SECRET: &str = "T0PS3CR3T-hook-path";
const ENCRYPTION_KEY: &str = "an encryption key that is long enough";

/// Every file of the data folder that holds the text.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is ours") {
        let path = entry.expect("the folder is ours").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_sent_to_their_service_and_shown_to_nobody() {
    let (nginx, vendor, inbox) = (
        TargetServer::start().await,
        Vendor::start().await,
        Inbox::start().await,
    );
    vendor.set_status("/health", 500);
    let services = format!(
        r#"
services:
  - name: "From File"
    baseUrl: "{0}"
    healthEndpoint: "/locked"
    authentication: {{type: api_key, header: X-API-Key, value: "${{SHOP_KEY}}"}}
    monitoring: {{interval: 1, timeout: 5000}}
  - name: "Without"
    baseUrl: "{0}"
    healthEndpoint: "/locked"
    monitoring: {{interval: 1, timeout: 5000}}
  - name: "Broken"
    baseUrl: "{1}"
    healthEndpoint: "/health"
    monitoring: {{interval: 1, timeout: 5000}}
"#,
        nginx.url(),
        vendor.url()
    );
    let alerts = format!(
        r#"
alerts:
  - name: "Down"
    condition: "status != 'healthy' && service == 'broken'"
    notifications:
      - {{channel: slack, webhook: "{}"}}
"#,
        inbox.url(&format!("/services/{HOOK_SECRET}"))
    );
    let mut runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .env("SHOP_KEY", API_KEY)
        .env("ENCRYPTION_KEY", ENCRYPTION_KEY)
        .env("EXTRACK_LOG", "debug,extrack=trace")
        .start()
        .await;
    let api = runtime.api();
    let spec = json!({
        "name": "From API", "baseUrl": nginx.url(), "healthEndpoint": "/locked", "private": true,
        "authentication": {"type": "api_key", "header": "X-API-Key", "value": API_KEY},
        "monitoring": {"interval": 1, "timeout": 900},
    });
    let created = api.post("/api/v1/services", &spec).await.expect(201);
    assert_eq!(created["authentication"]["value"], "***");
    assert_eq!(created["authentication"]["header"], "X-API-Key");

    for slug in ["from-file", "from-api"] {
        assert_eq!(api.check(slug).await["status"], "healthy", "{slug}");
    }
    let without = api.check("without").await;
    assert_eq!(
        [&without["status"], &without["httpStatus"]],
        [&json!("unhealthy"), &json!(401)]
    );
    wait_for("the message at the secret address", PATIENCE, async || {
        if inbox.all().is_empty() {
            Err("nothing".to_owned())
        } else {
            Ok(())
        }
    })
    .await;

    // Reading a service and sending it back keeps its secret.
    let read = api.service("from-api").await;
    let mut back = spec.clone();
    back["authentication"] = read["authentication"].clone();
    api.put("/api/v1/services/from-api", &back)
        .await
        .expect(200);
    assert_eq!(api.check("from-api").await["status"], "healthy");

    // Unless it would then go somewhere else.
    back["baseUrl"] = json!(vendor.url());
    api.put("/api/v1/services/from-api", &back)
        .await
        .expect_problem(422);

    let mut seen = Vec::new();
    for path in [
        "/api/v1/services",
        "/api/v1/services/from-file",
        "/api/v1/services/from-api",
        "/api/v1/services/from-api/observations",
        "/api/v1/alerts",
        "/api/v1/notifications",
        "/api/v1/plugins",
        "/api/v1/openapi.json",
        "/metrics",
        "/",
    ] {
        seen.push((path.to_owned(), api.get(path).await.expect_text(200)));
    }
    for table in ["observations", "plugin_runs", "alert_events", "services"] {
        seen.push((
            format!("table {table}"),
            format!(
                "{:?}",
                api.sql(&format!("SELECT * FROM {table} LIMIT 1000")).await
            ),
        ));
    }
    seen.push((
        "the checked configuration".to_owned(),
        format!("{:?}", runtime.check_config().await),
    ));
    runtime.restart().await;
    assert_eq!(
        runtime.api().check("from-api").await["status"],
        "healthy",
        "the sealed credential is still good"
    );
    runtime.stop().await;
    seen.push(("the log".to_owned(), runtime.logs()));
    for secret in [
        API_KEY,
        HOOK_SECRET,
        ENCRYPTION_KEY,
        extrack_tests::runtime::TOKEN,
    ] {
        for (place, text) in &seen {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "`{secret}` is shown by {place}: {line:?}");
        }
        assert_eq!(
            files_with(&runtime.data(), secret),
            Vec::<String>::new(),
            "`{secret}` lies in the data folder"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_encryption_key_one_is_made_that_only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let nginx = TargetServer::start().await;
    let mut runtime = TestRuntime::builder().start().await;
    let spec = json!({
        "name": "Shop", "baseUrl": nginx.url(), "healthEndpoint": "/locked", "private": true,
        "authentication": {"type": "api_key", "header": "X-API-Key", "value": API_KEY}, "monitoring": {"interval": 86400},
    });
    runtime
        .api()
        .post("/api/v1/services", &spec)
        .await
        .expect(201);
    runtime.restart().await;
    assert_eq!(runtime.api().check("shop").await["status"], "healthy");
    let key = runtime.data().join("secret.key");
    let mode = std::fs::metadata(&key)
        .expect("the key was made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(files_with(&runtime.data(), API_KEY), Vec::<String>::new());

    // With another key the data is of no use, and the program reports that instead of forgetting the
    // secrets.
    runtime.stop().await;
    let (config, data) = (runtime.config(), runtime.data());
    std::fs::remove_file(key).unwrap();
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ];
    let refused = runtime.cli(arguments).await;
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("key"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_no_core_file_unless_one_is_wanted() {
    use std::os::unix::process::ExitStatusExt;
    let mut program = TestRuntime::builder()
        .env("ENCRYPTION_KEY", ENCRYPTION_KEY)
        .start()
        .await;
    let ended = program.crash().await;
    assert_eq!(ended.signal(), Some(6), "{ended}");
    assert!(!ended.core_dumped(), "{ended}");

    let mut wanted = TestRuntime::builder()
        .env("EXTRACK_CORE_DUMPS", "true")
        .start()
        .await;
    let ended = wanted.crash().await;
    // Where the kernel writes no core files at all, this is the same.
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim() == "core" {
        assert!(ended.core_dumped(), "{ended}");
    }
}
