//! The configuration through its outer interface.

mod reports;
mod status_pages;
mod storage;

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::{Catalog, Origin, PrivateReach, Severity};
use crate::registry::testing::{FakePlugins, TestRegistry};

const SEED_SERVICES: &str = include_str!("../../../config/services.yaml");
const SEED_ALERTS: &str = include_str!("../../../config/alerts.yaml");

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(services: &str, alerts: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.config()).unwrap();
        std::fs::write(folder.config().join(SERVICES), services).unwrap();
        std::fs::write(folder.config().join(ALERTS), alerts).unwrap();
        folder
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("config")
    }

    async fn load(&self, variables: &[(&str, &str)]) -> Result<Loaded, Faults> {
        let environment = Environment::of(variables.iter().copied());
        load(&self.config(), environment, &FakePlugins::bundled()).await
    }

    /// Returns the texts of faults, without the folder of the test.
    fn told(&self, faults: &[Fault]) -> Vec<String> {
        let prefix = format!("{}/", self.0.path().display());
        faults
            .iter()
            .map(|fault| fault.to_string().replace(&prefix, ""))
            .collect()
    }
}

async fn catalog(loaded: Loaded) -> std::sync::Arc<Catalog> {
    TestRegistry::open(loaded.files).await.catalog()
}

#[tokio::test]
async fn the_seeds_files_load_as_they_stand() {
    let folder = Folder::with(SEED_SERVICES, SEED_ALERTS);
    let hook = "https://hooks.slack.com/services/T/B/x";
    let loaded = folder.load(&[("SLACK_WEBHOOK_URL", hook)]).await.unwrap();
    assert_eq!(
        folder.told(&loaded.warnings),
        [
            "config/alerts.yaml:5:16: alerts[0].condition: never sees a service that does not answer at all, whose status is \
         `error`; write `status in ['unhealthy', 'error']` to be notified of both",
            "config/alerts.yaml:9:9: alerts[0].notifications[0]: no e-mail can be sent without `SMTP_HOST`; set it in the \
         environment or in `.env`",
            "config/services.yaml:9:7: services[0].authentication: there is no API key, so requests go without it; set \
         `value: \"${VARIABLE}\"` or `valueFile: PATH`",
            "config/services.yaml:15:9: services[0].alerts[0]: alert `availability` notifies no one: it has no `notifications`, \
         and neither does the top of alerts.yaml",
            "config/services.yaml:18:9: services[0].alerts[1]: alert `response_time` notifies no one: it has no \
         `notifications`, and neither does the top of alerts.yaml",
        ]
    );

    let catalog = catalog(loaded).await;
    let service = &catalog.services["payment-gateway-api"];
    assert_eq!(
        (service.name.as_str(), service.kind.as_str()),
        ("Payment Gateway API", "REST")
    );
    assert_eq!(service.base_url, "https://api.payment-provider.com");
    assert_eq!(service.health_endpoint.as_deref(), Some("/health"));
    assert!(
        service.private == PrivateReach::as_loaded()
            && service.credentials.is_empty()
            && service.origin == Origin::File
    );
    let probe = &service.probes[0];
    assert_eq!(
        (probe.name.as_str(), probe.plugin.as_str(), &probe.settings),
        ("http", "http", &json!({}))
    );
    assert_eq!(
        (probe.interval, probe.timeout),
        (Duration::from_secs(60), Duration::from_secs(5))
    );

    let rules = &catalog.rules["payment-gateway-api"];
    let keys: Vec<&str> = rules.iter().map(|rule| rule.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "payment-gateway-api/availability",
            "payment-gateway-api/response_time",
            "payment-gateway-api/Service Down",
        ]
    );
    assert_eq!(
        rules[0].settings,
        json!({"threshold": 99.5, "window": "5m"})
    );
    assert_eq!(
        rules[1].settings,
        json!({"threshold": 1000, "window": "1m"})
    );
    let down = &rules[2];
    assert_eq!(
        (down.plugin.as_str(), &down.settings),
        ("condition", &json!({"condition": "status == 'unhealthy'"}))
    );
    assert_eq!(
        (down.duration, down.severity),
        (Duration::from_secs(120), Severity::Critical)
    );
    let channels: Vec<_> = down
        .channels
        .iter()
        .map(|id| (&catalog.channels[id].plugin, &catalog.channels[id].settings))
        .collect();
    assert_eq!(
        channels,
        [
            (
                &"email".to_owned(),
                &json!({"recipients": ["ops@company.com"]})
            ),
            (&"slack".to_owned(), &json!({"webhook": hook})),
        ]
    );
}

#[tokio::test]
async fn the_example_environment_goes_with_the_seeds_files() {
    let folder = Folder::with(SEED_SERVICES, SEED_ALERTS);
    std::fs::write(
        folder.0.path().join(".env"),
        include_str!("../../../.env.example"),
    )
    .unwrap();
    let environment = Environment::read(&folder.config());
    assert_eq!(
        environment.get("HEALTH_CHECK_TIMEOUT"),
        Ok(Some("5000".to_owned()))
    );
    let loaded = load(&folder.config(), environment, &FakePlugins::bundled())
        .await
        .unwrap();
    assert_eq!(loaded.settings.smtp.unwrap().host, "smtp.example.com");
}

#[tokio::test]
async fn without_the_seeds_variable_its_place_is_reported() {
    let folder = Folder::with(SEED_SERVICES, SEED_ALERTS);
    let faults = folder.load(&[]).await.unwrap_err();
    assert_eq!(
        folder.told(&faults.faults),
        [
            "config/alerts.yaml:12:18: alerts[0].notifications[1].webhook: the variable `SLACK_WEBHOOK_URL` is not set; set \
         it in the environment or in `.env`, or give a default: `${SLACK_WEBHOOK_URL:-default}`",
        ]
    );
}

#[tokio::test]
async fn all_faults_of_all_files_are_reported_at_once() {
    let services = "\
services:
  - name: \"A\"
    baseURL: \"https://a\"
    monitoring:
      interval: 0
      timeout: fast
      intervall: 3
  - name: \"B\"
    baseUrl: b.example
    owner: [x]
    authentication:
      type: api_key
      valueFile: missing
    alerts:
      - type: availability
        threshold: high
        windwo: 5m
  - name: \"b\"
    baseUrl: https://${HOST}
  - name: b
    baseUrl: https://b
    tags:
";
    let alerts = "\
alerts:
  - condition: a = b
    name: X
    name: Y
    severity: fatal
  - name: Z
    type: slack
notifications:
  - channel: webhook
    url: 5
extra: 1
";
    let folder = Folder::with(services, alerts);
    let faults = folder
        .load(&[("SMTP_PORT", "x"), ("ENCRYPTION_KEY", "short")])
        .await
        .unwrap_err();
    assert_eq!(
        folder.told(&faults.faults),
        [
            "config/alerts.yaml:2:16: alerts[0].condition: does not parse: unexpected `=`",
            "config/alerts.yaml:4:5: alerts[0].name: is given twice; the first time in line 3",
            "config/alerts.yaml:5:15: alerts[0].severity: must be one of `info`, `warning`, `critical`",
            "config/alerts.yaml:7:11: alerts[1].type: `slack` is a notifier plugin, not a rule plugin; known: `availability`, \
         `condition`, `response_time`",
            "config/alerts.yaml:10:10: notifications[0].url: must be text, not a number; put it in quotes",
            "config/alerts.yaml:11:1: extra: is not a known key; known: `alertTemplates`, `alerts`, `budgets`, `channels`, `escalations`, `inhibit`, `maintenance`, `messageTemplates`, `muteTimes`, `notifications`, `route`, `watchdog`",
            "config/services.yaml:2:5: services[0].baseUrl: is missing (URL, or `host:port` for what speaks no HTTP)",
            "config/services.yaml:3:5: services[0].baseURL: is not a known key; did you mean `baseUrl`?",
            "config/services.yaml:5:17: services[0].monitoring.interval: must be at least 1s",
            "config/services.yaml:6:16: services[0].monitoring.timeout: `fast` is not a duration; write numbers and units, \
         as in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "config/services.yaml:7:7: services[0].monitoring.intervall: is not a known key; did you mean `interval`?",
            "config/services.yaml:9:14: services[1].baseUrl: `b.example` has no scheme; write `https://b.example`",
            "config/services.yaml:10:12: services[1].owner: must be text, not a list",
            "config/services.yaml:13:18: services[1].authentication.valueFile: `missing` does not exist",
            "config/services.yaml:16:20: services[1].alerts[0].threshold: must be a number, not text",
            "config/services.yaml:17:9: services[1].alerts[0].windwo: is not a known key; did you mean `window`?",
            "config/services.yaml:18:11: services[2].name: `b` is already the slug of `B`; give this one a `slug` of its own",
            "config/services.yaml:19:14: services[2].baseUrl: the variable `HOST` is not set; set it in the environment or in \
         `.env`, or give a default: `${HOST:-default}`",
            "config/services.yaml:20:11: services[3].name: `b` is already the slug of `B`; give this one a `slug` of its own",
            "config/services.yaml:22:9: services[3].tags: must be a list, not nothing",
            "environment: SMTP_PORT: must be a port between 1 and 65535",
            "environment: ENCRYPTION_KEY: must have at least 16 characters; `openssl rand -base64 32` makes a good one",
        ]
    );
    assert_eq!(faults.to_string().lines().count(), faults.faults.len());
}

#[tokio::test]
async fn secrets_come_from_files_and_variables() {
    let services = "\
services:
  - name: A
    baseUrl: https://a
    authentication: {type: bearer, tokenFile: ../token}
  - name: B
    baseUrl: https://b
    authentication: {type: basic, username: u, password: \"${PASSWORD}\"}
";
    let folder = Folder::with(services, "");
    std::fs::write(folder.0.path().join("token"), "t0ken\n").unwrap();
    let password = folder.0.path().join("password");
    std::fs::write(&password, "12345").unwrap();
    let loaded = folder
        .load(&[("PASSWORD_FILE", password.to_str().unwrap())])
        .await
        .unwrap();
    let shown = format!("{loaded:?}");
    assert!(
        !shown.contains("t0ken") && !shown.contains("12345"),
        "{shown}"
    );
    let catalog = catalog(loaded).await;
    assert_eq!(
        (
            catalog.services["a"].credentials.len(),
            catalog.services["b"].credentials.len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_folder_that_is_missing_or_odd_is_reported() {
    let folder = Folder::with("", "alerts:\n");
    std::fs::write(folder.config().join("service.yml"), "").unwrap();
    let loaded = folder.load(&[]).await.unwrap();
    assert_eq!(
        folder.told(&loaded.warnings),
        [
            "config/service.yml: is not read: only `services.yaml`, `alerts.yaml`, `plugins.yaml`, `storage.yaml`, `status-pages.yaml` and `reports.yaml` are"
        ]
    );
    let gone = folder.0.path().join("gone");
    let faults = load(&gone, Environment::default(), &FakePlugins::bundled())
        .await
        .unwrap_err();
    assert!(
        faults
            .to_string()
            .ends_with("name another one with `--config`"),
        "{faults}"
    );
}

#[tokio::test]
async fn plugins_yaml_sets_the_policies_of_plugins() {
    let folder = Folder::with("", "");
    let path = folder.config().join(PLUGINS);
    std::fs::write(
        &path,
        "\
plugins:
  http:
    grants: {hosts: [\"${HOST:-api.example.com}\", \"*.example.org\"], methods: [GET]}
    budget: {wallClock: 10s, memory: 32MiB}
  gone:
    budget:
  newer: {grants: {hosts: [\"*\"]}}
",
    )
    .unwrap();
    let loaded = folder.load(&[]).await.unwrap();
    assert_eq!(
        folder.told(&loaded.warnings),
        [
            "config/plugins.yaml:5:3: plugins.gone: there is no plugin of this name yet",
            "config/plugins.yaml:7:3: plugins.newer: there is no plugin of this name yet",
            "config/plugins.yaml:7:28: plugins.newer.grants.hosts[0]: allows every host there is that the plugin asks for",
        ]
    );
    let policies = loaded.plugins.policies;
    assert_eq!(policies.keys().collect::<Vec<_>>(), ["http", "newer"]);
    assert_eq!(
        policies["http"].grants.hosts,
        ["api.example.com", "*.example.org"]
    );
    assert_eq!(policies["http"].budget.memory_bytes, Some(32 << 20));

    std::fs::write(
        &path,
        "\
plugins:
  http:
    grant: {}
    budget: {wallClock: fast, cpu: 3, concurrency: many, memory: 1TiB}
  Http: {}
trusted: 1
",
    )
    .unwrap();
    let faults = folder.load(&[]).await.unwrap_err();
    assert_eq!(
        folder.told(&faults.faults),
        [
            "config/plugins.yaml:3:5: plugins.http.grant: is not a known key; did you mean `grants`?",
            "config/plugins.yaml:4:25: plugins.http.budget.wallClock: `fast` is not a duration; write numbers and units, as \
         in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "config/plugins.yaml:4:52: plugins.http.budget.concurrency: must be a whole number, not text",
            "config/plugins.yaml:4:66: plugins.http.budget.memory: `1TiB` is not a size; write a number of bytes, or a number \
         and a unit, as in `64KiB`, `8MiB` or `1GiB`",
            "config/plugins.yaml:5:3: plugins.Http: is not a plugin name: lower case letters, digits, `-` and `_`, at most 64",
            "config/plugins.yaml:6:1: trusted: is not a known key; did you mean `trust`?",
        ]
    );
}

#[tokio::test]
async fn plugins_yaml_sets_what_is_trusted_and_nothing_is_while_it_has_faults() {
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let folder = Folder::with("", "");
    let write = |plugins: &str, trust: &str| {
        let text = format!("plugins:\n  http: {plugins}\ntrust:\n  keys: [\"{key}\"]\n  {trust}\n");
        std::fs::write(folder.config().join(PLUGINS), text).unwrap();
    };
    std::fs::write(folder.config().join("robot"), "r0bots-s3cret\n").unwrap();
    let hash = "ab".repeat(32);
    write(
        &format!("{{sha256: {hash}, source: \"oci://r.example/http:1\"}}"),
        "registries: {r.example: {username: robot, passwordFile: robot}}",
    );
    let trust = folder.load(&[]).await.unwrap().plugins.trust;
    assert_eq!(
        (
            trust.pins["http"].as_slice(),
            trust.sources["http"].as_str()
        ),
        (&[hash][..], "oci://r.example/http:1")
    );
    assert_eq!(
        (trust.keys.as_slice(), trust.require_signatures),
        (&[key.to_owned()][..], false)
    );
    let login = trust.registries["r.example"].login.as_ref().unwrap();
    assert_eq!(
        secrecy::ExposeSecret::expose_secret(&login.password),
        "r0bots-s3cret"
    );

    for (plugins, trust, wanted) in [
        (
            "{sha256: abc}",
            "",
            "plugins.yaml:2:18: plugins.http.sha256: `abc` is not a sha256",
        ),
        (
            "{}",
            "requireSignature: true",
            "plugins.yaml:5:3: trust.requireSignature: is not a known key; did you mean",
        ),
        (
            "{}",
            "requireSignatures: \"yes\"",
            "trust.requireSignatures: must be `true` or `false`, not text",
        ),
        (
            "{}",
            "registries: {r: {username: u, passwordFile: gone}}",
            "trust.registries.r.passwordFile: `gone` does not",
        ),
        ("{}", "- nonsense", "plugins.yaml"),
    ] {
        write(plugins, trust);
        let faults = folder.load(&[]).await.unwrap_err();
        assert!(
            folder.told(&faults.faults)[0].contains(wanted),
            "{wanted:?} in {faults}"
        );
        let draft = read(&folder.config(), &Environment::default());
        let trust = &draft.plugins().trust;
        assert!(
            !draft.is_sound() && trust.require_signatures && trust.keys.is_empty(),
            "{wanted}"
        );
    }
}

#[tokio::test]
async fn a_reload_with_faults_changes_nothing() {
    let folder = Folder::with("services: [{name: A, baseUrl: https://a}]", "");
    let loaded = folder.load(&[]).await.unwrap();
    let plugins = FakePlugins::bundled();
    let registry = TestRegistry::open(loaded.files).await;
    std::fs::write(
        folder.config().join(SERVICES),
        "services: [{name: B, baseUrl: https://b}, {name: C}]",
    )
    .unwrap();
    let reload = async || {
        let loaded = load(&folder.config(), Environment::default(), &plugins).await?;
        registry.prepare(loaded.files, &plugins).await.publish();
        Ok::<_, Faults>(())
    };
    reload().await.unwrap_err();
    assert_eq!(
        registry.catalog().services.keys().collect::<Vec<_>>(),
        ["a"]
    );
    std::fs::write(
        folder.config().join(SERVICES),
        "services: [{name: B, baseUrl: https://b}]",
    )
    .unwrap();
    reload().await.unwrap();
    assert_eq!(
        registry.catalog().services.keys().collect::<Vec<_>>(),
        ["b"]
    );
}

#[tokio::test]
async fn what_stands_at_the_top_for_its_anchor_is_taken_over_and_no_key_of_ours() {
    let folder = Folder::with(
        "x-common: &common {interval: 1h30m, timeout: 1000}\nservices:\n  - {name: A, baseUrl: 'https://a.example', \
         monitoring: {<<: *common, timeout: 500}}\n",
        "",
    );
    let loaded = folder.load(&[]).await.unwrap();
    let catalog = catalog(loaded).await;
    let probe = &catalog.services.values().next().unwrap().probes[0];
    assert_eq!(
        (probe.interval, probe.timeout),
        (Duration::from_secs(5_400), Duration::from_millis(500))
    );
    // Deeper down it is a key like any other.
    let folder = Folder::with(
        "services:\n  - {name: A, baseUrl: 'https://a.example', x-y: 1}\n",
        "",
    );
    let faults = folder.load(&[]).await.unwrap_err();
    assert!(
        folder.told(&faults.faults)[0].contains("services[0].x-y: is not a known key"),
        "{:?}",
        faults.faults
    );
}

#[tokio::test]
async fn matchers_and_names_of_all_kinds_mean_what_they_say_or_are_faults() {
    let alerts = |matcher: &str| {
        format!(
            "channels: {{a: {{channel: slack, webhook: 'https://hooks.example/a'}}}}\n\
             route: {{receiver: a, routes: [{{match: '{matcher}'}}]}}\n"
        )
    };
    let folder = Folder::with("", &alerts("{severity=\"critical\", service=\"shop-api\"}"));
    let catalog = catalog(folder.load(&[]).await.unwrap()).await;
    assert_eq!(catalog.route.as_ref().unwrap().routes[0].matchers.len(), 2);
    let folder = Folder::with("", &alerts("severity==critical"));
    let faults = folder.load(&[]).await.unwrap_err();
    let told = folder.told(&faults.faults);
    assert!(
        told[0].contains("route.routes[0].match: ") && told[0].contains("`severity=\"critical\"`"),
        "{told:?}"
    );
}
