//! The configuration of gatus: endpoints become services, each with its alerts as rules of its own.

mod alerting;
mod checks;
mod conditions;
mod statuses;

use std::time::Duration;

use serde_json::{Value, json};

use super::draft::{Draft, mapping};
use super::item::Item;
use super::monitor::Monitor;
use super::text::{duration, written};
use alerting::Providers;
use checks::Checks;

/// Keys at the top that are not about what is watched.
const OF_THE_PROGRAM: [&str; 11] = [
    "metrics",
    "storage",
    "security",
    "web",
    "ui",
    "concurrency",
    "disable-monitoring-lock",
    "skip-invalid-config-update",
    "connectivity",
    "remote",
    "announcements",
];

/// Types of records that our probe asks for.
const RECORD_TYPES: [&str; 10] = [
    "A", "AAAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT", "CAA", "PTR",
];

/// Returns the text with variables as we write them: gatus has `$NAME` too, and `$$` for `$`.
pub(super) fn with_our_variables(text: &str) -> String {
    let mut ours = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        ours.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if let Some(behind) = rest.strip_prefix('$') {
            ours.push_str(if behind.starts_with('{') { "$$" } else { "$" });
            rest = behind;
        } else if end > 0 && !rest.starts_with(|c: char| c.is_ascii_digit()) {
            ours.push_str(&format!("${{{}}}", &rest[..end]));
            rest = &rest[end..];
        } else {
            ours.push('$');
        }
    }
    ours.push_str(rest);
    ours
}

pub(super) fn import(root: &Item<'_>, draft: &mut Draft) {
    let mut providers = Providers::of(root.get("alerting"), draft);
    for item in root.list("endpoints") {
        draft.found();
        endpoint(&item, &mut providers, draft);
    }
    for item in root.list("external-endpoints") {
        draft.found();
        draft.left_out(
            &item,
            "reports by itself: make a webhook or a heartbeat of the service it is about",
        );
    }
    for item in root.list("suites") {
        draft.found();
        draft.left_out(&item, "has steps that share a context, which no probe does");
    }
    for item in root.list("tunneling") {
        draft.left_out(&item, "no connection goes through an SSH tunnel");
    }
    if let Some(item) = root.get("maintenance") {
        window(&item, "maintenance", None, draft);
    }
    draft.without_counterpart(root, &OF_THE_PROGRAM);
    let known = [
        "endpoints",
        "external-endpoints",
        "suites",
        "tunneling",
        "maintenance",
        "alerting",
    ];
    draft.unknown_keys(root, &[&known[..], &OF_THE_PROGRAM].concat());
}

fn endpoint(item: &Item<'_>, providers: &mut Providers<'_>, draft: &mut Draft) {
    let name = item.text_of("name").unwrap_or_default();
    if item.is_false("enabled") {
        return draft.left_out(item, "is not enabled");
    }
    let group = item.text_of("group");
    let every = item.text_of("interval").and_then(|text| duration(&text));
    let mut monitor = Monitor {
        name,
        group: group.clone(),
        interval: Some(every.unwrap_or(Duration::from_secs(60))),
        // The default of its client.
        timeout: Some(Duration::from_secs(10)),
        tags: group.into_iter().collect(),
        ..Monitor::default()
    };
    if let Some(found) = item.get("interval").filter(|_| every.is_none()) {
        draft.note(
            &found,
            "is no duration; every minute is written in its place",
        );
    }
    let mut checks = Checks::default();
    if !target(item, &mut monitor, &mut checks, draft) {
        return;
    }
    client(item, &mut monitor, draft);
    for condition in item.list("conditions") {
        if let Err(reason) = checks.add(&condition.text().unwrap_or_default(), &mut monitor) {
            draft.left_out(&condition, &reason);
        }
    }
    let days = checks.finish(&mut monitor);
    labels(item, &mut monitor, draft);
    monitor.alerts = providers.rules(item, &monitor, days, draft);
    draft.unknown_keys(
        item,
        &[
            "name",
            "enabled",
            "group",
            "url",
            "interval",
            "conditions",
            "alerts",
            "client",
            "dns",
            "method",
            "body",
            "graphql",
            "headers",
            "extra-labels",
            "maintenance-windows",
        ],
    );
    let name = monitor.name.clone();
    let slug = draft.service(item, monitor);
    for found in item.list("maintenance-windows") {
        window(&found, &name, Some(format!("service=\"{slug}\"")), draft);
    }
}

/// Finds out what is asked. False if no probe does, which is noted.
fn target(item: &Item<'_>, monitor: &mut Monitor, checks: &mut Checks, draft: &mut Draft) -> bool {
    let url = item.text_of("url").unwrap_or_default();
    if let Some(dns) = item.get("dns") {
        return name_server(&dns, &url, monitor, checks, draft);
    }
    if let Some(ssh) = item.get("ssh") {
        draft.left_out(&ssh, "no probe for SSH");
        return false;
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    let host = rest.trim_end_matches('/');
    checks.scheme = scheme.to_lowercase();
    monitor.base_url = host.to_owned();
    let body = item.text_of("body");
    match checks.scheme.as_str() {
        "http" | "https" => {
            monitor.kind = "HTTP";
            let place = item.get("url").unwrap_or_else(|| item.clone());
            if !monitor.set_url(&url, &place, draft) {
                draft.left_out(&place, "is no URL");
                return false;
            }
            request(item, monitor, draft);
        }
        "tcp" => {
            monitor.kind = "TCP";
            body.into_iter().for_each(|text| monitor.set("send", text));
        }
        "tls" => monitor.kind = "TLS",
        "starttls" => monitor.kind = "SMTP",
        "ws" | "wss" => {
            monitor.kind = "WebSocket";
            monitor.base_url = url.clone();
            body.into_iter().for_each(|text| monitor.set("send", text));
            headers(item, monitor, draft);
        }
        "grpc" | "grpcs" => {
            monitor.kind = "gRPC";
            monitor.base_url = url.trim_end_matches('/').to_owned();
        }
        other => {
            let place = item.get("url").unwrap_or_else(|| item.clone());
            let reason = match other {
                "icmp" => {
                    "no probe for ICMP; one for TCP, at a port that is open, is near".to_owned()
                }
                "" => "is no URL".to_owned(),
                other => format!("no probe for {}", other.to_uppercase()),
            };
            draft.left_out(&place, &reason);
            return false;
        }
    }
    true
}

fn name_server(
    dns: &Item<'_>,
    url: &str,
    monitor: &mut Monitor,
    checks: &mut Checks,
    draft: &mut Draft,
) -> bool {
    let record_type = dns.text_of("query-type").unwrap_or_default().to_uppercase();
    if !RECORD_TYPES.contains(&record_type.as_str()) {
        draft.left_out(
            dns,
            &format!("no probe asks for records of the type `{record_type}`"),
        );
        return false;
    }
    let name = dns.text_of("query-name").unwrap_or_default();
    checks.scheme = "dns".to_owned();
    monitor.kind = "DNS";
    monitor.base_url = name.trim_end_matches('.').to_owned();
    monitor.set("recordType", record_type);
    let server = url.split_once("://").map_or(url, |(_, server)| server);
    monitor.set("server", server.trim_end_matches('/'));
    true
}

fn request(item: &Item<'_>, monitor: &mut Monitor, draft: &mut Draft) {
    if let Some(method) = item.text_of("method").filter(|method| method != "GET") {
        monitor.set("method", method);
    }
    headers(item, monitor, draft);
    let is_graphql = item.is_true("graphql");
    if let Some(found) = item.get("body") {
        let text = found.text().unwrap_or_default();
        let text = filled(item, &text);
        if text.contains("[LOCAL_ADDRESS]") || text.contains("[RANDOM_STRING_") {
            draft.note(&found, "has placeholders that stay as they are written");
        }
        let query = || json!({"query": text}).to_string();
        let text = if is_graphql { query() } else { text };
        monitor.set("body", text);
    }
    if is_graphql && !monitor.has_header("content-type") {
        monitor.plain_header("Content-Type", "application/json");
    }
}

/// Puts in what gatus puts into bodies.
fn filled(item: &Item<'_>, text: &str) -> String {
    let value = |key: &str| item.text_of(key).unwrap_or_default();
    text.replace("[ENDPOINT_NAME]", &value("name"))
        .replace("[ENDPOINT_GROUP]", &value("group"))
        .replace("[ENDPOINT_URL]", &value("url"))
}

fn headers(item: &Item<'_>, monitor: &mut Monitor, draft: &mut Draft) {
    let headers = item.get("headers").map(|headers| headers.members());
    for (name, value) in headers.into_iter().flatten() {
        monitor.header(name, &value.text().unwrap_or_default(), &value, draft);
    }
}

fn client(item: &Item<'_>, monitor: &mut Monitor, draft: &mut Draft) {
    let Some(client) = item.get("client") else {
        return;
    };
    if let Some(timeout) = client.text_of("timeout").and_then(|text| duration(&text)) {
        monitor.timeout = Some(timeout);
    }
    if client.is_true("insecure") {
        match monitor.kind {
            "TLS" => monitor.set("allowUntrusted", true),
            "HTTP" | "SMTP" | "WebSocket" | "gRPC" => monitor.set("insecure", true),
            _ => {}
        }
    }
    if client.is_true("ignore-redirect") && monitor.kind == "HTTP" {
        monitor.set("followRedirects", 0);
    }
    if let Some(oauth2) = client.get("oauth2") {
        let name = format!("{} client secret", monitor.name);
        let secret = draft.secret_of(&oauth2, "client-secret", &name);
        let text = |key: &str| oauth2.text_of(key).unwrap_or_default();
        let scopes = oauth2.texts_of("scopes");
        let (url, id) = (text("token-url"), text("client-id"));
        monitor.oauth2(url, id, secret.unwrap_or_default(), &scopes);
    }
    if let Some(tls) = client.get("tls") {
        let message = "is not carried over, because its files may not be here; write `authentication: {type: mtls, \
                       certificateFile: …, keyFile: …}`";
        draft.note(&tls, message);
    }
    let known = ["timeout", "insecure", "ignore-redirect", "oauth2", "tls"];
    for (key, found) in client.members() {
        if !known.contains(&key) && *found.value != Value::Bool(false) {
            draft.left_out(&found, "has no counterpart");
        }
    }
}

fn labels(item: &Item<'_>, monitor: &mut Monitor, draft: &mut Draft) {
    let labels = item.get("extra-labels").map(|labels| labels.members());
    for (name, value) in labels.into_iter().flatten() {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        let is_ours = ["alertname", "service", "severity", "type", "owner", "tag"].contains(&name);
        match value.text().filter(|_| is_name && !is_ours) {
            Some(text) => drop(monitor.labels.insert(name.to_owned(), json!(text))),
            None => draft.left_out(&value, "is no name that a label of a service can have"),
        }
    }
}

/// A window that comes every day, or on some days of the week.
fn window(item: &Item<'_>, name: &str, matcher: Option<String>, draft: &mut Draft) {
    draft.found();
    if item.is_false("enabled") {
        return draft.left_out(item, "is not enabled");
    }
    let start = item.text_of("start").unwrap_or_default();
    let lasts = item.text_of("duration").and_then(|text| duration(&text));
    let clock = start.split_once(':').and_then(|(hours, minutes)| {
        Some((hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?))
    });
    let (Some((hours, minutes)), Some(lasts)) = (clock, lasts) else {
        return draft.left_out(item, "has no `start` such as `23:00`, or no `duration`");
    };
    let days: Vec<String> = item.texts_of("every");
    let days: Vec<String> = days
        .iter()
        .map(|day| day.to_uppercase().chars().take(3).collect())
        .collect();
    let days = if days.is_empty() {
        "*".to_owned()
    } else {
        days.join(",")
    };
    let windows = draft.imported.lists.get("maintenance");
    let is_taken = |name: &str| {
        windows
            .into_iter()
            .flatten()
            .any(|entry| entry.value["name"] == name)
    };
    let name = super::draft::unique(name, is_taken);
    let entry = mapping([
        ("name", Some(json!(name))),
        ("match", matcher.map(Value::String)),
        ("cron", Some(json!(format!("{minutes} {hours} * * {days}")))),
        ("duration", Some(written(lasts))),
        ("timezone", item.text_of("timezone").map(Value::String)),
    ]);
    draft.entry("maintenance", item, Value::Object(entry));
}

#[cfg(test)]
mod tests;
