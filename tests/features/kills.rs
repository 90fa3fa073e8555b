//! `kill -9` at any step of what happens to the stores beside commits: totals are equal before and
//! after.

use std::path::PathBuf;
use std::time::Duration;

use extrack_tests::process::signal;
use extrack_tests::runtime::text;
use extrack_tests::{Api, PATIENCE, TestRuntime, Vendor, WallClock, wait_for};
use serde_json::Value;

const DAY_S: i64 = 86_400;
/// Tiers count months on a machine that is busy.
const COUNTED_WITHIN: Duration = Duration::from_secs(300);
/// Tiers and months are looked at so long after a start.
const FIRST_STEPS: Duration = Duration::from_secs(5);

fn beside(runtime: &TestRuntime, name: &str) -> PathBuf {
    runtime.data().with_file_name(name)
}

fn services(vendor: &Vendor, interval: u32) -> String {
    format!(
        "services:\n  - {{name: shop, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: {interval}, timeout: 900}}}}\n",
        vendor.url()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_or_a_restore_that_is_killed_anywhere_loses_nothing() {
    const RUNS: &str = "SELECT count(*), sum(hash(run_id))::VARCHAR FROM observations";
    let vendor = Vendor::start().await;
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, 3_600))
        .start()
        .await;
    for _ in 0..20 {
        runtime.api().check("shop").await;
    }
    let wanted = runtime.api().sql(RUNS).await;
    for step in 0..8 {
        let target = beside(&runtime, &format!("backup-{step}"));
        let pid = runtime.pid();
        let killing = async {
            tokio::time::sleep(Duration::from_millis(step * 50)).await;
            signal(pid, "KILL").await;
        };
        let (said, ()) = tokio::join!(runtime.cli(["backup", "--to", text(&target)]), killing);
        // A backup is whole, or it is not there.
        assert_eq!(said.code == Some(0), target.exists(), "{step}: {said:?}");
        runtime.kill().await;
        runtime.start().await;
        assert_eq!(runtime.api().sql(RUNS).await, wanted, "{step}");
        let staging = std::fs::read_dir(runtime.data().join("staging"));
        let left = staging.map_or(0, Iterator::count);
        assert_eq!(left, 0, "half a backup is left");
    }

    let target = beside(&runtime, "backup");
    let said = runtime.cli(["backup", "--to", text(&target)]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    runtime.api().check("shop").await;
    runtime.stop().await;
    let data = runtime.data();
    let restore = [
        "restore",
        "--from",
        text(&target),
        "--replace",
        "--data",
        text(&data),
    ];
    for step in 0..10 {
        let after = tokio::time::sleep(Duration::from_millis(step * 20));
        runtime.cli_killed(restore, after).await;
    }
    let said = runtime.cli(restore).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    runtime.start().await;
    assert_eq!(runtime.api().sql(RUNS).await, wanted);
    let checked = runtime.cli(["archive", "verify"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

/// What the tiers and the months of before two days ago come to.
async fn counted(api: &Api) -> Vec<Value> {
    const BEFORE: &str = "now()::TIMESTAMP - INTERVAL 2 DAY";
    let mut found = Vec::new();
    for sql in [
        format!("SELECT count(*) FROM observations WHERE ts < {BEFORE}"),
        // Older slots of 5 minutes are removed meanwhile.
        format!(
            "SELECT sum(runs)::BIGINT FROM roll_5m WHERE ts < {BEFORE} AND ts > {BEFORE} - INTERVAL 25 DAY"
        ),
        format!("SELECT sum(runs)::BIGINT FROM roll_1h WHERE ts < {BEFORE}"),
        format!("SELECT sum(runs)::BIGINT FROM roll_1d WHERE ts < {BEFORE}"),
        format!("SELECT sum(n)::BIGINT FROM hist_1d WHERE ts < {BEFORE}"),
    ] {
        found.push(api.sql(&sql).await[0][0].clone());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_while_it_counts_seals_and_freezes_loses_and_doubles_nothing() {
    let (vendor, clock) = (Vendor::start().await, WallClock::new());
    let builder = TestRuntime::builder().services(services(&vendor, 1));
    // Over the end of one month at least, which is closed by now.
    let moments = [-75, -74, -60, -50, -40, -20, 0];
    clock.set(moments[0] * DAY_S);
    let mut runtime = clock.of(builder).start().await;
    for ahead_days in moments {
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
    let days = "SELECT count(DISTINCT ts::DATE) FROM observations WHERE NOT missed";
    wait_for("committed rows", PATIENCE, async || {
        match runtime.api().sql_count(days).await {
            found if found == moments.len() as i64 => Ok(()),
            found => Err(format!("{found}")),
        }
    })
    .await;
    let wanted = counted(&runtime.api()).await;
    for step in 0..8 {
        // Each start seals what a query needs, then goes on counting and freezing.
        assert_eq!(counted(&runtime.api()).await, wanted, "{step}");
        tokio::time::sleep(FIRST_STEPS + Duration::from_millis(step * 60)).await;
        runtime.kill().await;
        runtime.start().await;
    }
    let api = runtime.api();
    let frozen = "SELECT count(*) FROM availability_by_month WHERE is_frozen";
    wait_for("frozen months", COUNTED_WITHIN, async || {
        match api.sql_count(frozen).await {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    assert_eq!(counted(&api).await, wanted);
    assert_eq!(wanted[0], wanted[3], "a run is counted once");
    // The seconds of a month are all there, and kills made no later count of them: a run that was
    // under way when the clock went on is late for its month, once.
    let wrong = "SELECT * FROM availability_by_month WHERE is_frozen AND (revision > 2 OR \
        good_s + bad_s + unknown_s + paused_s + maintenance_s <> epoch(month + INTERVAL 1 MONTH) - epoch(month))";
    assert_eq!(api.sql(wrong).await, Vec::<Vec<Value>>::new());
}
