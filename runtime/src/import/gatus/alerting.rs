//! Alerts of endpoints as rules, and alerting providers as channels.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::import::draft::{Draft, mapping, unique};
use crate::import::item::Item;
use crate::import::monitor::{Monitor, certificate_rule, down_rule};

/// Providers whose messages one of our notifiers sends.
const KNOWN: [&str; 9] = [
    "slack",
    "discord",
    "pagerduty",
    "email",
    "teams",
    "teams-workflows",
    "telegram",
    "twilio",
    "custom",
];

pub(super) struct Providers<'a> {
    alerting: Option<Item<'a>>,
    /// Channels by name, so that no two have one name.
    channels: BTreeMap<String, Value>,
}

/// Where the settings of a provider come from, the first one that has a setting counts.
struct Layers<'a, 'i>(Vec<&'i Item<'a>>);

impl<'a> Layers<'a, '_> {
    /// Returns the mapping that has a key.
    fn with(&self, key: &str) -> Option<&Item<'a>> {
        self.0.iter().find(|item| item.get(key).is_some()).copied()
    }

    fn text(&self, key: &str) -> Option<String> {
        self.with(key)?.text_of(key)
    }

    fn secret(&self, key: &str, name: &str, draft: &mut Draft) -> Option<Value> {
        let secret = draft.secret_of(self.with(key)?, key, &format!("{name} {key}"));
        secret.map(Value::String)
    }
}

/// Alerts with the same thresholds, which are one rule.
struct Group {
    name: Option<String>,
    failures: u64,
    successes: u64,
    channels: Vec<Value>,
}

impl<'a> Providers<'a> {
    pub(super) fn of(alerting: Option<Item<'a>>, draft: &mut Draft) -> Self {
        let members = alerting.as_ref().map(Item::members).unwrap_or_default();
        for (name, item) in members {
            if !KNOWN.contains(&name) {
                draft.left_out(&item, &format!("no notifier for `{name}`"));
            }
        }
        Self {
            alerting,
            channels: BTreeMap::new(),
        }
    }

    /// Returns the rules of an endpoint. `days`: what has to be left of its certificate.
    pub(super) fn rules(
        &mut self,
        endpoint: &Item<'_>,
        monitor: &Monitor,
        days: Option<u64>,
        draft: &mut Draft,
    ) -> Vec<Value> {
        let mut groups: Vec<Group> = Vec::new();
        for alert in endpoint.list("alerts") {
            let Some(group) = self.alert(&alert, endpoint, draft) else {
                continue;
            };
            let same = groups.iter_mut().find(|known| {
                (known.failures, known.successes) == (group.failures, group.successes)
            });
            match same {
                Some(known) => {
                    known.name = known.name.take().or(group.name);
                    known.channels.extend(group.channels);
                }
                None => groups.push(group),
            }
        }
        let interval = monitor.interval.unwrap_or_default();
        let channels: Vec<Value> = groups
            .iter()
            .flat_map(|group| group.channels.clone())
            .collect();
        let mut names: Vec<String> = Vec::new();
        let mut rules = Vec::new();
        let has_groups = !groups.is_empty();
        for group in groups {
            let wanted = group.name.unwrap_or_else(|| "Down".to_owned());
            let name = unique(&wanted, |name| names.iter().any(|known| known == name));
            let calm = calm(interval, group.successes);
            let mut rule = down_rule(&name, group.failures, Some(calm), group.channels);
            if !monitor.probes.is_empty() {
                // The other probe's runs would come in between.
                rule.insert("probes".to_owned(), json!(["http"]));
            }
            names.push(name);
            rules.push(Value::Object(rule));
        }
        if let Some(days) = days.filter(|_| has_groups) {
            rules.push(Value::Object(certificate_rule(days, channels)));
        }
        rules
    }

    fn alert(&mut self, alert: &Item<'_>, endpoint: &Item<'_>, draft: &mut Draft) -> Option<Group> {
        let provider = alert.text_of("type").unwrap_or_default();
        let settings = self.alerting.as_ref().and_then(|all| all.get(&provider));
        let defaults = settings.as_ref().and_then(|item| item.get("default-alert"));
        let layers: Vec<&Item<'_>> = [Some(alert), defaults.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let is_off = layers
            .iter()
            .find(|item| item.is_true("enabled") || item.is_false("enabled"))
            .is_some_and(|item| item.is_false("enabled"));
        if is_off {
            draft.left_out(alert, "is not enabled");
            return None;
        }
        let number = |key: &str| layers.iter().find_map(|item| item.number_of(key));
        let channel = self.channel(&provider, settings.as_ref(), alert, endpoint, draft);
        if !layers.iter().any(|item| item.is_true("send-on-resolved")) {
            draft.note_once(
                alert,
                "has no `send-on-resolved`; our channels are notified of the end as well",
            );
        }
        draft.without_counterpart(alert, &["minimum-reminder-interval"]);
        let known = [
            "type",
            "enabled",
            "failure-threshold",
            "success-threshold",
            "description",
            "send-on-resolved",
            "provider-override",
            "minimum-reminder-interval",
        ];
        draft.unknown_keys(alert, &known);
        let description = layers.iter().find_map(|item| item.text_of("description"));
        let name = description.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        Some(Group {
            name,
            failures: number("failure-threshold").map_or(3, |number| number.max(1.0) as u64),
            successes: number("success-threshold").map_or(2, |number| number.max(1.0) as u64),
            channels: channel.into_iter().collect(),
        })
    }

    fn channel(
        &mut self,
        provider: &str,
        settings: Option<&Item<'_>>,
        alert: &Item<'_>,
        endpoint: &Item<'_>,
        draft: &mut Draft,
    ) -> Option<Value> {
        if !KNOWN.contains(&provider) {
            let reason =
                format!("no notifier for `{provider}`; its rule notifies nobody by itself");
            draft.note(alert, reason);
            return None;
        }
        let own = alert.get("provider-override");
        let group = endpoint.text_of("group");
        let overrides = settings.map_or_else(Vec::new, |item| item.list("overrides"));
        let of_group = overrides
            .into_iter()
            .find(|item| group.is_some() && item.text_of("group") == group);
        let layers = [own.as_ref(), of_group.as_ref(), settings];
        let layers = Layers(layers.into_iter().flatten().collect());
        let scope = match (&own, &of_group) {
            (Some(_), _) => endpoint.text_of("name"),
            (None, Some(_)) => group,
            _ => None,
        };
        let wanted = scope.map_or(provider.to_owned(), |scope| format!("{provider} {scope}"));
        let Some(channel) = channel(provider, &wanted, &layers, draft) else {
            draft.note(
                alert,
                format!(
                    "`alerting.{provider}` is not complete; its rule notifies nobody by itself"
                ),
            );
            return None;
        };
        Some(self.named(&wanted, channel))
    }

    /// Gives a channel its name: one with the same settings has the same.
    fn named(&mut self, wanted: &str, mut channel: Map<String, Value>) -> Value {
        let content = Value::Object(channel.clone());
        let name = unique(wanted, |name| {
            self.channels
                .get(name)
                .is_some_and(|known| *known != content)
        });
        self.channels.insert(name.clone(), content);
        let mut named = mapping([
            ("channel", channel.remove("channel")),
            ("name", Some(json!(name))),
        ]);
        named.append(&mut channel);
        Value::Object(named)
    }
}

/// Returns how long all has to be well: so that the run that completes the number ends it, early or
/// late as runs are.
fn calm(interval: Duration, successes: u64) -> Duration {
    let half_intervals = (2 * successes).saturating_sub(3);
    let calm = interval.as_millis() as u64 * half_intervals / 2;
    Duration::from_millis(calm)
}

/// Returns the channel of a provider, without its name; none where a setting is missing.
fn channel(
    provider: &str,
    name: &str,
    layers: &Layers<'_, '_>,
    draft: &mut Draft,
) -> Option<Map<String, Value>> {
    let secret = |key: &str, draft: &mut Draft| layers.secret(key, name, draft);
    let text = |key: &str| layers.text(key).map(Value::String);
    Some(match provider {
        "slack" => mapping([
            ("channel", Some(json!("slack"))),
            ("webhook", Some(secret("webhook-url", draft)?)),
        ]),
        "discord" => mapping([
            ("channel", Some(json!("discord"))),
            ("webhook", Some(secret("webhook-url", draft)?)),
            ("mention", text("message-content")),
        ]),
        "teams" | "teams-workflows" => mapping([
            ("channel", Some(json!("teams"))),
            ("webhook", Some(secret("webhook-url", draft)?)),
        ]),
        "pagerduty" => mapping([
            ("channel", Some(json!("pagerduty"))),
            ("routingKey", Some(secret("integration-key", draft)?)),
        ]),
        "telegram" => mapping([
            ("channel", Some(json!("telegram"))),
            ("token", Some(secret("token", draft)?)),
            ("chatId", Some(text("id")?)),
            ("threadId", thread(layers)),
            ("url", text("api-url")),
        ]),
        "twilio" => mapping([
            ("channel", Some(json!("sms"))),
            ("accountSid", Some(text("sid")?)),
            ("authToken", Some(secret("token", draft)?)),
            ("from", Some(text("from")?)),
            ("recipients", Some(json!([layers.text("to")?]))),
        ]),
        "email" => {
            let holder = layers.with("to")?;
            let recipients = holder.texts_of("to");
            draft.note_mail_server(holder);
            mapping([
                ("channel", Some(json!("email"))),
                ("recipients", Some(json!(recipients))),
                ("from", text("from")),
            ])
        }
        "custom" => custom(name, layers, draft)?,
        _ => return None,
    })
}

fn thread(layers: &Layers<'_, '_>) -> Option<Value> {
    let number: i64 = layers.text("topic-id")?.parse().ok()?;
    Some(json!(number))
}

fn custom(name: &str, layers: &Layers<'_, '_>, draft: &mut Draft) -> Option<Map<String, Value>> {
    let url = layers.secret("url", name, draft)?;
    let holder = layers.with("url")?;
    let headers = layers.with("headers").and_then(|item| item.get("headers"));
    let mut secrets = Map::new();
    for (header, value) in headers.iter().flat_map(Item::members) {
        let text = value.text().unwrap_or_default();
        let secret = draft.secret(&value, &format!("{name} {header}"), &text);
        secrets.insert(header.to_owned(), json!(secret));
    }
    draft.note_once(
        holder,
        "gets the JSON of Alertmanager's webhooks in place of the body written here",
    );
    Some(mapping([
        ("channel", Some(json!("webhook"))),
        ("url", Some(url)),
        (
            "headers",
            (!secrets.is_empty()).then_some(Value::Object(secrets)),
        ),
    ]))
}
