//! Configuration files that vanish, are emptied or end in their middle: no alert ends because of
//! it.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::Value;

/// The first goes down and comes back to show that alerting works, the last is down and its alert
/// has to stay.
const NAMES: [&str; 6] = ["sentinel", "b", "c", "d", "e", "victim"];

fn services(vendor: &Vendor, names: &[&str]) -> String {
    let service = |name: &&str| {
        format!(
            "\n  - {{name: {name}, baseUrl: \"{}\", healthEndpoint: /{name}, monitoring: {{interval: 1, timeout: 5000}}}}",
            vendor.url()
        )
    };
    format!(
        "services:{}\n",
        names.iter().map(service).collect::<String>()
    )
}

fn alerts(inbox: &Inbox) -> String {
    format!(
        "alerts:\n  - name: Down\n    condition: \"status != 'healthy'\"\n    \
         notifications: [{{channel: webhook, url: \"{}\"}}]\n",
        inbox.url("/hook")
    )
}

/// Statuses of the messages about a service so far, e.g. `["firing", "resolved"]`.
fn said_of(inbox: &Inbox, service: &str) -> Vec<String> {
    let messages = inbox.all().into_iter().map(|message| message.body);
    let of = messages.filter(|body| body["alerts"][0]["labels"]["service"] == service);
    of.map(|body| body["status"].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn wait_for_status(api: &Api, status: &str) -> Value {
    wait_for(
        &format!("a configuration that is {status}"),
        PATIENCE,
        async || {
            let found = api.get("/api/v1/config").await.expect(200);
            if found["status"] == status {
                Ok(found)
            } else {
                Err(found.to_string())
            }
        },
    )
    .await
}

/// An alert of another service begins and ends, with messages: whatever was to come of the files
/// has come.
async fn full_round(vendor: &Vendor, inbox: &Inbox) {
    let before = said_of(inbox, "sentinel").len();
    for (status, count) in [(503, before + 1), (200, before + 2)] {
        vendor.set_status("/sentinel", status);
        wait_for("the sentinel's message", PATIENCE, async || {
            match said_of(inbox, "sentinel") {
                said if said.len() >= count => Ok(()),
                said => Err(format!("{said:?}")),
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_vanish_or_are_cut_resolve_nothing_until_they_are_accepted() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/victim", 503);
    let whole = services(&vendor, &NAMES);
    let mut runtime = TestRuntime::builder()
        .services(whole.clone())
        .alerts(alerts(&inbox))
        .start()
        .await;
    let api = runtime.api();
    wait_for("the victim's message", PATIENCE, async || {
        match said_of(&inbox, "victim") {
            said if said == ["firing"] => Ok(()),
            said => Err(format!("{said:?}")),
        }
    })
    .await;
    let (file, away) = (
        runtime.config().join("services.yaml"),
        runtime.config().join("services.away"),
    );
    // Ends behind the second entry, and is valid all the same.
    let cut = services(&vendor, &NAMES[..2]);

    // Gone for a while.
    std::fs::rename(&file, &away).unwrap();
    let held = wait_for_status(&api, "held").await;
    assert!(
        held["reasons"][0]
            .as_str()
            .unwrap()
            .contains("`services.yaml` was there and is gone"),
        "{held}"
    );
    full_round(&vendor, &inbox).await;
    let ready = api.anonymous().get("/readyz").await.expect(200);
    assert!(
        ready["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains("held")),
        "{ready}"
    );
    assert!(
        api.metrics()
            .await
            .contains("extrack_configuration_differs 1")
    );
    let said = runtime.cli(["config", "show"]).await;
    assert!(
        said.out.contains("held") && said.out.contains("6 of 6 services would be removed"),
        "{said:?}"
    );
    std::fs::rename(&away, &file).unwrap();
    wait_for_status(&api, "in use").await;
    assert_eq!(
        api.anonymous()
            .get("/readyz")
            .await
            .expect(200)
            .get("warnings"),
        None
    );

    // Emptied in more than one way, then cut off.
    for (text, reason) in [
        ("", "`services.yaml` is empty"),
        ("# nothing\nservices:\n", "`services.yaml` is empty"),
        ("services: []\n", "6 of 6 services"),
    ] {
        std::fs::write(&file, text).unwrap();
        let held = wait_for("another reason", PATIENCE, async || {
            let found = api.get("/api/v1/config").await.expect(200);
            if found["reasons"].to_string().contains(reason) {
                Ok(found)
            } else {
                Err(found.to_string())
            }
        })
        .await;
        assert_eq!(held["status"], "held", "{held}");
        std::fs::write(&file, &whole).unwrap();
        wait_for_status(&api, "in use").await;
    }
    std::fs::write(&file, &cut).unwrap();
    wait_for_status(&api, "held").await;
    full_round(&vendor, &inbox).await;
    assert_eq!(
        api.list("/api/v1/services").await.len(),
        NAMES.len(),
        "the configuration before is in use"
    );
    assert_eq!(said_of(&inbox, "victim"), ["firing"]);

    // The start knows what was in use, and goes on with it.
    runtime.restart().await;
    let api = runtime.api();
    wait_for_status(&api, "held").await;
    std::fs::remove_file(&file).unwrap();
    wait_for("the file to be missed", PATIENCE, async || {
        let found = api.get("/api/v1/config").await.expect(200);
        if found["reasons"].to_string().contains("is gone") {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await;
    runtime.restart().await;
    let api = runtime.api();
    let held = wait_for_status(&api, "held").await;
    full_round(&vendor, &inbox).await;
    assert_eq!(api.list("/api/v1/services").await.len(), NAMES.len());
    assert_eq!(
        api.list("/api/v1/alerts?state=firing&service=victim")
            .await
            .len(),
        1
    );
    assert_eq!(said_of(&inbox, "victim"), ["firing"]);

    // Confirmed, it counts, and the alert ends as documented.
    std::fs::write(&file, &cut).unwrap();
    let later = wait_for("the file to be seen", PATIENCE, async || {
        let found = api.get("/api/v1/config").await.expect(200);
        if found["digest"] != held["digest"] {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    })
    .await;
    let stale = runtime
        .cli([
            "config",
            "accept",
            "--digest",
            held["digest"].as_str().unwrap(),
        ])
        .await;
    assert!(
        stale.code != Some(0) && stale.err.contains("changed meanwhile"),
        "{stale:?}"
    );
    assert_eq!(later["status"], "held");
    let accepted = runtime.cli(["config", "accept"]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    assert!(
        accepted.out.contains("4 of 6 services would be removed"),
        "{accepted:?}"
    );
    wait_for("the end", PATIENCE, async || {
        match said_of(&inbox, "victim") {
            said if said == ["firing", "resolved"] => Ok(()),
            said => Err(format!("{said:?}")),
        }
    })
    .await;
    assert_eq!(api.list("/api/v1/services").await.len(), 2);
    let audit = api.list("/api/v1/audit?subject=config:").await;
    assert_eq!(audit[0]["action"], "config.accept", "{audit:?}");
    runtime.restart().await;
    assert_eq!(
        runtime.api().get("/api/v1/config").await.expect(200)["status"],
        "in use"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_accept_config_takes_over_what_is_left() {
    let vendor = Vendor::start().await;
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, &NAMES))
        .start()
        .await;
    runtime.stop().await;
    std::fs::write(
        runtime.config().join("services.yaml"),
        services(&vendor, &NAMES[..1]),
    )
    .unwrap();
    runtime.start().await;
    wait_for_status(&runtime.api(), "held").await;
    runtime.stop().await;
    runtime.start_with(&["--accept-config"]).await;
    wait_for_status(&runtime.api(), "in use").await;
    assert_eq!(runtime.api().list("/api/v1/services").await.len(), 1);
    // It is what the next start compares with.
    runtime.restart().await;
    wait_for_status(&runtime.api(), "in use").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_faulty_files_goes_on_with_those_in_use_before_and_says_which_have_faults() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, &NAMES))
        .alerts(alerts(&inbox))
        .start()
        .await;
    wait_for_status(&runtime.api(), "in use").await;
    let (file, whole) = (
        runtime.config().join("services.yaml"),
        services(&vendor, &NAMES),
    );
    let unknown_setting = whole.replacen("interval: 1,", "interval: 1, settings: {nope: 1},", 1);
    // One that no YAML reader takes, and one that only a plugin finds.
    for (text, reason) in [
        (format!("{whole}  - {{name: [\n"), "services.yaml"),
        (unknown_setting, "nope"),
    ] {
        std::fs::write(&file, text).unwrap();
        runtime.restart().await;
        let api = runtime.api();
        let faulty = wait_for_status(&api, "faulty").await;
        assert!(faulty["reasons"].to_string().contains(reason), "{faulty}");
        let ready = api.anonymous().get("/readyz").await.expect(200);
        assert!(
            ready["warnings"]
                .to_string()
                .contains("faults in `services.yaml`"),
            "{ready}"
        );
        assert_eq!(api.list("/api/v1/services").await.len(), NAMES.len());
        full_round(&vendor, &inbox).await;
    }
    let said = runtime
        .cli([
            "check-config",
            "--config",
            runtime.config().to_str().unwrap(),
        ])
        .await;
    assert_eq!(said.code, Some(64), "{said:?}");
    std::fs::write(&file, whole).unwrap();
    wait_for_status(&runtime.api(), "in use").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_beside_a_service_with_faults_changes_nothing_until_both_are_good() {
    let vendor = Vendor::start().await;
    let runtime = TestRuntime::builder()
        .services(services(&vendor, &["a"]))
        .start()
        .await;
    let api = runtime.api();
    let (file, plugins) = (
        runtime.config().join("services.yaml"),
        runtime.config().join("plugins.yaml"),
    );
    let origin =
        async || api.get("/api/v1/plugins/http/grants").await.expect(200)["origin"].clone();
    let before = origin().await;
    std::fs::write(
        &file,
        services(&vendor, &["a"]).replace("interval", "intervall"),
    )
    .unwrap();
    let faulty = wait_for_status(&api, "faulty").await;
    assert!(
        faulty["reasons"].to_string().contains("intervall"),
        "{faulty}"
    );
    std::fs::write(
        &plugins,
        "plugins:\n  http: {grants: {hosts: [status.example.com]}}\n",
    )
    .unwrap();
    wait_for("both to be read", PATIENCE, async || {
        let found = api.get("/api/v1/config").await.expect(200);
        if found["digest"] != faulty["digest"] {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await;
    assert_eq!(origin().await, before);
    let refused = runtime.cli(["config", "accept"]).await;
    assert!(
        refused.code != Some(0) && refused.err.contains("intervall"),
        "{refused:?}"
    );
    assert_eq!(origin().await, before);
    std::fs::write(&file, services(&vendor, &["a"])).unwrap();
    wait_for_status(&api, "in use").await;
    assert_eq!(origin().await, "file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_services_that_fail_at_once_are_one_message_without_a_routing_tree() {
    const COUNT: usize = 20;
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let names: Vec<String> = (0..COUNT).map(|index| format!("shop-{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\nalerts: [{{name: Down, condition: \"status != 'healthy'\"}}]\n",
        inbox.url("/hook")
    );
    // One path, so that all fail in the same moment.
    let mut yaml = services(&vendor, &names);
    names
        .iter()
        .rev()
        .for_each(|name| yaml = yaml.replace(&format!("/{name},"), "/shop,"));
    let runtime = TestRuntime::builder()
        .services(yaml)
        .alerts(alerts)
        .start()
        .await;
    vendor.set_status("/shop", 503);
    let message = wait_for("a message", PATIENCE, async || match inbox.all().first() {
        Some(message) => Ok(message.body.clone()),
        None => Err("none".to_owned()),
    })
    .await;
    assert_eq!(
        message["alerts"].as_array().unwrap().len(),
        COUNT,
        "{message}"
    );
    assert_eq!(message["groupLabels"]["alertname"], "Down");
    assert_eq!(inbox.all().len(), 1);
    let preview = runtime
        .cli([
            "routes",
            "preview",
            "--alert",
            "Down",
            "--service",
            "shop-1",
        ])
        .await;
    assert!(preview.out.contains("webhook"), "{preview:?}");
}
