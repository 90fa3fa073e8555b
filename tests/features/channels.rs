//! Each bundled channel against its service's API on loopback, from the outage to the message and back.

use extrack_tests::chat_apis::{ChatApis, PAGERDUTY_KEY, TELEGRAM_TOKEN, TWILIO_ACCOUNT, TWILIO_TOKEN};
use extrack_tests::{PATIENCE, TargetServer, TestRuntime, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_channel_says_firing_once_and_resolved_once_as_its_service_documents_it() {
    let (mut nginx, apis) = (TargetServer::start().await, ChatApis::start().await);
    let services = format!(
        r#"
services:
  - {{name: "Shop API", baseUrl: "{}", healthEndpoint: "/health", monitoring: {{interval: 1, timeout: 900}}}}
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
