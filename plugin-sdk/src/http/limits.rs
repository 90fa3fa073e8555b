//! Rate limits that the host read in an answer.

use serde_json::Value;

/// A rate limit, as far as the answer says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The service's word for it; `default` if it has none.
    pub name: String,
    /// The most in one window.
    pub quota: Option<u64>,
    pub remaining: Option<u64>,
    pub used: Option<u64>,
    /// When the window ends, milliseconds since 1970.
    pub reset_ms: Option<u64>,
    pub window_ms: Option<u64>,
    /// What is counted, e.g. `tokens`.
    pub unit: Option<String>,
}

/// Reads the attribute `rate-limits` of an answer; what is no limit is left out.
pub(super) fn read(text: &str) -> Vec<Limit> {
    let list: Value = serde_json::from_str(text).unwrap_or_default();
    let limits = list.as_array().into_iter().flatten();
    limits.filter_map(limit).collect()
}

fn limit(value: &Value) -> Option<Limit> {
    let figure = |key: &str| value[key].as_u64();
    Some(Limit {
        name: value["name"].as_str()?.to_owned(),
        quota: figure("quota"),
        remaining: figure("remaining"),
        used: figure("used"),
        reset_ms: figure("resetMs"),
        window_ms: figure("windowMs"),
        unit: value["unit"].as_str().map(str::to_owned),
    })
}
