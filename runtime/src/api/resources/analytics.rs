//! Analytics: how services changed, what is left of objectives, which alerts are noise, how honest
//! vendors are, and services side by side.

mod advice;
mod comparison;
mod honesty;
mod noise;
mod pack;
mod slo;
mod trends;

use chrono_tz::Tz;

use crate::analytics::statistics::HOUR_MS;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::ApiError;
use crate::api::http::moment::rfc3339;
use crate::api::http::page;
use crate::api::http::state::ApiState;
use crate::api_types::analytics::AnalyticsBody;
use crate::api_types::scope::Scope::Read;
use crate::domain::{UnixMillis, now_ms, time_zone};

pub(crate) use advice::adopt;
pub(crate) use comparison::{ComparisonQuery, comparison};
pub(crate) use honesty::{HonestyQuery, honesty};

pub(crate) use noise::{NoiseQuery, noise};
pub(crate) use slo::{SloQuery, slo};
pub(crate) use trends::{TrendQuery, trends};

const DAY_MS: UnixMillis = 24 * HOUR_MS;

/// Span of an answer that is asked for without one.
const DEFAULT_DAYS: UnixMillis = 30;

/// Hours are kept so long.
const MAX_DAYS: UnixMillis = 400;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/analytics/trends", trends)
            .slow()
            .id("analyticsTrends")
            .summary("Seasons, change points and slopes of services, a week beside the one before")
            .description(
                "Hours of at most 90 days, 30 where `from` is not given. Change points are looked \
                 for once strong seasons of a day and a week are taken out.",
            ),
        Endpoint::get(Read, "/api/v1/analytics/slo", slo)
            .id("analyticsSlo")
            .summary("Objectives with what is left of their budgets, and months"),
        Endpoint::get(Read, "/api/v1/analytics/noise", noise)
            .slow()
            .id("analyticsNoise")
            .summary("Rules by how often they fired, and whether anybody acted")
            .description(
                "With `advise`, which needs the scope `write`, other options of one rule are played over the stored history: what \
                 would have fired, and which outages would have been missed. Nothing is changed.",
            ),
        Endpoint::get(Read, "/api/v1/analytics/honesty", honesty::honesty_of)
            .id("analyticsHonesty")
            .summary("What vendors declared beside what was measured")
            .description(
                "With `pack` and `month`, the answer is the evidence for a credit of that service: \
                 JSON, or its runs with `format=csv`.",
            )
            .returns::<200, axum::Json<AnalyticsBody<crate::api_types::analytics::HonestyBody>>>(),
        Endpoint::get(Read, "/api/v1/analytics/comparison", comparison)
            .id("analyticsComparison")
            .summary("Services side by side, or one with the span before"),
    ]
}

/// Span and zone of an answer.
#[derive(Debug, Clone)]
struct Frame {
    span: (UnixMillis, UnixMillis),
    zone: Tz,
}

impl Frame {
    /// Reads `from`, `to` and `zone`; a span has at most so many days.
    fn read(
        from: Option<&str>,
        to: Option<&str>,
        zone: Option<&str>,
        most_days: UnixMillis,
    ) -> Result<Self, ApiError> {
        let until_ms = super::costs::moment("to", to)?.unwrap_or_else(now_ms);
        let since_ms =
            super::costs::moment("from", from)?.unwrap_or(until_ms - DEFAULT_DAYS * DAY_MS);
        if since_ms >= until_ms {
            return Err(ApiError::bad_parameter("to", "must be later than `from`"));
        }
        // An hour more, for the day on which clocks go back.
        if until_ms - since_ms > most_days * DAY_MS + HOUR_MS {
            let detail = format!("`from` is more than {most_days} days before `to`");
            return Err(ApiError::bad_parameter("from", detail));
        }
        let zone = zone.unwrap_or("UTC");
        let zone = zone.parse::<Tz>().map_err(|_| {
            let detail =
                format!("`{zone}` is not a time zone; write e.g. `UTC` or `Europe/Berlin`");
            ApiError::bad_parameter("zone", detail)
        })?;
        Ok(Self {
            span: (since_ms, until_ms),
            zone,
        })
    }

    fn time_zone(&self) -> jiff::tz::TimeZone {
        time_zone(self.zone)
    }

    fn body<T>(&self, items: Vec<T>, next: Option<String>) -> AnalyticsBody<T> {
        AnalyticsBody {
            from: rfc3339(self.span.0),
            to: rfc3339(self.span.1),
            zone: self.zone.name().to_owned(),
            items,
            next,
        }
    }
}

/// Checks a slug in a parameter.
fn known(state: &ApiState, name: &str, slug: &str) -> Result<(), ApiError> {
    let catalog = state.deps.registry.catalog();
    if catalog.described(slug).is_some() {
        return Ok(());
    }
    let detail = format!("there is no service `{slug}`; `GET /api/v1/services` lists them");
    Err(ApiError::bad_parameter(name, detail))
}

/// Returns the number of items of a page that is dearer than others: what was asked for, up to so
/// many.
fn limit(wanted: Option<u32>, most: u32) -> Result<u32, ApiError> {
    Ok(page::limit(wanted)?.min(most))
}

/// Takes a page from items that are sorted by key; the cursor is the last key.
fn page_of<T>(
    items: impl IntoIterator<Item = T>,
    after: Option<&str>,
    limit: u32,
    key: impl Fn(&T) -> &str,
) -> (Vec<T>, Option<String>) {
    let mut items: Vec<T> = items
        .into_iter()
        .filter(|item| after.is_none_or(|after| key(item) > after))
        .take(limit as usize + 1)
        .collect();
    let is_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items
        .last()
        .filter(|_| is_more)
        .map(|item| key(item).to_owned());
    (items, next)
}

fn is_slug(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && !text.contains(char::is_control)
}

/// Rounds to thousandths, for figures of people.
fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn minutes(seconds: i64) -> f64 {
    thousandths(seconds as f64 / 60.0)
}
