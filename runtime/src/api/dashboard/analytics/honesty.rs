//! Vendors' words beside our clock, with the evidence for credits.

use maud::{Markup, html};

use super::parts::{AnalyticsQuery, View, links, more, or_dash, span_form, to_service};
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::resources::analytics as resource;
use crate::api_types::analytics::HonestyBody;
use crate::charts::{self, Bars, Column, Unit};

/// Services in the picture.
const MAX_BARS: usize = 20;

pub(super) async fn body(state: &ApiState, query: &AnalyticsQuery) -> ApiResult<Markup> {
    let asked = resource::HonestyQuery {
        cursor: query.cursor.clone(),
        from: query.from.clone(),
        to: query.to.clone(),
        ..resource::HonestyQuery::default()
    };
    let found = resource::honesty(state, &asked).await?;
    // The month in which the span ends.
    let month: String = found.to.chars().take(7).collect();
    Ok(html! {
        (span_form(query, View::Honesty, &html! {}))
        section.card.panel aria-label="Vendors" {
            @if found.items.is_empty() {
                p.empty { "No service has a vendor that declares anything. Add a probe " code { "status-page" } ", a webhook of its status page, or a " code { "contract" } "." }
            } @else {
                div.wide tabindex="0" { (picture(&found.items)) }
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Service" } th.number scope="col" { "Outages, ours" } th.number scope="col" { "theirs" } th.number scope="col" { "We knew first" }
                        th.number scope="col" { "They did" } th.number scope="col" { "Never declared" } th.number scope="col" { "Lag, median" }
                        th.number scope="col" { "Minutes, ours" } th.number scope="col" { "theirs" } th.number scope="col" { "Promised" } th scope="col" { "Evidence" }
                    } }
                    tbody { @for row in &found.items { (vendor(row, &month)) } }
                } }
            }
            p.muted { "Outages and claims that began in this span. The lag is from our first failed run to the vendor's word. "
                (links("SELECT * FROM vendor_honesty")) " · each " (links("SELECT * FROM vendor_claims")) }
        }
        (more(query, View::Honesty, found.next.as_deref()))
    })
}

fn picture(rows: &[HonestyBody]) -> Markup {
    let columns: Vec<Column> = rows
        .iter()
        .take(MAX_BARS)
        .map(|row| Column {
            label: row.service.clone(),
            values: vec![
                row.we_first as f64,
                row.vendor_first as f64,
                row.undeclared as f64,
            ],
            is_forecast: false,
        })
        .collect();
    charts::bars(&Bars {
        name: "outages by who knew first",
        unit: Unit::Count,
        series: &["we knew first", "the vendor did", "never declared"],
        columns: &columns,
    })
}

fn vendor(row: &HonestyBody, month: &str) -> Markup {
    let pack = format!(
        "/api/v1/analytics/honesty?pack={}&month={month}",
        row.service
    );
    html! {
        tr {
            td { (to_service(&row.service)) }
            td.number { (row.our_incidents) } td.number { (row.vendor_incidents) } td.number { (row.we_first) } td.number { (row.vendor_first) }
            td.number { (row.undeclared) }
            td.number { (or_dash(row.lag_p50_seconds.map(|lag| format!("{:.1} min", lag as f64 / 60.0)))) }
            td.number { (format!("{:.1}", row.our_minutes)) } td.number { (format!("{:.1}", row.vendor_minutes)) }
            td.number { (or_dash(row.sla.map(|sla| format!("{sla} %")))) }
            td { (month) ": " a href=(pack) { "JSON" } " · " a href={ (pack) "&format=csv" } { "runs" } }
        }
    }
}
