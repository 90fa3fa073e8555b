//! Compiles the pages of `status-pages.yaml`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::profile::links_check;
use super::service::line_check;
use crate::domain::fault::{FaultReport, child};
use crate::domain::{StatusGroup, StatusPage, slug};
use crate::spec::{PublicGroupSpec, PublicPageSpec};

const AT: &str = "/statusPages";
const MAX_PAGES: usize = 50;
const MAX_GROUPS: usize = 100;
const MAX_SELECTORS: usize = 1_000;

/// Pages that are only good while the report has no faults.
pub(in crate::registry) fn status_pages(
    specs: &[(usize, PublicPageSpec)],
    report: &mut FaultReport,
) -> Vec<Arc<StatusPage>> {
    if specs.len() > MAX_PAGES {
        report.fault(AT, format!("must have at most {MAX_PAGES} entries"));
    }
    let mut names = BTreeSet::new();
    let mut pages = Vec::new();
    for (index, spec) in specs.iter().take(MAX_PAGES) {
        let at = child(AT, index);
        if !names.insert(&spec.name) {
            let message = format!(
                "another page is named `{}`; give this one another name",
                spec.name
            );
            report.fault(child(&at, "name"), message);
        }
        pages.push(Arc::new(page(spec, &at, report)));
    }
    pages
}

fn page(spec: &PublicPageSpec, at: &str, report: &mut FaultReport) -> StatusPage {
    if spec.name.is_empty() || slug(&spec.name) != spec.name {
        let message = format!(
            "`{}` can't be in an address; write lower-case letters, digits and `-`, e.g. `payments`",
            spec.name
        );
        report.fault(child(at, "name"), message);
    }
    line_check(&spec.title, &child(at, "title"), report);
    links_check(&spec.links, at, report);
    if spec.groups.len() > MAX_GROUPS {
        let message = format!("must have at most {MAX_GROUPS} entries");
        report.fault(child(at, "groups"), message);
    }
    let mut groups = Vec::new();
    for (index, group_spec) in spec.groups.iter().take(MAX_GROUPS).enumerate() {
        let at = child(&child(at, "groups"), index);
        groups.push(group(group_spec, &at, report));
    }
    StatusPage {
        name: spec.name.clone(),
        title: spec.title.clone(),
        links: spec.links.clone().into_iter().collect(),
        groups,
        shows_vendors: spec.vendors,
    }
}

fn group(spec: &PublicGroupSpec, at: &str, report: &mut FaultReport) -> StatusGroup {
    line_check(&spec.title, &child(at, "title"), report);
    for (key, values) in [
        ("services", &spec.services),
        ("tags", &spec.tags),
        ("teams", &spec.teams),
    ] {
        if values.len() > MAX_SELECTORS {
            let message = format!("must have at most {MAX_SELECTORS} entries");
            report.fault(child(at, key), message);
        }
    }
    StatusGroup {
        title: spec.title.clone(),
        services: spec.services.clone(),
        tags: spec.tags.clone(),
        teams: spec.teams.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compiled(pages: Value) -> (Vec<Arc<StatusPage>>, Vec<String>) {
        let specs: Vec<PublicPageSpec> = serde_json::from_value(pages).unwrap();
        let specs: Vec<_> = specs.into_iter().enumerate().collect();
        let mut report = FaultReport::default();
        let pages = status_pages(&specs, &mut report);
        let faults = report.faults.iter();
        let faults = faults.map(|fault| format!("{}: {}", fault.pointer, fault.message));
        (pages, faults.collect())
    }

    #[test]
    fn a_page_has_groups_in_the_order_of_the_file() {
        let (pages, faults) = compiled(json!([{
            "name": "payments", "title": "Payments", "vendors": true,
            "links": {"Support": "https://help.example.com"},
            "groups": [{"title": "B", "tags": ["b"]}, {"title": "A", "services": ["a"]}]
        }]));
        assert_eq!(faults, [""; 0]);
        let titles: Vec<&str> = pages[0].groups.iter().map(|it| it.title.as_str()).collect();
        assert_eq!(titles, ["B", "A"]);
        assert!(pages[0].shows_vendors);
        assert_eq!(pages[0].links[0].0, "Support");
    }

    #[test]
    fn what_can_not_be_shown_is_a_fault_at_its_place() {
        let (_, faults) = compiled(json!([
            {"name": "a", "title": "A"},
            {"name": "a", "title": " "},
            {"name": "Two words", "title": "B", "links": {"x": "http://plain.example"},
             "groups": [{"title": ""}]}
        ]));
        let places: Vec<&str> = faults
            .iter()
            .filter_map(|fault| fault.split(": ").next())
            .collect();
        assert_eq!(
            places,
            [
                "/statusPages/1/name",
                "/statusPages/1/title",
                "/statusPages/2/name",
                "/statusPages/2/links/x",
                "/statusPages/2/groups/0/title"
            ]
        );
    }
}
