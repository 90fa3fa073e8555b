//! Rate limits of a service, with what is to be expected of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};

use super::services::SlugPath;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api_types::rate_limits::{LimitForecastBody, RateLimitBody, RateLimitsBody, UseBody};
use crate::api_types::scope::Scope::Read;
use crate::domain::{LimitKey, OutlookKind, RateLimit, UnixMillis, now_ms, outlook_of, use_share};
use crate::store::StoredReading;

/// Limits that are shown: more than any service is known to have.
const MAX_LIMITS: usize = 64;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/services/{slug}/rate-limits", get)
            .id("rateLimitList")
            .summary("Rate limits of a service, with forecasts of when they are used up")
            .description(
                "What answers of the last day said of limits: the last reading of each limit, credential and \
                 partition, and what follows from the last ones: the median pace with its range (Theil and Sen). \
                 A moment at or behind the reset is left out, because the limit starts anew there.",
            ),
    ]
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
) -> ApiResult<Json<RateLimitsBody>> {
    if state.deps.registry.record(&slug).is_none() {
        return Err(ApiError::service_not_found(&slug));
    }
    let now_ms = now_ms();
    let readings = state
        .deps
        .results
        .rate_limit_readings(&slug, now_ms)
        .await?;
    Ok(Json(RateLimitsBody {
        service: slug,
        limits: limits_of(readings, now_ms),
    }))
}

fn limits_of(readings: Vec<StoredReading>, now_ms: UnixMillis) -> Vec<RateLimitBody> {
    let mut by_limit: BTreeMap<LimitKey, Vec<StoredReading>> = BTreeMap::new();
    for reading in readings {
        by_limit
            .entry(reading.limit.key())
            .or_default()
            .push(reading);
    }
    let mut limits: Vec<RateLimitBody> = by_limit
        .values()
        .filter_map(|readings| limit_body(readings, now_ms))
        .collect();
    limits.sort_by_key(|limit| {
        let left = limit.remaining_percent.unwrap_or(100.0);
        (urgency(limit.forecast.outlook), left as u64)
    });
    limits.truncate(MAX_LIMITS);
    limits
}

fn urgency(outlook: OutlookKind) -> u8 {
    match outlook {
        OutlookKind::Exhausted => 0,
        OutlookKind::RunsOut => 1,
        OutlookKind::MayRunOut => 2,
        _ => 3,
    }
}

fn limit_body(readings: &[StoredReading], now_ms: UnixMillis) -> Option<RateLimitBody> {
    let last = readings.last()?;
    let limit = &last.limit;
    let all: Vec<&RateLimit> = readings.iter().map(|reading| &reading.limit).collect();
    let percent = limit
        .remaining
        .zip(limit.quota.filter(|quota| *quota > 0))
        .map(|(remaining, quota)| remaining as f64 * 100.0 / quota as f64);
    Some(RateLimitBody {
        host: limit.host.clone(),
        name: limit.name.clone(),
        credential: limit.credential.clone(),
        partition: limit.partition.clone(),
        unit: limit.unit.clone(),
        quota: limit.quota,
        remaining: limit.remaining,
        remaining_percent: percent,
        used: limit.used,
        reset_at: limit.reset_ms.map(rfc3339),
        window_ms: limit.window_ms,
        refill_per_hour: limit.refill_per_hour,
        read_at: rfc3339(limit.ts_ms),
        probe: last.probe.clone(),
        readings: readings.len() as u32,
        forecast: forecast_body(&all, now_ms),
        share: share(&all),
    })
}

/// Users of the limit since the first reading of the window that the last one is in.
fn share(readings: &[&RateLimit]) -> Option<UseBody> {
    let last = readings.last()?;
    let start = readings
        .iter()
        .rposition(|reading| {
            reading
                .reset_ms
                .is_none_or(|reset_ms| reset_ms <= last.ts_ms)
                || reading.remaining < last.remaining
        })
        .map_or(0, |index| index + 1);
    let window = &readings[start..];
    let first = window.first().filter(|_| window.len() > 1)?;
    let share = use_share(first, last, window.len() as u64 - 1)?;
    Some(UseBody {
        total: share.total,
        ours: share.ours,
        others: share.others,
    })
}

fn forecast_body(readings: &[&RateLimit], now_ms: UnixMillis) -> LimitForecastBody {
    let outlook = outlook_of(readings, now_ms);
    let decline = outlook.decline;
    let moment = |ms: u64| rfc3339(i64::try_from(ms).unwrap_or(i64::MAX).min(FAR_MS));
    let before_reset = |ms: u64| {
        let reset_ms = decline.and_then(|decline| decline.reset_ms);
        reset_ms
            .is_none_or(|reset_ms| ms < reset_ms)
            .then(|| moment(ms))
    };
    LimitForecastBody {
        outlook: outlook.kind,
        summary: summary(outlook.kind, decline.map(|decline| decline.per_minute)),
        per_minute: decline.map(|decline| decline.per_minute),
        per_minute_low: decline.map(|decline| decline.per_minute_low),
        per_minute_high: decline.map(|decline| decline.per_minute_high),
        earliest: decline.and_then(|decline| before_reset(decline.earliest_ms)),
        likely: decline.and_then(|decline| before_reset(decline.likely_ms)),
        latest: decline
            .and_then(|decline| decline.latest_ms)
            .and_then(before_reset),
    }
}

/// The year 2200: further away is no forecast.
const FAR_MS: UnixMillis = 7_258_118_400_000;

fn summary(outlook: OutlookKind, per_minute: Option<f64>) -> String {
    let pace = per_minute.map_or_else(String::new, |pace| format!("at {pace:.1} a minute "));
    match outlook {
        OutlookKind::Unknown => "too few readings of the present window".to_owned(),
        OutlookKind::Anew => "it has started anew since the last reading".to_owned(),
        OutlookKind::Exhausted => "nothing is left".to_owned(),
        OutlookKind::DoesNotFollow => "this figure does not follow the use".to_owned(),
        OutlookKind::Unused => "it is not being used up".to_owned(),
        OutlookKind::Lasts => format!("{pace}it lasts until it starts anew"),
        OutlookKind::MayRunOut => format!("{pace}it may be used up before it starts anew"),
        OutlookKind::RunsOut => format!("{pace}it will be used up before it starts anew"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One reading a minute that uses `pace`, in a window of an hour.
    fn readings(name: &str, pace: u64) -> Vec<StoredReading> {
        let reading = |minute: u64| StoredReading {
            probe: "http".to_owned(),
            limit: RateLimit {
                ts_ms: minute as i64 * 60_000,
                host: "api.example.com".to_owned(),
                name: name.to_owned(),
                quota: Some(5_000),
                remaining: Some(4_000 - minute * pace),
                reset_ms: Some(3_600_000),
                ..RateLimit::default()
            },
        };
        (0..20).map(reading).collect()
    }

    #[test]
    fn the_limit_that_runs_out_first_comes_first_with_its_moments() {
        let mut all = readings("a", 10);
        all.extend(readings("b", 100));
        let limits = limits_of(all, 19 * 60_000);
        let names: Vec<&str> = limits.iter().map(|limit| limit.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        let (runs_out, lasts) = (&limits[0].forecast, &limits[1].forecast);
        assert_eq!(runs_out.outlook, OutlookKind::RunsOut);
        assert_eq!(runs_out.likely.as_deref(), Some("1970-01-01T00:40:00.000Z"));
        assert_eq!((lasts.outlook, &lasts.likely), (OutlookKind::Lasts, &None));
        let share = limits[0].share.as_ref().unwrap();
        assert_eq!((share.total, share.ours, share.others), (1_900, 19, 1_881));
    }

    #[test]
    fn another_credential_has_another_quota() {
        let mut all = readings("core", 10);
        for reading in readings("core", 100) {
            let limit = RateLimit {
                credential: Some("batch".to_owned()),
                ..reading.limit
            };
            all.push(StoredReading { limit, ..reading });
        }
        assert_eq!(limits_of(all, 19 * 60_000).len(), 2);
    }
}
