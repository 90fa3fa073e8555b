//! An outage of everything at once: what still answers is still checked, nothing that is not known is
//! shown as healthy, and the monitor's own lost network is one alert.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use extrack_tests::{Inbox, PATIENCE, TestRuntime, Vendor, refusing_address, wait_for};

/// Checks of targets that never answer, and the hosts they are spread over.
const SILENT: usize = 3_000;
const HOSTS: usize = 250;

/// A start compiles three thousand services, in a debug build.
const LONG: Duration = Duration::from_secs(120);

/// Hosts that take connections until their queue is full, and never send a byte.
fn silent_hosts() -> Vec<TcpListener> {
    let host =
        |index: usize| Ipv4Addr::new(127, 0, 1 + (index / 250) as u8, 1 + (index % 250) as u8);
    (0..HOSTS)
        .map(|index| TcpListener::bind((host(index), 0)).expect("a port can be opened"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_checks_without_an_answer_hold_up_no_other() {
    let (hosts, vendor, inbox) = (silent_hosts(), Vendor::start().await, Inbox::start().await);
    let mut services = String::from("services:\n");
    for index in 0..SILENT {
        let address = hosts[index % HOSTS]
            .local_addr()
            .expect("an open port has an address");
        services.push_str(&format!(
            "  - {{name: silent-{index}, baseUrl: \"http://{address}\", monitoring: {{interval: 8, timeout: 4000}}}}\n"
        ));
    }
    for index in 0..10 {
        services.push_str(&format!(
            "  - {{name: well-{index}, baseUrl: \"{}\", healthEndpoint: /{index}, monitoring: {{interval: 2, timeout: 1900}}, \
             alerts: [{{name: Down, condition: \"status == 'unhealthy'\", notifications: [{{channel: webhook, url: \"{}\"}}]}}]}}\n",
            vendor.url(),
            inbox.url("/hook")
        ));
    }
    let runtime = TestRuntime::builder().services(services).start().await;
    let api = runtime.api();
    wait_for(
        "nothing silent that is shown as healthy, or not shown at all",
        LONG,
        async || {
            let metrics = api.metrics().await;
            let of = |status: &str| {
                let line = format!("extrack_services_by_status{{status=\"{status}\"}} ");
                metrics
                    .lines()
                    .find_map(|found| found.strip_prefix(&line)?.parse::<usize>().ok())
                    .unwrap_or_default()
            };
            let (bad, well) = (of("error") + of("unknown"), of("healthy"));
            if bad == SILENT && well == 10 {
                Ok(())
            } else {
                Err(format!("{bad} bad, {well} healthy"))
            }
        },
    )
    .await;
    let before = vendor.hits("/0");
    vendor.set_status("/7", 500);
    wait_for(
        "the message about the one that broke",
        PATIENCE,
        async || match inbox.received("/hook").len() {
            0 => Err(String::from("none")),
            _ => Ok(()),
        },
    )
    .await;
    wait_for(
        "the others checked as ever",
        PATIENCE,
        async || match vendor.hits("/0") {
            hits if hits >= before + 3 => Ok(()),
            hits => Err(format!("{hits} after {before}")),
        },
    )
    .await;
    assert_eq!(api.service("well-0").await["status"], "healthy");
    assert_eq!(
        inbox.received("/hook").len(),
        1,
        "the others are as well as before"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lost_network_of_the_monitor_is_one_alert() {
    let (mut targets, inbox) = (
        Some(TcpListener::bind("127.0.0.1:0").expect("a port can be opened")),
        Inbox::start().await,
    );
    let target = targets
        .as_ref()
        .map(|target| target.local_addr().expect("an open port has an address"))
        .expect("made");
    let vendors = [
        Vendor::start().await,
        Vendor::start().await,
        Vendor::start().await,
        Vendor::start().await,
    ];
    let mut services = String::from("services:\n");
    for (index, vendor) in vendors.iter().enumerate() {
        services.push_str(&format!(
            "  - {{name: shop-{index}, baseUrl: \"{}\", monitoring: {{interval: 1, timeout: 900}}}}\n",
            vendor.url()
        ));
    }
    // Two failures before they fire: the targets are asked meanwhile.
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\n\
         route: {{groupBy: [alertname], groupWait: 5s, groupInterval: 5s}}\n\
         alerts: [{{name: Down, condition: \"status == 'error'\", failures: {{count: 2, of: 2}}}}]\n",
        inbox.url("/hook")
    );
    let dead = refusing_address();
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .env("EXTRACK_OFFLINE_TARGETS", format!("{target},{dead}"))
        .start()
        .await;
    let api = runtime.api();
    wait_for("checks that are well", PATIENCE, async || {
        let well = api
            .list("/api/v1/services")
            .await
            .iter()
            .filter(|service| service["status"] == "healthy")
            .count();
        if well == 4 {
            Ok(())
        } else {
            Err(format!("{well}"))
        }
    })
    .await;
    // The network goes: targets and services at once.
    drop(targets.take());
    drop(vendors);
    let open = async || {
        let alerts = api.list("/api/v1/alerts").await;
        let of = |name: &str, state: &str| {
            alerts
                .iter()
                .filter(|alert| alert["name"] == name && alert["state"] == state)
                .count()
        };
        (of("Monitor offline", "firing"), of("Down", "suppressed"))
    };
    wait_for(
        "one alert that fires and four that it inhibits",
        PATIENCE,
        async || match open().await {
            (1, 4) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
    wait_for("its message", PATIENCE, async || {
        match inbox.received("/hook").len() {
            0 => Err(String::from("none")),
            _ => Ok(()),
        }
    })
    .await;
    let received = inbox.received("/hook");
    assert!(
        received
            .iter()
            .all(|message| message.body.to_string().contains("Monitor offline")),
        "{received:?}"
    );

    let _back = TcpListener::bind(target).expect("its port is free again");
    wait_for("the end of it", PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts?state=resolved").await;
        match alerts
            .iter()
            .any(|alert| alert["name"] == "Monitor offline")
        {
            true => Ok(()),
            false => Err(format!("{alerts:?}")),
        }
    })
    .await;
}
