//! Tokens by refresh tokens, which are replaced as they are used, and by signed assertions.

use std::sync::Mutex;

use axum::Form;
use serde_json::{Value, json};

use super::*;
use crate::domain::JwtBearer;
use crate::store::{ControlStore, Keyring};

/// A token endpoint that takes each refresh token once, and gives out the next.
#[derive(Clone)]
struct Endpoint {
    good: Arc<Mutex<String>>,
    forms: Arc<Mutex<Vec<Value>>>,
    /// The answer waits for it.
    held: Arc<tokio::sync::Semaphore>,
}

async fn refresh(
    State(endpoint): State<Endpoint>,
    Form(form): Form<std::collections::BTreeMap<String, String>>,
) -> Response {
    let sent = form.get("refresh_token").cloned().unwrap_or_default();
    let count = {
        let mut forms = endpoint.forms.lock().unwrap();
        forms.push(json!(form));
        forms.len()
    };
    let mut answer =
        json!({"access_token": format!("acc3ss-{count}"), "token_type": "Bearer", "expires_in": 1});
    if form.contains_key("assertion") && *endpoint.good.lock().unwrap() == "no assertion" {
        let text = format!("{} is not good", form["assertion"]);
        let refused = json!({"error": "invalid_grant", "error_description": text});
        return (StatusCode::BAD_REQUEST, axum::Json(refused)).into_response();
    }
    if form["grant_type"] == "refresh_token" {
        let mut good = endpoint.good.lock().unwrap();
        if *good != sent {
            let text = format!("{sent} was used");
            let refused = json!({"error": "invalid_grant", "error_description": text});
            return (StatusCode::BAD_REQUEST, axum::Json(refused)).into_response();
        }
        *good = format!("r3fresh-{count}");
        answer["refresh_token"] = json!(*good);
    }
    let _held = endpoint.held.acquire().await.unwrap();
    axum::Json(answer).into_response()
}

async fn endpoint() -> (Endpoint, SocketAddr) {
    let endpoint = Endpoint {
        good: Arc::new(Mutex::new("r3fresh-0".to_owned())),
        forms: Arc::default(),
        held: Arc::new(tokio::sync::Semaphore::new(1)),
    };
    let router = Router::new()
        .route("/token", post(refresh))
        .fallback(async || StatusCode::OK)
        .with_state(endpoint.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, address)
}

fn kind(address: SocketAddr, grant: OAuth2Grant) -> CredentialKind {
    CredentialKind::OAuth2(OAuth2 {
        token_url: format!("http://{address}/token"),
        client_id: "client".to_owned(),
        client_secret: "".into(),
        scopes: Vec::new(),
        audience: None,
        client_auth: ClientAuth::Basic,
        grant,
    })
}

fn refreshing(address: SocketAddr, token: &str) -> CredentialKind {
    let token = token.into();
    kind(address, OAuth2Grant::RefreshToken { token })
}

async fn open(folder: &std::path::Path) -> ControlStore {
    let keyring = Keyring::load(None, folder).unwrap();
    ControlStore::open(&folder.join("control.sqlite"), keyring)
        .await
        .unwrap()
}

fn with_store(address: SocketAddr, kind: CredentialKind, store: Option<&ControlStore>) -> Access {
    Access {
        credential_cache: Arc::new(CredentialCache::new(store.cloned())),
        ..access(address, kind)
    }
}

async fn use_once(access: &Access, address: SocketAddr) -> Result<u16, NetFailure> {
    let call = get(format!("http://{address}/health"));
    let answer = send(access, call, Some("default")).await?;
    Ok(answer.status)
}

#[tokio::test]
async fn a_refresh_token_that_was_replaced_is_used_after_a_restart_until_another_is_written() {
    let (endpoint, address) = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = with_store(address, refreshing(address, "r3fresh-0"), Some(&store));
    assert_eq!(use_once(&first, address).await.unwrap(), 200);
    assert_eq!(*endpoint.good.lock().unwrap(), "r3fresh-1");
    store.close().await;
    drop((first, store));

    let store = open(folder.path()).await;
    let again = with_store(address, refreshing(address, "r3fresh-0"), Some(&store));
    assert_eq!(use_once(&again, address).await.unwrap(), 200);
    let form = endpoint.forms.lock().unwrap().last().cloned().unwrap();
    let wanted =
        json!({"grant_type": "refresh_token", "refresh_token": "r3fresh-1", "client_id": "client"});
    assert_eq!(form, wanted);

    // Somebody logged in anew.
    *endpoint.good.lock().unwrap() = "wr1tten-anew".to_owned();
    let written = with_store(address, refreshing(address, "wr1tten-anew"), Some(&store));
    assert_eq!(use_once(&written, address).await.unwrap(), 200);
}

#[tokio::test]
async fn a_refused_refresh_token_is_named_nowhere() {
    let (_, address) = endpoint().await;
    let access = with_store(address, refreshing(address, "r3fresh-of-old"), None);
    let error = use_once(&access, address).await.unwrap_err().to_string();
    assert!(
        error.contains("invalid_grant (*** was used)") && error.contains("log in again"),
        "{error}"
    );
}

#[tokio::test]
async fn a_replaced_token_is_kept_although_the_run_that_asked_for_it_ended() {
    let (endpoint, address) = endpoint().await;
    let held = endpoint.held.clone().acquire_owned().await.unwrap();
    let access = with_store(address, refreshing(address, "r3fresh-0"), None);
    let short = HttpRequest {
        deadline: Instant::now() + Duration::from_millis(500),
        ..get(format!("http://{address}/health"))
    };
    let failed = send(&access, short, Some("default")).await.unwrap_err();
    assert!(matches!(failed.error, NetError::Timeout(_)), "{failed:?}");
    drop(held);
    // Had the answer been lost, the first token would be sent again, and refused.
    assert_eq!(use_once(&access, address).await.unwrap(), 200);
}

#[tokio::test]
async fn an_assertion_is_signed_for_each_token() {
    let (endpoint, address) = endpoint().await;
    let pair = rcgen::KeyPair::generate().unwrap();
    let bearer = JwtBearer {
        key: pair.serialize_pem().into(),
        key_id: None,
        issuer: "robot".to_owned(),
        subject: "robot".to_owned(),
        audience: "https://login.example".to_owned(),
    };
    let grant = OAuth2Grant::JwtBearer(bearer);
    let access = with_store(address, kind(address, grant), None);
    assert_eq!(use_once(&access, address).await.unwrap(), 200);
    let form = endpoint.forms.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        form["grant_type"],
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    assert_eq!(form["assertion"].as_str().unwrap().split('.').count(), 3);

    // What refuses it does not show it.
    *endpoint.good.lock().unwrap() = "no assertion".to_owned();
    let refused = Access {
        credential_cache: Arc::default(),
        ..access
    };
    let error = use_once(&refused, address).await.unwrap_err().to_string();
    assert!(error.contains("invalid_grant (*** is not good)"), "{error}");
}

#[tokio::test]
async fn a_kept_token_that_does_not_decrypt_gives_way_to_the_one_that_is_written() {
    let (endpoint, address) = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = with_store(address, refreshing(address, "r3fresh-0"), Some(&store));
    assert_eq!(use_once(&first, address).await.unwrap(), 200);
    store.credential_tokens_damage().await.unwrap();
    *endpoint.good.lock().unwrap() = "wr1tten-anew".to_owned();
    let written = with_store(address, refreshing(address, "wr1tten-anew"), Some(&store));
    assert_eq!(use_once(&written, address).await.unwrap(), 200);
    assert!(
        store
            .credential_token("shop", "default")
            .await
            .unwrap()
            .is_some(),
        "the next one is kept"
    );
}
