//! Budgets. Amounts are decimals in text, so that no digit is lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::costs::ForecastBody;

/// Calls that a budget is for. Keys without an entry: all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetScopeBody {
    /// Slugs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Tags of services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Names of callers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
}

/// State of a budget in its present period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetStateBody {
    Within,
    /// The forecast is above the amount.
    AtRisk,
    /// The amount is reached.
    Exceeded,
    /// There are no figures: `missing` is the reason.
    NoData,
}

impl BudgetStateBody {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::AtRisk => "at risk",
            Self::Exceeded => "exceeded",
            Self::NoData => "no data",
        }
    }
}

/// A budget with what is used of it. Figures are null without data.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetBody {
    /// Made of the name; subject of its alerts is `budget:ID`.
    pub id: String,
    pub name: String,
    pub amount: String,
    /// ISO 4217
    pub currency: String,
    /// `month`, `week` or `day`
    pub per: String,
    pub scope: BudgetScopeBody,
    pub state: BudgetStateBody,
    /// First moment of the present period, RFC 3339.
    pub from: Option<String>,
    /// First moment behind it.
    pub to: Option<String>,
    /// Cost of usage and fees so far, at least.
    pub used: Option<String>,
    pub used_at_most: Option<String>,
    /// Fees and missing parts of commitments among `used`.
    pub fees: Option<String>,
    /// Percent of the amount that is used, rounded down to hundredths.
    pub share: Option<String>,
    /// Cost at the end of the period; null: `forecastMissing` is the reason.
    pub forecast: Option<ForecastBody>,
    pub forecast_missing: Option<String>,
    /// When the amount will be reached, if that is within the period.
    pub used_up_at: Option<String>,
    /// Percentages at which there are alerts.
    pub alert_at: Vec<String>,
    /// Calls that count, with a cost in the currency.
    pub calls: Option<u64>,
    /// Calls that do not count, because their cost is unknown or in another currency.
    pub unpriced: Option<u64>,
    /// Why there are no figures.
    pub missing: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetsBody {
    pub budgets: Vec<BudgetBody>,
}
