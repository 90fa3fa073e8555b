//! Guests that make many requests at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use extrack_tests::runtime::text;
use extrack_tests::{TestRuntime, components};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_util::task::AbortOnDropHandle;

const GUEST: &str = "probe-attempts";

/// Requests that the host has under way at once, as `wit/http.wit` has it.
const AT_ONCE: usize = 10;

/// Answers requests once ten are waiting, each with its number.
struct Gate {
    address: SocketAddr,
    most: Arc<AtomicUsize>,
    _server: AbortOnDropHandle<()>,
}

impl Gate {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let barrier = Arc::new(Barrier::new(AT_ONCE));
        let (waiting, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let seen = most.clone();
        let wait = move |Path(number): Path<u32>| async move {
            seen.fetch_max(waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait().await;
            waiting.fetch_sub(1, Ordering::SeqCst);
            number.to_string()
        };
        let router = Router::new().route("/{number}", get(wait));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            most,
            _server: AbortOnDropHandle::new(server),
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Texts among the metrics: an object in the API, a list in a recording.
fn metrics(observation: &Value) -> Vec<&str> {
    match &observation["metrics"] {
        Value::Object(metrics) => metrics.values().filter_map(Value::as_str).collect(),
        Value::Array(metrics) => metrics
            .iter()
            .filter_map(|metric| metric["value"].as_str())
            .collect(),
        _ => panic!("no metrics: {observation}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_side_by_side_pass_the_policy_one_by_one_and_replay_to_the_same() {
    let gate = Gate::start().await;
    let attempt = |url: String| json!({"url": url, "timeout": 30});
    let mut attempts: Vec<Value> = (0..2 * AT_ONCE)
        .map(|number| attempt(format!("{}/{number}", gate.url())))
        .collect();
    attempts.insert(3, attempt("http://192.0.2.7/".to_owned()));
    let settings = json!({"attempts": attempts, "together": true});
    let runtime = TestRuntime::builder().start().await;
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording.json");
    let component = components::path(GUEST);
    let url = gate.url();
    let said = runtime
        .cli([
            "plugin",
            "run",
            text(&component),
            "--url",
            &url,
            "--timeout",
            "30s",
            "--settings",
            &settings.to_string(),
            "--record",
            text(&recording),
            "--json",
        ])
        .await;
    let ran: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let recorded: Value =
        serde_json::from_str(&std::fs::read_to_string(&recording).unwrap()).unwrap();
    let mut found = metrics(&recorded["result"]);
    let refused = found.remove(3);
    assert!(refused.starts_with("denied: "), "{refused}");
    let wanted: Vec<String> = (0..2 * AT_ONCE)
        .map(|number| format!("200 {number}"))
        .collect();
    assert_eq!(found, wanted, "{ran}");
    assert_eq!(gate.most.load(Ordering::SeqCst), AT_ONCE);
    let calls = recorded["calls"].as_array().unwrap();
    assert!(
        calls.iter().all(|call| call["function"] == "http.send"),
        "{recorded}"
    );

    // The service is gone: time and phases are computed as they were.
    drop(gate);
    let replay = [
        "plugin",
        "replay",
        "--json",
        text(&recording),
        "--plugin",
        text(&component),
    ];
    let said = runtime.cli(replay).await;
    let replay: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(replay["same"], true, "{replay}");
    assert_eq!(replay["replayed"]["calls"], 2 * AT_ONCE + 1);
    let result = &replay["replayed"]["result"];
    assert_eq!(result.to_string(), recorded["result"].to_string());
}
