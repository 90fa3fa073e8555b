//! Runs that failed can be run again: offline, later, by another version, and in a plugin's own
//! tests.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use extrack_plugin::fake::Host;
use extrack_tests::runtime::text;
use extrack_tests::{
    Api, HangingServer, Inbox, Mood, PATIENCE, Said, TestRuntime, Vendor, components, wait_for,
};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::secrets::files_with;

const KEY: &str = "s3cret-k3y-of-the-shop";
const TOKEN: &str = "t0ken-0f-the-pr0be";

/// Answers the state `ok`, and the request as it came.
struct Echo {
    url: String,
    _server: AbortOnDropHandle<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = async |headers: HeaderMap| {
            let sent: Vec<String> = headers
                .values()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect();
            axum::Json(json!({"state": "ok", "sent": sent}))
        };
        let router = Router::new().route("/state", get(state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            _server: AbortOnDropHandle::new(server),
        }
    }
}

/// Recordings of a service, newest first, once there are so many.
async fn recordings(api: &Api, filter: &str, wanted: usize) -> Vec<Value> {
    wait_for(
        &format!("{wanted} recordings with {filter}"),
        PATIENCE,
        async || {
            let found = api.list(&format!("/api/v1/recordings?{filter}")).await;
            if found.len() >= wanted {
                Ok(found)
            } else {
                Err(format!("{found:?}"))
            }
        },
    )
    .await
}

/// Brings a recording out of the program.
async fn download(api: &Api, recording: &Value, folder: &Path) -> PathBuf {
    let run_id = &recording["runId"];
    let reply = api.get(&format!("/api/v1/recordings/{run_id}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let disposition = reply.headers["content-disposition"].to_str().unwrap();
    assert_eq!(
        disposition,
        format!("attachment; filename=\"recording-{run_id}.json\"")
    );
    let file = folder.join(format!("recording-{run_id}.json"));
    std::fs::write(&file, reply.text).unwrap();
    file
}

fn answer(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_check_replays_offline_to_the_same_observation_and_a_mended_version_to_a_good_one()
{
    let echo = Echo::start().await;
    let services = format!(
        r#"
services:
  - name: "Shop"
    baseUrl: "{}"
    authentication: {{type: api_key, header: X-API-Key, value: "${{SHOP_KEY}}"}}
    monitoring: {{probe: reader, interval: 86400, timeout: 5000, settings: {{token: "${{PROBE_TOKEN}}"}}}}
"#,
        echo.url
    );
    let mut runtime = TestRuntime::builder()
        .services(services)
        .env("SHOP_KEY", KEY)
        .env("PROBE_TOKEN", TOKEN)
        .plugin("reader.wasm", components::guest("reader-one"))
        .start()
        .await;
    let api = runtime.api();
    let found = api.check("shop").await;
    assert_eq!(
        [&found["status"], &found["error"]],
        ["unhealthy", "state is `ok`, wanted `up`"],
        "{found}"
    );
    let kept = recordings(&api, "service=shop", 1).await.remove(0);
    assert_eq!(
        [
            &kept["runId"],
            &kept["plugin"],
            &kept["version"],
            &kept["function"],
            &kept["outcome"],
            &kept["status"]
        ],
        [
            &found["runId"],
            &json!("reader"),
            &json!("1.0.0"),
            &json!("check"),
            &json!("ok"),
            &json!("unhealthy")
        ]
    );
    let folder = tempfile::tempdir().unwrap();
    let file = download(&api, &kept, folder.path()).await;

    // The service said both secrets back: they are in no file, and the names of their places are.
    let recorded = std::fs::read_to_string(&file).unwrap();
    for secret in [KEY, TOKEN] {
        assert!(!recorded.contains(secret), "{recorded}");
        assert!(files_with(&runtime.data().join("recordings"), secret).is_empty());
    }
    assert!(
        recorded.contains(r#"["x-token",[{"secret":"/token"}]]"#) && recorded.contains("***"),
        "{recorded}"
    );
    let recording: Value = serde_json::from_str(&recorded).unwrap();
    let functions: Vec<&str> = recording["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["function"].as_str().unwrap())
        .collect();
    assert_eq!(functions, ["random.bytes", "clock.now-ms", "http.send"]);
    assert_eq!(
        recording["log"],
        json!([{"level": "info", "message": "the state is `ok`"}])
    );

    // The very same: status, text, metrics, latency and phases, with the service gone.
    drop(echo);
    let component = components::path("reader-one");
    let run_id = found["runId"].to_string();
    let offline = [text(&file), "--plugin", text(&component)];
    for arguments in [&offline[..], &[run_id.as_str()]] {
        let arguments = ["plugin", "replay", "--json"]
            .iter()
            .chain(arguments)
            .copied();
        let said = runtime.cli(arguments).await;
        let replay = answer(&said);
        assert_eq!(
            (said.code, &replay["same"]),
            (Some(0), &json!(true)),
            "{said:?}"
        );
        assert_eq!(
            replay["replayed"]["result"].to_string(),
            recording["result"].to_string()
        );
        let result = &replay["replayed"]["result"];
        for (name, of_api) in [
            ("status", "status"),
            ("latencyUs", "latencyUs"),
            ("phases", "phases"),
            ("bytes", "bytes"),
        ] {
            assert_eq!(result[name], found[of_api], "{name}");
        }
        assert_eq!(replay["replayed"]["calls"], 3);
    }
    let said = runtime.cli(["plugin", "replay", &run_id]).await;
    assert!(said.out.contains("same: 3 host calls"), "{said:?}");

    // The server may be gone too.
    runtime.stop().await;
    let mended = components::path("reader-two");
    let said = runtime
        .cli([
            "plugin",
            "replay",
            text(&file),
            "--plugin",
            text(&mended),
            "--json",
        ])
        .await;
    let replay = answer(&said);
    assert_eq!(
        (said.code, &replay["same"], &replay["difference"]),
        (Some(1), &json!(false), &Value::Null),
        "{said:?}"
    );
    assert_eq!(
        [
            &replay["replayed"]["version"],
            &replay["replayed"]["result"]["status"]
        ],
        ["2.0.0", "healthy"]
    );
    let result = &replay["replayed"]["result"];
    assert_eq!(result["metrics"], recording["result"]["metrics"]);
    assert_eq!(result["phases"], recording["result"]["phases"]);
    let said = runtime
        .cli(["plugin", "replay", text(&file), "--plugin", text(&mended)])
        .await;
    assert!(
        said.out
            .contains("different: the same 3 host calls, but another answer"),
        "{said:?}"
    );

    // Another plugin asks other things; what it asks is not answered.
    let other = components::path("swapped-one");
    let said = runtime
        .cli([
            "plugin",
            "replay",
            text(&file),
            "--plugin",
            text(&other),
            "--json",
        ])
        .await;
    let replay = answer(&said);
    assert_eq!(
        (said.code, &replay["difference"]["position"]),
        (Some(1), &json!(1)),
        "{said:?}"
    );
    assert_eq!(replay["difference"]["recorded"]["function"], "random.bytes");
    for refused in [
        &["plugin", "replay", text(&file)][..],
        &["plugin", "replay", text(&component)],
        &[
            "plugin",
            "replay",
            text(&file),
            "--plugin",
            text(&components::path("rule-traps")),
        ],
    ] {
        let said = runtime.cli(refused.iter().copied()).await;
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.starts_with("error: "), "{said:?}");
    }

    // In the plugin's own tests, which know nothing of WebAssembly.
    let host = Host::replay(&recorded);
    let check = host.recorded_check();
    assert_eq!(
        (check.service.slug.as_str(), check.default_credential()),
        ("shop", Some("default"))
    );
    let id = extrack_plugin::random::bytes(4)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    extrack_plugin::clock::now_ms();
    let token = <extrack_plugin::settings::Secret as extrack_plugin::settings::Setting>::from_json(
        r#"{"$secret": "/token"}"#,
    )
    .unwrap();
    let request = extrack_plugin::http::get(check.service.url("/state")).auth("default");
    let response = request
        .header("x-token", token)
        .header("x-request-id", id)
        .send()
        .unwrap();
    assert_eq!(response.json().unwrap()["state"], "ok");
    assert_eq!(
        Some(response.phases.total_us),
        recording["result"]["latencyUs"].as_u64()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_fail_replays_to_the_same() {
    let (silent, vendor, mut inbox) = (
        HangingServer::start().await,
        Vendor::start().await,
        Inbox::start().await,
    );
    vendor.set_status("/health", 503);
    let hook = "T0PS3CR3T-hook-path";
    inbox.set_mood(Mood::Failing).await;
    let silent_address = silent.address();
    let guest = |name: &str| {
        format!(
            "\n  - {{name: \"{name}\", type: own, baseUrl: \"{}\", monitoring: {{probe: {name}, interval: 86400, timeout: 700}}}}",
            silent.url()
        )
    };
    let guests = [
        "probe-panics",
        "probe-sleeps",
        "probe-loops",
        "probe-answers-error",
        "probe-answers-oddly",
    ];
    let services = format!(
        r#"
services:
  - name: "Vendor"
    baseUrl: "{vendor}"
    healthEndpoint: /health
    monitoring: {{interval: 1, timeout: 5000}}
    alerts:
      - {{type: rule-traps, name: "Trapping"}}
      - {{condition: "status == 'unhealthy'", name: "Down"}}
  - name: "Refusing"
    baseUrl: "http://{refusing}"
    monitoring: {{interval: 86400, timeout: 5000}}
  - name: "Mute"
    type: TCP
    baseUrl: "{silent_address}"
    monitoring: {{interval: 86400, timeout: 700, settings: {{send: "hello", expect: "220"}}}}
  - name: "Clear text"
    type: TLS
    baseUrl: "https://{vendor_address}"
    monitoring: {{probe: tls, interval: 86400, timeout: 5000}}
  - name: "Names"
    type: DNS
    baseUrl: "api.example.test"
    monitoring: {{probe: dns, interval: 86400, timeout: 700, settings: {{server: "{silent_address}"}}}}{guests}
"#,
        vendor = vendor.url(),
        vendor_address = vendor.url().trim_start_matches("http://"),
        refusing = extrack_tests::refusing_address(),
        guests = guests.iter().map(|name| guest(name)).collect::<String>(),
    );
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\nroute: {{groupWait: 0}}\n",
        inbox.url(&format!("/{hook}"))
    );
    let mut builder = TestRuntime::builder().services(services).alerts(alerts);
    for name in guests.into_iter().chain(["rule-traps"]) {
        builder = builder.plugin(&format!("{name}.wasm"), components::guest(name));
    }
    let runtime = builder.start().await;
    let api = runtime.api();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let services = ["refusing", "mute", "clear-text", "names"]
        .into_iter()
        .chain(guests);
    for slug in services.filter(|slug| *slug != "probe-answers-oddly") {
        let found = api.check(slug).await;
        assert!(found["status"] != "healthy", "{found}");
        let kept = recordings(&api, &format!("service={slug}"), 1)
            .await
            .remove(0);
        files.push(download(&api, &kept, folder.path()).await);
    }
    for filter in [
        "service=vendor&plugin=rule-traps",
        "service=vendor&plugin=http",
        "plugin=webhook",
    ] {
        let kept = recordings(&api, filter, 1).await.remove(0);
        files.push(download(&api, &kept, folder.path()).await);
    }
    // Went well, with values that make no sense: in memory, and to be had all the same. The second
    // one knows the first.
    api.check("probe-answers-oddly").await;
    api.check("probe-answers-oddly").await;
    let odd = recordings(&api, "service=probe-answers-oddly", 2)
        .await
        .remove(0);
    assert_eq!(
        [&odd["status"], &odd["size"]],
        [&json!("healthy"), &Value::Null],
        "{odd}"
    );
    files.push(download(&api, &odd, folder.path()).await);

    drop((silent, vendor, inbox));
    for file in &files {
        let recorded = std::fs::read_to_string(file).unwrap();
        assert!(!recorded.contains(hook), "{recorded}");
        let recording: Value = serde_json::from_str(&recorded).unwrap();
        let said = runtime.cli(["plugin", "replay", text(file)]).await;
        assert_eq!(said.code, Some(0), "{}\n{}\n{recorded}", said.out, said.err);
        let run = &recording["run"];
        let calls = recording["calls"].as_array().unwrap().len();
        // Those that reach for something reached for it.
        let reaches = ["http", "tcp", "tls", "dns", "webhook", "probe-sleeps"];
        assert!(
            calls > 0 || !reaches.contains(&run["plugin"].as_str().unwrap()),
            "{recorded}"
        );
    }
    let said = runtime
        .cli(["plugin", "recordings", "--service", "probe-panics"])
        .await;
    assert!(
        said.out.contains("probe-panics") && said.out.contains("trap"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_are_kept_as_are_useful_and_they_survive_a_crash() {
    let vendor = Vendor::start().await;
    let services = format!(
        "services:\n  - {{name: \"Shop\", baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 86400, timeout: 5000}}}}\n",
        vendor.url()
    );
    let mut runtime = TestRuntime::builder().services(services).start().await;
    let api = runtime.api();
    let folder = runtime.data().join("recordings");
    let files = || std::fs::read_dir(&folder).unwrap().count();
    for _ in 0..5 {
        assert_eq!(api.check("shop").await["status"], "healthy");
    }
    let good = recordings(&api, "service=shop", 3).await;
    assert!(
        good.len() == 3 && good.iter().all(|run| run["size"].is_null()),
        "{good:?}"
    );
    assert_eq!(files(), 0, "a service that is well costs no files");

    vendor.set_status("/health", 500);
    let mut last = Value::Null;
    for _ in 0..25 {
        last = api.check("shop").await;
        assert_eq!(last["status"], "unhealthy");
    }
    let kept = wait_for("the last recording", PATIENCE, async || {
        let kept = api.list("/api/v1/recordings?service=shop").await;
        if kept[0]["runId"] == last["runId"] && kept.iter().all(|run| run["size"].is_u64()) {
            Ok(kept)
        } else {
            Err(format!("{kept:?}"))
        }
    })
    .await;
    let count = |status: &str| kept.iter().filter(|run| run["status"] == status).count();
    assert_eq!((count("unhealthy"), count("healthy")), (20, 3), "{kept:?}");
    wait_for("the files of the others to be gone", PATIENCE, async || {
        let files = files();
        if files == 23 {
            Ok(())
        } else {
            Err(format!("{files} files"))
        }
    })
    .await;
    assert_eq!(api.list("/api/v1/recordings?status=healthy").await.len(), 3);
    assert_eq!(api.list("/api/v1/recordings?service=other").await.len(), 0);
    api.get("/api/v1/recordings?outcome=well")
        .await
        .expect_problem(400);
    api.get("/api/v1/recordings/1000000")
        .await
        .expect_problem(404);

    runtime.kill().await;
    runtime.start().await;
    assert_eq!(
        runtime.api().list("/api/v1/recordings?service=shop").await,
        kept
    );
}
