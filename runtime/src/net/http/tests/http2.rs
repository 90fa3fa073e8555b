//! HTTP/2 with prior knowledge, and trailers.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;

use super::*;

fn request(url: &str) -> HttpRequest {
    HttpRequest {
        http2: true,
        trailers: true,
        ..HttpRequest::new("POST", url, soon())
    }
}

/// Answers over plain HTTP/2 with a trailer.
async fn serve_plain_http2() -> SocketAddr {
    serve(|stream| async move {
        let answer = |request: Request<Incoming>| async move {
            let te = request.headers().get("te").cloned();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            trailers.insert("x-te", te.unwrap_or(HeaderValue::from_static("none")));
            let body = Full::new(Bytes::from("hello"))
                .with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
            Ok::<_, Infallible>(Response::new(body))
        };
        let _ = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
    })
    .await
}

#[tokio::test]
async fn plain_http2_brings_its_trailers() {
    let address = serve_plain_http2().await;
    let answer = plain_net()
        .http(&loopback(), request(&format!("http://{address}/a")))
        .await
        .unwrap();
    assert_eq!((answer.status, answer.version), (200, "HTTP/2"));
    assert_eq!(answer.body, "hello");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        answer.trailers,
        [pair("grpc-status", "0"), pair("x-te", "trailers")]
    );
}

#[tokio::test]
async fn a_server_without_http2_is_a_protocol_error() {
    let address = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let plain = plain_net()
        .http(&loopback(), request(&format!("http://{address}/")))
        .await
        .unwrap_err();
    assert_eq!(plain.error.kind(), ErrorKind::Protocol, "{plain}");

    let authority = Authority::new();
    let net = net(NetSettings::default(), Some(&authority));
    let leaf = Leaf::of(&["localhost"]);
    let address = authority.serve(&leaf, &[], |_stream| async {}).await;
    let url = format!("https://localhost:{}/", address.port());
    let secure = net.http(&loopback(), request(&url)).await.unwrap_err();
    assert!(
        secure.to_string().contains("does not speak HTTP/2"),
        "{secure}"
    );
}

#[tokio::test]
async fn trailers_come_behind_chunks_too() {
    let head = Arc::new(Mutex::new(String::new()));
    let seen = head.clone();
    let address = serve(move |mut stream: TcpStream| {
        let seen = seen.clone();
        async move {
            *seen.lock().unwrap() = read_head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                           3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let asked = HttpRequest {
        http2: false,
        ..request(&format!("http://{address}/"))
    };
    let answer = plain_net().http(&loopback(), asked).await.unwrap();
    assert_eq!(answer.body, "abc");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let head = head.lock().unwrap().to_lowercase();
    assert!(
        head.contains("te: trailers\r\n") && head.contains("connection: te\r\n"),
        "{head}"
    );
}
