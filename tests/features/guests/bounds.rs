//! Bounds on what a guest hands over, logs, takes and waits for; each is called by its name.

use std::time::Duration;

use extrack_tests::{
    Dribble, HangingServer, Inbox, PATIENCE, TargetServer, TestRuntime, Vendor, components,
    wait_for,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::{assert_unharmed, beside, peak_mb, service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_megabytes_are_refused_in_a_few_words_by_every_function() {
    let nginx = TargetServer::start().await;
    let guest = "probe-giant-names";
    let runtime = TestRuntime::builder()
        .services(format!(
            "services:{}\n",
            service(guest, guest, &nginx.url(), 86_400).replace("700", "20000")
        ))
        .plugin("probe-giant-names.wasm", components::guest(guest))
        .start()
        .await;
    let found = runtime.api().check(guest).await;
    assert_eq!(found["status"], "healthy", "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_lines_a_hundred_are_logged_and_none_passes_for_one_of_ours() {
    let nginx = TargetServer::start().await;
    let guest = "probe-chatters";
    let runtime = TestRuntime::builder()
        .services(format!(
            "services:{}\n",
            service(guest, guest, &nginx.url(), 86_400).replace("700", "20000")
        ))
        .plugin("probe-chatters.wasm", components::guest(guest))
        .start()
        .await;
    let found = runtime.api().check(guest).await;
    assert_eq!(
        found["status"], "healthy",
        "a talkative check is no broken check: {found}"
    );
    let logs = runtime.logs();
    assert!(logs.contains("… and 9,900 more lines"), "{logs}");
    assert!(logs.matches(" line ").count() < 200, "{logs}");
    let forged = logs
        .lines()
        .find(|line| line.contains("forged line"))
        .expect("it is logged");
    assert!(
        forged.contains("probe-chatters") && forged.contains("fine\\n2026"),
        "{forged}"
    );
    assert!(
        !logs.contains("\u{1b}[2J"),
        "a control character reached the log"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_megabytes_is_cut_before_it_is_stored() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 500);
    let services = format!(
        "services:\n  - {{name: Shop, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1}}, \
         alerts: [{{condition: \"status == 'unhealthy'\", name: Down}}]}}\n",
        vendor.url()
    );
    let alerts = format!(
        "notifications: [{{channel: notifier-giant-receipts}}, {{channel: webhook, url: \"{}\"}}]\n\
         route: {{groupWait: 0, groupInterval: 1s}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .plugin(
            "notifier-giant-receipts.wasm",
            components::guest("notifier-giant-receipts"),
        )
        .start()
        .await;
    let api = runtime.api();
    wait_for("both messages to be delivered", PATIENCE, async || {
        let sent = api.list("/api/v1/notifications?state=delivered").await;
        if sent.len() == 2 {
            Ok(())
        } else {
            Err(format!("{} delivered", sent.len()))
        }
    })
    .await;
    for message in api.list("/api/v1/notifications?state=delivered").await {
        let text = message.to_string();
        assert!(
            text.len() < 8 << 10,
            "{} bytes: {}",
            text.len(),
            &text[..1_000]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dribbles_is_slow_and_its_plugin_is_not_broken() {
    const BYTES: usize = 1_000;
    let server = Dribble::start(BYTES, Duration::from_millis(5), "done").await;
    let services = format!(
        "services:\n  - {{name: Dribbles, type: own, baseUrl: \"http://{}\", monitoring: {{probe: tcp, interval: 86400, \
         timeout: 60000, settings: {{expect: done}}}}}}\n",
        server.address()
    );
    let runtime = TestRuntime::builder().services(services).start().await;
    let api = runtime.api();
    let found = api.check("dribbles").await;
    assert_eq!(found["status"], "healthy", "{found}");
    wait_for("the account of the run", PATIENCE, async || {
        let query =
            "SELECT outcome, cpu_us * 2 < duration_us FROM plugin_runs WHERE plugin = 'tcp' AND function = 'check'";
        let runs = api.sql(query).await;
        if runs == [[json!("ok"), json!(true)]] { Ok(()) } else { Err(format!("{runs:?}")) }
    })
    .await;
}

/// A guest in Rust that touches 20 MiB and then waits is to the host what one in Python is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_large_guests_at_a_vendor_that_hangs_take_no_more_memory_than_the_setting_says()
 {
    const GUESTS: usize = 500;
    const LIMIT_MB: u64 = 256;
    let (nginx, silent) = (TargetServer::start().await, HangingServer::start().await);
    let heavy = |index: usize| {
        format!(
            "\n  - {{name: \"heavy {index}\", type: own, baseUrl: \"{}\", \
             monitoring: {{probe: probe-takes-memory, interval: 5, timeout: 4000}}}}",
            silent.url()
        )
    };
    let runtime = TestRuntime::builder()
        .env("EXTRACK_RUNS_MEMORY_MB", LIMIT_MB.to_string())
        .env("EXTRACK_PROBES_PER_HOST", "1000")
        .services(format!(
            "{}{}\n",
            beside(&nginx, 40),
            (0..GUESTS).map(heavy).collect::<String>()
        ))
        .plugin(
            "probe-takes-memory.wasm",
            components::guest("probe-takes-memory"),
        )
        .start()
        .await;
    let api = runtime.api();
    let before = peak_mb(&runtime);
    wait_for("two rounds of them, and a thousand runs beside them", PATIENCE * 2, async || {
        let runs = "SELECT (SELECT count(*) FROM plugin_runs WHERE plugin = 'probe-takes-memory' AND function = 'check'), \
                    (SELECT count(*) FROM observations WHERE service LIKE 'beside-%')";
        let counted = api.sql(runs).await;
        let reached = |column: usize, wanted: u64| counted[0][column].as_u64().is_some_and(|count| count >= wanted);
        if reached(0, 2 * GUESTS as u64) && reached(1, 1_000) { Ok(()) } else { Err(format!("{counted:?}")) }
    })
    .await;
    // Some wait for the vendor, which is the vendor's time-out, the others for memory.
    let outcomes = api
        .sql("SELECT DISTINCT outcome FROM plugin_runs WHERE plugin = 'probe-takes-memory' AND function = 'check' ORDER BY 1")
        .await;
    assert!(
        outcomes.contains(&vec![Value::from("limit")]),
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .iter()
            .all(|row| ["limit", "ok", "timeout"].iter().any(|one| row[0] == *one)),
        "{outcomes:?}"
    );
    let timeouts =
        "SELECT count(*) FROM observations WHERE service LIKE 'heavy-%' AND error_kind = 'timeout'";
    assert_ne!(api.sql_count(timeouts).await, 0);
    let logs = runtime.logs();
    let is_blamed =
        |line: &str| line.contains("the plugin is failing") && line.contains("got no memory");
    assert!(
        !logs.lines().any(is_blamed),
        "the plugin is not to blame for what others have"
    );
    let told = api
        .sql("SELECT DISTINCT error FROM plugin_runs WHERE plugin = 'probe-takes-memory' AND outcome = 'limit'")
        .await;
    assert!(
        told.iter().all(|row| row[0]
            .as_str()
            .is_some_and(|text| text.contains("EXTRACK_RUNS_MEMORY_MB"))),
        "{told:?}"
    );
    // Beside what the runs have, five hundred of them wait with their connections and their tasks.
    let grown = peak_mb(&runtime).saturating_sub(before);
    assert!(grown < LIMIT_MB + 256, "{grown} MiB more than before");
    let metrics = api.metrics().await;
    assert!(
        metrics.contains(&format!(
            "extrack_runs_memory_limit_bytes {}",
            LIMIT_MB << 20
        )),
        "{metrics}"
    );
    let reserved = metrics
        .lines()
        .find_map(|line| line.strip_prefix("extrack_runs_memory_bytes "))
        .expect("it is shown");
    assert!(
        reserved
            .parse::<f64>()
            .is_ok_and(|bytes| bytes > 0.0 && bytes <= (LIMIT_MB << 20) as f64),
        "{reserved}"
    );
    assert_unharmed(&api).await;
}

/// A server that sends so many bytes of a body and then nothing, until it is dropped.
async fn stalling(bytes: usize) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port can be opened");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes + 1);
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b'x'; bytes]).await;
            open.push(stream);
        }
    });
    (url, AbortOnDropHandle::new(server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_count_as_memory_of_the_runs_while_they_arrive() {
    const BODIES: usize = 10;
    const BYTES: usize = 900_000;
    let (url, _server) = stalling(BYTES).await;
    let runtime = TestRuntime::builder()
        .services(format!(
            "services:\n  - {}\n",
            json!({
                "name": "Shop", "type": "own", "baseUrl": url,
                "monitoring": {"probe": "probe-attempts", "interval": 86_400, "timeout": 120_000,
                               "settings": {"together": true, "attempts": vec![json!({"url": url, "timeout": 110}); BODIES]}},
            })
        ))
        .plugin("probe-attempts.wasm", components::guest("probe-attempts"))
        .start()
        .await;
    let api = runtime.api();
    let arriving = wait_for("the bodies to be counted", PATIENCE, async || {
        let metrics = api.metrics().await;
        let reserved = metrics
            .lines()
            .find_map(|line| line.strip_prefix("extrack_runs_memory_bytes "))
            .and_then(|bytes| bytes.parse::<f64>().ok());
        if reserved.is_some_and(|bytes| bytes >= (BODIES * BYTES) as f64) {
            Ok(())
        } else {
            Err(format!("{reserved:?}"))
        }
    });
    tokio::select! {
        found = api.check("shop") => panic!("no body is whole: {found}"),
        () = arriving => {}
    }
}
