//! Configuration of other monitors: what it becomes passes the check, and what it does not become
//! is noted with its line. The secrets of the files in `fixtures/import` begin with
//! `planted-secret`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use extrack_tests::{Said, TestRuntime};

const SECRET: &str = "planted-secret";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/import")
        .join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the fixtures have plain paths")
}

/// Imports a file into the configuration of a runtime that was not started, and checks it there
/// with a value for each variable that is named.
async fn imported(kind: &str, files: &[&str]) -> (TestRuntime, Said) {
    let runtime = TestRuntime::builder().services("services: []\n").prepare();
    fs::remove_file(runtime.config().join("services.yaml")).unwrap();
    let paths: Vec<PathBuf> = files.iter().map(|name| fixture(name)).collect();
    let config = runtime.config();
    let mut arguments = vec!["import", kind, text(&paths[0]), "--to", text(&config)];
    if let Some(prometheus) = paths.get(1) {
        arguments.extend(["--prometheus", text(prometheus)]);
    }
    let said = runtime.cli(arguments).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut variables = BTreeMap::new();
    for name in ["services.yaml", "alerts.yaml"] {
        let Ok(written) = fs::read_to_string(config.join(name)) else {
            continue;
        };
        assert!(!written.contains(SECRET), "{written}");
        for part in written.split("${").skip(1) {
            let variable = part.split('}').next().unwrap();
            let value = if variable.contains("URL") {
                "https://set.example/later"
            } else {
                "set-later-0123456789"
            };
            variables.insert(variable.to_owned(), value);
        }
    }
    let lines = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"));
    fs::write(config.with_file_name(".env"), lines.collect::<String>()).unwrap();
    assert!(!said.err.contains(SECRET), "{}", said.err);
    let checked = runtime.check_config().await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    (runtime, said)
}

/// Asserts that each of these is the begin of a note.
fn assert_noted(said: &Said, file: &str, starts: &[&str]) {
    for start in starts {
        let start = format!("{}{start}", fixture(file).display());
        let is_noted = said.err.lines().any(|line| line.starts_with(&start));
        assert!(is_noted, "{start}\n{}", said.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_of_gatus_pass_the_check_and_the_rest_is_noted_by_line() {
    let (runtime, said) = imported("gatus", &["gatus.yaml"]).await;
    assert!(
        said.err.contains("8 of 11 entries carried over"),
        "{}",
        said.err
    );
    assert_noted(
        &said,
        "gatus.yaml",
        &[
            ":2: web: has no counterpart; left out",
            ":5: alerting.slack.webhook-url: is secret; set `SLACK_WEBHOOK_URL`",
            ":16: alerting.ntfy: no notifier for `ntfy`; left out",
            ":33: endpoints[0].conditions[7]: no probe reads until when a domain is registered; left out",
            ":62: endpoints[6].ssh: no probe for SSH; left out",
            ":65: endpoints[7].url: no probe for ICMP",
            ":68: external-endpoints[0]: reports by itself",
        ],
    );
    let services = fs::read_to_string(runtime.config().join("services.yaml")).unwrap();
    assert!(
        services.contains("https://pay.${SHOP_DOMAIN}"),
        "{services}"
    );
    // What is there is not overwritten, unless that is wanted.
    let (config, source) = (runtime.config(), fixture("gatus.yaml"));
    let arguments = ["import", "gatus", text(&source), "--to", text(&config)];
    let again = runtime.cli(arguments).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(
        again
            .err
            .contains("is there already; overwrite it with `--force`")
    );
    let forced = runtime.cli(arguments.into_iter().chain(["--force"])).await;
    assert_eq!(forced.code, Some(0), "{forced:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_of_uptime_kuma_pass_the_check_without_the_one_that_it_refuses() {
    let (_, said) = imported("uptime-kuma", &["uptime-kuma.json"]).await;
    assert!(
        said.err.contains("7 of 12 entries carried over"),
        "{}",
        said.err
    );
    assert_noted(
        &said,
        "uptime-kuma.json",
        &[
            ": monitorList[7].type: reports by itself: make a heartbeat",
            ": monitorList[8].type: no probe for ICMP",
            ": monitorList[9].type: no probe asks Docker",
            ": monitorList[10]: is paused; left out",
            ": monitorList[11]: would be refused (`baseUrl`:",
            ": notificationList[2]: no notifier for `gotify`; left out",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_tree_and_rules_of_prometheus_pass_the_check() {
    let (_, said) = imported("blackbox", &["blackbox.yml", "prometheus.yml"]).await;
    assert!(
        said.err.contains("5 of 6 entries carried over"),
        "{}",
        said.err
    );
    assert_noted(
        &said,
        "blackbox.yml",
        &[
            ":10: modules.page.http.headers.Authorization: is secret; set `PAGE_TOKEN`",
            ":14: modules.page.http.tls_config.ca_file: has no counterpart; left out",
            ":30: modules.reachable.prober: no probe for ICMP",
        ],
    );
    let (_, said) = imported("alertmanager", &["alertmanager.yml"]).await;
    assert!(
        said.err.contains("12 of 12 entries carried over"),
        "{}",
        said.err
    );
    assert_noted(
        &said,
        "alertmanager.yml",
        &[
            ":2: global.resolve_timeout: our rules decide themselves",
            ":34: receivers[1].victorops_configs[0]: no notifier for `victorops`; left out",
            ":53: templates[0]: templates of Go",
        ],
    );
    let (_, said) = imported("prometheus-rules", &["rules.yml"]).await;
    assert!(
        said.err.contains("6 of 8 entries carried over"),
        "{}",
        said.err
    );
    assert_noted(
        &said,
        "rules.yml",
        &[
            ":27: groups[0].rules[6].expr: asks for the metric `up`, which is not measured here; left out",
            ":28: groups[0].rules[7]: records a series",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_can_not_be_read_is_a_fault_and_nothing_is_printed() {
    let runtime = TestRuntime::builder().services("services: []\n").prepare();
    let broken = runtime.config().join("broken.yaml");
    fs::write(&broken, "endpoints: [\n").unwrap();
    let said = runtime.cli(["import", "gatus", text(&broken)]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(64), ""), "{said:?}");
    assert!(
        said.err.contains("broken.yaml:2:1: is not valid YAML"),
        "{said:?}"
    );
    fs::write(&broken, "endpoints: []\n").unwrap();
    let said = runtime.cli(["import", "gatus", text(&broken)]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("nothing of"), "{said:?}");
    let source = fixture("rules.yml");
    let said = runtime
        .cli(["import", "prometheus-rules", text(&source)])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out
            .starts_with("# alerts.yaml\nalerts:\n  - name: ProbeFails\n"),
        "{}",
        said.out
    );
}
