//! Rate limits of a service, with what is to be expected of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::OutlookKind;

/// The rate limits of a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitsBody {
    /// Slug.
    pub service: String,
    /// Limits of which something was said within the last day, those that run out first.
    pub limits: Vec<RateLimitBody>,
}

/// One limit, by its last reading.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitBody {
    /// Host that answered.
    pub host: String,
    /// The service's name of the limit; `default` if it has none.
    pub name: String,
    /// Name of the credential that was used; null: none.
    pub credential: Option<String>,
    /// The service's key of our part of the quota.
    pub partition: Option<String>,
    /// Unit that is counted; null: requests, or it is not known.
    pub unit: Option<String>,
    /// The most in one window; null: not said.
    pub quota: Option<u64>,
    /// Null: not said.
    pub remaining: Option<u64>,
    pub remaining_percent: Option<f64>,
    /// Used in the window, where the service reports it.
    pub used: Option<u64>,
    /// End of the window, RFC 3339.
    pub reset_at: Option<String>,
    /// Length of the window in milliseconds.
    pub window_ms: Option<u64>,
    /// Units that come back in an hour, of a limit that fills up continuously.
    pub refill_per_hour: Option<u64>,
    /// Moment of the reading, RFC 3339.
    pub read_at: String,
    /// Probe that read it.
    pub probe: String,
    /// Readings that the forecast looked at.
    pub readings: u32,
    pub forecast: LimitForecastBody,
    /// Users, in the window up to the last reading; null where that can't be said.
    #[serde(rename = "use")]
    pub share: Option<UseBody>,
}

/// Outlook of a limit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitForecastBody {
    pub outlook: OutlookKind,
    /// The same in words.
    pub summary: String,
    /// Units that it becomes less by in a minute, if it does.
    pub per_minute: Option<f64>,
    /// The least and the most that the readings allow.
    pub per_minute_low: Option<f64>,
    pub per_minute_high: Option<f64>,
    /// When it is used up at the earliest, RFC 3339; null if it starts anew before.
    pub earliest: Option<String>,
    /// When it is likely to be used up, RFC 3339; null if it starts anew before.
    pub likely: Option<String>,
    /// When it is used up at the latest, RFC 3339; null: perhaps never.
    pub latest: Option<String>,
}

/// Use of a limit, in requests.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UseBody {
    /// Requests of all who share it.
    pub total: u64,
    /// Requests of this program: its runs whose answers had the limit.
    pub ours: u64,
    /// Requests of others with the same key, at most: a run may send more than one request.
    pub others: u64,
}
