//! Answers made to do harm: each ends at a cap or at the deadline.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::net::{BodyRoom, ClientIdentity};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Answers with that body in that coding, and with a header that has what was accepted.
async fn coded(coding: &'static str, body: Vec<u8>) -> SocketAddr {
    let body = Arc::new(body);
    serve(move |mut stream: TcpStream| {
        let body = body.clone();
        async move {
            let asked = read_head(&mut stream).await.to_lowercase();
            let accepted = asked.lines().find_map(|line| line.strip_prefix("accept-encoding: ")).unwrap_or("nothing");
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\nX-Accepted: {accepted}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    })
    .await
}

async fn fetch(
    address: SocketAddr,
    change: impl FnOnce(&mut HttpRequest),
) -> Result<HttpResponse, NetFailure> {
    let mut request = HttpRequest::new("GET", &format!("http://{address}/"), soon());
    change(&mut request);
    plain_net().http(&loopback(), request).await
}

#[tokio::test]
async fn a_body_is_decompressed_for_those_who_want_it() {
    let text = "hello ".repeat(100);
    let packed = gzip(text.as_bytes());
    let address = coded("gzip", packed.clone()).await;
    let header = |answer: &HttpResponse, name: &str| {
        answer
            .headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.clone())
    };

    let answer = fetch(address, |request| request.decompress = true)
        .await
        .unwrap();
    assert_eq!(answer.body, text.as_bytes());
    assert_eq!(answer.received_bytes, packed.len() as u64);
    assert_eq!(
        header(&answer, "x-accepted").as_deref(),
        Some("gzip, deflate, br")
    );
    assert_eq!(
        (
            header(&answer, "content-encoding"),
            header(&answer, "content-length")
        ),
        (None, None)
    );

    let answer = fetch(address, |_| ()).await.unwrap();
    assert_eq!(answer.body, packed);
    assert_eq!(header(&answer, "x-accepted").as_deref(), Some("nothing"));
    assert_eq!(header(&answer, "content-encoding").as_deref(), Some("gzip"));
}

#[tokio::test]
async fn a_bomb_is_too_large_and_not_unpacked() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let address = coded("gzip", bomb).await;
    for cap in [None, Some(100_000), Some(100)] {
        let answer = fetch(address, |request| {
            (request.decompress, request.max_body_bytes) = (true, cap)
        })
        .await;
        assert!(
            matches!(answer.unwrap_err().error, NetError::TooLarge(_)),
            "{cap:?}"
        );
    }
    for (coding, body) in [
        ("zstd", vec![1]),
        ("gzip, gzip", vec![1]),
        ("gzip", b"no gzip".to_vec()),
    ] {
        let answer = fetch(coded(coding, body).await, |request| {
            request.decompress = true
        })
        .await;
        assert!(
            matches!(answer.unwrap_err().error, NetError::Protocol(_)),
            "{coding}"
        );
    }
}

#[tokio::test]
async fn padding_around_the_body_ends_at_a_cap() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    // A chunk's extension, many of them, a trailer, many of them.
    let extension = format!("{CHUNKED}1;{}", "x".repeat(64 << 10));
    let extensions = format!(
        "{CHUNKED}{}",
        format!("1;{}\r\na\r\n", "x".repeat(1 << 10)).repeat(1 << 10)
    );
    let trailer = format!("{CHUNKED}1\r\na\r\n0\r\nX: {}", "x".repeat(1 << 20));
    let trailers = format!("{CHUNKED}1\r\na\r\n0\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    for answer in [extension, extensions, trailer, trailers] {
        let head = answer[CHUNKED.len()..].chars().take(20).collect::<String>();
        let address = scripted(Box::leak(answer.into_boxed_str()).as_bytes()).await;
        let failure = get(address).await.expect_err(&head);
        assert_eq!(
            failure.error.kind(),
            ErrorKind::Protocol,
            "{head}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn answers_before_the_answer_end_at_the_deadline() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
        while stream
            .write_all(&b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100))
            .await
            .is_ok()
        {}
    })
    .await;
    times_out(&plain_net(), &format!("http://{address}/"), "the headers").await;
}

#[tokio::test]
async fn two_lengths_are_no_answer() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
    ] {
        let failure = get(scripted(head.as_bytes()).await).await.expect_err(head);
        assert_eq!(failure.error.kind(), ErrorKind::Protocol, "{failure:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (authority, other) = (Authority::new(), Authority::new());
    let net = net(NetSettings::default(), Some(&authority));
    let address = authority
        .serve_mutual(&Leaf::of(&["localhost"]), |mut stream| async move {
            let (_, session) = stream.get_ref();
            let names = session.peer_certificates().map_or(0, <[_]>::len);
            read_head(&mut stream).await;
            let _ = stream
                .write_all(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{names}").as_bytes(),
                )
                .await;
            let _ = stream.shutdown().await;
        })
        .await;
    let ask = async |identity: Option<ClientIdentity>| {
        let mut request = HttpRequest::new(
            "GET",
            &format!("https://localhost:{}/", address.port()),
            soon(),
        );
        request.identity = identity;
        net.http(&loopback(), request).await
    };
    let answer = ask(Some(authority.identity("client"))).await.unwrap();
    assert_eq!(answer.body, "1");
    for identity in [None, Some(other.identity("stranger"))] {
        let failure = ask(identity).await.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Tls, "{failure:?}");
        assert!(failure.to_string().contains("alert"), "{failure}");
    }
}

/// Room for so many bytes, and the most that was asked for.
fn room(bytes: usize) -> (BodyRoom, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let asked = most.clone();
    let room = BodyRoom::new(move |total| {
        asked.fetch_max(total, Ordering::Relaxed);
        if total > bytes {
            return Err(NetError::TooLarge("no room is left".to_owned()));
        }
        Ok(())
    });
    (room, most)
}

#[tokio::test]
async fn a_body_asks_for_room_as_it_arrives_and_ends_where_there_is_none() {
    const ROOM: usize = 256 << 10;
    let endless = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let bomb = coded("gzip", gzip(&vec![b'x'; 1 << 20])).await;
    for address in [endless, bomb] {
        let (room, most) = room(ROOM);
        let failure = fetch(address, |request| {
            request.room = room;
            request.decompress = true;
        })
        .await
        .unwrap_err();
        assert_eq!(failure.to_string(), "no room is left");
        let most = most.load(Ordering::Relaxed);
        assert!(
            (ROOM..4 * ROOM).contains(&most),
            "{most} bytes were asked for"
        );
    }
    let (room, most) = room(2 << 20);
    let answer = fetch(bomb, |request| {
        request.room = room;
        request.decompress = true;
    })
    .await
    .unwrap();
    assert_eq!(answer.body.len(), 1 << 20);
    assert!(most.load(Ordering::Relaxed) >= 1 << 20);
}

#[tokio::test]
async fn room_is_reserved_before_a_slow_body_is_whole() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n";
        let _ = stream.write_all(head).await;
        let _ = stream.write_all(&[b'x'; 200_000]).await;
        std::future::pending().await
    })
    .await;
    let room = BodyRoom::new(move |total| {
        let _ = arrived.send(total);
        Ok(())
    });
    let fetching = tokio::spawn(fetch(address, move |request| request.room = room));
    while arrivals.recv().await.is_some_and(|total| total < 200_000) {}
    assert!(!fetching.is_finished());
    fetching.abort();
}
