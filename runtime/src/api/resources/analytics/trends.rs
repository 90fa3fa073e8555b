//! `GET /api/v1/analytics/trends`

use axum::Json;
use axum::extract::{Query, State};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Frame, is_slug, known, limit, page_of, thousandths};
use crate::analytics::statistics::{HOUR_MS, p_text, sentence};
use crate::analytics::{Analytics, Trend, TrendOf, WeekFigures};
use crate::api::http::error::ApiResult;
use crate::api::http::moment::rfc3339;
use crate::api::http::page;
use crate::api::http::state::ApiState;
use crate::api_types::analytics::{
    AnalyticsBody, ChangeBody, PhaseBody, PointBody, SeriesTrendBody, SlopeBody, TrendBody,
    WeekBody, WeekFiguresBody,
};
use crate::store::PhaseSums;

/// Services of an answer: each takes tens of milliseconds of computing.
const MOST: u32 = 20;

const MAX_DAYS: i64 = 90;

const PHASES: [&str; 5] = ["dns", "connect", "tls", "firstByte", "body"];

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrendQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"))]
    pub(crate) cursor: Option<String>,
    /// 1 to 1000, of which 20 are answered at most.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) limit: Option<u32>,
    /// Only the service with that slug.
    pub(crate) service: Option<String>,
    /// Beginning, RFC 3339 with an offset. Default: 30 days before `to`.
    pub(crate) from: Option<String>,
    /// First moment that does not count. Default: now.
    pub(crate) to: Option<String>,
    /// IANA zone of hours, days and times in words. Default: `UTC`.
    pub(crate) zone: Option<String>,
    /// The hourly values as well; needs a `service`.
    #[serde(default)]
    pub(crate) series: bool,
}

pub(crate) async fn trends(
    State(state): State<ApiState>,
    Query(query): Query<TrendQuery>,
) -> ApiResult<Json<AnalyticsBody<TrendBody>>> {
    let frame = Frame::read(
        query.from.as_deref(),
        query.to.as_deref(),
        query.zone.as_deref(),
        MAX_DAYS,
    )?;
    let limit = limit(query.limit, MOST)?;
    let after = page::key_cursor(query.cursor.as_deref(), is_slug)?;
    if let Some(slug) = &query.service {
        known(&state, "service", slug)?;
    }
    let catalog = state.deps.registry.catalog();
    let slugs = catalog.services.keys().filter(|slug| {
        let wanted = query.service.as_ref();
        wanted.is_none_or(|wanted| wanted == *slug)
    });
    let (slugs, next) = page_of(slugs.cloned(), after, limit, |slug: &String| slug.as_str());
    let analytics = Analytics::new(state.deps.results.clone());
    let zone = frame.time_zone();
    // Whole hours.
    let span = (
        frame.span.0.div_euclid(HOUR_MS) * HOUR_MS,
        -(-frame.span.1).div_euclid(HOUR_MS) * HOUR_MS,
    );
    let mut items = Vec::with_capacity(slugs.len());
    let with_series = query.series && query.service.is_some();
    for slug in &slugs {
        let trend = analytics.trend(slug, span, &zone).await?;
        items.push(body(trend, with_series, &zone));
    }
    Ok(Json(frame.body(items, next)))
}

fn body(trend: Trend, with_series: bool, zone: &TimeZone) -> TrendBody {
    TrendBody {
        service: trend.service,
        p95: series_body(&trend.p95, ("p95", "ms", 0), with_series, zone),
        availability: series_body(
            &trend.availability,
            ("availability", "%", 2),
            with_series,
            zone,
        ),
        week: trend.weeks.map(|(last, before)| WeekBody {
            last: week_body(&last),
            before: week_body(&before),
        }),
        slowest_phase: slowest(&trend.phases),
        usage: trend.usage.iter().map(|hours| hours.to_vec()).collect(),
    }
}

/// The series is named with its unit, and levels are written with so many decimals.
fn series_body(
    trend: &TrendOf,
    (name, unit, decimals): (&str, &str, usize),
    with_series: bool,
    zone: &TimeZone,
) -> SeriesTrendBody {
    // Down, so that what is below 100 % never becomes 100 %.
    let written = |value: f64| match decimals {
        0 => format!("{value:.0}"),
        _ => format!("{:.decimals$}", (value * 100.0).floor() / 100.0),
    };
    let changes = trend.changes.iter().map(|change| ChangeBody {
        at: rfc3339(change.at_ms),
        before: thousandths(change.before),
        after: thousandths(change.after),
        p: p_text(change.p),
        text: sentence(name, change, unit, written, zone),
    });
    let points = || {
        let points = trend.series.at_ms.iter().zip(&trend.series.values);
        let point = |(at_ms, value): (&i64, &Option<f64>)| PointBody {
            at: rfc3339(*at_ms),
            value: value.map(thousandths),
        };
        points.map(point).collect()
    };
    SeriesTrendBody {
        hours: trend.series.measured(),
        daily_season: trend.daily.map(thousandths),
        weekly_season: trend.weekly.map(thousandths),
        changes: changes.collect(),
        slope: trend.slope.map(|slope| SlopeBody {
            per_day: thousandths(slope.per_day),
            p: p_text(slope.p),
            days: slope.days,
        }),
        series: with_series.then(points),
    }
}

fn week_body(week: &WeekFigures) -> WeekFiguresBody {
    let counted = u128::from(week.up + week.down);
    let share = (u128::from(week.up) * 100_000).checked_div(counted);
    let ms = |us: Option<u64>| us.map(|us| us as f64 / 1_000.0);
    WeekFiguresBody {
        availability: share.map(|share| share as f64 / 1_000.0),
        p50_ms: ms(week.p50_us),
        p95_ms: ms(week.p95_us),
    }
}

fn slowest(phases: &PhaseSums) -> Option<PhaseBody> {
    let total: i64 = phases.us.iter().sum();
    let (phase, us) = PHASES.iter().zip(phases.us).max_by_key(|(_, us)| *us)?;
    if phases.runs == 0 || total == 0 {
        return None;
    }
    Some(PhaseBody {
        phase: (*phase).to_owned(),
        mean_ms: thousandths(us as f64 / phases.runs as f64 / 1_000.0),
        share: thousandths(us as f64 * 100.0 / total as f64),
    })
}
