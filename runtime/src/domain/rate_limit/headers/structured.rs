//! `RateLimit: "core";r=50;t=30` and `RateLimit-Policy: "core";q=100;w=60`; before draft 08
//! `limit=100, remaining=50, reset=30` and `100;w=60`.

use super::answer::LimitAnswer;
use super::bounds::MAX_RESET_MS;
use super::found::{DEFAULT, Found, plain, smaller};
use super::members::{Member, Value, dictionary, list};
use crate::domain::rate_limit::RateLimit;

const SECOND_MS: u64 = 1_000;

/// Unit that needs no word.
const REQUESTS: &str = "requests";

struct Policy {
    /// None before draft 08.
    name: Option<String>,
    quota: Option<u64>,
    window_ms: Option<u64>,
    unit: Option<String>,
    partition: Option<String>,
}

pub(super) fn read(found: &mut Found<'_>, answer: &LimitAnswer<'_>, taken: &[String]) {
    let is_taken = |name: &str| taken.iter().any(|one| one == name);
    let mut policies = Vec::new();
    if !is_taken("ratelimit-policy") {
        let text = joined(answer, "ratelimit-policy");
        policies.extend(list(&text).iter().map(policy));
    }
    if !is_taken("ratelimit") {
        let text = joined(answer, "ratelimit");
        if text.starts_with("limit=") || text.contains("remaining=") {
            old_form(found, &dictionary(&text), &policies);
        } else {
            for member in list(&text) {
                current_form(found, &member);
            }
        }
    }
    for policy in &policies {
        apply(found, policy);
    }
}

/// Lines of one name are one list (RFC 9651, 4.2).
fn joined(answer: &LimitAnswer<'_>, name: &str) -> String {
    answer.values(name).collect::<Vec<_>>().join(", ")
}

fn policy(member: &Member) -> Policy {
    let (name, quota) = match &member.value {
        // The quota itself was the item, and the name not yet there.
        Value::Count(quota) => (None, Some(*quota)),
        Value::Text(name) => (Some(plain(name)), None),
        Value::Other => (None, None),
    };
    let window = member.count("w").or(member.count("window"));
    Policy {
        name,
        quota: member.count("q").or(quota),
        window_ms: window
            .filter(|seconds| *seconds > 0)
            .map(|seconds| seconds.saturating_mul(SECOND_MS)),
        unit: member
            .text("qu")
            .filter(|unit| *unit != REQUESTS)
            .map(plain),
        partition: member.text("pk").map(plain),
    }
}

fn old_form(found: &mut Found<'_>, member: &Member, policies: &[Policy]) {
    let now_ms = found.now_ms;
    // One policy: it names the limit.
    let name = match policies {
        [only] => only.name.clone(),
        _ => None,
    };
    let Some(limit) = found.limit(name.as_deref().unwrap_or(DEFAULT)) else {
        return;
    };
    limit.quota = member.count("limit").or(limit.quota);
    limit.remaining = smaller(limit.remaining, member.count("remaining"));
    limit.reset_ms = member
        .count("reset")
        .and_then(|seconds| after(seconds, now_ms));
}

fn current_form(found: &mut Found<'_>, member: &Member) {
    let now_ms = found.now_ms;
    let name = match &member.value {
        Value::Text(name) => name.as_str(),
        Value::Count(_) | Value::Other => return,
    };
    let Some(limit) = found.limit_of(name, member.text("pk")) else {
        return;
    };
    limit.remaining = smaller(limit.remaining, member.count("r"));
    limit.quota = limit.quota.or(member.count("q"));
    limit.reset_ms = member
        .count("t")
        .and_then(|seconds| after(seconds, now_ms))
        .or(limit.reset_ms);
}

fn after(seconds: u64, now_ms: i64) -> Option<i64> {
    let ms = i64::try_from(seconds.checked_mul(SECOND_MS)?).ok()?;
    (ms <= MAX_RESET_MS).then(|| now_ms.saturating_add(ms))
}

/// Adds the figures of a policy to the limits that it is about; a policy alone is a limit.
fn apply(found: &mut Found<'_>, policy: &Policy) {
    if policy.quota.is_none() && policy.window_ms.is_none() {
        return;
    }
    let name = policy.name.as_deref().unwrap_or(DEFAULT);
    let is_meant = |limit: &RateLimit| {
        limit.name == name && (policy.partition.is_none() || policy.partition == limit.partition)
    };
    if !found.limits.iter().any(is_meant) {
        found.limit_of(name, policy.partition.as_deref());
    }
    for limit in found.limits.iter_mut().filter(|limit| is_meant(limit)) {
        // Of several policies without a name the one of the quota that is said.
        let is_other = policy.name.is_none()
            && limit.quota.is_some()
            && policy.quota.is_some()
            && limit.quota != policy.quota;
        if !is_other {
            limit.quota = limit.quota.or(policy.quota);
            limit.window_ms = limit.window_ms.or(policy.window_ms);
            limit.unit = limit.unit.take().or(policy.unit.clone());
        }
    }
}
