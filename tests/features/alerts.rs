//! Alerts from an outage to the people who have to know, and back.

use std::time::Duration;

use extrack_tests::{
    Api, Inbox, Mailbox, Mood, PATIENCE, TargetServer, TestRuntime, Vendor, wait_for,
};
use serde_json::{Value, json};

fn services(url: &str) -> String {
    format!(
        r#"
services:
  - name: "Shop API"
    type: "REST"
    baseUrl: "{url}"
    healthEndpoint: "/health"
    monitoring:
      interval: 1
      timeout: 5000
"#
    )
}

/// One rule without patience, and its channels as YAML.
fn alerts(channels: &str) -> String {
    format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    severity: "critical"
    notifications:
{channels}
"#
    )
}

/// Observations of a service that were stored, by SQL.
async fn runs(api: &Api, status: &str) -> i64 {
    api.sql_count(&format!(
        "SELECT count(*) FROM observations WHERE service = 'shop-api' AND status = '{status}'"
    ))
    .await
}

/// Waits until so many more runs with that status were stored.
async fn more_runs(api: &Api, status: &str, more: i64) {
    let before = runs(api, status).await;
    wait_for(
        &format!("{more} more {status} runs"),
        PATIENCE,
        async || {
            let now = runs(api, status).await;
            if now >= before + more {
                Ok(())
            } else {
                Err(format!("{now} after {before}"))
            }
        },
    )
    .await;
}

async fn wait_for_alert(api: &Api, state: &str) -> Value {
    wait_for(&format!("an alert that is {state}"), PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts").await;
        alerts
            .iter()
            .find(|alert| alert["state"] == state)
            .cloned()
            .ok_or_else(|| format!("{alerts:?}"))
    })
    .await
}

async fn wait_for_messages(inbox: &Inbox, path: &str, count: usize) {
    wait_for(
        &format!("{count} messages at {path}"),
        PATIENCE,
        async || {
            let received = inbox.received(path);
            if received.len() >= count {
                Ok(())
            } else {
                Err(format!("{received:?}"))
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_nginx_leads_to_one_message_per_channel_and_a_restart_to_one_more() {
    let (mut nginx, inbox, mailbox) = (
        TargetServer::start().await,
        Inbox::start().await,
        Mailbox::start().await,
    );
    let channels = format!(
        r#"      - channel: "webhook"
        url: "{}"
      - channel: "slack"
        webhook: "{}"
      - channel: "email"
        recipients: ["ops@company.com", "oncall@company.com"]
"#,
        inbox.url("/webhook"),
        inbox.url("/slack")
    );
    let runtime = TestRuntime::builder()
        .services(services(&nginx.url()))
        .alerts(alerts(&channels))
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", mailbox.port().to_string())
        .env("SMTP_TLS", "none")
        .env("SMTP_FROM", "extrack@company.com")
        .start()
        .await;
    let api = runtime.api();
    more_runs(&api, "healthy", 2).await;
    assert_eq!(api.list("/api/v1/alerts").await, Vec::<Value>::new());

    nginx.stop().await;
    let firing = wait_for_alert(&api, "firing").await;
    assert_eq!(firing["name"], "Service Down");
    assert_eq!(firing["service"], "shop-api");
    assert_eq!(firing["severity"], "critical");
    wait_for_messages(&inbox, "/webhook", 1).await;
    wait_for_messages(&inbox, "/slack", 1).await;
    wait_for("one mail", PATIENCE, async || {
        if mailbox.mails().len() == 1 {
            Ok(())
        } else {
            Err(format!("{:?}", mailbox.mails()))
        }
    })
    .await;
    // It stays down: no second message is sent.
    more_runs(&api, "error", 3).await;
    assert_eq!(inbox.received("/webhook").len(), 1);
    assert_eq!(inbox.received("/slack").len(), 1);
    assert_eq!(mailbox.mails().len(), 1);

    nginx.restart().await;
    let resolved = wait_for_alert(&api, "resolved").await;
    assert_eq!(resolved["id"], firing["id"]);
    wait_for_messages(&inbox, "/webhook", 2).await;
    wait_for_messages(&inbox, "/slack", 2).await;
    wait_for("two mails", PATIENCE, async || {
        if mailbox.mails().len() == 2 {
            Ok(())
        } else {
            Err(format!("{:?}", mailbox.mails()))
        }
    })
    .await;
    more_runs(&api, "healthy", 3).await;
    assert_eq!(inbox.received("/webhook").len(), 2);
    assert_eq!(inbox.received("/slack").len(), 2);
    assert_eq!(api.list("/api/v1/alerts").await.len(), 1);

    let webhooks = inbox.received("/webhook");
    assert_eq!(
        [&webhooks[0].body["status"], &webhooks[1].body["status"]],
        ["firing", "resolved"]
    );
    for slack in inbox.received("/slack") {
        assert!(
            slack.body.to_string().contains("Shop API"),
            "{:?}",
            slack.body
        );
        assert!(
            slack.body["text"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{:?}",
            slack.body
        );
    }
    let mails = mailbox.mails();
    for mail in &mails {
        assert_eq!(mail.from, "extrack@company.com");
        assert_eq!(mail.to, ["ops@company.com", "oncall@company.com"]);
        assert!(mail.data.contains("Service Down"), "{}", mail.data);
        assert!(
            mail.header("subject")
                .is_some_and(|subject| subject.contains("Service Down")),
            "{}",
            mail.data
        );
        for header in ["message-id", "date", "from", "to"] {
            assert!(
                mail.header(header).is_some(),
                "no `{header}` in {}",
                mail.data
            );
        }
    }
    assert_ne!(mails[0].header("message-id"), mails[1].header("message-id"));

    // The history has all of it: by API and by SQL.
    let detail = api
        .get(&format!("/api/v1/alerts/{}", firing["id"]))
        .await
        .expect(200);
    let steps: Vec<&Value> = detail["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["to"])
        .collect();
    assert!(
        steps == ["firing", "resolved"] || steps == ["pending", "firing", "resolved"],
        "{steps:?}"
    );
    assert_eq!(detail["notifications"].as_array().unwrap().len(), 6);
    for notification in detail["notifications"].as_array().unwrap() {
        assert_eq!(notification["state"], "delivered", "{notification}");
        assert_eq!(
            notification["attempts"].as_array().unwrap().len(),
            1,
            "{notification}"
        );
        assert_eq!(notification["attempts"][0]["outcome"], "delivered");
    }
    let told = wait_for("the events in SQL", PATIENCE, async || {
        let rows = api
            .sql("SELECT to_state FROM alert_events WHERE service = 'shop-api' ORDER BY event_id")
            .await;
        if rows.len() == steps.len() {
            Ok(rows)
        } else {
            Err(format!("{rows:?}"))
        }
    })
    .await;
    assert_eq!(told.iter().map(|row| &row[0]).collect::<Vec<_>>(), steps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhook_sends_what_alertmanager_receivers_expect() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 503);
    let channels = format!(
        "      - channel: webhook\n        url: \"{}\"\n        headers: {{x-team: payments}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .alerts(alerts(&channels))
        .env("EXTRACK_PUBLIC_URL", "https://extrack.example.com")
        .start()
        .await;
    wait_for_messages(&inbox, "/hook", 1).await;
    vendor.set_status("/health", 200);
    wait_for_messages(&inbox, "/hook", 2).await;
    drop(runtime);

    let [firing, resolved] = &inbox.received("/hook")[..] else {
        panic!("{:?}", inbox.all())
    };
    for (message, status) in [(firing, "firing"), (resolved, "resolved")] {
        let body = &message.body;
        assert_eq!(message.headers["x-team"], "payments");
        assert_eq!(message.headers["content-type"], "application/json");
        assert_eq!(body["version"], "4", "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["truncatedAlerts"], 0, "{body}");
        assert!(
            body["receiver"]
                .as_str()
                .is_some_and(|receiver| !receiver.is_empty()),
            "{body}"
        );
        assert!(
            body["groupKey"].as_str().is_some_and(|key| !key.is_empty()),
            "{body}"
        );
        assert!(
            body["externalURL"]
                .as_str()
                .is_some_and(|url| url.starts_with("https://extrack.example.com")),
            "{body}"
        );
        for map in ["groupLabels", "commonLabels", "commonAnnotations"] {
            let map = body[map]
                .as_object()
                .unwrap_or_else(|| panic!("no object `{map}` in {body}"));
            assert!(map.values().all(Value::is_string), "{body}");
        }
        let [alert] = &body["alerts"].as_array().expect("`alerts` is a list")[..] else {
            panic!("{body}")
        };
        assert_eq!(alert["status"], status);
        assert_eq!(alert["labels"]["alertname"], "Service Down");
        assert_eq!(alert["labels"]["service"], "shop-api");
        assert_eq!(alert["labels"]["severity"], "critical");
        assert!(alert["annotations"]["summary"].is_string(), "{alert}");
        assert!(
            alert["fingerprint"]
                .as_str()
                .is_some_and(|print| !print.is_empty()),
            "{alert}"
        );
        assert!(alert["generatorURL"].is_string(), "{alert}");
        let starts: jiff::Timestamp = alert["startsAt"]
            .as_str()
            .unwrap()
            .parse()
            .expect("RFC 3339");
        let ends: jiff::Timestamp = alert["endsAt"].as_str().unwrap().parse().expect("RFC 3339");
        match status {
            // Go's zero time: not over yet.
            "firing" => assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z"),
            _ => assert!(ends >= starts, "{alert}"),
        }
    }
    assert_eq!(firing.body["groupKey"], resolved.body["groupKey"]);
    assert_eq!(
        firing.body["alerts"][0]["fingerprint"],
        resolved.body["alerts"][0]["fingerprint"]
    );
    assert_eq!(
        firing.body["alerts"][0]["startsAt"],
        resolved.body["alerts"][0]["startsAt"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_before_the_duration_is_over() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 500);
    let yaml = format!(
        r#"
alerts:
  - name: "Down for long"
    condition: "status == 'unhealthy'"
    duration: "8s"
    severity: "warning"
    notifications: [{{channel: webhook, url: "{}"}}]
"#,
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .alerts(yaml)
        .start()
        .await;
    let api = runtime.api();

    // Over before it fires: no message is sent.
    let pending = wait_for_alert(&api, "pending").await;
    vendor.set_status("/health", 200);
    wait_for("the suspicion to pass", PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts?service=shop-api").await;
        let open = alerts.iter().any(|alert| alert["state"] != "resolved");
        if open {
            Err(format!("{alerts:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    assert_eq!(inbox.all().len(), 0);
    assert_eq!(api.list("/api/v1/notifications").await, Vec::<Value>::new());

    // Not over.
    vendor.set_status("/health", 500);
    let firing = wait_for_alert(&api, "firing").await;
    assert_ne!(firing["id"], pending["id"]);
    let moment = |key: &str| {
        firing[key]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let waited = moment("firedAt")
        .duration_since(moment("startedAt"))
        .unsigned_abs();
    assert!(
        (Duration::from_secs(8)..Duration::from_secs(30)).contains(&waited),
        "fired after {waited:?}"
    );
    wait_for_messages(&inbox, "/hook", 1).await;
    let events = &api
        .get(&format!("/api/v1/alerts/{}", firing["id"]))
        .await
        .expect(200)["events"];
    let steps: Vec<&Value> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["to"])
        .collect();
    assert_eq!(steps, ["pending", "firing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_for_its_channel_and_arrives_once_it_is_back() {
    let (vendor, mut inbox, mailbox) = (
        Vendor::start().await,
        Inbox::start().await,
        Mailbox::start().await,
    );
    inbox.set_mood(Mood::Failing).await;
    mailbox.set_busy(true);
    vendor.set_status("/health", 500);
    let channels = format!(
        "      - {{channel: webhook, url: \"{}\"}}\n      - {{channel: email, recipients: [ops@company.com]}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .alerts(alerts(&channels))
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", mailbox.port().to_string())
        .env("SMTP_TLS", "none")
        .env("SMTP_FROM", "extrack@company.com")
        .start()
        .await;
    let api = runtime.api();
    let waiting = wait_for("both first attempts to fail", PATIENCE, async || {
        let waiting = api.list("/api/v1/notifications?state=waiting").await;
        let tried = waiting
            .iter()
            .filter(|one| !one["attempts"].as_array().unwrap().is_empty())
            .count();
        if tried == 2 {
            Ok(waiting)
        } else {
            Err(format!("{waiting:?}"))
        }
    })
    .await;
    for notification in &waiting {
        let attempt = &notification["attempts"][0];
        assert_eq!(attempt["outcome"], "retry", "{notification}");
        let wanted = if notification["channel"]
            .as_str()
            .unwrap()
            .starts_with("email")
        {
            "451"
        } else {
            "503"
        };
        assert!(
            attempt["answer"]
                .as_str()
                .is_some_and(|answer| answer.contains(wanted)),
            "{notification}"
        );
        assert!(notification["nextAttemptAt"].is_string(), "{notification}");
    }
    inbox.set_mood(Mood::Up).await;
    mailbox.set_busy(false);
    wait_for_messages(&inbox, "/hook", 1).await;
    let delivered = wait_for("both to be delivered", PATIENCE, async || {
        let delivered = api.list("/api/v1/notifications?state=delivered").await;
        if delivered.len() == 2 {
            Ok(delivered)
        } else {
            Err(format!("{delivered:?}"))
        }
    })
    .await;
    for notification in &delivered {
        let outcomes: Vec<&Value> = notification["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| &attempt["outcome"])
            .collect();
        assert!(outcomes.len() >= 2, "{notification}");
        assert_eq!(
            outcomes.last(),
            Some(&&json!("delivered")),
            "{notification}"
        );
        assert!(
            waiting
                .iter()
                .any(|before| before["idempotencyKey"] == notification["idempotencyKey"])
        );
    }
    assert_eq!(mailbox.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_of_a_service_look_at_its_history() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_delay("/slow", Duration::from_millis(250));
    let service = |name: &str, path: &str, alert: &str| {
        format!(
            r#"
  - name: "{name}"
    baseUrl: "{}"
    healthEndpoint: "{path}"
    monitoring: {{interval: 1, timeout: 5000}}
    alerts: [{alert}]
"#,
            vendor.url()
        )
    };
    vendor.set_status("/down", 500);
    let services = format!(
        "services:{}{}{}",
        service(
            "Slow",
            "/slow",
            "{type: response_time, threshold: 100, window: 5s}"
        ),
        service(
            "Down",
            "/down",
            "{type: availability, threshold: 99.5, window: 5s}"
        ),
        service(
            "Fine",
            "/fine",
            "{type: availability, threshold: 99.5, window: 5s}, {type: response_time, threshold: 800, window: 5s}"
        ),
    );
    let alerts = format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    let firing = wait_for("two alerts", PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts?state=firing").await;
        if alerts.len() == 2 {
            Ok(alerts)
        } else {
            Err(format!("{alerts:?}"))
        }
    })
    .await;
    let of = |service: &str| {
        firing
            .iter()
            .find(|alert| alert["service"] == service)
            .unwrap_or_else(|| panic!("{firing:?}"))
    };
    let slow = of("slow");
    assert_eq!(slow["wanted"], 100.0, "{slow}");
    assert!(
        slow["value"].as_f64().is_some_and(|found| found >= 250.0),
        "{slow}"
    );
    let down = of("down");
    assert_eq!(down["wanted"], 99.5, "{down}");
    assert_eq!(down["value"], 0.0, "{down}");
    wait_for_messages(&inbox, "/hook", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_ends_with_its_service_and_those_who_were_told_are_told() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 500);
    let notifications = alerts(&format!(
        "      - {{channel: webhook, url: \"{}\"}}\n",
        inbox.url("/hook")
    ));
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url()))
        .alerts(notifications)
        .start()
        .await;
    let api = runtime.api();
    wait_for_messages(&inbox, "/hook", 1).await;
    let listed = runtime.cli(["alerts", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.out).expect("--json prints JSON");
    assert_eq!(
        [&listed[0]["service"], &listed[0]["state"]],
        ["shop-api", "firing"]
    );

    std::fs::write(runtime.config().join("services.yaml"), "services: []\n").unwrap();
    let accepted = runtime.cli(["config", "accept"]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    wait_for_alert(&api, "resolved").await;
    wait_for_messages(&inbox, "/hook", 2).await;
    assert_eq!(inbox.received("/hook")[1].body["status"], "resolved");
    assert_eq!(
        api.list("/api/v1/alerts?state=firing").await,
        Vec::<Value>::new()
    );
}
