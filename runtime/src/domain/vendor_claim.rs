//! What a vendor claims on its status page, as a probe read it.

use serde::{Deserialize, Serialize};

use super::{IncidentKind, UnixMillis};

/// An incident that a page has open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendorClaim {
    /// The vendor's id.
    pub id: String,
    pub name: String,
    /// The vendor's word for how far it got; empty if it has none.
    pub status: String,
    /// The vendor's word; empty if it has none.
    pub impact: String,
    pub kind: IncidentKind,
    /// When it began, by the vendor: perhaps before it was published.
    pub started_ms: Option<UnixMillis>,
}

impl VendorClaim {
    /// Returns the claim for people.
    pub fn summary(&self) -> String {
        let facts = [
            (!self.status.is_empty()).then(|| self.status.clone()),
            (!self.impact.is_empty()).then(|| format!("impact {}", self.impact)),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        if facts.is_empty() {
            return self.name.clone();
        }
        format!("{}: {}", self.name, facts.join(", "))
    }
}
