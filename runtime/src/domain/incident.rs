//! Incident: a time in which a service was not available, by our own runs or by its vendor's word.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlertId, UnixMillis};

/// Who found the incident.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IncidentSource {
    /// Our probes.
    Ours,
    /// The vendor, on its status page.
    Vendor,
}

impl IncidentSource {
    pub const ALL: [IncidentSource; 2] = [IncidentSource::Ours, IncidentSource::Vendor];

    pub fn as_str(self) -> &'static str {
        match self {
            IncidentSource::Ours => "ours",
            IncidentSource::Vendor => "vendor",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentKind {
    /// The service was not available. Ours are always that.
    Outage,
    /// The vendor says that the service was slow or partly out of order.
    Degradation,
    /// Work that the vendor had planned.
    Maintenance,
}

impl IncidentKind {
    pub const ALL: [IncidentKind; 3] = [
        IncidentKind::Outage,
        IncidentKind::Degradation,
        IncidentKind::Maintenance,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            IncidentKind::Outage => "outage",
            IncidentKind::Degradation => "degradation",
            IncidentKind::Maintenance => "maintenance",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentOutcome {
    /// The service was available again, or the vendor says so.
    Recovered,
    /// The service, or its probes that failed, are no longer configured.
    Removed,
}

impl IncidentOutcome {
    pub const ALL: [IncidentOutcome; 2] = [IncidentOutcome::Recovered, IncidentOutcome::Removed];

    pub fn as_str(self) -> &'static str {
        match self {
            IncidentOutcome::Recovered => "recovered",
            IncidentOutcome::Removed => "removed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// What is known of an incident. Service, source and reference say which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentFacts {
    /// Slug.
    pub service: String,
    pub source: IncidentSource,
    /// Of ours the moment it began, in milliseconds; else the webhook and the vendor's id.
    pub reference: String,
    pub kind: IncidentKind,
    /// For people; at most [`Failure::MAX_MESSAGE_BYTES`](super::Failure::MAX_MESSAGE_BYTES).
    pub cause: String,
    /// Word for the first failure, as in `observations`; the vendor's word for the impact.
    pub error_kind: Option<String>,
    /// Probe that failed first, or webhook that brought the news.
    pub probe: Option<String>,
    /// Moment of the first failed run.
    pub started_ms: UnixMillis,
    /// Moment of the first good run; none while it lasts.
    pub ended_ms: Option<UnixMillis>,
    pub outcome: Option<IncidentOutcome>,
    /// Failed runs, or the vendor's updates, up to the last change.
    pub runs: u64,
    /// How often it went on soon after it had ended.
    pub reopened: u32,
    /// Moment of the run or update that led to the last change.
    pub decided_ms: UnixMillis,
}

/// One incident as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    pub id: i64,
    pub facts: IncidentFacts,
    /// The first alert of the service that fired meanwhile.
    pub alert: Option<AlertId>,
    /// Grows with each change of any incident.
    pub change_id: i64,
    /// Moment of the last change.
    pub changed_ms: UnixMillis,
}
