//! Logs of an object a line, by the names that their writers use. Of several names the first counts.

use serde_json::Value;

use super::{LogEntry, path_of};

const MOMENTS: &[&str] = &[
    "/time_iso8601",
    "/StartUTC",
    "/start_time",
    "/@timestamp",
    "/timestamp",
    "/time",
    "/ts",
    "/msec",
    "/time_local",
    "/StartLocal",
    "/date",
];
const METHODS: &[&str] = &[
    "/request_method",
    "/RequestMethod",
    "/request/method",
    "/method",
    "/http_method",
    "/verb",
    "/httpRequest/requestMethod",
];
const PATHS: &[&str] = &[
    "/request_uri",
    "/RequestPath",
    "/request/uri",
    "/path",
    "/uri",
    "/url",
    "/request_path",
    "/target",
    "/httpRequest/requestUrl",
];
const STATUSES: &[&str] = &[
    "/status",
    "/DownstreamStatus",
    "/OriginStatus",
    "/response_code",
    "/status_code",
    "/response/status",
    "/httpRequest/status",
];
const SIZES: &[&str] = &[
    "/body_bytes_sent",
    "/DownstreamContentSize",
    "/bytes_sent",
    "/size",
    "/bytes",
    "/httpRequest/responseSize",
];
const REQUEST_SIZES: &[&str] = &[
    "/bytes_read",
    "/RequestContentSize",
    "/bytes_received",
    "/httpRequest/requestSize",
];
const USERS: &[&str] = &[
    "/remote_user",
    "/user_id",
    "/ClientUsername",
    "/consumer",
    "/user",
];
/// Names of durations, with the milliseconds of their unit.
const DURATIONS: &[(&str, f64)] = &[
    ("/request_time", 1_000.0),
    // Traefik's: nanoseconds.
    ("/Duration", 0.000_001),
    // Envoy's, and many others'.
    ("/duration_ms", 1.0),
    ("/latency_ms", 1.0),
    ("/elapsed_ms", 1.0),
    ("/response_time_ms", 1.0),
];

pub(super) fn read(line: &str) -> Result<LogEntry, String> {
    let object: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    if !object.is_object() {
        return Err("no object".to_owned());
    }
    let (method, target) = request(&object)?;
    let path = path_of(&target).ok_or("the request has no path")?;
    let moment = find(&object, MOMENTS)
        .ok_or("no moment: none of `time_iso8601`, `timestamp`, `time`, `ts` is there")?;
    let ts_ms = read_moment(moment).ok_or_else(|| format!("`{}` is no moment", short(moment)))?;
    let status = find(&object, STATUSES).and_then(unsigned);
    let status = status.and_then(|status| u16::try_from(status).ok());
    Ok(LogEntry {
        ts_ms,
        method,
        path,
        status: status.filter(|status| (100..600).contains(status)),
        latency_ms: latency(&object),
        bytes_out: find(&object, SIZES).and_then(unsigned),
        bytes_in: find(&object, REQUEST_SIZES).and_then(unsigned),
        user: find(&object, USERS)
            .and_then(Value::as_str)
            .filter(|user| !["", "-"].contains(user))
            .map(str::to_owned),
    })
}

/// Returns method and target, which some writers put into one line, `GET /path HTTP/1.1`.
fn request(object: &Value) -> Result<(String, String), String> {
    let text = |names| find(object, names).and_then(Value::as_str);
    if let (Some(method), Some(path)) = (text(METHODS), text(PATHS)) {
        return Ok((method.to_owned(), path.to_owned()));
    }
    let line = text(&["/request", "/request_line", "/RequestLine"]);
    let mut words = line.unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some(method), Some(target)) if !method.is_empty() => {
            Ok((method.to_owned(), target.to_owned()))
        }
        _ => Err("no request: neither `request` nor a method and a path is there".to_owned()),
    }
}

fn latency(object: &Value) -> Option<f64> {
    let named = DURATIONS.iter().find_map(|(name, unit)| {
        let value = object.pointer(name)?;
        Some(number(value)? * unit)
    });
    // Caddy counts seconds, with a fraction; Envoy milliseconds, without one.
    let plain = || match object.pointer("/duration")? {
        Value::Number(value) if value.is_f64() => Some(value.as_f64()? * 1_000.0),
        Value::Number(value) => value.as_f64(),
        Value::String(text) => text.trim_end_matches("ms").parse().ok(),
        _ => None,
    };
    let latency = named.or_else(plain);
    latency.filter(|latency| latency.is_finite() && *latency >= 0.0)
}

fn find<'a>(object: &'a Value, names: &[&str]) -> Option<&'a Value> {
    let values = names.iter().filter_map(|name| object.pointer(name));
    values
        .into_iter()
        .find(|value| !value.is_null() && **value != "")
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Text with an offset, or seconds or milliseconds since 1970.
fn read_moment(value: &Value) -> Option<i64> {
    if let Some(text) = value.as_str() {
        let moment = text.parse::<jiff::Timestamp>().ok();
        let moment = moment.or_else(|| {
            let local = [
                "%d/%b/%Y:%H:%M:%S %z",
                "%Y-%m-%dT%H:%M:%S%.f%z",
                "%Y-%m-%d %H:%M:%S%.f%z",
            ];
            local.iter().find_map(|format| {
                jiff::fmt::strtime::parse(format, text)
                    .ok()?
                    .to_timestamp()
                    .ok()
            })
        });
        if let Some(moment) = moment {
            return Some(moment.as_millisecond());
        }
    }
    let number = number(value)?;
    let ms = if number < 100_000_000_000.0 {
        number * 1_000.0
    } else {
        number
    };
    (ms.is_finite() && ms.abs() < 1e15).then_some(ms.round() as i64)
}

fn short(value: &Value) -> String {
    value
        .to_string()
        .chars()
        .filter(|c| !c.is_control())
        .take(60)
        .collect()
}
