//! The wall clock jumps: checks go on in their rhythm, alerts go out, and one row shows what is
//! missing.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, WallClock, wait_for};

const PATH: &str = "/health";

async fn more_requests(vendor: &Vendor, what: &str) {
    let before = vendor.hits(PATH);
    wait_for(&format!("checks after {what}"), PATIENCE, async || {
        let hits = vendor.hits(PATH);
        if hits >= before + 3 {
            Ok(())
        } else {
            Err(format!("{hits} requests, {before} of them before"))
        }
    })
    .await;
}

async fn messages(inbox: &Inbox, count: usize, what: &str) {
    wait_for(
        &format!("message {count} after {what}"),
        PATIENCE,
        async || {
            let received = inbox.received("/hook");
            if received.len() >= count {
                Ok(())
            } else {
                Err(format!("{received:?}"))
            }
        },
    )
    .await;
    assert_eq!(inbox.received("/hook").len(), count, "{what}");
}

async fn gaps(api: &Api) -> i64 {
    api.sql_count("SELECT count(*) FROM observations WHERE service = 'shop' AND missed AND error LIKE '%suspended%'")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_and_alerts_go_on_whatever_the_clock_does() {
    let (vendor, inbox, clock) = (
        Vendor::start().await,
        Inbox::start().await,
        WallClock::new(),
    );
    let services = format!(
        "services:\n  - {{name: shop, baseUrl: \"{}\", healthEndpoint: {PATH}, monitoring: {{interval: 1, timeout: 900}}}}\n",
        vendor.url()
    );
    let alerts = format!(
        "alerts:\n  - name: Down\n    condition: \"status in ['unhealthy', 'error']\"\n    duration: 3\n    notifications: [{{channel: webhook, url: \"{}\"}}]\n",
        inbox.url("/hook")
    );
    let runtime = clock
        .of(TestRuntime::builder().services(services).alerts(alerts))
        .start()
        .await;
    let api = runtime.api();
    for (index, (what, ahead_s)) in [
        ("40 s back", -40),
        ("2 h back", -7_240),
        ("a day ahead", 79_200),
    ]
    .into_iter()
    .enumerate()
    {
        // The clock jumps while an alert waits for its time.
        vendor.set_status(PATH, 500);
        wait_for("an open alert", PATIENCE, async || {
            let alerts = api.list("/api/v1/alerts").await;
            let is_open = alerts
                .iter()
                .any(|alert| alert["state"] == "pending" || alert["state"] == "firing");
            if is_open {
                Ok(())
            } else {
                Err(format!("{alerts:?}"))
            }
        })
        .await;
        clock.set(ahead_s);
        messages(&inbox, 2 * index + 1, what).await;
        more_requests(&vendor, what).await;
        vendor.set_status(PATH, 200);
        messages(&inbox, 2 * index + 2, what).await;
    }
    let logs = runtime.logs();
    assert_eq!(
        logs.matches("the wall clock was set back").count(),
        2,
        "{logs}"
    );
    assert_eq!(
        logs.matches("the wall clock jumped ahead").count(),
        1,
        "{logs}"
    );
    wait_for(
        "the row of the day that is missing",
        PATIENCE,
        async || match gaps(&api).await {
            1 => Ok(()),
            other => Err(format!("{other} rows")),
        },
    )
    .await;
    let row = api
        .sql("SELECT error FROM observations WHERE missed AND error LIKE '%suspended%'")
        .await;
    let text = row[0][0].as_str().expect("a text");
    assert!(
        text.starts_with("missed: 864") && text.contains(" runs in 1d"),
        "{text}"
    );
    assert_eq!(api.get("/readyz").await.status, 200);
}
