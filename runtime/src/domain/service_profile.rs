//! What people know about a service beside how it is watched: who answers for it, how much depends
//! on it, where to read more, and what its vendor has promised.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Facts about a service that select, group and explain, and decide on no check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceProfile {
    pub team: Option<String>,
    pub criticality: Option<Criticality>,
    /// Word of the operator, e.g. `production`.
    pub environment: Option<String>,
    /// HTTPS URLs by name, e.g. `runbook`.
    pub links: BTreeMap<String, String>,
    pub contract: Option<Contract>,
    /// May be shown to people who have no token.
    pub public: bool,
}

impl ServiceProfile {
    /// Labels that alerts of the service have of it, unless the service has labels of its own by
    /// these names.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let team = self.team.as_deref().map(|team| ("team", team));
        let criticality = self
            .criticality
            .map(|criticality| ("criticality", criticality.as_str()));
        let environment = self
            .environment
            .as_deref()
            .map(|environment| ("environment", environment));
        [team, criticality, environment].into_iter().flatten()
    }
}

/// How much depends on a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    Low,
    Medium,
    High,
    Critical,
}

impl Criticality {
    pub fn as_str(self) -> &'static str {
        match self {
            Criticality::Low => "low",
            Criticality::Medium => "medium",
            Criticality::High => "high",
            Criticality::Critical => "critical",
        }
    }
}

/// What the vendor has promised, and how long a credit can be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// Percent of a month in which the service has to be available.
    pub sla: Option<f64>,
    /// Days after the end of a month within which a credit has to be claimed.
    pub claim_days: Option<u32>,
}

impl Contract {
    /// The longest time for a claim.
    pub const MAX_CLAIM_DAYS: u32 = 366;
}
