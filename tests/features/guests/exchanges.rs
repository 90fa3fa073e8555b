//! Guests that make many requests at once, and that write secrets to a connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use extrack_tests::runtime::text;
use extrack_tests::{TestRuntime, components};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_util::task::AbortOnDropHandle;

const GUEST: &str = "probe-attempts";
const SECRET: &str = "s3cret-of-the-settings";

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

/// Returns every line that it gets, and keeps it.
struct Echo {
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let kept = lines.clone();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let (read, mut write) = stream.split();
                    let mut lines = BufReader::new(read).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        let _ = write.write_all(format!("{line}\n").as_bytes()).await;
                        kept.lock().unwrap().push(line);
                    }
                });
            }
        });
        Self {
            address,
            lines,
            _server: AbortOnDropHandle::new(server),
        }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_on_a_connection_goes_to_its_own_service_and_comes_back_hidden() {
    let (own, other) = (Echo::start().await, Echo::start().await);
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.plugin_put(GUEST, &components::guest(GUEST))
        .await
        .expect(200);
    let line = |server: &Echo, text: &str| json!({"tcp": server.address.to_string(), "send": text});
    let attempts = [
        line(&own, "AUTH <key>, and <key>!"),
        line(&own, "a s3cret-of-others"),
        line(&other, "hello"),
        line(&other, "AUTH <key>"),
    ];
    let service = json!({
        "name": "Echo", "type": "own", "baseUrl": format!("tcp://{}", own.address), "private": true,
        "hosts": [other.address.to_string()],
        "monitoring": {"probe": GUEST, "interval": 86400, "timeout": 15000, "settings": {
            "attempts": attempts, "key": SECRET,
        }},
    });
    api.post("/api/v1/services", &service).await.expect(201);
    let observation = api.check("echo").await;
    let [first, second, third, fourth] = metrics(&observation)[..] else {
        panic!("{observation}")
    };
    assert_eq!(first, "AUTH ***, and ***!");
    assert_eq!(second, "a s3cret-of-others");
    assert_eq!(third, "hello");
    assert!(
        fourth.starts_with("denied: a secret of the settings does not go to"),
        "{fourth}"
    );
    let wanted = [
        format!("AUTH {SECRET}, and {SECRET}!"),
        "a s3cret-of-others".to_owned(),
    ];
    assert_eq!(*own.lines.lock().unwrap(), wanted);
    assert_eq!(*other.lines.lock().unwrap(), ["hello"]);
}
