//! Budgets with what is used of them. They are written in `alerts.yaml`.

use axum::Json;
use axum::extract::State;
use maud::{Markup, html};

use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::wording::{prose, written};
use crate::api::http::state::ApiState;
use crate::api::resources::budgets;
use crate::api_types::budgets::{BudgetBody, BudgetStateBody};

pub(super) async fn section(state: State<ApiState>) -> Markup {
    let Json(found) = budgets::list(state).await;
    html! {
        section.card.panel aria-label="Budgets" {
            h2 { "Budgets " span.count { (found.budgets.len()) } }
            @if found.budgets.is_empty() { p.empty { "There is none." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Name" } th scope="col" { "State" } th.number scope="col" { "Amount" } th.number scope="col" { "Used" }
                        th.number scope="col" { "Forecast" } th scope="col" { "Period" } th scope="col" { "Calls of" }
                    } }
                    tbody { @for budget in &found.budgets { (row(budget)) } }
                } }
            }
            p.muted { "Budgets are entries of " code { "budgets" } " in " code { "alerts.yaml" } ": add, change and remove them there." }
        }
    }
}

fn row(budget: &BudgetBody) -> Markup {
    let standing = match budget.state {
        BudgetStateBody::Within => "healthy",
        BudgetStateBody::AtRisk => "degraded",
        BudgetStateBody::Exceeded => "error",
        BudgetStateBody::NoData => "unknown",
    };
    html! {
        tr {
            td { (budget.name) }
            td { (pill(standing, budget.state.as_str())) @if let Some(reason) = &budget.missing { " " span.muted { (prose(reason)) } } }
            td.number { (budget.amount) " " (budget.currency) " a " (budget.per) }
            td.number { (super::span(budget.used.as_deref(), budget.used_at_most.as_deref(), &budget.currency)) @if let Some(share) = &budget.share { " (" (share) " %)" } }
            td.number {
                @match (&budget.forecast, &budget.forecast_missing) {
                    (Some(forecast), _) => { (forecast.likely) " " (budget.currency) }
                    (None, Some(reason)) => { span.muted { (reason) } }
                    (None, None) => { "–" }
                }
                @if let Some(at) = &budget.used_up_at { ", used up " (written(at)) }
            }
            td { @if let (Some(from), Some(to)) = (&budget.from, &budget.to) { (written(from)) " to " (written(to)) } @else { "–" } }
            td { (scope(budget)) }
        }
    }
}

fn scope(budget: &BudgetBody) -> String {
    let scope = &budget.scope;
    let lists = [
        &scope.services,
        &scope.tags,
        &scope.consumers,
        &scope.routes,
    ];
    let named: Vec<&str> = lists.into_iter().flatten().map(String::as_str).collect();
    match named.as_slice() {
        [] => "all".to_owned(),
        named => named.join(", "),
    }
}
