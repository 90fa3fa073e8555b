//! Status pages for people who have no token.

use extrack_tests::{PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::Value;

const PAGES: &str = r#"
statusPages:
  - name: team
    title: What we depend on
    groups: [{title: Everything}]
"#;

/// Starts the program with a public service that works, one that fails, and a private one.
async fn started(vendor: &Vendor) -> TestRuntime {
    vendor.set_status("/broken-path", 503);
    let services = format!(
        r#"
services:
  - {{name: Search, baseUrl: "{0}", healthEndpoint: /good, public: true, monitoring: {{interval: 1, timeout: 20000}}}}
  - {{name: Mail, baseUrl: "{0}", healthEndpoint: /broken-path, public: true, monitoring: {{interval: 1, timeout: 20000}}}}
  - {{name: Vault, baseUrl: "{0}", healthEndpoint: /broken-path, monitoring: {{interval: 1, timeout: 20000}}}}
"#,
        vendor.url()
    );
    let mut runtime = TestRuntime::builder().services(services).prepare();
    std::fs::write(runtime.config().join("status-pages.yaml"), PAGES).unwrap();
    runtime.start().await;
    runtime
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_sees_the_outage_of_a_public_service_and_an_export_holds_it() {
    let vendor = Vendor::start().await;
    let runtime = started(&vendor).await;
    let visitor = runtime.api().anonymous();
    let body = wait_for("an outage with its history", PATIENCE, async || {
        let body = visitor.get("/status/team.json").await.expect(200);
        let services = body["groups"][0]["services"].as_array().unwrap();
        let percent = |slug: &str| {
            let service = services.iter().find(|service| service["slug"] == slug);
            service.map(|service| service["uptime"][3]["percent"].clone())
        };
        let is_there = body["openIncidents"][0]["service"] == "mail"
            && percent("search") == Some(Value::from(100.0))
            && percent("mail") == Some(Value::from(0.0));
        is_there.then_some(body.clone()).ok_or(body.to_string())
    })
    .await;
    assert_eq!(body["status"], "down");
    assert_eq!(body["summary"], "1 of 2 services is down: Mail.");
    let page = visitor.get("/status").await.expect_text(200);
    assert!(page.contains("What we depend on"), "{page}");
    let host = vendor.url();
    let host = host.trim_start_matches("http://");
    for secret in ["Vault", "vault", host, "broken-path"] {
        assert!(!page.contains(secret), "{secret}: {page}");
    }
    visitor
        .get("/badge/vault/status.svg")
        .await
        .expect_problem(404);
    let badge = visitor.get("/badge/mail/status.svg").await;
    assert_eq!(badge.header("content-type"), "image/svg+xml");
    assert!(badge.text.contains("down"), "{}", badge.text);

    let folder = runtime.data().join("exported");
    let path = folder.to_str().unwrap();
    let exported = runtime.cli(["status-page", "export", path]).await;
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    let index = std::fs::read_to_string(folder.join("index.html")).unwrap();
    assert!(index.contains("1 of 2 services is down: Mail."), "{index}");
    for link in [
        "href=\"app.css\"",
        "href=\"team.atom\"",
        "href=\"team.json\"",
    ] {
        assert!(index.contains(link), "{link}: {index}");
    }
    for file in ["app.css", "team.atom", "team.json", "badge/mail/uptime.svg"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    assert!(!folder.join("badge/vault").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_made_private_is_gone_at_once() {
    let vendor = Vendor::start().await;
    let runtime = started(&vendor).await;
    let visitor = runtime.api().anonymous();
    visitor
        .get("/badge/search/status.svg")
        .await
        .expect_text(200);
    let file = runtime.config().join("services.yaml");
    let services = std::fs::read_to_string(&file).unwrap();
    let services = services.replacen("public: true, ", "", 1);
    std::fs::write(&file, services).unwrap();
    wait_for("the page without it", PATIENCE, async || {
        let badge = visitor.get("/badge/search/status.svg").await;
        let page = visitor.get("/status").await.expect_text(200);
        match (badge.status, page.contains("Search")) {
            (404, false) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
}
