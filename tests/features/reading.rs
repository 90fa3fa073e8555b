//! Reading of answers as people mean it: byte for byte as servers send them, and TLS as it is found.

use extrack_tests::certificates::Identity;
use extrack_tests::{Scripted, TargetServer, TestRuntime};

const GZIP: &[u8] = include_bytes!("../fixtures/answers/gzip.http");
const DEFLATE: &[u8] = include_bytes!("../fixtures/answers/deflate.http");
const LATIN1: &[u8] = include_bytes!("../fixtures/answers/latin1.http");
const GBK: &[u8] = include_bytes!("../fixtures/answers/gbk.http");
const UTF16: &[u8] = include_bytes!("../fixtures/answers/utf16.http");
const MARKED: &[u8] = include_bytes!("../fixtures/answers/bom.http");
/// `{"status":"UP","queue":7}`
const BROTLI: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\x0b\x0c\x80{\"status\":\"UP\",\"queue\":7}\x03";
const ZSTD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n\r\n\x28\xb5\x2f\xfd\x04\x58\xc9\0\0{\"status\":\"UP\",\"queue\":7}\xc5\x0e\x80\x4b";
const META: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<meta charset=\"iso-8859-1\">St\xf6rung";
const TYPES: &[u8] =
    b"HTTP/1.1 200 OK\r\nX-Count: 5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n{\"code\": 200, \"port\": \"8080\", \"ok\": true}";

/// Settings of a probe, and what its message contains; empty for `healthy`.
type Case = (&'static [u8], &'static str, &'static str);

const CASES: &[Case] = &[
    (GZIP, "bodyContains: UP", ""),
    (GZIP, "assertions: [{jsonpath: '$.status', equals: UP}]", ""),
    (
        GZIP,
        "assertions: [{cel: 'json.queue < 10'}], headers: {Accept-Encoding: gzip}",
        "",
    ),
    (
        GZIP,
        "bodyContains: down",
        r#"body is `{"status":"UP","queue":7}`, wanted one with `down` in it"#,
    ),
    (
        GZIP,
        "assertions: [{header: content-encoding, equals: gzip}]",
        "",
    ),
    (
        GZIP,
        "bodyContains: UP, maxBodyBytes: 20",
        "more than 20 bytes",
    ),
    (
        GZIP.split_at(GZIP.len() - 20).0,
        "bodyContains: UP",
        "before the body was complete",
    ),
    (DEFLATE, "bodyContains: UP", ""),
    (
        DEFLATE,
        "assertions: [{jsonpath: '$.status', equals: UP}]",
        "",
    ),
    (DEFLATE, "assertions: [{cel: 'json.queue < 10'}]", ""),
    (BROTLI, "bodyContains: UP", ""),
    (
        BROTLI,
        "assertions: [{jsonpath: '$.status', equals: UP}]",
        "",
    ),
    (BROTLI, "assertions: [{cel: 'json.queue < 10'}]", ""),
    (ZSTD, "bodyContains: UP", "the body is compressed by `zstd`"),
    (ZSTD, "expectedStatus: 200", ""),
    (LATIN1, "bodyContains: Störung", ""),
    (LATIN1, "bodyContains: down", "body is `Störung: keine`"),
    (GBK, "bodyContains: 正常", ""),
    (UTF16, "bodyContains: service ok", ""),
    (META, "bodyContains: Störung", ""),
    (
        MARKED,
        "assertions: [{jsonpath: '$.status', equals: UP}]",
        "",
    ),
    (MARKED, "assertions: [{cel: \"json.status == 'UP'\"}]", ""),
    (
        LATIN1,
        "assertions: [{cel: \"json.status == 'UP'\"}]",
        "body is `Störung: keine`, wanted JSON",
    ),
    (TYPES, "assertions: [{header: x-count, equals: 5}]", ""),
    (TYPES, "assertions: [{header: set-cookie, equals: b=2}]", ""),
    (
        TYPES,
        "assertions: [{jsonpath: '$.code', equals: '200'}]",
        "is the number 200, wanted the text \"200\"",
    ),
    (
        TYPES,
        "assertions: [{jsonpath: '$.port', equals: 8080}]",
        "is the text \"8080\", wanted the number 8080",
    ),
    (
        b"HTTP/1.1 999 Request denied\r\n\r\n",
        "expectedStatus: 999",
        "",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_read_whatever_their_coding_charset_and_types() {
    let mut yaml = "services:".to_owned();
    let mut servers = Vec::new();
    for (number, (answer, settings, _)) in CASES.iter().enumerate() {
        let server = Scripted::start(*answer).await;
        yaml += &format!(
            "\n  - {{name: \"case-{number}\", type: REST, baseUrl: \"{}\", monitoring: {{interval: 86400, settings: {{{settings}}}}}}}",
            server.url()
        );
        servers.push(server);
    }
    let runtime = TestRuntime::builder().services(yaml).start().await;
    for (number, (_, settings, says)) in CASES.iter().enumerate() {
        let found = runtime.api().check(&format!("case-{number}")).await;
        match *says {
            "" => assert_eq!(found["status"], "healthy", "{settings}: {found}"),
            says => assert!(
                found["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(says)),
                "{settings}: `{says}` in {found}"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_a_redirect_reach_the_server_as_they_came() {
    let server = Scripted::start(
        &b"HTTP/1.1 302 Found\r\nLocation: /gr\xf6\xdfe\r\nContent-Length: 0\r\n\r\n"[..],
    )
    .await;
    let yaml = format!(
        "services:\n  - {{name: odd, type: REST, baseUrl: \"{}\", monitoring: {{interval: 86400, settings: {{expectedStatus: 302, \
         assertions: [{{header: location, equals: /gr%F6%DFe}}]}}}}}}",
        server.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let found = runtime.api().check("odd").await;
    assert_eq!(found["status"], "healthy", "{found}");
}

/// Returns the text of a file in `fixtures/certificates`.
fn identity(name: &str) -> Identity {
    let read = |kind: &str| {
        let path = format!(
            "{}/fixtures/certificates/{name}.{kind}",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_to_string(path).unwrap()
    };
    Identity {
        certificate: read("pem"),
        key: read("key"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_rare_or_old_cryptography_are_reached_or_told_apart() {
    let (p521, rsa) = (identity("p521"), identity("rsa"));
    let new = TargetServer::start_tls_with(&p521, "ssl_protocols TLSv1.3;").await;
    let curve = "ssl_protocols TLSv1.2; ssl_ecdh_curve secp521r1;";
    let curve = TargetServer::start_tls_with(&p521, curve).await;
    let cbc = "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES256-SHA384;";
    let cbc = TargetServer::start_tls_with(&rsa, cbc).await;
    let old = TargetServer::start_tls_with(
        &rsa,
        "ssl_protocols TLSv1; ssl_ciphers DEFAULT:@SECLEVEL=0;",
    )
    .await;
    let mut yaml = "services:".to_owned();
    for (name, server) in [
        ("new", &new),
        ("curve", &curve),
        ("cbc", &cbc),
        ("old", &old),
    ] {
        for (probe, settings) in [
            ("http", "path: /health"),
            ("http", "path: /health, insecure: true"),
            ("tls", ""),
        ] {
            let slug = format!(
                "{name}-{probe}{}",
                if settings.contains("insecure") {
                    "-insecure"
                } else {
                    ""
                }
            );
            yaml += &format!(
                "\n  - {{name: {slug}, baseUrl: \"{}\", monitoring: {{probe: {probe}, interval: 86400, settings: {{{settings}}}}}}}",
                server.url()
            );
        }
    }
    let roots = format!(
        "{}/fixtures/certificates/root.pem",
        env!("CARGO_MANIFEST_DIR")
    );
    let runtime = TestRuntime::builder()
        .services(yaml)
        .env("SSL_CERT_FILE", &roots)
        .start()
        .await;
    for probe in ["http", "http-insecure", "tls"] {
        for name in ["new", "curve"] {
            let found = runtime.api().check(&format!("{name}-{probe}")).await;
            assert_eq!(found["status"], "healthy", "{found}");
        }
        for (name, says) in [
            (
                "cbc",
                "no common cipher suite: the server may know only CBC or RSA key exchange, and we offer ECDHE with",
            ),
            ("old", "no common version: the server"),
        ] {
            let found = runtime.api().check(&format!("{name}-{probe}")).await;
            assert_eq!(
                [&found["status"], &found["errorKind"]],
                ["error", "tls"],
                "{found}"
            );
            assert!(
                found["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(says)),
                "`{says}` in {found}"
            );
        }
    }
}
