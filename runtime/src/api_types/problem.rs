//! Errors of the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Fault;

/// An RFC 9457 problem.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:problem-type:extrack:NAME`, where the name is what a program may branch on.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Each thing that is wrong, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}
