//! Instatus: a summary without components, which are a document of their own.

use extrack_plugin::json::Value;
use extrack_plugin::time;

use crate::page::{Component, Incident, Level, Page, items, text};

pub(crate) const PATH: &str = "/summary.json";
pub(crate) const COMPONENTS: &str = "/v2/components.json";

/// Returns none for another format.
pub(crate) fn read(document: &Value) -> Option<Page> {
    let word = document["page"]["status"].as_str()?;
    let mut page = Page {
        word: Some(word.to_owned()),
        ..Page::default()
    };
    for value in items(&document["activeIncidents"]) {
        if value["status"] != "RESOLVED" {
            page.incidents.push(incident(value));
        }
    }
    for value in items(&document["activeMaintenances"]) {
        match value["status"].as_str() {
            Some("NOTSTARTEDYET") => page.upcoming.push(planned(value)),
            Some("COMPLETED") => {}
            _ => page.incidents.push(planned(value)),
        }
    }
    Some(page)
}

/// Returns none for another document.
pub(crate) fn components(document: &Value) -> Option<Vec<Component>> {
    let listed = document["components"].as_array()?;
    let mut groups = Vec::new();
    let mut components = Vec::new();
    for value in listed {
        let group = &value["group"];
        let group_id = match group {
            Value::Object(_) => text(&group["id"]),
            other => text(other),
        };
        if group.is_object() && !groups.contains(&group_id) {
            components.push(Component {
                id: group_id.clone(),
                name: text(&group["name"]),
                is_group: true,
                ..Component::default()
            });
            groups.push(group_id.clone());
        }
        components.push(Component {
            id: text(&value["id"]),
            name: text(&value["name"]),
            group: (!group_id.is_empty()).then_some(group_id),
            is_group: false,
            word: text(&value["status"]),
        });
    }
    Some(components)
}

fn incident(value: &Value) -> Incident {
    let impact = text(&value["impact"]);
    Incident {
        level: Incident::level_of(&impact),
        impact,
        ..common(value, "started")
    }
}

fn planned(value: &Value) -> Incident {
    Incident {
        level: Level::Maintenance,
        is_planned: true,
        ..common(value, "start")
    }
}

fn common(value: &Value, start: &str) -> Incident {
    let url = text(&value["url"]);
    let last_part = url.trim_end_matches('/').rsplit('/').next();
    let id = match text(&value["id"]) {
        id if id.is_empty() => last_part.unwrap_or_default().to_owned(),
        id => id,
    };
    Incident {
        id,
        name: text(&value["name"]),
        state: text(&value["status"]).to_lowercase(),
        impact: String::new(),
        level: Level::Degraded,
        is_planned: false,
        started_ms: time::moment_of(&value[start]),
        url,
        components: items(&value["components"])
            .flat_map(|component| [text(&component["id"]), text(&component["name"])])
            .filter(|name| !name.is_empty())
            .collect(),
    }
}
