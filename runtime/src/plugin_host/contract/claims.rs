//! Incidents that a probe read on a vendor's status page: the attribute `incidents` of its
//! observation.

use serde::Deserialize;

use super::convert::cut;
use crate::domain::{IncidentKind, UnixMillis, VendorClaim};
use crate::plugin_host::contract::bindings::imports::types::{Entry, Value};
use crate::plugin_host::engine::limits;

const ATTRIBUTE: &str = "incidents";

/// More open incidents that touch one service are a mistake.
const MOST_CLAIMS: usize = 64;
const MOST_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    id: String,
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    impact: String,
    level: Level,
    #[serde(default)]
    started_ms: Option<UnixMillis>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Outage,
    Degraded,
    Unknown,
    Maintenance,
}

/// Returns all incidents that the page has open; none if the probe read no page, or what it
/// answered can't be read.
pub(in crate::plugin_host) fn claims(attributes: &[Entry]) -> Option<Vec<VendorClaim>> {
    let entry = attributes.iter().find(|entry| entry.key == ATTRIBUTE)?;
    let Value::Text(text) = &entry.value else {
        return None;
    };
    if text.len() > MOST_BYTES {
        return None;
    }
    let claims: Vec<Claim> = serde_json::from_str(text).ok()?;
    let named = claims.into_iter().filter(|claim| !claim.id.is_empty());
    Some(named.take(MOST_CLAIMS).map(VendorClaim::from).collect())
}

impl From<Claim> for VendorClaim {
    fn from(claim: Claim) -> Self {
        let cut = |text| cut(text, limits::METRIC_BYTES);
        Self {
            id: cut(claim.id),
            name: cut(claim.name),
            status: cut(claim.status),
            impact: cut(claim.impact),
            kind: match claim.level {
                Level::Outage => IncidentKind::Outage,
                Level::Degraded | Level::Unknown => IncidentKind::Degradation,
                Level::Maintenance => IncidentKind::Maintenance,
            },
            started_ms: claim.started_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<VendorClaim>> {
        claims(&[Entry {
            key: ATTRIBUTE.to_owned(),
            value: Value::Text(text.to_owned()),
        }])
    }

    #[test]
    fn what_is_no_list_of_incidents_claims_nothing() {
        let whole = read(
            r#"[{"id": "i1", "name": "Down", "status": "identified", "impact": "major", "level": "outage", "startedMs": 7}]"#,
        );
        let wanted = VendorClaim {
            id: "i1".to_owned(),
            name: "Down".to_owned(),
            status: "identified".to_owned(),
            impact: "major".to_owned(),
            kind: IncidentKind::Outage,
            started_ms: Some(7),
        };
        assert_eq!(whole, Some(vec![wanted]));
        assert_eq!(read("[]"), Some(Vec::new()), "all is well");
        for text in [
            "",
            "{}",
            r#"[{"id": "i1"}]"#,
            r#"[{"id": 1, "name": "", "level": "outage"}]"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(claims(&[]), None);
    }

    #[test]
    fn claims_are_bounded() {
        let claim = |id: usize| {
            format!(
                r#"{{"id": "{id}", "name": "{}", "level": "unknown"}}"#,
                "x".repeat(400)
            )
        };
        let many: Vec<String> = (0..MOST_CLAIMS + 10).map(claim).collect();
        let read = read(&format!("[{}]", many.join(","))).unwrap();
        assert_eq!(read.len(), MOST_CLAIMS);
        assert!(read[0].name.len() <= limits::METRIC_BYTES + 3);
    }
}
