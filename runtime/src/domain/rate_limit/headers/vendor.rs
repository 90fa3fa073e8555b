//! Limits by the rules of a vendor or of the service.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::answer::LimitAnswer;
use super::bounds::{MAX_BODY_BYTES, MAX_VALUE_BYTES};
use super::found::Found;
use super::values::{decimal, left, length_ms, moment, split, whole};
use crate::domain::rate_limit::MAX_RATE_LIMITS;
use crate::domain::rate_limit::rules::{
    BODY, FigureSource, LimitRule, MomentForm, RateLimitRules, SourceParts,
};

const SECONDS_IN_HOUR: f64 = 3_600.0;

/// Reads what the rules name. `taken` gets the headers that are read: their common meaning is not
/// meant.
pub(super) fn read(
    found: &mut Found<'_>,
    answer: &LimitAnswer<'_>,
    rules: &RateLimitRules,
    taken: &mut Vec<String>,
) {
    for rule in &rules.limits {
        if let Some(header) = &rule.list {
            read_list(found, answer, &rule.name, header);
            taken.push(header.clone());
            continue;
        }
        for star in stars_of(rule, answer) {
            for document in documents_of(rule, answer) {
                let place = Place {
                    answer,
                    star: star.as_deref(),
                    document: document.as_ref(),
                };
                read_limit(found, rule, &place, taken);
            }
        }
    }
}

/// Where figures are looked for.
struct Place<'a> {
    answer: &'a LimitAnswer<'a>,
    /// What `*` stands for.
    star: Option<&'a str>,
    document: Option<&'a Value>,
}

fn read_limit(found: &mut Found<'_>, rule: &LimitRule, place: &Place<'_>, taken: &mut Vec<String>) {
    let Some(name) = place.name(&rule.name) else {
        return;
    };
    let now_ms = found.now_ms;
    let count = |source: &Option<FigureSource>| place.figure(source).and_then(|text| whole(&text));
    let quota = count(&rule.quota);
    let used = count(&rule.used);
    let remaining = place
        .figure(&rule.remaining)
        .and_then(|text| left(&text, quota));
    let reset_ms = place
        .figure(&rule.reset)
        .and_then(|text| moment(&text, form_of(&rule.reset), now_ms));
    let window_ms = place
        .figure(&rule.window)
        .and_then(|text| length_ms(&text, form_of(&rule.window)));
    let refill = place
        .figure(&rule.refill)
        .and_then(|text| decimal(&text))
        .filter(|refill| *refill > 0.0);
    // A quota that the rules know is no word of the answer.
    let is_said = remaining.is_some()
        || used.is_some()
        || refill.is_some()
        || (quota.is_some() && !matches!(rule.quota, Some(FigureSource::Number(_))));
    if !is_said {
        return;
    }
    let headers = rule.sources().filter_map(FigureSource::header);
    taken.extend(headers.map(|header| place.header(header).into_owned()));
    let Some(limit) = found.limit(&name) else {
        return;
    };
    limit.quota = limit.quota.or(quota);
    limit.remaining = limit.remaining.or(remaining);
    limit.used = limit.used.or(used);
    limit.window_ms = limit.window_ms.or(window_ms);
    limit.unit = limit.unit.take().or(rule.unit.clone());
    limit.refill_per_hour = limit
        .refill_per_hour
        .or(refill.map(|refill| (refill * SECONDS_IN_HOUR).round() as u64));
    let left = limit
        .remaining
        .or_else(|| Some(quota?.saturating_sub(used?)));
    let full_again_ms = || {
        let (refill, missing) = (refill?, limit.quota?.checked_sub(left?)?);
        let seconds = missing as f64 / refill;
        moment(&format!("{seconds:.3}"), MomentForm::Seconds, now_ms)
    };
    limit.reset_ms = limit.reset_ms.or(reset_ms).or_else(full_again_ms);
}

impl<'a> Place<'a> {
    fn name(&self, pattern: &str) -> Option<String> {
        if pattern.starts_with('/') {
            return self.document?.pointer(pattern)?.as_str().map(str::to_owned);
        }
        Some(self.header(pattern).into_owned())
    }

    /// Puts in what `*` stands for.
    fn header<'b>(&self, pattern: &'b str) -> Cow<'b, str> {
        match self.star {
            Some(star) if pattern.contains('*') => Cow::Owned(pattern.replacen('*', star, 1)),
            _ => Cow::Borrowed(pattern),
        }
    }

    fn figure(&self, source: &Option<FigureSource>) -> Option<String> {
        match source.as_ref()? {
            FigureSource::Number(number) => Some(number.to_string()),
            FigureSource::Header(header) => self.value(header, None),
            FigureSource::Parts(parts) => self
                .part(parts)
                .filter(|text| !parts.zero_is_unknown || decimal(text) != Some(0.0)),
        }
    }

    fn part(&self, parts: &SourceParts) -> Option<String> {
        if let Some(header) = &parts.header {
            return self.value(header, parts.index);
        }
        let numbers = parts
            .paths
            .iter()
            .filter_map(|path| match self.document?.pointer(path)? {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => decimal(text),
                _ => None,
            });
        numbers
            .reduce(f64::max)
            .filter(|number| number.is_finite())
            .map(|number| number.to_string())
    }

    fn value(&self, header: &str, index: Option<usize>) -> Option<String> {
        let header = self.header(header);
        let value = self.answer.values(&header).next()?;
        match index {
            Some(index) => split(value, ',').nth(index).map(str::to_owned),
            None => split(value, ';').next().map(str::to_owned),
        }
    }
}

fn form_of(source: &Option<FigureSource>) -> MomentForm {
    match source {
        Some(FigureSource::Parts(parts)) => parts.form.unwrap_or_default(),
        _ => MomentForm::Auto,
    }
}

/// Returns what `*` stands for in the headers of the answer; one entry where there is none.
fn stars_of(rule: &LimitRule, answer: &LimitAnswer<'_>) -> Vec<Option<String>> {
    let patterns: Vec<(&str, &str)> = rule
        .sources()
        .filter_map(FigureSource::header)
        .filter_map(|header| header.split_once('*'))
        .collect();
    if patterns.is_empty() {
        return vec![None];
    }
    let stands_for = |header: &str| {
        patterns.iter().find_map(|(start, end)| {
            let middle = header.strip_prefix(start)?.strip_suffix(end)?;
            (!middle.is_empty()).then(|| middle.to_owned())
        })
    };
    let found: BTreeSet<String> = answer
        .headers
        .iter()
        .filter_map(|(header, _)| stands_for(header))
        .collect();
    found.into_iter().take(MAX_RATE_LIMITS).map(Some).collect()
}

/// Returns the documents that the figures of a rule stand in, one for each limit; one entry without
/// a document for a rule that needs none.
fn documents_of(rule: &LimitRule, answer: &LimitAnswer<'_>) -> Vec<Option<Value>> {
    let Some(document) = &rule.document else {
        return vec![None];
    };
    let parsed: Option<Value> = if document == BODY {
        answer
            .body
            .filter(|body| body.len() <= MAX_BODY_BYTES)
            .and_then(|body| serde_json::from_slice(body).ok())
    } else {
        answer
            .values(document)
            .next()
            .filter(|value| value.len() <= MAX_VALUE_BYTES)
            .and_then(|value| serde_json::from_str(value).ok())
    };
    let mut found: Vec<Value> = parsed.into_iter().collect();
    for step in rule.each.iter().flat_map(|each| each.split('/').skip(1)) {
        let next = found.iter().flat_map(|value| -> Vec<&Value> {
            match value {
                Value::Object(members) if step == "*" => members.values().collect(),
                Value::Array(items) if step == "*" => items.iter().collect(),
                other => other.get(step).into_iter().collect(),
            }
        });
        found = next.take(MAX_RATE_LIMITS).cloned().collect();
    }
    found.into_iter().map(Some).collect()
}

/// `api-usage=25/5000; per-app-api-usage=17/250(appName=x)`, or `32/40` of one limit.
fn read_list(found: &mut Found<'_>, answer: &LimitAnswer<'_>, name: &str, header: &str) {
    let digits = |text: &str| -> Option<u64> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        whole(&text[..end])
    };
    for value in answer.values(header) {
        for item in value.split([';', ',']).take(MAX_RATE_LIMITS) {
            let (name, figures) = item.trim().split_once('=').unwrap_or((name, item.trim()));
            let Some((used, quota)) = figures.split_once('/') else {
                continue;
            };
            let (Some(used), Some(quota)) = (whole(used), digits(quota)) else {
                continue;
            };
            let Some(limit) = found.limit(name) else {
                return;
            };
            (limit.used, limit.quota) = (Some(used), Some(quota));
            limit.remaining = Some(quota.saturating_sub(used));
        }
    }
}
