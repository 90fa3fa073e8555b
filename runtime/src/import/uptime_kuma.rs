//! The backup of Uptime Kuma: monitors become services, each with a rule that notifies what it
//! notified.

mod kinds;
mod notifications;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::draft::Draft;
use super::item::Item;
use super::monitor::{Monitor, certificate_rule, down_rule};
use notifications::Notifications;

/// Days before the end at which Uptime Kuma begins to notify.
const CERTIFICATE_DAYS: u64 = 21;

/// Groups by the id of their monitor.
type Groups = BTreeMap<String, String>;

pub(super) fn import(root: &Item<'_>, draft: &mut Draft) {
    let monitors = root.list("monitorList");
    let mut notifications = Notifications::of(root, draft);
    let groups: Groups = monitors
        .iter()
        .filter(|item| item.text_of("type").as_deref() == Some("group"))
        .filter_map(|item| Some((item.text_of("id")?, item.text_of("name")?)))
        .collect();
    for item in &monitors {
        draft.found();
        monitor(item, &groups, &mut notifications, draft);
    }
    for item in root.list("proxyList") {
        draft.left_out(&item, "no probe goes through a proxy");
    }
    if monitors.is_empty() {
        draft.note(
            root,
            "has no `monitorList`: it is no backup of Uptime Kuma, or an empty one",
        );
    }
    let known = ["version", "monitorList", "notificationList", "proxyList"];
    draft.unknown_keys(root, &known);
}

fn monitor(
    item: &Item<'_>,
    groups: &Groups,
    notifications: &mut Notifications<'_>,
    draft: &mut Draft,
) {
    let kind = item.text_of("type").unwrap_or_default();
    if kind == "group" {
        draft.imported.carried += 1;
        if item.list("notificationIDList").iter().any(is_chosen) {
            draft.note(
                item,
                "is a group: its monitors have its name as a tag, and it notifies nobody by itself",
            );
        }
        return;
    }
    if item.is_false("active") {
        return draft.left_out(item, "is paused");
    }
    if item.is_true("upsideDown") {
        return draft.left_out(item, "is upside down, which no probe is");
    }
    let seconds = |key: &str| {
        let number = item.number_of(key).filter(|number| *number > 0.0)?;
        Some(Duration::from_millis((number * 1_000.0).min(1e10) as u64))
    };
    let interval = seconds("interval").unwrap_or(Duration::from_secs(60));
    let mut made = Monitor {
        name: item.text_of("name").unwrap_or_default().trim().to_owned(),
        interval: Some(interval),
        timeout: seconds("timeout"),
        tags: tags(item, groups),
        description: item.text_of("description"),
        ..Monitor::default()
    };
    made.group = parent(item, groups);
    if let Err((place, reason)) = kinds::target(&kind, item, &mut made, draft) {
        return draft.left_out(&place, &reason);
    }
    let retries = item.number_of("maxretries").unwrap_or(0.0).max(0.0) as u64;
    let wait = seconds("retryInterval").unwrap_or(interval);
    let is_sooner = wait < interval;
    made.retries = (retries > 0 && is_sooner).then_some((retries, wait));
    let runs = if is_sooner { 1 } else { retries + 1 };
    made.alerts = rules(item, &made, runs, notifications, draft);
    if item
        .number_of("resendInterval")
        .is_some_and(|times| times > 0.0)
        && let Some(found) = item.get("resendInterval")
    {
        draft.left_out(
            &found,
            "messages of a rule with channels of its own are not repeated",
        );
    }
    if let Some(found) = item.get("proxyId") {
        draft.left_out(&found, "no probe goes through a proxy");
    }
    if item
        .list("conditions")
        .iter()
        .any(|found| !found.value.is_null())
        && kind != "dns"
    {
        draft.left_out(item, "`conditions` have no counterpart");
    }
    draft.service(item, made);
}

fn rules(
    item: &Item<'_>,
    made: &Monitor,
    runs: u64,
    notifications: &mut Notifications<'_>,
    draft: &mut Draft,
) -> Vec<Value> {
    let mut channels = Vec::new();
    if let Some(chosen) = item.get("notificationIDList") {
        // A mapping of ids, or a list of them.
        let ids = match chosen.value {
            Value::Array(_) => chosen.items().iter().filter_map(Item::text).collect(),
            _ => chosen
                .members()
                .into_iter()
                .filter(|(_, is_on)| is_chosen(is_on))
                .map(|(id, _)| id.to_owned())
                .collect::<Vec<_>>(),
        };
        for id in ids {
            channels.extend(notifications.channel(&id, &chosen, draft));
        }
    }
    if channels.is_empty() {
        return Vec::new();
    }
    let mut rules = vec![Value::Object(down_rule(
        "Down",
        runs,
        None,
        channels.clone(),
    ))];
    if item.is_true("expiryNotification") && made.base_url.starts_with("https://") {
        rules.push(Value::Object(certificate_rule(CERTIFICATE_DAYS, channels)));
    }
    rules
}

fn is_chosen(item: &Item<'_>) -> bool {
    !matches!(item.value, Value::Bool(false) | Value::Null)
}

fn parent(item: &Item<'_>, groups: &Groups) -> Option<String> {
    groups.get(&item.text_of("parent")?).cloned()
}

/// The group, and each tag with its value.
fn tags(item: &Item<'_>, groups: &Groups) -> Vec<String> {
    let mut tags: Vec<String> = parent(item, groups).into_iter().collect();
    for tag in item.list("tags") {
        let name = tag.text_of("name").unwrap_or_default();
        let tag = match tag.text_of("value") {
            Some(value) => format!("{name}:{value}"),
            None => name,
        };
        if !tag.trim().is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// Statuses such as `200-299`, as our probe takes them.
fn statuses(item: &Item<'_>) -> Option<Value> {
    let texts = item.texts_of("accepted_statuscodes");
    let statuses: Vec<Value> = texts
        .iter()
        .map(|text| match text.parse::<u16>() {
            Ok(status) => json!(status),
            Err(_) => json!(text),
        })
        .collect();
    match statuses.len() {
        0 => None,
        1 => statuses.into_iter().next(),
        _ => Some(Value::Array(statuses)),
    }
}

#[cfg(test)]
mod tests;
