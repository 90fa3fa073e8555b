//! Grants: a plugin may do what it wants, as far as the operator allows it, and no more than its
//! budget.

use extrack_tests::{
    Api, HangingServer, PATIENCE, TargetServer, TestRuntime, components, wait_for,
};
use serde_json::{Value, json};

const TRIES: &str = "probe-tries";

fn service(slug: &str, plugin: &str, base_url: &str, timeout_ms: u32, settings: &str) -> String {
    format!(
        "\n  - {{name: \"{slug}\", type: own, baseUrl: \"{base_url}\", authentication: {{type: api_key, value: s3cret-k3y}}, \
         monitoring: {{probe: {plugin}, interval: 86400, timeout: {timeout_ms}, settings: {{{settings}}}}}}}"
    )
}

fn plugins_yaml(runtime: &TestRuntime, text: &str) {
    std::fs::write(runtime.config().join("plugins.yaml"), text).expect("the folder is ours");
}

async fn wait_for_origin(api: &Api, plugin: &str, origin: &str) -> Value {
    let path = format!("/api/v1/plugins/{plugin}/grants");
    wait_for(
        &format!("grants of {plugin} from {origin}"),
        PATIENCE,
        async || {
            let grants = api.get(&path).await.expect(200);
            if grants["origin"] == origin {
                Ok(())
            } else {
                Err(grants.to_string())
            }
        },
    )
    .await;
    api.get(&path).await.expect(200)
}

#[track_caller]
fn assert_denied(found: &Value, setting: &str) {
    assert_eq!(
        (&found["status"], &found["errorKind"]),
        (&json!("error"), &json!("denied")),
        "{found}"
    );
    assert!(
        found["error"]
            .as_str()
            .is_some_and(|error| error.contains(setting)),
        "no {setting} in {found}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_needs_a_grant() {
    let nginx = TargetServer::start().await;
    let (own, other) = (nginx.url(), format!("http://localhost:{}", nginx.port()));
    let services = [
        service("own", TRIES, &own, 5_000, &format!("url: \"{own}/health\"")),
        service(
            "other",
            TRIES,
            &own,
            5_000,
            &format!("url: \"{other}/health\""),
        ),
        service(
            "locked",
            TRIES,
            &own,
            5_000,
            &format!("url: \"{own}/locked\", auth: default"),
        ),
        service(
            "posts",
            TRIES,
            &own,
            5_000,
            &format!("url: \"{own}/health\", method: POST"),
        ),
    ];
    let mut runtime = TestRuntime::builder()
        .services(format!("services:{}\n", services.concat()))
        .plugin("probe-tries.wasm", components::guest(TRIES))
        .start()
        .await;
    let api = runtime.api();

    // Without any grants: the service's own host, all methods, its credentials; no other host.
    for slug in ["own", "locked", "posts"] {
        let found = api.check(slug).await;
        assert_eq!(
            (&found["status"], &found["httpStatus"]),
            (&json!("healthy"), &json!(200)),
            "{found}"
        );
    }
    let found = api.check("other").await;
    assert_denied(&found, "`plugins.probe-tries.grants.hosts` in plugins.yaml");
    assert_denied(
        &found,
        "`extrack plugin grants probe-tries --allow-host localhost:",
    );
    let denied = async |slug: &str| {
        wait_for("the run to be stored", PATIENCE, async || {
            let query = format!(
                "SELECT denials, denied, bytes_in FROM plugin_runs WHERE service = '{slug}' ORDER BY run_id DESC LIMIT 1"
            );
            let rows = api.sql(&query).await;
            let [denials, denied, bytes_in] = rows.first().map_or(&[][..], Vec::as_slice) else {
                return Err("no run".to_owned());
            };
            let told = denied.as_str().is_some_and(|denied| denied.contains("plugins.probe-tries.grants"));
            if *denials == 1 && told && *bytes_in == 0 { Ok(()) } else { Err(format!("{rows:?}")) }
        })
        .await;
    };
    denied("other").await;
    assert!(
        api.metrics()
            .await
            .contains("extrack_plugin_denials_total{plugin=\"probe-tries\"} 1")
    );
    let grants = api
        .get("/api/v1/plugins/probe-tries/grants")
        .await
        .expect(200);
    assert_eq!(
        (&grants["origin"], &grants["wants"]),
        (&json!("default"), &json!([{"host": "*"}]))
    );
    let missing = json!([{"want": {"host": "*"}, "setting": "plugins.probe-tries.grants.hosts"}]);
    assert_eq!(grants["missing"], missing, "{grants}");

    // Said over the API.
    let said = runtime
        .cli(["plugin", "grants", TRIES, "--allow-host", "localhost"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("localhost") && !said.out.contains("not granted"),
        "{said:?}"
    );
    assert_eq!(api.check("other").await["status"], "healthy");
    let traffic = api
        .sql("SELECT max(bytes_in), min(bytes_out) > 20 FROM plugin_runs WHERE function = 'check' AND denials = 0")
        .await;
    assert_eq!(traffic, [vec![json!(9), json!(true)]]);
    runtime.restart().await;
    let api = runtime.api();
    assert_eq!(
        api.check("other").await["status"],
        "healthy",
        "a grant outlives a restart"
    );
    let audited = api.list("/api/v1/audit?subject=plugin:probe-tries").await;
    assert!(
        audited
            .iter()
            .any(|entry| entry["action"] == "plugin.grant"),
        "{audited:?}"
    );

    // Said in the file, which goes before the API and can't be changed there.
    plugins_yaml(
        &runtime,
        "plugins: {probe-tries: {grants: {methods: [GET], credentials: [spare]}}}\n",
    );
    wait_for_origin(&api, TRIES, "file").await;
    assert_denied(
        &api.check("other").await,
        "plugins.probe-tries.grants.hosts",
    );
    assert_denied(
        &api.check("posts").await,
        "plugins.probe-tries.grants.methods",
    );
    assert_denied(
        &api.check("locked").await,
        "plugins.probe-tries.grants.credentials",
    );
    let found = api.check("own").await;
    assert_eq!(
        (&found["status"], &found["metrics"]["credentials"]),
        (&json!("healthy"), &json!("")),
        "{found}"
    );
    let path = "/api/v1/plugins/probe-tries/grants";
    let problem = api
        .put(path, &json!({"grants": {"hosts": ["*"]}}))
        .await
        .expect_problem(409);
    assert!(
        problem["detail"].as_str().unwrap().contains("plugins.yaml"),
        "{problem}"
    );
    api.delete(path).await.expect_problem(409);

    // A pattern, which does not open private addresses.
    plugins_yaml(
        &runtime,
        "plugins: {probe-tries: {grants: {hosts: [\"*\"]}}}\n",
    );
    wait_for("the pattern", PATIENCE, async || {
        let hosts = &api.get(path).await.expect(200)["effective"]["hosts"];
        if *hosts == json!(["*"]) {
            Ok(())
        } else {
            Err(hosts.to_string())
        }
    })
    .await;
    assert_denied(&api.check("other").await, "write `localhost` out");

    // Taken back.
    plugins_yaml(&runtime, "plugins: {}\n");
    wait_for_origin(&api, TRIES, "api").await;
    assert_eq!(api.check("other").await["status"], "healthy");
    let said = runtime.cli(["plugin", "grants", TRIES, "--reset"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_denied(
        &api.check("other").await,
        "plugins.probe-tries.grants.hosts",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_checked_against_its_grants_before_it_runs() {
    let runtime = TestRuntime::builder().prepare();
    plugins_yaml(
        &runtime,
        "plugins: {probe-tries: {grants: {capabilities: [stream]}}}\n",
    );
    let mut runtime = runtime;
    let file = components::path(TRIES);
    let file = file.to_str().unwrap();
    let said = runtime.cli(["plugin", "check", file]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("no answer from") && said.out.contains("not granted: host *"),
        "{said:?}"
    );
    let config = runtime.config();
    let said = runtime
        .cli([
            "plugin",
            "check",
            file,
            "--config",
            config.to_str().unwrap(),
        ])
        .await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("plugins.probe-tries.grants.capabilities"),
        "{said:?}"
    );

    runtime.start().await;
    let api = runtime.api();
    let said = runtime.cli(["plugin", "check", file]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let request = api
        .request("POST".parse().unwrap(), "/api/v1/plugins/check")
        .body(components::guest(TRIES));
    let checked = api.send(request).await.expect(200);
    let outcomes: Vec<_> = checked["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (&step["step"], &step["outcome"]))
        .collect();
    assert_eq!(
        outcomes[outcomes.len() - 2..],
        [
            (&json!("grants"), &json!("failed")),
            (&json!("settings"), &json!("not-reached"))
        ]
    );
    assert!(
        outcomes[..outcomes.len() - 2]
            .iter()
            .all(|(_, outcome)| **outcome == "passed"),
        "{checked}"
    );
    assert_eq!(
        checked["grants"]["missing"].as_array().unwrap().len(),
        2,
        "{checked}"
    );
    api.get("/api/v1/plugins/probe-tries")
        .await
        .expect_problem(404);

    let problem = api
        .plugin_put(TRIES, &components::guest(TRIES))
        .await
        .expect_problem(422);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("at step `grants`"),
        "{problem}"
    );
    plugins_yaml(
        &runtime,
        "plugins: {probe-tries: {grants: {capabilities: [http]}}}\n",
    );
    wait_for("the component to be accepted", PATIENCE, async || {
        let reply = api.plugin_put(TRIES, &components::guest(TRIES)).await;
        if reply.status == 200 {
            Ok(())
        } else {
            Err(reply.text)
        }
    })
    .await;
    assert_eq!(runtime.cli(["plugin", "check", file]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_a_budget_ends_the_run_and_is_named() {
    let (nginx, silent) = (TargetServer::start().await, HangingServer::start().await);
    let url = nginx.url();
    let services = [
        service("cpu", "probe-loops", &url, 5_000, ""),
        service("memory", "probe-allocates", &url, 5_000, ""),
        service("hostCalls", "probe-giant-options", &url, 5_000, ""),
        service("logBytes", "probe-floods-log", &url, 5_000, ""),
        service("wallClock", "probe-sleeps", &silent.url(), 5_000, ""),
        service(
            "bytesOut",
            TRIES,
            &url,
            5_000,
            &format!("url: \"{url}/health\", bodyBytes: 2000"),
        ),
        service(
            "bytesIn",
            TRIES,
            &url,
            5_000,
            &format!("url: \"{url}/health\""),
        ),
    ];
    let mut builder = TestRuntime::builder().services(format!("services:{}\n", services.concat()));
    for guest in [
        "probe-loops",
        "probe-allocates",
        "probe-giant-options",
        "probe-floods-log",
        "probe-sleeps",
        TRIES,
    ] {
        builder = builder.plugin(&format!("{guest}.wasm"), components::guest(guest));
    }
    let mut runtime = builder.prepare();
    plugins_yaml(
        &runtime,
        "plugins:
  probe-loops: {budget: {cpu: 50ms}}
  probe-allocates: {budget: {memory: 8MiB}}
  probe-giant-options: {budget: {hostCalls: 20}}
  probe-floods-log: {budget: {cpu: 100ms, hostCalls: 20, logBytes: 4KiB}}
  probe-sleeps: {budget: {wallClock: 300ms}}
  probe-tries: {budget: {bytesOut: 1KiB, bytesIn: 4B}}
",
    );
    runtime.start().await;
    let api = runtime.api();
    let lines = [
        ("cpu", "probe-loops", "more than 50ms of CPU time"),
        ("memory", "probe-allocates", "more than 8MiB of memory"),
        (
            "hostCalls",
            "probe-giant-options",
            "more than 20 host calls",
        ),
        ("wallClock", "probe-sleeps", "longer than 300ms"),
        ("bytesOut", TRIES, "sent more than 1KiB"),
        ("bytesIn", TRIES, "received more than 4B"),
    ];
    for (line, plugin, says) in lines {
        let found = api.check(&line.to_lowercase()).await;
        assert_eq!(
            (&found["status"], &found["errorKind"]),
            (&json!("error"), &json!("plugin")),
            "{line}: {found}"
        );
        let error = found["error"].as_str().unwrap();
        assert!(error.contains(says), "{line}: {error}");
        assert!(
            error.contains(&format!("`plugins.{plugin}.budget.{line}` in plugins.yaml")),
            "{line}: {error}"
        );
    }
    // Lines of the log are no host calls; what it took to write them is CPU time.
    let found = api.check("logbytes").await;
    assert!(
        found["error"]
            .as_str()
            .is_some_and(|error| error.contains("more than 100ms of CPU time")),
        "{found}"
    );
    wait_for("all runs to be stored", PATIENCE, async || {
        let ended =
            api.sql("SELECT outcome, count(*) FROM plugin_runs WHERE function = 'check' GROUP BY outcome").await;
        if ended == [vec![json!("limit"), json!(7)]] { Ok(()) } else { Err(format!("{ended:?}")) }
    })
    .await;
    let within = "SELECT max(memory_bytes) FILTER (plugin = 'probe-allocates') <= 8 * 1024 * 1024, \
                  max(duration_us) FILTER (plugin = 'probe-sleeps') < 1000000 FROM plugin_runs WHERE function = 'check'";
    assert_eq!(api.sql(within).await, [vec![json!(true), json!(true)]]);
    // Log text over its line is dropped, and that is said once.
    let logs = runtime.logs();
    assert_eq!(
        logs.matches("plugins.probe-floods-log.budget.logBytes")
            .count(),
        1,
        "{logs}"
    );
    assert!(logs.matches("all work and no play").count() >= 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_runs_at_the_same_time_than_it_has_turns() {
    let (nginx, silent) = (TargetServer::start().await, HangingServer::start().await);
    let services = [
        service(
            "holds",
            TRIES,
            &silent.url(),
            8_000,
            &format!("url: \"{}/\"", silent.url()),
        ),
        service(
            "waits",
            TRIES,
            &nginx.url(),
            1_500,
            &format!("url: \"{}/health\"", nginx.url()),
        ),
    ];
    let mut runtime = TestRuntime::builder()
        .services(format!("services:{}\n", services.concat()))
        .plugin("probe-tries.wasm", components::guest(TRIES))
        .prepare();
    plugins_yaml(
        &runtime,
        "plugins: {probe-tries: {budget: {concurrency: 1}}}\n",
    );
    runtime.start().await;
    let api = runtime.api();
    let holding = tokio::spawn({
        let api = api.clone();
        async move { api.check("holds").await }
    });
    wait_for("the other to find no turn", PATIENCE, async || {
        let found = api.check("waits").await;
        let error = found["error"].as_str().unwrap_or_default();
        match error.contains("got no turn")
            && error.contains("`plugins.probe-tries.budget.concurrency`")
        {
            true => Ok(()),
            false => Err(found.to_string()),
        }
    })
    .await;
    // The one that waits for its service is that service's failure.
    assert_eq!(holding.await.unwrap()["errorKind"], "timeout");
    assert_eq!(api.check("waits").await["status"], "healthy");
}
