//! The list as a wall: a line a group with a cell for each service, so that one of thousands that is
//! broken is found in one look.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::order::{Group, GroupLine, groups};
use super::view::{MAX_LINES, Matching, View};
use crate::api::dashboard::standing::{Counts, Standing};

/// Cells beside each other.
const WIDE: usize = 100;
/// Size of a cell with the gap behind it, in units of the picture. The gaps are dashes of the style.
const CELL: usize = 8;
const GAP: usize = 2;
const LINE: usize = 12;

pub(super) fn wall(view: &View, matching: &Matching) -> Markup {
    let lines = groups(&matching.found, &matching.figures);
    let part = view.part(lines.len(), MAX_LINES);
    html! {
        table.services.wall hidden[lines.is_empty()] {
            thead { tr {
                th scope="col" { "Group" }
                th scope="col" { "Services, the worst first" }
                th scope="col" { "Status" }
                th scope="col" { "30 days" }
                th scope="col" { "Worst" }
            } }
            tbody { @for one in &lines[part.range.clone()] { (line(view, matching.group, one)) } }
        }
        @if part.last > 1 {
            nav.pages aria-label="Pages" {
                @if part.number > 1 { a.button rel="prev" href=(view.page_url(part.number - 1)) { "Previous" } }
                span.muted { "Page " (part.number) " of " (part.last) ", " (MAX_LINES) " groups each" }
                @if part.number < part.last { a.button rel="next" href=(view.page_url(part.number + 1)) { "Next" } }
            }
        }
    }
}

fn line(view: &View, group: Group, line: &GroupLine<'_>) -> Markup {
    html! {
        tr {
            th scope="row" { (group_name(view, group, line.name)) " " span.count { (line.counts.total()) } }
            td { (cells(&line.counts)) }
            td { (line.counts.words()) }
            td.number { @match &line.availability { Some(availability) => { (availability) } None => { "–" } } }
            td {
                @if let Some(worst) = line.worst { a href={ "/services/" (worst.service.slug) } { (worst.service.name) } }
                @else { span.muted { "–" } }
            }
        }
    }
}

/// Name of a group, which opens its services.
pub(super) fn group_name(view: &View, group: Group, name: &str) -> Markup {
    let shown = match (group, name) {
        (Group::Nothing, _) => "All services".to_owned(),
        (Group::By(fact), "") => format!("no {}", fact.word()),
        (Group::By(_), name) => name.to_owned(),
    };
    html! {
        @if let Some(url) = view.group_url(group, name) { a.name href=(url) { (shown) } }
        @else { span.name { (shown) } }
    }
}

/// A cell for each service: one dashed path for each status, the worse the thicker.
fn cells(counts: &Counts) -> Markup {
    let total = counts.total();
    let (width, height) = (total.min(WIDE) * CELL, total.div_ceil(WIDE) * LINE);
    let mut first = 0;
    let mut paths = Vec::new();
    for standing in Standing::ALL {
        let count = counts.of(standing);
        if count > 0 {
            paths.push((standing.word(), path(first, count)));
        }
        first += count;
    }
    html! {
        svg.cells viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img" aria-label=(counts.words()) {
            @for (word, path) in &paths { path class=(word) d=(path) {} }
        }
    }
}

/// Path over cells from the place `first` on.
fn path(mut first: usize, count: usize) -> String {
    let end = first + count;
    let mut path = String::new();
    while first < end {
        let (line, column) = (first / WIDE, first % WIDE);
        let cells = (WIDE - column).min(end - first);
        // Writing to a text can't fail.
        let _ = write!(
            path,
            "M{} {}h{}",
            column * CELL,
            line * LINE + LINE / 2,
            cells * CELL - GAP
        );
        first += cells;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_status_are_one_path_over_all_lines() {
        assert_eq!(path(0, 1), "M0 6h6");
        assert_eq!(path(98, 3), "M784 6h14M0 18h6");
        assert_eq!(path(0, 250), "M0 6h798M0 18h798M0 30h398");
    }

    #[test]
    fn thousands_of_cells_are_light_and_said_in_words() {
        let mut counts = Counts::default();
        (0..50).for_each(|_| counts.add(Standing::Error));
        (0..4_950).for_each(|_| counts.add(Standing::Healthy));
        let svg = cells(&counts).into_string();
        assert!(svg.len() < 2_000, "{} bytes", svg.len());
        assert!(
            svg.contains(r#"aria-label="50 error, 4950 healthy""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"<path class="error" d="M0 6h398">"#),
            "{svg}"
        );
    }
}
