//! Notifications of Uptime Kuma as channels. Their settings are JSON in a text.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::import::draft::{Draft, mapping, unique};
use crate::import::item::Item;

pub(super) struct Notifications<'a> {
    by_id: BTreeMap<String, Notification<'a>>,
}

struct Notification<'a> {
    item: Item<'a>,
    /// Unique among them.
    name: String,
    settings: Map<String, Value>,
    /// The channel, once somebody wanted it; none if there is no notifier for it.
    channel: Option<Option<Value>>,
}

impl<'a> Notifications<'a> {
    pub(super) fn of(root: &Item<'a>, draft: &mut Draft) -> Self {
        let mut by_id: BTreeMap<String, Notification<'a>> = BTreeMap::new();
        for item in root.list("notificationList") {
            let Some(settings) = settings(&item) else {
                draft.left_out(&item, "its `config` is not the JSON of a mapping");
                continue;
            };
            let wanted = item
                .text_of("name")
                .unwrap_or_else(|| "notification".to_owned());
            let name = unique(wanted.trim(), |name| {
                by_id.values().any(|known| known.name == name)
            });
            let notification = Notification {
                name,
                settings,
                channel: None,
                item: item.clone(),
            };
            by_id.insert(item.text_of("id").unwrap_or_default(), notification);
        }
        Self { by_id }
    }

    /// Returns the channel of an id. What is missing is noted.
    pub(super) fn channel(
        &mut self,
        id: &str,
        chosen: &Item<'_>,
        draft: &mut Draft,
    ) -> Option<Value> {
        let Some(notification) = self.by_id.get_mut(id) else {
            draft.note(
                chosen,
                format!("names the notification {id}, which is not there"),
            );
            return None;
        };
        if let Some(known) = &notification.channel {
            return known.clone();
        }
        let made = channel(notification, draft);
        let made = made.map(|mut channel| {
            let mut named = mapping([
                ("channel", channel.remove("channel")),
                ("name", Some(json!(notification.name))),
            ]);
            named.append(&mut channel);
            Value::Object(named)
        });
        notification.channel = Some(made.clone());
        made
    }
}

/// The settings, which older versions keep in the entry itself.
fn settings(item: &Item<'_>) -> Option<Map<String, Value>> {
    match item.get("config").map(|config| config.value.clone()) {
        Some(Value::String(text)) => serde_json::from_str(&text).ok(),
        Some(Value::Object(settings)) => Some(settings),
        Some(_) => None,
        None => item.value.as_object().cloned(),
    }
}

fn channel(notification: &Notification<'_>, draft: &mut Draft) -> Option<Map<String, Value>> {
    let Notification {
        item,
        name,
        settings,
        ..
    } = notification;
    let kind = settings
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let text = |key: &str| {
        let text = match settings.get(key)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    };
    let value = |key: &str| text(key).map(Value::String);
    let mut secret = |key: &str, what: &str| {
        let secret = text(key)?;
        Some(json!(draft.secret(
            item,
            &format!("{name} {what}"),
            &secret
        )))
    };
    let made = match kind {
        "slack" => secret("slackwebhookURL", "webhook url")
            .map(|hook| mapping([("channel", Some(json!("slack"))), ("webhook", Some(hook))])),
        "discord" => secret("discordWebhookUrl", "webhook url").map(|hook| {
            mapping([
                ("channel", Some(json!("discord"))),
                ("webhook", Some(hook)),
                ("username", value("discordUsername")),
                ("mention", value("discordPrefixMessage")),
            ])
        }),
        "teams" => secret("webhookUrl", "webhook url")
            .map(|hook| mapping([("channel", Some(json!("teams"))), ("webhook", Some(hook))])),
        "PagerDuty" => secret("pagerdutyIntegrationKey", "routing key").map(|key| {
            mapping([
                ("channel", Some(json!("pagerduty"))),
                ("routingKey", Some(key)),
                ("url", value("pagerdutyIntegrationUrl")),
            ])
        }),
        "telegram" => secret("telegramBotToken", "token").map(|token| {
            let thread = text("telegramMessageThreadID").and_then(|text| text.parse::<i64>().ok());
            mapping([
                ("channel", Some(json!("telegram"))),
                ("token", Some(token)),
                ("chatId", value("telegramChatID")),
                ("threadId", thread.map(|thread| json!(thread))),
                ("url", value("telegramServerUrl")),
            ])
        }),
        "twilio" => secret("twilioAuthToken", "auth token").map(|token| {
            mapping([
                ("channel", Some(json!("sms"))),
                ("accountSid", value("twilioAccountSID")),
                ("authToken", Some(token)),
                ("apiKeySid", value("twilioApiKey")),
                ("from", value("twilioFromNumber")),
                ("messagingServiceSid", value("twilioMessagingServiceSID")),
                (
                    "recipients",
                    value("twilioToNumber").map(|number| json!([number])),
                ),
            ])
        }),
        "smtp" => Some(mail(
            text("smtpTo"),
            text("smtpCC"),
            text("smtpBCC"),
            text("smtpFrom"),
        )),
        "webhook" => secret("webhookURL", "url").map(|url| {
            let headers = text("webhookAdditionalHeaders").map(|text| headers(&text));
            let headers = headers
                .unwrap_or_default()
                .into_iter()
                .map(|(header, text)| {
                    let secret = draft.secret(item, &format!("{name} {header}"), &text);
                    (header, json!(secret))
                });
            let headers: Map<String, Value> = headers.collect();
            let has_headers = !headers.is_empty();
            mapping([
                ("channel", Some(json!("webhook"))),
                ("url", Some(url)),
                ("headers", has_headers.then_some(Value::Object(headers))),
            ])
        }),
        other => {
            draft.left_out(item, &format!("no notifier for `{other}`"));
            return None;
        }
    };
    match kind {
        "smtp" => draft.note_mail_server(item),
        "webhook" => draft.note_once(
            item,
            "gets the JSON of Alertmanager's webhooks in place of that of Uptime Kuma",
        ),
        _ => {}
    }
    if made.is_none() {
        draft.left_out(item, "is not complete");
    }
    made
}

/// Recipients of all kinds, and the sender, each as the address alone.
fn mail(
    to: Option<String>,
    cc: Option<String>,
    bcc: Option<String>,
    from: Option<String>,
) -> Map<String, Value> {
    let address = |text: &str| {
        let inner = text
            .rsplit_once('<')
            .map(|(_, rest)| rest.trim_end_matches('>'));
        inner.unwrap_or(text).trim().trim_matches('"').to_owned()
    };
    let all: Vec<String> = [to, cc, bcc].into_iter().flatten().collect();
    let recipients = all.iter().flat_map(|list| list.split([',', ';']));
    let recipients: Vec<String> = recipients
        .map(address)
        .filter(|text| !text.is_empty())
        .collect();
    mapping([
        ("channel", Some(json!("email"))),
        ("recipients", Some(json!(recipients))),
        ("from", from.as_deref().map(|text| json!(address(text)))),
    ])
}

fn headers(text: &str) -> Vec<(String, String)> {
    let headers: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    headers
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect()
}
