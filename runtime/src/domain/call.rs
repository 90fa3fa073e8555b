//! One API call to a service: what passed the gateway, or was reported, with its units and its cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UnixMillis;

/// Source of a counted call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum CallSource {
    /// Call that passed the gateway.
    Gateway,
    /// Reported over `POST /api/v1/calls`.
    Api,
    /// A client span of OpenTelemetry.
    Otlp,
    /// Read from an access log.
    Import,
    /// A check of our own.
    Probe,
}

impl CallSource {
    pub const ALL: [CallSource; 5] = [
        CallSource::Gateway,
        CallSource::Api,
        CallSource::Otlp,
        CallSource::Import,
        CallSource::Probe,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            CallSource::Gateway => "gateway",
            CallSource::Api => "api",
            CallSource::Otlp => "otlp",
            CallSource::Import => "import",
            CallSource::Probe => "probe",
        }
    }
}

/// How a call ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum CallEnd {
    /// The whole answer was passed on.
    Complete,
    /// The client left before its end.
    Cancelled,
    /// The vendor's answer broke off.
    Truncated,
    Timeout,
    /// Refusal by us, before anything was sent to the vendor.
    Refused,
}

impl CallEnd {
    pub const ALL: [CallEnd; 5] = [
        CallEnd::Complete,
        CallEnd::Cancelled,
        CallEnd::Truncated,
        CallEnd::Timeout,
        CallEnd::Refused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            CallEnd::Complete => "complete",
            CallEnd::Cancelled => "cancelled",
            CallEnd::Truncated => "truncated",
            CallEnd::Timeout => "timeout",
            CallEnd::Refused => "refused",
        }
    }
}

/// Part of the gateway's cache in a call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum CacheUse {
    /// The cache was not asked.
    None,
    /// The answer came from it: the vendor was not asked, and the cost is 0.
    Hit,
    /// The cache was asked in vain.
    Miss,
    /// The vendor confirmed what the cache had, and did not send it again.
    Revalidated,
    /// The cache was left aside: another method, a part of an answer, or the client's wish.
    Bypass,
}

impl CacheUse {
    pub const ALL: [CacheUse; 5] = [
        CacheUse::None,
        CacheUse::Hit,
        CacheUse::Miss,
        CacheUse::Revalidated,
        CacheUse::Bypass,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            CacheUse::None => "none",
            CacheUse::Hit => "hit",
            CacheUse::Miss => "miss",
            CacheUse::Revalidated => "revalidated",
            CacheUse::Bypass => "bypass",
        }
    }
}

/// Times of a call's phases, as far as they were measured; none: no such phase, e.g. on a connection
/// that was open already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPhases {
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// Time from the request's first byte to the answer's.
    pub first_byte: Option<Duration>,
}

/// Usage of a call by the name of its unit, e.g. `input_tokens`, `messages` or `amount`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallUnits {
    Known(BTreeMap<String, Decimal>),
    /// The answer could not be followed to its end: at least this much was used.
    AtLeast(BTreeMap<String, Decimal>),
}

impl Default for CallUnits {
    fn default() -> Self {
        CallUnits::Known(BTreeMap::new())
    }
}

impl CallUnits {
    /// Most units of one call that are kept.
    pub const MAX: usize = 16;

    /// Returns them for a call whose answer broke off.
    pub fn at_least(self) -> Self {
        match self {
            CallUnits::Known(amounts) | CallUnits::AtLeast(amounts) => CallUnits::AtLeast(amounts),
        }
    }

    pub fn amounts(&self) -> &BTreeMap<String, Decimal> {
        match self {
            CallUnits::Known(amounts) | CallUnits::AtLeast(amounts) => amounts,
        }
    }
}

/// Cost of one call, in the currency of its service's price list. `min` and `max` differ while it
/// is unknown whether the vendor bills it, or for how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCost {
    pub min: Decimal,
    pub max: Decimal,
    /// ISO 4217, e.g. `EUR`.
    pub currency: Arc<str>,
}

/// One call of a client. Its attempts are calls to the vendor; what the gateway answered by itself
/// had none.
#[derive(Debug, Clone)]
pub struct Call {
    /// Unique for its service: the reporter's, or ours. At most 128 characters.
    pub id: String,
    /// When it began.
    pub ts_ms: UnixMillis,
    /// Slug.
    pub service: Arc<str>,
    /// Name of who called; none: nobody was named.
    pub consumer: Option<Arc<str>>,
    /// Name of the service's credential that was added.
    pub credential: Option<Arc<str>>,
    pub method: String,
    pub path: CallPath,
    /// Status of the vendor's answer, or of ours when it refused; none: there was no answer.
    pub status: Option<u16>,
    pub latency: Option<Duration>,
    pub phases: CallPhases,
    /// Bytes of the bodies, as they passed.
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub units: CallUnits,
    /// Words that prices tell calls apart by, e.g. `model`. At most [`CallUnits::MAX`].
    pub tags: BTreeMap<String, String>,
    /// Requests sent to the vendor.
    pub attempts: u32,
    pub cache: CacheUse,
    pub source: CallSource,
    /// A word, e.g. `connect`, `quota` or `breaker`; none: nothing went wrong.
    pub error_kind: Option<String>,
    pub ended: CallEnd,
}

/// Where in the service a call went. A query is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallPath {
    /// Path as it was sent, without its query: the route is found from it.
    Path(String),
    /// Given by whoever reported it, or by the service's settings.
    Route(String),
}

/// Prices one call; none: its service has no price list. The path of the call is its route. It is asked
/// once for each call that counts, in no order of time, and must not wait.
pub type CallPricing = Arc<dyn Fn(&Call) -> Option<CallCost> + Send + Sync>;
