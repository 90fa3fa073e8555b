//! Alerting rules of Prometheus over the metrics of the blackbox exporter, as rules of ours.

mod expression;
mod lexer;
mod linear;
mod meaning;

use serde_json::{Map, Value, json};

use super::draft::{Draft, mapping, unique};
use super::item::Item;
use super::text::{duration, written};
use crate::domain::Severity;
use expression::Expression;
use meaning::{Meaning, Rule};

/// Time without observations after which `absent` counts, where the rule has no `for`.
const ABSENCE: &str = "10m";

pub(super) fn import(root: &Item<'_>, draft: &mut Draft) {
    // The resource `PrometheusRule` of Kubernetes has them under `spec`.
    let spec = root.get("spec").filter(|spec| spec.get("groups").is_some());
    let is_resource = spec.is_some();
    let holder = spec.unwrap_or_else(|| root.clone());
    let groups = holder.list("groups");
    if groups.is_empty() {
        draft.note(root, "has no `groups`");
    }
    for group in groups {
        for rule in group.list("rules") {
            draft.found();
            if rule.get("record").is_some() {
                draft.left_out(&rule, "records a series, which SQL asks for here");
                continue;
            }
            alert(&rule, draft);
        }
        draft.without_counterpart(&group, &["limit", "query_offset"]);
    }
    if !is_resource {
        draft.unknown_keys(root, &["groups"]);
    }
}

fn alert(item: &Item<'_>, draft: &mut Draft) {
    let text = item.text_of("expr").unwrap_or_default();
    let place = item.get("expr").unwrap_or_else(|| item.clone());
    let meaning = Expression::parse(&text).and_then(|expression| Meaning::of(&expression));
    let meaning = match meaning {
        Ok(meaning) => meaning,
        Err(reason) => return draft.left_out(&place, &reason),
    };
    let scope = match meaning.scope() {
        Ok(scope) => scope,
        Err(reason) => return draft.left_out(&place, &reason),
    };
    let wanted = item.text_of("alert").unwrap_or_else(|| "Alert".to_owned());
    let severity = severity(item, draft);
    let lasts = item.text_of("for").and_then(|text| duration(&text));
    let lasts = lasts.filter(|lasts| !lasts.is_zero());
    let keeps = item
        .text_of("keep_firing_for")
        .and_then(|text| duration(&text));
    let is_absence = matches!(meaning.rule, Rule::Absence);
    let name = name(&wanted, severity, draft);
    let mut entry = mapping([("name", Some(json!(name)))]);
    entry.append(&mut settings(&meaning, lasts.map(written)));
    entry.append(&mut mapping([
        ("severity", severity.map(|severity| json!(severity))),
        ("for", lasts.filter(|_| !is_absence).map(written)),
        ("keepFiringFor", keeps.map(written)),
    ]));
    entry.extend(scope);
    if let Some(note) = meaning.note {
        draft.note(&place, note);
    }
    if let Some(annotations) = item.get("annotations") {
        draft.note_once(
            &annotations,
            "annotations are left out: messages are in our notifiers' words, or those of a template in \
             `messageTemplates`",
        );
    }
    let known = [
        "alert",
        "expr",
        "for",
        "keep_firing_for",
        "labels",
        "annotations",
    ];
    draft.unknown_keys(item, &known);
    draft.entry("alerts", item, Value::Object(entry));
}

/// The keys of the rule itself.
fn settings(meaning: &Meaning, lasts: Option<Value>) -> Map<String, Value> {
    match &meaning.rule {
        Rule::Condition(text) => mapping([("condition", Some(json!(text)))]),
        Rule::Certificate { days } => mapping([
            ("type", Some(json!("certificate"))),
            ("threshold", Some(json!(days))),
            ("untrusted", Some(json!(false))),
        ]),
        Rule::Availability { percent, window } => mapping([
            ("type", Some(json!("availability"))),
            ("threshold", Some(json!(percent))),
            ("window", Some(written(*window))),
        ]),
        Rule::ResponseTime {
            ms,
            quantile,
            window,
        } => mapping([
            ("type", Some(json!("response_time"))),
            ("threshold", Some(json!(ms))),
            ("quantile", Some(json!(quantile))),
            ("window", Some(written(*window))),
        ]),
        Rule::Absence => mapping([
            ("type", Some(json!("absence"))),
            ("window", Some(lasts.unwrap_or_else(|| json!(ABSENCE)))),
        ]),
    }
}

/// Alerts of one name and several severities are usual; ours have a name each.
fn name(wanted: &str, severity: Option<Severity>, draft: &Draft) -> String {
    let alerts = draft.imported.lists.get("alerts");
    let is_taken = |name: &str| {
        let mut known = alerts.into_iter().flatten();
        known.any(|entry| entry.value["name"] == name)
    };
    if !is_taken(wanted) {
        return wanted.to_owned();
    }
    let behind = severity.map_or("2", Severity::as_str);
    unique(&format!("{wanted} {behind}"), is_taken)
}

/// The severity; other words than ours are those that mean the same, or noted.
fn severity(item: &Item<'_>, draft: &mut Draft) -> Option<Severity> {
    let labels = item.get("labels")?;
    for (label, value) in labels.members() {
        if label != "severity" {
            draft.left_out(&value, "alerts have the labels of their service only");
        }
    }
    let found = labels.get("severity")?;
    let text = found.text().unwrap_or_default().to_lowercase();
    let severity = match text.as_str() {
        "page" | "error" | "high" | "emergency" | "disaster" | "major" => Some(Severity::Critical),
        "warn" | "medium" | "minor" | "ticket" => Some(Severity::Warning),
        "none" | "low" | "notice" | "informational" => Some(Severity::Info),
        text => Severity::parse(text),
    };
    match severity {
        Some(severity) if severity.as_str() != text => {
            draft.note(&found, format!("is written as `{}`", severity.as_str()));
        }
        Some(_) => {}
        None => draft.left_out(&found, "is none of `critical`, `warning` and `info`"),
    }
    severity
}

#[cfg(test)]
mod tests;
