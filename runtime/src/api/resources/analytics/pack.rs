//! Evidence for a credit that a contract promises: a month of one service, by our clock and by the
//! vendor's.

use axum::Json;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{known, minutes};
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api::resources::sql::{csv_field, csv_line};
use crate::api_types::analytics::{PackBody, PackIncidentBody};
use crate::domain::{IncidentSource, Observation, UnixMillis, now_ms};
use crate::store::{IncidentFilter, IncidentRow};

const MAX_INCIDENTS: usize = 1_000;

/// Runs of a file: a probe that runs every 15 seconds has 178,560 in a month.
const MAX_RUNS: usize = 200_000;

const RUNS_AT_ONCE: usize = 10_000;

/// Revisions of old months are looked up as far back.
const MONTHS: u32 = 1_200;

struct Month {
    first: Date,
    span: (UnixMillis, UnixMillis),
}

impl Month {
    fn parse(text: &str) -> Option<Self> {
        let is_month = text.len() == 7 && text.is_ascii();
        let first: Date = format!("{text}-01").parse().ok().filter(|_| is_month)?;
        let next = first.checked_add(1.month()).ok()?;
        let start = |date: Date| {
            let moment = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
            Some(moment.as_millisecond())
        };
        let span = (start(first)?, start(next)?);
        // The years that the store can compute with.
        (0..7_258_118_400_000)
            .contains(&span.0)
            .then_some(Self { first, span })
    }

    /// Last day on which a credit can be claimed.
    fn claim_by(&self, days: u32) -> Option<String> {
        let last = self.first.last_of_month();
        Some(last.checked_add(i64::from(days).days()).ok()?.to_string())
    }

    /// Part of an incident within the month; empty where it ends before it begins.
    fn overlap(&self, incident: &IncidentRow, now_ms: UnixMillis) -> (UnixMillis, UnixMillis) {
        let ended_ms = incident.ended_ms.unwrap_or(now_ms).min(self.span.1);
        (incident.started_ms.max(self.span.0), ended_ms)
    }
}

/// Seconds that at least one of the spans covers.
fn covered_s(mut spans: Vec<(UnixMillis, UnixMillis)>) -> i64 {
    spans.sort_unstable();
    let (mut covered_ms, mut until_ms) = (0, UnixMillis::MIN);
    for (from_ms, to_ms) in spans {
        covered_ms += (to_ms - from_ms.max(until_ms)).max(0);
        until_ms = until_ms.max(to_ms);
    }
    covered_ms / 1_000
}

pub(super) async fn answer(
    state: &ApiState,
    slug: &str,
    month: &str,
    format: Option<&str>,
) -> ApiResult<Response> {
    known(state, "pack", slug)?;
    let parsed = Month::parse(month).ok_or_else(|| {
        ApiError::bad_parameter(
            "month",
            format!("`{month}` is not a month; write e.g. `2026-11`"),
        )
    })?;
    match format {
        None | Some("json") => Ok(Json(body(state, slug, month, &parsed).await?).into_response()),
        Some("csv") => {
            let text = runs(state, slug, &parsed).await?;
            let name = format!("attachment; filename=\"{slug}-{month}.csv\"");
            let headers = [
                (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
                (CONTENT_DISPOSITION, name),
            ];
            Ok((headers, text).into_response())
        }
        Some(other) => Err(ApiError::bad_parameter(
            "format",
            format!("`{other}` is not a format; write `json` or `csv`"),
        )),
    }
}

async fn body(state: &ApiState, slug: &str, name: &str, month: &Month) -> ApiResult<PackBody> {
    let results = &state.deps.results;
    let slugs = (slug.to_owned(), slug.to_owned());
    let counted = results.month_list(slugs, MONTHS).await?;
    let counted = counted.into_iter().find(|row| row.month == name);
    let filter = IncidentFilter {
        service: Some(slug.to_owned()),
        from_ms: Some(month.span.0),
        until_ms: Some(month.span.1),
        ..IncidentFilter::default()
    };
    let found = results.incident_page(filter, MAX_INCIDENTS).await?;
    let now_ms = now_ms();
    let is_vendors = |incident: &&IncidentRow| {
        incident.source == IncidentSource::Vendor.as_str() && incident.kind != "maintenance"
    };
    let claims = found.iter().filter(is_vendors);
    let claims = claims.map(|incident| month.overlap(incident, now_ms));
    let vendor_s = covered_s(claims.collect());
    let catalog = state.deps.registry.catalog();
    let contract = catalog
        .described(slug)
        .and_then(|service| service.profile.contract);
    let sla = contract.and_then(|contract| contract.sla);
    let availability = counted.as_ref().and_then(|row| row.availability);
    let claim_days = contract.and_then(|contract| contract.claim_days);
    Ok(PackBody {
        service: slug.to_owned(),
        month: name.to_owned(),
        sla,
        claim_by: claim_days.and_then(|days| month.claim_by(days)),
        availability,
        coverage: counted.as_ref().and_then(|row| row.coverage),
        breached: availability
            .zip(sla)
            .map(|(availability, sla)| availability < sla),
        our_minutes: minutes(counted.as_ref().map_or(0, |row| row.bad_s)),
        vendor_minutes: minutes(vendor_s),
        frozen: counted.as_ref().is_some_and(|row| row.is_frozen),
        incidents: found
            .iter()
            .rev()
            .map(|row| incident(row, covered_s(vec![month.overlap(row, now_ms)])))
            .collect(),
        runs: format!("/api/v1/analytics/honesty?pack={slug}&month={name}&format=csv"),
    })
}

fn incident(row: &IncidentRow, seconds: i64) -> PackIncidentBody {
    PackIncidentBody {
        id: row.id,
        source: row.source.clone(),
        started_at: rfc3339(row.started_ms),
        ended_at: row.ended_ms.map(rfc3339),
        seconds,
        cause: row.cause.clone(),
    }
}

/// Writes the runs of the month as CSV.
async fn runs(state: &ApiState, slug: &str, month: &Month) -> ApiResult<String> {
    let mut text = String::new();
    let header = [
        "ts",
        "run_id",
        "probe",
        "location",
        "status",
        "latency_us",
        "http_status",
        "error_kind",
        "error",
        "missed",
        "excluded",
    ];
    csv_line(&mut text, header.into_iter().map(str::to_owned));
    let (mut after, mut written) = (-1, 0);
    loop {
        let results = &state.deps.results;
        let found = results
            .observation_span(slug, after, month.span, RUNS_AT_ONCE)
            .await?;
        for run in &found {
            csv_line(&mut text, fields(run).into_iter());
        }
        written += found.len();
        if written > MAX_RUNS {
            let detail = format!(
                "the month has more than {MAX_RUNS} runs; take them from `observations` with `extrack sql -o runs.parquet`"
            );
            return Err(ApiError::bad_parameter("month", detail));
        }
        match found.last() {
            Some(last) if found.len() == RUNS_AT_ONCE => after = last.run_id,
            _ => return Ok(text),
        }
    }
}

fn fields(run: &Observation) -> [String; 11] {
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let failure = run.failure.as_ref();
    [
        rfc3339(run.ts_ms),
        run.run_id.to_string(),
        csv_field(&run.probe),
        csv_field(&run.location),
        run.status.as_str().to_owned(),
        number(run.latency_us),
        number(run.http_status.map(u64::from)),
        failure.map_or_else(String::new, |failure| failure.kind.as_str().to_owned()),
        failure.map_or_else(String::new, |failure| csv_field(&failure.message)),
        run.missed.to_string(),
        run.excluded
            .map_or_else(String::new, |excluded| excluded.as_str().to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_overlap_count_once() {
        let minute_ms = 60_000;
        let spans = [(50, 55), (10, 40), (20, 30), (35, 52), (70, 60), (80, 81)];
        let spans = spans.map(|(from, to)| (from * minute_ms, to * minute_ms));
        assert_eq!(covered_s(spans.to_vec()), 46 * 60);
        assert_eq!(covered_s(Vec::new()), 0);
    }

    #[test]
    fn months_have_their_days_and_the_last_day_of_a_claim() {
        let month = Month::parse("2026-11").unwrap();
        assert_eq!(rfc3339(month.span.0), "2026-11-01T00:00:00.000Z");
        assert_eq!(rfc3339(month.span.1), "2026-12-01T00:00:00.000Z");
        assert_eq!(month.claim_by(30).as_deref(), Some("2026-12-30"));
        let leap = Month::parse("2028-02").unwrap();
        assert_eq!(leap.claim_by(1).as_deref(), Some("2028-03-01"));
        for text in [
            "2026-13",
            "2026-1",
            "november",
            "",
            "2026-11-01",
            "1960-01",
            "9999-12",
        ] {
            assert!(Month::parse(text).is_none(), "{text}");
        }
    }
}
