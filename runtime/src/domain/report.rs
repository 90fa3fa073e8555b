//! Reports: what is asked for, the calendar periods they are about, and what becomes of a run. Pure.

use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone,
};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::UnixMillis;
use super::mute::CronSchedule;

/// Longest gap of a zone's clocks, in minutes: a day, where the date line is crossed.
const LONGEST_GAP_MINUTES: i64 = 26 * 60;
const HOUR_MS: i64 = 3_600_000;
/// A moment that passed longer ago than this is not made up.
const REACH_S: i64 = 62 * 86_400;

/// A report as it was checked.
#[derive(Debug, Clone)]
pub struct ReportDefinition {
    pub name: String,
    pub title: String,
    /// None: it is made by hand only.
    pub schedule: Option<ReportSchedule>,
    pub zone: Tz,
    pub span: ReportSpan,
    /// Names of channels.
    pub channels: Vec<String>,
    /// Files that go with a mail, beside its text.
    pub formats: Vec<ReportFormat>,
    pub sections: Vec<ReportSection>,
    /// The entry as it was written.
    pub spec: Value,
}

#[derive(Debug, Clone)]
pub struct ReportSchedule {
    /// The schedule and its zone as one text: another text is another schedule.
    pub text: String,
    pub cron: CronSchedule,
}

impl ReportSchedule {
    /// Returns the newest moment that has come since the schedule holds: of several that were
    /// missed, only that one is made up.
    pub fn due(&self, since_ms: UnixMillis, now_ms: UnixMillis) -> Option<UnixMillis> {
        let latest_s = self.cron.latest_until(now_ms.div_euclid(1_000), REACH_S)?;
        let latest_ms = latest_s.checked_mul(1_000)?;
        (latest_ms > since_ms).then_some(latest_ms)
    }
}

/// Calendar period that a report is about: the last one that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportSpan {
    Day,
    /// From Monday.
    Week,
    Month,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    Html,
    Pdf,
    Csv,
    Json,
    Parquet,
}

impl ReportFormat {
    pub const ALL: [ReportFormat; 5] = [
        ReportFormat::Html,
        ReportFormat::Pdf,
        ReportFormat::Csv,
        ReportFormat::Json,
        ReportFormat::Parquet,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ReportFormat::Html => "html",
            ReportFormat::Pdf => "pdf",
            ReportFormat::Csv => "csv",
            ReportFormat::Json => "json",
            ReportFormat::Parquet => "parquet",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    pub fn media_type(self) -> &'static str {
        match self {
            ReportFormat::Html => "text/html; charset=utf-8",
            ReportFormat::Pdf => "application/pdf",
            ReportFormat::Csv => "text/csv; charset=utf-8",
            ReportFormat::Json => "application/json",
            ReportFormat::Parquet => "application/vnd.apache.parquet",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReportSection {
    pub title: String,
    pub content: ReportContent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ReportContent {
    Numbers(Vec<ReportNumber>),
    Chart(ReportChart),
    Table(ReportTable),
    Sql {
        source: ReportSql,
        is_chart: bool,
    },
    /// A template whose text is Markdown.
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportSql {
    Text(String),
    /// Name of a saved query.
    Saved(String),
}

/// A figure of all services, beside that of the period before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportNumber {
    /// Percent of the seconds that count, rounded down.
    Availability,
    /// Outages of ours that began.
    Incidents,
    /// Seconds in which services were not available.
    Downtime,
    /// 95th percentile of the latency.
    P95,
    /// Calls to the services.
    Calls,
    /// Cost of the calls, by currency.
    Cost,
    /// Alerts that fired.
    Alerts,
}

/// Bars by day, or by hour where the period is a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportChart {
    /// Minutes of outages.
    Downtime,
    /// Calls to the services.
    Calls,
    /// Cost of the calls, a chart for each currency.
    Cost,
    /// Alerts that fired.
    Alerts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportTable {
    /// Availability, outages and latency of each service, the worst first.
    Services,
    /// Outages with the claims of the vendors.
    Incidents,
    /// Who knew first, and which outages vendors never declared.
    Vendors,
    /// Calls and cost of each service, the dearest first.
    Cost,
    /// Months that missed what a contract promises, and until when to claim.
    Claims,
    /// Alerts by how often they fired, and how often somebody acted.
    Noise,
}

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportRunState {
    Scheduled,
    Rendering,
    /// Its messages are on their way, or delivered.
    Sent,
    /// The same, after it should have been.
    Late,
    /// The same, and a section could not be made.
    Incomplete,
    /// Nothing was sent.
    Failed,
}

impl ReportRunState {
    pub const ALL: [ReportRunState; 6] = [
        ReportRunState::Scheduled,
        ReportRunState::Rendering,
        ReportRunState::Sent,
        ReportRunState::Late,
        ReportRunState::Incomplete,
        ReportRunState::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ReportRunState::Scheduled => "scheduled",
            ReportRunState::Rendering => "rendering",
            ReportRunState::Sent => "sent",
            ReportRunState::Late => "late",
            ReportRunState::Incomplete => "incomplete",
            ReportRunState::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A calendar period of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportPeriod {
    pub first: NaiveDate,
    /// Day behind the last one.
    pub end: NaiveDate,
    pub zone: Tz,
}

impl ReportPeriod {
    /// Returns the last period of a span that was over at a moment. None: no calendar has it.
    pub fn before(at_ms: UnixMillis, span: ReportSpan, zone: Tz) -> Option<Self> {
        let today = DateTime::from_timestamp_millis(at_ms)?
            .with_timezone(&zone)
            .date_naive();
        let end = match span {
            ReportSpan::Day => today,
            ReportSpan::Week => {
                let since_monday = today.weekday().num_days_from_monday();
                today.checked_sub_days(Days::new(since_monday.into()))?
            }
            ReportSpan::Month => today.with_day(1)?,
        };
        Self {
            first: end,
            end,
            zone,
        }
        .previous(span)
    }

    /// Returns the period of the same span before this one.
    pub fn previous(self, span: ReportSpan) -> Option<Self> {
        let end = self.first;
        let first = match span {
            ReportSpan::Day => end.checked_sub_days(Days::new(1)),
            ReportSpan::Week => end.checked_sub_days(Days::new(7)),
            ReportSpan::Month => end.checked_sub_months(Months::new(1)),
        };
        Some(Self {
            first: first?,
            end,
            ..self
        })
    }

    pub fn from_ms(self) -> UnixMillis {
        midnight(self.first, self.zone)
    }

    pub fn to_ms(self) -> UnixMillis {
        midnight(self.end, self.zone)
    }

    /// `2026-11-16/2026-11-23`
    pub fn key(self) -> String {
        format!("{}/{}", self.first, self.end)
    }

    /// Reads what [`Self::key`] wrote.
    pub fn from_key(key: &str, zone: Tz) -> Option<Self> {
        let (first, end) = key.split_once('/')?;
        Some(Self {
            first: first.parse().ok()?,
            end: end.parse().ok()?,
            zone,
        })
    }

    /// `16 Nov – 22 Nov 2026 (Europe/Berlin)`
    pub fn text(self) -> String {
        let last = self.end.pred_opt().unwrap_or(self.first);
        let zone = self.zone.name();
        if last <= self.first {
            return format!("{} ({zone})", self.first.format("%-d %b %Y"));
        }
        format!(
            "{} – {} ({zone})",
            self.first.format("%-d %b"),
            last.format("%-d %b %Y")
        )
    }

    /// Returns its days, or the hours of a single one, each with its label: the hours of a day on
    /// which clocks are changed are 23 or 25.
    pub fn parts(self) -> Vec<(String, UnixMillis, UnixMillis)> {
        if self.first.succ_opt() == Some(self.end) {
            return self.hours();
        }
        self.first
            .iter_days()
            .take_while(|day| *day < self.end)
            .map(|day| {
                let next = day.succ_opt().unwrap_or(day);
                let label = day.format("%-d %b").to_string();
                (label, midnight(day, self.zone), midnight(next, self.zone))
            })
            .collect()
    }

    fn hours(self) -> Vec<(String, UnixMillis, UnixMillis)> {
        let (from_ms, to_ms) = (self.from_ms(), self.to_ms());
        let count = (to_ms - from_ms + HOUR_MS - 1) / HOUR_MS;
        let hour = |index: i64| {
            let begin_ms = from_ms + index * HOUR_MS;
            let label = DateTime::from_timestamp_millis(begin_ms)
                .unwrap_or_default()
                .with_timezone(&self.zone)
                .format("%H:%M")
                .to_string();
            (label, begin_ms, (begin_ms + HOUR_MS).min(to_ms))
        };
        (0..count).map(hour).collect()
    }
}

/// Begin of a day: its first moment where clocks leave midnight out, the earlier one where it comes
/// twice.
fn midnight(day: NaiveDate, zone: Tz) -> UnixMillis {
    let local = day.and_time(NaiveTime::MIN);
    let begin = match zone.from_local_datetime(&local) {
        LocalResult::Single(begin) => Some(begin),
        LocalResult::Ambiguous(first, _) => Some(first),
        LocalResult::None => (1..=LONGEST_GAP_MINUTES).find_map(|minutes| {
            let after = local.checked_add_signed(TimeDelta::minutes(minutes))?;
            zone.from_local_datetime(&after).earliest()
        }),
    };
    begin.map_or_else(
        || local.and_utc().timestamp_millis(),
        |begin| begin.timestamp_millis(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    fn ms(text: &str) -> UnixMillis {
        DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_millis()
    }

    #[test]
    fn a_period_is_the_last_one_that_is_over_by_the_clocks_of_its_zone() {
        for (at, span, wanted) in [
            (
                "2026-11-23T07:00:00Z",
                ReportSpan::Week,
                "2026-11-16/2026-11-23",
            ),
            (
                "2026-11-22T23:30:00Z",
                ReportSpan::Week,
                "2026-11-16/2026-11-23",
            ),
            (
                "2026-11-22T22:30:00Z",
                ReportSpan::Week,
                "2026-11-09/2026-11-16",
            ),
            (
                "2026-11-22T22:30:00Z",
                ReportSpan::Day,
                "2026-11-21/2026-11-22",
            ),
            (
                "2026-03-01T07:00:00Z",
                ReportSpan::Month,
                "2026-02-01/2026-03-01",
            ),
            (
                "2026-01-31T12:00:00Z",
                ReportSpan::Month,
                "2025-12-01/2026-01-01",
            ),
        ] {
            let period = ReportPeriod::before(ms(at), span, BERLIN).unwrap();
            assert_eq!(period.key(), wanted, "{at}");
        }
    }

    #[test]
    fn of_several_missed_moments_only_the_newest_is_made_up_and_none_from_before_the_schedule() {
        let schedule = ReportSchedule {
            text: "0 8 * * 1 Europe/Berlin".to_owned(),
            cron: CronSchedule::parse("0 8 * * 1", "Europe/Berlin", "").unwrap(),
        };
        let due = |since: &str, now: &str| schedule.due(ms(since), ms(now));
        let monday = Some(ms("2026-11-23T08:00:00+01:00"));
        // Down for four weeks, over the change of clocks.
        assert_eq!(due("2026-10-20T00:00:00Z", "2026-11-25T00:00:00Z"), monday);
        assert_eq!(due("2026-11-23T06:59:59Z", "2026-11-23T07:00:00Z"), monday);
        assert_eq!(due("2026-11-16T00:00:00Z", "2026-11-16T06:59:59Z"), None);
        assert_eq!(due("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"), None);
        let october = Some(ms("2026-10-19T08:00:00+02:00"));
        assert_eq!(due("2026-10-01T00:00:00Z", "2026-10-25T20:00:00Z"), october);
    }

    #[test]
    fn the_day_on_which_clocks_go_back_has_25_hours_and_that_on_which_they_go_forward_23() {
        for (at, hours) in [
            ("2026-10-26T07:00:00Z", 25),
            ("2026-03-30T07:00:00Z", 23),
            ("2026-03-31T07:00:00Z", 24),
        ] {
            let period = ReportPeriod::before(ms(at), ReportSpan::Day, BERLIN).unwrap();
            let parts = period.parts();
            assert_eq!(parts.len(), hours, "{at}");
            assert_eq!(period.to_ms() - period.from_ms(), hours as i64 * HOUR_MS);
            assert!(parts.windows(2).all(|pair| pair[0].2 == pair[1].1));
            assert_eq!(parts[parts.len() - 1].2, period.to_ms());
        }
        let week = ReportPeriod::before(ms("2026-10-26T07:00:00Z"), ReportSpan::Week, BERLIN);
        let week = week.unwrap();
        assert_eq!(week.from_ms(), ms("2026-10-19T00:00:00+02:00"));
        assert_eq!(week.to_ms(), ms("2026-10-26T00:00:00+01:00"));
        assert_eq!(week.parts().len(), 7);
        assert_eq!(week.text(), "19 Oct – 25 Oct 2026 (Europe/Berlin)");
    }

    #[test]
    fn a_day_without_midnight_begins_at_its_first_moment() {
        let zone = chrono_tz::America::Santiago;
        let day = NaiveDate::from_ymd_opt(2024, 9, 8).unwrap();
        assert_eq!(midnight(day, zone), ms("2024-09-08T01:00:00-03:00"));
    }

    #[test]
    fn the_period_before_a_month_is_the_month_before() {
        let march = ReportPeriod::before(ms("2026-04-02T00:00:00Z"), ReportSpan::Month, BERLIN);
        let february = march.unwrap().previous(ReportSpan::Month).unwrap();
        assert_eq!(february.key(), "2026-02-01/2026-03-01");
    }
}
