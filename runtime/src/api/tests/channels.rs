//! Channels: list, preview, test.

use serde_json::json;

use super::*;
use crate::spec::NotificationSpec;

const TITLE: &str = "{{ counts.firing }} down, {{ counts.resolved }} up";

/// Three channels of the files, of which two share a name, and the second of those is refused.
async fn router_with_channels() -> Router {
    let world = world().await;
    let settings = json!({"token": {"x-secret": true}});
    world
        .directory
        .add(PluginKind::Notifier, "refuses", &[], settings);
    let notifications: Vec<NotificationSpec> = serde_json::from_value(json!([
        {"channel": "slack", "name": "ops", "template": "short", "webhook": "https://secret.example.com"},
        {"channel": "email", "name": "mail", "recipients": ["ops@secret.example.com"]},
        {"channel": "refuses", "name": "mail", "token": "https://secret.example.com"},
    ]))
    .unwrap();
    let template = serde_json::from_value(json!({"title": TITLE})).unwrap();
    world
        .files_change(|entries| {
            entries
                .message_templates
                .insert("short".to_owned(), template);
            entries
                .notifications
                .extend(notifications.into_iter().enumerate());
        })
        .await;
    router(&world)
}

/// Returns the id of the channel of a plugin.
async fn id_of(router: &Router, plugin: &str) -> String {
    let channels = get(router, "/api/v1/channels").await.json();
    let mut items = channels["items"].as_array().unwrap().iter();
    let channel = items.find(|item| item["plugin"] == plugin).unwrap();
    channel["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn lists_channels_without_their_settings() {
    let router = router_with_channels().await;
    let answer = get(&router, "/api/v1/channels").await;
    let names: Vec<String> = answer.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!((names.len(), &names), (3, &sorted));
    assert_eq!(answer.json()["items"][2]["template"], "short");
    assert!(
        !answer.body.contains("secret.example.com"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn previews_in_the_words_of_the_template_or_of_one_that_is_tried() {
    let router = router_with_channels().await;
    let preview = async |name: &str, body: Value| {
        send_json(
            &router,
            Method::POST,
            &format!("/api/v1/channels/{name}/preview"),
            body,
        )
        .await
    };
    let found = preview("ops", json!({"firing": 2, "resolved": 1}))
        .await
        .json();
    assert_eq!(
        (&found["title"], &found["template"]),
        (&"2 down, 1 up".into(), &"short".into())
    );
    let alert = preview(
        "ops",
        json!({"alert": 2, "template": {"text": "{{ alerts[0].serviceName }}"}}),
    )
    .await
    .json();
    assert_eq!(alert["text"], "Shop API");
    let own = preview(&id_of(&router, "email").await, json!({}))
        .await
        .json();
    assert_eq!(own["title"], "[FIRING] Sample Service 1: Service Down");
    assert_eq!(
        (&own["template"], &own["text"]),
        (&Value::Null, &Value::Null)
    );
    for (name, body, status) in [
        ("nope", json!({}), 404),
        ("mail", json!({}), 409),
        ("ops", json!({"alert": 99}), 404),
        ("ops", json!({"firing": 0}), 400),
        ("ops", json!({"template": {"text": "{{ nobody }}"}}), 422),
    ] {
        let answer = preview(name, body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    }
    let wrong = preview("ops", json!({"template": {"text": "a\n {{ nobody }}"}}))
        .await
        .json();
    assert_eq!(wrong["faults"][0]["pointer"], "/template/text");
    let message = wrong["faults"][0]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "line 2, column 5 of the template: there is no `nobody`"
    );
}

#[tokio::test]
async fn a_test_is_sent_and_says_what_came_of_it() {
    let router = router_with_channels().await;
    let test = async |name: &str, body: Value| {
        send_json(
            &router,
            Method::POST,
            &format!("/api/v1/channels/{name}/test"),
            body,
        )
        .await
        .json()
    };
    let sent = test("ops", json!({"status": "resolved"})).await;
    assert_eq!(
        (&sent["delivered"], &sent["answer"]),
        (&true.into(), &"200 0 down, 1 up".into())
    );
    let refused = test(&id_of(&router, "refuses").await, json!({})).await;
    assert_eq!(
        (&refused["delivered"], &refused["retryable"]),
        (&false.into(), &false.into())
    );
    assert!(
        refused["answer"].as_str().unwrap().starts_with("404"),
        "{refused}"
    );
    let audit = get(&router, "/api/v1/audit").await.json();
    assert_eq!(
        (&audit["items"][1]["action"], &audit["items"][1]["subject"]),
        (&"channel.test".into(), &"channel:ops".into())
    );
}
