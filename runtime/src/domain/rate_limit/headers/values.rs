//! Numbers, lengths of time and moments as services write them.

use super::bounds::{MAX_PAST_MS, MAX_RESET_MS};
use crate::domain::UnixMillis;
use crate::domain::rate_limit::rules::MomentForm;

/// Numbers from here on are seconds since 1970 (2001-09-09); a window of 31 years has not been
/// seen.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e12;

/// Above it no count is exact.
const MAX_COUNT: f64 = 9e15;

const SECOND_MS: f64 = 1_000.0;

/// Reads digits, with a fraction or without: no sign, no exponent, no separators, no words.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let is_written_so = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().any(|byte| byte.is_ascii_digit());
    is_written_so.then(|| text.parse().ok()).flatten()
}

/// Reads a count; vendors write `50` and `50.0`.
pub(super) fn whole(text: &str) -> Option<u64> {
    let number = decimal(text.trim_matches(['"', ' ']))?;
    (number < MAX_COUNT).then_some(number as u64)
}

/// Reads what is left. Below zero is nothing; `-1` alone means that it is not said.
pub(super) fn left(text: &str, quota: Option<u64>) -> Option<u64> {
    let text = text.trim_matches(['"', ' ']);
    let Some(below) = text.strip_prefix('-') else {
        return whole(text);
    };
    match whole(below)? {
        0 => Some(0),
        1 => quota.filter(|quota| *quota > 0).map(|_| 0),
        _ => Some(0),
    }
}

/// Whether digits stand in groups of three: `1,000` is either a thousand or two numbers.
pub(super) fn is_grouped(text: &str) -> bool {
    let mut groups = text.split(',');
    let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups
        .next()
        .is_some_and(|group| (1..=3).contains(&group.len()) && is_digits(group));
    let mut rest = groups.peekable();
    first && rest.peek().is_some() && rest.all(|group| group.len() == 3 && is_digits(group))
}

/// Splits at a separator that stands in no quotes; parts without the space around them.
pub(super) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

/// Reads a moment in any of the spellings, or in the one that the rules name.
pub(super) fn moment(text: &str, form: MomentForm, now_ms: UnixMillis) -> Option<UnixMillis> {
    let text = text.trim().trim_matches('"');
    let from_now =
        |ms: f64| (ms <= MAX_RESET_MS as f64).then(|| now_ms.saturating_add(ms.round() as i64));
    let since_1970 = |ms: f64| (ms < MAX_COUNT).then_some(ms.round() as i64);
    let number = decimal(text);
    let moment_ms = match (form, number) {
        (MomentForm::Auto, Some(number)) if number >= EPOCH_MILLIS => since_1970(number),
        (MomentForm::Auto, Some(number)) if number >= EPOCH_SECONDS => {
            since_1970(number * SECOND_MS)
        }
        (MomentForm::Auto | MomentForm::Seconds, Some(number)) => from_now(number * SECOND_MS),
        (MomentForm::Milliseconds, Some(number)) => from_now(number),
        (MomentForm::Minutes, Some(number)) => from_now(number * 60.0 * SECOND_MS),
        (MomentForm::Epoch, Some(number)) => since_1970(number * SECOND_MS),
        (MomentForm::EpochMillis, Some(number)) => since_1970(number),
        (MomentForm::Clock, _) => from_now(clock_ms(text)?),
        (_, None) => match duration_ms(text) {
            Some(ms) => from_now(ms),
            None => date_ms(text),
        },
    }?;
    let ahead_ms = moment_ms.saturating_sub(now_ms);
    (-MAX_PAST_MS..=MAX_RESET_MS)
        .contains(&ahead_ms)
        .then_some(moment_ms)
}

/// Reads a length of time in milliseconds: a number in the given form, or a text such as `5m`.
pub(super) fn length_ms(text: &str, form: MomentForm) -> Option<u64> {
    let factor = match form {
        MomentForm::Milliseconds | MomentForm::EpochMillis => 1.0,
        MomentForm::Minutes => 60.0 * SECOND_MS,
        MomentForm::Auto | MomentForm::Seconds | MomentForm::Epoch => SECOND_MS,
        MomentForm::Clock => return clock_ms(text).map(|ms| ms as u64),
    };
    let ms = match decimal(text.trim()) {
        Some(number) => number * factor,
        None => duration_ms(text.trim())?,
    };
    (ms >= 1.0 && ms <= MAX_RESET_MS as f64).then_some(ms as u64)
}

/// Reads `6m0s`, `1h2m`, `20ms`, `1.5s`.
fn duration_ms(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut total_ms = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|length| *length > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        total_ms += number
            * match &rest[..unit] {
                "us" => 0.001,
                "ms" => 1.0,
                "s" => SECOND_MS,
                "m" => 60.0 * SECOND_MS,
                "h" => 3_600.0 * SECOND_MS,
                "d" => 86_400.0 * SECOND_MS,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (!text.is_empty() && total_ms <= MAX_RESET_MS as f64).then_some(total_ms)
}

/// Reads `hh:mm:ss`.
fn clock_ms(text: &str) -> Option<f64> {
    let parts: Vec<f64> = text.split(':').map(decimal).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts.as_slice() else {
        return None;
    };
    Some(((hours * 60.0 + minutes) * 60.0 + seconds) * SECOND_MS)
}

/// Reads a date: RFC 3339 (also to the minute), the three forms of HTTP (RFC 9110, 5.6.7), the one
/// of mails, and JavaScript's `Date.toString()`.
fn date_ms(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    if let Ok(moment) = httpdate::parse_http_date(text) {
        let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
        return i64::try_from(since.as_millis()).ok();
    }
    if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
        return Some(date.timestamp().as_millisecond());
    }
    let without_zone_name = text.split(" (").next()?.trim();
    jiff::fmt::strtime::parse("%a %b %d %Y %H:%M:%S GMT%z", without_zone_name)
        .and_then(|parsed| parsed.to_timestamp())
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}
