//! Plugins are replaced while they run: the good ones at once, the bad ones never.

use std::time::Duration;

use extrack_tests::{Api, PATIENCE, TargetServer, TestRuntime, Vendor, components, wait_for};
use serde_json::{Value, json};

/// Installing compiles, in a debug build of the compiler.
const COMPILING: Duration = Duration::from_secs(120);

/// Returns a plugin without its health, which every run changes.
async fn active(api: &Api, name: &str) -> Value {
    let mut plugin = api
        .get(&format!("/api/v1/plugins/{name}"))
        .await
        .expect(200);
    plugin
        .as_object_mut()
        .expect("a plugin is an object")
        .remove("health");
    plugin
}

async fn version(api: &Api, name: &str) -> String {
    active(api, name).await["version"]
        .as_str()
        .expect("a plugin has a version")
        .to_owned()
}

async fn wait_for_version(api: &Api, name: &str, wanted: &str) {
    wait_for(
        &format!("version {wanted} of {name}"),
        COMPILING,
        async || {
            let reply = api.get(&format!("/api/v1/plugins/{name}")).await;
            if reply.text.contains(&format!("\"version\":\"{wanted}\"")) {
                Ok(())
            } else {
                Err(reply.text)
            }
        },
    )
    .await;
}

/// So many services that use the plugin `swapped`, each every second.
fn services(url: &str, count: usize) -> String {
    let service = |index: usize| {
        format!(
            "\n  - {{name: \"s{index}\", type: own, baseUrl: \"{url}\", \
             monitoring: {{probe: swapped, interval: 1, timeout: 5000, settings: {{path: /health}}}}}}"
        )
    };
    format!("services:{}\n", (0..count).map(service).collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bundled_plugins_are_those_of_their_folders() {
    let runtime = TestRuntime::builder().start().await;
    let plugins = runtime.api().list("/api/v1/plugins").await;
    let text = |plugin: &Value, key: &str| plugin[key].as_str().expect("a text").to_owned();
    let mut names: Vec<(String, String)> = plugins
        .iter()
        .map(|plugin| (text(plugin, "kind"), text(plugin, "name")))
        .collect();
    names.sort();
    assert_eq!(names, components::bundled());
    for plugin in &plugins {
        assert_eq!(plugin["state"], "active", "{plugin}");
        assert_eq!(plugin["digest"].as_str().unwrap().len(), 64, "{plugin}");
        assert!(
            plugin["since"]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .is_ok(),
            "{plugin}"
        );
        assert!(
            plugin["version"].as_str().unwrap().split('.').count() == 3,
            "{plugin}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_installed_over_the_api_and_used_and_taken_back() {
    let nginx = TargetServer::start().await;
    let mut runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.get("/api/v1/plugins/swapped").await.expect_problem(404);

    let one = api
        .plugin_put("swapped", &components::guest("swapped-one"))
        .await
        .expect(200);
    assert_eq!(
        [&one["name"], &one["kind"], &one["version"], &one["state"]],
        ["swapped", "probe", "1.0.0", "active"]
    );
    let service = json!({
        "name": "Shop", "type": "own", "baseUrl": nginx.url(), "private": true,
        "monitoring": {"probe": "swapped", "interval": 3600, "settings": {"path": "/health"}},
    });
    api.post("/api/v1/services", &service).await.expect(201);
    let first = api.check("shop").await;
    assert_eq!(
        [&first["status"], &first["pluginVersion"]],
        ["healthy", "1.0.0"]
    );

    let two = api
        .plugin_put("swapped", &components::guest("swapped-two"))
        .await
        .expect(200);
    assert_eq!(two["version"], "2.0.0");
    assert_ne!(two["digest"], one["digest"]);
    assert_eq!(api.check("shop").await["pluginVersion"], "2.0.0");

    // The same again changes nothing.
    let again = api
        .plugin_put("swapped", &components::guest("swapped-two"))
        .await
        .expect(200);
    for what in ["digest", "since", "installedBy", "state"] {
        assert_eq!(again[what], two[what], "{what}");
    }

    let back = api.rollback("swapped").await.expect(200);
    assert_eq!(
        [&back["version"], &back["digest"]],
        [&one["version"], &one["digest"]]
    );
    assert_eq!(api.check("shop").await["pluginVersion"], "1.0.0");

    // A restart goes on with what was active.
    runtime.restart().await;
    let api = runtime.api();
    assert_eq!(version(&api, "swapped").await, "1.0.0");
    assert_eq!(api.check("shop").await["pluginVersion"], "1.0.0");

    // Under another name than its own: refused.
    let refused = api
        .plugin_put("other", &components::guest("swapped-two"))
        .await
        .expect_problem(422);
    assert!(
        refused["detail"].as_str().unwrap().contains("`swapped`"),
        "{refused}"
    );
    let refused = api.rollback("http").await.expect_problem(409);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("no earlier version"),
        "{refused}"
    );
    api.rollback("nothing").await.expect_problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_with_the_reason_and_the_old_version_stays() {
    let nginx = TargetServer::start().await;
    let runtime = TestRuntime::builder()
        .services(services(&nginx.url(), 1))
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    let api = runtime.api();
    wait_for_version(&api, "swapped", "1.0.0").await;
    let before = active(&api, "swapped").await;
    let empty = api.plugin_put("swapped", &[]).await.expect_problem(400);
    assert!(
        empty["detail"]
            .as_str()
            .unwrap()
            .contains("the body is empty"),
        "{empty}"
    );
    let mut bundled = components::guest("swapped-two");
    bundled.truncate(bundled.len() / 2);
    for (what, bytes, reasons) in [
        (
            "text",
            b"#!/bin/sh\necho hello\n".to_vec(),
            ["format", "not WebAssembly"],
        ),
        (
            "a core module",
            components::core_module(),
            ["format", "core WebAssembly module"],
        ),
        (
            "half a component",
            bundled,
            ["compile", "not a valid component"],
        ),
        (
            "another world",
            components::of_another_world(),
            ["world", "probes"],
        ),
        (
            "an unknown import",
            components::with_unknown_import(),
            ["imports", "telepathy"],
        ),
        (
            "an import of another kind",
            components::with_import_of_another_kind(),
            ["imports", "history"],
        ),
        (
            "one whose `describe` traps",
            components::trapping(),
            ["describe", "trap"],
        ),
        (
            "one whose schema is none",
            components::guest("probe-describe-lies"),
            ["describe", ""],
        ),
        (
            "another whose `describe` traps",
            components::guest("probe-describe-traps"),
            ["describe", "trap"],
        ),
        (
            "one that refuses settings in use",
            components::guest("swapped-strict"),
            ["settings", "region"],
        ),
        (
            "a rule of that name",
            components::guest("availability"),
            ["name", "availability"],
        ),
    ] {
        let refused = api.plugin_put("swapped", &bytes).await.expect_problem(422);
        let detail = refused["detail"].as_str().unwrap();
        for reason in reasons {
            assert!(
                detail.contains(reason),
                "{what}: `{reason}` is not in: {detail}"
            );
        }
        assert_eq!(active(&api, "swapped").await, before, "{what}");
    }
    let runs = api
        .sql_count("SELECT count(*) FROM observations WHERE status <> 'healthy'")
        .await;
    assert_eq!(runs, 0, "the service noticed");
    assert_eq!(api.check("s0").await["pluginVersion"], "1.0.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_installs_lists_inspects_and_rolls_back() {
    let runtime = TestRuntime::builder().start().await;
    let path = |name: &str| components::path(name).to_str().unwrap().to_owned();

    let inspected = runtime
        .cli(["plugin", "inspect", &path("swapped-one"), "--json"])
        .await;
    assert_eq!(inspected.code, Some(0), "{inspected:?}");
    let inspected: Value = serde_json::from_str(&inspected.out).expect("--json prints JSON");
    assert_eq!(
        [
            &inspected["name"],
            &inspected["kind"],
            &inspected["version"]
        ],
        ["swapped", "probe", "1.0.0"]
    );
    assert!(
        inspected["imports"].to_string().contains("http"),
        "{inspected}"
    );
    assert_eq!(
        inspected["settingsSchema"]["properties"]["path"]["type"], "string",
        "{inspected}"
    );

    for (name, version) in [("swapped-one", "1.0.0"), ("swapped-two", "2.0.0")] {
        let installed = runtime
            .cli([
                "plugin",
                "install",
                &path(name),
                "--server",
                runtime.url(),
                "--token",
                extrack_tests::runtime::TOKEN,
            ])
            .await;
        assert_eq!(installed.code, Some(0), "{installed:?}");
        assert!(
            installed.out.contains("swapped") && installed.out.contains(version),
            "{installed:?}"
        );
    }
    let listed = runtime.cli(["plugin", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.out).expect("--json prints JSON");
    let swapped = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|plugin| plugin["name"] == "swapped")
        .expect("it was installed");
    assert_eq!(swapped["version"], "2.0.0");

    let back = runtime.cli(["plugin", "rollback", "swapped"]).await;
    assert_eq!(back.code, Some(0), "{back:?}");
    assert_eq!(version(&runtime.api(), "swapped").await, "1.0.0");

    let broken = runtime.config().join("broken.wasm");
    std::fs::write(&broken, "no component").unwrap();
    let refused = runtime
        .cli(["plugin", "install", broken.to_str().unwrap()])
        .await;
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("not WebAssembly"), "{refused:?}");
    let missing = runtime
        .cli(["plugin", "install", "/nowhere/at/all.wasm"])
        .await;
    assert_ne!(missing.code, Some(0));
    assert!(missing.err.contains("/nowhere/at/all.wasm"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_dropped_into_the_watched_folder_is_installed() {
    let runtime = TestRuntime::builder()
        .plugin("swapped.wasm", components::guest("swapped-one"))
        .start()
        .await;
    let api = runtime.api();
    wait_for_version(&api, "swapped", "1.0.0").await;

    std::fs::write(
        runtime.plugins().join("swapped.wasm"),
        components::guest("swapped-two"),
    )
    .unwrap();
    wait_for_version(&api, "swapped", "2.0.0").await;

    // A file that is still being written is not taken for a component; one that never becomes one
    // is in the log.
    std::fs::write(runtime.plugins().join("bad.wasm"), "no component").unwrap();
    wait_for("the refusal in the log", PATIENCE, async || {
        let log = runtime.logs();
        if log.contains("bad.wasm") && log.contains("not WebAssembly") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(version(&api, "swapped").await, "2.0.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_roll_backs_and_promotions_under_running_probes_lose_no_run() {
    const SERVICES: usize = 40;
    /// Versions of four swaps.
    const ROUNDS: usize = 50;
    let vendor = Vendor::start().await;
    let (one, two) = (
        components::guest("swapped-one"),
        components::guest("swapped-two"),
    );
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url(), SERVICES))
        .plugin("swapped.wasm", one)
        .start()
        .await;
    let api = runtime.api();
    // Compiled once, so that what follows is the swap alone.
    api.plugin_put("swapped", &two).await.expect(200);
    api.rollback("swapped").await.expect(200);
    // Spread over time: a tenth of the services each.
    let more_runs = async || {
        let before = vendor.hits("/health");
        wait_for("more runs", PATIENCE, async || {
            match vendor.hits("/health") {
                hits if hits >= before + SERVICES as u64 / 10 => Ok(()),
                hits => Err(format!("{hits} after {before}")),
            }
        })
        .await;
    };
    for _ in 0..ROUNDS {
        assert_eq!(
            api.plugin_put("swapped", &two).await.expect(200)["version"],
            "2.0.0"
        );
        more_runs().await;
        assert_eq!(
            api.rollback("swapped").await.expect(200)["version"],
            "1.0.0"
        );
        more_runs().await;
        assert_eq!(
            api.shadow_put("swapped", &two).await.expect(200)["version"],
            "1.0.0"
        );
        assert_eq!(api.promote("swapped").await.expect(200)["version"], "2.0.0");
        more_runs().await;
        assert_eq!(
            api.rollback("swapped").await.expect(200)["version"],
            "1.0.0"
        );
        more_runs().await;
    }
    // The last of them are stored a moment later.
    let answered = vendor.hits("/health") as i64;
    wait_for("their rows", PATIENCE, async || {
        let rows = api
            .sql_count(
                "SELECT (SELECT count(*) FROM observations) + \
                 (SELECT count(*) FROM plugin_runs WHERE function = 'shadow-check')",
            )
            .await;
        // A candidate's run that was under way when it was promoted has no row.
        let cut_off = ROUNDS as i64 * SERVICES as i64;
        if rows >= answered - cut_off {
            Ok(())
        } else {
            Err(format!("{rows} of {answered}"))
        }
    })
    .await;
    let swaps = api
        .sql_count(
            "SELECT count(*) FROM plugin_runs WHERE plugin = 'swapped' AND function = 'check'",
        )
        .await;
    assert!(
        swaps as usize >= 4 * ROUNDS,
        "{swaps} runs are too few to tell"
    );
    let audited = api.list("/api/v1/audit?subject=plugin:swapped").await;
    let count = |action: &str| {
        audited
            .iter()
            .filter(|entry| entry["action"] == action)
            .count()
    };
    assert_eq!(
        ["plugin.install", "plugin.rollback", "plugin.promote"].map(count),
        [ROUNDS + 2, 2 * ROUNDS + 1, ROUNDS],
        "swaps that took place"
    );
    let bad = api
        .sql("SELECT ts, service, status, error, missed FROM observations WHERE status <> 'healthy' OR missed")
        .await;
    assert!(bad.is_empty(), "{bad:?}");
    let broken = api
        .sql("SELECT ts, function, outcome, error FROM plugin_runs WHERE plugin = 'swapped' AND outcome <> 'ok'")
        .await;
    assert!(broken.is_empty(), "{broken:?}");
    let by_version = api
        .sql("SELECT plugin_version, count(*) FROM observations GROUP BY plugin_version ORDER BY plugin_version")
        .await;
    let versions: Vec<&Value> = by_version.iter().map(|row| &row[0]).collect();
    assert_eq!(versions, ["1.0.0", "2.0.0"], "{by_version:?}");
    // No second of any service is without its run.
    let gaps = api
        .sql(
            "SELECT service, ts, gap_ms FROM (SELECT service, ts, \
             epoch_ms(ts) - epoch_ms(lag(ts) OVER (PARTITION BY service ORDER BY ts)) AS gap_ms FROM observations) \
             WHERE gap_ms <> 1000",
        )
        .await;
    assert!(gaps.is_empty(), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_the_configuration_knows_what_is_installed_when_asked_to() {
    let vendor = Vendor::start().await;
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url(), 1))
        .prepare();
    // Nothing of that name is in the folders.
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert!(
        said.err.contains("there is no probe plugin `swapped`"),
        "{said:?}"
    );
    assert!(
        said.err.contains("`--installed`") && said.err.contains("`--plugins FOLDER`"),
        "{said:?}"
    );

    let runtime = TestRuntime::builder().start().await;
    runtime
        .api()
        .plugin_put("swapped", &components::guest("swapped-one"))
        .await
        .expect(200);
    std::fs::write(
        runtime.config().join("services.yaml"),
        services(&vendor.url(), 1),
    )
    .unwrap();
    let config = runtime.config();
    let said = runtime
        .cli([
            "check-config",
            "--config",
            config.to_str().unwrap(),
            "--installed",
        ])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
}
