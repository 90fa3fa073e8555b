//! Statuspage by Atlassian, version 2 of its API, and incident.io, which answers the same.
//! `summary.json` has all three documents in one: components, incidents that are not over, planned
//! work that is not over.

use extrack_plugin::json::Value;
use extrack_plugin::time;

use crate::page::{Component, Incident, Level, Page, items, text};

pub(crate) const PATH: &str = "/api/v2/summary.json";

/// Returns none for another format.
pub(crate) fn read(document: &Value) -> Option<Page> {
    let word = document["status"]["indicator"].as_str()?;
    let mut page = Page {
        word: Some(word.to_owned()),
        components: items(&document["components"]).map(component).collect(),
        ..Page::default()
    };
    for value in items(&document["incidents"]) {
        // A page may still show what is over.
        if !is_over(&value["status"]) {
            page.incidents.push(incident(value));
        }
    }
    for value in items(&document["scheduled_maintenances"]) {
        if value["status"] == "scheduled" {
            page.upcoming.push(planned(value));
        } else if !is_over(&value["status"]) {
            page.incidents.push(planned(value));
        }
    }
    Some(page)
}

fn component(value: &Value) -> Component {
    Component {
        id: text(&value["id"]),
        name: text(&value["name"]),
        group: value["group_id"].as_str().map(str::to_owned),
        is_group: value["group"] == true,
        word: text(&value["status"]),
    }
}

fn incident(value: &Value) -> Incident {
    let impact = text(&value["impact"]);
    // The vendor may put the start before the moment at which it was published.
    let started = match &value["started_at"] {
        Value::Null => &value["created_at"],
        started => started,
    };
    Incident {
        id: text(&value["id"]),
        name: text(&value["name"]),
        state: text(&value["status"]),
        level: Incident::level_of(&impact),
        impact,
        is_planned: false,
        started_ms: time::moment_of(started),
        url: text(&value["shortlink"]),
        components: items(&value["components"])
            .flat_map(|component| [text(&component["id"]), text(&component["name"])])
            .filter(|name| !name.is_empty())
            .collect(),
    }
}

fn planned(value: &Value) -> Incident {
    let begins = time::moment_of(&value["scheduled_for"]);
    let work = incident(value);
    Incident {
        level: Level::Maintenance,
        is_planned: true,
        started_ms: begins.or(work.started_ms),
        ..work
    }
}

fn is_over(state: &Value) -> bool {
    matches!(
        state.as_str(),
        Some("resolved" | "postmortem" | "completed")
    )
}
