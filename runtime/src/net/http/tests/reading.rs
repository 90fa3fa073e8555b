//! Answers as real servers give them: each is read as browsers read it.

use super::*;

async fn read(answer: &'static [u8]) -> Result<HttpResponse, NetFailure> {
    let address = scripted(answer).await;
    let mut request = HttpRequest::new("GET", &format!("http://{address}/"), soon());
    request.text = true;
    plain_net().http(&loopback(), request).await
}

fn header<'a>(answer: &'a HttpResponse, name: &str) -> Vec<&'a str> {
    answer
        .headers
        .iter()
        .filter(|(found, _)| found == name)
        .map(|(_, value)| value.as_str())
        .collect()
}

#[tokio::test]
async fn a_body_becomes_text_whatever_its_coding_and_charset() {
    for (answer, wanted) in [
        (&include_bytes!("../../../../../tests/fixtures/answers/gzip.http")[..], r#"{"status":"UP","queue":7}"#),
        (include_bytes!("../../../../../tests/fixtures/answers/deflate.http"), r#"{"status":"UP","queue":7}"#),
        (include_bytes!("../../../../../tests/fixtures/answers/latin1.http"), "Störung: keine"),
        (include_bytes!("../../../../../tests/fixtures/answers/gbk.http"), "服务正常"),
        (include_bytes!("../../../../../tests/fixtures/answers/utf16.http"), "service ok"),
        (include_bytes!("../../../../../tests/fixtures/answers/bom.http"), r#"{"status":"UP"}"#),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<meta charset=\"iso-8859-1\">St\xf6rung",
            "<meta charset=\"iso-8859-1\">Störung",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", ""),
    ] {
        let answer = read(answer).await.unwrap();
        assert_eq!((answer.body.as_ref(), answer.unread.as_deref()), (wanted.as_bytes(), None), "{wanted}");
    }
    // What the server said stays as it said it.
    let answer = read(include_bytes!(
        "../../../../../tests/fixtures/answers/gzip.http"
    ))
    .await
    .unwrap();
    assert_eq!(
        [
            header(&answer, "content-encoding"),
            header(&answer, "content-length")
        ],
        [["gzip"], ["45"]]
    );
    assert_eq!(answer.received_bytes, 45);
}

#[tokio::test]
async fn what_is_not_known_is_named_and_what_is_broken_is_an_error() {
    let answer = read(b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n\r\n\x28\xb5\x2f\xfd")
        .await
        .unwrap();
    assert!(answer.unread.unwrap().contains("compressed by `zstd`"));
    assert_eq!(answer.body, &b"\x28\xb5\x2f\xfd"[..]);
    let answer = read(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=martian\r\n\r\n\xff")
        .await
        .unwrap();
    assert_eq!(
        answer.unread.as_deref(),
        Some("the body's charset `martian` is not known")
    );
    for (answer, wanted) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV"[..], "ends early"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nplain text", "can't be decompressed"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\xff\xff\xff", "can't be decompressed"),
    ] {
        let failure = read(answer).await.unwrap_err();
        assert!(failure.to_string().contains(wanted), "{failure}");
    }
    // The body of a redirect is not read.
    let answer =
        read(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Encoding: gzip\r\n\r\nplain text")
            .await
            .unwrap();
    assert_eq!(
        (answer.status, answer.body.as_ref()),
        (302, &b"plain text"[..])
    );
}

#[tokio::test]
async fn text_that_grows_beyond_the_cap_is_cut_between_characters() {
    let address = scripted(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\xe4\xe4\xe4",
    )
    .await;
    let mut request = HttpRequest::new("GET", &format!("http://{address}/"), soon());
    (request.text, request.max_body_bytes) = (true, Some(5));
    let answer = plain_net().http(&loopback(), request).await.unwrap();
    assert_eq!(
        (answer.body.as_ref(), answer.truncated),
        ("ää".as_bytes(), true)
    );
}

#[tokio::test]
async fn odd_answers_that_browsers_take_are_taken() {
    for (answer, body) in [
        (&b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end"[..], "until the end"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok and more", "ok"),
        (b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nthis is no header\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok", "ok"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
            "ok",
        ),
        (b"HTTP/1.1 200 OK\r\nSet-Cookie: \xe4=1\r\nContent-Length: 2\r\n\r\nok", "ok"),
    ] {
        let shown = String::from_utf8_lossy(answer);
        let answer = read(answer).await.unwrap_or_else(|failure| panic!("{shown}: {failure}"));
        assert_eq!((answer.status, answer.body.as_ref()), (200, body.as_bytes()), "{shown}");
    }
    let answer = read(b"HTTP/1.1 999 Request denied\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(answer.status, 999);
}

#[tokio::test]
async fn bytes_of_headers_are_kept() {
    let answer = read(
        b"HTTP/1.1 302 Found\r\nLocation: /gr\xf6\xdfe\r\nX-Latin: gr\xf6\xdfe\r\nX-Utf8: gr\xc3\xb6\xc3\x9fe\r\n\
          Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    )
    .await
    .unwrap();
    assert_eq!(header(&answer, "location"), ["/gr%F6%DFe"]);
    assert_eq!(
        [header(&answer, "x-latin"), header(&answer, "x-utf8")],
        [["größe"], ["größe"]]
    );
    assert_eq!(header(&answer, "set-cookie"), ["a=1", "b=2"]);
    let answer =
        read("HTTP/1.1 302 Found\r\nLocation: /größe\r\nContent-Length: 0\r\n\r\n".as_bytes())
            .await
            .unwrap();
    assert_eq!(header(&answer, "location"), ["/größe"]);
}

#[tokio::test]
async fn tls_that_just_hangs_up_ends_a_body_without_a_length_and_no_other() {
    let authority = Authority::new();
    let net = net(NetSettings::default(), Some(&authority));
    for (answer, wanted) in [
        (
            &b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"[..],
            Ok(("all of it", true)),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall of it",
            Ok(("all of it", false)),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall of it",
            Err("before the body was complete"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n",
            Err("before the body was complete"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nConnection",
            Err("before the answer was complete"),
        ),
    ] {
        let address = authority
            .serve(
                &Leaf::of(&["localhost"]),
                &[],
                move |mut stream| async move {
                    read_head(&mut stream).await;
                    let _ = stream.write_all(answer).await;
                    let _ = stream.flush().await;
                    // TCP's end alone: dropping a stream of TLS sends no `close_notify`.
                    let _ = stream.get_mut().0.shutdown().await;
                },
            )
            .await;
        let request = HttpRequest::new(
            "GET",
            &format!("https://localhost:{}/", address.port()),
            soon(),
        );
        let answer = net.http(&loopback(), request).await;
        match wanted {
            Ok((body, is_end_unproven)) => {
                let answer = answer.unwrap();
                assert_eq!(
                    (answer.body.as_ref(), answer.is_end_unproven),
                    (body.as_bytes(), is_end_unproven)
                );
            }
            Err(text) => {
                let failure = answer.unwrap_err();
                assert!(failure.to_string().contains(text), "{failure}");
            }
        }
    }
}
