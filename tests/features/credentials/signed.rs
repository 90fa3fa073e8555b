//! Requests that carry a signature: a vendor computes it once more, from what it received.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use extrack_tests::api::client;
use extrack_tests::{PATIENCE, TestRuntime, wait_for};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

const SECRET: &str = "s1gning-s3cret-of-many";
const AWS_SECRET: &str = "aws/s3cret+of-many";
const AWS_KEY: &str = "AKIDOFMANY";

/// Answers 200 to what is signed as it should be, else 403 with the reason.
struct Verifier {
    address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

impl Verifier {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(verify).with_state(Arc::new(address));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            _server: AbortOnDropHandle::new(server),
        }
    }
}

async fn verify(State(address): State<Arc<SocketAddr>>, request: Request) -> (StatusCode, String) {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let found = if parts.uri.path().starts_with("/aws") {
        verify_aws(&parts, &body, &address.to_string())
    } else {
        verify_hmac(&parts, &body)
    };
    match found {
        Ok(()) => (StatusCode::OK, "signed".to_owned()),
        Err(reason) => (StatusCode::FORBIDDEN, reason),
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> &'a str {
    let value = parts.headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn code(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// `METHOD\nTARGET\nTIMESTAMP\nBODY`, in hexadecimal digits behind `v1=`.
fn verify_hmac(parts: &Parts, body: &[u8]) -> Result<(), String> {
    let time = header(parts, "x-time");
    let target = parts.uri.path_and_query().unwrap();
    let mut text = format!("{}\n{target}\n{time}\n", parts.method).into_bytes();
    text.extend_from_slice(body);
    let wanted = format!("v1={}", hex::encode(code(SECRET.as_bytes(), &text)));
    let now = jiff::Timestamp::now().as_second();
    let is_fresh = time.parse::<i64>().is_ok_and(|at| now.abs_diff(at) < 300);
    if is_fresh && header(parts, "x-signature") == wanted && header(parts, "x-key") == "key-1" {
        return Ok(());
    }
    Err(format!("not signed: {:?}", parts.headers))
}

fn verify_aws(parts: &Parts, body: &[u8], host: &str) -> Result<(), String> {
    let sent = header(parts, "authorization");
    let field = |name: &str| {
        let (_, rest) = sent.split_once(&format!("{name}="))?;
        rest.split(',').next()
    };
    let names = field("SignedHeaders").ok_or("no `SignedHeaders`")?;
    let lines: String = names
        .split(';')
        .map(|name| match name {
            "host" => format!("host:{host}\n"),
            name => format!("{name}:{}\n", header(parts, name)),
        })
        .collect();
    let mut query: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let hash = hex::encode(Sha256::digest(body));
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{hash}",
        parts.method,
        parts.uri.path(),
        query.join("&")
    );
    let time = header(parts, "x-amz-date");
    let day = time.get(..8).ok_or("no `x-amz-date`")?;
    let scope = format!("{day}/eu-central-1/execute-api/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical.as_bytes()))
    );
    let key = ["eu-central-1", "execute-api", "aws4_request"].iter().fold(
        code(format!("AWS4{AWS_SECRET}").as_bytes(), day.as_bytes()),
        |key, part| code(&key, part.as_bytes()),
    );
    let wanted = hex::encode(code(&key, text.as_bytes()));
    let is_scoped = field("Credential") == Some(&format!("{AWS_KEY}/{scope}"));
    if is_scoped && field("Signature") == Some(&wanted) {
        return Ok(());
    }
    Err(format!("not signed: {canonical}\n{:?}", parts.headers))
}

fn services(address: SocketAddr) -> String {
    let gateway = r#"{paths: ["/*"], methods: [GET, POST]}"#;
    format!(
        r#"
services:
  - name: Signed
    baseUrl: "http://{address}"
    healthEndpoint: "/health?a=1&b=%2F"
    authentication:
      {{type: hmac, secret: "{SECRET}", sign: "{{method}}\n{{target}}\n{{timestamp}}\n{{body}}", format: "v1={{signature}}",
       timestampHeader: X-Time, keyId: key-1, keyHeader: X-Key}}
    monitoring: {{interval: 86400, timeout: 5000}}
    gateway: {gateway}
  - name: Cloud
    baseUrl: "http://{address}/aws"
    healthEndpoint: "/health?b=2&a=1"
    authentication:
      {{type: aws_sigv4, accessKey: {AWS_KEY}, secretKey: "{AWS_SECRET}", region: eu-central-1, service: execute-api,
       expires: "2020-01-31"}}
    monitoring: {{interval: 86400, timeout: 5000}}
    gateway: {gateway}
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_and_calls_of_the_gateway_are_signed_as_the_vendor_wants_it() {
    let vendor = Verifier::start().await;
    let mut runtime = TestRuntime::builder()
        .services(services(vendor.address))
        .env("EXTRACK_LOG", "debug,extrack=trace")
        .start()
        .await;
    let api = runtime.api();
    for slug in ["signed", "cloud"] {
        let seen = api.check(slug).await;
        assert_eq!(seen["status"], "healthy", "{slug}: {seen}");
    }
    let consumer = json!({"name": "alice", "services": ["*"]});
    let made = api.post("/api/v1/consumers", &consumer).await.expect(201);
    let token = made["token"].as_str().unwrap().to_owned();
    let call = |path: &str, body: Bytes| {
        let url = format!("{}/gateway/{path}", runtime.url());
        let request = client()
            .post(url)
            .header("x-extrack-token", &token)
            // Of a client that signs with a key of its own.
            .header("authorization", "AWS4-HMAC-SHA256 Credential=none")
            .header("x-amz-date", "20200101T000000Z")
            .body(body);
        async move {
            let answer = request.send().await.expect("the gateway answers");
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    for path in ["signed/v1/orders?x=1", "cloud/v1/orders?b=2&a=1"] {
        let answer = call(path, Bytes::from_static(b"{\"amount\": 5}")).await;
        assert_eq!(answer, (200, "signed".to_owned()), "{path}");
    }
    listed(&runtime).await;
    runtime.stop().await;
    for secret in [SECRET, AWS_SECRET, &token] {
        assert!(!runtime.logs().contains(secret));
    }
}

/// The list has the last use and the end of each credential, the alert fires, and neither shows a
/// value.
async fn listed(runtime: &TestRuntime) {
    let api = runtime.api();
    let found = wait_for(
        "both credentials are listed as used",
        PATIENCE,
        async || {
            let found = api.list("/api/v1/credentials").await;
            let is_used = |body: &Value| body["lastUsedAt"].is_string();
            if found.len() == 2 && found.iter().all(is_used) {
                Ok(found)
            } else {
                Err(format!("{found:?}"))
            }
        },
    )
    .await;
    let kinds: Vec<&Value> = found.iter().map(|body| &body["kind"]).collect();
    assert_eq!(kinds, ["aws_sigv4", "hmac"]);
    assert_eq!(found[0]["expiresAt"], "2020-01-31T00:00:00.000Z");
    assert_eq!(found[0]["expiresFrom"], "written");
    let printed = runtime.cli(["credentials", "list"]).await;
    assert!(printed.out.contains("aws_sigv4"), "{printed:?}");
    for text in [format!("{found:?}"), printed.out] {
        assert!(
            !text.contains(SECRET) && !text.contains(AWS_SECRET),
            "{text}"
        );
    }
    wait_for("the alert about the one that ended", PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts").await;
        let is_it = |alert: &&Value| alert["name"] == "Credential expiring";
        match alerts.iter().find(is_it) {
            Some(alert)
                if alert["summary"]
                    .to_string()
                    .contains("of `cloud` has ended") =>
            {
                Ok(())
            }
            _ => Err(format!("{alerts:?}")),
        }
    })
    .await;
}
