//! Rate limits in one answer: the IETF's structured fields `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers, from 03 on), the `RateLimit-Limit/-Remaining/-Reset` of
//! its first drafts, the `X-RateLimit-*` that vendors had before them, what the rules of a vendor
//! add, and `Retry-After` (RFC 9110) of a refusal.
//!
//! What can't be read is left out; nothing here fails. A figure that is in doubt is unknown, never
//! zero.

mod answer;
mod bounds;
#[cfg(test)]
mod cases;
mod found;
mod members;
mod refusal;
mod separate;
mod structured;
#[cfg(test)]
mod tests;
mod values;
mod vendor;

pub use answer::LimitAnswer;

use super::RateLimit;
use super::rules::{RateLimitRules, vendor_of};
use crate::domain::UnixMillis;
use found::Found;

/// Reads the limits in the headers of one answer, each limit once, by what is known of vendors.
/// `host` is who was asked; names of headers are in lower case.
pub fn read_rate_limits(
    host: &str,
    status: u16,
    headers: &[(String, String)],
    now_ms: UnixMillis,
) -> Vec<RateLimit> {
    let answer = LimitAnswer {
        host,
        status,
        headers,
        body: None,
        now_ms,
    };
    read_rate_limits_by(&RateLimitRules::default(), &answer)
}

/// Reads the limits in one answer, each limit once. The service's own rules come before those of
/// its vendor, and these before what the common names say.
pub fn read_rate_limits_by(own: &RateLimitRules, answer: &LimitAnswer<'_>) -> Vec<RateLimit> {
    if answer.is_cached() {
        return Vec::new();
    }
    let vendor = vendor_of(own.vendor.as_deref(), answer.host, answer.headers);
    let rules: Vec<&RateLimitRules> = std::iter::once(own)
        .chain(vendor.map(|vendor| &vendor.rules))
        .collect();
    let mut found = Found::new(answer.host, answer.now_ms);
    let mut taken = Vec::new();
    for rules in &rules {
        vendor::read(&mut found, answer, rules, &mut taken);
    }
    let reset_form = rules
        .iter()
        .find_map(|rules| rules.reset)
        .unwrap_or_default();
    // Which of several policies is meant is seen from the quota.
    separate::read(&mut found, answer, reset_form, &taken);
    structured::read(&mut found, answer, &taken);
    let is_refused = refusal::read(&mut found, answer, &rules);
    for rules in &rules {
        found.quotas(&rules.quotas);
    }
    found.into_limits(is_refused)
}
