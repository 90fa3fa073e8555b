//! The list as a table: a row a service.

use maud::{Markup, html};

use super::order::{GroupLine, Sort, groups};
use super::view::{ListForm, Matching, PAGE_SIZE, Row, View};
use crate::api::dashboard::fragments;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::wording::count;
use crate::api::http::deps::ApiDeps;

const COLUMNS: usize = 9;

/// Headings with what a click on them sorts by.
const HEADINGS: [(&str, Option<Sort>); COLUMNS] = [
    ("Service", Some(Sort::Name)),
    ("Status", Some(Sort::Worst)),
    ("24 hours", None),
    ("30 days", Some(Sort::Availability)),
    ("Budget left", None),
    ("p95", Some(Sort::P95)),
    ("Latency", None),
    ("Quota", None),
    ("This month", Some(Sort::Cost)),
];

pub(super) fn rows(deps: &ApiDeps, view: &View, matching: &Matching) -> Markup {
    let part = view.part(matching.found.len(), PAGE_SIZE);
    let rows = matching.rows(deps, &part);
    let is_whole = part.last == 1 && !view.is_filtered();
    let is_plain = matching.is_plain(view.sort);
    let compact = matching.form == ListForm::Compact;
    html! {
        table.services.compact[compact] hidden[rows.is_empty()] data-complete[is_whole && is_plain]
            data-only=[view.standing().map(Standing::word)] {
            thead { tr { @for (heading, sort) in HEADINGS { (head(view, heading, sort)) } } }
            @if is_plain { (by_standing(&rows)) }
            @else { (by_group(view, matching, &rows)) }
        }
        @if part.last > 1 {
            nav.pages aria-label="Pages" {
                @if part.number > 1 { a.button rel="prev" href=(view.page_url(part.number - 1)) { "Previous" } }
                span.muted { "Page " (part.number) " of " (part.last) ", " (count(PAGE_SIZE, "service")) " each" }
                @if part.number < part.last { a.button rel="next" href=(view.page_url(part.number + 1)) { "Next" } }
            }
        }
    }
}

fn head(view: &View, heading: &str, sort: Option<Sort>) -> Markup {
    let Some(sort) = sort else {
        return html! { th scope="col" { (heading) } };
    };
    let order = match sort {
        Sort::Worst | Sort::P95 | Sort::Cost => "descending",
        Sort::Name | Sort::Availability => "ascending",
    };
    html! {
        th scope="col" aria-sort=[(view.sort == sort).then_some(order)] {
            a href=(view.link(|view| view.sort = sort)) { (heading) }
        }
    }
}

/// Groups of the statuses, in which the script moves rows.
fn by_standing(rows: &[Row]) -> Markup {
    html! {
        @for standing in Standing::ALL {
            tbody data-group=(standing.word()) {
                @for row in rows.iter().filter(|row| row.standing == standing) { (row_of(row)) }
            }
        }
    }
}

fn by_group(view: &View, matching: &Matching, rows: &[Row]) -> Markup {
    let lines = groups(&matching.found, &matching.figures);
    html! {
        @for group in rows.chunk_by(|a, b| a.group == b.group) {
            tbody {
                @if let Some(line) = group.first().and_then(|row| lines.iter().find(|line| line.name == row.group)) {
                    (group_head(view, matching, line))
                }
                @for row in group { (row_of(row)) }
            }
        }
    }
}

fn row_of(row: &Row) -> Markup {
    fragments::service(&row.service, row.status.as_ref())
}

fn group_head(view: &View, matching: &Matching, line: &GroupLine<'_>) -> Markup {
    html! {
        @if matching.group != super::order::Group::Nothing {
            tr.group {
                th scope="rowgroup" colspan=(COLUMNS) {
                    (super::wall::group_name(view, matching.group, line.name))
                    " " span.count { (line.counts.total()) } " "
                    span.muted {
                        (line.counts.words())
                        @if let Some(availability) = &line.availability { " · " (availability) " available in 30 days" }
                        @if let Some(money) = fragments::money(&line.costs) { " · " (money) " this month" }
                    }
                }
            }
        }
    }
}
