//! `GET /api/v1/analytics/noise`

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::{Extension, Json};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Frame, MAX_DAYS, advice, limit};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page;
use crate::api::http::state::ApiState;
use crate::api_types::analytics::{AnalyticsBody, NoiseBody};
use crate::api_types::scope::Scope;
use crate::domain::UnixMillis;
use crate::store::NoiseRow;

const MOST: u32 = 200;

/// Hours in which people sleep: from the first, past midnight, to before the second.
const NIGHT: (i8, i8) = (22, 7);

/// A backtest of more takes minutes.
const MAX_ADVISED_DAYS: i64 = 31;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoiseQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = r"^[0-9]{1,6}$"))]
    pub(crate) cursor: Option<String>,
    /// 1 to 1000, of which 200 are answered at most.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) limit: Option<u32>,
    /// Beginning, RFC 3339 with an offset. Default: 30 days before `to`.
    pub(crate) from: Option<String>,
    /// First moment that does not count. Default: now.
    pub(crate) to: Option<String>,
    /// IANA zone in which people sleep. Default: `UTC`.
    pub(crate) zone: Option<String>,
    /// Only the service with that slug.
    pub(crate) service: Option<String>,
    /// Key of a rule, `SERVICE/NAME`: what other options of it would have done; at most 31 days.
    /// Needs the scope `write`.
    pub(crate) advise: Option<String>,
}

/// The most often fired first; the cursor is the number of rows before.
pub(crate) async fn noise(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(query): Query<NoiseQuery>,
) -> ApiResult<Json<AnalyticsBody<NoiseBody>>> {
    // Minutes of computing.
    if query.advise.is_some() && !principal.may(Scope::Write) {
        return Err(ApiError::scope_missing(Scope::Write));
    }
    let frame = Frame::read(
        query.from.as_deref(),
        query.to.as_deref(),
        query.zone.as_deref(),
        if query.advise.is_some() {
            MAX_ADVISED_DAYS
        } else {
            MAX_DAYS
        },
    )?;
    let limit = limit(query.limit, MOST)? as usize;
    let cursor = page::key_cursor(query.cursor.as_deref(), |text| {
        text.len() <= 6 && text.parse::<usize>().is_ok()
    })?;
    let start = cursor.and_then(|text| text.parse().ok()).unwrap_or(0);
    let results = &state.deps.results;
    let rows = results.alert_noise(frame.span).await?;
    let moments = results.alert_fired_moments(frame.span).await?;
    let asleep = asleep(&moments, &frame.time_zone());
    let is_wanted = |row: &NoiseRow| {
        let is_service = query
            .service
            .as_ref()
            .is_none_or(|slug| *slug == row.service);
        is_service && query.advise.as_ref().is_none_or(|rule| *rule == row.rule)
    };
    let rows: Vec<NoiseRow> = rows.into_iter().filter(is_wanted).collect();
    let next = (rows.len() > start + limit).then(|| (start + limit).to_string());
    let page = rows.into_iter().skip(start).take(limit);
    let mut items: Vec<NoiseBody> = page
        .map(|row| {
            let asleep = asleep.get(&row.rule).copied().unwrap_or(0);
            body(row, asleep)
        })
        .collect();
    if let Some(rule) = &query.advise {
        let Some(item) = items.first_mut() else {
            let detail = format!("no alert of a rule `{rule}` fired in this span");
            return Err(ApiError::bad_parameter("advise", detail));
        };
        let _turn = turn(&state.advice)?;
        let advice = advice::advise(&state, rule, frame.span, &principal.name).await?;
        item.advice = Some(advice);
    }
    Ok(Json(frame.body(items, next)))
}

/// One rule at a time is played over the history.
fn turn(advice: &Semaphore) -> ApiResult<SemaphorePermit<'_>> {
    let busy =
        |_| ApiError::busy("another rule is being backtested for advice; retry when it is done");
    advice.try_acquire().map_err(busy)
}

fn body(row: NoiseRow, asleep: i64) -> NoiseBody {
    NoiseBody {
        rule: row.rule,
        service: row.service,
        alert: row.alert,
        severity: row.severity,
        fired: row.fired,
        not_acted_on: row.not_acted_on,
        refired: row.refired,
        asleep,
        acknowledge_p50_seconds: row.acknowledge_p50_s,
        resolve_p50_seconds: row.resolve_p50_s,
        resolve_p90_seconds: row.resolve_p90_s,
        last_fired_at: rfc3339(row.last_fired_ms),
        advice: None,
    }
}

/// Counts alerts that fired at night, by rule.
fn asleep(moments: &[(String, UnixMillis)], zone: &TimeZone) -> HashMap<String, i64> {
    let mut counts = HashMap::new();
    for (rule, fired_ms) in moments {
        let moment = jiff::Timestamp::from_millisecond(*fired_ms).unwrap_or_default();
        let hour = moment.to_zoned(zone.clone()).hour();
        if hour >= NIGHT.0 || hour < NIGHT.1 {
            *counts.entry(rule.clone()).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time_zone;

    #[test]
    fn one_rule_is_advised_on_at_a_time() {
        let advice = Semaphore::new(1);
        let first = turn(&advice).expect("a turn");
        assert!(turn(&advice).is_err());
        drop(first);
        assert!(turn(&advice).is_ok());
    }

    #[test]
    fn the_night_is_that_of_the_zone() {
        // 05:30, 06:30 and 21:30 UTC on 24 November 2026: 06:30, 07:30 and 22:30 in Berlin.
        let moments = [1_795_498_200_000, 1_795_501_800_000, 1_795_555_800_000];
        let moments = moments.map(|ms| ("a/b".to_owned(), ms));
        let berlin = time_zone(chrono_tz::Europe::Berlin);
        assert_eq!(asleep(&moments, &berlin)["a/b"], 2);
        assert_eq!(asleep(&moments, &TimeZone::UTC)["a/b"], 2);
        assert_eq!(asleep(&moments[..1], &berlin)["a/b"], 1);
    }
}
