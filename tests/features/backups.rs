//! Backups of a running server, and the way back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use extrack_tests::runtime::text;
use extrack_tests::{Api, PATIENCE, TestRuntime, Vendor, components, wait_for};
use serde_json::json;

async fn observations(api: &Api) -> i64 {
    api.sql_count("SELECT count(*) FROM observations").await
}

async fn wait_for_observations(api: &Api, least: i64) {
    wait_for("observations", PATIENCE, async || {
        let found = observations(api).await;
        if found >= least {
            Ok(())
        } else {
            Err(format!("{found} of {least}"))
        }
    })
    .await;
}

/// A server with a service of the API that has a credential, an installed plugin and observations.
async fn server(vendor: &Vendor) -> TestRuntime {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = json!({
        "name": "Shop API", "baseUrl": vendor.url(), "healthEndpoint": "/health", "private": true,
        "authentication": {"type": "bearer", "token": "s3cret-of-the-shop"},
        "monitoring": {"interval": 1, "timeout": 5_000},
    });
    api.post("/api/v1/services", &spec).await.expect(201);
    api.plugin_put("probe-echoes", &components::guest("probe-echoes"))
        .await
        .expect(200);
    wait_for_observations(&api, 3).await;
    runtime
}

fn beside(runtime: &TestRuntime, name: &str) -> PathBuf {
    runtime.data().with_file_name(name)
}

async fn backup(runtime: &TestRuntime, to: &Path) {
    let said = runtime.cli(["backup", "--to", text(to)]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("compared"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_server_becomes_that_server_again() {
    let vendor = Vendor::start().await;
    let mut runtime = server(&vendor).await;
    let before = observations(&runtime.api()).await;
    let (archive, folder) = (beside(&runtime, "b.tar"), beside(&runtime, "b"));
    backup(&runtime, &archive).await;
    backup(&runtime, &folder).await;
    for path in [&archive, &folder] {
        let said = runtime.cli(["backup", "--to", text(path)]).await;
        assert!(said.err.contains("is there already"), "{said:?}");
    }
    assert!(
        !runtime
            .data()
            .join("staging")
            .read_dir()
            .unwrap()
            .any(|_| true)
    );
    for path in [&archive, &folder, &folder.join("control.sqlite")] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    // No key, and nothing readable of what it locks.
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let is_there = bytes.windows(18).any(|part| part == b"s3cret-of-the-shop");
            assert!(!is_there, "{}", path.display());
        }
    }
    let api = runtime.api();
    api.delete("/api/v1/services/shop-api")
        .await
        .expect_text(204);
    let restore = ["restore", "--from", text(&archive), "--data"];
    let data = runtime.data();
    let said = runtime.cli(restore.into_iter().chain([text(&data)])).await;
    assert!(said.err.contains("in use by process"), "{said:?}");
    runtime.stop().await;
    let said = runtime.cli(restore.into_iter().chain([text(&data)])).await;
    assert!(said.err.contains("`--replace`"), "{said:?}");
    let said = runtime
        .cli(restore.into_iter().chain([text(&data), "--replace"]))
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");

    runtime.start().await;
    let api = runtime.api();
    api.get("/api/v1/services/shop-api").await.expect(200);
    api.get("/api/v1/plugins/probe-echoes").await.expect(200);
    let restored = observations(&api).await;
    assert!(restored >= before, "{restored} of {before}");
    assert_eq!(api.check("shop-api").await["status"], "healthy");

    // A folder elsewhere begins without the key, which is said.
    let fresh = beside(&runtime, "fresh");
    let said = runtime
        .cli(["restore", "--from", text(&folder), "--data", text(&fresh)])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("secret.key"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_not_what_was_backed_up_changes_nothing() {
    let vendor = Vendor::start().await;
    let mut runtime = server(&vendor).await;
    let (archive, folder) = (beside(&runtime, "b.tar"), beside(&runtime, "b"));
    backup(&runtime, &archive).await;
    backup(&runtime, &folder).await;
    runtime.stop().await;
    let fresh = beside(&runtime, "fresh");
    let refused = async |from: &Path, part: &str| {
        let said = runtime
            .cli(["restore", "--from", text(from), "--data", text(&fresh)])
            .await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains(part), "`{part}` is not in {said:?}");
        assert!(!fresh.exists(), "nothing is left behind");
    };
    for name in ["control.sqlite", "results.duckdb"] {
        let path = folder.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        refused(&folder, "SHA-256").await;
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        refused(&folder, "is cut").await;
        std::fs::remove_file(&path).unwrap();
        refused(&folder, name).await;
        std::fs::write(&path, &whole).unwrap();
    }
    let manifest = folder.join("manifest.json");
    let whole = std::fs::read_to_string(&manifest).unwrap();
    for (from, to, part) in [
        (
            "\"control.sqlite\"",
            "\"../control.sqlite\"",
            "control.sqlite",
        ),
        ("\"format\": 1", "\"format\": 2", "newer"),
        ("{", "[", "manifest"),
    ] {
        assert!(whole.contains(from));
        std::fs::write(&manifest, whole.replacen(from, to, 1)).unwrap();
        refused(&folder, part).await;
    }
    let whole = std::fs::read(&archive).unwrap();
    for share in [0, 1, 50, 90] {
        std::fs::write(&archive, &whole[..whole.len() * share / 100]).unwrap();
        refused(&archive, "restoring").await;
    }
    refused(&beside(&runtime, "nowhere"), "nowhere").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_killed_is_repeated() {
    let vendor = Vendor::start().await;
    let mut runtime = server(&vendor).await;
    let folder = beside(&runtime, "b");
    backup(&runtime, &folder).await;
    runtime.stop().await;
    let data = runtime.data();
    let command = [
        "restore",
        "--from",
        text(&folder),
        "--data",
        text(&data),
        "--replace",
    ];
    // Killed at any of its steps, or through before that.
    for step in 0..25 {
        let _ = tokio::time::timeout(Duration::from_millis(step * 8), runtime.cli(command)).await;
    }
    let said = runtime.cli(command).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!data.join("restoring").exists());
    runtime.start().await;
    let api = runtime.api();
    api.get("/api/v1/services/shop-api").await.expect(200);
    wait_for_observations(&api, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_made_by_themselves_where_the_settings_say() {
    let vendor = Vendor::start().await;
    let runtime = server(&vendor).await;
    let folder = beside(&runtime, "backups");
    let settings = format!(
        "results: {{backups: {{folder: {}, every: 6h}}}}",
        text(&folder)
    );
    std::fs::write(runtime.config().join("storage.yaml"), settings).unwrap();
    // The folder is not there: that is shown, and nothing is made in its place.
    let api = runtime.api();
    wait_for("a warning", PATIENCE, async || {
        let ready = api.get("/readyz").await.expect(200).to_string();
        if ready.contains("the last backup could not be made") {
            Ok(())
        } else {
            Err(ready)
        }
    })
    .await;
    assert!(!folder.exists());
    std::fs::create_dir(&folder).unwrap();
    let cut_off = folder.join("extrack-2026-11-30T00-00-00.000Z.tar.partial");
    std::fs::write(&cut_off, "half").unwrap();
    let settings = format!(
        "results: {{backups: {{folder: {}, every: 12h}}}}",
        text(&folder)
    );
    std::fs::write(runtime.config().join("storage.yaml"), settings).unwrap();
    let backup = wait_for("a backup", PATIENCE, async || {
        let entries = std::fs::read_dir(&folder).unwrap().flatten();
        entries
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "tar"))
            .ok_or_else(|| runtime.logs())
    })
    .await;
    wait_for("the warning to go", PATIENCE, async || {
        let ready = api.get("/readyz").await.expect(200).to_string();
        if ready.contains("backup") {
            Err(ready)
        } else {
            Ok(())
        }
    })
    .await;
    assert!(!cut_off.exists());
    let fresh = beside(&runtime, "fresh");
    let said = runtime
        .cli(["restore", "--from", text(&backup), "--data", text(&fresh)])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
}
