//! Facts about a service that decide on no check: its contract.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;

/// What the vendor has promised, e.g. `{sla: 99.95, claimWithin: 30d}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractSpec {
    /// Percent of a month in which the service has to be available: above 0 and at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla: Option<f64>,
    /// Time after the end of a month within which a credit has to be claimed: whole days, as a
    /// number or text such as `30d`, at most `366d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_within: Option<DurationSpec>,
}
