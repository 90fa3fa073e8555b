//! Vendors as data: the catalog, services made of it, and the question whether a vendor is up.

use std::fs;
use std::path::Path;

use extrack_tests::{PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

/// Also one by the standard of webhooks.
const SECRET: &str = "whsec_c2VjcmV0LW9mLWEtdmVuZG9yLTAxMjM0NTY3ODk=";

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Writes an entry of the operator's own.
fn own_vendor(runtime: &TestRuntime, name: &str, vendor: &Value) {
    let folder = runtime.config().join("vendors");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.yaml")), vendor.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_vendor_of_the_catalog_makes_a_service_that_a_configuration_may_hold() {
    let runtime = TestRuntime::builder().services("services: []\n").prepare();
    let config = runtime.config();
    let file = config.join("services.yaml");
    fs::remove_file(&file).unwrap();
    let listed = runtime
        .cli(["vendors", "list", "--json", "--config", path(&config)])
        .await;
    let vendors: Vec<Value> = serde_json::from_str(&listed.out).unwrap();
    assert!(vendors.len() >= 40, "{}", vendors.len());
    let mut variables = String::new();
    for vendor in &vendors {
        let name = vendor["name"].as_str().unwrap();
        let mut arguments = vec![
            "add",
            name,
            "--file",
            path(&file),
            "--config",
            path(&config),
        ];
        let parameters = vendor["parameters"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let sets: Vec<String> = parameters
            .iter()
            .map(|(key, parameter)| format!("{key}={}", parameter["example"].as_str().unwrap()))
            .collect();
        for set in &sets {
            arguments.extend(["--set", set]);
        }
        if vendor["webhook"].is_object() {
            arguments.push("--webhook");
        }
        let added = runtime.cli(arguments).await;
        assert_eq!(added.code, Some(0), "{name}: {added:?}");
        // What the note names is what the file needs.
        for variable in added.err.split('`').filter(|word| is_variable(word)) {
            variables.push_str(&format!("{variable}={SECRET}\n"));
        }
    }
    fs::write(config.with_file_name(".env"), variables).unwrap();
    let checked = runtime.check_config().await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

fn is_variable(word: &str) -> bool {
    word.len() > 4
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_is_added_to_a_running_server_as_far_as_its_secrets_are_known() {
    let runtime = TestRuntime::builder()
        .services("services: []\n")
        .env("ACME_API_KEY", "sk-acme-0123456789")
        .start()
        .await;
    // Nothing listens there, and what the API made may not reach it.
    let entry = json!({
        "name": "acme", "title": "Acme", "baseUrl": "http://127.0.0.1:9",
        "health": {"path": "/up", "expectedStatus": 401},
        "rateLimits": {"vendor": "stripe"},
        "webhook": {"plugin": "stripe", "secretEnv": "ACME_WEBHOOK_SECRET"},
        "credential": {"type": "bearer", "env": "ACME_API_KEY"},
    });
    own_vendor(&runtime, "acme", &entry);
    let api = runtime.api();
    let config = runtime.config();
    let add = [
        "add",
        "acme",
        "--name",
        "Payments",
        "--config",
        path(&config),
    ];
    let added = runtime.cli(add).await;
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(added.out.contains("added `payments`"), "{added:?}");
    let service = api.service("payments").await;
    assert_eq!(service["baseUrl"], "http://127.0.0.1:9");
    assert_eq!(service["labels"]["vendor"], "acme");
    assert_eq!(service["rateLimits"]["vendor"], "stripe");
    assert_eq!(service["monitoring"]["expectedStatus"], 401);
    assert_eq!(
        service["authentication"],
        json!({"type": "bearer", "token": "***"})
    );
    let again = runtime.cli(add).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    let webhook = [&add[..], &["--webhook"]].concat();
    let webhook = runtime.cli(webhook).await;
    assert!(webhook.err.contains("`ACME_WEBHOOK_SECRET`"), "{webhook:?}");
    for (arguments, wanted) in [
        (vec!["add", "stirpe"], "did you mean `stripe`?"),
        (vec!["add", "okta"], "needs `--set domain=…`"),
        (
            vec!["add", "okta", "--set", "domian=x"],
            "did you mean `domain`?",
        ),
    ] {
        let said = runtime
            .cli([&arguments[..], &["--config", path(&config)]].concat())
            .await;
        assert!(
            said.code == Some(1) && said.err.contains(wanted),
            "{said:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_an_added_service_keeps_its_comments_and_is_reloaded() {
    let vendor = Vendor::start().await;
    let services = format!(
        "# ours\nservices:\n  - name: Shop # the first one\n    baseUrl: \"{}\"\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(services).start().await;
    let mut entry = json!({"name": "crm", "title": "Our CRM", "health": {"path": "/up", "expectedStatus": 200}});
    entry["baseUrl"] = json!(vendor.url());
    own_vendor(&runtime, "crm", &entry);
    let config = runtime.config();
    let file = config.join("services.yaml");
    let added = runtime
        .cli([
            "add",
            "crm",
            "--file",
            path(&file),
            "--config",
            path(&config),
        ])
        .await;
    assert_eq!(added.code, Some(0), "{added:?}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# ours\n") && text.contains("# the first one"),
        "{text}"
    );
    let api = runtime.api();
    wait_for("the added service", PATIENCE, async || {
        let services = api.list("/api/v1/services").await;
        let is_there = services.iter().any(|service| service["slug"] == "our-crm");
        is_there.then_some(()).ok_or(format!("{services:?}"))
    })
    .await;
    assert_eq!(api.check("our-crm").await["status"], "healthy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_asks_the_vendor_and_its_page_and_shows_what_is_not_as_it_should_be() {
    let vendor = Vendor::start().await;
    let runtime = TestRuntime::builder().services("services: []\n").prepare();
    let config = runtime.config();
    let entry = json!({
        "name": "crm", "title": "Our CRM", "baseUrl": vendor.url(),
        "health": {"path": "/up", "expectedStatus": 401},
        "statusPage": {"url": vendor.url(), "format": "html"},
    });
    own_vendor(&runtime, "crm", &entry);
    vendor.set_status("/up", 401);
    let check = ["vendors", "check", "crm", "--config", path(&config)];
    let checked = runtime.cli(check).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.out.contains("ok: 401 in "), "{checked:?}");
    assert_eq!(vendor.hits("/up"), 1);
    assert_eq!(vendor.hits("/"), 1);
    vendor.set_status("/up", 500);
    let checked = runtime.cli(check).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains("500, expected 401"), "{checked:?}");
    let json = [&check[..], &["--json"]].concat();
    let checked = runtime.cli(json).await;
    let answers: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(answers[0]["health"]["found"], "wrong");
    assert_eq!(answers[0]["statusPage"]["found"], "right");
}
