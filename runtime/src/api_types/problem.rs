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
    /// Line of a fault in a query, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column of a fault in a query, from 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The line of a query with a fault, and a caret below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caret: Option<String>,
    /// Names that may have been meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}
