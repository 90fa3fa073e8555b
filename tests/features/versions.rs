//! The versions of a plugin: which are kept, which one is active since when and by whom, and the
//! ways between them.

use std::collections::BTreeMap;
use std::time::Duration;

use extrack_tests::{Api, TestRuntime, components};
use rand::Rng;
use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// Name of the token that the tests use.
const WE: &str = "admin (EXTRACK_ADMIN_TOKEN)";

async fn versions(api: &Api, name: &str) -> Vec<Value> {
    api.list(&format!("/api/v1/plugins/{name}/versions")).await
}

fn states(versions: &[Value]) -> Vec<(&str, &str)> {
    versions
        .iter()
        .map(|entry| {
            (
                entry["version"].as_str().unwrap(),
                entry["state"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_says_whether_since_when_and_by_whom_it_is_active() {
    let mut runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.get("/api/v1/plugins/swapped/versions")
        .await
        .expect_problem(404);
    for guest in ["swapped-one", "swapped-two", "swapped-candidate"] {
        api.plugin_put("swapped", &components::guest(guest))
            .await
            .expect(200);
    }
    api.shadow_put("swapped", &components::guest("swapped-one"))
        .await
        .expect(200);
    let listed = versions(&api, "swapped").await;
    assert_eq!(
        states(&listed),
        [
            ("3.1.0", "active"),
            ("2.0.0", "previous"),
            ("1.0.0", "shadow")
        ]
    );
    for (entry, guest) in listed
        .iter()
        .zip(["swapped-candidate", "swapped-two", "swapped-one"])
    {
        assert_eq!(
            [&entry["installedBy"], &entry["activatedBy"]],
            [WE, WE],
            "{entry}"
        );
        assert_eq!(
            entry["activeUntil"].is_null(),
            entry["state"] == "active",
            "{entry}"
        );
        let path = format!(
            "/api/v1/plugins/swapped/versions/{}/component",
            entry["digest"].as_str().unwrap()
        );
        let component = api.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(component.headers()["content-type"], "application/wasm");
        assert_eq!(
            component.bytes().await.unwrap(),
            components::guest(guest),
            "{guest}"
        );
    }
    // One after the other, without a gap.
    assert_eq!(listed[0]["activeSince"], listed[1]["activeUntil"]);
    assert_eq!(listed[1]["activeSince"], listed[2]["activeUntil"]);

    // By version, by digest, and not by what is too short or unknown.
    let to = async |to: &str| {
        api.send(api.request(
            Method::POST,
            &format!("/api/v1/plugins/swapped/rollback?to={to}"),
        ))
        .await
    };
    assert_eq!(to("2.0.0").await.expect(200)["version"], "2.0.0");
    let digest = listed[0]["digest"].as_str().unwrap();
    assert_eq!(to(&digest[..12]).await.expect(200)["digest"], digest);
    for wrong in [&digest[..7], "2.0", "ffffffffffff"] {
        let problem = to(wrong).await.expect_problem(404);
        assert!(
            problem["detail"].as_str().unwrap().contains(wrong),
            "{problem}"
        );
    }
    // To the one that is active: nothing to do.
    let before = versions(&api, "swapped").await;
    assert_eq!(to("3.1.0").await.expect(200)["version"], "3.1.0");
    assert_eq!(versions(&api, "swapped").await, before);
    runtime.restart().await;
    assert_eq!(versions(&runtime.api(), "swapped").await, before);

    let listed = runtime.cli(["plugin", "versions", "swapped"]).await;
    assert!(
        listed.out.contains("3.1.0") && listed.out.contains("previous"),
        "{listed:?}"
    );
    let back = runtime
        .cli(["plugin", "rollback", "swapped", "--to", "2.0.0"])
        .await;
    assert_eq!(
        (back.code, back.out.trim()),
        (Some(0), "swapped is back at 2.0.0"),
        "{back:?}"
    );
    let unknown = runtime
        .cli(["plugin", "rollback", "swapped", "--to", "9"])
        .await;
    assert!(
        unknown.code != Some(0) && unknown.err.contains("extrack plugin versions swapped"),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_with_the_program_is_never_far() {
    let mut runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let bundled = versions(&api, "http").await;
    assert_eq!(
        (bundled.len(), &bundled[0]["state"], &bundled[0]["bundled"]),
        (1, &"active".into(), &true.into())
    );
    assert_eq!(bundled[0]["installedBy"], "bundled");

    api.plugin_put("http", &components::guest("http-other"))
        .await
        .expect(200);
    let listed = versions(&api, "http").await;
    assert_eq!(states(&listed)[0], ("9.0.0", "active"));
    assert_eq!(
        [&listed[1]["state"], &listed[1]["digest"]],
        [&"previous".into(), &bundled[0]["digest"]]
    );
    runtime.restart().await;
    let api = runtime.api();
    assert_eq!(
        states(&versions(&api, "http").await)[0],
        ("9.0.0", "active")
    );

    // Back to it, by somebody's decision, which a restart remembers.
    let back = api.rollback("http").await.expect(200);
    assert_eq!(
        [&back["digest"], &back["installedBy"]],
        [&bundled[0]["digest"], &WE.into()]
    );
    runtime.restart().await;
    let api = runtime.api();
    let listed = versions(&api, "http").await;
    assert_eq!(
        [&listed[0]["digest"], &listed[0]["activatedBy"]],
        [&bundled[0]["digest"], &WE.into()]
    );
    assert_eq!(states(&listed)[1], ("9.0.0", "previous"));

    // Forth, and away with it.
    assert_eq!(api.rollback("http").await.expect(200)["version"], "9.0.0");
    let removed = runtime.cli(["plugin", "remove", "http"]).await;
    assert!(
        removed.code == Some(0) && removed.out.contains("came with the program"),
        "{removed:?}"
    );
    assert_eq!(
        versions(&api, "http").await[0]["digest"],
        bundled[0]["digest"]
    );
    let refused = api.delete("/api/v1/plugins/http").await.expect_problem(409);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("part of the program"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_removed_with_all_its_versions_once_nothing_uses_it() {
    let mut runtime = TestRuntime::builder()
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    let api = runtime.api();
    api.plugin_put("swapped", &components::guest("swapped-two"))
        .await
        .expect(200);
    let service = serde_json::json!({
        "name": "Shop", "type": "own", "baseUrl": "http://192.0.2.1",
        "monitoring": {"probe": "swapped", "interval": 86400},
    });
    api.post("/api/v1/services", &service).await.expect(201);
    let refused = api
        .delete("/api/v1/plugins/swapped")
        .await
        .expect_problem(409);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("service `shop`"),
        "{refused}"
    );

    api.delete("/api/v1/services/shop").await.expect(204);
    assert_eq!(
        api.delete("/api/v1/plugins/swapped").await.expect(200),
        Value::Null
    );
    api.get("/api/v1/plugins/swapped").await.expect_problem(404);
    assert_eq!(components_in(&runtime), 0);
    // What lies in the watched folder was installed once, and does not come back by a restart.
    runtime.restart().await;
    let api = runtime.api();
    api.get("/api/v1/plugins/swapped").await.expect_problem(404);
    api.delete("/api/v1/plugins/swapped")
        .await
        .expect_problem(404);
    // A version that is installed again is there again.
    assert_eq!(
        api.plugin_put("swapped", &components::guest("swapped-one"))
            .await
            .expect(200)["version"],
        "1.0.0"
    );
    assert_eq!(
        states(&versions(&api, "swapped").await),
        [("1.0.0", "active")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_versions_go_but_never_one_that_may_be_needed() {
    let mut runtime = TestRuntime::builder()
        .env("EXTRACK_PLUGIN_VERSIONS_KEPT", "1")
        .start()
        .await;
    let api = runtime.api();
    let mut digests = BTreeMap::new();
    for guest in ["swapped-one", "swapped-two", "swapped-candidate"] {
        let entry = api
            .plugin_put("swapped", &components::guest(guest))
            .await
            .expect(200);
        digests.insert(guest, entry["digest"].as_str().unwrap().to_owned());
    }
    // More than one, because a roll-back has to have somewhere to go.
    assert_eq!(
        states(&versions(&api, "swapped").await),
        [("3.1.0", "active"), ("2.0.0", "previous")]
    );
    assert_eq!(components_in(&runtime), 2);
    let gone = format!(
        "/api/v1/plugins/swapped/versions/{}/component",
        digests["swapped-one"]
    );
    api.get(&gone).await.expect_problem(404);

    // The candidate stays, for as long as it is one.
    api.shadow_put("swapped", &components::guest("swapped-one"))
        .await
        .expect(200);
    assert_eq!(components_in(&runtime), 3);
    api.discard("swapped").await.expect(200);
    let left = versions(&api, "swapped").await;
    assert_eq!(
        (states(&left), components_in(&runtime)),
        (vec![("3.1.0", "active"), ("2.0.0", "previous")], 2)
    );
    assert_eq!(
        api.rollback("swapped").await.expect(200)["version"],
        "2.0.0"
    );

    // What a crash left behind goes with the next start.
    runtime.kill().await;
    std::fs::write(
        runtime
            .data()
            .join(format!("plugins/{}.wasm", "ab".repeat(32))),
        "left over",
    )
    .unwrap();
    std::fs::write(runtime.data().join("plugins/.tmpQxYz12"), "half").unwrap();
    runtime.start().await;
    assert_eq!(components_in(&runtime), 2);
    let left: Vec<_> = std::fs::read_dir(runtime.data().join("plugins"))
        .unwrap()
        .flatten()
        .collect();
    assert!(
        !left
            .iter()
            .any(|file| file.file_name().to_string_lossy().starts_with(".tmp")),
        "{left:?}"
    );
    assert_eq!(
        states(&versions(&runtime.api(), "swapped").await),
        [("2.0.0", "active"), ("3.1.0", "previous")]
    );
}

/// Installed components on the disk.
fn components_in(runtime: &TestRuntime) -> usize {
    let files = std::fs::read_dir(runtime.data().join("plugins"))
        .unwrap()
        .flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|end| end == "wasm"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_version_stays_however_old_it_is() {
    let guests = ["swapped-one", "swapped-two", "swapped-candidate"];
    let pins = guests
        .map(|guest| format!("\"{}\"", components::sha256(&components::guest(guest))))
        .join(", ");
    let runtime = TestRuntime::builder()
        .env("EXTRACK_PLUGIN_VERSIONS_KEPT", "1")
        .plugins_yaml(format!("plugins:\n  swapped: {{sha256: [{pins}]}}\n"))
        .start()
        .await;
    for guest in guests {
        runtime
            .api()
            .plugin_put("swapped", &components::guest(guest))
            .await
            .expect(200);
    }
    assert_eq!(
        states(&versions(&runtime.api(), "swapped").await),
        [
            ("3.1.0", "active"),
            ("2.0.0", "previous"),
            ("1.0.0", "kept")
        ]
    );
    let said = runtime
        .cli(["plugin", "rollback", "swapped", "--to", "1.0.0"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_did_what_is_audited_with_the_digests_before_and_after() {
    let runtime = TestRuntime::builder()
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    let api = runtime.api();
    let one = api.get("/api/v1/plugins/swapped").await.expect(200)["digest"].clone();
    let two = api
        .plugin_put("swapped", &components::guest("swapped-two"))
        .await
        .expect(200)["digest"]
        .clone();
    api.rollback("swapped").await.expect(200);
    api.shadow_put("swapped", &components::guest("swapped-two"))
        .await
        .expect(200);
    api.promote("swapped").await.expect(200);
    // What is refused changed nothing, and is not there.
    api.plugin_put("swapped", b"no component")
        .await
        .expect_problem(422);
    let audit = api.list("/api/v1/audit?subject=plugin:swapped").await;
    let told: Vec<[&Value; 4]> = audit
        .iter()
        .map(|entry| {
            [
                &entry["action"],
                &entry["actor"],
                &entry["detail"]["from"],
                &entry["detail"]["to"],
            ]
        })
        .collect();
    let (we, folder, nothing) = (Value::from(WE), Value::from("plugin folder"), Value::Null);
    let actions = ["promote", "shadow", "rollback", "install", "install"]
        .map(|word| Value::from(format!("plugin.{word}")));
    assert_eq!(
        told,
        [
            [&actions[0], &we, &one, &two],
            [&actions[1], &we, &one, &nothing],
            [&actions[2], &we, &two, &one],
            [&actions[3], &we, &one, &two],
            [&actions[4], &folder, &nothing, &one],
        ]
    );
    assert_eq!(audit[1]["detail"]["candidate"], two);
    assert!(
        audit
            .iter()
            .all(|entry| entry["subject"] == "plugin:swapped")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_two_steps_leaves_what_the_log_says() {
    const KILLS: usize = 15;
    let mut runtime = TestRuntime::builder()
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .prepare();
    let guests = ["swapped-one", "swapped-two", "swapped-candidate"].map(components::guest);
    let (mut done, mut acknowledged) = (0, 0);
    let mut random = rand::rng();
    for _ in 0..KILLS {
        runtime.start().await;
        let api = runtime.api();
        check_consistency(&api, &runtime, acknowledged).await;
        let moment = Instant::now() + Duration::from_millis(random.random_range(0..1_000));
        loop {
            let guest = &guests[random.random_range(0..guests.len())];
            let (method, path) = [
                (Method::PUT, ""),
                (Method::PUT, "/shadow"),
                (Method::POST, "/promote"),
                (Method::POST, "/discard"),
                (Method::POST, "/rollback"),
            ][random.random_range(0..5)]
            .clone();
            let request = api
                .request(method, &format!("/api/v1/plugins/swapped{path}"))
                .body(guest.clone());
            // A change that was answered is in the log for good.
            match timeout_at(moment, api.try_send(request)).await {
                Ok(Ok(reply)) if reply.status == 200 => done += 1,
                Ok(Ok(reply)) => assert!(
                    matches!(reply.status, 404 | 409),
                    "{}: {}",
                    reply.request,
                    reply.text
                ),
                Ok(Err(error)) => panic!("{error:?}"),
                Err(_) => break,
            }
            acknowledged = audited(&api).await.len();
        }
        runtime.kill().await;
    }
    assert!(
        done > 0,
        "only {done} changes: the test did not try what it should"
    );
    runtime.start().await;
    check_consistency(&runtime.api(), &runtime, acknowledged).await;
}

async fn audited(api: &Api) -> Vec<Value> {
    api.list("/api/v1/audit?subject=plugin:swapped").await
}

/// Checks that the log names what runs, that everything it keeps is there and whole, and nothing
/// else.
async fn check_consistency(api: &Api, runtime: &TestRuntime, acknowledged: usize) {
    let audit = audited(api).await;
    assert!(
        audit.len() >= acknowledged,
        "{} entries of {acknowledged}",
        audit.len()
    );
    let active = api.get("/api/v1/plugins/swapped").await.expect(200);
    let last = audit
        .iter()
        .find(|entry| entry["detail"]["to"].is_string())
        .expect("it was installed at the start");
    assert_eq!(last["detail"]["to"], active["digest"], "{audit:?}");
    let trial = audit.iter().find(|entry| {
        entry["detail"]["candidate"].is_string() || entry["detail"]["shadowEnded"] == true
    });
    let candidate = match trial {
        Some(entry) if entry["action"] == "plugin.shadow" => entry["detail"]["candidate"].clone(),
        _ => Value::Null,
    };
    assert_eq!(active["shadow"]["digest"], candidate, "{audit:?}");
    let listed = versions(api, "swapped").await;
    assert_eq!(
        listed
            .iter()
            .filter(|entry| entry["state"] == "active")
            .count(),
        1,
        "{listed:?}"
    );
    for entry in &listed {
        let digest = entry["digest"].as_str().unwrap();
        // The program refuses what is not whole by its digest.
        api.get(&format!(
            "/api/v1/plugins/swapped/versions/{digest}/component"
        ))
        .await
        .expect_text(200);
    }
    assert_eq!(components_in(runtime), listed.len(), "{listed:?}");
}
