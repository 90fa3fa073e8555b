//! One line as a call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::api_types::calls::{CallLine, CallLineEnd, CallLineSource, CallMoment, UnitAmount};
use crate::domain::units::{is_unit_name, parse_amount};
use crate::domain::{
    CacheUse, Call, CallEnd, CallPath, CallPhases, CallSource, CallUnits, Catalog, UnixMillis,
    now_ms,
};

const MAX_TEXT: usize = 128;
const MAX_PATH: usize = 2_048;
const MAX_METHOD: usize = 16;
const MAX_ATTEMPTS: u32 = 1_000;
/// A week: no call is longer.
const MAX_LATENCY_MS: f64 = 604_800_000.0;
/// 2000-01-01
const EARLIEST_MS: UnixMillis = 946_684_800_000;
const MOST_AHEAD_MS: i64 = 86_400_000;

/// Returns the call; an error says what is wrong with the line, for people.
pub(super) fn call(line: CallLine, catalog: &Catalog) -> Result<Call, String> {
    let Some((slug, _)) = catalog.services.get_key_value(&line.service) else {
        return Err(format!("there is no service `{}`", short(&line.service)));
    };
    text("id", &line.id)?;
    if let Some(consumer) = &line.consumer {
        text("consumer", consumer)?;
    }
    if let Some(kind) = &line.error_kind {
        text("errorKind", kind)?;
    }
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if line.method.is_empty()
        || line.method.len() > MAX_METHOD
        || !line.method.bytes().all(is_token)
    {
        return Err("`method` must be a method of HTTP, e.g. `GET`".to_owned());
    }
    if line
        .status
        .is_some_and(|status| !(100..600).contains(&status))
    {
        return Err("`status` must be a status of HTTP, 100 to 599".to_owned());
    }
    let attempts = line.attempts.unwrap_or(1);
    if attempts > MAX_ATTEMPTS {
        return Err(format!("`attempts` must be at most {MAX_ATTEMPTS}"));
    }
    let ended = match line.ended {
        Some(ended) => end(ended),
        None if line.status.is_some() => CallEnd::Complete,
        None if line.error_kind.as_deref() == Some("timeout") => CallEnd::Timeout,
        None => CallEnd::Truncated,
    };
    Ok(Call {
        ts_ms: moment(&line.ts)?,
        service: slug.as_str().into(),
        consumer: line.consumer.map(Arc::from),
        credential: None,
        method: line.method.to_ascii_uppercase(),
        path: path(line.path, line.route)?,
        status: line.status,
        latency: latency(line.latency_ms)?,
        phases: CallPhases::default(),
        bytes_in: line.bytes_in.unwrap_or(0),
        bytes_out: line.bytes_out.unwrap_or(0),
        units: CallUnits::Known(units(line.units)?),
        tags: tags(line.tags)?,
        attempts,
        cache: CacheUse::None,
        source: match line.source {
            None | Some(CallLineSource::Api) => CallSource::Api,
            Some(CallLineSource::Import) => CallSource::Import,
        },
        error_kind: line.error_kind,
        ended,
        id: line.id,
    })
}

fn text(name: &str, value: &str) -> Result<(), String> {
    let is_plain = !value.chars().any(char::is_control);
    if value.is_empty() || value.len() > MAX_TEXT || !is_plain {
        return Err(format!("`{name}` must be text of 1 to {MAX_TEXT} bytes"));
    }
    Ok(())
}

fn moment(ts: &CallMoment) -> Result<UnixMillis, String> {
    let ms = match ts {
        CallMoment::Millis(ms) => *ms,
        CallMoment::Text(text) => {
            let read = text.parse::<jiff::Timestamp>();
            let read = read.map_err(|_| {
                format!(
                    "`ts` is `{}`; it must be a moment with an offset, e.g. `2026-11-23T07:43:23Z`, or milliseconds since 1970",
                    short(text)
                )
            })?;
            read.as_millisecond()
        }
    };
    if ms < EARLIEST_MS {
        return Err("`ts` is before 2000; a number counts milliseconds since 1970".to_owned());
    }
    if ms > now_ms() + MOST_AHEAD_MS {
        return Err("`ts` is more than a day ahead of our clock".to_owned());
    }
    Ok(ms)
}

fn path(path: Option<String>, route: Option<String>) -> Result<CallPath, String> {
    let (name, value) = match (&path, &route) {
        (Some(path), None) => ("path", path),
        (None, Some(route)) => ("route", route),
        _ => return Err("one of `path` and `route` must be given".to_owned()),
    };
    if !value.starts_with('/') || value.chars().any(char::is_control) {
        return Err(format!("`{name}` must begin with `/`"));
    }
    if value.len() > MAX_PATH {
        return Err(format!("`{name}` must have at most {MAX_PATH} bytes"));
    }
    Ok(match (path, route) {
        (Some(path), _) => CallPath::Path(path),
        (None, route) => CallPath::Route(route.unwrap_or_default()),
    })
}

fn latency(ms: Option<f64>) -> Result<Option<Duration>, String> {
    match ms {
        None => Ok(None),
        Some(ms) if (0.0..=MAX_LATENCY_MS).contains(&ms) => {
            Ok(Some(Duration::from_secs_f64(ms / 1_000.0)))
        }
        Some(_) => Err("`latencyMs` must be 0 to a week".to_owned()),
    }
}

fn tags(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    if tags.len() > CallUnits::MAX {
        return Err(format!(
            "`tags` must have at most {} of them",
            CallUnits::MAX
        ));
    }
    for (name, value) in &tags {
        text("tags", name)?;
        text("tags", value)?;
    }
    Ok(tags)
}

fn units(units: BTreeMap<String, UnitAmount>) -> Result<BTreeMap<String, Decimal>, String> {
    if units.len() > CallUnits::MAX {
        return Err(format!(
            "`units` must have at most {} of them",
            CallUnits::MAX
        ));
    }
    let read = |(name, amount): (String, UnitAmount)| {
        if !is_unit_name(&name) {
            return Err(format!(
                "`units` has `{}`; a unit is named in lower-case letters, digits, `_`, `-` and `.`",
                short(&name)
            ));
        }
        let text = match &amount {
            UnitAmount::Number(number) => number.to_string(),
            UnitAmount::Text(text) => text.clone(),
        };
        let amount = parse_amount(&text).ok_or_else(|| {
            format!(
                "`units.{name}` is `{}`; it must be a number of 0 to 1e15",
                short(&text)
            )
        })?;
        Ok((name, amount))
    };
    units.into_iter().map(read).collect()
}

fn end(ended: CallLineEnd) -> CallEnd {
    match ended {
        CallLineEnd::Complete => CallEnd::Complete,
        CallLineEnd::Cancelled => CallEnd::Cancelled,
        CallLineEnd::Truncated => CallEnd::Truncated,
        CallLineEnd::Timeout => CallEnd::Timeout,
        CallLineEnd::Refused => CallEnd::Refused,
    }
}

/// A wrong value as messages show it.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
