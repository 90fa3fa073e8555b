//! Bodies pass as they come, in both directions, at flat memory, and an end is passed on as what it
//! was.

use bytes::Bytes;
use extrack_tests::api::client;
use extrack_tests::runtime::text;
use extrack_tests::{Authority, GrpcServer, PATIENCE, Scripted, TestRuntime};
use futures::StreamExt;
use reqwest::{Body, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::vendor::ApiVendor;
use super::{call, consumer, ended, services, started};

const LARGE: usize = 256 << 20;
/// Memory of the connections' buffers, and of a debug build at work.
pub(super) const GROWTH: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_passes_before_the_next_one_is_made() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "").await;
    let answer = call(&runtime, &token, Method::GET, "/events").await;
    let mut events = answer.bytes_stream();
    for number in 0..3 {
        let event = tokio::time::timeout(PATIENCE, events.next())
            .await
            .expect("the event passes");
        assert_eq!(event.unwrap().unwrap(), format!("data: {number}\n\n"));
        vendor.next_event();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_ends_the_vendors_answer() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "").await;
    let answer = call(&runtime, &token, Method::GET, "/events").await;
    let mut events = answer.bytes_stream();
    events.next().await.unwrap().unwrap();
    drop(events);
    // Who writes to a client that left notices it.
    vendor.next_event();
    tokio::time::timeout(PATIENCE, vendor.dropped())
        .await
        .expect("the vendor's connection is closed");
    ended(&runtime.api(), "cancelled", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_is_no_clean_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let vendor = Scripted::start(answer).await;
        let (runtime, token) = started(&vendor.url(), "").await;
        let answer = call(&runtime, &token, Method::GET, "/x").await;
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.is_err());
        ended(&runtime.api(), "truncated", 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_at_flat_memory() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "").await;
    call(&runtime, &token, Method::GET, "/echo").await;
    reset_peak(&runtime);
    let before = peak(&runtime);

    let piece = Bytes::from(vec![b'u'; 64 * 1024]);
    let pieces = futures::stream::iter(0..LARGE / piece.len())
        .map(move |_| Ok::<_, std::convert::Infallible>(piece.clone()));
    let sent = client()
        .post(format!("{}/gateway/vendor/upload", runtime.url()))
        .bearer_auth(&token)
        .body(Body::wrap_stream(pieces))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.text().await.unwrap(), LARGE.to_string());

    let answer = call(&runtime, &token, Method::GET, &format!("/download?{LARGE}")).await;
    let mut pieces = answer.bytes_stream();
    let mut count = 0;
    while let Some(piece) = pieces.next().await {
        count += piece.unwrap().len();
    }
    assert_eq!(count, LARGE);
    let growth = peak(&runtime).saturating_sub(before);
    assert!(growth < GROWTH, "grew by {} MiB", growth >> 20);
    ended(&runtime.api(), "complete", 3).await;
}

/// Has the kernel forget the highest use of memory so far.
pub(super) fn reset_peak(runtime: &TestRuntime) {
    std::fs::write(format!("/proc/{}/clear_refs", runtime.pid()), "5").unwrap();
}

/// Highest use of memory, in bytes.
pub(super) fn peak(runtime: &TestRuntime) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", runtime.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// Calls of gRPC, many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_of_http_2_alone_is_called_by_it() {
    let authority = Authority::new("gateway tests");
    let vendor = GrpcServer::start_tls(&authority.sign(&["localhost"], -1, 30)).await;
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), authority.certificate()).unwrap();
    let url = format!("https://localhost:{}", vendor.port());
    let runtime = TestRuntime::builder()
        .services(services(&url, ""))
        .env("SSL_CERT_FILE", text(roots.path()))
        .start()
        .await;
    let token = consumer(&runtime.api(), "alice", &["*"]).await;
    let calls = (0..50).map(|_| async {
        let request = format!(
            "POST /gateway/vendor/grpc.health.v1.Health/Check HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/grpc\r\nte: trailers\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0"
        );
        let address = runtime.url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("the answer ends")
            .unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    });
    for answer in futures::future::join_all(calls).await {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        // One message of two bytes: field 1, serving.
        assert!(answer.contains("\0\0\0\0\u{2}\u{8}\u{1}"), "{answer:?}");
    }
    ended(&runtime.api(), "complete", 50).await;
}
