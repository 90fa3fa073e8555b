//! The process of a statement, started directly and given any SQL, as if there were no gate before
//! it: it reads what it was given, writes nothing else, and dies at its limits.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use arrow_ipc::reader::StreamReader;
use extrack_tests::program::program;
use serde_json::{Value, json};

const MARK: &[u8] = b"\n\0extrack answers\0\n";
const SIGXCPU: i32 = 24;

/// What came of a statement.
#[derive(Debug)]
struct Ended {
    rows: usize,
    /// The last frame: an end or a failure; null when the process died without one.
    last: Value,
    status: ExitStatus,
    words: String,
}

impl Ended {
    /// Reports whether the database refused it.
    fn failed(&self) -> bool {
        self.last.get("Invalid").is_some() || self.last.get("Broken").is_some()
    }

    /// Reports whether it ended for want of memory, in whichever way.
    fn is_out_of_memory(&self) -> bool {
        self.last == "Memory" || self.last.is_null() && !self.status.success()
    }
}

/// A folder of sealed files, and a process that may read one of them.
struct Sealed {
    folder: tempfile::TempDir,
    task: Value,
}

impl Sealed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("spill")).expect("a folder");
        std::fs::write(path("control.sqlite"), "secrets").expect("a file");
        let database = duckdb::Connection::open_in_memory().expect("a database");
        let (file, other) = (path("services.parquet"), path("other.parquet"));
        database
            .execute_batch(&format!(
                "CREATE TABLE t AS SELECT 'shop' AS slug, 'Shop' AS name, 'api' AS type, 'http' AS base, \
                 '[]' AS tags, NULL::VARCHAR AS owner, NULL::DOUBLE AS slo_target, NULL::BIGINT AS slo_days, \
                 NULL::VARCHAR AS team, NULL::VARCHAR AS criticality, NULL::VARCHAR AS environment, \
                 NULL::VARCHAR AS links, NULL::VARCHAR AS depends_on, NULL::DOUBLE AS sla, \
                 NULL::BIGINT AS claim_days, NULL::BOOLEAN AS public; COPY t TO '{file}'; COPY t TO '{other}'"
            ))
            .expect("two files");
        let task = json!({
            "sql": "",
            "params": {"Positional": []},
            "answer": {"rows": 1_000, "bytes": 1 << 20, "timeout": {"secs": 30, "nanos": 0}},
            "names": ["services", "observations", "utc_now"],
            "snapshot": {"tables": {"services": [file], "observations": []}, "variables": ""},
            "spill": path("spill"),
            "threads": 2,
            "sandbox": "full",
            "limits": {
                "memory_bytes": 1_u64 << 30,
                "cpu": {"secs": 60, "nanos": 0},
                "wall_clock": {"secs": 60, "nanos": 0},
                "file_bytes": 1 << 20,
                "open_files": 256,
                "nice": 0,
            },
        });
        Self { folder, task }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Files beside the process, with what is in them.
    fn content(&self) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = paths
            .map(|path| {
                let content = std::fs::read(&path).unwrap_or_default();
                (path, content)
            })
            .collect();
        files.sort();
        files
    }

    fn run(&self, sql: &str) -> Ended {
        self.run_with(sql, |_| {})
    }

    /// Changes the task before.
    fn run_with(&self, sql: &str, change: impl FnOnce(&mut Value)) -> Ended {
        let mut task = self.task.clone();
        task["sql"] = sql.into();
        change(&mut task);
        let mut command = Command::new(program());
        command.arg("run-statement").env_clear();
        if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let task = task.to_string();
        // Open until it has answered: its end would be that of the process.
        let mut input = child.stdin.take().expect("it is piped");
        let length = u32::try_from(task.len()).expect("a short task");
        input.write_all(&length.to_le_bytes()).expect("it reads");
        input.write_all(task.as_bytes()).expect("it reads");
        let mut output = Vec::new();
        let mut pipe = child.stdout.take().expect("it is piped");
        pipe.read_to_end(&mut output).expect("a pipe can be read");
        let ended = child.wait_with_output().expect("it ends");
        drop(input);
        let (rows, last) = read(&output);
        Ended {
            rows,
            last,
            status: ended.status,
            words: String::from_utf8_lossy(&ended.stderr).into_owned(),
        }
    }
}

/// Reads rows and the last frame.
fn read(output: &[u8]) -> (usize, Value) {
    let mut rest = output.strip_prefix(MARK).unwrap_or_default();
    let (mut rows, mut last) = (0, Value::Null);
    while let [kind, a, b, c, d, content @ ..] = rest {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let Some((content, next)) = content.split_at_checked(length) else {
            break;
        };
        match kind {
            1 => {}
            2 => rows += count(content),
            _ => last = serde_json::from_slice(content).expect("JSON"),
        }
        rest = next;
    }
    (rows, last)
}

/// Rows of a stream of Arrow IPC.
fn count(stream: &[u8]) -> usize {
    let batches = StreamReader::try_new(stream, None).expect("a stream");
    batches
        .map(|batch| batch.expect("a batch").num_rows())
        .sum()
}

#[test]
fn it_reads_what_it_was_given() {
    let sealed = Sealed::new();
    for (sql, rows) in [
        ("SELECT * FROM services WHERE slug = 'shop'", 1),
        ("SELECT * FROM fact.observations", 0),
        ("SELECT ts FROM observations WHERE ts < utc_now()", 0),
        ("SELECT range FROM range(999)", 999),
        ("SELECT * FROM range(5000) ORDER BY hash(range)", 1_000),
    ] {
        let ended = sealed.run(sql);
        assert!(
            ended.rows == rows && ended.status.success(),
            "{sql}: {ended:?}"
        );
        assert_eq!(ended.last["is_truncated"], rows == 1_000, "{sql}");
    }
}

#[test]
fn it_reads_no_other_file_writes_none_and_reaches_no_other_process() {
    let sealed = Sealed::new();
    let (file, other) = (
        sealed.path("services.parquet"),
        sealed.path("other.parquet"),
    );
    let before = std::fs::read(&file).expect("it is there");
    let secret = sealed.path("control.sqlite");
    let outside = sealed.path("out");
    let statements = [
        format!("COPY (SELECT 1 AS slug) TO '{file}' (FORMAT parquet)"),
        format!("COPY (SELECT 1 AS slug) TO '{other}' (FORMAT parquet)"),
        format!("COPY (SELECT 1 AS slug) TO '{outside}.csv'"),
        format!("COPY (SELECT 1 AS slug) TO '{outside}' (FORMAT parquet, PARTITION_BY (slug))"),
        format!("COPY services TO '{outside}.json'"),
        format!("EXPORT DATABASE '{outside}'"),
        format!("ATTACH '{outside}.duckdb' AS o"),
        format!("ATTACH '{secret}' AS o (TYPE sqlite)"),
        format!("SELECT * FROM read_parquet('{other}')"),
        format!("SELECT * FROM '{other}'"),
        format!("SELECT * FROM read_parquet('{file}/../other.parquet')"),
        format!("SELECT * FROM read_blob('{secret}')"),
        format!("SELECT * FROM read_text('{secret}')"),
        format!("SELECT * FROM read_csv('{secret}')"),
        format!("SELECT * FROM glob('{}/*')", sealed.folder.path().display()),
        format!("SELECT * FROM parquet_metadata('{other}')"),
        "SELECT * FROM read_text('/etc/passwd')".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM read_blob('/proc/self/environ')".to_owned(),
        "SELECT * FROM read_blob('/proc/self/mem')".to_owned(),
        "SELECT * FROM read_text('/proc/self/maps')".to_owned(),
        "SELECT * FROM read_text('/dev/stdin')".to_owned(),
        "SELECT * FROM glob('/etc/*')".to_owned(),
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')".to_owned(),
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')".to_owned(),
        "COPY (SELECT 1) TO '/dev/stdout'".to_owned(),
        "COPY (SELECT 1) TO '/dev/shm/extrack-test.csv'".to_owned(),
        "INSTALL httpfs".to_owned(),
        "LOAD httpfs".to_owned(),
        "LOAD '/tmp/x.duckdb_extension'".to_owned(),
        "SET enable_external_access = true".to_owned(),
        "SET lock_configuration = false".to_owned(),
        "SET memory_limit = '100GB'".to_owned(),
        "SET temp_directory = '/tmp'".to_owned(),
        "SET allowed_directories = ['/']".to_owned(),
        "RESET enable_external_access".to_owned(),
        "CREATE TABLE main.t (a INTEGER)".to_owned(),
        "DROP VIEW main.services".to_owned(),
        "DELETE FROM fact.observations".to_owned(),
        "CALL enable_logging(storage := 'file')".to_owned(),
    ];
    for sql in &statements {
        let ended = sealed.run(sql);
        assert!(ended.failed() && ended.rows == 0, "{sql}: {ended:?}");
    }
    assert_eq!(std::fs::read(&file).expect("it is there"), before);
    assert_eq!(std::fs::read(&secret).expect("it is there"), b"secrets");
    let mut names: Vec<_> = std::fs::read_dir(sealed.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "control.sqlite",
            "other.parquet",
            "services.parquet",
            "spill"
        ]
    );
    assert!(!Path::new("/dev/shm/extrack-test.csv").exists());
}

/// Parts of statements that ask for something outside of what the process was given.
const OUTSIDE: &[&str] = &[
    "/etc/passwd",
    "read_",
    "glob(",
    "parquet",
    "sniff_csv",
    "results.duckdb",
    "https:",
    "COPY",
    "EXPORT",
    "INSTALL",
    "LOAD",
];

#[test]
fn the_hostile_statements_do_no_harm_without_a_gate_before_them() {
    let sealed = Sealed::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sql/hostile.json");
    let statements = std::fs::read_to_string(path).expect("the statements are there");
    let statements: Vec<(String, String)> = serde_json::from_str(&statements).expect("pairs");
    let before = sealed.content();
    for (sql, _) in &statements {
        let ended = sealed.run_with(sql, |task| {
            for limit in ["cpu", "wall_clock"] {
                task["limits"][limit]["secs"] = 5.into();
            }
        });
        // A name of a subquery is no file.
        let is_name = sql.starts_with("WITH \"");
        if OUTSIDE.iter().any(|part| sql.contains(part)) && !is_name {
            assert!(ended.failed() && ended.rows == 0, "{sql}: {ended:?}");
        }
        assert_eq!(sealed.content(), before, "{sql}");
    }
}

#[test]
fn memory_bombs_die_at_their_limit() {
    let sealed = Sealed::new();
    for sql in [
        "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000))",
        "SELECT list(range) FROM range(1000000000)",
        "SELECT length(string_agg(repeat('x', 1000000), '')) FROM range(100000)",
        "SELECT list_resize([1::BIGINT], 2000000000)",
        "SELECT range(2000000000)",
        "SELECT string_agg(range::VARCHAR, '') OVER () FROM range(5000000)",
    ] {
        let ended = sealed.run(sql);
        assert!(
            ended.is_out_of_memory() || ended.failed(),
            "{sql}: {ended:?}"
        );
        assert_eq!(ended.rows, 0, "{sql}");
    }
}

#[test]
fn cpu_bombs_die_at_their_limit() {
    let sealed = Sealed::new();
    // Row by row, so that it takes no memory.
    let endless = "SELECT count(*) FROM range(1000000000000) a WHERE hash(a.range) = 1";
    let ended = sealed.run_with(endless, |task| task["limits"]["cpu"]["secs"] = 1.into());
    assert_eq!(ended.status.signal(), Some(SIGXCPU), "{ended:?}");
}

#[test]
fn it_ends_with_its_input_and_does_nothing_without_a_task() {
    let mut child = Command::new(program())
        .arg("run-statement")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
    let sealed = Sealed::new();
    let ended = sealed.run_with("SELECT 1", |task| task["unknown"] = 1.into());
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(
        ended.words.contains("there is no statement here"),
        "{ended:?}"
    );
    let gone = sealed.run_with("SELECT 1", |task| task["spill"] = "/nowhere".into());
    assert_eq!(gone.status.code(), Some(2), "{gone:?}");
}
