//! Grouping, silences and dependencies in the real program: one message for a hundred services, and none lost to a `kill -9`.

use std::time::Duration;

use extrack_tests::{Inbox, Mood, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// `count` services that fail with the database, which they depend on, and the database.
fn services(vendor: &Vendor, count: usize) -> String {
    let mut yaml = String::from("services:\n");
    let mut add = |slug: &str, path: &str, more: &str| {
        let url = vendor.url();
        yaml.push_str(&format!(
            "  - {{name: {slug}, baseUrl: \"{url}\", healthEndpoint: \"{path}\", monitoring: {{interval: 1, timeout: 900}}{more}}}\n"
        ));
    };
    for index in 0..count {
        add(&format!("shop-{index}"), "/shop", ", dependsOn: [database], labels: {team: shops}");
    }
    add("database", "/database", "");
    yaml
}

/// All to one channel, together, after a wait.
fn alerts(inbox: &Inbox, wait_s: u32) -> String {
    format!(
        r#"
channels:
  ops: {{channel: webhook, url: "{}"}}
route:
  receiver: ops
  groupWait: {wait_s}
  groupInterval: 2
  repeatInterval: 1h
alerts:
  - name: Down
    condition: "status != 'healthy'"
    severity: critical
"#,
        inbox.url("/ops")
    )
}

/// Slugs of the alerts that a message calls firing.
fn firing(message: &Value) -> Vec<String> {
    let alerts = message["alerts"].as_array().expect("a webhook lists its alerts").iter();
    let firing = alerts.filter(|alert| alert["status"] == "firing");
    let mut slugs: Vec<String> =
        firing.map(|alert| alert["labels"]["service"].as_str().unwrap_or_default().to_owned()).collect();
    slugs.sort();
    slugs
}

async fn wait_for_alerts(api: &extrack_tests::Api, state: &str, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} alerts that are {state}"), PATIENCE, async || {
        let found = api.list(&format!("/api/v1/alerts?state={state}")).await;
        if found.len() == count { Ok(found) } else { Err(format!("{} are", found.len())) }
    })
    .await
}

async fn wait_for_messages(inbox: &Inbox, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} messages"), PATIENCE, async || {
        let all: Vec<Value> = inbox.all().into_iter().map(|message| message.body).collect();
        if all.len() >= count { Ok(all) } else { Err(format!("{all:?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_services_behind_one_dependency_make_one_message() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let runtime = TestRuntime::builder().services(services(&vendor, 100)).alerts(alerts(&inbox, 15)).start().await;
    let api = runtime.api();
    vendor.set_status("/shop", 503);
    vendor.set_status("/database", 503);
    let suppressed = wait_for_alerts(&api, "suppressed", 100).await;
    assert_eq!(suppressed[0]["suppressedBy"], "dependency `database`");
    let messages = wait_for_messages(&inbox, 1).await;
    assert_eq!(firing(&messages[0]), ["database"]);

    vendor.set_status("/shop", 200);
    wait_for_alerts(&api, "suppressed", 0).await;
    vendor.set_status("/database", 200);
    wait_for_alerts(&api, "firing", 0).await;
    let messages = wait_for_messages(&inbox, 2).await;
    assert_eq!(messages[1]["status"], "resolved");
    assert_eq!(messages.len(), 2, "one beginning and one end, not 202");
    assert_eq!(api.list("/api/v1/notifications").await.len(), 2);
    let reasons = api.sql("SELECT reason FROM alert_events WHERE to_state = 'suppressed' LIMIT 1").await;
    assert!(reasons[0][0].as_str().unwrap().contains("depends on `database`"), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_mutes_until_it_is_ended_and_the_preview_says_so() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let runtime = TestRuntime::builder().services(services(&vendor, 1)).alerts(alerts(&inbox, 0)).start().await;
    let api = runtime.api();
    let add = ["silences", "add", "--match", "service=shop-0", "--for", "2h", "--comment", "moving", "--json"];
    let silence: Value = serde_json::from_str(&runtime.cli(add).await.out).unwrap();
    vendor.set_status("/shop", 503);
    let muted = &wait_for_alerts(&api, "suppressed", 1).await[0];
    assert_eq!(muted["suppressedBy"], format!("silence {}", silence["id"]));

    let preview = json!({ "alert": "Down", "service": "shop-0" });
    let preview = api.post("/api/v1/routes/preview", &preview).await.expect(200);
    assert_eq!(preview["mutedBy"], muted["suppressedBy"]);
    assert_eq!(preview["labels"]["team"], "shops");
    assert_eq!(preview["destinations"][0]["channels"][0]["name"], "ops");
    let said = runtime.cli(["routes", "preview", "--label", "severity=critical"]).await;
    assert!(said.out.contains("ops"), "{said:?}");
    let said = runtime.cli(["silences", "preview", "--match", "team=shops"]).await;
    assert!(said.out.contains("shop-0"), "{said:?}");
    assert_eq!(inbox.all().len(), 0);

    let id = silence["id"].to_string();
    runtime.cli(["silences", "expire", &id]).await;
    let messages = wait_for_messages(&inbox, 1).await;
    assert_eq!(firing(&messages[0]), ["shop-0"]);
    let history = api.get(&format!("/api/v1/alerts/{}", muted["id"])).await.expect(200);
    let reasons: Vec<&str> =
        history["events"].as_array().unwrap().iter().skip(1).map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        [format!("suppressed by silence {id}: moving"), format!("no longer suppressed by silence {id}")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_transition_and_message_and_between_message_and_delivery_loses_and_doubles_nothing() {
    let (vendor, mut inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder().services(services(&vendor, 2)).alerts(alerts(&inbox, 6)).start().await;
    vendor.set_status("/shop", 503);
    wait_for_alerts(&runtime.api(), "firing", 2).await;
    assert_eq!(runtime.api().list("/api/v1/notifications").await.len(), 0, "the group waits");
    runtime.kill().await;

    inbox.set_mood(Mood::Failing).await;
    runtime.start().await;
    let waiting = wait_for("the message to be decided on", PATIENCE, async || {
        let waiting = runtime.api().list("/api/v1/notifications?state=waiting").await;
        if waiting.len() == 1 { Ok(waiting) } else { Err(format!("{waiting:?}")) }
    })
    .await;
    runtime.kill().await;

    inbox.set_mood(Mood::Up).await;
    runtime.start().await;
    let messages = wait_for_messages(&inbox, 1).await;
    assert_eq!(firing(&messages[0]), ["shop-0", "shop-1"]);
    let all = wait_for("the delivery to be on record", PATIENCE, async || {
        let all = runtime.api().list("/api/v1/notifications").await;
        if all.iter().all(|one| one["state"] == "delivered") { Ok(all) } else { Err(format!("{all:?}")) }
    })
    .await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["idempotencyKey"], waiting[0]["idempotencyKey"]);
    vendor.set_status("/shop", 200);
    wait_for_alerts(&runtime.api(), "firing", 0).await;
    let messages = wait_for("the message of the end", PATIENCE, async || {
        let all: Vec<Value> = inbox.all().into_iter().map(|message| message.body).collect();
        if all.last().is_some_and(|last| last["status"] == "resolved") { Ok(all) } else { Err(format!("{all:?}")) }
    })
    .await;
    // One of the two may be well before the other is, and a group may tell of that in between.
    assert!(messages.len() <= 3, "{messages:?}");
    assert!(messages[1..].iter().all(|message| firing(message).len() <= 1), "{messages:?}");
    assert_eq!(firing(messages.last().expect("it was waited for")).len(), 0);
}
