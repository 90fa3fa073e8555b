//! Bytes that are no good component: each is answered, none is a crash, and compiled code comes
//! only from ourselves.

use std::path::PathBuf;

use extrack_tests::{Api, Hostile, TargetServer, TestRuntime, components};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

async fn shop(api: &Api, nginx: &TargetServer) {
    let service = json!({
        "name": "Shop", "baseUrl": nginx.url(), "healthEndpoint": "/health", "private": true,
        "monitoring": {"interval": 86400},
    });
    api.post("/api/v1/services", &service).await.expect(201);
}

/// Refused with one of these steps and the reason.
async fn assert_refused(api: &Api, what: &str, name: &str, bytes: &[u8], steps: &[&str]) {
    let refused = api.plugin_put(name, bytes).await.expect_problem(422);
    let detail = refused["detail"].as_str().unwrap_or_default();
    let is_one = |step: &&str| detail.contains(&format!("step `{step}`"));
    assert!(steps.iter().any(is_one), "{what}: {detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_components_are_answered_and_never_a_crash() {
    const FLIPS: usize = 250;
    let nginx = TargetServer::start().await;
    let runtime = TestRuntime::builder().start().await;
    let (api, pid) = (runtime.api(), runtime.pid());
    shop(&api, &nginx).await;
    let real = components::guest("tcp");
    for part in 1..40 {
        let bytes = &real[..real.len() * part / 40];
        // Cut between two sections it is a whole component, without exports.
        let steps = if bytes.len() < 8 {
            &["format"][..]
        } else {
            &["compile", "world"]
        };
        assert_refused(
            &api,
            &format!("the first {} bytes", bytes.len()),
            "tcp",
            bytes,
            steps,
        )
        .await;
    }
    // Small, so that a flip hits what matters: its types, its code, its exports. What is hit may
    // still be a good plugin.
    let small = Hostile::new("fuzzed").component();
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..FLIPS {
        let mut bytes = small.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(8..bytes.len());
            bytes[at] ^= 1 << random.random_range(0..8);
        }
        let reply = api.plugin_put("fuzzed", &bytes).await;
        match reply.status {
            200 => accepted += 1,
            422 => refused += 1,
            other => panic!("seed {seed}: {other}: {}", reply.text),
        }
    }
    assert!(
        refused > FLIPS / 2,
        "seed {seed}: {refused} refused, {accepted} accepted"
    );
    assert_eq!(runtime.pid(), pid);
    assert_eq!(api.get("/readyz").await.status, 200);
    assert_eq!(api.check("shop").await["status"], "healthy");
    let tcp = api.get("/api/v1/plugins/tcp").await.expect(200);
    assert_eq!(
        tcp["installedBy"], "bundled",
        "the version before stays: {tcp}"
    );
}

/// Compiled code that the program keeps.
fn compiled(runtime: &TestRuntime) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(runtime.data().join("plugins/compiled"))
        .expect("it compiles into this folder");
    let files = folder.map(|entry| entry.expect("the folder is readable").path());
    files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_code_is_taken_from_our_own_folder_only_and_only_whole() {
    /// Length of the digest that each file begins with.
    const DIGEST: usize = 32;
    let nginx = TargetServer::start().await;
    let mut runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let installed = api
        .plugin_put("swapped", &components::guest("swapped-one"))
        .await
        .expect(200);
    let service = json!({
        "name": "Shop", "type": "own", "baseUrl": nginx.url(), "private": true,
        "monitoring": {"probe": "swapped", "interval": 86400, "settings": {"path": "/health"}},
    });
    api.post("/api/v1/services", &service).await.expect(201);
    assert_eq!(api.check("shop").await["status"], "healthy");

    // Sent as a plugin, it is not WebAssembly.
    let digest = installed["digest"].as_str().unwrap();
    let own = compiled(&runtime)
        .into_iter()
        .find(|path| path.to_string_lossy().contains(digest));
    let own = own.expect("what was installed is kept compiled");
    let bytes = std::fs::read(&own).unwrap();
    for (what, bytes) in [
        ("as it is kept", &bytes[..]),
        ("the native code in it", &bytes[DIGEST..]),
    ] {
        assert_refused(&api, what, "swapped", bytes, &["format"]).await;
    }
    // With the first bytes of a component before it, it is not one either.
    let disguised = [&b"\0asm\x0d\0\x01\0"[..], &bytes[DIGEST..]].concat();
    assert_refused(&api, "in disguise", "swapped", &disguised, &["compile"]).await;

    // One that was changed on disk is compiled again from the component, whatever was changed.
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 4] = [
        ("one bit of the code", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        ("its digest", |bytes| bytes[0] ^= 1),
        ("cut short", |bytes| bytes.truncate(bytes.len() / 2)),
        ("empty", Vec::clear),
    ];
    for (what, change) in changes {
        assert!(runtime.stop().await.success());
        let mut bytes = std::fs::read(&own).unwrap();
        change(&mut bytes);
        std::fs::write(&own, &bytes).unwrap();
        runtime.start().await;
        let api = runtime.api();
        assert_eq!(
            api.get("/api/v1/plugins/swapped").await.expect(200)["digest"],
            digest,
            "{what}"
        );
        assert_eq!(
            api.check("shop").await["status"],
            Value::from("healthy"),
            "{what}"
        );
        assert_ne!(
            std::fs::read(&own).unwrap(),
            bytes,
            "{what}: it is still on disk"
        );
    }
    assert!(runtime.logs().contains("damaged"), "it says so");
}
