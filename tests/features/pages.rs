//! The pages in a real browser: every one in three widths, light and dark, with and without script;
//! and the way of a new user over them.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, components, wait_for};

/// Services of a team, which fit on the first page.
const SERVICES: usize = 48;

fn alerts(inbox: &Inbox) -> String {
    format!(
        "alerts: [{{name: Shop Down, condition: \"status == 'unhealthy'\", severity: critical, notifications: [{{channel: webhook, url: \"{}\"}}]}}]\n",
        inbox.url("/hook")
    )
}

async fn first_id(api: &Api, what: &str, path: &str) -> i64 {
    wait_for(what, PATIENCE, async || {
        let items = api.list(path).await;
        let id = items.first().and_then(|item| item["id"].as_i64());
        id.ok_or_else(|| format!("{items:?}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_whole_in_each_width_and_theme_and_open_to_everybody() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/s0", 500);
    let services: String = (0..SERVICES)
        .map(|number| {
            let interval = if number == 0 { 1 } else { 3_600 };
            format!(
                "  - {{name: \"Service {number} of a vendor\", slug: s{number}, baseUrl: \"{}\", healthEndpoint: /s{number}, public: {}, tags: [team-{}], monitoring: {{interval: {interval}}}}}\n",
                vendor.url(),
                number < 3,
                number % 5
            )
        })
        .collect();
    let runtime = TestRuntime::builder()
        .services(format!("services:\n{services}"))
        .alerts(alerts(&inbox))
        .start()
        .await;
    let api = runtime.api();
    let alert = first_id(&api, "the alert", "/api/v1/alerts?state=firing").await;
    let incident = first_id(&api, "the incident", "/api/v1/incidents?service=s0").await;
    api.check("s1").await;
    let pages = serde_json::json!([
        "/services/s0",
        "/services/s1?range=30d",
        format!("/alerts/{alert}"),
        format!("/incidents/{incident}"),
    ]);
    let seen = runtime
        .browse(
            "pages.mjs",
            &[
                ("EXTRACK_PAGES", pages.to_string().as_str()),
                ("EXTRACK_FIRST_PAGE", "yes"),
            ],
        )
        .await;
    assert_eq!(seen.code, Some(0), "{}\n{}", seen.out, seen.err);
    assert!(
        seen.out.contains("the first page: "),
        "the script went to its end: {}",
        seen.out
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_user_finds_the_way_from_a_url_to_a_plugin_that_is_rolled_back() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 500);
    let runtime = TestRuntime::builder().alerts(alerts(&inbox)).start().await;
    let empty = r#"["/", "/alerts", "/usage", "/analytics", "/reports"]"#;
    let seen = runtime
        .browse("pages.mjs", &[("EXTRACK_ONLY", empty)])
        .await;
    assert_eq!(seen.code, Some(0), "{}\n{}", seen.out, seen.err);
    let api = runtime.api();
    api.plugin_put("swapped", &components::guest("swapped-one"))
        .await
        .expect(200);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let component = folder.path().join("swapped-two.wasm");
    std::fs::write(&component, components::guest("swapped-two")).expect("it has room");
    let walked = runtime
        .browse(
            "walk.mjs",
            &[
                (
                    "EXTRACK_VENDOR",
                    format!("{}/health", vendor.url()).as_str(),
                ),
                (
                    "EXTRACK_COMPONENT",
                    component.to_str().expect("a plain path"),
                ),
            ],
        )
        .await;
    assert_eq!(walked.code, Some(0), "{}\n{}", walked.out, walked.err);
}
