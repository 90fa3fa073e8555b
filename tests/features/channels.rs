//! Each bundled channel against its service's API on loopback, from the outage to the message and
//! back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack_tests::chat_apis::{
    ChatApis, PAGERDUTY_KEY, SLACK_CHANNEL, SLACK_TOKEN, TELEGRAM_TOKEN, TWILIO_ACCOUNT,
    TWILIO_TOKEN,
};
use extrack_tests::{
    Inbox, Mailbox, Mood, PATIENCE, TargetServer, TestRuntime, refusing_address, wait_for,
};
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_channel_says_firing_once_and_resolved_once_as_its_service_documents_it() {
    let (mut nginx, apis) = (TargetServer::start().await, ChatApis::start().await);
    let services = format!(
        r#"
services:
  - {{name: "Shop API", baseUrl: "{}", healthEndpoint: "/health", monitoring: {{interval: 1, timeout: 5000}}}}
"#,
        nginx.url()
    );
    let alerts = format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    severity: "critical"
    notifications:
      - {{channel: pagerduty, routingKey: "{PAGERDUTY_KEY}", url: "{}"}}
      - {{channel: discord, webhook: "{}"}}
      - {{channel: telegram, token: "{TELEGRAM_TOKEN}", chatId: "-100200", url: "{}"}}
      - {{channel: teams, webhook: "{}"}}
      - {{channel: sms, accountSid: "{TWILIO_ACCOUNT}", authToken: "{TWILIO_TOKEN}", from: "+15005550006",
          recipients: ["+15005550001"], url: "{}"}}
"#,
        apis.url("/v2/enqueue"),
        apis.url("/api/webhooks/811/discord-token"),
        apis.url(""),
        apis.url("/workflows/7"),
        apis.url(""),
    );
    let runtime = TestRuntime::builder()
        .services(&services)
        .alerts(&alerts)
        .start()
        .await;
    let all = ["pagerduty", "discord", "telegram", "teams", "twilio"];
    let wait_for_each = async |count: usize| {
        wait_for(
            &format!("{count} messages on each channel"),
            PATIENCE,
            async || {
                let counts: Vec<usize> = all.iter().map(|api| apis.taken(api).len()).collect();
                match counts.iter().all(|found| *found == count) {
                    true => Ok(()),
                    false => Err(format!("{counts:?}, refused: {:?}", apis.refused())),
                }
            },
        )
        .await;
    };
    let api = runtime.api();
    wait_for("the first healthy run", PATIENCE, async || {
        let healthy = api
            .sql_count("SELECT count(*) FROM observations WHERE status = 'healthy'")
            .await;
        if healthy > 0 {
            Ok(())
        } else {
            Err("none".to_owned())
        }
    })
    .await;
    nginx.stop().await;
    wait_for_each(1).await;
    nginx.restart().await;
    wait_for_each(2).await;
    assert_eq!(apis.refused(), Vec::<String>::new());

    let pagerduty = apis.taken("pagerduty");
    assert_eq!(
        (&pagerduty[0]["event_action"], &pagerduty[1]["event_action"]),
        (&"trigger".into(), &"resolve".into())
    );
    assert_eq!(pagerduty[0]["dedup_key"], pagerduty[1]["dedup_key"]);
    assert_eq!(pagerduty[0]["payload"]["source"], "shop-api");
    for (api, field) in [("discord", "content"), ("twilio", "Body")] {
        let taken = apis.taken(api);
        let text = |index: usize| taken[index][field].as_str().unwrap_or_default().to_owned();
        assert!(
            text(0).starts_with("[FIRING] Shop API: Service Down"),
            "{api}: {}",
            text(0)
        );
        assert!(
            text(1).starts_with("[RESOLVED] Shop API: Service Down"),
            "{api}: {}",
            text(1)
        );
    }
    assert!(
        apis.taken("telegram")[1]["text"]
            .as_str()
            .unwrap_or_default()
            .contains("resolved")
    );

    // What the other side called the message is kept; the keys are not.
    let kept = api.list("/api/v1/notifications").await;
    let shown = serde_json::to_string(&kept).unwrap();
    assert!(shown.contains("SM1") || shown.contains("queued"), "{shown}");
    for secret in [PAGERDUTY_KEY, TELEGRAM_TOKEN, TWILIO_TOKEN, "discord-token"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

const SERVICES: &str = r#"
services:
  - {name: "Shop API", baseUrl: "URL", healthEndpoint: "/health", monitoring: {interval: 1, timeout: 5000}}
"#;

async fn first_healthy_run(runtime: &TestRuntime) {
    let api = runtime.api();
    wait_for("the first healthy run", PATIENCE, async || {
        let healthy = api
            .sql_count("SELECT count(*) FROM observations WHERE status = 'healthy'")
            .await;
        if healthy > 0 {
            Ok(())
        } else {
            Err("none".to_owned())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_message_of_an_outage_is_updated_in_the_operators_words_when_it_ends() {
    let (mut nginx, apis) = (TargetServer::start().await, ChatApis::start().await);
    let alerts = format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    notifications:
      - {{channel: slack, token: "{SLACK_TOKEN}", channelId: "{SLACK_CHANNEL}", url: "{}", template: short}}
      - {{channel: discord, webhook: "{}", editOnResolve: true}}
      - {{channel: telegram, token: "{TELEGRAM_TOKEN}", chatId: "-100200", url: "{}", editOnResolve: true}}
messageTemplates:
  short:
    title: "{{{{ alerts[0].serviceName }}}} is {{{{ 'down' if status == 'firing' else 'up again' }}}}"
    text: "{{{{ counts.firing }}}} of {{{{ counts.total }}}}: <{{{{ alerts[0].name }}}}>"
"#,
        apis.url(""),
        apis.url("/api/webhooks/811/discord-token"),
        apis.url(""),
    );
    let services = SERVICES.replace("URL", &nginx.url());
    let runtime = TestRuntime::builder()
        .services(&services)
        .alerts(&alerts)
        .start()
        .await;
    let wait_for_each = async |names: [&str; 3]| {
        wait_for(&format!("{names:?}"), PATIENCE, async || {
            let counts: Vec<usize> = names.iter().map(|api| apis.taken(api).len()).collect();
            match counts.iter().all(|found| *found == 1) {
                true => Ok(()),
                false => Err(format!("{counts:?}, refused: {:?}", apis.refused())),
            }
        })
        .await;
    };
    first_healthy_run(&runtime).await;
    nginx.stop().await;
    wait_for_each(["slack", "discord", "telegram"]).await;
    nginx.restart().await;
    wait_for_each(["slack update", "discord edit", "telegram edit"]).await;
    assert_eq!(apis.refused(), Vec::<String>::new());
    let (outage, end) = (&apis.taken("slack")[0], &apis.taken("slack update")[0]);
    assert_eq!(
        (&outage["text"], &end["text"]),
        (&"Shop API is down".into(), &"Shop API is up again".into())
    );
    let section = end["blocks"][0]["text"]["text"].as_str().unwrap();
    assert_eq!(
        section,
        "*Shop API is up again*\n0 of 1: &lt;Service Down&gt;"
    );
    for api in ["slack", "discord", "telegram"] {
        assert_eq!(
            apis.taken(api).len(),
            1,
            "{api}: the end is no message of its own"
        );
    }

    let api = runtime.api();
    let shown = api.list("/api/v1/channels").await;
    let shown = serde_json::to_string(&shown).unwrap();
    assert!(
        shown.contains("short") && !shown.contains(SLACK_TOKEN),
        "{shown}"
    );
    let preview = api
        .post("/api/v1/channels/slack/preview", &json!({"resolved": 1}))
        .await
        .expect(200);
    assert_eq!(preview["title"], "Sample Service 1 is up again");
    let test = api
        .post("/api/v1/channels/slack/test", &json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&test["delivered"], apis.taken("slack").len()),
        (&true.into(), 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_messages_of_a_discord_webhook_with_a_thread_go_to_that_thread() {
    let (mut nginx, apis) = (TargetServer::start().await, ChatApis::start().await);
    let alerts = format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    notifications:
      - {{channel: discord, webhook: "{}", editOnResolve: true}}
"#,
        apis.url("/api/webhooks/811/discord-token?thread_id=42"),
    );
    let runtime = TestRuntime::builder()
        .services(SERVICES.replace("URL", &nginx.url()))
        .alerts(&alerts)
        .start()
        .await;
    // Only who waits for the answer learns the message's id, by which it is edited.
    for (api, is_outage) in [("discord", true), ("discord edit", false)] {
        if is_outage {
            first_healthy_run(&runtime).await;
            nginx.stop().await;
        } else {
            nginx.restart().await;
        }
        wait_for(api, PATIENCE, async || match apis.taken(api).as_slice() {
            [message] if message["thread_id"] == 42 => Ok(()),
            other => Err(format!("{other:?}, refused: {:?}", apis.refused())),
        })
        .await;
    }
    assert_eq!(apis.refused(), Vec::<String>::new());
    let kept = runtime.api().list("/api/v1/notifications").await;
    let shown = serde_json::to_string(&kept).unwrap();
    assert!(!shown.contains("discord-token"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_webhook_that_is_gone_falls_back_and_its_dead_letter_is_sent_again() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (mut nginx, apis, mut inbox) = (
        TargetServer::start().await,
        ChatApis::start().await,
        Inbox::start().await,
    );
    let alerts = format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    notifications:
      - {{channel: teams, name: chat, webhook: "{}", fallback: hook}}
      - {{channel: webhook, name: hook, url: "{}", signingSecret: "{SECRET}"}}
"#,
        apis.url("/workflows/gone"),
        inbox.url("/hook"),
    );
    let services = SERVICES.replace("URL", &nginx.url());
    let runtime = TestRuntime::builder()
        .services(&services)
        .alerts(&alerts)
        .start()
        .await;
    first_healthy_run(&runtime).await;
    nginx.stop().await;
    wait_for(
        "the alert and its fallback",
        PATIENCE,
        async || match inbox.received("/hook").len() {
            2 => Ok(()),
            count => Err(format!("{count} messages")),
        },
    )
    .await;
    for received in inbox.received("/hook") {
        let header = |name: &str| received.headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("idempotency-key"), header("webhook-id"));
        let before = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&STANDARD.decode(&SECRET["whsec_".len()..]).unwrap())
                .unwrap();
        mac.update(before.as_bytes());
        mac.update(&received.raw);
        let wanted = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), wanted);
    }
    let api = runtime.api();
    let dead = api.list("/api/v1/notifications?state=dead").await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    let path = format!("/api/v1/notifications/{}", dead[0]["id"]);
    inbox.set_mood(Mood::Up).await;
    let back = api
        .post(&format!("{path}/resend"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&back["state"], &back["idempotencyKey"]),
        (&"waiting".into(), &dead[0]["idempotencyKey"])
    );
    wait_for("the second attempt", PATIENCE, async || {
        let found = api.get(&path).await.expect(200);
        match (
            found["state"].as_str(),
            found["attempts"].as_array().map(Vec::len),
        ) {
            (Some("dead"), Some(2)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(
        inbox.received("/hook").len(),
        2,
        "the fallback is told once"
    );
}

/// A rule's name as awkward as one can be.
fn awkward_name(index: usize) -> String {
    format!(
        "👩\u{200d}🚒 é\u{301} \"it's\" <b>&amp;</b> *_~`[x](http://evil.example)|># @everyone <!channel> {index}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_awkward_alerts_arrive_on_every_channel() {
    const SERVICES: usize = 10;
    const RULES: usize = 50;
    let (apis, inbox, mailbox) = (
        ChatApis::start().await,
        Inbox::start().await,
        Mailbox::start().await,
    );
    let dead = format!("http://{}", refusing_address());
    let services: Vec<_> = (0..SERVICES)
        .map(|index| json!({"name": format!("Service {index}"), "baseUrl": dead, "monitoring": {"interval": 5, "timeout": 1000}}))
        .collect();
    let rules: Vec<_> = (0..RULES)
        .map(|index| json!({"name": awkward_name(index), "condition": "status in ['unhealthy', 'error']", "severity": "critical"}))
        .collect();
    let channels = json!({
        "pager": {"channel": "pagerduty", "routingKey": PAGERDUTY_KEY, "url": apis.url("/v2/enqueue")},
        "discord": {"channel": "discord", "webhook": apis.url("/api/webhooks/811/discord-token"), "mention": "@here"},
        "telegram": {"channel": "telegram", "token": TELEGRAM_TOKEN, "chatId": "-100200", "url": apis.url("")},
        "teams": {"channel": "teams", "webhook": apis.url("/workflows/7")},
        "slack": {"channel": "slack", "token": SLACK_TOKEN, "channelId": SLACK_CHANNEL, "url": apis.url("")},
        "sms": {"channel": "sms", "accountSid": TWILIO_ACCOUNT, "authToken": TWILIO_TOKEN, "from": "+15005550006",
            "recipients": ["+15005550001"], "url": apis.url("")},
        "hook": {"channel": "webhook", "url": inbox.url("/hook")},
        "mail": {"channel": "email", "recipients": ["ops@example.com"]},
    });
    let receivers: Vec<&String> = channels.as_object().unwrap().keys().collect();
    let route =
        json!({"receiver": receivers, "groupBy": [], "groupWait": "2s", "groupInterval": "2s"});
    // JSON is YAML, and escapes what has to be.
    let runtime = TestRuntime::builder()
        .services(json!({"services": services}).to_string())
        .alerts(json!({"alerts": rules, "channels": channels, "route": route}).to_string())
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", mailbox.port().to_string())
        .env("SMTP_TLS", "none")
        .env("SMTP_FROM", "extrack@example.com")
        .start()
        .await;
    let last = |api: &str| apis.taken(api).last().cloned().unwrap_or_default();
    // Message of each channel with all alerts in it.
    let is_whole = || {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mail = mailbox
            .mails()
            .last()
            .and_then(|mail| mail.header("subject"))
            .unwrap_or_default();
        [
            (
                "pagerduty",
                text(&last("pagerduty")["payload"]["summary"]).contains("500 alerts"),
            ),
            (
                "discord",
                text(&last("discord")["content"]).starts_with("@here [FIRING] 500 alerts"),
            ),
            (
                "telegram",
                text(&last("telegram")["text"]).contains("\n\n… and 49"),
            ),
            (
                "teams",
                text(&last("teams")["attachments"][0]["content"]["body"][0]["text"])
                    .contains("500 alerts"),
            ),
            ("slack", text(&last("slack")["text"]).contains("500 alerts")),
            ("sms", text(&last("twilio")["Body"]).contains("500 alerts")),
            (
                "webhook",
                inbox
                    .received("/hook")
                    .last()
                    .is_some_and(|hook| hook.body["alerts"].as_array().unwrap().len() == 500),
            ),
            ("email", mail == "[FIRING] 500 alerts"),
        ]
    };
    wait_for("500 alerts on each channel", 2 * PATIENCE, async || {
        assert_eq!(apis.refused(), Vec::<String>::new());
        let missing: Vec<&str> = is_whole()
            .into_iter()
            .filter(|(_, is_whole)| !is_whole)
            .map(|(name, _)| name)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?}"))
        }
    })
    .await;
    assert_eq!(apis.refused(), Vec::<String>::new());
    let mail = mailbox.mails().last().cloned().unwrap();
    assert!(
        mail.data.split("\r\n").all(|line| line.len() <= 998),
        "lines as RFC 5322 has them"
    );
    assert_eq!(
        mail.header("content-type").unwrap().split(';').next(),
        Some("multipart/alternative")
    );
    let dead = runtime.api().list("/api/v1/notifications?state=dead").await;
    assert_eq!(dead.len(), 0, "{dead:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_in_the_env_file_are_sent_whole() {
    const WANTED: [(&str, &str, &str); 6] = [
        ("K1", "Tr0ub4dor$3x", "Tr0ub4dor$3x"),
        ("K2", "p$$word12", "p$$word12"),
        ("K3", "abcdefg$", "abcdefg$"),
        ("K4", "\"pa$word12\"", "pa$word12"),
        ("K5", "abc\\defgh", "abc\\defgh"),
        ("K6", "it's-secret", "it's-secret"),
    ];
    let inbox = Inbox::start().await;
    let headers: serde_json::Map<_, _> = WANTED
        .iter()
        .map(|(name, ..)| (format!("x-{name}"), format!("${{{name}}}").into()))
        .collect();
    let hook = json!({"channel": "webhook", "url": inbox.url("/hook"), "headers": headers});
    let mut runtime = TestRuntime::builder()
        .alerts(json!({"notifications": [hook]}).to_string())
        .prepare();
    let lines: Vec<String> = WANTED
        .iter()
        .map(|(name, written, _)| format!("{name}={written}\n"))
        .collect();
    std::fs::write(runtime.config().join("../.env"), lines.concat()).unwrap();
    runtime.start().await;
    let test = runtime
        .api()
        .post("/api/v1/channels/webhook/test", &json!({}))
        .await
        .expect(200);
    assert_eq!(test["delivered"], true, "{test}");
    let received = &inbox.received("/hook")[0];
    for (name, _, wanted) in WANTED {
        assert_eq!(
            received.headers[format!("x-{name}").to_lowercase()]
                .to_str()
                .unwrap(),
            wanted,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_url_that_is_none_is_a_fault_when_it_is_loaded() {
    let alerts = json!({"notifications": [{"channel": "slack", "webhook": "s3cret-hook"}, {"channel": "webhook", "url": "s3cret-hook"}]});
    let runtime = TestRuntime::builder().alerts(alerts.to_string()).prepare();
    let said = runtime.check_config().await;
    assert_eq!(said.code, Some(64), "{said:?}");
    for key in [
        "notifications[0].webhook: is no URL",
        "notifications[1].url: is no URL",
    ] {
        assert!(said.err.contains(key), "{said:?}");
    }
    assert!(!said.err.contains("s3cret"), "{said:?}");
}

/// Whoever names a service, or lets it answer, writes into messages: no such text stands for a
/// secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_looks_like_a_secret_is_sent_as_it_is() {
    const HOOK: &str = "T0PS3CR3T-hook-path";
    const NAME: &str = r#"Shop {"$secret":"/routingKey"} {"secret":"/url"} {{secret:/url}} ***"#;
    let (apis, inbox) = (ChatApis::start().await, Inbox::start().await);
    let hook = format!("/{HOOK}");
    let alerts = format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status == 'error'"
    notifications:
      - {{channel: pagerduty, routingKey: "{PAGERDUTY_KEY}", url: "{}"}}
      - {{channel: webhook, url: "{}", headers: {{X-Key: "{PAGERDUTY_KEY}"}}}}
"#,
        apis.url("/v2/enqueue"),
        inbox.url(&hook),
    );
    let runtime = TestRuntime::builder().alerts(&alerts).start().await;
    let service = json!({
        "name": NAME, "baseUrl": format!("http://{}", refusing_address()), "private": true,
        "monitoring": {"interval": 1, "timeout": 5000},
    });
    runtime
        .api()
        .post("/api/v1/services", &service)
        .await
        .expect(201);
    wait_for("both messages", PATIENCE, async || {
        let counts = (apis.taken("pagerduty").len(), inbox.received(&hook).len());
        if counts.0 > 0 && counts.1 > 0 {
            Ok(())
        } else {
            Err(format!("{counts:?}, refused: {:?}", apis.refused()))
        }
    })
    .await;
    let mut event = apis.taken("pagerduty").remove(0);
    // The key is where the API wants it, and nowhere else.
    assert_eq!(event["routing_key"].take(), PAGERDUTY_KEY);
    let hooked = inbox.received(&hook).remove(0);
    assert_eq!(hooked.headers["x-key"], PAGERDUTY_KEY);
    assert_eq!(
        hooked.body["alerts"][0]["annotations"]["serviceName"], NAME,
        "{:?}",
        hooked.body
    );
    let shown = event.to_string();
    assert!(
        shown.contains(r#"{\"$secret\":\"/routingKey\"}"#) && shown.contains("{{secret:/url}}"),
        "{shown}"
    );
    for text in [shown, String::from_utf8_lossy(&hooked.raw).into_owned()] {
        assert!(
            !text.contains(PAGERDUTY_KEY) && !text.contains(HOOK),
            "{text}"
        );
    }
}
