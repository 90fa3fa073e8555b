//! Names are resolved so that a name server which is dead, or answers something odd, costs what
//! depends on it and nothing else.

use std::fmt::Write;
use std::time::Duration;

use extrack_tests::{Inbox, Names, TestRuntime, Vendor, wait_for};

fn port_of(url: &str) -> u16 {
    url::Url::parse(url)
        .ok()
        .and_then(|url| url.port())
        .expect("a URL with a port")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_zone_of_300_probes_is_not_noticed_by_300_healthy_ones() {
    const EACH: usize = 300;
    let (vendor, names) = (Vendor::start().await, Names::start().await);
    names.kill_zone("dead.test");
    let port = port_of(&vendor.url());
    let mut services = String::from("services:");
    for index in 0..EACH {
        names.set(&format!("p{index}.live.test"), &["127.0.0.1"]);
        for zone in ["dead", "live"] {
            // Time-outs as long as the interval: runs of the dead zone are under way all the time.
            write!(
                services,
                "\n  - {{name: {zone}-{index}, baseUrl: \"http://p{index}.{zone}.test:{port}\", \
                 monitoring: {{interval: 12, timeout: 12000}}}}"
            )
            .expect("a text takes everything");
        }
    }
    let runtime = TestRuntime::builder()
        .names(&names)
        .services(services)
        .start()
        .await;
    let api = runtime.api();
    let runs = async |zone: &str, status: &str| {
        let query = format!(
            "SELECT count(*) FROM (SELECT service FROM observations WHERE service LIKE '{zone}-%' AND NOT missed AND \
             status = '{status}' GROUP BY service HAVING count(*) >= 2)"
        );
        api.sql_count(&query).await
    };
    wait_for(
        "two runs of everything",
        Duration::from_secs(180),
        async || match (runs("dead", "error").await, runs("live", "healthy").await) {
            (dead, live) if dead >= EACH as i64 && live >= EACH as i64 => Ok(()),
            counts => Err(format!("{counts:?}")),
        },
    )
    .await;
    let harmed = api
        .sql(
            "SELECT service, status, error FROM observations WHERE service LIKE 'live-%' AND NOT missed AND \
             status <> 'healthy' LIMIT 5",
        )
        .await;
    assert!(harmed.is_empty(), "{harmed:?}");
    let dead = api
        .sql(
            "SELECT DISTINCT error_kind FROM observations WHERE service LIKE 'dead-%' AND NOT missed ORDER BY error_kind",
        )
        .await;
    assert!(
        dead.iter().any(|kind| kind[0] == "timeout"),
        "they end at their time-out: {dead:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_while_its_vendors_name_leads_nowhere() {
    let (vendor, inbox, names) = (
        Vendor::start().await,
        Inbox::start().await,
        Names::start().await,
    );
    vendor.set_status("/", 500);
    // As a filter or a captive portal answers in an outage; then the truth.
    names.set("hooks.test", &["0.0.0.0", "0.0.0.0", "127.0.0.1"]);
    let hook = inbox.url("/hook");
    let port = port_of(&hook);
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"http://hooks.test:{port}/hook\"}}]\n\
         alerts: [{{name: Down, condition: \"status != 'healthy'\"}}]\n"
    );
    let services = format!(
        "services:\n  - {{name: shop, baseUrl: \"{}\", monitoring: {{interval: 1, timeout: 900}}}}\n",
        vendor.url()
    );
    let _runtime = TestRuntime::builder()
        .names(&names)
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    wait_for(
        "the message",
        Duration::from_secs(180),
        async || match inbox.received("/hook").len() {
            0 => Err(format!(
                "none after {} look-ups",
                names.queries("hooks.test")
            )),
            _ => Ok(()),
        },
    )
    .await;
}
