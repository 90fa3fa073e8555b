//! Cost of calls: so far, what will be owed, and the overhead: what brought nothing. Below it budgets,
//! invoices, and who may call through the gateway.

mod budgets;
mod consumers;
mod invoices;

pub(super) use consumers::{add as add_consumer, revoke as revoke_consumer};
pub(super) use invoices::{FORM as INVOICE_FORM, import as import_invoice};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use maud::{Markup, html};

use super::layout;
use super::replies::not_shown;
use crate::api::http::auth::Principal;
use crate::api::http::state::ApiState;
use crate::api::resources::costs;
use crate::api_types::costs::{CallCostBody, CostRowBody, CostsBody, OverheadBody};

const PAGE: &str = "/usage";

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> Response {
    let shared = || State(state.clone());
    let (found, budgets, invoices, consumers) = tokio::join!(
        costs::costs(shared(), Query(costs::CostQuery::default())),
        budgets::section(shared()),
        invoices::section(shared(), &principal),
        consumers::section(shared(), &principal),
    );
    match found {
        Ok(Json(found)) => layout::room(layout::Room {
            title: "Usage and cost",
            path: PAGE,
            events: None,
            body: html! {
                (body(&found))
                (budgets)
                (invoices)
                @if let Some(consumers) = consumers { (consumers) }
            },
        })
        .into_response(),
        Err(error) => not_shown(error, "/"),
    }
}

/// Renders a part that can't be read while the others can.
fn unreadable(what: &str) -> Markup {
    html! { p.fault role="alert" { (what) " can't be read just now; load the page again." } }
}

fn body(costs: &CostsBody) -> Markup {
    html! {
        h1 { "Usage and cost" }
        p.muted { "Each service in the present cycle of its price list, UTC. Amounts in different currencies are not added up." }
        section.card.panel aria-label="Services" {
            @if costs.rows.is_empty() {
                p.empty { "No call was counted yet. Send calls through " code { "/gateway/{service}/" } ", or report them to " code { "POST /api/v1/calls" } "." }
            } @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Service" } th.number scope="col" { "Calls" } th.number scope="col" { "Used" } th.number scope="col" { "Owed" }
                        th.number scope="col" { "Forecast" } th scope="col" { "Cycle" }
                    } }
                    tbody { @for row in &costs.rows { (service(row)) } }
                } }
            }
        }
        @for (currency, overhead) in &costs.overhead { (overhead_of(currency, overhead)) }
    }
}

fn service(row: &CostRowBody) -> Markup {
    let slug = row.group.service.as_deref().unwrap_or("–");
    let currency = row.currency.as_deref().unwrap_or("");
    html! {
        tr {
            td { @match &row.group.service { Some(slug) => { a href={ "/services/" (slug) } { (slug) } } None => { (slug) } } }
            td.number { (row.calls) @if row.metered < row.calls { " (" (row.metered) " priced)" } }
            td.number { (span(row.used.as_deref(), row.used_at_most.as_deref(), currency)) }
            td.number { (span(row.owed.as_deref(), row.owed_at_most.as_deref(), currency)) }
            td.number {
                @match (&row.forecast, &row.forecast_missing) {
                    (Some(forecast), _) => { (forecast.likely) " " (currency) " (" (forecast.low) " to " (forecast.high) ")" }
                    (None, Some(reason)) => { span.muted { (reason) } }
                    (None, None) => { "–" }
                }
            }
            td { @match &row.cycle { Some(cycle) => { (cycle.name) } None => { "–" } } }
        }
    }
}

/// An amount, or from the least to the most that it may be.
fn span(least: Option<&str>, most: Option<&str>, currency: &str) -> Markup {
    match (least, most) {
        (Some(least), Some(most)) if least != most => {
            html! { (least) " to " (most) " " (currency) }
        }
        (Some(amount), _) => html! { (amount) " " (currency) },
        _ => html! { "–" },
    }
}

fn overhead_of(currency: &str, overhead: &OverheadBody) -> Markup {
    let row = |name: &str, cost: &CallCostBody| {
        html! { tr { td { (name) } td.number { (cost.calls) } td.number { (span(Some(&cost.at_least), Some(&cost.at_most), currency)) } } }
    };
    html! {
        section.card.panel aria-label={ "Overhead, " (currency) } {
            h2 { "Overhead, " (currency) }
            div.wide { table.list {
                thead { tr { th scope="col" { "Calls" } th.number scope="col" { "Number" } th.number scope="col" { "Cost" } } }
                tbody {
                    tr { td { "Retries" } td.number { (overhead.retries) } td.number { (overhead.retries_at_most) " " (currency) " at most" } }
                    (row("Answered with 5xx", &overhead.failures))
                    (row("Timed out", &overhead.timeouts))
                    (row("Cut off", &overhead.cut))
                    (row("Our own checks", &overhead.own_checks))
                }
            } }
            p.muted { "A call may be in several of these." }
        }
    }
}
