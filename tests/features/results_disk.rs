//! The disk of the results is full, or what lies on it is damaged: people are still paged, once,
//! and what was kept comes back.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::Value;
use tokio::time::Instant;

/// Room for the compiled plugins and little more.
const DISK_MB: u32 = 64;

const SERVICES: usize = 200;

/// Growth of the program's memory while nothing is committed; a queue without a bound grows by
/// more.
const MEMORY_MB: u64 = 150;

fn services(vendor: &Vendor, count: usize) -> String {
    let mut yaml = "services:\n".to_owned();
    for index in 0..count {
        yaml.push_str(&format!(
            "  - {{name: s{index}, slug: s{index}, baseUrl: \"{}\", healthEndpoint: \"/s{index}\", \
             monitoring: {{interval: 1, timeout: 900}}}}\n",
            vendor.url()
        ));
    }
    yaml
}

fn alerts(inbox: &Inbox) -> String {
    format!(
        "alerts:\n  - name: Down\n    condition: \"status == 'unhealthy'\"\n    severity: critical\n    notifications:\n      \
         - {{channel: webhook, name: ops, url: \"{}\"}}\n",
        inbox.url("/ops")
    )
}

/// A metric without labels, or the sum over its labels.
fn metric(metrics: &str, name: &str) -> f64 {
    let of_name = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
    };
    let value = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok())
    };
    metrics.lines().filter(of_name).filter_map(value).sum()
}

fn memory_mb(pid: u32) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the program is running");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a process has a size");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a size is a number")
        / 1_024
}

/// The run of a check that was answered: its row is durable.
async fn checked(api: &Api) -> i64 {
    api.check("s0").await["runId"]
        .as_i64()
        .expect("an observation has its `runId`")
}

async fn until_not_committed(api: &Api) {
    wait_for(
        "readiness to say that results are not committed",
        PATIENCE * 2,
        async || {
            let reply = api.get("/readyz").await;
            let is_said =
                reply.status == 503 && reply.text.contains("results are not committed since");
            if is_said {
                Ok(())
            } else {
                Err(format!("{}: {}", reply.status, reply.text))
            }
        },
    )
    .await;
}

async fn until_committed(api: &Api) {
    wait_for(
        "everything that was kept to be committed",
        PATIENCE * 4,
        async || {
            let (ready, metrics) = (api.get("/readyz").await, api.metrics().await);
            let spooled = metric(&metrics, "extrack_results_spooled_rows");
            if ready.status == 200 && spooled == 0.0 {
                Ok(())
            } else {
                Err(format!("{}, {spooled} rows spooled", ready.text))
            }
        },
    )
    .await;
}

/// Each of these runs is a row, once, and no other run is there twice.
async fn assert_recorded(api: &Api, runs: &BTreeSet<i64>) {
    let list = runs
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let found = api
        .sql_numbers(&format!(
            "SELECT run_id FROM observations WHERE run_id IN ({list}) ORDER BY run_id"
        ))
        .await;
    let missing: Vec<_> = runs.iter().filter(|run| !found.contains(run)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} runs are missing: {missing:?}",
        missing.len(),
        runs.len()
    );
    assert_eq!(
        api.sql_count("SELECT count(*) - count(DISTINCT run_id) FROM observations")
            .await,
        0,
        "rows are there twice"
    );
}

/// Seconds until this many messages said that a service fires.
async fn told(inbox: &Inbox, service: &str, since: Instant) -> f64 {
    wait_for(
        &format!("a message about {service}"),
        PATIENCE * 2,
        async || match firing(inbox, service) {
            0 => Err(format!("{} other messages", inbox.all().len())),
            _ => Ok(()),
        },
    )
    .await;
    since.elapsed().as_secs_f64()
}

/// Messages about this service that fires.
fn firing(inbox: &Inbox, service: &str) -> usize {
    let fires =
        |alert: &Value| alert["status"] == "firing" && alert["labels"]["service"] == service;
    let about = |body: &Value| {
        body["alerts"]
            .as_array()
            .is_some_and(|alerts| alerts.iter().any(fires))
    };
    inbox
        .received("/ops")
        .iter()
        .filter(|message| about(&message.body))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_results_delays_no_alert_and_loses_no_row() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .small_disk(DISK_MB)
        .services(services(&vendor, SERVICES))
        .alerts(alerts(&inbox))
        .start()
        .await;
    let api = runtime.api();
    wait_for("the first rows to be committed", PATIENCE * 2, async || {
        let rows = api.sql_count("SELECT count(*) FROM observations").await;
        if rows > 200 {
            Ok(())
        } else {
            Err(format!("{rows} rows"))
        }
    })
    .await;

    runtime.disk().fill();
    until_not_committed(&api).await;
    let mut runs = BTreeSet::from([checked(&api).await]);
    let memory = memory_mb(runtime.pid());
    vendor.set_status("/s7", 503);
    let seconds = told(&inbox, "s7", Instant::now()).await;
    println!("disk full, {SERVICES} services at 1 s: told after {seconds:.1} s");

    // Far more runs than the queue holds without a spool would take minutes; that they go on, and
    // where, is what counts.
    let before = metric(&api.metrics().await, "extrack_observations_total");
    let hits = vendor.hits("/s100");
    wait_for("probing to go on", PATIENCE * 2, async || {
        runs.insert(checked(&api).await);
        let (now, asked) = (
            metric(&api.metrics().await, "extrack_observations_total"),
            vendor.hits("/s100") - hits,
        );
        if now - before >= 1_500.0 && asked >= 5 {
            Ok(())
        } else {
            Err(format!("{} runs, {asked} of one", now - before))
        }
    })
    .await;
    let grown = memory_mb(runtime.pid()).saturating_sub(memory);
    let metrics = api.metrics().await;
    let spooled = metric(&metrics, "extrack_results_spooled_rows");
    println!("{spooled} rows spooled, memory {memory} MiB + {grown} MiB");
    assert!(
        grown < MEMORY_MB,
        "memory grew by {grown} MiB to {} MiB",
        memory + grown
    );
    assert!(spooled >= 500.0, "only {spooled} rows are spooled");
    assert_eq!(metric(&metrics, "extrack_results_lost_rows_total"), 0.0);
    // The dimension can't be written either, and ends nothing.
    std::fs::write(
        runtime.config().join("services.yaml"),
        services(&vendor, SERVICES + 1),
    )
    .expect("a file can be written");
    wait_for(
        "a service that was added meanwhile to be watched",
        PATIENCE * 2,
        async || {
            if vendor.hits(&format!("/s{SERVICES}")) > 0 {
                Ok(())
            } else {
                Err("not asked yet".to_owned())
            }
        },
    )
    .await;

    runtime.disk().free();
    runs.insert(checked(&api).await);
    until_committed(&api).await;
    assert_recorded(&api, &runs).await;
    // Every run since the start is a row, but for those that are on their way.
    let (before, rows, after) = (
        api.metrics().await,
        api.sql_count("SELECT count(*) FROM observations").await as f64,
        metric(&api.metrics().await, "extrack_observations_total"),
    );
    let seen = metric(&before, "extrack_observations_total");
    let on_their_way = metric(&before, "extrack_results_queued_rows")
        + metric(&before, "extrack_results_spooled_rows");
    println!("{seen} runs, {on_their_way} on their way, {rows} rows, then {after} runs");
    assert!(
        rows >= seen - on_their_way && rows <= after,
        "{rows} rows for {seen} to {after} runs"
    );
    wait_for("the dimension to follow", PATIENCE, async || {
        let rows = api.sql_count("SELECT count(*) FROM services").await;
        if rows == SERVICES as i64 + 1 {
            Ok(())
        } else {
            Err(format!("{rows} services"))
        }
    })
    .await;
    assert_eq!(firing(&inbox, "s7"), 1, "told once");
    vendor.set_status("/s8", 503);
    told(&inbox, "s8", Instant::now()).await;
    let fired =
        "SELECT count(*) FROM alert_events WHERE to_state = 'firing' AND service IN ('s7', 's8')";
    wait_for(
        "both alerts to be in the results",
        PATIENCE * 2,
        async || {
            let rows = api.sql_count(fired).await;
            if rows == 2 {
                Ok(())
            } else {
                Err(format!("{rows} events"))
            }
        },
    )
    .await;

    runtime.restart().await;
    let api = runtime.api();
    until_committed(&api).await;
    assert_recorded(&api, &runs).await;
    assert_eq!(api.sql_count(fired).await, 2);
    let open = api.list("/api/v1/alerts").await;
    assert_eq!(
        open.iter()
            .filter(|alert| alert["state"] == "firing")
            .count(),
        2,
        "{open:?}"
    );
    assert_eq!(firing(&inbox, "s8"), 1, "told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_spooled_survive_a_kill_and_a_start_on_the_full_disk() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .small_disk(DISK_MB)
        .services(services(&vendor, 5))
        .alerts(alerts(&inbox))
        .start()
        .await;
    let api = runtime.api();
    wait_for("the first rows to be committed", PATIENCE * 2, async || {
        let rows = api.sql_count("SELECT count(*) FROM observations").await;
        if rows > 5 {
            Ok(())
        } else {
            Err(format!("{rows} rows"))
        }
    })
    .await;
    runtime.disk().fill();
    until_not_committed(&api).await;
    let mut runs = BTreeSet::from([checked(&api).await]);
    let spooled = |metrics: &str| metric(metrics, "extrack_results_spooled_rows");
    wait_for("rows to be spooled", PATIENCE * 2, async || {
        runs.insert(checked(&api).await);
        let rows = spooled(&api.metrics().await);
        if rows >= 40.0 {
            Ok(())
        } else {
            Err(format!("{rows} rows"))
        }
    })
    .await;
    runtime.kill().await;

    runtime.start().await;
    let api = runtime.api();
    until_not_committed(&api).await;
    let ready = api.anonymous().get("/readyz").await;
    println!("started on the full disk: {}", ready.text);
    let hits = vendor.hits("/s1");
    wait_for("probing to go on", PATIENCE * 2, async || {
        runs.insert(checked(&api).await);
        if vendor.hits("/s1") - hits >= 3 {
            Ok(())
        } else {
            Err(format!("{} runs", vendor.hits("/s1") - hits))
        }
    })
    .await;
    vendor.set_status("/s3", 503);
    let seconds = told(&inbox, "s3", Instant::now()).await;
    println!("told after {seconds:.1} s");

    runtime.disk().free();
    until_committed(&api).await;
    assert_recorded(&api, &runs).await;
    assert_eq!(firing(&inbox, "s3"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_results_are_set_aside_and_alerting_starts_without_them() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, 3))
        .alerts(alerts(&inbox))
        .start()
        .await;
    let path = runtime.data().join("results.duckdb");
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 3] = [
        ("emptied", |path| {
            std::fs::write(path, "").expect("the file is ours")
        }),
        ("cut", |path| {
            let whole = std::fs::read(path).expect("the file is ours");
            std::fs::write(path, &whole[..whole.len() / 3]).expect("the file is ours");
        }),
        ("overwritten", |path| {
            std::fs::write(path, "no database\n".repeat(4_000)).expect("the file is ours")
        }),
    ];
    for (index, (how, damage)) in damages.into_iter().enumerate() {
        let api = runtime.api();
        wait_for("a row to be committed", PATIENCE, async || {
            let rows = api.sql_count("SELECT count(*) FROM observations").await;
            if rows > 0 {
                Ok(())
            } else {
                Err("no row".to_owned())
            }
        })
        .await;
        let last = checked(&api).await;
        assert!(runtime.stop().await.success());
        damage(&path);
        runtime.start().await;
        let api = runtime.api();
        let ready = api.anonymous().get("/readyz").await.expect(200);
        let warnings = ready["warnings"].to_string();
        assert!(
            warnings.contains("history begins anew")
                && warnings.contains("results.duckdb.damaged-"),
            "{how}: {ready}"
        );
        assert!(
            runtime.logs().contains("the results store is damaged"),
            "{how}: the log says it too"
        );
        let service = format!("s{index}");
        vendor.set_status(&format!("/{service}"), 503);
        told(&inbox, &service, Instant::now()).await;
        wait_for("new rows, with new ids", PATIENCE, async || {
            let rows = api
                .sql("SELECT count(*), min(run_id) FROM observations")
                .await;
            match rows[0][1].as_i64() {
                Some(first) if first > last => Ok(()),
                _ => Err(format!("{rows:?} after {last}")),
            }
        })
        .await;
    }
    let kept = std::fs::read_dir(runtime.data()).expect("the folder is ours");
    let kept = kept.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .contains(".duckdb.damaged-")
        })
    });
    assert_eq!(kept.count(), 3, "nothing is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_things_in_the_place_of_recordings_stop_nothing_and_files_are_nobody_elses() {
    let vendor = Vendor::start().await;
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, 1))
        .prepare();
    let data = runtime.data();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755))
        .expect("the folder is ours");
    std::fs::write(data.join("recordings"), "a file").expect("the folder is ours");
    runtime.start().await;
    let failing = async |runtime: &TestRuntime| {
        vendor.set_status("/s0", 503);
        let api = runtime.api();
        wait_for(
            "a failed run to be recorded in a file",
            PATIENCE,
            async || {
                let list = api.list("/api/v1/recordings").await;
                if list.iter().any(|entry| entry["size"].is_number()) {
                    Ok(())
                } else {
                    Err(format!("{list:?}"))
                }
            },
        )
        .await;
    };
    failing(&runtime).await;
    assert!(runtime.stop().await.success());
    std::fs::create_dir_all(data.join("recordings/7.json/x")).expect("the folder is ours");
    std::fs::write(data.join("recordings/8.json"), "junk").expect("the folder is ours");
    runtime.start().await;
    failing(&runtime).await;
    let api = runtime.api();
    wait_for("a row to be committed", PATIENCE, async || {
        let rows = api.sql_count("SELECT count(*) FROM observations").await;
        if rows > 0 {
            Ok(())
        } else {
            Err("no row".to_owned())
        }
    })
    .await;
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    for name in [
        "results.duckdb",
        "results.duckdb.wal",
        "results.duckdb.lock",
        "results-spool/run-ids",
        "control.sqlite",
    ] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    for name in ["recordings", "results-spool"] {
        assert_eq!(mode(&data.join(name)) & 0o077, 0, "{name}");
    }
}
