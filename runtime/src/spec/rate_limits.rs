//! How rate limits are read from the answers of one service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::rate_limit::{LimitRule, MomentForm, RefusedBody};

/// Rules by which rate limits are read, e.g. `{reset: ms}` or `{quotas: {core: 5000}}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitRulesSpec {
    /// Vendor whose rules are used, e.g. `kucoin`. Default: by the names of the headers, then by
    /// the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// How the reset under a common name such as `X-RateLimit-Reset` is meant: `s`, `ms` or `min`
    /// from now, `epoch` or `epochMs` since 1970, `clock` for `hh:mm:ss`. Default: by its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<MomentForm>,
    /// HTTP statuses by which it refuses, beside 429, e.g. `[418]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<u16>,
    /// Answers whose JSON makes them refusals, e.g. `{status: 400, path: /code, equals: 7}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_bodies: Vec<RefusedBody>,
    /// Header of a refusal that names the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal_name: Option<String>,
    /// Limits with headers of their own, e.g.
    /// `{name: day, quota: x-limit-per-day, remaining: x-remaining-today, window: 86400}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitRule>,
    /// Quotas by name of the limit, for a service that does not say them, e.g. `{default: 5000}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<String, u64>,
}
