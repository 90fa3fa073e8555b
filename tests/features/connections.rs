//! Strangers that hold connections: the program goes on watching, reporting and answering about its
//! health.

use std::net::SocketAddr;
use std::time::Duration;

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::task::AbortOnDropHandle;

const DESCRIPTORS: u32 = 1_024;
/// Each way of holding a connection.
const HELD: usize = 370;

/// Bytes that a client sends at first, and again and again to look alive.
const WAYS: [(&str, &str); 3] = [
    ("", ""),
    ("GET / HTTP/1.1\r\nhost: x\r\n", "a"),
    (
        "POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 9000\r\n\r\n",
        "a",
    ),
];

/// Connections from an address of its own, opened again when they are closed.
struct Strangers(#[expect(dead_code, reason = "held until the end")] Vec<AbortOnDropHandle<()>>);

impl Strangers {
    fn come(server: SocketAddr) -> Self {
        let hold = move |way: (&'static str, &'static str)| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    let _closed = hold(server, way).await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }))
        };
        Self(
            WAYS.into_iter()
                .flat_map(|way| std::iter::repeat_n(way, HELD))
                .map(hold)
                .collect(),
        )
    }
}

async fn connect(server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0)))?;
    socket.connect(server).await
}

async fn hold(server: SocketAddr, (first, then): (&str, &str)) -> std::io::Result<()> {
    let mut stream = connect(server).await?;
    stream.write_all(first.as_bytes()).await?;
    let mut answer = [0; 1_024];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 { return Ok(()) },
            () = tokio::time::sleep(Duration::from_secs(1)) => stream.write_all(then.as_bytes()).await?,
        }
    }
}

/// The test itself holds more connections than most systems grant at first.
fn raise_own_limit() {
    let pid = std::process::id().to_string();
    let raised = std::process::Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=4096:"])
        .status();
    assert!(
        raised.is_ok_and(|status| status.success()),
        "a process may raise its soft limit"
    );
}

fn services(vendor: &Vendor) -> String {
    let service = |name: &str| {
        format!(
            "  - {{name: {name}, baseUrl: \"{}\", healthEndpoint: /{name}, monitoring: {{interval: 1, timeout: 20000}}}}\n",
            vendor.url()
        )
    };
    format!(
        "services:\n{}",
        ["one", "two", "three", "broken"].map(service).concat()
    )
}

fn alerts(inbox: &Inbox) -> String {
    format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\n\
         alerts:\n  - {{name: Down, condition: \"status in ['unhealthy', 'error']\", severity: critical}}\n",
        inbox.url("/hook")
    )
}

async fn runs(api: &Api, which: &str) -> i64 {
    api.sql_count(&format!("SELECT count(*) FROM observations WHERE {which}"))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_descriptors_stop_no_probe_and_no_message() {
    raise_own_limit();
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let builder = TestRuntime::builder()
        .services(services(&vendor))
        .alerts(alerts(&inbox));
    let mut runtime = builder.file_limit(DESCRIPTORS).start().await;
    let (api, server) = (
        runtime.api(),
        runtime.url().trim_start_matches("http://").parse().unwrap(),
    );

    let mut first = Vec::new();
    for _ in 0..1_100 {
        first.extend(connect(server).await.ok());
    }
    // A quarter of the descriptors is for connections; the rest of these are closed.
    wait_for("idle connections to make room", PATIENCE, async || {
        let mut closed = 0;
        for stream in &mut first {
            let mut byte = [0];
            let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await;
            closed += usize::from(read.is_ok());
        }
        if closed > 600 {
            Ok(())
        } else {
            Err(format!("{closed} are closed"))
        }
    })
    .await;
    drop(first);

    let strangers = Strangers::come(server);
    let before = runs(&api, "true").await;
    wait_for("probes to go on for a while", PATIENCE, async || {
        // A client of its own each time: nothing is left over from before.
        let reply = Api::new(runtime.url(), None).get("/healthz").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let now = runs(&api, "true").await;
        if now >= before + 40 {
            Ok(())
        } else {
            Err(format!("{now} after {before}"))
        }
    })
    .await;
    let broken = runs(&api, "status IN ('unhealthy', 'error')").await;
    assert_eq!(
        (broken, inbox.all().len()),
        (0, 0),
        "nothing was down: {:?}",
        inbox.all()
    );

    vendor.set_status("/broken", 500);
    wait_for(
        "the message about the broken service",
        PATIENCE,
        async || {
            let all = inbox.received("/hook");
            let found = all
                .iter()
                .any(|message| message.body.to_string().contains("broken"));
            if found {
                Ok(())
            } else {
                Err(format!("{all:?}"))
            }
        },
    )
    .await;
    let metrics = api.metrics().await;
    let open = metrics
        .lines()
        .find_map(|line| line.strip_prefix("extrack_http_connections "))
        .unwrap();
    assert!(open.parse::<f64>().unwrap() <= 256.0, "{open}");
    drop(strangers);
    assert!(runtime.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_of_a_stranger_block_neither_signing_in_nor_health_nor_deliveries() {
    raise_own_limit();
    let vendor = Vendor::start().await;
    let webhook = "    webhooks: [{plugin: generic, name: told, settings: {secret: \"s-0123456789abcdef\", kind: \"'any'\"}}]\n";
    let yaml = format!(
        "services:\n  - name: Shop\n    baseUrl: \"{}\"\n    monitoring: {{interval: 86400}}\n{webhook}",
        vendor.url()
    );
    let mut runtime = TestRuntime::builder().services(yaml).start().await;
    let server: SocketAddr = runtime.url().trim_start_matches("http://").parse().unwrap();
    let mut held = Vec::new();
    for (path, count) in [("/login", 300), ("/webhooks/shop/told", 100)] {
        for _ in 0..count {
            let mut stream = connect(server).await.unwrap();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 9000\r\n\r\na"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }
    let anonymous = runtime.api().anonymous();
    for _ in 0..20 {
        assert_eq!(anonymous.get("/healthz").await.status, 200);
        let form = anonymous
            .request(Method::POST, "/login")
            .body("token=wrong");
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let status = anonymous.send(form).await.status;
        assert!(matches!(status, 401 | 429), "{status}");
        let delivery = anonymous
            .request(Method::POST, "/webhooks/shop/told")
            .json(&json!({}));
        assert_eq!(
            anonymous.send(delivery).await.status,
            401,
            "the signature is what is missing"
        );
        assert_eq!(runtime.api().get("/api/v1/services").await.status, 200);
    }
    drop(held);
    assert!(runtime.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_far_too_large_is_answered() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    for size in [2, 10, 40] {
        let request = api
            .request(Method::POST, "/api/v1/services")
            .header("content-type", "application/json");
        let reply = api.send(request.body(vec![b' '; size * 1024 * 1024])).await;
        assert_eq!(
            reply.expect_problem(413)["type"],
            "urn:problem-type:extrack:too-large",
            "{size} MiB"
        );
    }
    let reply = api.get(&format!("/api/v1/{}", "a".repeat(60_000))).await;
    assert_eq!(
        reply.expect_problem(414)["type"],
        "urn:problem-type:extrack:uri-too-long"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_come_and_go_by_command_line_and_by_variable() {
    let mut runtime = TestRuntime::builder().start().await;
    let made = runtime
        .cli([
            "token",
            "create",
            "ci",
            "--scope",
            "read",
            "--expires",
            "90d",
        ])
        .await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let ci = Api::new(runtime.url(), Some(made.out.trim()));
    assert_eq!(ci.get("/api/v1/services").await.status, 200);
    ci.post(
        "/api/v1/silences",
        &json!({"matchers": "service=x", "duration": "1h"}),
    )
    .await
    .expect_problem(403);
    let listed = runtime.cli(["token", "list"]).await.out;
    assert!(
        listed.contains("ci")
            && listed.contains("environment")
            && !listed.contains(made.out.trim()),
        "{listed}"
    );

    // Last uses are written down, at the latest at the stop.
    runtime.restart().await;
    let list = runtime.api().list("/api/v1/tokens").await;
    let used = list.iter().find(|token| token["name"] == "ci").unwrap();
    assert!(used["lastUsedAt"].is_string(), "{used}");
    let revoked = runtime.cli(["token", "revoke", "ci"]).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    let ci = Api::new(runtime.url(), Some(made.out.trim()));
    ci.get("/api/v1/services").await.expect_problem(401);
    let audit = runtime
        .api()
        .get("/api/v1/audit?subject=token:")
        .await
        .expect(200);
    assert_eq!(
        (&audit["items"][0]["action"], &audit["items"][0]["address"]),
        (&json!("token.revoke"), &json!("127.0.0.1"))
    );
}

#[tokio::test]
async fn a_short_admin_token_is_refused_at_start() {
    let runtime = TestRuntime::builder()
        .env("EXTRACK_ADMIN_TOKEN", "a")
        .prepare();
    let said = runtime.check_config().await;
    assert_ne!(said.code, Some(0));
    let wanted = "EXTRACK_ADMIN_TOKEN: must have at least 32 characters; `openssl rand -hex 32`";
    assert!(
        said.out.contains(wanted) || said.err.contains(wanted),
        "{said:?}"
    );
}
