//! One header for each figure: `X-RateLimit-Remaining`, `x-ratelimit-remaining-tokens`,
//! `anthropic-ratelimit-tokens-remaining`.

use super::answer::LimitAnswer;
use super::bounds::MAX_VALUE_BYTES;
use super::found::{DEFAULT, Found, smaller};
use super::values::{is_grouped, left, length_ms, moment, split, whole};
use crate::domain::rate_limit::rules::MomentForm;

/// Prefixes of the vendors' headers, in lower case.
const PREFIXES: [&str; 4] = [
    "x-ratelimit-",
    "x-rate-limit-",
    "anthropic-ratelimit-",
    "ratelimit-",
];

/// Headers whose value is the quota, without a word for it.
const BARE: [&str; 2] = ["x-ratelimit", "x-rate-limit"];

/// Headers in which vendors who have several limits name the one.
const NAMES: [&str; 6] = [
    "x-ratelimit-resource",
    "x-ratelimit-bucket",
    "x-ratelimit-scope",
    "x-ratelimit-name",
    "x-rate-limit-name",
    "ratelimit-name",
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Figure {
    Limit,
    Remaining,
    Used,
    Reset,
    ResetAfter,
    Window,
    FillRate,
}

/// Words for figures; those that begin with another come first.
const FIGURES: [(&str, Figure); 11] = [
    ("reset-after", Figure::ResetAfter),
    ("remaining", Figure::Remaining),
    ("limit", Figure::Limit),
    ("reset", Figure::Reset),
    ("used", Figure::Used),
    ("observed", Figure::Used),
    ("period", Figure::Window),
    ("interval-seconds", Figure::Window),
    ("interval", Figure::Window),
    ("window", Figure::Window),
    ("fillrate", Figure::FillRate),
];

pub(super) fn read(
    found: &mut Found<'_>,
    answer: &LimitAnswer<'_>,
    reset_form: MomentForm,
    taken: &[String],
) {
    let named = NAMES
        .iter()
        .find_map(|header| answer.values(header).next())
        .unwrap_or(DEFAULT);
    let mut figures = Vec::new();
    for (header, value) in answer.headers {
        if value.len() > MAX_VALUE_BYTES || taken.contains(header) {
            continue;
        }
        let rest = PREFIXES
            .iter()
            .find_map(|prefix| header.strip_prefix(prefix));
        let (figure, name) = match rest.and_then(figure_of) {
            Some(found) => found,
            None if BARE.contains(&header.as_str()) => (Figure::Limit, ""),
            None => continue,
        };
        let name = if name.is_empty() { named } else { name };
        figures.push((figure, name, value.trim()));
    }
    // What is left is judged beside its quota; a time counted from now is exact where it stands
    // beside a moment by the service's clock; an interval beside a rate is the rate's.
    figures.sort_by_key(|(figure, ..)| *figure as u8);
    for (figure, name, value) in figures {
        if is_said(figure, value, reset_form, found.now_ms) {
            take(found, figure, name, value, reset_form);
        }
    }
}

/// Whether a value has a figure: a header without one makes no limit.
fn is_said(figure: Figure, value: &str, form: MomentForm, now_ms: i64) -> bool {
    match figure {
        Figure::Limit | Figure::Window => {
            first_count(value).is_some() || length_ms(value, form).is_some()
        }
        Figure::Remaining => left(first_item(value), Some(1)).is_some(),
        Figure::Used | Figure::FillRate => first_count(value).is_some(),
        Figure::Reset | Figure::ResetAfter => moment(value, form, now_ms).is_some(),
    }
}

fn take(found: &mut Found<'_>, figure: Figure, name: &str, value: &str, form: MomentForm) {
    let now_ms = found.now_ms;
    let Some(limit) = found.limit(name) else {
        return;
    };
    match figure {
        Figure::Limit => {
            limit.quota = smaller(limit.quota, first_count(value));
            limit.window_ms = limit.window_ms.or(window_of(value, limit.quota));
        }
        Figure::Remaining => {
            let remaining = split(value, ',')
                .filter_map(|item| left(split(item, ';').next()?, limit.quota))
                .min()
                .filter(|_| !is_grouped(value));
            limit.remaining = smaller(limit.remaining, remaining);
            limit.window_ms = limit.window_ms.or(window_of(value, None));
        }
        Figure::Used => limit.used = limit.used.max(first_count(value)),
        Figure::Reset => limit.reset_ms = limit.reset_ms.max(moment(value, form, now_ms)),
        Figure::ResetAfter => {
            limit.reset_ms = moment(value, MomentForm::Auto, now_ms).or(limit.reset_ms);
        }
        Figure::Window => {
            limit.window_ms = limit.window_ms.or(length_ms(value, MomentForm::Seconds));
        }
        // So much in each interval: that is no window.
        Figure::FillRate => {
            let every_ms = limit.window_ms.take().unwrap_or(1_000).max(1);
            limit.refill_per_hour = first_count(value)
                .and_then(|count| count.checked_mul(3_600_000))
                .map(|in_hour| in_hour / every_ms)
                .filter(|in_hour| *in_hour > 0);
        }
    }
}

/// `100, 100;w=60`: the first is the limit, the others are policies.
fn first_item(value: &str) -> &str {
    let first = split(value, ',').next().unwrap_or_default();
    split(first, ';').next().unwrap_or_default()
}

fn first_count(value: &str) -> Option<u64> {
    whole(first_item(value)).filter(|_| !is_grouped(value))
}

/// The window that stands beside the quota, as a parameter of its policy or, in its stead, as a
/// length such as `5m`.
fn window_of(value: &str, quota: Option<u64>) -> Option<u64> {
    let policies: Vec<(Option<u64>, u64)> = split(value, ',')
        .filter_map(|item| {
            let mut parts = split(item, ';');
            let count = parts.next().and_then(whole);
            let seconds = parts.find_map(|part| {
                let (key, seconds) = part.split_once('=')?;
                matches!(key.trim(), "w" | "window")
                    .then(|| whole(seconds.trim()))
                    .flatten()
            })?;
            Some((count, seconds.saturating_mul(1_000)))
        })
        .collect();
    let of_quota = policies
        .iter()
        .find(|(count, _)| quota.is_some() && *count == quota);
    match of_quota.or(policies.first()) {
        Some((_, window_ms)) => Some(*window_ms),
        None if whole(value).is_none() => length_ms(value, MomentForm::Seconds),
        None => None,
    }
}

/// Splits what follows the prefix: the figure first or last, and the limit's name in what is left.
fn figure_of(rest: &str) -> Option<(Figure, &str)> {
    FIGURES.iter().find_map(|(word, figure)| {
        let name = match (rest.strip_prefix(word), rest.strip_suffix(word)) {
            (Some(""), _) => "",
            (Some(after), _) => after.strip_prefix('-')?,
            (None, Some(before)) => before.strip_suffix('-')?,
            (None, None) => return None,
        };
        Some((*figure, name))
    })
}
