//! Days of the results become files, which can be verified, downloaded and taken over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use extrack_tests::runtime::{Builder, Said, text};
use extrack_tests::{
    Api, Inbox, ObjectStore, PATIENCE, TestRuntime, Vendor, WallClock, read_elsewhere, wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const DAY_S: i64 = 86_400;
/// Tiers count a day first, on a machine that is busy.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(300);
const SETTINGS: &str = "results: {archive: {after: 1d}}";

/// A program that was up for a moment on each of three days, four days and more ago, and whose
/// clock is right now.
async fn program(vendor: &Vendor, inbox: &Inbox, clock: &WallClock) -> TestRuntime {
    program_of(TestRuntime::builder(), vendor, inbox, clock).await
}

async fn program_of(
    builder: Builder,
    vendor: &Vendor,
    inbox: &Inbox,
    clock: &WallClock,
) -> TestRuntime {
    let services = format!(
        "services:\n  - {{name: shop, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1, timeout: 900}}}}\n",
        vendor.url()
    );
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\n\
         route: {{groupBy: [alertname], groupWait: 1s, groupInterval: 1s}}\n",
        inbox.url("/hook")
    );
    clock.set(-6 * DAY_S);
    let runtime = clock
        .of(builder.services(services).alerts(alerts))
        .start()
        .await;
    std::fs::write(runtime.config().join("storage.yaml"), SETTINGS).unwrap();
    let api = runtime.api();
    for ahead_days in [-6, -5, -4, 0] {
        clock.set(ahead_days * DAY_S);
        let before = vendor.hits("/health");
        wait_for("checks of the day", PATIENCE, async || {
            match vendor.hits("/health") {
                hits if hits >= before + 3 => Ok(()),
                hits => Err(format!("{hits}")),
            }
        })
        .await;
    }
    wait_for("committed rows", PATIENCE, async || {
        match days(&api).await {
            4 => Ok(()),
            days => Err(format!("{days}")),
        }
    })
    .await;
    runtime
}

async fn days(api: &Api) -> i64 {
    api.sql_count("SELECT count(DISTINCT ts::DATE) FROM observations WHERE NOT missed")
        .await
}

/// Waits until the tiers have counted the days that are to be archived.
async fn counted(api: &Api) {
    wait_for("counted days", ARCHIVED_WITHIN, async || {
        let metrics = api.metrics().await;
        let lag = metrics
            .lines()
            .find_map(|line| line.strip_prefix("extrack_tier_lag_seconds{tier=\"1d\"} "))
            .and_then(|lag| lag.parse::<f64>().ok());
        match lag {
            Some(lag) if lag < 2.0 * DAY_S as f64 => Ok(()),
            lag => Err(format!("{lag:?}")),
        }
    })
    .await;
}

/// Waits for the files of a table. The archive looks for days once a minute, and after each
/// verification at once.
async fn archived(api: &Api, table: &str, wanted: usize) -> Vec<Value> {
    counted(api).await;
    wait_for("archived days", ARCHIVED_WITHIN, async || {
        let files = api.list(&format!("/api/v1/archive?table={table}")).await;
        if files.len() >= wanted {
            return Ok(files);
        }
        let verified = api.post("/api/v1/archive/verify", &json!({})).await;
        verified.expect(200);
        Err(format!("{files:?}"))
    })
    .await
}

fn sums(files: &[Value]) -> Vec<Value> {
    files.iter().map(|file| file["sha256"].clone()).collect()
}

fn place(runtime: &TestRuntime, file: &Value) -> PathBuf {
    let path = file["path"].as_str().unwrap();
    runtime.data().join("archive").join(path)
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn ended(said: &Said, code: i32, part: &str) {
    let is_said = said.out.contains(part) || said.err.contains(part);
    assert!(said.code == Some(code) && is_said, "`{part}`: {said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_become_files_that_are_verified_downloaded_and_taken_over() {
    let (vendor, inbox, clock) = (
        Vendor::start().await,
        Inbox::start().await,
        WallClock::new(),
    );
    let mut runtime = program(&vendor, &inbox, &clock).await;
    let api = runtime.api();
    let old = "SELECT count(*) FROM observations WHERE ts < now()::TIMESTAMP - INTERVAL 2 DAY";
    let before = api.sql_numbers(old).await;
    let files = archived(&api, "observations", 3).await;
    let rows: i64 = files
        .iter()
        .map(|file| file["rows"].as_i64().unwrap())
        .sum();
    assert_eq!(before, [rows]);
    assert_eq!(
        api.sql_numbers(old).await,
        before,
        "SQL reads the archive too"
    );
    archived(&api, "plugin_runs", 3).await;

    // Without the program, from the folder alone.
    let folder = runtime.data().join("archive");
    let offline = ["sql", "--csv", "--offline", text(&folder)];
    let counting = ["SELECT count(*) AS runs FROM observations"];
    let said = runtime.cli([&offline[..], &counting].concat()).await;
    ended(&said, 0, &format!("runs\r\n{rows}\r\n"));

    // By programs of others, which read what SQL answers too.
    let (stream, parquet) = (
        folder.with_file_name("runs.arrows"),
        folder.with_file_name("runs.parquet"),
    );
    let all = old.replace("count(*)", "*");
    for file in [&stream, &parquet] {
        ended(&runtime.cli(["sql", "-o", text(file), &all]).await, 0, "");
    }
    let script = include_str!("../fixtures/sql/readers.py");
    let count = rows.to_string();
    let arguments = [text(&stream), text(&parquet), text(&folder), &count, &count];
    let said = read_elsewhere(script, &arguments).await;
    assert_eq!(said.code, Some(0), "{said:?}");

    // As it is, and part by part.
    let file = &files[0];
    let path = format!(
        "/api/v1/archive/observations/{}",
        file["day"].as_str().unwrap()
    );
    let whole = api.send(api.request(Method::GET, &path)).await;
    let tag = whole.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", file["sha256"].as_str().unwrap()));
    let on_disk = std::fs::read(place(&runtime, file)).unwrap();
    assert_eq!(
        hex::encode(Sha256::digest(&on_disk)),
        file["sha256"].as_str().unwrap()
    );
    let part = api.request(Method::GET, &path).header("range", "bytes=-4");
    let part = api.send(part).await;
    assert_eq!(
        part.header("content-range"),
        format!(
            "bytes {}-{}/{}",
            on_disk.len() - 4,
            on_disk.len() - 1,
            on_disk.len()
        )
    );
    assert_eq!(part.expect_text(206), "PAR1");
    let known = api
        .request(Method::GET, &path)
        .header("if-none-match", &tag);
    api.send(known).await.expect_text(304);
    let missing = api.get("/api/v1/archive/observations/1999-01-01").await;
    missing.expect_problem(404);

    // A flipped bit is noticed, refused and notified; a good copy mends it.
    flip(&place(&runtime, file));
    let said = runtime.cli([&offline[..], &counting].concat()).await;
    ended(
        &said,
        0,
        &format!("without observations of {}", file["day"].as_str().unwrap()),
    );
    ended(&runtime.cli(["archive", "verify"]).await, 1, "SHA-256");
    api.get(&path).await.expect_problem(409);
    let answer = api.post("/api/v1/sql", &json!({"query": old})).await;
    let day = format!("observations of {}", file["day"].as_str().unwrap());
    assert_eq!(answer.header("extrack-missing"), day);
    assert_eq!(answer.expect(200)["missing"], json!([day]));
    wait_for("a message about it", ARCHIVED_WITHIN, async || {
        let received = inbox.received("/hook");
        let text = format!("{received:?}");
        if text.contains("Archive damaged") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    std::fs::write(place(&runtime, file), &on_disk).unwrap();
    ended(
        &runtime.cli(["archive", "verify"]).await,
        0,
        "read and compared",
    );
    api.get(&path).await;
    assert_eq!(api.sql_numbers(old).await, before);

    // The data folder is lost, and the archive is not.
    runtime.stop().await;
    let data = runtime.data();
    for entry in std::fs::read_dir(&data).unwrap().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("results") || name.starts_with("control") {
            let path = entry.path();
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
            removed.unwrap();
        }
    }
    std::fs::remove_dir_all(data.join("plugins")).unwrap();
    runtime.start().await;
    let api = runtime.api();
    assert_eq!(api.list("/api/v1/archive").await, Vec::<Value>::new());
    ended(
        &runtime.cli(["archive", "restore"]).await,
        0,
        "that were not listed",
    );
    let again = api.list("/api/v1/archive?table=observations").await;
    let sums = |files: &[Value]| {
        files
            .iter()
            .map(|file| file["sha256"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(sums(&again), sums(&files));
    assert_eq!(api.sql_numbers(old).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_while_it_archives_loses_and_doubles_no_row() {
    let (vendor, inbox, clock) = (
        Vendor::start().await,
        Inbox::start().await,
        WallClock::new(),
    );
    let mut runtime = program(&vendor, &inbox, &clock).await;
    let old = "SELECT count(*) FROM observations WHERE ts < now()::TIMESTAMP - INTERVAL 2 DAY";
    let wanted = runtime.api().sql_numbers(old).await[0];
    // From now on days are archived at each start.
    counted(&runtime.api()).await;
    // Killed at any of its steps, or before them.
    for step in 0..12 {
        runtime.kill().await;
        runtime.start().await;
        tokio::time::sleep(Duration::from_millis(step * 150)).await;
    }
    let api = runtime.api();
    let files = archived(&api, "observations", 3).await;
    let rows: i64 = files
        .iter()
        .map(|file| file["rows"].as_i64().unwrap())
        .sum();
    assert_eq!(rows, wanted);
    assert_eq!(api.sql_numbers(old).await, [wanted]);
    ended(
        &runtime.cli(["archive", "verify"]).await,
        0,
        "read and compared",
    );
    // Nothing else is left in the folder.
    let folder = runtime.data().join("archive/observations");
    let found = std::fs::read_dir(folder).unwrap().flatten().count();
    assert_eq!(found, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_in_an_object_store_mend_files_and_outlive_the_disk() {
    let (vendor, inbox, clock) = (
        Vendor::start().await,
        Inbox::start().await,
        WallClock::new(),
    );
    let mut store = ObjectStore::start("backups").await;
    let builder = store.of(TestRuntime::builder(), "backups");
    // It is not there at first: days are archived all the same.
    store.pause().await;
    let mut runtime = program_of(builder, &vendor, &inbox, &clock).await;
    let files = archived(&runtime.api(), "observations", 3).await;
    assert!(files.iter().all(|file| file["copiedAt"].is_null()));
    store.resume().await;
    runtime.restart().await;
    let copied = async |table: &str| {
        let path = format!("/api/v1/archive?table={table}");
        let files = runtime.api().list(&path).await;
        files.iter().all(|file| file["copiedAt"].is_string())
    };
    wait_for("copies", ARCHIVED_WITHIN, async || {
        if copied("observations").await && copied("plugin_runs").await {
            Ok(())
        } else {
            Err(runtime.logs())
        }
    })
    .await;
    let objects = store.objects("backups");
    for file in &files {
        let path = file["path"].as_str().unwrap();
        assert!(
            objects.contains(&Path::new("extrack").join(path)),
            "{objects:?}"
        );
    }
    assert!(!runtime.logs().contains("tests-secret"));

    // A damaged file, and one that is gone, are fetched.
    flip(&place(&runtime, &files[0]));
    std::fs::remove_file(place(&runtime, &files[1])).unwrap();
    ended(
        &runtime.cli(["archive", "verify"]).await,
        0,
        "read and compared",
    );
    let on_disk = std::fs::read(place(&runtime, &files[1])).unwrap();
    assert_eq!(
        hex::encode(Sha256::digest(&on_disk)),
        files[1]["sha256"].as_str().unwrap()
    );

    // All of the data folder is lost.
    runtime.stop().await;
    std::fs::remove_dir_all(runtime.data()).unwrap();
    runtime.start().await;
    ended(
        &runtime.cli(["archive", "restore"]).await,
        0,
        "that were not listed",
    );
    let again = runtime
        .api()
        .list("/api/v1/archive?table=observations")
        .await;
    assert_eq!(sums(&again), sums(&files));
}
