//! Configuration files: the seed's files as they stand, and faults with their places.

use extrack_tests::{HangingServer, PATIENCE, Said, TestRuntime, Vendor, wait_for};

/// The files as the person wrote them whom the project is for.
const SEED_SERVICES: &str = include_str!("../fixtures/seed/services.yaml");
const SEED_ALERTS: &str = include_str!("../fixtures/seed/alerts.yaml");
const HOOK: (&str, &str) = (
    "SLACK_WEBHOOK_URL",
    "https://hooks.slack.com/services/T000/B000/secret",
);

/// Returns every line of standard error with a fault, without the folder of the test.
fn told(runtime: &TestRuntime, said: &Said) -> Vec<String> {
    let folder = format!("{}/", runtime.config().display());
    let lines = said.err.lines().map(|line| line.replace(&folder, ""));
    lines
        .filter(|line| {
            line.starts_with("services.yaml")
                || line.starts_with("alerts.yaml")
                || line.starts_with("environment")
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
    let runtime = TestRuntime::builder()
        .services(SEED_SERVICES)
        .alerts(SEED_ALERTS)
        .prepare();
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(64), "{said:?}");
    let told = told(&runtime, &said);
    assert_eq!(told.len(), 1, "{said:?}");
    assert!(
        told[0].starts_with("alerts.yaml:11:18: alerts[0].notifications[1].webhook:"),
        "{told:?}"
    );
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
    std::fs::write(
        env_file,
        format!(
            "{}={}\nSURNAME=\"of the file\"\nNAME=Name\n",
            HOOK.0, HOOK.1
        ),
    )
    .unwrap();
    let mut runtime = runtime;
    runtime.start().await;
    let services = runtime.api().list("/api/v1/services").await;
    assert_eq!(services[0]["name"], "Name of the process");
    assert_eq!(services[0]["slug"], "name-of-the-process");
    assert_eq!(services[0]["baseUrl"], "https://a.example");
}

/// Services with one fault each, beside good ones, and where it is.
const BAD_SERVICES: [(&str, &[&str]); 12] = [
    ("services:", &[]),
    ("  - {name: good, baseUrl: \"https://a.example\"}", &[]),
    (
        "  - {name: a1, baseUrl: \"https://a.example\", colour: red}",
        &["46: services[1].colour:"],
    ),
    (
        "  - {baseUrl: \"https://a.example\"}",
        &["5: services[2].name:"],
    ),
    (
        "  - {name: a2, baseUrl: \"https://a.example\", private: maybe}",
        &["55: services[3].private:"],
    ),
    (
        "  - {name: a3, baseUrl: nowhere}",
        &["25: services[4].baseUrl:"],
    ),
    (
        "  - {name: a4, name: a5, baseUrl: \"https://a.example\"}",
        &["16: services[5].name:"],
    ),
    (
        "  - {name: Good, baseUrl: \"https://a.example\"}",
        &["12: services[6].name:"],
    ),
    (
        "  - {name: a6, baseUrl: \"https://a.example\", monitoring: {interval: 5 minutes}}",
        &["69: services[7].monitoring.interval:"],
    ),
    (
        "  - {name: a7, baseUrl: \"https://a.example\", monitoring: {probe: pign}}",
        &["66: services[8].monitoring.probe:"],
    ),
    (
        "  - {nam: a8, baseUrl: 5}",
        &[
            "5: services[9].name:",
            "6: services[9].nam:",
            "24: services[9].baseUrl:",
        ],
    ),
    (
        "  - {name: a9, baseUrl: \"https://${NOWHERE}\"}",
        &["25: services[10].baseUrl:"],
    ),
];

const BAD_ALERTS: [(&str, &[&str]); 9] = [
    ("alerts:", &[]),
    ("  - {name: x0, condition: \"status == 'error'\"}", &[]),
    (
        "  - {name: x1, type: avaliability}",
        &["22: alerts[1].type:"],
    ),
    ("  - {name: x2}", &["5: alerts[2]:"]),
    (
        "  - {name: x3, condition: \"status ==\"}",
        &["27: alerts[3].condition:"],
    ),
    (
        "  - {name: x4, condition: \"true\", severity: fatal}",
        &["45: alerts[4].severity:"],
    ),
    (
        "  - {name: x5, condition: \"true\", notifications: [{channel: pigeon}]}",
        &["61: alerts[5].notifications[0].channel:"],
    ),
    (
        "  - {name: x6, condition: \"true\", notifications: [{channel: webhook}]}",
        &["51: alerts[6].notifications[0].url:"],
    ),
    ("notification: []", &["1: notification:"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_told_at_once_with_file_line_and_column() {
    let text = |lines: &[(&str, &[&str])]| {
        lines
            .iter()
            .map(|(line, _)| format!("{line}\n"))
            .collect::<String>()
    };
    let wanted = |file: &str, lines: &[(&str, &[&str])]| -> Vec<String> {
        let numbered = lines.iter().enumerate();
        numbered
            .flat_map(|(index, (_, places))| {
                places
                    .iter()
                    .map(move |place| format!("{file}:{}:{place}", index + 1))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let runtime = TestRuntime::builder()
        .services(text(&BAD_SERVICES))
        .alerts(text(&BAD_ALERTS))
        .prepare();
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(64), "{said:?}");
    let mut missing = [
        wanted("services.yaml", &BAD_SERVICES),
        wanted("alerts.yaml", &BAD_ALERTS),
    ]
    .concat();
    let mut unexpected = Vec::new();
    for line in told(&runtime, &said) {
        match missing.iter().position(|place| line.starts_with(place)) {
            Some(index) => drop(missing.remove(index)),
            None => unexpected.push(line),
        }
    }
    assert!(
        missing.is_empty() && unexpected.is_empty(),
        "not told: {missing:#?}\ntold without need: {unexpected:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_percentage_for_a_share_is_a_fault_with_what_was_meant() {
    let services = "services:\n  - name: Shop\n    baseUrl: http://127.0.0.1:9\n    alerts:\n      \
                    - {type: response_time, threshold: 500, quantile: 95}\n      \
                    - {type: availability, threshold: \"99.5%\"}\n";
    let runtime = TestRuntime::builder().services(services).prepare();
    let said = runtime.check_config().await;
    let told = told(&runtime, &said);
    assert_eq!((said.code, told.len()), (Some(64), 2), "{said:?}");
    for (line, place, hint) in [
        (&told[0], "services.yaml:5:", "write `0.95`"),
        (&told[1], "services.yaml:6:", "write `99.5`"),
    ] {
        assert!(line.starts_with(place) && line.contains(hint), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_configuration_is_a_fault() {
    for (what, services, wanted) in [
        ("not YAML", "services: [\n", "services.yaml:2:1:"),
        (
            "a list where a mapping belongs",
            "- a\n",
            "services.yaml:1:1:",
        ),
        (
            "an unknown key at the top",
            "service: []\n",
            "services.yaml:1:1: service:",
        ),
    ] {
        let runtime = TestRuntime::builder().services(services).prepare();
        let said = runtime.check_config().await;
        assert_eq!(said.code, Some(64), "{what}: {said:?}");
        let told = told(&runtime, &said);
        assert!(
            told.len() == 1 && told[0].starts_with(wanted),
            "{what}: wanted `{wanted}` in {told:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_bad_configuration_does_not_start() {
    let runtime = TestRuntime::builder()
        .services("services: [{name: a, baseUrl: nowhere, colour: red}]\n")
        .prepare();
    let (config, data) = (runtime.config(), runtime.data());
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ];
    let said = runtime.cli(arguments).await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert_eq!(told(&runtime, &said).len(), 2, "{said:?}");
    assert!(!said.out.contains("listening"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_of_the_seed_without_a_meaning_are_named() {
    let runtime = TestRuntime::builder()
        .services("services: []\n")
        .env(
            "DATABASE_URL",
            "postgresql://user:pass-in-url@host:5432/external_tracking",
        )
        .env("REDIS_URL", "redis://localhost:6379")
        .env("JWT_SECRET", "my-own-jwt-secret")
        .prepare();
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let all = format!("{}{}", said.out, said.err);
    for name in ["DATABASE_URL", "REDIS_URL", "JWT_SECRET"] {
        assert!(all.contains(name), "{name}: {said:?}");
    }
    assert!(
        !all.contains("pass-in-url") && !all.contains("my-own-jwt-secret"),
        "{said:?}"
    );
    let bad = [
        ("HEALTH_CHECK_INTERVAL", "soon"),
        ("HEALTH_CHECK_TIMEOUT", "-1"),
        ("SMTP_PORT", "mail"),
        ("ENCRYPTION_KEY", "short"),
    ];
    let builder = TestRuntime::builder().services("services: []\n");
    let runtime = bad
        .iter()
        .fold(builder, |builder, (name, value)| builder.env(name, *value))
        .prepare();
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(64), "{said:?}");
    let told = told(&runtime, &said);
    assert_eq!(told.len(), bad.len(), "{told:?}");
    for (name, _) in bad {
        assert!(
            told.iter()
                .any(|line| line.starts_with(&format!("environment: {name}:"))),
            "{name}: {told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seeds_defaults_count_for_services_that_say_nothing() {
    let silent = HangingServer::start().await;
    let yaml = format!("services: [{{name: a, baseUrl: \"{}\"}}]\n", silent.url());
    let runtime = TestRuntime::builder()
        .services(yaml)
        .env("HEALTH_CHECK_INTERVAL", "86400")
        .env("HEALTH_CHECK_TIMEOUT", "300")
        .start()
        .await;
    let found = runtime.api().check("a").await;
    assert_eq!(
        [&found["status"], &found["errorKind"]],
        ["error", "timeout"],
        "{found}"
    );
    let took = wait_for("the run", PATIENCE, async || {
        let rows = runtime
            .api()
            .sql("SELECT max(duration_us) FROM plugin_runs WHERE function = 'check'")
            .await;
        rows[0][0].as_i64().ok_or_else(|| format!("{rows:?}"))
    })
    .await;
    assert!((250_000..2_000_000).contains(&took), "{took} µs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_counts_at_once_and_one_with_faults_not_at_all() {
    let vendor = Vendor::start().await;
    let yaml = |names: &[&str]| {
        let service = |name: &&str| {
            format!(
                "\n  - {{name: {name}, baseUrl: \"{}\", healthEndpoint: /{name}, monitoring: {{interval: 1}}}}",
                vendor.url()
            )
        };
        format!(
            "services:{}\n",
            names.iter().map(service).collect::<String>()
        )
    };
    let runtime = TestRuntime::builder()
        .services(yaml(&["a", "b"]))
        .start()
        .await;
    let api = runtime.api();
    let slugs = async || -> Vec<String> {
        api.list("/api/v1/services")
            .await
            .iter()
            .map(|service| service["slug"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(slugs().await, ["a", "b"]);

    let file = runtime.config().join("services.yaml");
    std::fs::write(&file, yaml(&["b", "c"])).unwrap();
    wait_for("the change to count", PATIENCE, async || {
        match slugs().await {
            slugs if slugs == ["b", "c"] => Ok(()),
            slugs => Err(format!("{slugs:?}")),
        }
    })
    .await;
    wait_for(
        "the new service to be watched",
        PATIENCE,
        async || match api.service("c").await {
            service if service["status"] == "healthy" => Ok(()),
            service => Err(service.to_string()),
        },
    )
    .await;
    // What went is not asked any more: its neighbours are, several times.
    let (before, beside) = (vendor.hits("/a"), vendor.hits("/b"));
    wait_for("runs of the others", PATIENCE, async || {
        match vendor.hits("/b") {
            hits if hits >= beside + 3 => Ok(()),
            hits => Err(format!("{hits}")),
        }
    })
    .await;
    assert_eq!(vendor.hits("/a"), before);

    std::fs::write(&file, yaml(&["d"]).replace("interval", "intervall")).unwrap();
    wait_for("the faults in the log", PATIENCE, async || {
        let log = runtime.logs();
        if log.contains("monitoring.intervall") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(slugs().await, ["b", "c"]);
    let missed = api
        .sql("SELECT * FROM observations WHERE missed OR status <> 'healthy'")
        .await;
    assert!(missed.is_empty(), "{missed:?}");
}
