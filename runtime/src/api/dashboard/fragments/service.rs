//! One service as a row of the table: how it is, how it was for a day, and the figures that decide
//! something.

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::pill;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::strip::strip;
use crate::api::dashboard::wording::{ago, latency, percent, prose, seconds, since};
use crate::charts::{Unit, spark};
use crate::domain::{Failure, Service, UnixMillis};
use crate::monitoring::{ProbeStatus, ServiceStatus};
use crate::store::{ErrorBudget, ServiceSummary};

pub(crate) fn service(service: &Service, status: Option<&ServiceStatus>) -> Markup {
    let standing = Standing::from(status.and_then(|status| status.status));
    let figures = status.and_then(|status| status.figures.as_deref());
    let summary = figures.map(|figures| &figures.summary);
    html! {
        tr id={ "service-" (service.slug) } data-status=(standing.word()) data-name=(sort_key(&service.name)) {
            th scope="row" {
                a.name href={ "/services/" (service.slug) } { (service.name) }
                span.address {
                    (address(&service.base_url))
                    @if let Some(ms) = status.and_then(last_run_ms) { " · " (ago(ms)) }
                }
                @if let Some(status) = status { (reason(status)) }
            }
            td.status {
                (pill(standing.word(), standing.word()))
                @if let Some(ms) = status.and_then(|status| status.since_ms) { span.since { (since(ms)) } }
            }
            td.day { a href={ "/services/" (service.slug) "?range=24h" } { (strip(summary)) } }
            td.number { (known(summary.and_then(|summary| percent(summary.up, summary.up + summary.down)))) }
            td.number.budget { (known(summary.and_then(|summary| summary.budget).map(budget_left))) }
            td.number.latency { (known(summary.and_then(|summary| summary.p95_us).map(latency))) }
            td.trend { (trend(summary)) }
            td.number.quota { (known(status.and_then(quota_left))) }
            td.number.cost { (known(figures.and_then(|figures| money(&figures.costs)))) }
        }
    }
}

/// A figure, or a dash: never a 0 for what is not known.
fn known(figure: Option<String>) -> Markup {
    html! { @match figure { Some(figure) => { (figure) } None => { span.muted { "–" } } } }
}

fn reason(status: &ServiceStatus) -> Markup {
    let several = status.probes.len() > 1;
    html! {
        @if let Some((probe, failure)) = trouble(status) {
            span.why title=(failure.message) {
                @if several { b { (probe.name) } " " }
                b { (failure.kind.as_str()) } " " (prose(&failure.message))
            }
        }
    }
}

/// Returns the first probe whose last run failed.
pub(super) fn trouble(status: &ServiceStatus) -> Option<(&ProbeStatus, &Failure)> {
    let mut probes = status.probes.iter();
    probes.find_map(|probe| Some((probe, probe.latest.as_deref()?.failure.as_ref()?)))
}

fn last_run_ms(status: &ServiceStatus) -> Option<UnixMillis> {
    let runs = status.probes.iter();
    runs.filter_map(|probe| Some(probe.latest.as_deref()?.ts_ms))
        .max()
}

fn trend(summary: Option<&ServiceSummary>) -> Markup {
    let half_hours = summary.map_or(&[][..], |summary| &summary.half_hours);
    let points = half_hours.iter().map(|half_hour| half_hour.latency_us);
    let points: Vec<Option<f64>> = points.map(|us| us.map(|us| us as f64)).collect();
    html! {
        @if points.iter().any(Option::is_some) { (spark("Latency of 24 hours", &points, Unit::Micros)) }
        @else { (known(None)) }
    }
}

/// `34 min`, or how much was overspent: `-18 min`
fn budget_left(budget: ErrorBudget) -> String {
    let left = seconds(budget.left_s.unsigned_abs());
    if budget.left_s < 0 {
        format!("-{left}")
    } else {
        left
    }
}

/// Percent that is left of the limit of which the least is left, by the last runs.
fn quota_left(status: &ServiceStatus) -> Option<String> {
    let runs = status
        .probes
        .iter()
        .filter_map(|probe| probe.latest.as_deref());
    let limits = runs.flat_map(|run| &run.rate_limits);
    let left = limits.filter_map(|limit| {
        let remaining = u128::from(limit.remaining?) * 100;
        remaining.checked_div(u128::from(limit.quota?))
    });
    left.min().map(|left| format!("{} %", left.min(100)))
}

/// `310.20 EUR, 0.01 USD`; none where nothing was spent.
pub(crate) fn money<'a>(costs: impl IntoIterator<Item = &'a (String, Decimal)>) -> Option<String> {
    let costs = costs.into_iter();
    let costs: Vec<String> = costs
        .map(|(currency, amount)| format!("{:.2} {currency}", amount.round_dp(2)))
        .collect();
    (!costs.is_empty()).then(|| costs.join(", "))
}

/// Names sort without regard to case.
pub(crate) fn sort_key(name: &str) -> String {
    name.to_lowercase()
}

/// Host and path: the scheme is noise.
pub(crate) fn address(base_url: &str) -> &str {
    let address = base_url
        .split_once("://")
        .map_or(base_url, |(_, rest)| rest);
    // What stands before `@` may be a password.
    let (host, _) = address.split_at(address.find('/').unwrap_or(address.len()));
    let address = host.rfind('@').map_or(address, |at| &address[at + 1..]);
    address
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{LOCAL, Observation, RateLimit, Status};

    fn status(limits: &[(Option<u64>, Option<u64>)]) -> ServiceStatus {
        let limits = limits.iter().map(|(remaining, quota)| RateLimit {
            remaining: *remaining,
            quota: *quota,
            ..RateLimit::default()
        });
        let run = Observation {
            ts_ms: 1,
            service: "shop".to_owned(),
            probe: "http".to_owned(),
            location: LOCAL.to_owned(),
            status: Status::Healthy,
            latency_us: None,
            phases: Default::default(),
            http_status: None,
            failure: None,
            bytes: 0,
            plugin: "http".to_owned(),
            plugin_version: String::new(),
            run_id: 1,
            metrics: Vec::new(),
            missed: false,
            excluded: None,
            rate_limits: limits.collect(),
        };
        ServiceStatus {
            probes: vec![ProbeStatus {
                name: "http".to_owned(),
                latest: Some(Arc::new(run)),
                recent: Vec::new(),
            }],
            ..ServiceStatus::default()
        }
    }

    #[test]
    fn the_least_quota_counts_and_an_unknown_one_is_no_zero() {
        for (limits, wanted) in [
            (&[][..], None),
            (
                &[(Some(5), None), (None, Some(9)), (Some(1), Some(0))],
                None,
            ),
            (
                &[(Some(380), Some(1_000)), (Some(99), Some(100))],
                Some("38 %"),
            ),
            (&[(Some(7), Some(5))], Some("100 %")),
        ] {
            assert_eq!(quota_left(&status(limits)).as_deref(), wanted, "{limits:?}");
        }
    }

    #[test]
    fn an_overspent_budget_is_below_zero() {
        for (left_s, wanted) in [(2_040, "34 min"), (0, "0 s"), (-1_080, "-18 min")] {
            let budget = ErrorBudget {
                whole_s: 3_600,
                left_s,
            };
            assert_eq!(budget_left(budget), wanted);
        }
    }

    #[test]
    fn currencies_are_never_added_up() {
        let cost_of = |costs: &[(&str, &str)]| {
            let costs = costs.iter();
            let costs =
                costs.map(|(currency, amount)| ((*currency).to_owned(), amount.parse().unwrap()));
            let costs: Vec<(String, Decimal)> = costs.collect();
            money(&costs)
        };
        assert_eq!(cost_of(&[]), None);
        assert_eq!(
            cost_of(&[("EUR", "310.2"), ("USD", "0.014")]).as_deref(),
            Some("310.20 EUR, 0.01 USD")
        );
    }

    #[test]
    fn addresses_are_short_and_hold_no_secret() {
        for (url, wanted) in [
            ("https://api.example.com", "api.example.com"),
            ("https://api.example.com/v2/", "api.example.com/v2"),
            ("https://me:secret@api.example.com/v2", "api.example.com/v2"),
            (
                "https://api.example.com/v2?key=secret",
                "api.example.com/v2",
            ),
            ("tcp://db:5432", "db:5432"),
            ("https://example.com/@me", "example.com/@me"),
        ] {
            assert_eq!(address(url), wanted);
        }
    }
}
