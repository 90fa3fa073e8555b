//! Services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::heartbeats::HeartbeatBody;
use crate::domain::{CurrentStatus, Fault, FieldChange, Origin};
use crate::spec::ServiceSpec;

/// Pause of a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseBody {
    /// RFC 3339: from then on it is checked again; null until somebody resumes it.
    pub until: Option<String>,
    pub reason: String,
    /// Name of the token that paused it; null where its description does.
    pub author: Option<String>,
    /// RFC 3339; null where its description pauses it.
    pub since: Option<String>,
}

/// Last reading of a meter since the start of the program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeterBody {
    pub name: String,
    /// RFC 3339
    pub read_at: String,
    /// Lines of the invoices that the figures became; 0 after a failure.
    pub lines: usize,
    /// Why it failed; null where it did not.
    pub error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
}

/// A service: the keys it was described with (secrets as `***`), and how it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBody {
    pub slug: String,
    /// Status; null before the first run, `unknown` while the latest check broke and there is no
    /// result.
    pub status: Option<CurrentStatus>,
    /// Why the status is `unknown`; null when it is another.
    pub status_reason: Option<String>,
    /// Begin of that status, RFC 3339.
    pub status_since: Option<String>,
    /// Pause that holds: nothing is checked meanwhile, and the status is that of before, or
    /// `unknown`. Null while it is watched.
    pub pause: Option<PauseBody>,
    /// Origin: a service of a `file` can't be changed over the API.
    pub origin: Origin,
    /// Revision for `If-Match`; null for a service of a file.
    pub revision: Option<i64>,
    /// RFC 3339; null for what comes from files.
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    /// Where the job of the service calls, and how it is; only with a `heartbeat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_status: Option<HeartbeatBody>,
    /// Last readings of its meters; without those that were not read yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meter_status: Vec<MeterBody>,
    /// Why it does not run, e.g. because its plugin is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Warnings about its description.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
    #[serde(flatten)]
    pub spec: Map<String, Value>,
}

/// Changes of services that are made together, or not at all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceBatchSpec {
    /// Only returns what the changes would do. Default: false.
    #[serde(default)]
    pub dry_run: bool,
    /// Changes, at most 10,000, each about another service.
    pub operations: Vec<ServiceOperationSpec>,
}

/// One change: a service to add or replace (`spec`), or one to delete (`delete`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceOperationSpec {
    /// Description of a service. It takes the place of the one of its slug, unless that is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ServiceSpec>")]
    pub spec: Option<Map<String, Value>>,
    /// Slug of a service to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Only if the service is at that revision; 0: only if there is none. Default: whatever it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub revision: Option<i64>,
}

/// Outcome of a batch that was made, or of one that was tried.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBatchBody {
    pub dry_run: bool,
    /// One for each operation, in their order.
    pub results: Vec<ServiceOperationBody>,
}

/// Outcome of one change that was made, or of one that was tried.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceOperationBody {
    pub slug: String,
    pub action: ServiceAction,
    /// Revision before the change; 0 where there was no service.
    pub revision: i64,
    /// Fields that differ, at most 100; secrets are `***`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Fields that differ beside those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changes_left_out: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceAction {
    Created,
    Changed,
    Unchanged,
    Deleted,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
