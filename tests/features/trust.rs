//! Only what the operator trusts becomes a plugin: pinned by digest, signed by a known key, pulled
//! from a registry.

use std::path::Path;

use extrack_tests::registry::{PASSWORD, USER};
use extrack_tests::{
    Api, OciRegistry, PATIENCE, Signer, TargetServer, TestRuntime, components, wait_for,
};
use serde_json::{Value, json};

/// Plugin that a service may be checked with: `swapped`, as two versions.
fn versions() -> (Vec<u8>, Vec<u8>) {
    (
        components::guest("swapped-one"),
        components::guest("swapped-two"),
    )
}

async fn active(api: &Api, name: &str) -> Option<String> {
    let reply = api.get(&format!("/api/v1/plugins/{name}")).await;
    (reply.status == 200).then(|| {
        reply.expect(200)["version"]
            .as_str()
            .expect("a version is text")
            .to_owned()
    })
}

/// The step at which it was refused, and why.
#[track_caller]
fn assert_refused(problem: &serde_json::Value, step: &str, says: &str) {
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains(&format!("at step `{step}`")) && detail.contains(says),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_plugin_is_that_component_and_no_other() {
    let (one, two) = versions();
    let yaml = |pins: &str| {
        format!(
            "plugins:\n  swapped: {{sha256: {pins}}}\n  http: {{sha256: \"{}\"}}\n",
            "0".repeat(64)
        )
    };
    let (first, second) = (components::sha256(&one), components::sha256(&two));
    let mut runtime = TestRuntime::builder()
        .plugins_yaml(yaml(&format!("\"{first}\"")))
        .start()
        .await;
    let api = runtime.api();
    // One that is part of the program is held to its pin too, and said.
    assert_eq!(active(&api, "http").await, None);
    assert!(
        runtime.logs().contains("plugins.http.sha256"),
        "{}",
        runtime.logs()
    );

    assert_refused(
        &api.plugin_put("swapped", &two).await.expect_problem(422),
        "pin",
        "`plugins.swapped.sha256`",
    );
    api.plugin_put("swapped", &one).await.expect(200);
    std::fs::write(runtime.plugins().join("two.wasm"), &two).unwrap();
    wait_for("the folder to be refused", PATIENCE, async || match runtime
        .logs()
        .contains("a plugin from the folder is not installed")
    {
        true => Ok(()),
        false => Err(runtime.logs()),
    })
    .await;
    assert_eq!(active(&api, "swapped").await.as_deref(), Some("1.0.0"));
    let said = runtime
        .cli([
            "plugin",
            "install",
            components::path("swapped-two").to_str().unwrap(),
        ])
        .await;
    assert_ne!(said.code, Some(0));
    assert!(said.err.contains("plugins.swapped.sha256"), "{said:?}");
    std::fs::remove_file(runtime.plugins().join("two.wasm")).unwrap();

    // Both are allowed, then only the second: the first is not loaded again, nor rolled back to.
    let config = runtime.config().join("plugins.yaml");
    std::fs::write(&config, yaml(&format!("[\"{first}\", \"{second}\"]"))).unwrap();
    wait_for("the second to be allowed", PATIENCE, async || {
        let reply = api.plugin_put("swapped", &two).await;
        if reply.status == 200 {
            Ok(())
        } else {
            Err(reply.text)
        }
    })
    .await;
    std::fs::write(&config, yaml(&format!("\"{second}\""))).unwrap();
    wait_for("the first to be forbidden", PATIENCE, async || {
        let reply = api.rollback("swapped").await;
        if reply.status == 422 {
            assert_refused(&reply.expect_problem(422), "pin", &second);
            Ok(())
        } else {
            Err(reply.text)
        }
    })
    .await;
    api.plugin_put("swapped", &two).await.expect(200);
    runtime.stop().await;
    std::fs::write(&config, yaml(&format!("\"{first}\""))).unwrap();
    runtime.start().await;
    assert_eq!(active(&runtime.api(), "swapped").await, None);
    assert!(
        runtime.logs().contains("an installed plugin does not load"),
        "{}",
        runtime.logs()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_signed_components_are_installed_rolled_back_to_and_loaded() {
    let (one, two) = versions();
    let (signer, stranger) = (Signer::new(), Signer::new());
    let yaml = |key: &str| format!("trust:\n  keys: [\"{key}\"]\n  requireSignatures: true\n");
    let mut runtime = TestRuntime::builder()
        .plugins_yaml(yaml(&signer.public_key()))
        .start()
        .await;
    let api = runtime.api();
    assert!(
        active(&api, "http").await.is_some(),
        "what is part of the program needs no signature"
    );

    assert_refused(
        &api.plugin_put("swapped", &one).await.expect_problem(422),
        "signature",
        "trust.requireSignatures",
    );
    for (signature, says) in [
        (stranger.sign(&one), "a key that is not in `trust.keys`"),
        (signer.sign(&two), "is not of this component"),
        ("nonsense".to_owned(), "is not one of minisign's"),
    ] {
        let problem = api
            .plugin_put_signed("swapped", &one, &signature)
            .await
            .expect_problem(422);
        assert_refused(&problem, "signature", says);
    }
    let installed = api
        .plugin_put_signed("swapped", &one, &signer.sign(&one))
        .await
        .expect(200);
    let key_id = installed["signedBy"]
        .as_str()
        .expect("the key is told")
        .to_owned();
    assert_eq!(key_id.len(), 16);

    // By the command line, with the signature beside the file; by the folder, when the signature
    // comes after the component.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.wasm");
    std::fs::write(&file, &two).unwrap();
    let install = async |file: &Path| {
        runtime
            .cli(["plugin", "install", file.to_str().unwrap()])
            .await
    };
    let said = install(&file).await;
    assert!(
        said.code != Some(0) && said.err.contains("is not signed"),
        "{said:?}"
    );
    std::fs::write(folder.path().join("two.wasm.minisig"), signer.sign(&two)).unwrap();
    let said = install(&file).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(active(&api, "swapped").await.as_deref(), Some("2.0.0"));
    let rolled_back = api.rollback("swapped").await.expect(200);
    assert_eq!(
        (&rolled_back["version"], &rolled_back["signedBy"]),
        (&json!("1.0.0"), &json!(key_id))
    );
    let third = components::guest("probe-sleeps");
    std::fs::write(runtime.plugins().join("third.wasm"), &third).unwrap();
    wait_for("the folder to be refused", PATIENCE, async || match runtime
        .logs()
        .contains("a plugin from the folder is not installed")
    {
        true => Ok(()),
        false => Err(runtime.logs()),
    })
    .await;
    std::fs::write(
        runtime.plugins().join("third.wasm.minisig"),
        signer.sign(&third),
    )
    .unwrap();
    wait_for("the folder to be taken", PATIENCE, async || {
        match active(&api, "probe-sleeps").await {
            Some(_) => Ok(()),
            None => Err(runtime.logs()),
        }
    })
    .await;
    std::fs::remove_file(runtime.plugins().join("third.wasm")).unwrap();

    runtime.restart().await;
    assert_eq!(
        active(&runtime.api(), "swapped").await.as_deref(),
        Some("1.0.0"),
        "its signature was kept"
    );
    let twice = runtime.api().rollback("swapped").await.expect(200);
    assert_eq!(twice["version"], "2.0.0", "and that of the version before");
    runtime.stop().await;
    std::fs::write(
        runtime.config().join("plugins.yaml"),
        yaml(&stranger.public_key()),
    )
    .unwrap();
    runtime.start().await;
    assert_eq!(
        active(&runtime.api(), "swapped").await,
        None,
        "the key is not trusted any more"
    );
    assert!(
        runtime.logs().contains("is signed by a key that is not in"),
        "{}",
        runtime.logs()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_file_has_faults_nothing_is_installed() {
    let (one, _) = versions();
    let mut runtime = TestRuntime::builder()
        .plugins_yaml("trust: {requireSignature: true}\n")
        .plugin("one.wasm", one)
        .prepare();
    let arguments = ["--config", "--data", "--plugins"];
    let paths = [runtime.config(), runtime.data(), runtime.plugins()];
    let mut command = vec!["serve", "--listen", "127.0.0.1:0"];
    for (argument, path) in arguments.iter().zip(&paths) {
        command.extend([*argument, path.to_str().unwrap()]);
    }
    let said = runtime.cli(command).await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert!(
        said.err
            .contains("trust.requireSignature: is not a known key"),
        "{said:?}"
    );
    std::fs::remove_file(runtime.config().join("plugins.yaml")).unwrap();
    std::fs::remove_file(runtime.plugins().join("one.wasm")).unwrap();
    runtime.start().await;
    assert_eq!(active(&runtime.api(), "swapped").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_come_from_a_registry_by_command_and_by_file() {
    let (registry, nginx, signer) = (
        OciRegistry::start().await,
        TargetServer::start().await,
        Signer::new(),
    );
    let (one, two) = versions();
    registry
        .push("acme/swapped", "1", &one, Some(&signer.sign(&one)))
        .await;
    let second = registry.push("acme/swapped", "2", &two, None).await;
    let login = format!("{{username: {USER}, passwordFile: robot, plainHttp: true}}");
    let yaml = |plugins: &str, required: bool| {
        format!(
            "{plugins}trust:\n  keys: [\"{}\"]\n  requireSignatures: {required}\n  registries: {{\"{}\": {login}}}\n",
            signer.public_key(),
            registry.host()
        )
    };
    let mut runtime = TestRuntime::builder()
        .plugins_yaml(yaml("", true))
        .prepare();
    std::fs::write(runtime.config().join("robot"), PASSWORD).unwrap();
    runtime.start().await;
    let api = runtime.api();

    let said = runtime
        .cli([
            "plugin",
            "install",
            &registry.reference("acme/swapped", "1"),
        ])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(active(&api, "swapped").await.as_deref(), Some("1.0.0"));
    let pull = async |body| api.post("/api/v1/plugins/pull", &body).await;
    let unsigned = pull(json!({"reference": registry.reference("acme/swapped", "2")}))
        .await
        .expect_problem(422);
    assert_refused(&unsigned, "signature", "is not signed");
    for (reference, says) in [
        (
            registry.reference("acme/swapped", "3"),
            "knows no `manifests/3`",
        ),
        (
            registry.reference("acme/other", "1"),
            "knows no `manifests/1`",
        ),
        (
            "oci://127.0.0.1:1/acme/swapped:1".to_owned(),
            "private addresses",
        ),
        (
            "https://127.0.0.1/swapped".to_owned(),
            "does not begin with `oci://`",
        ),
    ] {
        assert_refused(
            &pull(json!({ "reference": reference }))
                .await
                .expect_problem(422),
            "pull",
            says,
        );
    }
    let other = json!({"reference": registry.reference("acme/swapped", "1"), "name": "other"});
    assert_refused(
        &pull(other).await.expect_problem(422),
        "name",
        "calls itself `swapped`",
    );
    assert_eq!(active(&api, "swapped").await.as_deref(), Some("1.0.0"));

    // By the file, together with a service that needs the plugin; a source that fails leaves the
    // version that is there.
    let source = |version: &str| {
        format!(
            "plugins:\n  swapped: {{source: \"{}\"}}\n",
            registry.reference("acme/swapped", version)
        )
    };
    let services = format!(
        "services: [{{name: shop, type: own, baseUrl: \"{}\", monitoring: {{probe: swapped, interval: 86400}}}}]\n",
        nginx.url()
    );
    std::fs::write(runtime.config().join("services.yaml"), services).unwrap();
    std::fs::write(
        runtime.config().join("plugins.yaml"),
        yaml(&source(&second), false),
    )
    .unwrap();
    let is_active = async |version: &str| {
        wait_for(
            &format!("version {version}"),
            PATIENCE,
            async || match active(&api, "swapped").await {
                Some(found) if found == version => Ok(()),
                other => Err(format!("{other:?}: {}", runtime.logs())),
            },
        )
        .await;
    };
    is_active("2.0.0").await;
    wait_for("the service", PATIENCE, async || {
        match api.get("/api/v1/services/shop").await.status {
            200 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    std::fs::write(
        runtime.config().join("plugins.yaml"),
        yaml(&source("9"), false),
    )
    .unwrap();
    wait_for("the pull to fail", PATIENCE, async || {
        match runtime.logs().contains("could not be pulled") {
            true => Ok(()),
            false => Err(runtime.logs()),
        }
    })
    .await;
    assert_eq!(active(&api, "swapped").await.as_deref(), Some("2.0.0"));

    // All or nothing: beside a service with faults, the version that was pulled does not become
    // active.
    let services = std::fs::read_to_string(runtime.config().join("services.yaml")).unwrap();
    std::fs::write(
        runtime.config().join("services.yaml"),
        services.replace("interval", "intervall"),
    )
    .unwrap();
    let refused = async |before: &Value| {
        wait_for("the files to be refused", PATIENCE, async || {
            let found = api.get("/api/v1/config").await.expect(200);
            if found["status"] == "faulty" && found["digest"] != *before {
                Ok(found["digest"].clone())
            } else {
                Err(found.to_string())
            }
        })
        .await
    };
    let one = refused(&Value::Null).await;
    std::fs::write(
        runtime.config().join("plugins.yaml"),
        yaml(&source("1"), false),
    )
    .unwrap();
    refused(&one).await;
    assert_eq!(active(&api, "swapped").await.as_deref(), Some("2.0.0"));
    std::fs::write(runtime.config().join("services.yaml"), services).unwrap();
    is_active("1.0.0").await;

    // From nothing, at the start, before the services are checked.
    runtime.stop().await;
    std::fs::remove_dir_all(runtime.data()).unwrap();
    runtime.start().await;
    assert_eq!(
        active(&runtime.api(), "swapped").await.as_deref(),
        Some("1.0.0")
    );
    assert!(!runtime.logs().contains(PASSWORD));
}
