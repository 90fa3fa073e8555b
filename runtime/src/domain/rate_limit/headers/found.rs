//! The limits that were found in one answer so far, and the bounds that hold for all of them.

use std::collections::BTreeMap;

use super::bounds::NAME;
use crate::domain::UnixMillis;
use crate::domain::rate_limit::{MAX_RATE_LIMITS, RateLimit};

pub(super) const DEFAULT: &str = "default";

pub(super) struct Found<'a> {
    host: &'a str,
    pub(super) now_ms: UnixMillis,
    pub(super) limits: Vec<RateLimit>,
}

impl<'a> Found<'a> {
    pub(super) fn new(host: &'a str, now_ms: UnixMillis) -> Self {
        Self {
            host,
            now_ms,
            limits: Vec::new(),
        }
    }

    /// Returns the limit of this name, a new one if there is room.
    pub(super) fn limit(&mut self, name: &str) -> Option<&mut RateLimit> {
        self.limit_of(name, None)
    }

    pub(super) fn limit_of(
        &mut self,
        name: &str,
        partition: Option<&str>,
    ) -> Option<&mut RateLimit> {
        let name = match plain(name) {
            name if name.is_empty() => DEFAULT.to_owned(),
            name => name,
        };
        let partition = partition.map(plain).filter(|key| !key.is_empty());
        let position = self
            .limits
            .iter()
            .position(|limit| limit.name == name && limit.partition == partition);
        let position = match position {
            Some(position) => position,
            None if self.limits.len() < MAX_RATE_LIMITS => {
                self.limits.push(RateLimit {
                    ts_ms: self.now_ms,
                    host: self.host.to_owned(),
                    name,
                    partition,
                    ..RateLimit::default()
                });
                self.limits.len() - 1
            }
            None => return None,
        };
        self.limits.get_mut(position)
    }

    /// Takes quotas that the operator knows for limits whose answers do not say them.
    pub(super) fn quotas(&mut self, quotas: &BTreeMap<String, u64>) {
        for limit in &mut self.limits {
            limit.quota = limit.quota.or(quotas.get(&limit.name).copied());
        }
    }

    /// Returns the limits of which something is known. On a refusal a limit of which only the use
    /// is known is left out: which one refused is said by another.
    pub(super) fn into_limits(self, is_refused: bool) -> Vec<RateLimit> {
        let mut limits = self.limits;
        for limit in &mut limits {
            complete(limit);
        }
        limits.retain(|limit| {
            let is_use_known = limit.used.is_some() && !is_refused;
            limit.remaining.is_some() || limit.quota.is_some() || is_use_known
        });
        limits
    }
}

/// Computes each of quota, remaining and used from the other two, and keeps what is left within
/// what there is.
fn complete(limit: &mut RateLimit) {
    limit.remaining = limit
        .remaining
        .or_else(|| Some(limit.quota?.saturating_sub(limit.used?)));
    limit.quota = limit
        .quota
        .or_else(|| limit.used?.checked_add(limit.remaining?));
    if let (Some(quota), Some(remaining)) = (limit.quota, limit.remaining) {
        limit.remaining = Some(remaining.min(quota));
    }
    limit.window_ms = limit.window_ms.filter(|window_ms| *window_ms > 0);
}

/// Returns a text of the service as it may be kept: short, and without control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(NAME)
        .collect()
}

/// Returns the smaller of two figures of which both were sent.
pub(super) fn smaller(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}
