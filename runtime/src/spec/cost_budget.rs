//! `budgets` of `alerts.yaml`: money that may be spent on calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AmountSpec, NotificationSpec};

/// Money that may be spent in a period on the calls that it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostBudgetSpec {
    /// Name for people, unique among budgets.
    pub name: String,
    /// Amount of a period, e.g. 500.00.
    pub amount: AmountSpec,
    /// ISO 4217, e.g. `EUR`. Costs in other currencies do not count.
    pub currency: String,
    /// `month`, `week` or `day`. A month is the billing cycle of its services if theirs are the
    /// same, else a calendar month in UTC; a week begins on Monday. Default: `month`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<BudgetPeriodSpec>,
    /// Slugs of services whose calls count. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// Calls of services that have one of these tags count. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Names of callers whose calls count. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Vec<String>>,
    /// Routes whose calls count, with `*` for any characters. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<String>>,
    /// Shares of the amount at which there is an alert each, e.g. `[50%, 80%, 100%]`. Default:
    /// `[80%, 100%]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_at: Option<Vec<AmountSpec>>,
    /// Alerts while the forecast for the end of the period is above the amount. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<bool>,
    /// Channels of its alerts. Default: the `notifications` at the top of `alerts.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Vec<NotificationSpec>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriodSpec {
    Month,
    Week,
    Day,
}
