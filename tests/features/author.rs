//! The author's loop, without a server: a new project is built, tested, run, timed and looked at on
//! the command line. It is one file because each step takes the project of the step before.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use extrack_tests::program::program;
use extrack_tests::{Inbox, Said, TargetServer, components};
use serde_json::Value;
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

/// The first build compiles the SDK's dependencies, and perhaps the standard library.
const BUILDING: Duration = Duration::from_secs(550);

/// TARGET/PROFILE/deps/TESTS-HASH
fn target() -> PathBuf {
    let tests = std::env::current_exe().expect("a running program has a path");
    tests
        .ancestors()
        .nth(3)
        .expect("cargo puts tests three folders deep")
        .to_owned()
}

/// The same folder for each run of the tests, so that cargo compiles only what changed; made anew.
fn workshop(name: &str) -> PathBuf {
    let folder = target().join("author").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// `extrack plugin …` in a folder, without a server.
async fn plugin(folder: &Path, arguments: &[&str]) -> Said {
    run(&mut command(folder, arguments)).await
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .arg("plugin")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("EXTRACK_") || name.starts_with("SMTP_"))
    {
        command.env_remove(name);
    }
    // Where the tests' own guests are compiled: the standard library and the dependencies are there
    // already.
    command
        .env("CARGO_TARGET_DIR", target().join("guests"))
        .env("EXTRACK_CACHE", target().join("author/cache"));
    command
}

async fn run(command: &mut Command) -> Said {
    let output = tokio::time::timeout(BUILDING, command.output())
        .await
        .expect("a command ends");
    let output = output.expect("the program can be started");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[track_caller]
fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out)
        .unwrap_or_else(|error| panic!("--json prints JSON: {error}\n{said:?}"))
}

#[track_caller]
fn has(said: &Said, code: i32, wanted: &[&str]) {
    assert_eq!(said.code, Some(code), "{}\n{}", said.out, said.err);
    for text in wanted {
        assert!(
            said.out.contains(text) || said.err.contains(text),
            "no `{text}` in:\n{}\n{}",
            said.out,
            said.err
        );
    }
}

/// A service whose health endpoint answers this.
async fn service(answer: &'static str) -> (String, AbortOnDropHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port can be opened");
    let url = format!(
        "http://{}",
        listener.local_addr().expect("an open port has an address")
    );
    let router = Router::new()
        .fallback(move || async move { ([(CONTENT_TYPE, "application/json")], answer) });
    let serving = tokio::spawn(async move {
        axum::serve(listener, router)
            .await
            .expect("serving goes on")
    });
    (url, AbortOnDropHandle::new(serving))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_probe_is_tested_run_timed_and_inspected() {
    let folder = workshop("probe");
    let (url, _service) = service(r#"{"status": "ok"}"#).await;
    has(
        &plugin(&folder, &["new", "quota"]).await,
        0,
        &["made the probe `quota`", "cd quota", "extrack plugin test"],
    );
    let project = folder.join("quota");

    let tested = plugin(&project, &["test"]).await;
    has(
        &tested,
        0,
        &[
            "ok    the project's own tests",
            "names_the_value_found_beside_the_value_wanted ... ok",
            "dist/quota.wasm: probe quota 0.1.0",
            "tests/example.json is accepted",
            "tests/wrong-path.refused.json is refused",
            "4 of 4 passed",
        ],
    );

    let ran = plugin(&project, &["run", "dist/quota.wasm", "--url", &url]).await;
    has(
        &ran,
        0,
        &[
            "probe quota 0.1.0",
            "status        healthy",
            "connect",
            "first byte",
            "memory",
            "host calls  1",
        ],
    );
    let settings = r#"{"wanted": "fine"}"#;
    let ran = plugin(
        &project,
        &[
            "run",
            "dist/quota.wasm",
            "--url",
            &url,
            "--settings",
            settings,
            "--json",
        ],
    )
    .await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let report = json(&ran);
    assert_eq!(report["observation"]["status"], "unhealthy");
    assert_eq!(
        report["observation"]["error"],
        "`status` is ok, wanted fine"
    );
    assert!(
        report["observation"]["phases"]["connectUs"].is_u64(),
        "{report}"
    );
    assert_eq!(report["run"]["hostCalls"], 1);

    let timed = json(
        &plugin(
            &project,
            &["bench", "dist/quota.wasm", "--seconds", "1", "--json"],
        )
        .await,
    );
    let calls = timed["calls"].as_u64().expect("calls are counted");
    assert!(calls > 10, "{timed}");
    assert_eq!(timed["brokenRuns"], 0);
    let latency = |of: &str| {
        timed["latencyUs"][of]
            .as_u64()
            .unwrap_or_else(|| panic!("no {of} in {timed}"))
    };
    assert!(
        latency("p50") > 0 && latency("p50") <= latency("p99") && latency("p99") <= latency("max"),
        "{timed}"
    );
    assert!(
        timed["budget"]["memory"]["percent"]
            .as_f64()
            .is_some_and(|percent| percent > 0.0 && percent < 50.0),
        "{timed}"
    );

    let inspected = plugin(&project, &["inspect", "dist/quota.wasm"]).await;
    has(
        &inspected,
        0,
        &[
            "probe quota 0.1.0",
            "http",
            "\"/health\"",
            "Path of the health endpoint.",
            "no `.minisig`",
        ],
    );

    // Nothing is overwritten.
    let again = plugin(&folder, &["new", "quota"]).await;
    has(&again, 1, &["already", "nothing is overwritten"]);

    // The compiler's text comes through.
    std::fs::write(project.join("src/lib.rs"), "fn check() -> Nonsense {}").unwrap();
    has(
        &plugin(&project, &["build"]).await,
        1,
        &["cannot find type `Nonsense`", "could not compile"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_rule_judges_a_history_from_a_file() {
    let folder = workshop("rule");
    has(
        &plugin(
            &folder,
            &["new", "error_share", "--kind", "rule", "--dir", "share"],
        )
        .await,
        0,
        &["in share"],
    );
    let project = folder.join("share");
    has(
        &plugin(&project, &["test", "--component-only"]).await,
        0,
        &["rule error_share 0.1.0", "3 of 3 passed"],
    );

    let component = "dist/error_share.wasm";
    let failing = "tests/history/failing.json";
    let judged = plugin(
        &project,
        &[
            "run",
            component,
            "--settings",
            "@tests/example.json",
            "--history",
            failing,
        ],
    )
    .await;
    has(
        &judged,
        1,
        &[
            "breached",
            "50.0 % of the runs in 5m failed, wanted at most 20 %",
        ],
    );
    let calm = r#"{"threshold": 60}"#;
    let judged = json(
        &plugin(
            &project,
            &[
                "run",
                component,
                "--settings",
                calm,
                "--history",
                failing,
                "--json",
            ],
        )
        .await,
    );
    assert_eq!(
        [&judged["verdict"]["verdict"], &judged["verdict"]["value"]],
        [&Value::from("ok"), &Value::from(50.0)]
    );

    has(
        &plugin(&project, &["run", component]).await,
        1,
        &["`--history runs.json`"],
    );
    has(
        &plugin(&project, &["run", component, "--url", "http://x"]).await,
        1,
        &["`--url` is for a probe"],
    );
    let timed = json(
        &plugin(
            &project,
            &[
                "bench",
                component,
                "--history",
                failing,
                "--seconds",
                "1",
                "--json",
            ],
        )
        .await,
    );
    assert!(
        timed["calls"].as_u64().is_some_and(|calls| calls > 10),
        "{timed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_notifier_sends_a_sample_only_when_told_to() {
    let folder = workshop("notifier");
    let inbox = Inbox::start().await;
    has(
        &plugin(&folder, &["new", "pager", "--kind", "notifier"]).await,
        0,
        &["made the notifier"],
    );
    let project = folder.join("pager");
    has(
        &plugin(&project, &["build"]).await,
        0,
        &["dist/pager.wasm: notifier pager 0.1.0"],
    );

    let settings = format!(r#"{{"url": "{}"}}"#, inbox.url("/hook"));
    let run = ["run", "dist/pager.wasm", "--settings", &settings];
    has(
        &plugin(&project, &run).await,
        1,
        &["nothing was sent", "`--send`"],
    );
    assert!(inbox.all().is_empty());
    let sent = plugin(&project, &[&run[..], &["--send"]].concat()).await;
    has(&sent, 0, &["sent"]);
    assert!(
        !sent.out.contains("/hook"),
        "the address is a secret: {sent:?}"
    );
    let resolved = plugin(&project, &[&run[..], &["--send", "--resolved"]].concat()).await;
    has(&resolved, 0, &["sent"]);
    assert_eq!(inbox.received("/hook").len(), 2);
    has(
        &plugin(
            &project,
            &["bench", "dist/pager.wasm", "--settings", &settings],
        )
        .await,
        1,
        &["for real", "`--send`"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_webhook_takes_in_what_is_signed_and_turns_away_the_rest() {
    let folder = workshop("webhook");
    has(
        &plugin(&folder, &["new", "forge", "--kind", "webhook"]).await,
        0,
        &["made the webhook"],
    );
    let project = folder.join("forge");
    has(
        &plugin(&project, &["test", "--component-only"]).await,
        0,
        &["webhook forge 0.1.0", "3 of 3 passed"],
    );

    let body = r#"{"type": "outage.started", "data": {"region": "eu"}}"#;
    let run = [
        "run",
        "dist/forge.wasm",
        "--settings",
        "@tests/example.json",
        "--body",
        body,
    ];
    let signed = plugin(
        &project,
        &[&run[..], &["--sign", "standard-webhooks:whsec_c2VjcmV0"]].concat(),
    )
    .await;
    has(
        &signed,
        0,
        &[
            "outage.started",
            "reports       unhealthy",
            r#"{"region":"eu"}"#,
        ],
    );
    let forged = plugin(
        &project,
        &[&run[..], &["--sign", "standard-webhooks:whsec_b3RoZXI="]].concat(),
    )
    .await;
    has(&forged, 1, &["turned away", "unauthenticated"]);
    let unsigned = plugin(&project, &[&run[..], &["--json"]].concat()).await;
    assert_eq!(unsigned.code, Some(1), "{unsigned:?}");
    assert!(
        json(&unsigned)["reception"]["error"]
            .as_str()
            .unwrap()
            .contains("unauthenticated"),
        "{unsigned:?}"
    );
    has(
        &plugin(
            &project,
            &[
                "run",
                "dist/forge.wasm",
                "--settings",
                "@tests/example.json",
            ],
        )
        .await,
        1,
        &["`--body"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_put_in_and_never_shown() {
    let nginx = TargetServer::start().await;
    let folder = workshop("credential");
    let component = components::path("http");
    let component = component.to_str().unwrap();
    let url = nginx.url();
    let run = [
        "run",
        component,
        "--url",
        &url,
        "--settings",
        r#"{"path": "/locked"}"#,
    ];
    has(&plugin(&folder, &run).await, 1, &["401"]);
    let mut with_key = command(
        &folder,
        &[&run[..], &["--auth", "header:x-api-key:$SHOP_KEY"]].concat(),
    );
    let ran = self::run(with_key.env("SHOP_KEY", "s3cret-k3y")).await;
    has(&ran, 0, &["status        healthy"]);
    assert!(
        !ran.out.contains("s3cret") && !ran.err.contains("s3cret"),
        "{ran:?}"
    );
    let unset = plugin(
        &folder,
        &[&run[..], &["--auth", "header:x-api-key:$SHOP_KEY"]].concat(),
    )
    .await;
    has(&unset, 1, &["`SHOP_KEY`, which is not set"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_run_is_a_test_until_its_new_answer_is_accepted() {
    let folder = workshop("renewed");
    let (url, _service) = service(r#"{"status": "down"}"#).await;
    has(&plugin(&folder, &["new", "quota"]).await, 0, &[]);
    let project = folder.join("quota");
    has(
        &plugin(&project, &["build"]).await,
        0,
        &["probe quota 0.1.0"],
    );
    let component = "dist/quota.wasm";
    // The folder is made, as it is for a project of its own.
    let record = [
        "run",
        component,
        "--url",
        &url,
        "--record",
        "recordings/down.json",
    ];
    has(
        &plugin(&project, &record).await,
        1,
        &["`status` is down, wanted ok"],
    );
    let test = ["test", "--component-only"];
    has(
        &plugin(&project, &test).await,
        0,
        &["recordings/down.json replays to the same answer"],
    );

    let source = std::fs::read_to_string(project.join("src/lib.rs")).unwrap();
    let reworded = source.replace("is {found}, wanted {}", "is {found} and not {}");
    assert_ne!(source, reworded);
    std::fs::write(project.join("src/lib.rs"), reworded).unwrap();
    let failed = plugin(&project, &test).await;
    let difference =
        r#"failure.message: "`status` is down, wanted ok" → "`status` is down and not ok""#;
    has(
        &failed,
        1,
        &["FAIL  recordings/down.json", difference, "--accept"],
    );
    let replayed = plugin(
        &project,
        &["replay", "recordings/down.json", "--plugin", component],
    )
    .await;
    has(&replayed, 1, &["another answer", difference]);
    assert_eq!(
        replayed.out.matches("latencyUs").count(),
        0,
        "only what differs is shown: {replayed:?}"
    );
    has(
        &plugin(&project, &["test", "--component-only", "--accept"]).await,
        0,
        &["has the new answer: unhealthy"],
    );
    has(
        &plugin(&project, &test).await,
        0,
        &["recordings/down.json replays to the same answer"],
    );

    // The version of another extrack.
    std::fs::write(
        project.join(".extrack/plugin-sdk/src/random.rs"),
        "// older",
    )
    .unwrap();
    has(
        &plugin(&project, &["build"]).await,
        0,
        &["is not that of this extrack", "extrack plugin upgrade"],
    );
    has(
        &plugin(&project, &["upgrade"]).await,
        0,
        &["1 files changed"],
    );
    let built = plugin(&project, &["build"]).await;
    has(&built, 0, &["probe quota 0.1.0"]);
    assert!(!built.err.contains("plugin upgrade"), "{built:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_benchmark_shows_what_was_answered_and_fails_when_nothing_was() {
    let folder = workshop("answers");
    let http = components::path("http");
    let http = http.to_str().unwrap();
    let timed = plugin(&folder, &["bench", http, "--seconds", "1"]).await;
    has(&timed, 0, &["ANSWER", "healthy"]);
    // Nothing listens on the discard port of this machine.
    let refused = plugin(
        &folder,
        &[
            "bench",
            http,
            "--url",
            "http://127.0.0.1:9",
            "--seconds",
            "1",
        ],
    )
    .await;
    has(&refused, 1, &["all ", "calls ended as error (connect)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_on_the_command_line_take_variables() {
    let nginx = TargetServer::start().await;
    let folder = workshop("variables");
    let http = components::path("http");
    let url = nginx.url();
    let run = [
        "run",
        http.to_str().unwrap(),
        "--url",
        &url,
        "--settings",
        r#"{"path": "${HEALTH_PATH}"}"#,
    ];
    let ran = self::run(command(&folder, &run).env("HEALTH_PATH", "/locked")).await;
    has(&ran, 1, &["401", "/locked"]);
    has(
        &plugin(&folder, &run).await,
        1,
        &["`HEALTH_PATH` is not set"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_breaks_or_trespasses_is_told_as_the_server_would() {
    let nginx = TargetServer::start().await;
    let folder = workshop("broken");
    let guest = |name: &str| components::path(name).to_str().unwrap().to_owned();
    let panics = guest("probe-panics");
    has(
        &plugin(&folder, &["run", &panics, "--url", &nginx.url()]).await,
        1,
        &["trapped", "(plugin)"],
    );
    let timed = plugin(
        &folder,
        &["bench", &panics, "--url", &nginx.url(), "--seconds", "1"],
    )
    .await;
    has(&timed, 1, &["runs broke", "trapped"]);
    let loops = guest("probe-loops");
    has(
        &plugin(
            &folder,
            &["run", &loops, "--url", &nginx.url(), "--timeout", "500ms"],
        )
        .await,
        1,
        &["(plugin)"],
    );
    // It reports nothing amiss, because every attempt was denied; its log has the reason.
    let trespasses = plugin(
        &folder,
        &[
            "run",
            &guest("probe-trespasses"),
            "--url",
            "http://192.0.2.1",
        ],
    )
    .await;
    has(
        &trespasses,
        0,
        &[
            "status        healthy",
            "may not connect to `169.254.169.254:80`",
            "--allow-host HOST",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_plugin_is_refused_with_the_step_and_the_reason() {
    let folder = workshop("files");
    for (name, bytes, wanted) in [
        ("text.wasm", b"#!/bin/sh\n".to_vec(), "not WebAssembly"),
        (
            "core.wasm",
            components::core_module(),
            "core WebAssembly module, not a component",
        ),
        (
            "world.wasm",
            components::of_another_world(),
            "export exactly one of",
        ),
        (
            "import.wasm",
            components::with_unknown_import(),
            "telepathy",
        ),
        (
            "trapping.wasm",
            components::trapping(),
            "`describe` trapped",
        ),
    ] {
        std::fs::write(folder.join(name), bytes).unwrap();
        for command in [
            &["inspect", name][..],
            &["run", name, "--url", "http://x"],
            &["bench", name],
        ] {
            has(
                &plugin(&folder, command).await,
                1,
                &[
                    &format!("`{name}` is not a plugin"),
                    "refused at step",
                    wanted,
                ],
            );
        }
    }
    has(
        &plugin(&folder, &["inspect", "nowhere.wasm"]).await,
        1,
        &["reading `nowhere.wasm`"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named_with_what_would_mend_it() {
    let folder = workshop("missing");
    has(
        &plugin(&folder, &["build"]).await,
        1,
        &["is no plugin project", "extrack plugin new"],
    );
    has(
        &plugin(&folder, &["new"]).await,
        1,
        &["extrack plugin new NAME"],
    );
    has(
        &plugin(&folder, &["new", "Bad Name"]).await,
        1,
        &["lower case"],
    );
    has(&plugin(&folder, &["new", "quota"]).await, 0, &[]);

    let tools = folder.join("no-tools");
    std::fs::create_dir(&tools).unwrap();
    let mut without_rust = command(&folder, &["build", "quota"]);
    let said = run(without_rust.env("PATH", &tools)).await;
    has(
        &said,
        1,
        &[
            "rustup target add wasm32-unknown-unknown",
            "rustc-web cargo-web rust-web-src lld-22",
        ],
    );
    for (file, text, wanted) in [
        ("package.json", "{}", "`npm` is not installed"),
        ("requirements.txt", "", "`python3` is not installed"),
    ] {
        let project = folder.join(file.replace('.', "-"));
        std::fs::create_dir(&project).unwrap();
        std::fs::write(project.join(file), text).unwrap();
        let said = run(command(&project, &["build"]).env("PATH", &tools)).await;
        has(&said, 1, &[wanted, "apt-get install"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_written_in_the_package_alone_in_each_language() {
    let folder = workshop("versions");
    for (language, package, tool, arguments, written) in [
        (
            "javascript",
            "package.json",
            "node",
            &["write-version.js"][..],
            "src/version.js",
        ),
        (
            "python",
            "pyproject.toml",
            "python3",
            &["-c", "import build; build.version()"],
            "version.py",
        ),
    ] {
        has(
            &plugin(&folder, &["new", language, "--lang", language]).await,
            0,
            &[],
        );
        let project = folder.join(language);
        let manifest = std::fs::read_to_string(project.join(package)).unwrap();
        std::fs::write(project.join(package), manifest.replace("1.0.0", "1.2.3")).unwrap();
        has(
            &run(Command::new(tool).args(arguments).current_dir(&project)).await,
            0,
            &[],
        );
        let version = std::fs::read_to_string(project.join(written)).unwrap();
        assert!(version.contains("1.2.3"), "{written}: {version}");
        let source =
            ["src/plugin.js", "plugin.py"].map(|path| std::fs::read_to_string(project.join(path)));
        assert!(
            source
                .iter()
                .flatten()
                .all(|source| !source.contains("\"1.0.0\"")),
            "{language}: it stands twice"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_syntax_in_python_is_named_before_anything_is_built() {
    let folder = workshop("syntax");
    has(
        &plugin(&folder, &["new", "quota", "--lang", "python"]).await,
        0,
        &[],
    );
    let project = folder.join("quota");
    std::fs::write(project.join("helper.py"), "def f(:\n    pass\n").unwrap();
    let check = ["-c", "import build; build.check_syntax()"];
    let checked = run(Command::new("python3").args(check).current_dir(&project)).await;
    has(&checked, 1, &["helper.py:1:"]);
    assert!(!checked.err.contains("Traceback"), "{checked:?}");
}
