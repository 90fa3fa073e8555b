//! A message goes out with its channel's settings of now, however old the message is.

use extrack_tests::{Api, Inbox, PATIENCE, TargetServer, TestRuntime, refusing_address, wait_for};
use serde_json::Value;

fn alerts(first: &str, second: &str) -> String {
    format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    notifications:
      - {{channel: webhook, url: "{first}"}}
      - {{channel: webhook, name: second, url: "{second}"}}
"#
    )
}

async fn wait_for_notification(api: &Api, state: &str) -> Value {
    wait_for(
        &format!("a notification that is {state} after an attempt"),
        PATIENCE,
        async || {
            let all = api.list("/api/v1/notifications").await;
            let found = all.iter().find(|one| {
                one["state"] == state
                    && one["attempts"]
                        .as_array()
                        .is_some_and(|made| !made.is_empty())
            });
            found.cloned().ok_or_else(|| format!("{all:?}"))
        },
    )
    .await
}

async fn wait_for_message(inbox: &Inbox, path: &str, status: &str) {
    wait_for(&format!("`{status}` at {path}"), PATIENCE, async || {
        let statuses: Vec<Value> = inbox
            .received(path)
            .iter()
            .map(|message| message.body["status"].clone())
            .collect();
        if statuses == [status] {
            Ok(())
        } else {
            Err(format!("{statuses:?} of {:?}", inbox.all()))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mended_address_gets_what_waits_what_is_dead_and_the_end() {
    let (mut target, refusing, inbox) = (
        TargetServer::start().await,
        TargetServer::start().await,
        Inbox::start().await,
    );
    let services = format!(
        "services:\n  - {{name: Shop API, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1}}}}\n",
        target.url()
    );
    // Nothing listens at the one; the other answers that there is no such hook.
    let nowhere = format!("http://{}/hook", refusing_address());
    let mut runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts(
            &nowhere,
            &format!("{}/no-such-hook", refusing.url()),
        ))
        .start()
        .await;
    target.stop().await;
    wait_for_notification(&runtime.api(), "waiting").await;
    let dead = wait_for_notification(&runtime.api(), "dead").await;
    let file = runtime.config().join("alerts.yaml");

    std::fs::write(&file, alerts(&inbox.url("/first"), &inbox.url("/second"))).unwrap();
    wait_for_message(&inbox, "/first", "firing").await;
    assert_eq!(
        inbox.received("/second").len(),
        0,
        "what was given up waits for a person"
    );
    let said = runtime
        .cli(["notifications", "resend", &dead["id"].to_string()])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_for_message(&inbox, "/second", "firing").await;

    // What arrived before the attempt is on record would come again.
    wait_for("every delivery to be recorded", PATIENCE, async || {
        let waiting = runtime
            .api()
            .list("/api/v1/notifications?state=waiting")
            .await;
        if waiting.is_empty() {
            Ok(())
        } else {
            Err(format!("{waiting:?}"))
        }
    })
    .await;
    // Rotated between the two messages, and while the program does not run.
    runtime.kill().await;
    std::fs::write(&file, alerts(&inbox.url("/third"), &inbox.url("/fourth"))).unwrap();
    runtime.start().await;
    target.restart().await;
    wait_for_message(&inbox, "/third", "resolved").await;
    wait_for_message(&inbox, "/fourth", "resolved").await;
    assert_eq!(inbox.all().len(), 4, "each once: {:?}", inbox.all());
}
