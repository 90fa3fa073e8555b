//! Services side by side.

use axum::Json;
use axum::extract::{Query, State};
use maud::{Markup, html};

use super::parts::{
    AnalyticsQuery, View, is_of, links, milliseconds, more, ms_of, or_dash, percent, span_form,
    to_service,
};
use crate::api::http::error::ApiResult;
use crate::api::http::moment::day;
use crate::api::http::state::ApiState;
use crate::api::resources::analytics as resource;
use crate::api_types::analytics::ComparisonBody;

pub(super) async fn body(state: &ApiState, query: &AnalyticsQuery) -> ApiResult<Markup> {
    let asked = resource::ComparisonQuery {
        cursor: query.cursor.clone(),
        services: query.services.clone(),
        from: query.from.clone(),
        to: query.to.clone(),
        ..resource::ComparisonQuery::default()
    };
    let Json(found) = resource::comparison(State(state.clone()), Query(asked)).await?;
    let field = html! {
        label { "Services " input name="services" value=(query.services.as_deref().unwrap_or("")) placeholder="shop-api,mail" size="24"; }
    };
    Ok(html! {
        (span_form(query, View::Comparison, &field))
        section.card.panel aria-label="Services" {
            @if found.items.is_empty() { p.empty { "Nothing was measured in this span." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Service" } th scope="col" { "Span" } th.number scope="col" { "Available" } th.number scope="col" { "Coverage" }
                        th.number scope="col" { "p50" } th.number scope="col" { "p95" } th.number scope="col" { "p99" } th.number scope="col" { "Incidents" }
                        th.number scope="col" { "Calls" } th.number scope="col" { "Cost" }
                    } }
                    tbody { @for row in &found.items { (service(row)) } }
                } }
            }
            p.muted {
                "Percentages are of seconds, rounded down; quantiles are within 2.5 %."
                @for (index, sql) in statements(&found.items).iter().enumerate() {
                    @if index == 0 { " Seconds: " } @else { " · of the span before: " }
                    (links(sql))
                }
            }
        }
        (more(query, View::Comparison, found.next.as_deref()))
    })
}

/// The seconds behind the percentages: a statement for each span of the page.
fn statements(rows: &[ComparisonBody]) -> Vec<String> {
    let mut spans: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row.from.as_str(), row.to.as_str()))
        .collect();
    spans.dedup();
    let statement = |(from, to): (&str, &str)| {
        let of_span = rows.iter().filter(|row| row.from == from && row.to == to);
        let slugs: Vec<&str> = of_span.map(|row| row.service.as_str()).collect();
        format!(
            "SELECT service, availability, coverage, good_s, bad_s, unknown_s\n\
             FROM availability_between(NULL, '{from}', '{to}')\nWHERE {}\nORDER BY service",
            is_of(&slugs)
        )
    };
    spans.into_iter().map(statement).collect()
}

fn service(row: &ComparisonBody) -> Markup {
    html! {
        tr {
            td { (to_service(&row.service)) }
            td { (day(ms_of(&row.from))) " to " (day(ms_of(&row.to))) }
            td.number { (percent(row.availability)) } td.number { (percent(row.coverage)) }
            td.number { (milliseconds(row.p50_ms)) } td.number { (milliseconds(row.p95_ms)) } td.number { (milliseconds(row.p99_ms)) }
            td.number { (row.incidents) } td.number { (row.calls) }
            td.number { (or_dash(cost(row))) }
        }
    }
}

fn cost(row: &ComparisonBody) -> Option<String> {
    let (least, most) = (row.cost_at_least.as_ref()?, row.cost_at_most.as_ref()?);
    let currency = row.currency.as_deref()?;
    if least == most {
        return Some(format!("{least} {currency}"));
    }
    Some(format!("{least} to {most} {currency}"))
}
