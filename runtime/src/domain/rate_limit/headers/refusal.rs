//! A refusal: nothing is left of one limit, until a moment.

use super::answer::LimitAnswer;
use super::bounds::MAX_BODY_BYTES;
use super::found::{DEFAULT, Found};
use super::values::moment;
use crate::domain::rate_limit::rules::{MomentForm, RateLimitRules};

/// Refuses whatever else stands in it (RFC 6585).
const TOO_MANY_REQUESTS: u16 = 429;

/// Statuses that refuse by a limit where they say when to come again: they have other meanings too.
/// GitHub and Google use 403, Toggl 402, Binance 418, Twitter's first API 420.
const REFUSED_UNTIL: [u16; 5] = [402, 403, 418, 420, 503];

/// Name of the limit where it is not said which of several ran out.
const UNNAMED: &str = "retry-after";

/// Returns whether the answer is a refusal, and takes in its figures.
pub(super) fn read(
    found: &mut Found<'_>,
    answer: &LimitAnswer<'_>,
    rules: &[&RateLimitRules],
) -> bool {
    let now_ms = found.now_ms;
    let until_ms = answer
        .values("retry-after")
        .find_map(|value| moment(value, MomentForm::Auto, now_ms));
    let is_refused = answer.status == TOO_MANY_REQUESTS
        || (REFUSED_UNTIL.contains(&answer.status) && until_ms.is_some())
        || rules.iter().any(|rules| is_refused_by(rules, answer));
    if !is_refused {
        return false;
    }
    let mut empty = found
        .limits
        .iter_mut()
        .filter(|limit| limit.remaining == Some(0));
    if let Some(limit) = empty.next() {
        // `Retry-After` goes before the reset; of several it is not said which one is meant.
        if empty.next().is_none() {
            limit.reset_ms = until_ms.or(limit.reset_ms);
        }
        return true;
    }
    let said = rules
        .iter()
        .filter_map(|rules| rules.refusal_name.as_deref())
        .find_map(|header| answer.values(header).next());
    let name = match (said, found.limits.as_slice()) {
        (Some(name), _) => name.to_owned(),
        (None, [only]) if only.remaining.is_none() => only.name.clone(),
        (None, []) => DEFAULT.to_owned(),
        // Of one that has something left, it is another one that refuses.
        (None, _) => UNNAMED.to_owned(),
    };
    if let Some(limit) = found.limit(&name) {
        limit.remaining = Some(0);
        limit.reset_ms = until_ms.or(limit.reset_ms);
    }
    true
}

fn is_refused_by(rules: &RateLimitRules, answer: &LimitAnswer<'_>) -> bool {
    if rules.refused.contains(&answer.status) {
        return true;
    }
    let Some(body) = answer.body.filter(|body| body.len() <= MAX_BODY_BYTES) else {
        return false;
    };
    let mut said = rules
        .refused_bodies
        .iter()
        .filter(|said| said.status == answer.status)
        .peekable();
    if said.peek().is_none() {
        return false;
    }
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
        return false;
    };
    said.any(|said| body.pointer(&said.path) == Some(&said.equals))
}
