//! WebSockets pass byte by byte, and outlive changes that are not theirs.

use extrack_tests::{PATIENCE, TestRuntime, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::vendor::Echoing;
use super::{SECRET, consumer, ended, services};

const EXTENSIONS: &str = "permessage-deflate; client_max_window_bits";

async fn opened(runtime: &TestRuntime, token: &str) -> (TcpStream, String) {
    let address = runtime.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /gateway/vendor/socket?v=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: {EXTENSIONS}\r\n\r\nearly"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read(&mut stream, 1).await[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes))
        .await
        .expect("bytes come")
        .expect("the tunnel is open");
    bytes
}

async fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    assert_eq!(read(stream, text.len()).await, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_passes_untouched_and_outlives_a_reload() {
    let vendor = Echoing::start().await;
    let yaml = services(&vendor.url(), "");
    let runtime = TestRuntime::builder().services(yaml.clone()).start().await;
    let token = consumer(&runtime.api(), "alice", &["vendor"]).await;
    let (mut tunnel, head) = opened(&runtime, &token).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains(
            "sec-websocket-extensions: permessage-deflate; client_max_window_bits=12\r\n"
        ),
        "{head}"
    );
    // What either side sent with its head is not lost.
    assert_eq!(read(&mut tunnel, 10).await, b"firstearly");
    let sent = vendor.heads().remove(0);
    assert!(sent.starts_with("GET /socket?v=1 HTTP/1.1\r\n"), "{sent}");
    assert!(
        sent.contains(&format!("sec-websocket-extensions: {EXTENSIONS}\r\n")),
        "{sent}"
    );
    assert!(sent.contains(&format!("x-api-key: {SECRET}\r\n")), "{sent}");
    assert!(!sent.contains(&token), "{sent}");
    echoes(&mut tunnel, b"\x81\x85\x00\x00\x00\x00hello").await;

    let file = runtime.config().join("services.yaml");
    let more = format!(
        "{yaml}  - name: Another\n    baseUrl: \"{}\"\n    monitoring: {{interval: 86400}}\n",
        vendor.url()
    );
    std::fs::write(&file, &more).unwrap();
    wait_for("the other service", PATIENCE, async || {
        let reply = runtime.api().get("/api/v1/services/another").await;
        (reply.status == 200).then_some(()).ok_or(reply.text)
    })
    .await;
    echoes(&mut tunnel, b"still here").await;

    let other_secret = more.replace(SECRET, "an0ther-s3cret-0123456789");
    std::fs::write(&file, other_secret).unwrap();
    let mut byte = [0];
    let end = tokio::time::timeout(PATIENCE, tunnel.read(&mut byte))
        .await
        .expect("a tunnel whose credential went is closed");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    ended(&runtime.api(), "truncated", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_tunnels_and_is_not_held_up_by_them() {
    let vendor = Echoing::start().await;
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor.url(), ""))
        .start()
        .await;
    let token = consumer(&runtime.api(), "alice", &["vendor"]).await;
    let (mut tunnel, _) = opened(&runtime, &token).await;
    assert_eq!(read(&mut tunnel, 10).await, b"firstearly");
    assert!(runtime.stop().await.success());
}
