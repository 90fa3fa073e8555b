//! Deliveries are kept as they came, without the secrets in them, and played again.

use super::*;

async fn outcomes(api: &Api) -> Vec<(String, String)> {
    let deliveries = api.list("/api/v1/services/shop/webhooks/deliveries").await;
    let text = |delivery: &Value, key: &str| delivery[key].as_str().unwrap_or_default().to_owned();
    deliveries
        .iter()
        .map(|delivery| (text(delivery, "webhook"), text(delivery, "outcome")))
        .collect()
}

async fn replay(api: &Api, id: &Value) -> Reply {
    let path = format!("/api/v1/services/shop/webhooks/deliveries/{id}/replay");
    api.post(&path, &json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_delivered_is_there_after_a_kill_and_can_be_played_again() {
    let webhooks = format!(
        "{WEBHOOKS}      - {{plugin: webhook-careless, name: open, unsigned: true, settings: {{secret: \"${{STATUSPAGE_SECRET}}\"}}}}\n"
    );
    let (mut runtime, _vendor) = started(&webhooks, "").await;
    let api = runtime.api();
    let pull = json!({"action": "opened", "pull_request": {"number": 7, "title": "Faster"}, "repository": {"full_name": "octo/shop"}}).to_string();
    // Without a name it is for the first of the webhooks.
    let headers = github("GITHUB_SECRET", &pull, "d-1");
    let reply = post(&api, "/webhooks/shop", &headers, pull.as_str()).await;
    assert_eq!(reply.expect(200), kept(1, 0));
    post(&api, "/webhooks/none", &headers, pull.as_str())
        .await
        .expect_problem(404);
    // Signed, and not known; forged; and one that has its secret in the URL.
    let headers = github("GITHUB_SECRET", "no json", "d-2");
    post(&api, "/webhooks/shop/github", &headers, "no json")
        .await
        .expect_problem(400);
    post(&api, "/webhooks/shop/github", &[], pull.as_str())
        .await
        .expect_problem(401);
    let secret = sender::secret("STATUSPAGE_SECRET");
    let incident = json!({
        "component": {"id": "c1", "name": "API"},
        "component_update": {"id": "u1", "old_status": "x", "new_status": "major_outage"},
    });
    let path = format!("/webhooks/shop/statuspage?token={secret}");
    let reply = post(&api, &path, &[], incident.to_string()).await;
    assert_eq!(reply.expect(200), kept(1, 0));
    post(&api, "/webhooks/shop/open", &[], "trap")
        .await
        .expect_problem(503);
    runtime.kill().await;
    runtime.start().await;

    let api = runtime.api();
    let expected = [
        ("open", "broken"),
        ("statuspage", "taken"),
        ("github", "malformed"),
        ("github", "taken"),
    ];
    let expected = expected.map(|(webhook, outcome)| (webhook.to_owned(), outcome.to_owned()));
    assert_eq!(outcomes(&api).await, expected);
    let listed = api
        .list("/api/v1/services/shop/webhooks/deliveries?webhook=statuspage")
        .await;
    let path = format!(
        "/api/v1/services/shop/webhooks/deliveries/{}",
        listed[0]["id"]
    );
    let whole = api.get(&path).await.expect(200);
    assert_eq!(whole["query"], "token=***");
    assert_eq!(whole["body"], incident.to_string());

    // Events that are known are not kept again; the secret that was sent is not needed.
    for (webhook, accepted) in [("github", kept(0, 1)), ("statuspage", kept(0, 1))] {
        let path = format!("/api/v1/services/shop/webhooks/deliveries?webhook={webhook}");
        let listed = api.list(&path).await;
        let first = listed.last().expect("one was kept");
        assert_eq!(replay(&api, &first["id"]).await.expect(200), accepted);
    }
    let listed = api.list("/api/v1/services/shop/webhooks/deliveries").await;
    assert!(listed[0]["replayedAt"].is_null() && listed[1]["replayedAt"].is_string());
    let problem = replay(&api, &listed[2]["id"]).await.expect_problem(422);
    assert_eq!(
        problem["type"], "urn:problem-type:extrack:replay-failed",
        "{problem}"
    );
    replay(&api, &json!(999)).await.expect_problem(404);

    let shown = runtime.cli(["webhooks", "list", "shop"]).await;
    assert!(shown.out.contains("statuspage"), "{shown:?}");
    let id = listed[1]["id"].to_string();
    let replayed = runtime.cli(["webhooks", "replay", "shop", &id]).await;
    assert_eq!(
        replayed.out.trim(),
        "events kept: 0, known before: 1",
        "{replayed:?}"
    );
    runtime.stop().await;
    for (name, secret) in SECRETS {
        assert_eq!(
            crate::secrets::files_with(&runtime.data(), secret),
            Vec::<String>::new(),
            "{name}"
        );
    }
}
