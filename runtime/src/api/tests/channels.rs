//! Channels: list, preview, test.

use serde_json::json;

use super::*;

const TITLE: &str = "{{ counts.firing }} down, {{ counts.resolved }} up";

fn channel(id: &str, name: &str, plugin: &str, options: ChannelOptions) -> Channel {
    Channel {
        id: ChannelId(id.to_owned()),
        name: name.to_owned(),
        plugin: plugin.to_owned(),
        settings: json!({"webhook": "https://secret.example.com"}),
        origin: Origin::File,
        options,
    }
}

async fn router_with_channels() -> Router {
    let world = world().await;
    let texts = MessageTexts {
        title: Some(TITLE.to_owned()),
        ..MessageTexts::default()
    };
    let template = Some(Arc::new(MessageTemplate {
        name: "short".to_owned(),
        sources: texts,
    }));
    world.channel_add(channel(
        "slack-1",
        "ops",
        "slack",
        ChannelOptions {
            template,
            ..ChannelOptions::default()
        },
    ));
    world.channel_add(channel(
        "email-1",
        "mail",
        "email",
        ChannelOptions::default(),
    ));
    world.channel_add(channel(
        "email-2",
        "mail",
        "refuses",
        ChannelOptions::default(),
    ));
    router(&world)
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
    assert_eq!(names, ["email-1", "email-2", "slack-1"]);
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
    let own = preview("email-1", json!({})).await.json();
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
    let refused = test("email-2", json!({})).await;
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
