//! Noise: rules by how often they fired, with advice that was played over the history.

use axum::extract::{Query, State};
use axum::{Extension, Json};
use maud::{Markup, html};

use super::parts::{AnalyticsQuery, View, links, more, or_dash, span_form};
use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::wording::{prose, seconds, subject};
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::resources::analytics as resource;
use crate::api_types::analytics::{AdviceBody, NoiseBody};
use crate::api_types::scope::Scope;

pub(super) async fn body(
    state: &ApiState,
    principal: &Principal,
    query: &AnalyticsQuery,
    zone: String,
) -> ApiResult<Markup> {
    let asked = resource::NoiseQuery {
        cursor: query.cursor.clone(),
        from: query.from.clone(),
        to: query.to.clone(),
        zone: Some(zone),
        service: query.service.clone(),
        advise: query.advise.clone(),
        ..resource::NoiseQuery::default()
    };
    let may_write = principal.may(Scope::Write);
    let principal_of_page = Extension(principal.clone());
    let Json(found) =
        resource::noise(State(state.clone()), principal_of_page, Query(asked)).await?;
    Ok(html! {
        (span_form(query, View::Noise, &html! {}))
        @if let Some((row, advice)) = found.items.first().and_then(|row| Some((row, row.advice.as_ref()?))) {
            (advised(row, advice, may_write))
        }
        section.card.panel aria-label="Rules" {
            @if found.items.is_empty() { p.empty { "No alert fired in this span." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Rule" } th scope="col" { "Service" } th.number scope="col" { "Fired" } th.number scope="col" { "Not acted on" }
                        th.number scope="col" { "Again in 24 h" } th.number scope="col" { "At night" } th.number scope="col" { "Acknowledged in" }
                        th.number scope="col" { "Resolved in" } th scope="col" { "Advice" }
                    } }
                    tbody { @for row in &found.items { (rule(query, row, may_write)) } }
                } }
            }
            p.muted { "Nights are from 22:00 to 07:00, " (found.zone) ". Times are medians, of resolving also the 90th percentile. " (links("SELECT * FROM alert_noise")) }
        }
        (more(query, View::Noise, found.next.as_deref()))
    })
}

fn rule(query: &AnalyticsQuery, row: &NoiseBody, may_write: bool) -> Markup {
    let lasted = |value: Option<i64>| or_dash(value.map(|value| seconds(value.unsigned_abs())));
    html! {
        tr {
            td { (pill(&row.severity, &row.severity)) " " (row.alert) }
            td { (subject(&row.service, &row.service)) }
            td.number { (row.fired) } td.number { (row.not_acted_on) } td.number { (row.refired) } td.number { (row.asleep) }
            td.number { (lasted(row.acknowledge_p50_seconds)) }
            td.number { (lasted(row.resolve_p50_seconds)) " / " (lasted(row.resolve_p90_seconds)) }
            td { @if may_write && !row.service.contains(':') { a href=(query.address(View::Noise, &[("advise", row.rule.as_str())])) { "Ask a backtest" } } }
        }
    }
}

fn advised(row: &NoiseBody, advice: &AdviceBody, may_write: bool) -> Markup {
    html! {
        section.card.panel aria-label="Advice" {
            h2 { "Advice: " (row.rule) }
            @match &advice.text {
                Some(text) => { p { (prose(text)) "." } }
                None => { p { "No option that was tried would have fired less without missing an outage." } }
            }
            p.muted { "As it is, the rule would have fired " (advice.fired) " times in this span, and notified of " (advice.outages) " outages."
                @if advice.left_out > 0 { " There was no time for " (advice.left_out) " further options; ask for a shorter span." } }
            div.wide { table.list {
                thead { tr {
                    th scope="col" { "Option" } th.number scope="col" { "Would have fired" } th.number scope="col" { "Outages missed" } th.number scope="col" { "Notified later by" }
                } }
                tbody { @for variant in &advice.variants {
                    tr {
                        td { code { (variant.option) ": " (variant.value) } } td.number { (variant.fired) } td.number { (variant.missed_outages) }
                        td.number { (or_dash(variant.later_seconds.map(|later| format!("{later} s")))) }
                    }
                } }
            } }
            @if let (Some(yaml), Some(best)) = (&advice.yaml, advice.variants.first()) {
                @if advice.adoptable && may_write {
                    form method="post" action="/analytics/noise/adopt" {
                        input type="hidden" name="rule" value=(row.rule);
                        input type="hidden" name="option" value=(best.option);
                        input type="hidden" name="value" value=(best.value);
                        button type="submit" { "Make it so" }
                    }
                } @else {
                    p { "Set it where the rule is written:" }
                    pre { code { (yaml) } }
                }
            }
        }
    }
}
