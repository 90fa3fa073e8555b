//! Each bundled channel against its service's API on loopback, from the outage to the message and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack_tests::chat_apis::{
    ChatApis, PAGERDUTY_KEY, SLACK_CHANNEL, SLACK_TOKEN, TELEGRAM_TOKEN, TWILIO_ACCOUNT, TWILIO_TOKEN,
};
use extrack_tests::{Inbox, Mood, PATIENCE, TargetServer, TestRuntime, wait_for};
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
    let runtime = TestRuntime::builder().services(&services).alerts(&alerts).start().await;
    let all = ["pagerduty", "discord", "telegram", "teams", "twilio"];
    let wait_for_each = async |count: usize| {
        wait_for(&format!("{count} messages on each channel"), PATIENCE, async || {
            let counts: Vec<usize> = all.iter().map(|api| apis.taken(api).len()).collect();
            match counts.iter().all(|found| *found == count) {
                true => Ok(()),
                false => Err(format!("{counts:?}, refused: {:?}", apis.refused())),
            }
        })
        .await;
    };
    let api = runtime.api();
    wait_for("the first healthy run", PATIENCE, async || {
        let healthy = api.sql_count("SELECT count(*) FROM observations WHERE status = 'healthy'").await;
        if healthy > 0 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    nginx.stop().await;
    wait_for_each(1).await;
    nginx.restart().await;
    wait_for_each(2).await;
    assert_eq!(apis.refused(), Vec::<String>::new());

    let pagerduty = apis.taken("pagerduty");
    assert_eq!((&pagerduty[0]["event_action"], &pagerduty[1]["event_action"]), (&"trigger".into(), &"resolve".into()));
    assert_eq!(pagerduty[0]["dedup_key"], pagerduty[1]["dedup_key"]);
    assert_eq!(pagerduty[0]["payload"]["source"], "shop-api");
    for (api, field) in [("discord", "content"), ("twilio", "Body")] {
        let taken = apis.taken(api);
        let text = |index: usize| taken[index][field].as_str().unwrap_or_default().to_owned();
        assert!(text(0).starts_with("[FIRING] Shop API: Service Down"), "{api}: {}", text(0));
        assert!(text(1).starts_with("[RESOLVED] Shop API: Service Down"), "{api}: {}", text(1));
    }
    assert!(apis.taken("telegram")[1]["text"].as_str().unwrap_or_default().contains("resolved"));

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
        let healthy = api.sql_count("SELECT count(*) FROM observations WHERE status = 'healthy'").await;
        if healthy > 0 { Ok(()) } else { Err("none".to_owned()) }
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
    let runtime = TestRuntime::builder().services(&services).alerts(&alerts).start().await;
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
    assert_eq!((&outage["text"], &end["text"]), (&"Shop API is down".into(), &"Shop API is up again".into()));
    let section = end["blocks"][0]["text"]["text"].as_str().unwrap();
    assert_eq!(section, "*Shop API is up again*\n0 of 1: &lt;Service Down&gt;");
    for api in ["slack", "discord", "telegram"] {
        assert_eq!(apis.taken(api).len(), 1, "{api}: the end is no message of its own");
    }

    let api = runtime.api();
    let shown = api.list("/api/v1/channels").await;
    let shown = serde_json::to_string(&shown).unwrap();
    assert!(shown.contains("short") && !shown.contains(SLACK_TOKEN), "{shown}");
    let preview = api.post("/api/v1/channels/slack/preview", &json!({"resolved": 1})).await.expect(200);
    assert_eq!(preview["title"], "Sample Service 1 is up again");
    let test = api.post("/api/v1/channels/slack/test", &json!({})).await.expect(200);
    assert_eq!((&test["delivered"], apis.taken("slack").len()), (&true.into(), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_webhook_that_is_gone_falls_back_and_its_dead_letter_is_sent_again() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (mut nginx, apis, mut inbox) = (TargetServer::start().await, ChatApis::start().await, Inbox::start().await);
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
    let runtime = TestRuntime::builder().services(&services).alerts(&alerts).start().await;
    first_healthy_run(&runtime).await;
    nginx.stop().await;
    wait_for("the alert and its fallback", PATIENCE, async || match inbox.received("/hook").len() {
        2 => Ok(()),
        count => Err(format!("{count} messages")),
    })
    .await;
    for received in inbox.received("/hook") {
        let header = |name: &str| received.headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("idempotency-key"), header("webhook-id"));
        let before = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(&SECRET["whsec_".len()..]).unwrap()).unwrap();
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
    let back = api.post(&format!("{path}/resend"), &json!({})).await.expect(200);
    assert_eq!((&back["state"], &back["idempotencyKey"]), (&"waiting".into(), &dead[0]["idempotencyKey"]));
    wait_for("the second attempt", PATIENCE, async || {
        let found = api.get(&path).await.expect(200);
        match (found["state"].as_str(), found["attempts"].as_array().map(Vec::len)) {
            (Some("dead"), Some(2)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(inbox.received("/hook").len(), 2, "the fallback is told once");
}
