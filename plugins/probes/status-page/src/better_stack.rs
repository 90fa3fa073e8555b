//! Better Stack: one document by JSON:API, with sections, resources and reports included.

use extrack_plugin::json::Value;
use extrack_plugin::{clock, time};

use crate::page::{Component, Incident, Level, Page, items, text};

pub(crate) const PATH: &str = "/index.json";

/// Returns none for another format.
pub(crate) fn read(document: &Value) -> Option<Page> {
    let word = document["data"]["attributes"]["aggregate_state"].as_str()?;
    let mut page = Page {
        word: Some(word.to_owned()),
        ..Page::default()
    };
    let now_ms = clock::now_ms();
    for value in items(&document["included"]) {
        let attributes = &value["attributes"];
        match value["type"].as_str() {
            Some("status_page_section") => page.components.push(Component {
                id: section(&value["id"]),
                name: text(&attributes["name"]),
                is_group: true,
                ..Component::default()
            }),
            Some("status_page_resource") => page.components.push(Component {
                id: text(&value["id"]),
                name: text(&attributes["public_name"]),
                group: Some(section(&attributes["status_page_section_id"])),
                is_group: false,
                word: text(&attributes["status"]),
            }),
            Some("status_report") => report(value, now_ms, &mut page),
            _ => {}
        }
    }
    Some(page)
}

/// Sections and resources are counted apart.
fn section(id: &Value) -> String {
    format!("section-{}", text(id))
}

/// Reports stay on the page when they are over.
fn report(value: &Value, now_ms: u64, page: &mut Page) {
    let attributes = &value["attributes"];
    let (starts_ms, ends_ms) = (
        time::moment_of(&attributes["starts_at"]),
        time::moment_of(&attributes["ends_at"]),
    );
    if ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms) {
        return;
    }
    let is_planned = attributes["report_type"] == "maintenance";
    let impact = text(&attributes["aggregate_state"]);
    let level = if is_planned {
        Level::Maintenance
    } else {
        Incident::level_of(&impact)
    };
    let incident = Incident {
        id: text(&value["id"]),
        name: text(&attributes["title"]),
        state: String::new(),
        impact,
        level,
        is_planned,
        started_ms: starts_ms,
        url: String::new(),
        components: items(&attributes["affected_resources"])
            .map(|resource| text(&resource["status_page_resource_id"]))
            .filter(|id| !id.is_empty())
            .collect(),
    };
    if is_planned && starts_ms.is_some_and(|starts_ms| starts_ms > now_ms) {
        page.upcoming.push(incident);
    } else {
        page.incidents.push(incident);
    }
}
