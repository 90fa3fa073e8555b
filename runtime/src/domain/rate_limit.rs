//! Rate limits as services report them. Answers are read in `headers`, by rules that are data
//! (`rules`); nothing here knows HTTP beyond names and values. When a limit is used up is said by
//! `extrack-forecast`, which rules that are plugins use as well.

mod headers;
mod outlook;
mod rules;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UnixMillis;

pub use headers::{LimitAnswer, read_rate_limits, read_rate_limits_by};
pub use outlook::{LimitOutlook, OutlookKind, UseShare, outlook_of, use_share};
pub use rules::{
    FigureSource, LimitRule, MomentForm, RateLimitRules, RefusedBody, SourceParts, VendorRules,
    built_in_rules, rules_of_vendor,
};

/// Readings kept of one run: a page of policies is more than any service is known to send.
pub const MAX_RATE_LIMITS: usize = 16;

/// One reading of one limit, out of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Used in this window, where the service reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Unit that is counted, e.g. `tokens`; none: requests, or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Units that come back in an hour, of a limit that fills up continuously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill_per_hour: Option<u64>,
    /// The service's key of the part of the quota that is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Name of the credential that was used: another one has another quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Identity of a limit of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKey {
    pub host: String,
    pub name: String,
    pub credential: Option<String>,
    pub partition: Option<String>,
}

impl RateLimit {
    pub fn key(&self) -> LimitKey {
        LimitKey {
            host: self.host.clone(),
            name: self.name.clone(),
            credential: self.credential.clone(),
            partition: self.partition.clone(),
        }
    }

    /// The same limit, read at another time.
    pub fn is_same_limit(&self, other: &Self) -> bool {
        self.host == other.host
            && self.name == other.name
            && self.credential == other.credential
            && self.partition == other.partition
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
