//! The configuration of Alertmanager: receivers become channels, its tree ours, and its inhibitions
//! and time intervals keep their meaning.

mod receivers;
mod routes;
mod times;

use serde_json::{Value, json};

use super::draft::{Draft, mapping};
use super::item::Item;
use receivers::Receivers;
use routes::{Routes, matchers};
use times::Times;

/// Labels that every alert has here.
const LABELS: [&str; 6] = ["alertname", "service", "severity", "type", "owner", "tag"];

pub(super) fn import(root: &Item<'_>, draft: &mut Draft) {
    let receivers = Receivers::of(root, draft);
    let times = Times::of(root, draft);
    match root.get("route") {
        Some(route) => {
            let mut routes = Routes {
                receivers: &receivers,
                times: &times,
                draft,
            };
            let node = routes.node(&route, 0);
            draft.imported.route = node.map(Value::Object);
        }
        None => draft.note(root, "has no `route`"),
    }
    for item in root.list("inhibit_rules") {
        draft.found();
        inhibition(&item, draft);
    }
    for item in root.list("templates") {
        draft.left_out(
            &item,
            "templates of Go are no templates of ours; `messageTemplates` are written anew",
        );
    }
    draft.unknown_keys(
        root,
        &[
            "global",
            "route",
            "inhibit_rules",
            "receivers",
            "templates",
            "mute_time_intervals",
            "time_intervals",
        ],
    );
}

fn inhibition(item: &Item<'_>, draft: &mut Draft) {
    let side = |side: &str| {
        let keys = [
            format!("{side}_match"),
            format!("{side}_match_re"),
            format!("{side}_matchers"),
        ];
        let [exact, expressions, list] = keys;
        matchers(item, [&exact, &expressions, &list])
    };
    let (source, target) = (side("source"), side("target"));
    let (source, target) = match (source, target) {
        (Ok(source), Ok(target)) => (source, target),
        (Err((place, reason)), _) | (_, Err((place, reason))) => {
            return draft.left_out(&place, &reason);
        }
    };
    if source.is_empty() || target.is_empty() {
        return draft.left_out(item, "a side of it matches every alert");
    }
    let equal = item.texts_of("equal");
    note_labels(item, source.iter().chain(&target).chain(&equal), draft);
    let entry = mapping([
        ("source", Some(json!(source))),
        ("target", Some(json!(target))),
        ("equal", (!equal.is_empty()).then(|| json!(equal))),
    ]);
    draft.unknown_keys(
        item,
        &[
            "name",
            "source_match",
            "source_match_re",
            "source_matchers",
            "target_match",
            "target_match_re",
            "target_matchers",
            "equal",
        ],
    );
    draft.entry("inhibit", item, Value::Object(entry));
}

/// Notes the labels that alerts have here only if their services do.
fn note_labels<'t>(item: &Item<'_>, texts: impl Iterator<Item = &'t String>, draft: &mut Draft) {
    for text in texts {
        let end = text.find(['=', '!']).unwrap_or(text.len());
        let label = text[..end].trim();
        if !LABELS.contains(&label) && label != "..." {
            draft.note_once(
                item,
                &format!("alerts have the label `{label}` if their service has it under `labels`"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
