//! Statements that mean harm, over HTTP: each is refused, or contained in a process of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use extrack_tests::runtime::TOKEN;
use extrack_tests::{PATIENCE, TestRuntime, Vendor, wait_for};
use futures::future::join_all;
use serde_json::{Value, json};

use super::faces::{ENDLESS, runs};

/// Growth of the program's memory while statements do their worst; each of them may take ten times
/// as much.
const MEMORY_MB: u64 = 200;
/// Processes at the same time.
const AT_ONCE: usize = 4;

/// What passes the gate, and would take hours or all memory.
fn bombs() -> Vec<String> {
    let text = include_str!("../../fixtures/sql/bombs.json");
    serde_json::from_str(text).expect("a list of statements")
}

fn memory_mb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kibibytes.expect("a process has a size") / 1_024
}

/// Processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of_thread = |thread: PathBuf| std::fs::read_to_string(thread.join("children"));
    threads
        .filter_map(|thread| of_thread(thread.ok()?.path()).ok())
        .flat_map(|list| {
            let pids = list.split_whitespace();
            pids.filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// Processes of statements that run at the same moment. Threads are read one after the other, so
/// those that a second look finds as well ran in between.
fn statements(pid: u32) -> usize {
    let is_statement = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|word| word == b"run-statement")
    };
    let first: Vec<u32> = children(pid).into_iter().filter(is_statement).collect();
    let second = children(pid);
    first.iter().filter(|pid| second.contains(pid)).count()
}

/// The process of the one statement that runs.
async fn child_of(runtime: &TestRuntime) -> u32 {
    let pid = runtime.pid();
    wait_for("the process of a statement", PATIENCE, async || {
        let is_confined = |pid: &u32| status(*pid, "Seccomp:").as_deref() == Some("2");
        let found = children(pid).into_iter().find(is_confined);
        found.ok_or_else(|| "none".to_owned())
    })
    .await
}

/// A line of a process's status.
fn status(pid: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().to_owned())
}

fn ask(runtime: &TestRuntime, query: &'static str) -> tokio::task::JoinHandle<u16> {
    let api = runtime.api();
    tokio::spawn(async move {
        let request = api.request(reqwest::Method::POST, "/api/v1/sql");
        let sent = api.try_send(request.json(&json!({"query": query}))).await;
        sent.map_or(0, |reply| reply.status)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_that_reaches_beyond_the_results_is_refused() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sql/hostile.json");
    let statements = std::fs::read_to_string(path).expect("the statements are there");
    let statements: Vec<(String, String)> = serde_json::from_str(&statements).expect("pairs");
    assert!(statements.len() >= 100, "{}", statements.len());
    let before = children(runtime.pid());
    for (query, _) in &statements {
        let problem = api.post("/api/v1/sql", &json!({"query": query})).await;
        let problem = problem.expect_problem(422);
        let kind = problem["type"].as_str().expect("a type");
        let is_refused = kind.ends_with("query-refused") || kind.ends_with("query-invalid");
        assert!(is_refused, "{query}: {problem}");
        // Refused before any process is started.
        assert_eq!(children(runtime.pid()), before, "{query}");
    }
    assert_eq!(api.sql("SELECT 42").await, [[json!(42)]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_end_at_their_limits_and_checks_go_on() {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: Shop, baseUrl: \"{}\", monitoring: {{interval: 1}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    api.check("shop").await;
    assert_eq!(api.sql("SELECT 42").await, [[json!(42)]]);
    let before = memory_mb(runtime.pid());
    let asked: Vec<_> = bombs()
        .into_iter()
        .map(|query| {
            let api = api.clone();
            async move {
                let reply = api.post("/api/v1/sql", &json!({"query": query})).await;
                (query, reply)
            }
        })
        .collect();
    for (query, reply) in join_all(asked).await {
        let problem: Value = serde_json::from_str(&reply.text).expect("a problem");
        let kind = problem["type"].as_str().unwrap_or_default();
        // Some waited for their turn in vain.
        let is_contained = ["query-timed-out", "query-too-large", "busy"]
            .iter()
            .any(|wanted| kind.ends_with(wanted));
        assert!(is_contained, "{query}: {}", reply.text);
    }
    let after = memory_mb(runtime.pid());
    assert!(after < before + MEMORY_MB, "{after} after {before} MB");
    wait_for(
        "all processes to be gone",
        PATIENCE,
        async || match children(runtime.pid()).len() {
            0 => Ok(()),
            some => Err(format!("{some} are there")),
        },
    )
    .await;
    let harmed = api
        .sql("SELECT ts, status, error FROM observations WHERE missed OR status <> 'healthy'")
        .await;
    assert!(harmed.is_empty(), "{harmed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_at_once_are_answered_and_at_most_four_run() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let asking: Vec<_> = (0..16)
        .map(|n| {
            let api = api.clone();
            let query = format!("SELECT {n}, count(*) FROM observations, range(1000000)");
            tokio::spawn(async move { api.sql(&query).await })
        })
        .collect();
    let mut most = 0;
    while !asking.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(statements(runtime.pid()));
        tokio::task::yield_now().await;
    }
    for (n, answer) in asking.into_iter().enumerate() {
        assert_eq!(answer.await.expect("an answer"), [[json!(n), json!(0)]]);
    }
    assert!((1..=AT_ONCE).contains(&most), "{most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_of_a_statement_holds_nothing_of_the_program_and_dies_with_it() {
    let mut runtime = TestRuntime::builder().start().await;
    let asking = ask(&runtime, ENDLESS);
    let child = child_of(&runtime).await;
    assert_eq!(status(child, "NoNewPrivs:").as_deref(), Some("1"));
    let environment = std::fs::read(format!("/proc/{child}/environ")).expect("it runs");
    let environment = String::from_utf8_lossy(&environment);
    assert!(
        !environment.contains(TOKEN) && !environment.contains("EXTRACK"),
        "{environment}"
    );
    // Nothing that is open in the program.
    let open = std::fs::read_dir(format!("/proc/{child}/fd")).expect("it runs");
    let data = runtime.data().display().to_string();
    for file in open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()) {
        let name = file.display().to_string();
        let is_own = !name.contains(&data) || name.contains("sorting-");
        assert!(is_own && !name.starts_with("socket:"), "{name}");
    }
    runtime.kill().await;
    wait_for("the process to be gone", PATIENCE, async || {
        match status(child, "State:") {
            None => Ok(()),
            Some(state) if state.starts_with('Z') => Ok(()),
            Some(state) => Err(state),
        }
    })
    .await;
    asking.abort();
    runtime.start().await;
    let left: Vec<_> = std::fs::read_dir(runtime.data().join("staging"))
        .map(|entries| entries.filter_map(|entry| entry.ok()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_whose_process_is_killed_is_a_problem_and_nothing_more() {
    let runtime = TestRuntime::builder().start().await;
    let asking = ask(&runtime, ENDLESS);
    let child = child_of(&runtime).await;
    extrack_tests::process::signal(child, "KILL").await;
    assert_eq!(asking.await.expect("an answer"), 422);
    let asking = ask(&runtime, ENDLESS);
    let child = child_of(&runtime).await;
    extrack_tests::process::signal(child, "ABRT").await;
    assert_eq!(asking.await.expect("an answer"), 422);
    runs(&runtime.api(), &[]).await;
    assert_eq!(runtime.api().sql("SELECT 42").await, [[json!(42)]]);
}

/// Has the kernel answer processes of this thread that it knows no Landlock.
fn hide_landlock() {
    let landlock = (libc::SYS_landlock_create_ruleset, Vec::new());
    let filter = seccompiler::SeccompFilter::new(
        [landlock].into_iter().collect(),
        seccompiler::SeccompAction::Allow,
        seccompiler::SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into().expect("it is known"),
    );
    let program: seccompiler::BpfProgram = filter
        .and_then(TryInto::try_into)
        .expect("a filter of one rule");
    seccompiler::apply_filter(&program).expect("filters may be stacked");
}

#[tokio::test]
async fn without_landlock_sql_is_refused_until_a_weaker_sandbox_is_asked_for() {
    hide_landlock();
    let runtime = TestRuntime::builder().start().await;
    assert!(
        runtime.logs().contains("SQL of users is refused"),
        "the start says so: {}",
        runtime.logs()
    );
    let api = runtime.api();
    let refused = api.post("/api/v1/sql", &json!({"query": "SELECT 1"})).await;
    let problem = refused.expect_problem(503);
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("Landlock") && detail.contains("EXTRACK_SQL_SANDBOX=seccomp"),
        "{detail}"
    );
    drop(runtime);
    for sandbox in ["seccomp", "off"] {
        let runtime = TestRuntime::builder().env("EXTRACK_SQL_SANDBOX", sandbox);
        let runtime = runtime.start().await;
        let api = runtime.api();
        let answer = api.sql("SELECT count(*) FROM observations");
        let answer = tokio::time::timeout(Duration::from_secs(60), answer).await;
        assert_eq!(answer.expect("an answer"), [[json!(0)]], "{sandbox}");
        assert!(runtime.logs().contains("a weaker sandbox"), "{sandbox}");
    }
}
