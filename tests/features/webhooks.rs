//! Webhooks of services: signed by the vendors' rules, kept before they are confirmed, and of no
//! harm when they are forged. It is one file: all stories share the vendors' senders above them.

mod durable;
mod replay;
pub(crate) mod sender;

use extrack_tests::{Api, Inbox, PATIENCE, Reply, TestRuntime, Vendor, components, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use sender::{SECRETS, github, now_s, slack, standard, stripe};

/// One service with a webhook of each kind, and no probe that gets in the way.
fn services(vendor: &Vendor, webhooks: &str) -> String {
    format!(
        "services:\n  - name: Shop\n    baseUrl: \"{}\"\n    monitoring: {{interval: 86400}}\n    webhooks:\n{webhooks}",
        vendor.url()
    )
}

const WEBHOOKS: &str = r#"
      - {plugin: github, settings: {secret: ["${GITHUB_NEW}", "${GITHUB_SECRET}"]}}
      - {plugin: stripe, settings: {secret: "${STRIPE_SECRET}"}}
      - {plugin: standard-webhooks, name: std, settings: {secret: "${STANDARD_SECRET}"}}
      - {plugin: statuspage, settings: {secret: "${STATUSPAGE_SECRET}", components: [API]}}
      - plugin: generic
        name: chat
        settings:
          secret: "${SLACK_SECRET}"
          proof: {scheme: slack}
          challenge: "{$.challenge}"
          id: "{$.event_id}"
          kind: "{$.type}"
          when: "!has(json.test)"
"#;

async fn started(webhooks: &str, alerts: &str) -> (TestRuntime, Vendor) {
    let vendor = Vendor::start().await;
    let mut builder = TestRuntime::builder()
        .services(services(&vendor, webhooks))
        .alerts(alerts);
    for (name, secret) in SECRETS {
        builder = builder.env(name, secret);
    }
    let builder = builder.plugin("careless.wasm", components::guest("webhook-careless"));
    (builder.start().await, vendor)
}

/// Sends as a sender without a token.
async fn post(
    api: &Api,
    path: &str,
    headers: &[(&str, String)],
    body: impl Into<Vec<u8>>,
) -> Reply {
    let anonymous = api.anonymous();
    let mut request = anonymous.request(Method::POST, path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    anonymous.send(request.body(body.into())).await
}

fn kept(events: u32, repeated: u32) -> Value {
    json!({ "events": events, "repeated": repeated })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_deliveries_become_events_and_strangers_are_turned_away() {
    let (mut runtime, _vendor) = started(WEBHOOKS, "").await;
    let api = runtime.api();
    let pull = json!({"action": "opened", "pull_request": {"number": 7, "title": "Faster"}, "repository": {"full_name": "octo/shop"}}).to_string();
    let charge = json!({"id": "evt_1", "type": "charge.failed", "created": now_s(), "data": {"object": {"id": "ch_1", "object": "charge"}}}).to_string();
    let user =
        json!({"type": "user.created", "timestamp": "2026-01-01T00:00:00Z", "data": {"id": "u_1"}})
            .to_string();
    let message = json!({"type": "message", "event_id": "Ev1"}).to_string();

    // Good, and the same once more: confirmed, kept once.
    for (name, headers, body) in [
        ("github", github("GITHUB_SECRET", &pull, "d-1"), &pull),
        ("stripe", stripe("STRIPE_SECRET", &charge, now_s()), &charge),
        (
            "std",
            standard("STANDARD_SECRET", "msg_1", &user, now_s()),
            &user,
        ),
        ("chat", slack("SLACK_SECRET", &message, now_s()), &message),
    ] {
        let path = format!("/webhooks/shop/{name}");
        assert_eq!(
            post(&api, &path, &headers, body.as_str()).await.expect(200),
            kept(1, 0),
            "{name}"
        );
        assert_eq!(
            post(&api, &path, &headers, body.as_str()).await.expect(200),
            kept(0, 1),
            "{name}"
        );
    }
    // While a secret is changed, both are good.
    let headers = github("GITHUB_NEW", &pull, "d-2");
    assert_eq!(
        post(&api, "/webhooks/shop/github", &headers, pull.as_str())
            .await
            .expect(200),
        kept(1, 0)
    );

    // Another secret, another body, too old, too new, not signed at all.
    for (name, headers, body) in [
        (
            "github",
            github("STRIPE_SECRET", &pull, "d-3"),
            pull.as_str(),
        ),
        ("github", github("GITHUB_SECRET", &pull, "d-3"), "{}"),
        ("github", Vec::new(), pull.as_str()),
        (
            "stripe",
            stripe("STRIPE_SECRET", &charge, now_s() - 400),
            charge.as_str(),
        ),
        (
            "stripe",
            stripe("STRIPE_SECRET", &charge, now_s() + 400),
            charge.as_str(),
        ),
        (
            "std",
            standard("STANDARD_SECRET", "msg_2", &user, now_s() - 400),
            user.as_str(),
        ),
        (
            "chat",
            slack("SLACK_SECRET", &message, now_s() - 400),
            message.as_str(),
        ),
        ("statuspage?token=guess", Vec::new(), "{}"),
        ("statuspage", Vec::new(), "{}"),
    ] {
        let problem = post(&api, &format!("/webhooks/shop/{name}"), &headers, body)
            .await
            .expect_problem(401);
        assert_eq!(
            problem["type"], "urn:problem-type:extrack:unauthenticated",
            "{name}"
        );
    }

    // Signed, and not what it should be; too much; no such webhook.
    let path = "/webhooks/shop/github";
    post(
        &api,
        path,
        &github("GITHUB_SECRET", "no json", "d-4"),
        "no json",
    )
    .await
    .expect_problem(400);
    post(&api, path, &[], vec![b'a'; 2 << 20])
        .await
        .expect_problem(413);
    post(&api, path, &[("x-long", "a".repeat(40_000))], "")
        .await
        .expect_problem(431);
    for path in [
        "/webhooks/shop/none",
        "/webhooks/none/github",
        "/webhooks/none/none",
    ] {
        post(&api, path, &[], "{}").await.expect_problem(404);
    }

    // A challenge is answered in the sender's own format; a test of the sender's is of no interest.
    let challenge = json!({"type": "url_verification", "challenge": "3eZbrw1aB"}).to_string();
    let answer = post(
        &api,
        "/webhooks/shop/chat",
        &slack("SLACK_SECRET", &challenge, now_s()),
        challenge,
    )
    .await;
    assert_eq!(
        (answer.header("content-type"), answer.text.as_str()),
        ("text/plain; charset=utf-8", "3eZbrw1aB")
    );
    let test = json!({"type": "message", "test": true}).to_string();
    let headers = slack("SLACK_SECRET", &test, now_s());
    assert_eq!(
        post(&api, "/webhooks/shop/chat", &headers, test)
            .await
            .expect(200),
        kept(0, 0)
    );

    // By SQL and by the API.
    let rows = api
        .sql("SELECT webhook, kind, event_id, plugin FROM events ORDER BY id")
        .await;
    let row = |webhook: &str, kind: &str, id: &str, plugin: &str| {
        vec![json!(webhook), json!(kind), json!(id), json!(plugin)]
    };
    assert_eq!(
        rows,
        [
            row("github", "pull_request.opened", "d-1", "github"),
            row("stripe", "charge.failed", "evt_1", "stripe"),
            row("std", "user.created", "msg_1", "standard-webhooks"),
            row("chat", "message", "Ev1", "generic"),
            row("github", "pull_request.opened", "d-2", "github"),
        ]
    );
    let titles =
        api.sql("SELECT payload->>'title', attributes->>'repository' FROM events WHERE webhook = 'github'").await;
    assert_eq!(titles, [["Faster", "octo/shop"], ["Faster", "octo/shop"]]);
    let events = api.list("/api/v1/services/shop/events").await;
    assert_eq!(events.len(), 5);
    assert_eq!(
        events[0]["summary"],
        "octo/shop: pull_request opened, #7 Faster"
    );
    assert_eq!(events[3]["ts"].as_str().map(|ts| &ts[..2]), Some("20"));
    assert_eq!(api.list("/api/v1/events?kind=charge.failed").await.len(), 1);
    api.anonymous()
        .get("/api/v1/events")
        .await
        .expect_problem(401);
    let runs =
        "SELECT outcome, count(*) FROM plugin_runs WHERE function = 'receive' GROUP BY outcome";
    let outcomes = wait_for("the accounts of all runs", PATIENCE, async || {
        let outcomes = api.sql(runs).await;
        let all = outcomes
            .iter()
            .filter_map(|row| row[1].as_i64())
            .sum::<i64>();
        if all == 21 {
            Ok(outcomes)
        } else {
            Err(format!("{outcomes:?}"))
        }
    })
    .await;
    assert_eq!(
        outcomes,
        [[json!("ok"), json!(21)]],
        "to turn a stranger away is no fault of the plugin's"
    );

    // No secret came out anywhere.
    let mut shown = vec![("log", runtime.logs()), ("events", format!("{rows:?}"))];
    for path in [
        "/api/v1/services/shop",
        "/api/v1/events",
        "/api/v1/plugins",
        "/metrics",
    ] {
        shown.push((path, api.get(path).await.expect_text(200)));
    }
    shown.push((
        "runs",
        format!("{:?}", api.sql("SELECT * FROM plugin_runs").await),
    ));
    runtime.stop().await;
    for (name, secret) in SECRETS {
        for (place, text) in &shown {
            assert!(!text.contains(secret), "`{name}` is shown by {place}");
        }
        assert_eq!(
            crate::secrets::files_with(&runtime.data(), secret),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_proof_the_operator_has_to_say_so() {
    let webhooks = r#"
      - {plugin: webhook-careless, name: careless, settings: {secret: "${STATUSPAGE_SECRET}"}}
      - {plugin: webhook-careless, name: open, unsigned: true, settings: {secret: "${STATUSPAGE_SECRET}"}}
      - {plugin: statuspage, name: unproven, unsigned: true}
"#;
    let (runtime, _vendor) = started(webhooks, "").await;
    let api = runtime.api();
    let secret = sender::secret("STATUSPAGE_SECRET");
    for body in ["event", "answer", "forged"] {
        post(&api, "/webhooks/shop/careless", &[], body)
            .await
            .expect_problem(401);
    }
    // What the plugin sees in the place of a secret is no secret when it is sent.
    for guess in ["***", r#"{"$secret":"/secret"}"#, "/secret"] {
        let headers = [("x-guess", guess.to_owned())];
        let path = format!(
            "/webhooks/shop/careless/{0}?guess={0}",
            guess.replace(['/', '"'], "")
        );
        post(&api, &path, &headers, "forged")
            .await
            .expect_problem(401);
    }
    assert_eq!(
        post(&api, "/webhooks/shop/open", &[], "event")
            .await
            .expect(200),
        kept(1, 0)
    );
    assert_eq!(
        post(&api, "/webhooks/shop/open", &[], "event")
            .await
            .expect(200),
        kept(1, 0),
        "without an id, all are new"
    );
    assert_eq!(
        post(&api, "/webhooks/shop/open", &[], "large")
            .await
            .expect(200),
        kept(1, 0)
    );
    let large = api
        .sql("SELECT payload FROM events WHERE kind = 'large'")
        .await;
    assert_eq!(large, [[json!({"leftOut": "300002 bytes"})]]);
    let incident = json!({"incident": {"id": "i", "name": "Down", "status": "identified"}, "page": {"status_indicator": "critical"}});
    assert_eq!(
        post(&api, "/webhooks/shop/unproven", &[], incident.to_string())
            .await
            .expect(200),
        kept(1, 0)
    );
    assert_eq!(api.service("shop").await["status"], "unhealthy");

    // A shared secret proves it, and the plugin sees neither the one in the settings nor the one
    // that was sent.
    let headers = [
        ("authorization", format!("Bearer {secret}")),
        ("x-other", "plain".to_owned()),
    ];
    assert_eq!(
        post(
            &api,
            &format!("/webhooks/shop/careless?token={secret}"),
            &headers,
            "leak"
        )
        .await
        .expect(200),
        kept(1, 0)
    );
    let leaked = api
        .sql("SELECT summary, payload FROM events WHERE kind = 'leak'")
        .await;
    let leaked = format!("{leaked:?}");
    assert!(
        leaked.contains("token=***")
            && leaked.contains("Bearer ***")
            && leaked.contains("*** /secret")
            && leaked.contains("plain"),
        "{leaked}"
    );
    assert!(!leaked.contains(secret), "{leaked}");
    let answered = post(
        &api,
        &format!("/webhooks/shop/open?token={secret}"),
        &[],
        "answer",
    )
    .await
    .expect_text(200);
    assert!(answered.starts_with("Some(***) token=***"), "{answered}");

    // A broken plugin is asked again later, with all that the sender sent.
    for (body, outcome) in [
        ("trap", "trap"),
        ("too many", "limit"),
        ("page", "limit"),
        ("loop", "limit"),
    ] {
        let reply = post(&api, "/webhooks/shop/open", &[], body).await;
        assert!(!reply.header("retry-after").is_empty(), "{body}: {reply:?}");
        let problem = reply.expect_problem(503);
        assert_eq!(
            problem["detail"], "the delivery could not be taken; repeat it later",
            "{body}"
        );
        let last = "SELECT outcome FROM plugin_runs WHERE function = 'receive' ORDER BY run_id DESC LIMIT 1";
        wait_for("the account of that run", PATIENCE, async || {
            let found = api.sql(last).await;
            // On a machine that has no time for it, the wall clock may end the loop before its
            // share of the processor does.
            let is_ended = found[0][0] == outcome || (body == "loop" && found[0][0] == "timeout");
            if is_ended {
                Ok(())
            } else {
                Err(format!("{body}: {found:?}"))
            }
        })
        .await;
    }
    assert_eq!(
        post(&api, "/webhooks/shop/open", &[], "event")
            .await
            .expect(200),
        kept(1, 0),
        "and nobody else noticed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_the_status_of_the_service_and_raises_an_alert() {
    let inbox = Inbox::start().await;
    let alerts = format!(
        r#"
alerts:
  - name: "Vendor says down"
    condition: "status == 'unhealthy'"
    probes: [statuspage]
    notifications: [{{channel: webhook, url: "{}"}}]
"#,
        inbox.url("/ops")
    );
    let (mut runtime, _vendor) = started(WEBHOOKS, &alerts).await;
    let update = |id: &str, status: &str| {
        json!({
            "page": {"status_indicator": "major", "status_description": "Outage"},
            "component": {"id": "c1", "name": "API", "status": status},
            "component_update": {"id": id, "old_status": "x", "new_status": status},
        })
        .to_string()
    };
    let path = format!(
        "/webhooks/shop/statuspage?token={}",
        sender::secret("STATUSPAGE_SECRET")
    );
    let api = runtime.api();
    assert_eq!(
        post(&api, &path, &[], update("u1", "major_outage"))
            .await
            .expect(200),
        kept(1, 0)
    );
    // The report is stored when the sender is answered.
    let service = api.service("shop").await;
    assert_eq!(service["status"], "unhealthy");
    let observations = api.list("/api/v1/services/shop/observations").await;
    let [report] = &observations[..] else {
        panic!("{observations:?}")
    };
    assert_eq!(
        [&report["probe"], &report["location"], &report["status"]],
        ["statuspage", "webhook", "unhealthy"]
    );
    assert_eq!(report["error"], "the vendor says: API: major_outage");
    let event = &api.list("/api/v1/events").await[0];
    assert_eq!(event["runId"], report["runId"]);
    wait_for(
        "the message that it is down",
        PATIENCE,
        async || match inbox.all().as_slice() {
            [message] if message.body["status"] == "firing" => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;

    // What we measure ourselves does not take back what the vendor reports.
    assert_eq!(api.check("shop").await["status"], "healthy");
    assert_eq!(api.service("shop").await["status"], "unhealthy");

    // The vendor's word counts until the next one, over a restart too.
    runtime.restart().await;
    let api = runtime.api();
    assert_eq!(api.service("shop").await["status"], "unhealthy");
    assert_eq!(api.list("/api/v1/alerts?state=firing").await.len(), 1);
    assert_eq!(
        post(&api, &path, &[], update("u1", "major_outage"))
            .await
            .expect(200),
        kept(0, 1)
    );
    assert_eq!(
        post(&api, &path, &[], update("u2", "operational"))
            .await
            .expect(200),
        kept(1, 0)
    );
    assert_eq!(api.service("shop").await["status"], "healthy");
    wait_for(
        "the message that it is over",
        PATIENCE,
        async || match inbox.all().as_slice() {
            [_, message] if message.body["status"] == "resolved" => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_come_and_go_over_the_api() {
    let (runtime, vendor) = started(WEBHOOKS, "").await;
    let api = runtime.api();
    let mut spec = json!({
        "name": "Made", "baseUrl": vendor.url(), "private": true, "monitoring": {"interval": 86400},
        "webhooks": [{"plugin": "github", "name": "hub", "settings": {"secret": "made-over-the-api"}}],
    });
    let created = api.post("/api/v1/services", &spec).await.expect(201);
    assert_eq!(created["webhooks"][0]["settings"]["secret"], "***");
    let body = r#"{"zen": "x"}"#;
    let headers = |delivery: &str| sender::github_with("made-over-the-api", body, delivery, "push");
    assert_eq!(
        post(&api, "/webhooks/made/hub", &headers("1"), body)
            .await
            .expect(200),
        kept(1, 0)
    );
    // What was shown can be sent back.
    let mut back = spec.clone();
    back["webhooks"] = created["webhooks"].clone();
    api.put("/api/v1/services/made", &back).await.expect(200);
    assert_eq!(
        post(&api, "/webhooks/made/hub", &headers("2"), body)
            .await
            .expect(200),
        kept(1, 0)
    );
    // Faults are reported in their place.
    spec["webhooks"][0]["settings"] = json!({"secrets": 1});
    let problem = api
        .put("/api/v1/services/made", &spec)
        .await
        .expect_problem(422);
    let pointers: Vec<&Value> = problem["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| &fault["pointer"])
        .collect();
    assert_eq!(
        pointers,
        [
            "/webhooks/0/settings/secrets",
            "/webhooks/0/settings/secret"
        ]
    );
    back["webhooks"] = json!([]);
    api.put("/api/v1/services/made", &back).await.expect(200);
    post(&api, "/webhooks/made/hub", &headers("3"), body)
        .await
        .expect_problem(404);
    assert_eq!(
        api.list("/api/v1/services/made/events").await.len(),
        2,
        "what was told stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_verdicts_in_one_delivery_all_are_kept_and_the_latest_stands() {
    let webhooks = r#"
      - plugin: generic
        name: batch
        unsigned: true
        settings:
          items: "$.alerts[*]"
          id: "{$.fingerprint}"
          kind: "{$.status}"
          time: "{$.at}"
          status: {value: "{$.status}", healthy: [resolved], unhealthy: [firing]}
"#;
    let (mut runtime, _vendor) = started(webhooks, "").await;
    let item = |id: &str, status: &str, minute: u32| json!({"fingerprint": id, "status": status, "at": format!("2026-01-01T10:{minute:02}:00Z")});
    let deliver = async |api: &Api, items: &[Value], wanted: Value| {
        // As some senders write JSON.
        let body = format!("\u{feff}{}", json!({"version": "4", "alerts": items}));
        assert_eq!(
            post(api, "/webhooks/shop/batch", &[], body)
                .await
                .expect(200),
            wanted
        );
    };
    let api = runtime.api();
    deliver(
        &api,
        &[
            item("a", "firing", 5),
            item("b", "resolved", 3),
            item("c", "firing", 1),
        ],
        kept(3, 0),
    )
    .await;
    assert_eq!(
        api.service("shop").await["status"],
        "unhealthy",
        "what fires began last"
    );
    let seen = api.list("/api/v1/services/shop/observations").await;
    let mut statuses: Vec<&str> = seen
        .iter()
        .filter_map(|run| run["status"].as_str())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["healthy", "unhealthy", "unhealthy"], "{seen:?}");

    // Many senders have one id for a problem and its end.
    deliver(&api, &[item("a", "firing", 5)], kept(0, 1)).await;
    deliver(&api, &[item("a", "resolved", 9)], kept(1, 0)).await;
    assert_eq!(api.service("shop").await["status"], "healthy");
    deliver(&api, &[item("a", "firing", 11)], kept(1, 0)).await;
    runtime.restart().await;
    let api = runtime.api();
    assert_eq!(api.service("shop").await["status"], "unhealthy");
    deliver(&api, &[item("a", "resolved", 12)], kept(1, 0)).await;
    assert_eq!(api.service("shop").await["status"], "healthy");
}
