//! Usage and cost. Amounts are decimals in text, so that no digit is lost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Group of a row. Keys that were not asked for are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupBody {
    /// Slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Name of who called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Tag of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// `2026-11-30`, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
}

/// Usage of one group.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageRowBody {
    #[serde(flatten)]
    pub group: GroupBody,
    pub calls: i64,
    /// Requests sent to the vendor.
    pub attempts: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
    /// Sums by unit, e.g. `{"input_tokens": "1200"}`.
    pub units: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageBody {
    /// Beginning, RFC 3339; null: of each service that of its present cycle.
    pub from: Option<String>,
    pub to: Option<String>,
    pub rows: Vec<UsageRowBody>,
}

/// Cost of one group. An amount with `AtMost` counts every call that may have been billed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostRowBody {
    #[serde(flatten)]
    pub group: GroupBody,
    /// ISO 4217; null where no call has a cost.
    pub currency: Option<String>,
    pub calls: i64,
    /// Calls among them whose cost is known.
    pub metered: i64,
    /// Cost of what was used, at least; null where no call has a cost.
    pub used: Option<String>,
    pub used_at_most: Option<String>,
    /// Used or the commitment, whichever is more, and fees. Of one service in its present cycle.
    pub owed: Option<String>,
    pub owed_at_most: Option<String>,
    /// The present cycle, of one service with a price list.
    pub cycle: Option<CycleBody>,
    /// Money that will be owed at the end of the cycle; null: `forecastMissing` is the reason.
    pub forecast: Option<ForecastBody>,
    pub forecast_missing: Option<String>,
    /// Part of `used` that brought nothing, and that of our own checks; null where no call has a cost.
    #[serde(default)]
    pub overhead: Option<OverheadBody>,
}

/// Cycle that the vendor bills by.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CycleBody {
    /// `2026-11`, or its first day.
    pub name: String,
    /// First moment, RFC 3339.
    pub from: String,
    /// First moment behind it.
    pub to: String,
    pub fees: String,
    /// Money missing to the commitment.
    pub true_up: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForecastBody {
    pub likely: String,
    /// Four of five cycles end between `low` and `high`, if days go on as they did.
    pub low: String,
    pub high: String,
    /// Whole days that it is made from.
    pub days: usize,
    /// Whether each weekday was judged by itself.
    pub by_weekday: bool,
}

/// Calls with what they cost at least and at most.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallCostBody {
    pub calls: i64,
    pub at_least: String,
    pub at_most: String,
}

/// Cost of calls that brought nothing, and of our own checks. A call may be in several of these.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverheadBody {
    /// Attempts beyond the first of their calls.
    pub retries: i64,
    pub retries_at_most: String,
    /// Answered with 5xx.
    pub failures: CallCostBody,
    pub timeouts: CallCostBody,
    /// Cut before the whole answer had passed.
    pub cut: CallCostBody,
    /// Checks of our own.
    pub own_checks: CallCostBody,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostsBody {
    /// Beginning, RFC 3339; null: of each service that of its present cycle.
    pub from: Option<String>,
    pub to: Option<String>,
    /// One row a group and currency: currencies are never added up.
    pub rows: Vec<CostRowBody>,
    /// The same of all rows together, by currency: a row with two tags counts once.
    #[serde(default)]
    pub overhead: BTreeMap<String, OverheadBody>,
}
