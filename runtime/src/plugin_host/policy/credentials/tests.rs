mod grants;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::domain::{ClientAuth, OAuth2, OAuth2Grant};
use crate::net::{HostRule, HttpResponse, Net, NetSettings, Permission};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::outgoing;
use crate::plugin_host::capabilities::outgoing::RequestScope;
use crate::plugin_host::policy::reach::SecretScope;

/// A vendor with a token endpoint, whose health is only for the last token it gave out.
#[derive(Clone, Default)]
struct Vendor {
    tokens: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
    /// Last request that the token endpoint got.
    told: Arc<std::sync::Mutex<String>>,
    /// Seconds that tokens last.
    lasts: Arc<AtomicU32>,
    is_down: Arc<AtomicU32>,
}

async fn token(State(vendor): State<Vendor>, headers: HeaderMap, form: String) -> Response {
    let count = vendor.tokens.fetch_add(1, Ordering::SeqCst) + 1;
    let authorization = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none");
    *vendor.told.lock().unwrap() = format!("{authorization} {form}");
    match vendor.is_down.load(Ordering::SeqCst) {
        0 => {
            let lasts = vendor.lasts.load(Ordering::SeqCst);
            let answer = serde_json::json!({"access_token": format!("t0ken-number-{count}"), "token_type": "bearer", "expires_in": lasts});
            axum::Json(answer).into_response()
        }
        status => {
            let answer = serde_json::json!({"error": "invalid_client", "error_description": format!("not {form}")});
            (
                StatusCode::from_u16(status as u16).unwrap(),
                axum::Json(answer),
            )
                .into_response()
        }
    }
}

async fn health(State(vendor): State<Vendor>, headers: HeaderMap) -> StatusCode {
    vendor.requests.fetch_add(1, Ordering::SeqCst);
    let wanted = format!(
        "Bearer t0ken-number-{}",
        vendor.tokens.load(Ordering::SeqCst)
    );
    match headers
        .get("authorization")
        .is_some_and(|value| value == wanted.as_str())
    {
        true => StatusCode::OK,
        false => StatusCode::UNAUTHORIZED,
    }
}

/// Sends back whatever it was sent, everywhere it can.
async fn echo(uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let sent = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or_default()));
    let sent = format!(
        "{uri}\n{}{}",
        sent.collect::<String>(),
        String::from_utf8_lossy(&body)
    );
    let line = sent.replace('\n', " ");
    let location = format!(
        "https://elsewhere.example/?was={}",
        url::form_urlencoded::byte_serialize(line.as_bytes()).collect::<String>()
    );
    let body = format!(
        "{sent}\n{}\n{}",
        serde_json::Value::from(sent.as_str()),
        STANDARD.encode(&sent)
    );
    (
        StatusCode::FOUND,
        [("x-echo", line), ("location", location)],
        body,
    )
        .into_response()
}

async fn serve(vendor: Vendor) -> SocketAddr {
    let router = Router::new()
        .route("/token", post(token))
        .route("/health", any(health))
        .route("/never", any(|| async { StatusCode::UNAUTHORIZED }))
        .fallback(echo)
        .with_state(vendor);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn access(address: SocketAddr, kind: CredentialKind) -> Access {
    let credential = Credential {
        name: "default".to_owned(),
        kind,
        hosts: vec!["localhost".to_owned()],
        expiry: None,
    };
    let scope = SecretScope::of_base_url(&format!("http://{address}"));
    Access {
        credentials: vec![credential],
        scope,
        ..Access::default()
    }
}

fn oauth(address: SocketAddr) -> CredentialKind {
    CredentialKind::OAuth2(OAuth2 {
        token_url: format!("http://{address}/token?tenant=h1dden"),
        client_id: "us/er".to_owned(),
        client_secret: "p:ss w0rd".into(),
        scopes: vec!["read".to_owned(), "write:all".to_owned()],
        audience: Some("https://api.example".to_owned()),
        client_auth: ClientAuth::Basic,
        grant: OAuth2Grant::ClientCredentials,
    })
}

async fn send(
    access: &Access,
    call: HttpRequest,
    auth: Option<&str>,
) -> Result<HttpResponse, NetFailure> {
    let permission = Permission {
        hosts: ["127.0.0.1", "localhost"]
            .map(|host| HostRule::parse(host).unwrap())
            .to_vec(),
        public_hosts: Vec::new(),
        allow_private: true.into(),
        private_remedy: Permission::OPEN_IN_FILES,
        subject: "a test".to_owned(),
        setting: "nothing".to_owned(),
    };
    let net = Net::new(NetSettings::default()).unwrap();
    outgoing::send(
        access,
        RequestScope {
            net: &net,
            permission: &permission,
            service: Some("shop"),
        },
        call,
        auth,
    )
    .await
}

fn get(url: String) -> HttpRequest {
    HttpRequest::new("GET", &url, Instant::now() + Duration::from_secs(20))
}

fn vendor() -> Vendor {
    let vendor = Vendor::default();
    vendor.lasts.store(100, Ordering::SeqCst);
    vendor
}

#[tokio::test]
async fn no_credential_is_seen_in_what_an_echo_answers() {
    let address = serve(vendor()).await;
    let secret = || SecretString::from("S3cr3t/&\"\\=+k3y");
    let kinds = [
        CredentialKind::Header {
            header: "X-Key".to_owned(),
            value: secret(),
        },
        CredentialKind::Bearer { token: secret() },
        CredentialKind::Basic {
            username: "user".to_owned(),
            password: secret(),
        },
        CredentialKind::Query {
            parameter: "key".to_owned(),
            value: secret(),
        },
        oauth(address),
    ];
    for kind in kinds {
        let shown = format!("{kind:?}");
        assert!(
            !shown.contains("S3cr3t") && !shown.contains("w0rd"),
            "{shown}"
        );
        let access = access(address, kind);
        let answer = send(
            &access,
            get(format!("http://{address}/echo?a=b")),
            Some("default"),
        )
        .await
        .unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        let text = format!("{:?} {body}", answer.headers);
        assert!(text.contains("***") && text.contains("a=b"), "{text}");
        let coded = |start: usize| STANDARD.encode(&b"S3cr3t/&\"\\=+k3y"[start..]);
        for leak in [
            "S3cr3t",
            "k3y",
            "t0ken-number",
            &coded(0)[..8],
            &coded(1)[..8],
            &coded(2)[..8],
        ] {
            assert!(!text.contains(leak), "{shown}: `{leak}` in {text}");
        }
        let length = answer
            .headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .unwrap()
            .1
            .clone();
        assert_eq!(length, body.len().to_string());
        assert!(answer.received_bytes > answer.body.len() as u64 / 2);
    }
}

#[tokio::test]
async fn an_echo_that_is_cut_off_does_not_show_a_part() {
    let address = serve(vendor()).await;
    let access = access(
        address,
        CredentialKind::Query {
            parameter: "key".to_owned(),
            value: "abcdefghij".into(),
        },
    );
    // The line begins with the path and the query.
    for length in 1..40 {
        let mut call = get(format!("http://{address}/e"));
        call.max_body_bytes = Some(length);
        let answer = send(&access, call, Some("default")).await.unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(
            answer.truncated && "/e?key=***\nuser-agent".starts_with(&body[..body.len().min(16)]),
            "{length}: {body}"
        );
    }
}

#[tokio::test]
async fn a_credential_goes_to_its_own_hosts_and_nothing_is_set_twice() {
    let address = serve(vendor()).await;
    let header = || CredentialKind::Header {
        header: "X-Key".to_owned(),
        value: "s3cret-k3y".into(),
    };
    let query = || CredentialKind::Query {
        parameter: "key".to_owned(),
        value: "s3cret-k3y".into(),
    };
    let port = address.port();
    let denied = async |access: &Access, call: HttpRequest, name: &str, wanted: &str| {
        let failure = send(access, call, Some(name)).await.unwrap_err();
        assert!(
            matches!(&failure.error, NetError::Denied(text) if text.contains(wanted)),
            "{wanted}: {failure:?}"
        );
        assert!(!failure.to_string().contains("s3cret"), "{failure}");
    };
    let own = access(address, header());
    for url in [
        format!("http://{address}/e"),
        format!("http://localhost:{port}/e"),
        format!("http://LOCALHOST:{port}/e"),
    ] {
        assert_eq!(
            send(&own, get(url), Some("default")).await.unwrap().status,
            302
        );
    }
    denied(
        &own,
        get("http://evil.example/".to_owned()),
        "default",
        "own host",
    )
    .await;
    denied(
        &own,
        get(format!("http://127.0.0.2:{port}/")),
        "default",
        "own host",
    )
    .await;
    denied(
        &own,
        get(format!("http://localhost.evil.example:{port}/")),
        "default",
        "own host",
    )
    .await;
    denied(
        &own,
        get(format!("http://{address}/")),
        "other",
        "no credential `other`",
    )
    .await;
    let mut call = get(format!("http://{address}/"));
    call.headers.push(("x-KEY".to_owned(), "mine".to_owned()));
    denied(
        &own,
        call,
        "default",
        "header `X-Key` is set by credential `default`",
    )
    .await;
    denied(
        &access(address, query()),
        get(format!("http://{address}/?k%65y=1")),
        "default",
        "parameter `key`",
    )
    .await;
    denied(
        &own,
        get(format!("http://127.0.0.1:{}/", port ^ 1)),
        "default",
        "own host",
    )
    .await;
    let scope = SecretScope::of_base_url(&format!("https://{address}"));
    let tls = Access {
        scope,
        ..access(address, header())
    };
    denied(
        &tls,
        get(format!("http://{address}/")),
        "default",
        "`https` only",
    )
    .await;
    let mtls = CredentialKind::Mtls {
        certificate: "c".to_owned(),
        key: "k".into(),
    };
    denied(
        &access(address, mtls),
        get(format!("http://{address}/")),
        "default",
        "`https` only",
    )
    .await;
}
