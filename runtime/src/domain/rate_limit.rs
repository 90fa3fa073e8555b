//! Rate limits as services report them. The headers are read in `headers`; nothing here knows HTTP
//! beyond their names.

mod headers;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UnixMillis;

pub use headers::read_rate_limits;

/// Readings kept of one run: a page of policies is more than any service is known to send.
pub const MAX_RATE_LIMITS: usize = 16;

/// One reading of one limit, out of the headers of one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// When the answer came.
    pub ts_ms: UnixMillis,
    /// Host that was asked, with its port if the URL names one.
    pub host: String,
    /// The service's word for it, e.g. `core` or `requests`; `default` if it has none.
    pub name: String,
    /// The most in one window.
    pub quota: Option<u64>,
    pub remaining: Option<u64>,
    /// When the window ends.
    pub reset_ms: Option<UnixMillis>,
    /// Length of the window.
    pub window_ms: Option<u64>,
}

impl RateLimit {
    /// The same limit, read at another time.
    pub fn is_same_limit(&self, other: &Self) -> bool {
        self.host == other.host && self.name == other.name
    }
}

/// Takes in what one answer said: of each limit the last reading of a run counts.
pub fn keep_latest(kept: &mut Vec<RateLimit>, read: Vec<RateLimit>) {
    for reading in read {
        match kept.iter().position(|one| one.is_same_limit(&reading)) {
            Some(position) => kept[position] = reading,
            None if kept.len() < MAX_RATE_LIMITS => kept.push(reading),
            None => {}
        }
    }
}
