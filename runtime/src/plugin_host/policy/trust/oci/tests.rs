use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::domain::{RegistryAccess, RegistryLogin};
use crate::net::{Net, NetSettings};

type Seen = (String, Option<String>);

/// A registry that follows the specification as far as pulling goes, and can be told to misbehave.
#[derive(Clone, Default)]
struct Fake {
    /// By path.
    answers: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    /// Of the requests, path and authorization.
    seen: Arc<Mutex<Vec<Seen>>>,
    /// What an anonymous request is asked for.
    challenge: Arc<Mutex<Option<String>>>,
    /// Where blobs are sent to.
    redirect: Arc<Mutex<Option<String>>>,
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    let authorization = request
        .headers()
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned());
    fake.seen
        .lock()
        .unwrap()
        .push((path.clone(), authorization.clone()));
    if path.starts_with("/token?") {
        return axum::Json(json!({"token": "t0ken"})).into_response();
    }
    if path.starts_with("/storage/") {
        let known = fake
            .answers
            .lock()
            .unwrap()
            .get(path.trim_start_matches("/storage"))
            .cloned();
        return known.map_or(StatusCode::NOT_FOUND.into_response(), |bytes| {
            Body::from(bytes).into_response()
        });
    }
    let challenge = fake.challenge.lock().unwrap().clone();
    if let Some(challenge) = challenge.filter(|_| authorization.is_none()) {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
    }
    let redirect = fake.redirect.lock().unwrap().clone();
    if let Some(target) = redirect.filter(|_| path.contains("/blobs/")) {
        return (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", format!("{target}{path}"))],
        )
            .into_response();
    }
    let known = fake.answers.lock().unwrap().get(&path).cloned();
    known.map_or(StatusCode::NOT_FOUND.into_response(), |bytes| {
        Body::from(bytes).into_response()
    })
}

impl Fake {
    async fn start(&self) -> SocketAddr {
        let router = Router::new().fallback(answer).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        self.answers
            .lock()
            .unwrap()
            .insert(format!("/v2/acme/probe/{path}"), bytes.to_vec());
    }

    /// Pushes a component under the tag `1`; the digest of its manifest.
    fn push(&self, component: &[u8], change: impl FnOnce(&mut Value)) -> String {
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.wasm.config.v0+json", "digest": "sha256:00", "size": 2},
            "layers": [
                {"mediaType": COMPONENT, "digest": format!("sha256:{}", sha256_hex(component)), "size": component.len()},
            ],
        });
        change(&mut manifest);
        let bytes = manifest.to_string().into_bytes();
        self.put("manifests/1", &bytes);
        self.put(&format!("manifests/sha256:{}", sha256_hex(&bytes)), &bytes);
        self.put(
            &format!("blobs/sha256:{}", sha256_hex(component)),
            component,
        );
        sha256_hex(&bytes)
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn plain() -> RegistryAccess {
    RegistryAccess {
        is_plain: true,
        ..RegistryAccess::default()
    }
}

fn login(access: RegistryAccess) -> RegistryAccess {
    let login = RegistryLogin {
        username: "robot".to_owned(),
        password: "s3cret".into(),
    };
    RegistryAccess {
        login: Some(login),
        ..access
    }
}

async fn pull(
    text: &str,
    access: Option<&RegistryAccess>,
) -> Result<(Bytes, Option<String>), String> {
    let reference = Reference::parse(text).unwrap();
    let net = Net::new(NetSettings::default()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut client = Client::new(
        Registry {
            net: &net,
            access,
            deadline,
        },
        &reference,
    );
    let resolved = client.resolve().await?;
    let component = client.component(&resolved).await?;
    Ok((component, client.signature(&resolved).await?))
}

#[tokio::test]
async fn a_component_comes_by_tag_and_by_digest_larger_than_any_answer_to_a_plugin() {
    let fake = Fake::default();
    let address = fake.start().await;
    let component = vec![7; 3 << 20];
    let manifest = fake.push(&component, |_| ());
    for version in [":1".to_owned(), format!("@sha256:{manifest}")] {
        let (bytes, signature) = pull(
            &format!("oci://{address}/acme/probe{version}"),
            Some(&plain()),
        )
        .await
        .unwrap();
        assert_eq!((bytes.len(), signature), (component.len(), None));
    }
}

#[tokio::test]
async fn a_signature_comes_with_the_component() {
    let fake = Fake::default();
    let address = fake.start().await;
    let text = "untrusted comment: x\n";
    fake.push(b"component", |manifest| {
        let layer = json!({"mediaType": SIGNATURE, "digest": format!("sha256:{}", sha256_hex(text.as_bytes())), "size": text.len()});
        manifest["layers"].as_array_mut().unwrap().push(layer);
    });
    fake.put(
        &format!("blobs/sha256:{}", sha256_hex(text.as_bytes())),
        text.as_bytes(),
    );
    let (_, signature) = pull(&format!("oci://{address}/acme/probe:1"), Some(&plain()))
        .await
        .unwrap();
    assert_eq!(signature.as_deref(), Some(text));
}

#[tokio::test]
async fn what_is_not_what_was_asked_for_is_refused() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 8] = [
        (
            |manifest| {
                manifest["layers"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64)))
            },
            "knows no `blobs/",
        ),
        (
            |manifest| manifest["layers"][0]["digest"] = json!("md5:00"),
            "is not a sha256",
        ),
        (
            |manifest| manifest["layers"][0]["size"] = json!(3),
            "is larger than the 3 bytes",
        ),
        (
            |manifest| manifest["layers"][0]["size"] = json!(100 << 20),
            "larger than 64 MiB",
        ),
        (
            |manifest| manifest["layers"][0]["mediaType"] = json!("application/x-tar"),
            "exactly one layer of type",
        ),
        (
            |manifest| manifest["layers"] = json!([manifest["layers"][0], manifest["layers"][0]]),
            "exactly one layer",
        ),
        (
            |manifest| manifest["mediaType"] = json!(INDEX),
            "is a `application/vnd.oci.image.index",
        ),
        (
            |manifest| manifest["schemaVersion"] = json!(1),
            "the manifest is a",
        ),
    ];
    let fake = Fake::default();
    let address = fake.start().await;
    for (change, wanted) in cases {
        fake.push(b"component", change);
        let fault = pull(&format!("oci://{address}/acme/probe:1"), Some(&plain()))
            .await
            .unwrap_err();
        assert!(fault.contains(wanted), "{wanted:?} in {fault:?}");
    }
    let manifest = fake.push(b"component", |_| ());
    fake.put(
        &format!("blobs/sha256:{}", sha256_hex(b"component")),
        b"c0mponent",
    );
    let fault = pull(&format!("oci://{address}/acme/probe:1"), Some(&plain()))
        .await
        .unwrap_err();
    assert!(fault.contains("what came has the digest"), "{fault}");
    fake.put(&format!("manifests/sha256:{manifest}"), b"{}");
    let fault = pull(
        &format!("oci://{address}/acme/probe@sha256:{manifest}"),
        Some(&plain()),
    )
    .await
    .unwrap_err();
    assert!(fault.contains("not the one asked for"), "{fault}");
    let fault = pull(&format!("oci://{address}/acme/probe:2"), Some(&plain()))
        .await
        .unwrap_err();
    assert!(fault.contains("knows no `manifests/2`"), "{fault}");
}

#[tokio::test]
async fn a_login_goes_to_the_registry_and_where_the_operator_says() {
    let (fake, elsewhere) = (Fake::default(), Fake::default());
    let (address, other) = (fake.start().await, elsewhere.start().await);
    fake.push(b"component", |_| ());
    let reference = format!("oci://{address}/acme/probe:1");
    let pair = format!(
        "Basic {}",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "robot:s3cret")
    );

    *fake.challenge.lock().unwrap() = Some("Basic realm=\"registry\"".to_owned());
    let fault = pull(&reference, Some(&plain())).await.unwrap_err();
    assert!(
        fault.contains("answered 401") && fault.contains("trust.registries"),
        "{fault}"
    );
    fake.seen();
    pull(&reference, Some(&login(plain()))).await.unwrap();
    let sent: Vec<Option<String>> = fake
        .seen()
        .into_iter()
        .map(|(_, authorization)| authorization)
        .collect();
    assert_eq!(sent, [None, Some(pair.clone()), Some(pair.clone())]);

    let bearer =
        |host: SocketAddr| format!("Bearer realm=\"http://{host}/token\",service=\"registry\"");
    *fake.challenge.lock().unwrap() = Some(bearer(address));
    pull(&reference, Some(&login(plain()))).await.unwrap();
    let seen = fake.seen();
    assert_eq!(
        seen[1],
        (
            "/token?scope=repository%3Aacme%2Fprobe%3Apull&service=registry".to_owned(),
            Some(pair)
        )
    );
    assert!(
        seen[2..]
            .iter()
            .all(|(_, authorization)| authorization.as_deref() == Some("Bearer t0ken")),
        "{seen:?}"
    );

    // A registry can't send the login to a host of its choice, nor have us ask one in the private
    // network.
    *fake.challenge.lock().unwrap() = Some(bearer(other));
    let fault = pull(&reference, Some(&login(plain()))).await.unwrap_err();
    assert!(
        fault.contains("sends the login to `127.0.0.1`") && fault.contains("authHost"),
        "{fault}"
    );
    let fault = pull(&reference, Some(&plain())).await.unwrap_err();
    assert!(fault.contains("is not `https`"), "{fault}");
    assert_eq!(elsewhere.seen(), []);
}

#[tokio::test]
async fn redirects_pass_the_policy_and_carry_no_login() {
    let (fake, elsewhere) = (Fake::default(), Fake::default());
    let (address, other) = (fake.start().await, elsewhere.start().await);
    fake.push(b"component", |_| ());
    *fake.challenge.lock().unwrap() = Some("Basic realm=\"registry\"".to_owned());
    let reference = format!("oci://{address}/acme/probe:1");

    *fake.redirect.lock().unwrap() = Some("/storage".to_owned());
    assert_eq!(
        pull(&reference, Some(&login(plain()))).await.unwrap().0,
        "component"
    );
    for (target, wanted) in [
        (format!("http://{other}/storage"), "is not `https`"),
        (format!("https://{other}/storage"), "private addresses"),
        (
            "https://169.254.169.254/storage".to_owned(),
            "never allowed",
        ),
        ("file:///etc/passwd?".to_owned(), "is not `https`"),
        ("".to_owned(), "more than 5 redirects"),
    ] {
        *fake.redirect.lock().unwrap() = Some(target);
        let fault = pull(&reference, Some(&login(plain()))).await.unwrap_err();
        assert!(fault.contains(wanted), "{wanted:?} in {fault:?}");
    }
    assert_eq!(elsewhere.seen(), []);
}

#[tokio::test]
async fn a_registry_nobody_named_has_to_be_public() {
    let fake = Fake::default();
    let address = fake.start().await;
    fake.push(b"component", |_| ());
    let fault = pull(&format!("oci://{address}/acme/probe:1"), None)
        .await
        .unwrap_err();
    assert!(
        fault.contains("private addresses") && fault.contains("`trust.registries`"),
        "{fault}"
    );
    assert_eq!(fake.seen(), []);
}
