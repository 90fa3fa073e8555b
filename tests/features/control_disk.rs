//! The control store's disk is full, or the store lost its content: people are still paged, nothing
//! that was answered as done is lost, and a start that would forget everything is stopped.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use extrack_tests::{Api, Inbox, PATIENCE, SmallDisk, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

/// Room for the store, its log and its ballast.
const DISK_MB: u32 = 12;

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];

fn services(vendor: &Vendor) -> String {
    let service = |slug: &&str| {
        format!(
            "\n  - {{name: \"Service {slug}\", slug: {slug}, baseUrl: \"{}\", healthEndpoint: \"/{slug}\", \
             monitoring: {{interval: 1, timeout: 900}}}}",
            vendor.url()
        )
    };
    format!(
        "services:{}\n",
        SERVICES.iter().map(service).collect::<String>()
    )
}

fn alerts(inbox: &Inbox) -> String {
    format!(
        r#"
alerts:
  - name: "Down"
    condition: "status == 'unhealthy'"
    severity: "critical"
    notifications:
      - {{channel: webhook, name: ops, url: "{}"}}
"#,
        inbox.url("/ops")
    )
}

fn spec(vendor: &Vendor, slug: &str) -> Value {
    json!({
        "name": slug,
        "slug": slug,
        "baseUrl": vendor.url(),
        "healthEndpoint": "/fine",
        "private": true,
        "monitoring": {"interval": 60, "timeout": 900},
    })
}

/// Summaries of the messages about a service, by their keys: a message that comes twice
/// under one key is one.
fn told(inbox: &Inbox, service: &str, status: &str) -> Vec<String> {
    let mut keys = BTreeSet::new();
    let mut summaries = Vec::new();
    for message in inbox.received("/ops") {
        let key = message
            .headers
            .get("idempotency-key")
            .map(|key| key.as_bytes().to_vec());
        let alerts = message.body["alerts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if message.body["status"] == status && keys.insert(key) {
            let of_service = alerts
                .into_iter()
                .filter(|alert| alert["labels"]["service"] == service);
            summaries.extend(of_service.map(|alert| alert["annotations"]["summary"].to_string()));
        }
    }
    summaries
}

async fn until_told(inbox: &Inbox, service: &str, status: &str) -> String {
    wait_for(
        &format!("a message that {service} is {status}"),
        PATIENCE * 2,
        async || match told(inbox, service, status).as_slice() {
            [] => Err(format!(
                "{:#?}",
                inbox
                    .all()
                    .iter()
                    .map(|message| &message.body)
                    .collect::<Vec<_>>()
            )),
            summaries => Ok(summaries[0].clone()),
        },
    )
    .await
}

async fn until_told_times(inbox: &Inbox, service: &str, status: &str, times: usize) {
    wait_for(
        &format!("{times} messages that {service} is {status}"),
        PATIENCE * 2,
        async || {
            let told = told(inbox, service, status);
            if told.len() == times {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        },
    )
    .await;
}

async fn until_ready(api: &Api, what: &str, look: impl Fn(u16, &Value) -> bool) {
    wait_for(
        &format!("/readyz to say: {what}"),
        PATIENCE * 2,
        async || {
            let reply = api.get("/readyz").await;
            let (status, body) = (
                reply.status,
                serde_json::from_str(&reply.text).unwrap_or_default(),
            );
            if look(status, &body) {
                Ok(())
            } else {
                Err(format!("{status} {body}"))
            }
        },
    )
    .await;
}

fn says(body: &Value, list: &str, word: &str) -> bool {
    body[list].as_array().is_some_and(|lines| {
        lines
            .iter()
            .any(|line| line.as_str().unwrap_or_default().contains(word))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_control_store_keeps_no_message_back_and_loses_nothing_that_was_answered()
 {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor))
        .alerts(alerts(&inbox))
        .env("EXTRACK_CONTROL_BALLAST", "2")
        .prepare();
    let folder = runtime.data().with_file_name("control-disk");
    fs::create_dir(&folder).unwrap();
    let disk = SmallDisk::mount(&folder, DISK_MB);
    symlink(
        folder.join("control.sqlite"),
        runtime.data().join("control.sqlite"),
    )
    .unwrap();
    runtime.start().await;
    let api = runtime.api();
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    let mut insert = async |slug: &str| {
        let reply = api.post("/api/v1/services", &spec(&vendor, slug)).await;
        match reply.status {
            201 => done.push(slug.to_owned()),
            503 | 507 => refused.push(slug.to_owned()),
            status => panic!("{slug}: {status} {}", reply.text),
        }
        reply.status
    };
    assert_eq!(insert("before").await, 201);

    // The ballast gives what the alert needs.
    disk.fill();
    vendor.set_status("/a", 503);
    let summary = until_told(&inbox, "a", "firing").await;
    assert!(!summary.contains("memory"), "{summary}");
    until_ready(&api, "the ballast was given up", |_, body| {
        says(body, "warnings", "ballast")
    })
    .await;
    assert_eq!(
        insert("beside").await,
        507,
        "what room is left is for alerts"
    );

    // It is used up as well.
    disk.fill();
    vendor.set_status("/b", 503);
    let summary = until_told(&inbox, "b", "firing").await;
    assert!(
        summary.contains("sent from memory, it could not be recorded"),
        "{summary}"
    );
    until_ready(&api, "nothing can be committed", |status, body| {
        status == 503 && says(body, "reasons", "control store can't be written")
    })
    .await;
    assert_eq!(insert("full").await, 507);
    // What is small may find a place. It is done, or answered as not done.
    let silence =
        json!({"matchers": ["service=nothing"], "duration": "2h", "comment": "x".repeat(100)});
    let silenced = api.post("/api/v1/silences", &silence).await;
    assert!(
        matches!(silenced.status, 201 | 503 | 507),
        "{} {}",
        silenced.status,
        silenced.text
    );
    vendor.set_status("/b", 200);
    let summary = until_told(&inbox, "b", "resolved").await;
    assert!(summary.contains("sent from memory"), "{summary}");
    // The next outage of the same service, and its end; then the last word is that it fires.
    for (status, said, times) in [(503, "firing", 2), (200, "resolved", 2), (503, "firing", 3)] {
        vendor.set_status("/b", status);
        until_told_times(&inbox, "b", said, times).await;
    }
    let told_of_b = told(&inbox, "b", "firing");
    assert!(
        told_of_b
            .iter()
            .all(|summary| summary.contains("sent from memory")),
        "{told_of_b:?}"
    );
    vendor.set_status("/c", 503);
    until_told(&inbox, "c", "firing").await;

    // There is room again.
    disk.free();
    until_ready(&api, "all is well", |status, body| {
        status == 200 && body["warnings"].is_null()
    })
    .await;
    wait_for(
        "the alerts that were sent from memory to be on record",
        PATIENCE,
        async || {
            let open = api.list("/api/v1/alerts?state=firing").await;
            let on_record = ["b", "c"]
                .iter()
                .all(|service| open.iter().any(|alert| alert["service"] == *service));
            if on_record {
                Ok(())
            } else {
                Err(format!("{open:?}"))
            }
        },
    )
    .await;
    vendor.set_status("/d", 503);
    let summary = until_told(&inbox, "d", "firing").await;
    assert!(!summary.contains("memory"), "{summary}");
    assert_eq!(insert("after").await, 201);
    runtime.kill().await;
    runtime.start().await;
    let api = runtime.api();
    for service in ["a", "b", "c", "d"] {
        vendor.set_status(&format!("/{service}"), 200);
        until_told_times(
            &inbox,
            service,
            "resolved",
            if service == "b" { 3 } else { 1 },
        )
        .await;
    }
    for service in SERVICES {
        for status in ["firing", "resolved"] {
            let told = told(&inbox, service, status);
            let times = if service == "b" { 3 } else { 1 };
            assert_eq!(told.len(), times, "{service} is {status}: {told:?}");
        }
    }
    assert_eq!(
        (done.as_slice(), refused.len()),
        (["before".to_owned(), "after".to_owned()].as_slice(), 2)
    );
    let silences = api.list("/api/v1/silences").await.len();
    assert_eq!(silences, usize::from(silenced.status == 201));
    for slug in done {
        api.get(&format!("/api/v1/services/{slug}"))
            .await
            .expect(200);
    }
    for slug in refused {
        api.get(&format!("/api/v1/services/{slug}"))
            .await
            .expect_problem(404);
    }
    let code = runtime.stop().await;
    assert!(code.success());
}

/// Starts the program and expects it to refuse; what it said.
async fn refused(runtime: &TestRuntime) -> String {
    let (config, data) = (runtime.config(), runtime.data());
    let text = |path: &Path| {
        path.to_str()
            .expect("temporary folders have plain names")
            .to_owned()
    };
    let (config, data) = (text(&config), text(&data));
    let said = runtime
        .cli([
            "serve",
            "--config",
            &config,
            "--data",
            &data,
            "--listen",
            "127.0.0.1:0",
        ])
        .await;
    assert_eq!(said.code, Some(1), "{said:?}");
    said.err
}

/// A running program with a service of the API in its store.
async fn running(vendor: &Vendor) -> TestRuntime {
    let runtime = TestRuntime::builder()
        .services(services(vendor))
        .start()
        .await;
    runtime
        .api()
        .post("/api/v1/services", &spec(vendor, "mine"))
        .await
        .expect(201);
    runtime
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_stops_where_the_control_store_lost_its_content() {
    let vendor = Vendor::start().await;
    let mut runtime = running(&vendor).await;
    let data = runtime.data();
    let control = data.join("control.sqlite");
    assert!(runtime.stop().await.success());
    let backup = fs::read(&control).unwrap();

    fs::write(&control, "").unwrap();
    let said = refused(&runtime).await;
    assert!(
        said.contains("has lost content") && said.contains("extrack store accept --data"),
        "{said}"
    );
    // Beside results that are there, also without the marker.
    fs::remove_file(&control).unwrap();
    fs::rename(data.join("control.id"), data.join("kept.id")).unwrap();
    let said = refused(&runtime).await;
    assert!(said.contains("results.duckdb"), "{said}");
    // A backup is taken without a word.
    fs::write(&control, backup).unwrap();
    fs::rename(data.join("kept.id"), data.join("control.id")).unwrap();
    runtime.start().await;
    let api = runtime.api();
    api.get("/api/v1/services/mine").await.expect(200);
    let changed = spec(&vendor, "another");
    api.post("/api/v1/services", &changed).await.expect(201);
    // What is in the log alone, and known to have been there.
    let before = fs::read_to_string(data.join("control.id")).unwrap();
    api.post("/api/v1/services", &spec(&vendor, "one-more"))
        .await
        .expect(201);
    wait_for("the marker to know of it", PATIENCE, async || {
        let mark = fs::read_to_string(data.join("control.id")).unwrap();
        if mark != before { Ok(()) } else { Err(mark) }
    })
    .await;
    runtime.kill().await;
    fs::write(data.join("control.sqlite-wal"), "").unwrap();
    let said = refused(&runtime).await;
    assert!(said.contains("commits are missing"), "{said}");
    let data_text = data.to_str().unwrap().to_owned();
    let accepted = runtime.cli(["store", "accept", "--data", &data_text]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    runtime.start().await;
    runtime.api().get("/api/v1/services/mine").await.expect(200);
    assert!(runtime.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_the_data_folder_are_the_programs_alone_whatever_the_folders_mode_is() {
    let vendor = Vendor::start().await;
    let mut runtime = running(&vendor).await;
    let data = runtime.data();
    assert!(runtime.stop().await.success());
    for name in ["control.sqlite", "results.duckdb", "control.id"] {
        fs::set_permissions(data.join(name), PermissionsExt::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
    runtime.start().await;
    let open: Vec<PathBuf> = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
        })
        .collect();
    assert!(open.is_empty(), "others can read {open:?}");
    for name in [
        "control.sqlite-wal",
        "control.sqlite.ballast",
        "control.sqlite.lock",
        "secret.key",
    ] {
        assert!(data.join(name).exists(), "{name} is missing");
    }
    assert!(runtime.stop().await.success());
}
