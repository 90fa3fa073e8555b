mod hostile;
mod http2;
mod reading;

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::domain::ErrorKind;
use crate::net::testing::{
    Authority, Leaf, closed_port, loopback, net, permission, plain_net, read_head, serve,
    serve_silence, shortly, soon,
};
use crate::net::{Net, NetSettings};

/// Answers each request with the same bytes, and closes.
async fn scripted(answer: &'static [u8]) -> SocketAddr {
    serve(move |mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(answer).await;
    })
    .await
}

async fn get(address: SocketAddr) -> Result<HttpResponse, NetFailure> {
    plain_net()
        .http(
            &loopback(),
            HttpRequest::new("GET", &format!("http://{address}/x?y"), soon()),
        )
        .await
}

#[tokio::test]
async fn answers_with_status_headers_body_phases_and_peer() {
    let address = scripted(
        b"HTTP/1.1 302 Found\r\nLocation: /z\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    let answer = get(address).await.unwrap();
    assert_eq!(
        (answer.status, answer.version, answer.peer, answer.truncated),
        (302, "HTTP/1.1", address, false)
    );
    assert_eq!(answer.body, "hello");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = [
        pair("location", "/z"),
        pair("x-a", "1"),
        pair("x-a", "2"),
        pair("content-length", "5"),
    ];
    assert!(
        wanted.iter().all(|pair| answer.headers.contains(pair)),
        "{:?}",
        answer.headers
    );
    let phases = answer.phases;
    assert!(
        phases.dns_us.is_none() && phases.tls_us.is_none(),
        "{phases:?}"
    );
    let (connect, first, body) = (
        phases.connect_us.unwrap(),
        phases.first_byte_us.unwrap(),
        phases.body_us.unwrap(),
    );
    assert!(
        connect + first + body <= answer.total_us,
        "{phases:?} {}",
        answer.total_us
    );
    assert!(answer.certificate.is_none());
}

#[tokio::test]
async fn a_name_is_resolved_and_the_request_is_as_servers_want_it() {
    let address = serve(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}",
            head.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let url = format!("http://localhost:{}/a%20b?q=1#part", address.port());
    let mut request = HttpRequest::new("POST", &url, soon());
    request.headers.push(("X-Key".to_owned(), "v".to_owned()));
    let answer = plain_net().http(&loopback(), request).await.unwrap();
    assert!(answer.phases.dns_us.is_some());
    let head = String::from_utf8(answer.body.to_vec())
        .unwrap()
        .to_lowercase();
    assert!(head.starts_with("post /a%20b?q=1 http/1.1\r\n"), "{head}");
    for wanted in [
        format!("host: localhost:{}\r\n", address.port()),
        format!("user-agent: extrack/{}\r\n", env!("CARGO_PKG_VERSION")),
        "x-key: v\r\n".to_owned(),
        "content-length: 0\r\n".to_owned(),
    ] {
        assert!(head.contains(&wanted), "{wanted} in {head}");
    }
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn each_fault_of_a_server_has_its_kind_and_text() {
    const BOMB: &[u8] = &[b'a'; 200 * 1024];
    for (answer, kind, text) in [
        (
            &b""[..],
            ErrorKind::Protocol,
            "closed the connection before the answer was complete",
        ),
        (
            b"SSH-2.0-OpenSSH_9\r\n\r\n",
            ErrorKind::Protocol,
            "is not HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            ErrorKind::Protocol,
            "closed the connection before the body was complete",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ErrorKind::Protocol,
            "the body",
        ),
        (BOMB, ErrorKind::Protocol, ""),
    ] {
        let address = scripted(answer).await;
        let failure = get(address).await.unwrap_err();
        assert_eq!(failure.error.kind(), kind, "{failure:?}");
        assert!(failure.to_string().contains(text), "{text:?} in {failure}");
        assert!(
            failure.phases.connect_us.is_some() && failure.phases.body_us.is_none(),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_too_large() {
    let many = || {
        format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "A: b\r\n".repeat(MAX_HEADERS + 1)
        )
    };
    let large = || {
        format!(
            "HTTP/1.1 200 OK\r\nA: {}\r\n\r\n",
            "b".repeat(MAX_HEADER_BYTES)
        )
    };
    let endless = || {
        format!(
            "HTTP/1.1 200 OK\r\nA: {}",
            "b".repeat(16 * MAX_HEADER_BYTES)
        )
    };
    for head in [many(), large(), endless()] {
        let address = scripted(Box::leak(head.into_boxed_str()).as_bytes()).await;
        let failure = get(address).await.unwrap_err();
        assert!(
            matches!(failure.error, NetError::TooLarge(_)),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn the_body_ends_at_the_cap() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let net = net(
        NetSettings {
            max_body_bytes: 100_000,
            ..NetSettings::default()
        },
        None,
    );
    for (asked, wanted) in [
        (None, 100_000),
        (Some(10), 10),
        (Some(usize::MAX), 100_000),
        (Some(0), 0),
    ] {
        let mut request = HttpRequest::new("GET", &format!("http://{address}/"), soon());
        request.max_body_bytes = asked;
        let answer = net.http(&loopback(), request).await.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (wanted, true));
    }
}

/// Fails within its deadline, saying what it was doing.
async fn times_out(net: &Net, url: &str, doing: &str) -> NetFailure {
    let started = Instant::now();
    let failure = net
        .http(&loopback(), HttpRequest::new("GET", url, shortly()))
        .await
        .unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(failure.error.kind(), ErrorKind::Timeout, "{failure:?}");
    assert!(
        failure.to_string().contains(doing),
        "{doing:?} in {failure}"
    );
    failure
}

#[tokio::test]
async fn silence_at_any_point_ends_at_the_deadline_with_the_phases_before_it() {
    let silent = serve_silence().await;
    let failure = times_out(
        &plain_net(),
        &format!("http://{silent}/"),
        "waiting for the first byte",
    )
    .await;
    assert!(
        failure.phases.connect_us.is_some() && failure.phases.first_byte_us.is_none(),
        "{failure:?}"
    );
    assert!(failure.total_us >= 900_000, "{failure:?}");

    let silent = serve_silence().await;
    let failure = times_out(
        &plain_net(),
        &format!("https://{silent}/"),
        "shaking hands by TLS",
    )
    .await;
    assert!(
        failure.phases.connect_us.is_some() && failure.phases.tls_us.is_none(),
        "{failure:?}"
    );

    let stuck = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nA:").await;
        std::future::pending().await
    })
    .await;
    let failure = times_out(
        &plain_net(),
        &format!("http://{stuck}/"),
        "reading the headers",
    )
    .await;
    assert!(failure.phases.first_byte_us.is_some(), "{failure:?}");

    let drip = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    })
    .await;
    let failure = times_out(&plain_net(), &format!("http://{drip}/"), "reading the body").await;
    assert!(
        failure.phases.first_byte_us.is_some() && failure.phases.body_us.is_none(),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let address = closed_port().await;
    let failure = get(address).await.unwrap_err();
    assert_eq!(
        failure.error,
        NetError::Connect(format!("can't connect to `{address}`: connection refused"))
    );
    assert_eq!(failure.phases, Phases::default());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_error() {
    // The name is too long for any resolver, so that no question leaves the machine.
    let name = format!("{}.invalid", vec!["a".repeat(60); 5].join("."));
    let request = HttpRequest::new("GET", &format!("http://{name}/"), soon());
    let failure = plain_net()
        .http(&permission(&[&name], true), request)
        .await
        .unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Dns, "{failure:?}");
    assert!(
        failure
            .to_string()
            .starts_with(&format!("`{name}` does not resolve: ")),
        "{failure}"
    );
}

#[tokio::test]
async fn what_the_policy_forbids_is_not_connected_to() {
    let address = serve(|_stream| async { panic!("nobody may come here") }).await;
    let port = address.port();
    let everything = [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[::1]",
    ];
    let metadata = [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "[::]",
    ];
    let public = permission(&everything, false);
    let private = permission(&metadata, true);
    for (permission, host, word) in [
        (&public, "127.0.0.1", "private: true"),
        (&public, "localhost", "`localhost` is `"),
        (&public, "0x7f000001", "loopback"),
        (&public, "[::ffff:127.0.0.1]", "private: true"),
        (&public, "[::127.0.0.1]", "private: true"),
        (&public, "[64:ff9b::127.0.0.1]", "private: true"),
        (&public, "[::1]", "private: true"),
        (&public, "127.0.0.2", "may not connect to `127.0.0.2:"),
        (&private, "169.254.169.254", "never allowed"),
        (&private, "2852039166", "never allowed"),
        (&private, "[::ffff:a9fe:a9fe]", "never allowed"),
        (&private, "[fd00:ec2::254]", "never allowed"),
        (&private, "[fe80::1]", "never allowed"),
        (&private, "0.0.0.0", "never allowed"),
        (&private, "0", "never allowed"),
        (&private, "[::]", "never allowed"),
    ] {
        let request = HttpRequest::new("GET", &format!("http://{host}:{port}/"), soon());
        let failure = plain_net().http(permission, request).await.unwrap_err();
        assert_eq!(
            failure.error.kind(),
            ErrorKind::Denied,
            "{host}: {failure:?}"
        );
        assert!(failure.to_string().contains(word), "{word:?} in {failure}");
        assert!(
            failure
                .to_string()
                .contains("probe `http` of service `shop`"),
            "{failure}"
        );
        assert!(failure.phases.connect_us.is_none());
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_before_anything_is_sent() {
    for (method, url, kind) in [
        ("GET", "not a url?key=secret", ErrorKind::Protocol),
        ("GET", "file:///etc/passwd", ErrorKind::Denied),
        ("GET", "http://user:secret@127.0.0.1/", ErrorKind::Denied),
        ("GET", "http://user:secret@[::1/", ErrorKind::Protocol),
        ("CONNECT", "http://127.0.0.1/", ErrorKind::Denied),
        ("G T", "http://127.0.0.1/", ErrorKind::Protocol),
    ] {
        let failure = plain_net()
            .http(&loopback(), HttpRequest::new(method, url, soon()))
            .await
            .unwrap_err();
        assert_eq!(failure.error.kind(), kind, "{method} {url}: {failure}");
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
}

#[tokio::test]
async fn https_shows_the_certificate_and_speaks_either_version() {
    let authority = Authority::new();
    let net = net(NetSettings::default(), Some(&authority));
    let versions: [(&[&[u8]], &str); 3] = [
        (&[b"h2", b"http/1.1"], "HTTP/2"),
        (&[b"http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ];
    for (alpn, version) in versions {
        let address = authority
            .serve(&Leaf::of(&["localhost"]), alpn, move |stream| async move {
                let service = service_fn(|request: http::Request<Incoming>| async move {
                    let host = request
                        .headers()
                        .get("host")
                        .and_then(|host| host.to_str().ok());
                    let text = host
                        .map(str::to_owned)
                        .or(request.uri().authority().map(ToString::to_string));
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(
                        text.unwrap_or_default(),
                    ))))
                });
                let io = TokioIo::new(stream);
                let _ = if version == "HTTP/2" {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await
                } else {
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await
                };
            })
            .await;
        let url = format!("https://localhost:{}/", address.port());
        let answer = net
            .http(&loopback(), HttpRequest::new("GET", &url, soon()))
            .await
            .unwrap();
        assert_eq!((answer.status, answer.version), (200, version));
        assert_eq!(answer.body, format!("localhost:{}", address.port()));
        assert!(answer.phases.tls_us.is_some() && answer.phases.first_byte_us.is_some());
        let certificate = answer.certificate.unwrap();
        assert_eq!(certificate.names, ["localhost"]);
        assert_eq!(
            (certificate.subject.as_str(), certificate.issuer.as_str()),
            ("CN=Test Server", "CN=Test Authority")
        );
        assert_eq!(
            (certificate.not_before, certificate.not_after),
            (1_577_836_800, 3_786_912_000)
        );
        assert_eq!(certificate.sha256.len(), 64);
    }
}

#[tokio::test]
async fn a_bad_certificate_says_what_was_found_and_what_was_wanted() {
    let authority = Authority::new();
    let trusting = net(NetSettings::default(), Some(&authority));
    let cases: [(Leaf, &Net, &str); 4] = [
        (
            Leaf {
                until: 2021,
                ..Leaf::of(&["localhost"])
            },
            &trusting,
            "expired on 2021-01-01T00:00:00Z, now it is 2",
        ),
        (
            Leaf {
                from: 2080,
                ..Leaf::of(&["localhost"])
            },
            &trusting,
            "not valid before 2080-01-01T00:00:00Z",
        ),
        (
            Leaf::of(&["a.example", "10.0.0.1"]),
            &trusting,
            "is for `a.example`, `10.0.0.1`, not for `localhost`",
        ),
        (
            Leaf::of(&["localhost"]),
            &plain_net(),
            "issuer `CN=Test Authority` is unknown",
        ),
    ];
    for (leaf, net, text) in cases {
        let address = authority
            .serve(&leaf, &[], |mut stream| async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            })
            .await;
        let mut request = HttpRequest::new(
            "GET",
            &format!("https://localhost:{}/", address.port()),
            soon(),
        );
        let failure = net.http(&loopback(), request.clone()).await.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Tls, "{failure:?}");
        assert!(failure.to_string().contains(text), "{text:?} in {failure}");
        assert!(failure.phases.connect_us.is_some() && failure.phases.tls_us.is_none());

        request.insecure = true;
        request.deadline = soon();
        assert_eq!(net.http(&loopback(), request).await.unwrap().status, 204);
    }
}

#[tokio::test]
async fn another_server_name_is_asked_for_and_checked() {
    let authority = Authority::new();
    let net = net(NetSettings::default(), Some(&authority));
    let address = authority
        .serve(&Leaf::of(&["shop.example"]), &[], |mut stream| async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        })
        .await;
    for (name, wanted) in [
        (Some("shop.example"), true),
        (Some("other.example"), false),
        (None, false),
    ] {
        let mut request = HttpRequest::new("GET", &format!("https://{address}/"), soon());
        request.server_name = name.map(str::to_owned);
        assert_eq!(
            net.http(&loopback(), request).await.is_ok(),
            wanted,
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn plain_text_on_a_tls_port_is_said_to_be_that() {
    let address = serve(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let request = HttpRequest::new("GET", &format!("https://{address}/"), soon());
    let failure = plain_net().http(&loopback(), request).await.unwrap_err();
    assert!(
        matches!(&failure.error, NetError::Tls(text) if text.contains("does not speak TLS")),
        "{failure:?}"
    );
}
