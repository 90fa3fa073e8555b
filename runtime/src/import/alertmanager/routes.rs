//! The tree of routes.

use serde_json::{Map, Value, json};

use super::note_labels;
use super::receivers::Receivers;
use super::times::Times;
use crate::domain::matcher::Matcher;
use crate::import::draft::Draft;
use crate::import::item::Item;
use crate::import::text::{duration, written};

/// Deeper than any tree; our own check has its bound too.
const MAX_DEPTH: usize = 16;

pub(super) struct Routes<'t> {
    pub(super) receivers: &'t Receivers,
    pub(super) times: &'t Times,
    pub(super) draft: &'t mut Draft,
}

impl Routes<'_> {
    /// Returns a node; none if it is not carried over, which is noted.
    pub(super) fn node(&mut self, item: &Item<'_>, depth: usize) -> Option<Map<String, Value>> {
        self.draft.found();
        if depth > MAX_DEPTH {
            self.draft.left_out(item, "is too deep in the tree");
            return None;
        }
        let mut node = Map::new();
        if depth > 0 {
            let texts = match matchers(item, ["match", "match_re", "matchers"]) {
                Ok(texts) => texts,
                Err((place, reason)) => {
                    self.draft
                        .left_out(&place, &format!("{reason}; its route is as well"));
                    return None;
                }
            };
            note_labels(item, texts.iter(), self.draft);
            if !texts.is_empty() {
                node.insert("match".to_owned(), json!(texts));
            }
        }
        if !self.receiver(item, depth, &mut node) {
            return None;
        }
        self.grouping(item, &mut node);
        self.times(item, &mut node);
        if depth > 0 && item.is_true("continue") {
            node.insert("continue".to_owned(), json!(true));
        }
        let below: Vec<Value> = item
            .list("routes")
            .iter()
            .filter_map(|route| Some(Value::Object(self.node(route, depth + 1)?)))
            .collect();
        if !below.is_empty() {
            node.insert("routes".to_owned(), Value::Array(below));
        }
        self.draft.unknown_keys(
            item,
            &[
                "receiver",
                "match",
                "match_re",
                "matchers",
                "group_by",
                "group_wait",
                "group_interval",
                "repeat_interval",
                "mute_time_intervals",
                "active_time_intervals",
                "continue",
                "routes",
            ],
        );
        self.draft.imported.carried += 1;
        Some(node)
    }

    /// A receiver without channels takes alerts and drops them, as an empty list does here.
    /// False if the node can't be carried over.
    fn receiver(&mut self, item: &Item<'_>, depth: usize, node: &mut Map<String, Value>) -> bool {
        let name = item.text_of("receiver");
        let found = item.get("receiver").unwrap_or_else(|| item.clone());
        let receiver = name.as_ref().and_then(|name| self.receivers.0.get(name));
        let written = match (receiver, &name) {
            (None, Some(name)) => {
                self.draft
                    .left_out(&found, &format!("there is no receiver `{name}`"));
                if depth > 0 {
                    return false;
                }
                json!([])
            }
            (None, None) if depth == 0 => json!([]),
            (None, None) => return true,
            (Some(receiver), _) => match receiver.channels.as_slice() {
                [] if receiver.is_meant_empty => json!([]),
                [] if depth == 0 => {
                    self.draft.note(
                        &found,
                        "none of its channels is carried over: it notifies nobody",
                    );
                    json!([])
                }
                [] => {
                    let message =
                        "none of its channels is carried over, so the node above notifies";
                    self.draft.note(&found, message);
                    return true;
                }
                [one] => json!(one),
                channels => json!(channels),
            },
        };
        node.insert("receiver".to_owned(), written);
        true
    }

    fn grouping(&mut self, item: &Item<'_>, node: &mut Map<String, Value>) {
        let labels = item.texts_of("group_by");
        note_labels(item, labels.iter(), self.draft);
        if !labels.is_empty() {
            node.insert("groupBy".to_owned(), json!(labels));
        }
        for (theirs, ours) in [
            ("group_wait", "groupWait"),
            ("group_interval", "groupInterval"),
            ("repeat_interval", "repeatInterval"),
        ] {
            if let Some(found) = item.get(theirs) {
                match found.text().and_then(|text| duration(&text)) {
                    Some(duration) => drop(node.insert(ours.to_owned(), written(duration))),
                    None => self.draft.left_out(&found, "is no duration"),
                }
            }
        }
    }

    fn times(&mut self, item: &Item<'_>, node: &mut Map<String, Value>) {
        let mut names: Vec<String> = Vec::new();
        for (key, is_active) in [
            ("mute_time_intervals", false),
            ("active_time_intervals", true),
        ] {
            let list = item.list(key);
            if is_active && list.len() > 1 {
                let place = item.get(key).unwrap_or_else(|| item.clone());
                self.draft
                    .left_out(&place, "one time interval can be active, not several");
                continue;
            }
            for found in list {
                let name = found.text().unwrap_or_default();
                match self.times.names(&name, is_active) {
                    Ok(times) => names.extend(times),
                    Err(reason) => self.draft.left_out(&found, &reason),
                }
            }
        }
        if !names.is_empty() {
            node.insert("muteTimes".to_owned(), json!(names));
        }
    }
}

/// Returns the matchers of three keys: labels with their values, with expressions, and as texts. The
/// error is the place and the reason.
pub(super) fn matchers<'a>(
    item: &Item<'a>,
    [exact, expressions, list]: [&str; 3],
) -> Result<Vec<String>, (Item<'a>, String)> {
    let mut texts = Vec::new();
    for (key, operator) in [(exact, "="), (expressions, "=~")] {
        let members = item.get(key).map(|members| members.members());
        for (label, value) in members.into_iter().flatten() {
            let text = value.text().unwrap_or_default();
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let written = format!("{label}{operator}\"{quoted}\"");
            let read = Matcher::parse(&written).map_err(|reason| (value.clone(), reason))?;
            texts.push(read.to_string());
        }
    }
    for value in item.list(list) {
        let text = value.text().unwrap_or_default();
        let read = Matcher::parse_list(&text).map_err(|reason| (value.clone(), reason))?;
        texts.extend(read.iter().map(ToString::to_string));
    }
    Ok(texts)
}
