//! What people write: the seed's files as they stand, and faults that say where they are.

use extrack_tests::{Said, TestRuntime};

/// As the person wrote them whom the project is for.
const SEED_SERVICES: &str = include_str!("../fixtures/seed/services.yaml");
const SEED_ALERTS: &str = include_str!("../fixtures/seed/alerts.yaml");
const HOOK: (&str, &str) = ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T000/B000/secret");

/// Every line of standard error that tells a fault, without the folder of the test.
fn told(runtime: &TestRuntime, said: &Said) -> Vec<String> {
    let folder = format!("{}/", runtime.config().display());
    let lines = said.err.lines().map(|line| line.replace(&folder, ""));
    lines
        .filter(|line| {
            line.starts_with("services.yaml") || line.starts_with("alerts.yaml") || line.starts_with("environment")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seeds_files_load_and_run_as_they_stand() {
    let runtime = TestRuntime::builder()
        .services(SEED_SERVICES)
        .alerts(SEED_ALERTS)
        .env(HOOK.0, HOOK.1)
        .env("SMTP_HOST", "127.0.0.1")
        .start()
        .await;
    let api = runtime.api();
    let service = api.service("payment-gateway-api").await;
    assert_eq!(service["name"], "Payment Gateway API");
    assert_eq!(service["type"], "REST");
    assert_eq!(service["baseUrl"], "https://api.payment-provider.com");
    assert_eq!(service["healthEndpoint"], "/health");
    assert_eq!(service["authentication"]["type"], "api_key");
    assert_eq!(service["authentication"]["header"], "X-API-Key");
    assert_eq!(service["monitoring"]["interval"], 60);
    assert_eq!(service["monitoring"]["timeout"], 5000);
    assert_eq!(service["alerts"][0]["type"], "availability");
    assert_eq!(service["alerts"][0]["threshold"], 99.5);
    assert_eq!(service["alerts"][1]["type"], "response_time");
    assert_eq!(service["origin"], "file");
    // There is no such name in the world; the run is data like any other.
    let found = api.check("payment-gateway-api").await;
    assert_eq!(found["status"], "error", "{found}");
    let checked = runtime.check_config().await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_variable_is_a_fault_with_its_place() {
    let runtime = TestRuntime::builder().services(SEED_SERVICES).alerts(SEED_ALERTS).prepare();
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(64), "{said:?}");
    let told = told(&runtime, &said);
    assert_eq!(told.len(), 1, "{said:?}");
    assert!(told[0].starts_with("alerts.yaml:10:18: alerts[0].notifications[1].webhook:"), "{told:?}");
    assert!(told[0].contains("`SLACK_WEBHOOK_URL`"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_come_from_the_environment_and_from_a_file_beside_the_folder() {
    let runtime = TestRuntime::builder()
        .services("services: [{name: \"${NAME:-Default} ${SURNAME}\", baseUrl: \"${URL:-https://a.example}\"}]\n")
        .alerts(SEED_ALERTS)
        .env("SURNAME", "of the process")
        .prepare();
    let env_file = runtime.config().join("../.env");
    std::fs::write(env_file, format!("{}={}\nSURNAME=of the file\nNAME=Name\n", HOOK.0, HOOK.1)).unwrap();
    let mut runtime = runtime;
    runtime.start().await;
    let services = runtime.api().list("/api/v1/services").await;
    assert_eq!(services[0]["name"], "Name of the process");
    assert_eq!(services[0]["slug"], "name-of-the-process");
    assert_eq!(services[0]["baseUrl"], "https://a.example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_told_with_file_line_and_column() {
    const GOOD: &str = "services: [{name: a, baseUrl: \"https://a.example\"}]\n";
    // What is in the file, and where the fault has to be found.
    for (what, services, alerts, wanted) in [
        ("not YAML", "services: [\n", "", vec!["services.yaml:2:1"]),
        ("a list where a mapping belongs", "- a\n", "", vec!["services.yaml:1:1"]),
        ("an unknown key at the top", "service: []\n", "", vec!["services.yaml:1:1: service:"]),
        (
            "an unknown key",
            "services:\n  - name: a\n    baseUrl: https://a.example\n    colour: red\n",
            "",
            vec!["services.yaml:4:5: services[0].colour:"],
        ),
        (
            "a missing key",
            "services:\n  - baseUrl: https://a.example\n",
            "",
            vec!["services.yaml:2:5: services[0].name:"],
        ),
        (
            "a wrong type",
            "services:\n  - name: a\n    baseUrl: https://a.example\n    private: maybe\n",
            "",
            vec!["services.yaml:4:14: services[0].private:"],
        ),
        (
            "a bad URL",
            "services:\n  - name: a\n    baseUrl: nowhere\n",
            "",
            vec!["services.yaml:3:14: services[0].baseUrl:"],
        ),
        (
            "a key twice",
            "services:\n  - name: a\n    name: b\n    baseUrl: https://a.example\n",
            "",
            vec!["services.yaml:3:5: services[0].name:"],
        ),
        (
            "a name twice",
            "services:\n  - {name: a, baseUrl: \"https://a.example\"}\n  - {name: A, baseUrl: \"https://a.example\"}\n",
            "",
            vec!["services.yaml:3:12: services[1].name:"],
        ),
        (
            "a bad duration",
            "services:\n  - name: a\n    baseUrl: https://a.example\n    monitoring: {interval: 5 minutes}\n",
            "",
            vec!["services.yaml:4:28: services[0].monitoring.interval:"],
        ),
        (
            "an unknown probe",
            "services:\n  - name: a\n    baseUrl: https://a.example\n    monitoring: {probe: pign}\n",
            "",
            vec!["services.yaml:4:25: services[0].monitoring.probe:"],
        ),
        (
            "an unknown rule",
            GOOD,
            "alerts:\n  - {name: x, type: avaliability}\n",
            vec!["alerts.yaml:2:21: alerts[0].type:"],
        ),
        ("a rule that looks for nothing", GOOD, "alerts:\n  - {name: x}\n", vec!["alerts.yaml:2:5: alerts[0]:"]),
        (
            "an expression that does not parse",
            GOOD,
            "alerts:\n  - name: x\n    condition: \"status ==\"\n",
            vec!["alerts.yaml:3:16: alerts[0].condition:"],
        ),
        (
            "an unknown severity",
            GOOD,
            "alerts:\n  - {name: x, condition: \"true\", severity: fatal}\n",
            vec!["alerts.yaml:2:45: alerts[0].severity:"],
        ),
        (
            "an unknown channel",
            GOOD,
            "alerts:\n  - name: x\n    condition: \"status == 'error'\"\n    notifications:\n      - channel: pigeon\n",
            vec!["alerts.yaml:5:18: alerts[0].notifications[0].channel:"],
        ),
        (
            "a channel without its address",
            GOOD,
            "alerts:\n  - name: x\n    condition: \"status == 'error'\"\n    notifications:\n      - channel: webhook\n",
            vec!["alerts.yaml:5:9: alerts[0].notifications[0].url:"],
        ),
        (
            "many at once, in both files",
            "services:\n  - nam: a\n    baseUrl: 5\n",
            "alerts:\n  - {name: x, condition: \"true\", severity: fatal}\nnotification: []\n",
            vec![
                "alerts.yaml:2:45: alerts[0].severity:",
                "alerts.yaml:3:1: notification:",
                "services.yaml:2:5: services[0].name:",
                "services.yaml:2:5: services[0].nam:",
                "services.yaml:3:14: services[0].baseUrl:",
            ],
        ),
    ] {
        let runtime = TestRuntime::builder().services(services).alerts(alerts).prepare();
        let said = runtime.check_config().await;
        assert_eq!(said.code, Some(64), "{what}: {said:?}");
        let told = told(&runtime, &said);
        assert_eq!(told.len(), wanted.len(), "{what}: {said:#?}");
        for place in wanted {
            assert!(told.iter().any(|line| line.starts_with(place)), "{what}: wanted `{place}` in {told:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_bad_configuration_does_not_start() {
    let runtime = TestRuntime::builder().services("services: [{name: a, baseUrl: nowhere, colour: red}]\n").prepare();
    let (config, data) = (runtime.config(), runtime.data());
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let said = runtime.cli(arguments).await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert_eq!(told(&runtime, &said).len(), 2, "{said:?}");
    assert!(!said.out.contains("listening"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_of_the_seed_without_a_meaning_are_named() {
    let runtime = TestRuntime::builder()
        .services("services: []\n")
        .env("DATABASE_URL", "postgresql://user:pass-in-url@host:5432/external_tracking")
        .env("REDIS_URL", "redis://localhost:6379")
        .env("JWT_SECRET", "my-own-jwt-secret")
        .prepare();
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let all = format!("{}{}", said.out, said.err);
    for name in ["DATABASE_URL", "REDIS_URL", "JWT_SECRET"] {
        assert!(all.contains(name), "{name}: {said:?}");
    }
    assert!(!all.contains("pass-in-url") && !all.contains("my-own-jwt-secret"), "{said:?}");
    for (name, value) in [
        ("HEALTH_CHECK_INTERVAL", "soon"),
        ("HEALTH_CHECK_TIMEOUT", "-1"),
        ("SMTP_PORT", "mail"),
        ("ENCRYPTION_KEY", "short"),
    ] {
        let runtime = TestRuntime::builder().services("services: []\n").env(name, value).prepare();
        let said = runtime.check_config().await;
        assert_eq!(said.code, Some(64), "{name}: {said:?}");
        assert!(told(&runtime, &said)[0].starts_with(&format!("environment: {name}:")), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seeds_defaults_count_for_services_that_say_nothing() {
    let silent = extrack_tests::Silent::start().await;
    let yaml = format!("services: [{{name: a, baseUrl: \"{}\"}}]\n", silent.url());
    let runtime = TestRuntime::builder()
        .services(yaml)
        .env("HEALTH_CHECK_INTERVAL", "86400")
        .env("HEALTH_CHECK_TIMEOUT", "300")
        .start()
        .await;
    let found = runtime.api().check("a").await;
    assert_eq!([&found["status"], &found["errorKind"]], ["error", "timeout"], "{found}");
    let took = extrack_tests::wait_for("the run", extrack_tests::PATIENCE, async || {
        let rows = runtime.api().sql("SELECT max(duration_us) FROM plugin_runs WHERE function = 'check'").await;
        rows[0][0].as_i64().ok_or_else(|| format!("{rows:?}"))
    })
    .await;
    assert!((290_000..2_000_000).contains(&took), "{took} µs");
}
