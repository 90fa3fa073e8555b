//! Objectives with their budgets and months.

use axum::Json;
use axum::extract::{Query, State};
use maud::{Markup, html};

use super::parts::{AnalyticsQuery, View, links, more, or_dash, percent, to_service};
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::resources::analytics as resource;
use crate::api_types::analytics::SloBody;
use crate::charts;

/// Months in a row of the table.
const MONTHS_SHOWN: usize = 6;

pub(super) async fn body(state: &ApiState, query: &AnalyticsQuery) -> ApiResult<Markup> {
    let asked = resource::SloQuery {
        cursor: query.cursor.clone(),
        service: query.service.clone(),
        ..resource::SloQuery::default()
    };
    let Json(found) = resource::slo(State(state.clone()), Query(asked)).await?;
    Ok(html! {
        section.card.panel aria-label="Objectives" {
            @if found.items.is_empty() {
                p.empty { "No service has an objective. Give one to a service: " code { "slo: {target: 99.9, window: 30d}" } }
            } @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Service" } th.number scope="col" { "Target" } th.number scope="col" { "Available" } th.number scope="col" { "Coverage" }
                        th scope="col" { "Budget left" } th.number scope="col" { "Burn 1 h" } th.number scope="col" { "6 h" } th.number scope="col" { "24 h" }
                        th scope="col" { "Months" }
                    } }
                    tbody { @for slo in &found.items { (row(slo)) } }
                } }
            }
            p.muted { "Percentages are rounded down. A burn rate of 1 uses the budget up in just the window. Months with a * are frozen. "
                (links("SELECT * FROM slo JOIN error_budget USING (service)")) " · "
                "months " (links("SELECT * FROM availability_by_month ORDER BY service, month")) }
        }
        (more(query, View::Slo, found.next.as_deref()))
    })
}

fn row(slo: &SloBody) -> Markup {
    let burn = |rate: Option<f64>| or_dash(rate.map(|rate| format!("{rate:.1}")));
    let left = left(slo.left_minutes, slo.budget_minutes, slo.left_percent);
    let share = slo.left_percent.map_or(f64::NAN, |percent| percent / 100.0);
    html! {
        tr {
            td { (to_service(&slo.service)) }
            td.number { (slo.target) " %, " (slo.days) " d" }
            td.number { (percent(slo.availability)) @if slo.met == Some(false) { " " b { "missed" } } }
            td.number { (percent(slo.coverage)) }
            td { (charts::budget(&slo.service, share, &left)) span { (left) } }
            td.number { (burn(slo.burn_rate_1h)) } td.number { (burn(slo.burn_rate_6h)) } td.number { (burn(slo.burn_rate_1d)) }
            td {
                @for month in slo.months.iter().rev().take(MONTHS_SHOWN) {
                    span.analytics-month { (month.month) @if month.frozen { "*" } " " (percent(month.availability)) }
                }
            }
        }
    }
}

/// Rounded down: a budget of which anything was used is never whole.
fn left(minutes: f64, of_minutes: f64, percent: Option<f64>) -> String {
    let minutes = minutes.floor();
    match percent {
        Some(percent) => format!(
            "{minutes} min of {} ({} %)",
            of_minutes.floor(),
            percent.floor()
        ),
        None => format!("{minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_rounded_down() {
        assert_eq!(left(43.19, 43.2, Some(99.98)), "43 min of 43 (99 %)");
        assert_eq!(left(-0.4, 43.2, Some(-0.9)), "-1 min of 43 (-1 %)");
        assert_eq!(left(0.0, 0.0, None), "0 min");
    }
}
