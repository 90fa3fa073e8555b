//! What becomes of secrets over time: tokens that are replaced by their use, values that a command
//! writes, and the key that everything is sealed under.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, post};
use axum::{Form, Json, Router};
use extrack_tests::runtime::text;
use extrack_tests::{PATIENCE, TestRuntime, wait_for};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::secrets::files_with;

/// A vendor that takes each refresh token once, and one key.
struct Strict {
    address: SocketAddr,
    state: Arc<Mutex<Taken>>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Taken {
    refresh_token: String,
    key: String,
    given: u32,
}

impl Strict {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(Taken {
            refresh_token: "wr1tten-refresh-token".to_owned(),
            ..Taken::default()
        }));
        let router = Router::new()
            .route("/token", post(token))
            .route("/health", any(health))
            .with_state(state.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            state,
            _server: AbortOnDropHandle::new(server),
        }
    }

    fn take_key(&self, key: &str) {
        self.state.lock().unwrap().key = key.to_owned();
    }
}

async fn token(
    State(state): State<Arc<Mutex<Taken>>>,
    Form(form): Form<Vec<(String, String)>>,
) -> (StatusCode, Json<Value>) {
    let mut state = state.lock().unwrap();
    let sent = form.iter().find(|(name, _)| name == "refresh_token");
    if sent.is_none_or(|(_, value)| *value != state.refresh_token) {
        return (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": "invalid_grant"})),
        );
    }
    state.given += 1;
    state.refresh_token = format!("r0tated-refresh-token-{}", state.given);
    state.key = format!("Bearer access-{}", state.given);
    let answer = json!({"access_token": format!("access-{}", state.given), "token_type": "Bearer",
        "expires_in": 3600, "refresh_token": state.refresh_token});
    (StatusCode::OK, Json(answer))
}

async fn health(State(state): State<Arc<Mutex<Taken>>>, headers: HeaderMap) -> StatusCode {
    let sent = headers.get("authorization").or(headers.get("x-api-key"));
    match sent {
        Some(value) if *value == *state.lock().unwrap().key => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    }
}

fn service(vendor: &Strict, authentication: &str) -> String {
    format!(
        r#"
services:
  - name: Shop
    baseUrl: "http://{}"
    healthEndpoint: "/health"
    authentication: {authentication}
    monitoring: {{interval: 86400, timeout: 10000}}
"#,
        vendor.address
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_was_replaced_survives_a_kill() {
    let vendor = Strict::start().await;
    let login = format!(
        r#"{{type: oauth2, tokenUrl: "http://{}/token", clientId: us, refreshToken: wr1tten-refresh-token}}"#,
        vendor.address
    );
    let mut runtime = TestRuntime::builder()
        .services(service(&vendor, &login))
        .start()
        .await;
    for given in 1..=3 {
        let seen = runtime.api().check("shop").await;
        assert_eq!(seen["status"], "healthy", "{seen}");
        assert_eq!(vendor.state.lock().unwrap().given, given);
        runtime.kill().await;
        runtime.start().await;
    }
    runtime.stop().await;
    let found = files_with(&runtime.data(), "r0tated-refresh-token");
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_asked_again_and_its_last_value_stays_while_it_fails() {
    let vendor = Strict::start().await;
    vendor.take_key("f1rst-key-of-many");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "f1rst-key-of-many\n").unwrap();
    let command = format!(
        r#"{{type: api_key, valueCommand: {{command: [/bin/cat, "{}"], every: 1s}}}}"#,
        text(&file)
    );
    let runtime = TestRuntime::builder()
        .services(service(&vendor, &command))
        .start()
        .await;
    let api = runtime.api();
    assert_eq!(api.check("shop").await["status"], "healthy");

    vendor.take_key("s3cond-key-of-many");
    std::fs::write(&file, "s3cond-key-of-many\n").unwrap();
    wait_for("the new key is used", PATIENCE, async || {
        let seen = api.check("shop").await;
        if seen["status"] == "healthy" {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    std::fs::remove_file(&file).unwrap();
    wait_for("the failure is counted", PATIENCE, async || {
        let metrics = api.metrics().await;
        let is_failing = |line: &str| line == "extrack_secret_commands_failing 1";
        if metrics.lines().any(is_failing) {
            Ok(())
        } else {
            Err("no".to_owned())
        }
    })
    .await;
    let seen = api.check("shop").await;
    assert_eq!(seen["status"], "healthy", "the last value stays: {seen}");
    assert!(!runtime.logs().contains("key-of-many"));

    let spec = json!({
        "name": "Mine", "baseUrl": format!("http://{}", vendor.address), "private": true,
        "authentication": {"type": "api_key", "valueCommand": {"command": ["/bin/cat", "/etc/passwd"]}},
    });
    let refused = api.post("/api/v1/services", &spec).await;
    let problem = refused.expect_problem(422).to_string();
    assert!(
        problem.contains("valueCommand") && problem.contains("configuration files only"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_of_the_key_may_be_killed_at_any_time() {
    const KILLS: u64 = 10;
    let vendor = Strict::start().await;
    vendor.take_key("k3y-of-the-api");
    let mut runtime = TestRuntime::builder().start().await;
    let spec = json!({
        "name": "Shop", "baseUrl": format!("http://{}", vendor.address), "healthEndpoint": "/health", "private": true,
        "authentication": {"type": "api_key", "value": "k3y-of-the-api"},
        "monitoring": {"interval": 86400, "timeout": 10000},
    });
    runtime
        .api()
        .post("/api/v1/services", &spec)
        .await
        .expect(201);
    let (data, config) = (runtime.data(), runtime.config());
    let key = data.join("secret.key");
    let rotate = [
        "secrets",
        "rotate-key",
        "--data",
        text(&data),
        "--config",
        text(&config),
    ];
    let running = runtime.cli(rotate).await;
    assert_ne!(running.code, Some(0), "the program runs: {running:?}");
    runtime.stop().await;

    let first = std::fs::read_to_string(&key).unwrap();
    for kill in 0..KILLS {
        let after = Duration::from_millis(kill * 25);
        let _ = runtime.cli_killed(rotate, tokio::time::sleep(after)).await;
    }
    runtime.start().await;
    let seen = runtime.api().check("shop").await;
    assert_eq!(seen["status"], "healthy", "{seen}");
    runtime.stop().await;

    let former = data.join("former");
    let kept = rotate
        .iter()
        .copied()
        .chain(["--keep-former", text(&former)]);
    let rotated = runtime.cli(kept).await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    assert!(
        rotated.out.contains("sealed under the new key"),
        "{rotated:?}"
    );
    let (kept, last) = (
        std::fs::read_to_string(&former).unwrap(),
        std::fs::read_to_string(&key).unwrap(),
    );
    assert!(kept != last && first != last);
    assert!(!data.join("secret.key.next").exists());
    runtime.start().await;
    let seen = runtime.api().check("shop").await;
    assert_eq!(seen["status"], "healthy", "{seen}");
}
