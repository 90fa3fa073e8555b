//! HTTP/2 into the gateway and out of it: gRPC as its clients speak it, and streams in both
//! directions at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use extrack_tests::{GrpcServer, PATIENCE, TestRuntime, wait_for};
use futures::StreamExt;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request as GrpcRequest};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::streams::{GROWTH, peak, reset_peak};
use super::{ended, started};

/// Clients of gRPC know no path before their services: the gateway knows them by this name.
const GATEWAY: &str = "      http2: true\n      host: vendor.internal";

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Sent = UnsyncBoxBody<Bytes, BoxError>;
type Sender = http2::SendRequest<Sent>;

/// Speaks HTTP/2 with prior knowledge.
async fn connect(runtime: &TestRuntime) -> Sender {
    let address = runtime.url().trim_start_matches("http://");
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let handshake = http2::handshake(TokioExecutor::new(), stream);
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A channel of gRPC over one connection.
#[derive(Clone)]
struct Channel(Sender);

impl GrpcService<Body> for Channel {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        Box::pin(self.0.send_request(request))
    }
}

fn asks(service: &str, token: &str) -> GrpcRequest<HealthCheckRequest> {
    let mut request = GrpcRequest::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    let bearer = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_grpc_has_its_answers_its_streams_and_its_errors() {
    let vendor = GrpcServer::start().await;
    let url = format!("http://{}", vendor.address());
    let (runtime, token) = started(&url, GATEWAY).await;
    let origin = "http://vendor.internal".parse().unwrap();
    let mut client = HealthClient::with_origin(Channel(connect(&runtime).await), origin);

    for (service, wanted) in [
        ("up", ServingStatus::Serving),
        ("down", ServingStatus::NotServing),
    ] {
        let answer = client.check(asks(service, &token)).await.unwrap();
        assert_eq!(answer.into_inner().status(), wanted, "{service}");
    }
    let refused = client.check(asks("absent", &token)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused:?}");

    // Its first message comes while the call goes on.
    let watched = client.watch(asks("up", &token)).await.unwrap();
    let mut watched = watched.into_inner();
    let first = tokio::time::timeout(PATIENCE, watched.message())
        .await
        .expect("a message passes before the end")
        .unwrap()
        .unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    drop(watched);

    let api = runtime.api();
    ended(&api, "complete", 3).await;
    ended(&api, "cancelled", 1).await;
    wait_for("a row for each call", PATIENCE, async || {
        let rows = api
            .sql_count(
                "SELECT count(*) FROM calls WHERE status = 200 AND consumer = 'alice' \
                 AND method = 'POST' AND cache = 'none'",
            )
            .await;
        if rows == 4 {
            Ok(())
        } else {
            Err(format!("{rows} rows"))
        }
    })
    .await;
}

/// A vendor of HTTP/2 alone that sends back what it gets, as it comes, with a trailer behind it.
struct EchoingHttp2 {
    address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

impl EchoingHttp2 {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(echo));
                tokio::spawn(connection);
            }
        });
        Self {
            address,
            _server: AbortOnDropHandle::new(server),
        }
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<EchoBody>, hyper::Error> {
    let te = request.headers().get("te").cloned();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", HeaderValue::from_static("whole"));
    let last = futures::stream::iter([Ok(Frame::trailers(trailers))]);
    let frames = request.into_body().into_data_stream();
    let frames = frames.map(|piece| piece.map(Frame::data)).chain(last);
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    if let Some(te) = te {
        response.headers_mut().insert("x-te", te);
    }
    Ok(response)
}

type EchoBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// A body of what is sent into the channel.
fn pieces() -> (mpsc::Sender<Bytes>, Sent) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let frames = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

async fn next(body: &mut Incoming) -> Frame<Bytes> {
    tokio::time::timeout(PATIENCE, body.frame())
        .await
        .expect("a piece passes")
        .expect("there is more")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_stream_at_once_and_who_reads_slowly_slows_down_who_sends() {
    const SIZE: usize = 96 << 20;
    const PIECE: usize = 64 * 1024;
    let vendor = EchoingHttp2::start().await;
    let (runtime, token) = started(&format!("http://{}", vendor.address), GATEWAY).await;
    let mut client = connect(&runtime).await;
    let (sender, body) = pieces();
    let request = Request::post("http://vendor.internal/echo")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let answer = client.send_request(request);
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-te"], "trailers");
    let mut body = answer.into_body();
    assert_eq!(next(&mut body).await.into_data().unwrap(), "one");
    sender.send(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(next(&mut body).await.into_data().unwrap(), "two");

    reset_peak(&runtime);
    let before = peak(&runtime);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let sending = tokio::spawn(async move {
        let piece = Bytes::from(vec![b'u'; PIECE]);
        for _ in 0..SIZE / PIECE {
            sender.send(piece.clone()).await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Nothing moves any more, since nothing is read.
    let mut before_that = 0;
    wait_for("the sender to wait", PATIENCE, async || {
        let now = sent.load(Ordering::Relaxed);
        match std::mem::replace(&mut before_that, now) {
            same if same == now && now > 0 => Ok(()),
            _ => Err(format!("{now} pieces are sent")),
        }
    })
    .await;
    assert!(!sending.is_finished());
    let mut count = 0;
    let trailers = loop {
        match next(&mut body).await.into_data() {
            Ok(piece) => count += piece.len(),
            Err(last) => break last.into_trailers().unwrap(),
        }
    };
    assert_eq!(count, SIZE);
    assert_eq!(trailers["x-end"], "whole");
    sending.await.unwrap();
    let growth = peak(&runtime).saturating_sub(before);
    assert!(growth < GROWTH, "grew by {} MiB", growth >> 20);
    ended(&runtime.api(), "complete", 1).await;
}

/// A request that means one host by its address and another one by its header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_can_be_read_in_two_ways_reaches_no_vendor() {
    let vendor = super::vendor::ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "      host: vendor.internal").await;
    let mut client = connect(&runtime).await;
    let mut status = async |host: Option<&str>| {
        let (_, body) = pieces();
        let mut request = Request::get("http://vendor.internal/echo")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let answer = client.send_request(request.body(body).unwrap()).await;
        answer.unwrap().status().as_u16()
    };
    assert_eq!(status(None).await, 200);
    assert_eq!(status(Some("vendor.internal")).await, 200);
    assert_eq!(status(Some("other.internal")).await, 400);
    assert_eq!(vendor.hits("/echo"), 2);
}
