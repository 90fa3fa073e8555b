//! Grouping, silences and dependencies in the real program: one message for a hundred services, and
//! none lost to a `kill -9`.

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
            "  - {{name: {slug}, baseUrl: \"{url}\", healthEndpoint: \"{path}\", monitoring: {{interval: 1, timeout: 5000}}{more}}}\n"
        ));
    };
    for index in 0..count {
        add(
            &format!("shop-{index}"),
            "/shop",
            ", dependsOn: [database], labels: {team: shops}",
        );
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

/// What routing matches, templates and the webhook's JSON show as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_show_every_label_that_alerts_are_routed_by() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let services = format!(
        r#"
services:
  - {{name: shop, baseUrl: "{}", healthEndpoint: "/shop", monitoring: {{interval: 1, timeout: 5000}},
      tags: [b2c, eu], owner: shops, labels: {{team: payments}}}}
"#,
        vendor.url()
    );
    let alerts = format!(
        r#"
channels:
  ops: {{channel: webhook, url: "{}", template: team}}
route:
  receiver: ops
  groupWait: 0
messageTemplates:
  team:
    text: "{{{{ alerts[0].labels.team }}}} {{{{ alerts[0].labels.tag }}}}"
alerts:
  - name: Down
    condition: "status != 'healthy'"
    severity: critical
"#,
        inbox.url("/ops")
    );
    vendor.set_status("/shop", 503);
    let _runtime = TestRuntime::builder()
        .services(&services)
        .alerts(&alerts)
        .start()
        .await;
    let message = wait_for("a message", PATIENCE, async || {
        let message = inbox.received("/ops").into_iter().next();
        message.ok_or_else(|| "none".to_owned())
    })
    .await;
    let labels = json!({
        "alertname": "Down", "service": "shop", "severity": "critical", "type": "REST",
        "owner": "shops", "tag": "b2c,eu", "team": "payments",
    });
    assert_eq!(message.body["alerts"][0]["labels"], labels);
    assert_eq!(message.body["commonLabels"], labels);
    assert_eq!(message.body["message"], "payments b2c,eu");
}

/// Slugs of the alerts that a message calls firing.
fn firing(message: &Value) -> Vec<String> {
    let alerts = message["alerts"]
        .as_array()
        .expect("a webhook lists its alerts")
        .iter();
    let firing = alerts.filter(|alert| alert["status"] == "firing");
    let mut slugs: Vec<String> = firing
        .map(|alert| {
            alert["labels"]["service"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    slugs.sort();
    slugs
}

async fn wait_for_alerts(api: &extrack_tests::Api, state: &str, count: usize) -> Vec<Value> {
    wait_for(
        &format!("{count} alerts that are {state}"),
        PATIENCE,
        async || {
            let found = api.list(&format!("/api/v1/alerts?state={state}")).await;
            if found.len() == count {
                Ok(found)
            } else {
                Err(format!("{} are", found.len()))
            }
        },
    )
    .await
}

async fn wait_for_messages(inbox: &Inbox, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} messages"), PATIENCE, async || {
        let all: Vec<Value> = inbox
            .all()
            .into_iter()
            .map(|message| message.body)
            .collect();
        if all.len() >= count {
            Ok(all)
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_services_behind_one_dependency_make_one_message() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let runtime = TestRuntime::builder()
        .services(services(&vendor, 100))
        .alerts(alerts(&inbox, 15))
        .start()
        .await;
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
    let reasons = api
        .sql("SELECT reason FROM alert_events WHERE to_state = 'suppressed' LIMIT 1")
        .await;
    assert!(
        reasons[0][0]
            .as_str()
            .unwrap()
            .contains("depends on `database`"),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_mutes_until_it_is_ended_and_the_preview_says_so() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let runtime = TestRuntime::builder()
        .services(services(&vendor, 1))
        .alerts(alerts(&inbox, 0))
        .start()
        .await;
    let api = runtime.api();
    let add = [
        "silences",
        "add",
        "--match",
        "service=shop-0",
        "--for",
        "2h",
        "--comment",
        "moving",
        "--json",
    ];
    let silence: Value = serde_json::from_str(&runtime.cli(add).await.out).unwrap();
    vendor.set_status("/shop", 503);
    let muted = &wait_for_alerts(&api, "suppressed", 1).await[0];
    assert_eq!(muted["suppressedBy"], format!("silence {}", silence["id"]));

    let preview = json!({ "alert": "Down", "service": "shop-0" });
    let preview = api
        .post("/api/v1/routes/preview", &preview)
        .await
        .expect(200);
    assert_eq!(preview["mutedBy"], muted["suppressedBy"]);
    assert_eq!(preview["labels"]["team"], "shops");
    assert_eq!(preview["destinations"][0]["channels"][0]["name"], "ops");
    let said = runtime
        .cli(["routes", "preview", "--label", "severity=critical"])
        .await;
    assert!(said.out.contains("ops"), "{said:?}");
    let said = runtime
        .cli(["silences", "preview", "--match", "team=shops"])
        .await;
    assert!(said.out.contains("shop-0"), "{said:?}");
    assert_eq!(inbox.all().len(), 0);

    let id = silence["id"].to_string();
    runtime.cli(["silences", "expire", &id]).await;
    let messages = wait_for_messages(&inbox, 1).await;
    assert_eq!(firing(&messages[0]), ["shop-0"]);
    let history = api
        .get(&format!("/api/v1/alerts/{}", muted["id"]))
        .await
        .expect(200);
    let reasons: Vec<&str> = history["events"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .map(|event| event["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        [
            format!("suppressed by silence {id}: moving"),
            format!("no longer suppressed by silence {id}")
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_step_of_a_message_loses_and_reorders_nothing() {
    let (vendor, mut inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, 1))
        .alerts(alerts(&inbox, 3))
        .start()
        .await;
    wait_for_alerts(&runtime.api(), "firing", 0).await;
    let mut keys: Vec<String> = Vec::new();
    // Both directions: the message of the beginning, and that of the end.
    for (code, state, status) in [(503, "firing", "firing"), (200, "resolved", "resolved")] {
        inbox.set_mood(Mood::Refusing).await;
        vendor.set_status("/shop", code);
        // The transition is committed, and its group waits.
        wait_for_alerts(&runtime.api(), state, 1).await;
        runtime.kill().await;

        // The message is committed, and no one takes it.
        runtime.start().await;
        let tried = wait_for("an attempt that failed", PATIENCE, async || {
            let waiting = runtime
                .api()
                .list("/api/v1/notifications?state=waiting")
                .await;
            match waiting
                .first()
                .filter(|one| !one["attempts"].as_array().expect("a list").is_empty())
            {
                Some(one) if one["status"] == status => Ok(one.clone()),
                _ => Err(format!("{waiting:?}")),
            }
        })
        .await;
        runtime.kill().await;

        // The other side has it, and has not answered.
        inbox.set_mood(Mood::Silent).await;
        let before = inbox.all().len();
        runtime.start().await;
        wait_for_messages(&inbox, before + 1).await;
        runtime.kill().await;

        // The other side has answered, and perhaps that is not stored.
        inbox.set_mood(Mood::Up).await;
        runtime.start().await;
        wait_for_messages(&inbox, before + 2).await;
        runtime.kill().await;

        runtime.start().await;
        let delivered = wait_for("the delivery to be on record", PATIENCE, async || {
            let all = runtime.api().list("/api/v1/notifications").await;
            let found = all.iter().find(|one| one["id"] == tried["id"]).cloned();
            found
                .filter(|one| one["state"] == "delivered")
                .ok_or_else(|| format!("{all:?}"))
        })
        .await;
        assert_eq!(delivered["idempotencyKey"], tried["idempotencyKey"]);
        keys.push(
            delivered["idempotencyKey"]
                .as_str()
                .expect("a text")
                .to_owned(),
        );
    }
    assert_eq!(
        runtime.api().list("/api/v1/notifications").await.len(),
        2,
        "one beginning and one end"
    );
    let arrived: Vec<(String, String)> = inbox
        .all()
        .iter()
        .map(|message| {
            let key = message.headers["idempotency-key"]
                .to_str()
                .expect("a text")
                .trim_matches('"')
                .to_owned();
            (
                message.body["status"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                key,
            )
        })
        .collect();
    let ends = arrived
        .iter()
        .position(|(status, _)| status == "resolved")
        .expect("the end was told");
    assert!(
        (2..=3).contains(&ends) && (4..=6).contains(&arrived.len()),
        "{arrived:?}"
    );
    for (index, (status, key)) in arrived.iter().enumerate() {
        let (wanted, wanted_key) = if index < ends {
            ("firing", &keys[0])
        } else {
            ("resolved", &keys[1])
        };
        assert_eq!((status.as_str(), key), (wanted, wanted_key), "{arrived:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_escalation_of_a_route_tells_others_when_nobody_comes() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let ladder = format!(
        "escalations:\n  ladder: {{steps: [{{wait: 1, notify: [{{channel: webhook, name: boss, url: \"{}\"}}]}}]}}\n",
        inbox.url("/boss")
    );
    let alerts = alerts(&inbox, 0).replace(
        "  receiver: ops\n",
        "  receiver: ops\n  escalation: ladder\n",
    ) + &ladder;
    let runtime = TestRuntime::builder()
        .services(services(&vendor, 1))
        .alerts(alerts)
        .start()
        .await;
    vendor.set_status("/shop", 503);
    let told = |path: &str| -> Vec<String> {
        inbox
            .received(path)
            .iter()
            .map(|message| message.body["status"].as_str().unwrap_or("?").to_owned())
            .collect()
    };
    wait_for("the second one to be told", PATIENCE, async || {
        if told("/boss") == ["firing"] {
            Ok(())
        } else {
            Err(format!("{:?}", inbox.all()))
        }
    })
    .await;
    let alert = &wait_for_alerts(&runtime.api(), "firing", 1).await[0];
    let history = runtime
        .api()
        .get(&format!("/api/v1/alerts/{}", alert["id"]))
        .await
        .expect(200);
    assert!(
        history
            .to_string()
            .contains("escalation `ladder`, step 1: notifies boss"),
        "{history:#}"
    );
    vendor.set_status("/shop", 200);
    wait_for("both to hear of the end", PATIENCE, async || {
        let ended = [told("/ops"), told("/boss")]
            .iter()
            .all(|told| *told == ["firing", "resolved"]);
        if ended {
            Ok(())
        } else {
            Err(format!("{:?}", inbox.all()))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_transition_and_message_and_between_message_and_delivery_loses_and_doubles_nothing()
 {
    let (vendor, mut inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor, 2))
        .alerts(alerts(&inbox, 15))
        .start()
        .await;
    vendor.set_status("/shop", 503);
    wait_for_alerts(&runtime.api(), "firing", 2).await;
    assert_eq!(
        runtime.api().list("/api/v1/notifications").await.len(),
        0,
        "the group waits"
    );
    runtime.kill().await;

    inbox.set_mood(Mood::Failing).await;
    runtime.start().await;
    let waiting = wait_for("the message to be decided on", PATIENCE, async || {
        let waiting = runtime
            .api()
            .list("/api/v1/notifications?state=waiting")
            .await;
        if waiting.len() == 1 {
            Ok(waiting)
        } else {
            Err(format!("{waiting:?}"))
        }
    })
    .await;
    runtime.kill().await;

    inbox.set_mood(Mood::Up).await;
    runtime.start().await;
    let messages = wait_for_messages(&inbox, 1).await;
    assert_eq!(firing(&messages[0]), ["shop-0", "shop-1"]);
    let all = wait_for("the delivery to be on record", PATIENCE, async || {
        let all = runtime.api().list("/api/v1/notifications").await;
        if all.iter().all(|one| one["state"] == "delivered") {
            Ok(all)
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["idempotencyKey"], waiting[0]["idempotencyKey"]);
    vendor.set_status("/shop", 200);
    wait_for_alerts(&runtime.api(), "firing", 0).await;
    let messages = wait_for("the message of the end", PATIENCE, async || {
        let all: Vec<Value> = inbox
            .all()
            .into_iter()
            .map(|message| message.body)
            .collect();
        if all.last().is_some_and(|last| last["status"] == "resolved") {
            Ok(all)
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await;
    // One of the two may be well before the other is, and a group may notify that in between.
    assert!(messages.len() <= 3, "{messages:?}");
    assert!(
        messages[1..]
            .iter()
            .all(|message| firing(message).len() <= 1),
        "{messages:?}"
    );
    assert_eq!(firing(messages.last().expect("it was waited for")).len(), 0);
}
