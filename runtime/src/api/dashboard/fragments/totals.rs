//! The head of the overview: one sentence, and a tile for each status that is also its filter.

use maud::{Markup, html};

use crate::api::dashboard::standing::{Counts, Standing};
use crate::api::dashboard::wording::count;
use crate::api::http::deps::ApiDeps;

pub(crate) fn counts(deps: &ApiDeps) -> Counts {
    let mut counts = Counts::default();
    for slug in deps.registry.catalog().services.keys() {
        counts.add(deps.monitor.status(slug).into());
    }
    counts
}

pub(crate) fn totals(counts: &Counts) -> Markup {
    html! {
        div #totals {
            p.sentence { (sentence(counts)) }
            ul.tiles {
                @for standing in Standing::ALL.into_iter().rev() {
                    li {
                        a class={ "tile " (standing.word()) @if counts.of(standing) == 0 { " zero" } }
                            href={ "/?status=" (standing.word()) } title=(standing.meaning()) {
                            span.mark aria-hidden="true" {}
                            span.number { (counts.of(standing)) }
                            span.word { (standing.title()) }
                        }
                    }
                }
            }
        }
    }
}

fn sentence(counts: &Counts) -> String {
    match (
        counts.total(),
        counts.in_trouble(),
        counts.of(Standing::Waiting),
    ) {
        (0, _, _) => "Nothing is watched yet".to_owned(),
        (total, 0, waiting) if waiting == total => {
            format!("{} about to be checked", count(total, "service"))
        }
        (1, 0, _) => "The one service is healthy".to_owned(),
        (total, 0, 0) => format!("All {total} services are healthy"),
        (_, 0, waiting) => format!("All checked services are healthy, {waiting} still waiting"),
        (total, 1, _) => format!("1 of {} needs attention", count(total, "service")),
        (total, trouble, _) => format!("{trouble} of {} need attention", count(total, "service")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_in_one_sentence_how_things_are() {
        use Standing::{Degraded, Error, Healthy, Waiting};
        let table: &[(&[Standing], &str)] = &[
            (&[], "Nothing is watched yet"),
            (&[Waiting], "1 service about to be checked"),
            (&[Healthy], "The one service is healthy"),
            (&[Healthy, Healthy], "All 2 services are healthy"),
            (
                &[Healthy, Waiting],
                "All checked services are healthy, 1 still waiting",
            ),
            (&[Healthy, Error], "1 of 2 services needs attention"),
            (
                &[Degraded, Error, Healthy],
                "2 of 3 services need attention",
            ),
        ];
        for (standings, wanted) in table {
            let mut counts = Counts::default();
            standings.iter().for_each(|standing| counts.add(*standing));
            assert_eq!(sentence(&counts), *wanted);
        }
    }
}
