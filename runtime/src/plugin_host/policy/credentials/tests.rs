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
use crate::domain::{ClientAuth, OAuth2};
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

#[tokio::test]
async fn a_token_is_asked_for_once_by_however_many() {
    let vendor = vendor();
    let address = serve(vendor.clone()).await;
    let access = access(address, oauth(address));
    let checks = (0..50).map(|_| {
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
    });
    for answer in futures::future::join_all(checks).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(vendor.tokens.load(Ordering::SeqCst), 1);
    let pair = STANDARD.encode("us%2Fer:p%3Ass+w0rd");
    assert_eq!(
        *vendor.told.lock().unwrap(),
        format!(
            "Basic {pair} grant_type=client_credentials&scope=read+write%3Aall&audience=https%3A%2F%2Fapi.example"
        )
    );

    let mut posted = oauth(address);
    let CredentialKind::OAuth2(login) = &mut posted else {
        unreachable!()
    };
    login.client_auth = ClientAuth::Post;
    let other = Access {
        credential_cache: access.credential_cache.clone(),
        ..super::tests::access(address, posted)
    };
    assert_eq!(
        send(
            &other,
            get(format!("http://{address}/health")),
            Some("default")
        )
        .await
        .unwrap()
        .status,
        200
    );
    assert_eq!(
        vendor.tokens.load(Ordering::SeqCst),
        2,
        "another login is another token"
    );
    assert!(
        vendor
            .told
            .lock()
            .unwrap()
            .ends_with("&client_id=us%2Fer&client_secret=p%3Ass+w0rd")
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_once_when_it_is_refused() {
    let vendor = vendor();
    let address = serve(vendor.clone()).await;
    let access = access(address, oauth(address));
    let check = async || {
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
        .await
        .unwrap()
        .status
    };
    let counts = || {
        (
            vendor.tokens.load(Ordering::SeqCst),
            vendor.requests.load(Ordering::SeqCst),
        )
    };
    let later = async |seconds: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    assert_eq!((check().await, counts()), (200, (1, 1)));
    later(80).await;
    assert_eq!((check().await, counts()), (200, (1, 2)));
    // 100 s less the margin of a tenth.
    later(11).await;
    assert_eq!((check().await, counts()), (200, (2, 3)));

    // The vendor forgets a token that it took before.
    vendor.tokens.fetch_add(10, Ordering::SeqCst);
    assert_eq!((check().await, counts()), (200, (13, 5)));
    assert_eq!((check().await, counts()), (200, (13, 6)));

    let refusing = Access {
        credential_cache: access.credential_cache.clone(),
        ..super::tests::access(address, oauth(address))
    };
    vendor.tokens.fetch_add(1_000_000, Ordering::SeqCst);
    let before = counts();
    let mut call = get(format!("http://{address}/health"));
    call.headers.push(("x-a".to_owned(), "b".to_owned()));
    assert_eq!(
        send(&refusing, call, Some("default")).await.unwrap().status,
        200
    );
    assert_eq!(counts(), (before.0 + 1, before.1 + 2));
}

#[tokio::test]
async fn a_service_that_takes_no_token_does_not_make_the_login_a_flood() {
    let vendor = vendor();
    vendor.lasts.store(80_000, Ordering::SeqCst);
    let address = serve(vendor.clone()).await;
    let access = access(address, oauth(address));
    let check = async |path: &str| {
        send(
            &access,
            get(format!("http://{address}/{path}")),
            Some("default"),
        )
        .await
        .unwrap()
        .status
    };
    let later = async |seconds: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    let tokens = || vendor.tokens.load(Ordering::SeqCst);
    let mut asked = Vec::new();
    // A check every ten seconds for an hour.
    for _ in 0..360 {
        assert_eq!(check("never").await, 401);
        asked.push(tokens());
        later(10).await;
    }
    assert!(
        asked[..3].iter().all(|count| *count == 1),
        "a young token is not renewed: {asked:?}"
    );
    assert_eq!(asked[4], 2, "an older one is");
    // After pauses of 60, 120, 240, 480, 960 and 1920 s, or the check behind.
    assert!((6..=8).contains(&tokens()), "{asked:?}");

    // A renewal that helps makes the next one as soon as ever.
    later(3_600).await;
    vendor.tokens.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(check("health").await, 200);
    later(31).await;
    vendor.tokens.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(check("health").await, 200);
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_named_without_secrets_and_left_alone_for_a_moment() {
    let vendor = vendor();
    vendor.is_down.store(401, Ordering::SeqCst);
    let address = serve(vendor.clone()).await;
    let mut kind = oauth(address);
    let CredentialKind::OAuth2(login) = &mut kind else {
        unreachable!()
    };
    login.client_auth = ClientAuth::Post;
    let access = access(address, kind);
    let checks = (0..20).map(|_| {
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
    });
    for answer in futures::future::join_all(checks).await {
        let failure = answer.unwrap_err();
        let text = access.secrets.redact(&failure.to_string());
        assert!(
            matches!(failure.error, NetError::Protocol(_)),
            "{failure:?}"
        );
        let wanted = format!(
            "credential `default` got no token from `http://{address}/token`: answered 401: invalid_client (not grant"
        );
        assert!(
            text.starts_with(&wanted) && text.contains("client_secret=***"),
            "{text}"
        );
        assert!(!text.contains("w0rd") && !text.contains("h1dden"), "{text}");
    }
    assert_eq!(vendor.tokens.load(Ordering::SeqCst), 1);
    assert_eq!(vendor.requests.load(Ordering::SeqCst), 0);

    vendor.is_down.store(0, Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert_eq!(
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default")
        )
        .await
        .unwrap()
        .status,
        200
    );
}

#[tokio::test]
async fn the_token_endpoint_is_under_the_same_policy() {
    let address = serve(vendor()).await;
    for (url, wanted) in [
        (
            format!("http://{address}/echo"),
            "answered 302; redirects are not followed",
        ),
        ("http://169.254.169.254/token".to_owned(), "never allowed"),
        (
            "http://[::ffff:169.254.169.254]/token".to_owned(),
            "never allowed",
        ),
    ] {
        let mut kind = oauth(address);
        let CredentialKind::OAuth2(login) = &mut kind else {
            unreachable!()
        };
        login.token_url = url;
        let access = access(address, kind);
        let failure = send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
        .await
        .unwrap_err();
        assert!(failure.to_string().contains(wanted), "{failure}");
    }
}
