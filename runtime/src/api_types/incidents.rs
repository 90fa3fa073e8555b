//! Incidents: times in which a service was not available.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One incident.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentBody {
    pub id: i64,
    /// Slug.
    pub service: String,
    /// `ours`: found by our probes. `vendor`: reported on its status page.
    pub source: String,
    /// `outage`; of a vendor also `degradation` or `maintenance`.
    pub kind: String,
    /// Moment of the first failed run, RFC 3339.
    pub started_at: String,
    /// Moment of the first good run; null while it lasts.
    pub ended_at: Option<String>,
    /// Length in seconds; of an open one up to now.
    pub seconds: i64,
    /// The first failure, or the vendor's last words.
    pub cause: String,
    /// Kind of the first failure, as of observations; the vendor's word for the impact.
    pub error_kind: Option<String>,
    /// Probe that failed first, or the webhook.
    pub probe: Option<String>,
    /// `recovered`, or `removed` where the service or its probes are no longer configured.
    pub outcome: Option<String>,
    /// Failed runs, or updates of the vendor, up to the last change.
    pub runs: i64,
    /// How often it went on soon after it had ended.
    pub reopened: i64,
    /// The first alert that fired meanwhile.
    pub alert_id: Option<i64>,
    /// Moment at which that alert fired, if its events are still kept.
    pub fired_at: Option<String>,
    pub acknowledged_at: Option<String>,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
}
