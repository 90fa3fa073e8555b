//! The probe `rate-limit`: how much of a rate limit is left, by what an endpoint answers? The host
//! reads the figures, by the rules of the service, as it does for every other answer.

use extrack_answers::{ExpectedStatus, Headers, credential};
use extrack_plugin::http::Limit;
use extrack_plugin::prelude::*;

/// Refuses for a limit's sake, whatever else the answer has.
const TOO_MANY_REQUESTS: u16 = 429;
/// Statuses that refuse where the answer has a limit of which nothing is left, or the moment to come
/// again: GitHub and Google use 403, Toggl 402, Binance 418, Twitter's first API 420.
const MAY_REFUSE: [u16; 5] = [402, 403, 418, 420, 503];

#[derive(Settings)]
struct Settings {
    /// Path behind the base URL, in place of the service's `healthEndpoint`. What begins with
    /// `http://` or `https://` is a whole URL, in place of the base URL.
    #[setting(host = "url")]
    path: Option<String>,
    /// Method of the request.
    #[setting(default = "GET", pattern = "^[A-Za-z-]+$")]
    method: String,
    /// Headers of the request; what looks like a secret is treated as one.
    #[setting(default)]
    headers: Headers,
    /// Body of the request.
    body: Option<String>,
    /// Status wanted. A refusal for a limit's sake is no wrong answer: 429, or 402, 403, 418, 420 and
    /// 503 with a limit of which nothing is left, or with `Retry-After`.
    #[setting(default = "2xx")]
    expected_status: ExpectedStatus,
    /// Name of the limit. Default: the one of which the least is left.
    limit: Option<String>,
    /// Less than this percentage left is `degraded`.
    #[setting(default = 10.0, min = 0, max = 100)]
    warn_percent: f64,
    /// Less than this left is `degraded`, whatever the quota.
    min_remaining: Option<u64>,
    /// Result where nothing is left, or the answer is a refusal.
    #[setting(default = "degraded")]
    on_exhausted: OnExhausted,
    /// Accepts any certificate.
    #[setting(default = false)]
    insecure: bool,
    /// Credential of the service to use, whose limit it is; `none` for none. Without this, the one
    /// in `authentication` if there is one.
    auth: Option<String>,
}

#[derive(Settings, Debug, Clone, Copy, PartialEq, Eq)]
enum OnExhausted {
    Degraded,
    Unhealthy,
}

#[probe(
    check_settings = check_settings,
    wants(host = "*", feature = "http.request:rate-limits")
)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let response = request(check, settings).send()?;
    let limit = decisive(&response.limits, settings.limit.as_deref());
    let mut observation = judge(&response, limit, settings)
        .http_status(response.status)
        .metric("limits", response.limits.len());
    if let Some(certificate) = &response.certificate {
        observation = observation.metric("certificate_days_left", certificate.days_left());
    }
    Ok(match limit {
        Some(limit) => noted(observation, limit),
        None => observation,
    })
}

fn request(check: &Check, settings: &Settings) -> http::Request {
    let path = settings
        .path
        .as_deref()
        .or(check.service.health_endpoint())
        .unwrap_or("");
    let method = settings.method.to_ascii_uppercase();
    let mut request = http::Request::new(method, check.service.url(path)).limits();
    request = settings.headers.add_to(request);
    if let Some(body) = &settings.body {
        request = request.body(body.as_str());
    }
    if let Some(credential) = credential(check, settings.auth.as_deref()) {
        request = request.auth(credential);
    }
    if settings.insecure {
        request = request.insecure();
    }
    request
}

/// The limit of that name, else the one of which the least is left.
fn decisive<'a>(limits: &'a [Limit], wanted: Option<&str>) -> Option<&'a Limit> {
    if let Some(name) = wanted {
        return limits.iter().find(|limit| limit.name == name);
    }
    // What is not known comes last.
    let order = |limit: &&Limit| {
        let share = percent(limit).unwrap_or(f64::MAX);
        (share, limit.remaining.unwrap_or(u64::MAX))
    };
    limits.iter().min_by(|one, other| {
        let (one, other) = (order(one), order(other));
        one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
    })
}

/// Whether the answer refuses for a limit's sake. What the rules of the service name is a limit of
/// which nothing is left by then.
fn is_refusal(response: &http::Response) -> bool {
    let is_empty = |limit: &Limit| limit.remaining == Some(0);
    let has_empty = response.limits.iter().any(is_empty);
    match response.status {
        TOO_MANY_REQUESTS => true,
        // The rules of some vendors know it by the body.
        400 => has_empty,
        status if MAY_REFUSE.contains(&status) => {
            has_empty || response.header("retry-after").is_some()
        }
        _ => false,
    }
}

fn judge(response: &http::Response, limit: Option<&Limit>, settings: &Settings) -> Observation {
    let refused = is_refusal(response);
    if !refused && !settings.expected_status.accepts(response.status) {
        let (found, wanted) = (response.status, &settings.expected_status);
        return Observation::unhealthy(format!("status is {found}, wanted {wanted}"));
    }
    let exhausted = |message: String| match settings.on_exhausted {
        OnExhausted::Degraded => Observation::degraded(message),
        OnExhausted::Unhealthy => Observation::unhealthy(message),
    };
    let Some(limit) = limit else {
        return match (&settings.limit, refused) {
            (_, true) => {
                let status = response.status;
                exhausted(format!("the request was refused with status {status}"))
            }
            (Some(name), false) => Observation::degraded(missing(name, &response.limits)),
            (None, false) => Observation::degraded(
                "the answer says nothing about a rate limit; `rateLimits` of the service tells how it is read",
            ),
        };
    };
    let name = &limit.name;
    if refused || limit.remaining == Some(0) {
        return exhausted(format!("limit `{name}` is used up{}", until(limit)));
    }
    let Some(remaining) = limit.remaining else {
        return Observation::degraded(format!(
            "the answer does not say what is left of limit `{name}`"
        ));
    };
    if let Some(wanted) = settings.min_remaining.filter(|wanted| remaining < *wanted) {
        return Observation::degraded(format!(
            "limit `{name}` has {remaining} left, wanted at least {wanted}{}",
            until(limit)
        ));
    }
    match percent(limit) {
        Some(share) if share < settings.warn_percent => Observation::degraded(format!(
            "limit `{name}` has {share:.1} % left, {remaining} of {}, wanted at least {} %{}",
            limit.quota.unwrap_or_default(),
            settings.warn_percent,
            until(limit)
        )),
        _ => Observation::healthy(),
    }
}

fn missing(name: &str, limits: &[Limit]) -> String {
    let known: Vec<String> = limits
        .iter()
        .map(|limit| format!("`{}`", limit.name))
        .collect();
    let has = if known.is_empty() {
        "has none".to_owned()
    } else {
        format!("has {}", known.join(", "))
    };
    format!("the answer has no limit `{name}`; it {has}")
}

/// When it starts anew, where that is known.
fn until(limit: &Limit) -> String {
    match limit.reset_ms {
        Some(reset_ms) => format!("; it starts anew at {}", time::rfc3339(reset_ms)),
        None => String::new(),
    }
}

/// What is left of the quota; none where one of both is not known.
fn percent(limit: &Limit) -> Option<f64> {
    let quota = limit.quota.filter(|quota| *quota > 0)?;
    Some(limit.remaining? as f64 * 100.0 / quota as f64)
}

fn noted(mut observation: Observation, limit: &Limit) -> Observation {
    observation = observation.metric("limit", limit.name.as_str());
    for (name, figure) in [("remaining", limit.remaining), ("quota", limit.quota)] {
        if let Some(figure) = figure {
            observation = observation.metric(name, figure);
        }
    }
    if let Some(share) = percent(limit) {
        observation = observation.metric("remaining_percent", share);
    }
    if let Some(reset_ms) = limit.reset_ms {
        let seconds = reset_ms.saturating_sub(clock::now_ms()) / 1_000;
        observation = observation.metric("resets_in_s", seconds);
    }
    observation
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    settings.headers.faults("/headers")
}

#[cfg(test)]
mod tests;
