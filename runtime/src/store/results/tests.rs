mod analytics;
mod claims;
mod copies;
mod details;
mod durability;
mod history;
mod kernel;
mod past;
mod queries;
mod readers;
mod rows;
mod torn;
mod upkeep;

use serde_json::{Value, json};

use super::database::ReaderKind;
use super::part::{Part, Work};
use super::*;
use crate::child::Program;
use crate::domain::{
    AlertId, AlertState, ErrorKind, Failure, LOCAL, Metric, MetricValue, PastRuns, Phases,
    PluginKind, RateLimit, RunOutcome, Severity, Status, StoredRuns, WEBHOOK, duration_bucket,
};

const MINUTE: i64 = 60_000;
/// 2026-11-23T00:00:00Z
const START: i64 = 1_795_392_000_000;

/// An argument of the process that runs a statement of these tests, which is this very program.
const AS_CHILD: &str = "as-the-process-of-a-statement";

#[test]
fn the_process_of_these_tests_does_what_that_of_the_program_does() {
    if std::env::args().any(|argument| argument == AS_CHILD) {
        let output = std::fs::File::options().write(true).open("/dev/stdout");
        let code = match query::work(std::io::stdin(), output.unwrap()) {
            Ok(()) => 0,
            Err(reason) => {
                eprintln!("{reason}");
                i32::from(crate::child::REFUSED)
            }
        };
        std::process::exit(code);
    }
}

/// How unit tests run statements: in a process as well.
pub(crate) fn sql_settings() -> SqlSettings {
    let arguments = [
        "--exact",
        "--nocapture",
        "store::results::tests::the_process_of_these_tests_does_what_that_of_the_program_does",
        AS_CHILD,
    ];
    let program = Program::new(std::env::current_exe().unwrap(), arguments.map(Into::into));
    SqlSettings {
        program: Some(program),
        ..SqlSettings::default()
    }
}

pub(super) struct Running {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: ResultStore,
    thread: std::thread::JoinHandle<Result<(), ResultError>>,
}

impl Running {
    pub(super) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), ResultSettings::default())
    }

    pub(super) fn start_in(dir: tempfile::TempDir, settings: ResultSettings) -> Self {
        let settings = ResultSettings {
            sql: sql_settings(),
            ..settings
        };
        let (store, writer) = ResultStore::open(dir.path(), settings).unwrap();
        Self {
            dir,
            store,
            thread: writer.start().unwrap(),
        }
    }

    pub(super) async fn stop(self) -> tempfile::TempDir {
        self.store.close().await.unwrap();
        self.thread.join().unwrap().unwrap();
        self.dir
    }

    pub(super) async fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        for _ in 0..10 {
            match self.store.query(sql, limits()).await {
                Ok(answer) => return answer.rows,
                // The first files of a machine that stands still take longer than a question waits.
                Err(error) if error.to_string().contains("is being prepared") => {}
                Err(error) => panic!("{sql}: {error}"),
            }
        }
        panic!("{sql}: history is not prepared");
    }

    /// What rules would read back of a service whose probes run once a minute.
    pub(super) async fn past(&self, service: &str, since_ms: i64, as_of_ms: i64) -> PastRuns {
        let span = PastSpan {
            service: service.to_owned(),
            since_ms,
            until_ms: i64::MAX,
            as_of_ms,
            interval: Duration::from_secs(60),
        };
        self.store.past_runs(vec![span]).await.unwrap().remove(0)
    }

    pub(super) async fn one(&self, sql: &str) -> Value {
        self.rows(sql).await[0][0].clone()
    }
}

/// Rows of a statement in a database of its own, which `setup` fills.
pub(crate) fn in_memory(setup: &str, sql: &str) -> Vec<Vec<serde_json::Value>> {
    use duckdb::types::Value;
    let connection = duckdb::Connection::open_in_memory().unwrap();
    connection.execute_batch(setup).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let value = |column| match row.get::<_, Value>(column).unwrap() {
            Value::Null => json!(null),
            Value::Text(text) => json!(text),
            Value::Int(number) => json!(number),
            Value::BigInt(number) => json!(number),
            Value::Double(number) => json!(number),
            other => json!(format!("{other:?}")),
        };
        found.push((0..row.as_ref().column_count()).map(value).collect());
    }
    found
}

/// Numbers of one row, of a store that no program has open.
pub(crate) fn numbers<const N: usize>(dir: &Path, sql: &str) -> [i64; N] {
    let connection = duckdb::Connection::open(dir.join(FILE)).unwrap();
    let row = |row: &duckdb::Row<'_>| Ok(std::array::from_fn(|index| row.get(index).unwrap()));
    connection.query_row(sql, [], row).unwrap()
}

fn limits() -> QueryLimits {
    QueryLimits {
        rows: 1_000,
        bytes: 64 << 20,
        timeout: Duration::from_secs(20),
    }
}

pub(super) fn observation(run_id: i64) -> Observation {
    Observation {
        ts_ms: START + run_id * MINUTE,
        service: "shop-api".to_owned(),
        probe: "http".to_owned(),
        location: LOCAL.to_owned(),
        status: Status::Healthy,
        latency_us: Some(12_500),
        phases: Phases {
            dns_us: Some(100),
            tls_us: None,
            ..Phases::default()
        },
        http_status: Some(200),
        failure: None,
        bytes: 512,
        plugin: "http".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        run_id,
        metrics: vec![Metric {
            name: "days".to_owned(),
            value: MetricValue::Integer(30),
        }],
        missed: false,
        excluded: None,
        rate_limits: Vec::new(),
    }
}

fn failed(run_id: i64) -> Observation {
    Observation {
        status: Status::Error,
        latency_us: None,
        http_status: None,
        failure: Some(Failure::new(ErrorKind::Timeout, "no answer \0 within 2s")),
        metrics: Vec::new(),
        missed: true,
        ..observation(run_id)
    }
}

pub(super) fn plugin_run(
    run_id: i64,
    ts_ms: i64,
    function: &'static str,
    outcome: RunOutcome,
    duration_us: u64,
) -> PluginRun {
    PluginRun {
        run_id,
        ts_ms,
        plugin: "http".to_owned(),
        kind: PluginKind::Probe,
        version: "0.1.0".to_owned(),
        digest: "ab".to_owned(),
        function: function.into(),
        service: None,
        outcome,
        error: (outcome != RunOutcome::Ok).then(|| format!("run {run_id}")),
        duration_us,
        cpu_us: duration_us / 2,
        memory_bytes: duration_us,
        host_calls: 1,
        log_bytes: 0,
        denials: 1,
        denied: None,
        bytes_in: 0,
        bytes_out: 0,
    }
}
