//! A results store that runs by itself, and rows for it.

use std::path::Path;
use std::thread::JoinHandle;

use extrack::domain::{LOCAL, Observation, Phases, Status};
use extrack::store::{ResultError, ResultSettings, ResultStore};

pub(crate) const MINUTE_MS: i64 = 60_000;

/// Returns a size that the environment may set.
pub(crate) fn size(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

/// A store with its writer.
pub(crate) struct Running {
    pub(crate) store: ResultStore,
    writer: JoinHandle<Result<(), ResultError>>,
}

impl Running {
    /// Takes many rows at once.
    pub(crate) fn start(folder: &Path, settings: ResultSettings) -> Self {
        let settings = ResultSettings {
            flush_rows: 10_000,
            queue_rows: 100_000,
            ..settings
        };
        let (store, writer) = ResultStore::open(folder, settings).expect("the store opens");
        let writer = writer.start().expect("the writer starts");
        Self { store, writer }
    }

    pub(crate) async fn stop(self) {
        self.store.close().await.expect("all is committed");
        self.writer
            .join()
            .expect("the writer ends")
            .expect("nothing was given up");
    }
}

/// Puts one run a minute of each service into a store that no one has open, in the order of time, a
/// day at once.
pub(crate) fn fill(folder: &Path, services: i64, first_minute: i64, days: i64) {
    let connection =
        duckdb::Connection::open(folder.join("results.duckdb")).expect("the file opens");
    for day in 0..days {
        let from = first_minute + day * 1_440;
        connection
            .execute_batch(&format!(
                "INSERT INTO fact.observations
                 SELECT make_timestamp(minute * 60000000), 'service-' || service, 'http', '{LOCAL}',
                     if(hash(minute, service) % 1000 = 0, 'error', 'healthy'),
                     if(hash(minute, service) % 1000 = 0, NULL,
                         exp(10.5 + (hash(service, minute, 1) % 1000 + hash(service, minute, 2) % 1000) / 1000.0)::UINTEGER),
                     hash(minute, service, 3) % 1000, hash(minute, service, 4) % 5000, 300, 400, 500, 200,
                     if(hash(minute, service) % 1000 = 0, 'timeout', NULL), NULL, 512, 'http', '0.1.0',
                     (minute - {first_minute}) * {services} + service, NULL, false, NULL
                 FROM range({from}, {from} + 1440) AS minutes(minute), range({services}) AS services(service)
                 ORDER BY minute, service"
            ))
            .expect("a day is filled");
    }
}

/// A good run of a service.
pub(crate) fn observation(run_id: i64, service: i64, ts_ms: i64) -> Observation {
    Observation {
        service: format!("service-{service}"),
        status: Status::Healthy,
        latency_us: Some(20_000 + (run_id as u64 * 7_919) % 90_000),
        phases: Phases::default(),
        http_status: Some(200),
        bytes: 512,
        plugin_version: "0.1.0".to_owned(),
        ..Observation::of_program(ts_ms, "", "http", None, run_id)
    }
}
