use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::calls::QUEUED_CALLS;
use super::*;
use crate::domain::{
    CacheUse, Call, CallCost, CallEnd, CallPath, CallPhases, CallSource, CallUnits,
};
use crate::store::{ResultError, ResultSettings, SpoolSettings};

const NOW: i64 = 1_795_392_030_000;

fn call(id: &str, ts_ms: i64, source: CallSource) -> Call {
    Call {
        id: id.to_owned(),
        ts_ms,
        service: "shop".into(),
        consumer: None,
        credential: None,
        method: "GET".to_owned(),
        path: CallPath::Path(format!("/things/{}", ts_ms % 100_000 + 100_000)),
        status: Some(200),
        latency: None,
        phases: CallPhases::default(),
        bytes_in: 0,
        bytes_out: 0,
        units: CallUnits::Known(BTreeMap::from([("n".to_owned(), 2.into())])),
        tags: BTreeMap::new(),
        attempts: 1,
        cache: CacheUse::None,
        source,
        error_kind: None,
        ended: CallEnd::Complete,
    }
}

fn reported(ids: std::ops::Range<i64>) -> Vec<Call> {
    let call = |id: i64| call(&format!("r{id}"), NOW + id, CallSource::Api);
    ids.map(call).collect()
}

/// The store and the parts of the engine, which run until they are stopped.
struct World {
    dir: TempDir,
    results: ResultStore,
    calls: Calls,
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
    thread: std::thread::JoinHandle<Result<(), ResultError>>,
}

impl World {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None)
    }

    fn start_in(dir: TempDir, pricing: Option<CallPricing>) -> Self {
        let settings = ResultSettings {
            spool: Some(SpoolSettings {
                reserve_bytes: 0,
                ..SpoolSettings::new(dir.path().join("spool"))
            }),
            ..ResultSettings::default()
        };
        let (results, writer) = ResultStore::open(dir.path(), settings).unwrap();
        let thread = writer.start().unwrap();
        let parts = build(&results, pricing, BudgetBook::default());
        let stop = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(parts.recorder.run(stop.clone()));
        tasks.spawn(parts.reports.run(stop.clone()));
        tasks.spawn(parts.watch.run(stop.clone()));
        Self {
            dir,
            results,
            calls: parts.calls,
            stop,
            tasks,
            thread,
        }
    }

    /// Stops in order, and returns the folder.
    async fn stop(mut self) -> TempDir {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.results.close().await.unwrap();
        self.thread.join().unwrap().unwrap();
        self.dir
    }

    async fn settled(&self) {
        for _ in 0..6_000 {
            if self.results.is_settled() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the store does not settle");
    }
}

/// Rows, different ids among them, calls by the totals, calls without rows, and units by the totals.
fn counted(dir: &Path) -> [i64; 5] {
    crate::store::results::tests::numbers(
        dir,
        "SELECT (SELECT count(*) FROM calls), (SELECT count(DISTINCT call_id) FROM calls), \
             sum(calls)::BIGINT, sum(unlisted)::BIGINT, sum((units->>'n')::BIGINT)::BIGINT FROM usage_totals",
    )
}

#[tokio::test]
async fn calls_that_are_reported_again_count_once_also_after_a_restart() {
    let world = World::start();
    let outcome = world.calls.report(reported(0..10)).await.unwrap();
    assert_eq!((outcome.accepted, outcome.duplicates), (10, 0));
    let mut again = reported(5..15);
    again.extend(reported(14..15));
    let outcome = world.calls.report(again).await.unwrap();
    assert_eq!((outcome.accepted, outcome.duplicates), (5, 6));
    let dir = world.stop().await;
    let world = World::start_in(dir, None);
    let outcome = world.calls.report(reported(0..20)).await.unwrap();
    assert_eq!((outcome.accepted, outcome.duplicates), (5, 15));
    let dir = world.stop().await;
    assert_eq!(counted(dir.path()), [20, 20, 20, 0, 40]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_calls_of_many_senders_at_once_count_once() {
    let world = World::start();
    let senders = (0..12).map(|_| {
        let calls = world.calls.clone();
        tokio::spawn(async move { calls.report(reported(0..50)).await })
    });
    let outcomes = futures::future::join_all(senders).await;
    let accepted: usize = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().unwrap().accepted)
        .sum();
    assert_eq!(accepted, 50);
    let dir = world.stop().await;
    assert_eq!(counted(dir.path()), [50, 50, 50, 0, 100]);
}

#[tokio::test]
async fn reports_are_taken_once_while_the_database_fails() {
    let world = World::start();
    world.calls.report(reported(0..1)).await.unwrap();
    let world = World::start_in(world.stop().await, None);
    // The write-ahead log can't be opened while a folder lies in its place.
    let log = world.dir.path().join("results.duckdb.wal");
    std::fs::create_dir(&log).unwrap();
    for round in 0..3 {
        let outcome = world.calls.report(reported(0..30)).await.unwrap();
        let wanted = if round == 0 { (29, 1) } else { (0, 30) };
        assert_eq!((outcome.accepted, outcome.duplicates), wanted);
    }
    assert!(!world.results.is_settled());
    std::fs::remove_dir(&log).unwrap();
    world.settled().await;
    let dir = world.stop().await;
    assert_eq!(counted(dir.path()), [30, 30, 30, 0, 60]);
}

#[tokio::test]
async fn calls_of_the_gateway_are_in_the_totals_whether_they_have_rows_or_not() {
    let price: CallPricing = Arc::new(|call| {
        assert_eq!(call.path, CallPath::Route("/things/{id}".to_owned()));
        Some(CallCost {
            min: 1.into(),
            max: 3.into(),
            currency: "USD".into(),
        })
    });
    let world = World::start_in(tempfile::tempdir().unwrap(), Some(price));
    // More than fit in the queue, before anything can be taken out of it.
    let count = QUEUED_CALLS as i64 + 5_000;
    for index in 0..count {
        let id = format!("g{index}");
        world
            .calls
            .record(call(&id, NOW + index % 50_000, CallSource::Gateway));
    }
    assert_eq!(world.calls.status().unlisted, 5_000);
    assert_eq!(world.calls.status().warnings().len(), 1);
    let dir = world.stop().await;
    let rows = QUEUED_CALLS as i64;
    assert_eq!(counted(dir.path()), [rows, rows, count, 5_000, count * 2]);
    let costs = crate::store::results::tests::numbers::<2>(
        dir.path(),
        "SELECT sum(cost_min)::BIGINT, sum(cost_max)::BIGINT FROM usage_totals",
    );
    assert_eq!(costs, [count, count * 3]);
}

#[tokio::test]
async fn routes_are_those_of_before_after_a_restart() {
    let world = World::start();
    let words = |from: usize, until: usize| {
        (from..until).map(|index| {
            let word = char::from(b'g' + index as u8).to_string().repeat(3);
            Call {
                path: CallPath::Path(format!("/people/{word}")),
                ..call(&word, crate::domain::now_ms(), CallSource::Api)
            }
        })
    };
    world.calls.report(words(0, 20).collect()).await.unwrap();
    let more = Call {
        path: CallPath::Path("/people/zoe".to_owned()),
        ..call("zoe", crate::domain::now_ms(), CallSource::Api)
    };
    world.calls.report(vec![more]).await.unwrap();
    let world = World::start_in(world.stop().await, None);
    let known = Call {
        path: CallPath::Path("/people/yan".to_owned()),
        ..call("yan", crate::domain::now_ms(), CallSource::Gateway)
    };
    // The recorder reads them before it takes anything.
    world.calls.record(known);
    let dir = world.stop().await;
    let counted = crate::store::results::tests::numbers::<1>(
        dir.path(),
        "SELECT count(*) FROM calls WHERE call_id = 'yan' AND route = '/people/{id}'",
    );
    assert_eq!(counted, [1]);
}

#[tokio::test]
async fn a_start_after_one_that_was_cut_off_says_from_when_calls_are_unknown() {
    let world = World::start();
    world.calls.record(call("g", NOW, CallSource::Gateway));
    let world = World::start_in(world.stop().await, None);
    let marker = world.dir.path().join("calls.running");
    let watch = || {
        build(&world.results, None, BudgetBook::default())
            .watch
            .with_marker(marker.clone())
    };
    let first = watch();
    first.note_cut_off().await;
    assert_eq!(first.status(), UsageStatus::default());
    assert!(marker.exists());
    // As after `kill -9`: it is still there.
    let second = watch();
    second.note_cut_off().await;
    let warnings = second.status().warnings();
    assert!(
        warnings[0].contains("did not stop in order"),
        "{warnings:?}"
    );
    // A stop in order removes it.
    let stop = CancellationToken::new();
    stop.cancel();
    watch().run(stop).await;
    assert!(!marker.exists());
    world.stop().await;
}
