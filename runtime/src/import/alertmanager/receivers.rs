//! Receivers as channels, each by the name of its receiver.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::import::draft::{Draft, mapping};
use crate::import::item::Item;

/// Settings of a notifier about the look of its messages.
const WORDING: [&str; 31] = [
    "title",
    "title_link",
    "text",
    "pretext",
    "message",
    "message_text",
    "html",
    "headers",
    "color",
    "fields",
    "short_fields",
    "footer",
    "fallback",
    "callback_id",
    "icon_emoji",
    "icon_url",
    "image_url",
    "thumb_url",
    "link_names",
    "mrkdwn_in",
    "actions",
    "description",
    "details",
    "images",
    "links",
    "client",
    "client_url",
    "content",
    "summary",
    "parse_mode",
    "payload",
];

/// Receivers by name.
pub(super) struct Receivers(pub(super) BTreeMap<String, Receiver>);

/// Channels of a receiver.
pub(super) struct Receiver {
    /// Names of its channels.
    pub(super) channels: Vec<String>,
    /// True if it has none on purpose: alerts that it takes are dropped.
    pub(super) is_meant_empty: bool,
}

impl Receivers {
    pub(super) fn of(root: &Item<'_>, draft: &mut Draft) -> Self {
        let global = root.get("global");
        if let Some(global) = &global {
            globals(global, draft);
        }
        let mut receivers = BTreeMap::new();
        for item in root.list("receivers") {
            draft.found();
            let name = item.text_of("name").unwrap_or_default();
            let receiver = receiver(&name, &item, global.as_ref(), draft);
            if !receiver.channels.is_empty() || receiver.is_meant_empty {
                draft.imported.carried += 1;
            }
            receivers.insert(name, receiver);
        }
        Self(receivers)
    }
}

fn globals(global: &Item<'_>, draft: &mut Draft) {
    for (key, item) in global.members() {
        if key.starts_with("smtp_") {
            draft.note_mail_server(&item);
        } else if key == "resolve_timeout" {
            draft.left_out(&item, "our rules decide themselves when an alert ends");
        } else if !["slack_api_url", "slack_app_token", "telegram_bot_token"]
            .contains(&key.trim_end_matches("_file"))
            && !["pagerduty_url", "telegram_api_url"].contains(&key)
        {
            draft.left_out(&item, "has no counterpart");
        }
    }
}

fn receiver(name: &str, item: &Item<'_>, global: Option<&Item<'_>>, draft: &mut Draft) -> Receiver {
    let mut kinds = 0;
    let mut channels = Vec::new();
    for (key, list) in item.members() {
        let Some(kind) = key.strip_suffix("_configs") else {
            continue;
        };
        for config in list.items() {
            kinds += 1;
            let Some(channel) = channel(kind, name, &config, global, draft) else {
                continue;
            };
            if config.is_false("send_resolved") {
                draft.note_once(
                    &config,
                    "has `send_resolved: false`; our channels are notified of the end as well",
                );
            }
            without_counterpart(&config, draft);
            channels.push(channel);
        }
    }
    let is_one = channels.len() == 1;
    let channels = channels.into_iter().map(|channel| {
        let notifier = channel.get("channel").and_then(Value::as_str);
        let wanted = match notifier.filter(|_| !is_one) {
            Some(notifier) => format!("{name}-{notifier}"),
            None => name.to_owned(),
        };
        draft.member("channels", &wanted, Value::Object(channel))
    });
    Receiver {
        channels: channels.collect(),
        is_meant_empty: kinds == 0,
    }
}

/// Notes that the words of messages are not carried over.
fn without_counterpart(config: &Item<'_>, draft: &mut Draft) {
    for key in WORDING {
        if let Some(found) = config.get(key) {
            draft.note(
                &found,
                "messages are in our notifiers' words, or those of a template in `messageTemplates`",
            );
            return;
        }
    }
}

fn channel(
    kind: &str,
    receiver: &str,
    config: &Item<'_>,
    global: Option<&Item<'_>>,
    draft: &mut Draft,
) -> Option<Map<String, Value>> {
    let name = format!("{receiver} {kind}");
    let secret = |key: &str, draft: &mut Draft| {
        let secret = draft.secret_of(config, key, &format!("{name} {key}"));
        secret.map(Value::String)
    };
    let of_all =
        |key: &str, draft: &mut Draft| draft.secret_of(global?, key, key).map(Value::String);
    let text = |key: &str| config.text_of(key).map(Value::String);
    let text_of_all = |key: &str| global?.text_of(key).map(Value::String);
    let made = match kind {
        "slack" => return slack(config, secret, of_all, draft),
        "discord" => secret("webhook_url", draft).map(|hook| {
            mapping([
                ("channel", Some(json!("discord"))),
                ("webhook", Some(hook)),
                ("username", text("username")),
            ])
        }),
        "msteams" | "msteamsv2" => secret("webhook_url", draft)
            .map(|hook| mapping([("channel", Some(json!("teams"))), ("webhook", Some(hook))])),
        "pagerduty" => {
            let key = secret("routing_key", draft).or_else(|| secret("service_key", draft));
            key.map(|key| {
                mapping([
                    ("channel", Some(json!("pagerduty"))),
                    ("routingKey", Some(key)),
                    ("url", text("url").or_else(|| text_of_all("pagerduty_url"))),
                ])
            })
        }
        "telegram" => {
            let token = secret("bot_token", draft).or_else(|| of_all("telegram_bot_token", draft));
            let thread = config
                .number_of("message_thread_id")
                .map(|id| json!(id as i64));
            token.map(|token| {
                mapping([
                    ("channel", Some(json!("telegram"))),
                    ("token", Some(token)),
                    ("chatId", text("chat_id")),
                    ("threadId", thread),
                    (
                        "url",
                        text("api_url").or_else(|| text_of_all("telegram_api_url")),
                    ),
                ])
            })
        }
        "email" => Some(mapping([
            ("channel", Some(json!("email"))),
            ("recipients", Some(json!(config.texts_of("to")))),
            ("from", text("from")),
        ])),
        "webhook" => secret("url", draft).map(|url| webhook(&name, config, url, draft)),
        other => {
            draft.left_out(config, &format!("no notifier for `{other}`"));
            return None;
        }
    };
    if made.is_none() {
        draft.left_out(config, "names no address or key of its own");
    }
    made
}

/// An app writes to a channel by its id; a webhook has the channel it was made for.
fn slack(
    config: &Item<'_>,
    secret: impl Fn(&str, &mut Draft) -> Option<Value>,
    of_all: impl Fn(&str, &mut Draft) -> Option<Value>,
    draft: &mut Draft,
) -> Option<Map<String, Value>> {
    let token = secret("app_token", draft);
    let hook = match &token {
        Some(_) => None,
        None => secret("api_url", draft).or_else(|| of_all("slack_api_url", draft)),
    };
    let place = config.get("channel").unwrap_or_else(|| config.clone());
    if let Some(hook) = hook {
        if config.get("channel").is_some() {
            draft.note_once(
                &place,
                "an incoming webhook writes to the channel it was made for; this one is left out",
            );
        }
        return Some(mapping([
            ("channel", Some(json!("slack"))),
            ("webhook", Some(hook)),
        ]));
    }
    let token = token.or_else(|| of_all("slack_app_token", draft));
    let id = config.text_of("channel");
    let (Some(token), Some(id)) = (token, id) else {
        draft.left_out(
            config,
            "names neither a webhook nor an app with its channel",
        );
        return None;
    };
    if id.starts_with('#') {
        draft.note(
            &place,
            "has to be the id of the channel, such as `C0123ABCDEF`, not its name",
        );
    }
    Some(mapping([
        ("channel", Some(json!("slack"))),
        ("token", Some(token)),
        ("channelId", Some(json!(id))),
    ]))
}

fn webhook(name: &str, config: &Item<'_>, url: Value, draft: &mut Draft) -> Map<String, Value> {
    let mut headers = Map::new();
    if let Some(http) = config.get("http_config") {
        if let Some(authorization) = http.get("authorization") {
            let secret = draft.secret_of(&authorization, "credentials", &format!("{name} token"));
            let scheme = authorization
                .text_of("type")
                .unwrap_or_else(|| "Bearer".to_owned());
            let value = format!("{scheme} {}", secret.unwrap_or_default());
            headers.insert("Authorization".to_owned(), json!(value));
        }
        if let Some(token) = draft.secret_of(&http, "bearer_token", &format!("{name} token")) {
            headers.insert("Authorization".to_owned(), json!(format!("Bearer {token}")));
        }
        let known = ["authorization", "bearer_token", "bearer_token_file"];
        draft.unknown_keys(&http, &known);
    }
    draft.without_counterpart(config, &["max_alerts"]);
    mapping([
        ("channel", Some(json!("webhook"))),
        ("url", Some(url)),
        (
            "headers",
            (!headers.is_empty()).then_some(Value::Object(headers)),
        ),
    ])
}
