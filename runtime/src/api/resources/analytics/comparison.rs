//! `GET /api/v1/analytics/comparison`

use axum::Json;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DAY_MS, Frame, MAX_DAYS, is_slug, known, limit, minutes, page_of, thousandths};
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page;
use crate::api::http::state::ApiState;
use crate::api_types::analytics::{AnalyticsBody, ComparisonBody};
use crate::domain::UnixMillis;
use crate::store::ComparisonRow;

const MOST: u32 = 100;

/// Services that are named.
const MAX_NAMED: usize = 20;

const WEEK_MS: UnixMillis = 7 * DAY_MS;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparisonQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"))]
    pub(crate) cursor: Option<String>,
    /// 1 to 1000, of which 100 are answered at most.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) limit: Option<u32>,
    /// Slugs joined by commas, at most 20. Default: all services. One alone is shown with a span
    /// as long before it.
    pub(crate) services: Option<String>,
    /// Beginning, RFC 3339 with an offset. Default: 30 days before `to`; a week where one service is
    /// named.
    pub(crate) from: Option<String>,
    /// First moment that does not count. Default: now.
    pub(crate) to: Option<String>,
}

pub(crate) async fn comparison(
    State(state): State<ApiState>,
    Query(query): Query<ComparisonQuery>,
) -> ApiResult<Json<AnalyticsBody<ComparisonBody>>> {
    let (from, to) = (query.from.as_deref(), query.to.as_deref());
    let mut frame = Frame::read(from, to, None, MAX_DAYS)?;
    let limit = limit(query.limit, MOST)?;
    let after = page::key_cursor(query.cursor.as_deref(), is_slug)?;
    let named: Option<Vec<&str>> = query
        .services
        .as_deref()
        .map(|text| text.split(',').map(str::trim).collect());
    for slug in named.iter().flatten() {
        known(&state, "services", slug)?;
    }
    if named.as_ref().is_some_and(|named| named.len() > MAX_NAMED) {
        let detail = format!("names more than {MAX_NAMED} services");
        return Err(ApiError::bad_parameter("services", detail));
    }
    let results = &state.deps.results;
    if let Some([alone]) = named.as_deref() {
        if from.is_none() {
            frame.span.0 = frame.span.1 - WEEK_MS;
        }
        let mut items = Vec::new();
        for span in [frame.span, before(frame.span)] {
            let rows = results.service_comparison(span).await?;
            let row = rows.into_iter().find(|row| row.service == *alone);
            items.extend(row.map(|row| body(row, span)));
        }
        return Ok(Json(frame.body(items, None)));
    }
    let rows = results.service_comparison(frame.span).await?;
    let is_wanted = |row: &ComparisonRow| {
        let slug = row.service.as_str();
        named.as_ref().is_none_or(|named| named.contains(&slug))
    };
    let rows = rows.into_iter().filter(is_wanted);
    let (rows, next) = page_of(rows, after, limit, |row| row.service.as_str());
    let items = rows.into_iter().map(|row| body(row, frame.span));
    Ok(Json(frame.body(items.collect(), next)))
}

/// Returns a span as long, a week before or where the span began if it is longer.
fn before((since_ms, until_ms): (UnixMillis, UnixMillis)) -> (UnixMillis, UnixMillis) {
    let earlier_ms = (until_ms - since_ms).max(WEEK_MS);
    (since_ms - earlier_ms, until_ms - earlier_ms)
}

fn body(row: ComparisonRow, span: (UnixMillis, UnixMillis)) -> ComparisonBody {
    let amount = |text: Option<String>| {
        let decimal = text?.parse::<rust_decimal::Decimal>().ok()?;
        Some(decimal.normalize().to_string())
    };
    ComparisonBody {
        service: row.service,
        from: rfc3339(span.0),
        to: rfc3339(span.1),
        availability: row.availability,
        coverage: row.coverage,
        bad_minutes: minutes(row.bad_s),
        p50_ms: row.p50_ms.map(thousandths),
        p95_ms: row.p95_ms.map(thousandths),
        p99_ms: row.p99_ms.map(thousandths),
        incidents: row.incidents,
        calls: row.calls,
        cost_at_least: amount(row.cost_min),
        cost_at_most: amount(row.cost_max),
        currency: row.currency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_compared_with_one_that_it_does_not_overlap() {
        for (days, earlier) in [(1, 7), (7, 7), (30, 30)] {
            let span = (1_000 * DAY_MS, (1_000 + days) * DAY_MS);
            let shifted = (span.0 - earlier * DAY_MS, span.1 - earlier * DAY_MS);
            assert_eq!(before(span), shifted, "{days} days");
            assert!(shifted.1 <= span.0);
        }
    }
}
