//! Analytics: trends, objectives, noise of alerts, honesty of vendors, services side by side.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Page of an answer over a span.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsBody<T> {
    /// First moment, RFC 3339.
    pub from: String,
    /// First moment that does not count.
    pub to: String,
    /// IANA zone of hours and days.
    pub zone: String,
    pub items: Vec<T>,
    /// Cursor of the next page; null: it was the last.
    pub next: Option<String>,
}

/// How one service changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrendBody {
    /// Slug.
    pub service: String,
    /// 95th percentile of each hour, in ms.
    pub p95: SeriesTrendBody,
    /// Percent of each hour's runs.
    pub availability: SeriesTrendBody,
    /// Null: the span is shorter than two weeks.
    pub week: Option<WeekBody>,
    /// Null without runs.
    pub slowest_phase: Option<PhaseBody>,
    /// Calls by weekday, from Monday, and hour; empty without calls.
    pub usage: Vec<Vec<u64>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeriesTrendBody {
    /// Hours with a value.
    pub hours: usize,
    /// Strength of what repeats every 24 hours, 0 to 1; null below four days.
    pub daily_season: Option<f64>,
    /// The same of 168 hours; null below four weeks.
    pub weekly_season: Option<f64>,
    /// Changes of the level once strong seasons are taken out, oldest first.
    pub changes: Vec<ChangeBody>,
    /// Null below seven days.
    pub slope: Option<SlopeBody>,
    /// Hours of the zone; only with `series=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Vec<PointBody>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointBody {
    pub at: String,
    /// Null: not measured.
    pub value: Option<f64>,
}

/// Change of a level.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeBody {
    pub at: String,
    /// Medians on both sides.
    pub before: f64,
    pub after: f64,
    /// `p < 0.001`
    pub p: String,
    /// The change in words, with the time in the zone.
    pub text: String,
}

/// Steady rise or fall.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlopeBody {
    /// Change in a day (Theil-Sen).
    pub per_day: f64,
    /// Probability of such an order by chance (Mann-Kendall).
    pub p: String,
    pub days: usize,
}

/// Last week of the span beside the one before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeekBody {
    pub last: WeekFiguresBody,
    pub before: WeekFiguresBody,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeekFiguresBody {
    /// Percent of the runs, rounded down; null without runs.
    pub availability: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseBody {
    /// `dns`, `connect`, `tls`, `firstByte` or `body`.
    pub phase: String,
    pub mean_ms: f64,
    /// Percent of all phases.
    pub share: f64,
}

/// One objective, as of now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SloBody {
    pub service: String,
    /// Percent of the time that counts.
    pub target: f64,
    /// Days up to now.
    pub days: i64,
    /// Percent, rounded down; null where nothing is known.
    pub availability: Option<f64>,
    /// Percent of the time that is known.
    pub coverage: Option<f64>,
    pub met: Option<bool>,
    pub budget_minutes: f64,
    pub used_minutes: f64,
    /// Negative where more was used than there was.
    pub left_minutes: f64,
    pub left_percent: Option<f64>,
    /// 1 uses the budget up in just the window.
    pub burn_rate_1h: Option<f64>,
    pub burn_rate_6h: Option<f64>,
    pub burn_rate_1d: Option<f64>,
    /// Last 13 months of UTC, oldest first.
    pub months: Vec<MonthBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonthBody {
    /// `2026-11`
    pub month: String,
    pub availability: Option<f64>,
    pub coverage: Option<f64>,
    pub bad_minutes: f64,
    /// The month is closed; a correction is a further revision.
    pub frozen: bool,
    pub revision: i64,
    pub reason: String,
}

/// Alerts of one rule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoiseBody {
    /// Key of the rule: `SERVICE/NAME`.
    pub rule: String,
    pub service: String,
    pub alert: String,
    pub severity: String,
    pub fired: i64,
    /// Alerts that no person touched.
    pub not_acted_on: i64,
    /// Alerts after which the rule fired again within 24 hours.
    pub refired: i64,
    /// Alerts that fired from 22:00 to 07:00 in the zone.
    pub asleep: i64,
    /// Median seconds until somebody acknowledged.
    pub acknowledge_p50_seconds: Option<i64>,
    pub resolve_p50_seconds: Option<i64>,
    pub resolve_p90_seconds: Option<i64>,
    pub last_fired_at: String,
    /// Only with `advise`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<AdviceBody>,
}

/// Other options of a rule, played over the stored history.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdviceBody {
    /// Alerts that the rule as it is would have fired.
    pub fired: usize,
    /// Outages of the service in the span of which the rule as it is would have notified.
    pub outages: usize,
    /// Best first: those that miss least, then those that fire least.
    pub variants: Vec<VariantBody>,
    /// Options that there was no time for.
    #[serde(default)]
    pub left_out: usize,
    /// The best variant in words; null where none fires less without missing an outage.
    pub text: Option<String>,
    /// The entry of the best variant for `alerts.yaml`, or for `alerts` of the service.
    pub yaml: Option<String>,
    /// The rule is one of a service of the API, so that its page can change it.
    #[serde(default)]
    pub adoptable: bool,
}

/// One variant of the rule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantBody {
    /// Changed option: `duration`, `keepFiringFor` or `threshold`.
    pub option: String,
    pub value: String,
    /// Alerts that would have fired.
    pub fired: usize,
    /// Outages that it would not have notified of, and the rule as it is would have.
    pub missed_outages: usize,
    /// Median of the seconds by which it would have notified of outages later.
    pub later_seconds: Option<i64>,
}

/// A vendor's word beside our clock.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HonestyBody {
    pub service: String,
    pub our_incidents: i64,
    pub vendor_incidents: i64,
    pub we_first: i64,
    pub vendor_first: i64,
    /// Outages of ours that the vendor never declared.
    pub undeclared: i64,
    /// Claims without an outage of ours.
    pub only_vendor: i64,
    /// Median seconds from our first failed run to the vendor's word; below 0: the vendor was first.
    pub lag_p50_seconds: Option<i64>,
    pub our_minutes: f64,
    pub vendor_minutes: f64,
    /// Percent of a month that the contract promises.
    pub sla: Option<f64>,
}

/// Evidence for a credit that a contract promises.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackBody {
    pub service: String,
    /// `2026-11`, of UTC.
    pub month: String,
    /// Percent of the month that the contract promises; null: none is configured.
    pub sla: Option<f64>,
    /// Last day on which a credit can be claimed; null: none is configured.
    pub claim_by: Option<String>,
    /// Percent by our clock, rounded down.
    pub availability: Option<f64>,
    pub coverage: Option<f64>,
    /// Availability is below what was promised.
    pub breached: Option<bool>,
    pub our_minutes: f64,
    /// Minutes of the vendor's own claims.
    pub vendor_minutes: f64,
    /// The month is closed and will not change.
    pub frozen: bool,
    pub incidents: Vec<PackIncidentBody>,
    /// Address of the runs of the month as CSV.
    pub runs: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackIncidentBody {
    pub id: i64,
    /// `ours` or `vendor`.
    pub source: String,
    pub started_at: String,
    pub ended_at: Option<String>,
    /// Seconds within the month.
    pub seconds: i64,
    pub cause: String,
}

/// One service in one span.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonBody {
    pub service: String,
    pub from: String,
    pub to: String,
    /// Percent of the seconds, rounded down.
    pub availability: Option<f64>,
    pub coverage: Option<f64>,
    pub bad_minutes: f64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub incidents: i64,
    pub calls: i64,
    pub cost_at_least: Option<String>,
    pub cost_at_most: Option<String>,
    /// Null without a cost, or with costs in several currencies.
    pub currency: Option<String>,
}
