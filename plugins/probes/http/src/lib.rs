//! The probe `http`: one request, redirects followed, and the answer judged; or several requests, one
//! after the other, with what earlier answers said.

mod extract;
mod steps;
mod variables;
mod wanted;

use extrack_answers::{Assertion, ExpectedStatus, Headers, credential};
use extrack_plugin::prelude::*;

use crate::steps::Step;
use crate::wanted::Wanted;

/// Redirects that a URL may need at most; more is a loop.
const MOST_REDIRECTS: u32 = 20;

#[derive(Settings)]
struct Settings {
    /// Path behind the base URL, in place of the service's `healthEndpoint`. What begins with `http://` or `https://` is a whole
    /// URL, in place of the base URL.
    #[setting(host = "url")]
    path: Option<String>,
    /// Method of the request.
    #[setting(default = "GET")]
    method: String,
    /// Headers of the request. Secrets belong into the service's `authentication`; what looks like
    /// one is treated as one.
    #[setting(default)]
    headers: Headers,
    /// Body of the request.
    body: Option<String>,
    /// Status wanted: a number (`200`), a class (`2xx`), a range (`200-399`), or a list of these.
    #[setting(default = "2xx")]
    expected_status: ExpectedStatus,
    /// Text that the body has to contain.
    body_contains: Option<String>,
    /// Further things that have to be true of the answer.
    #[setting(default)]
    assertions: Vec<Assertion>,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
    /// Redirects to follow at most. None are followed when `expectedStatus` asks for one.
    #[setting(default = 5, max = 20)]
    follow_redirects: u32,
    /// Longer bodies are cut off here.
    #[setting(min = 1)]
    max_body_bytes: Option<u64>,
    /// Accepts any certificate.
    #[setting(default = false)]
    insecure: bool,
    /// Credential of the service to use; `none` for none. Without this, the one in
    /// `authentication` if there is one.
    auth: Option<String>,
    /// Requests one after the other, in place of the one request: cookies go along, and `{{name}}`
    /// stands for what an earlier step extracted. The first one that fails ends the run.
    #[setting(default, max_size = 20)]
    steps: Vec<Step>,
}

#[probe(check_settings = check_settings, wants(host = "*"))]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    if !settings.steps.is_empty() {
        return steps::run(check, settings);
    }
    let response = request(check, settings).send()?;
    let found = match wanted(settings).fault(&response)? {
        Some(fault) => Observation::unhealthy(fault),
        None => unless_slow(settings, response.latency()),
    };
    Ok(noted(found, &response, response.redirects))
}

/// Adds what is noted of the last answer.
fn noted(mut observation: Observation, response: &http::Response, redirects: u32) -> Observation {
    observation = observation.http_status(response.status);
    if let Some(certificate) = &response.certificate {
        observation = observation.metric("certificate_days_left", certificate.days_left());
    }
    if response.is_end_unproven {
        observation = observation.metric("end_unproven", true);
    }
    if redirects > 0 {
        observation = observation.metric("redirects", redirects);
    }
    observation
}

/// Slowness is only looked at when nothing else is wrong.
fn unless_slow(settings: &Settings, took: Duration) -> Observation {
    match settings.degraded_over {
        Some(limit) if took > limit => Observation::degraded(format!(
            "answer took {} ms, wanted at most {}",
            took.as_millis(),
            time::format(limit)
        )),
        _ => Observation::healthy(),
    }
}

fn wanted(settings: &Settings) -> Wanted<'_> {
    Wanted {
        status: &settings.expected_status,
        body_contains: settings.body_contains.as_deref(),
        assertions: &settings.assertions,
        is_private: false,
    }
}

fn request(check: &Check, settings: &Settings) -> http::Request {
    let path = settings
        .path
        .as_deref()
        .or(check.service.health_endpoint())
        .unwrap_or("");
    let mut request = http::Request::new(
        settings.method.to_ascii_uppercase(),
        check.service.url(path),
    );
    request = settings.headers.add_to(request);
    if let Some(body) = &settings.body {
        request = request.body(body.as_str());
    }
    if let Some(credential) = credential(check, settings.auth.as_deref()) {
        request = request.auth(credential);
    }
    let wanted = wanted(settings);
    if wanted.reads_the_body() {
        request = request.text();
    }
    in_the_manner_of(settings, request).follow_redirects(hops(settings, wanted.status))
}

/// Adds what all requests of a probe have in common.
fn in_the_manner_of(settings: &Settings, mut request: http::Request) -> http::Request {
    if let Some(bytes) = settings.max_body_bytes {
        request = request.max_body_bytes(bytes);
    }
    if settings.insecure {
        request = request.insecure();
    }
    request
}

fn hops(settings: &Settings, wanted: &ExpectedStatus) -> u32 {
    if wanted.accepts_a_redirect() {
        0
    } else {
        settings.follow_redirects.min(MOST_REDIRECTS)
    }
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(method_fault(&settings.method, "/method"));
    faults.extend(settings.headers.faults("/headers"));
    faults.extend(assertion_faults(&settings.assertions, "/assertions"));
    faults.extend(steps::faults(settings));
    faults
}

fn method_fault(method: &str, place: &str) -> Option<Fault> {
    let is_one = !method.is_empty() && method.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
    let message = || format!("is `{method}`, wanted a method such as `GET`");
    (!is_one).then(|| Fault::new(place, message()))
}

fn assertion_faults(assertions: &[Assertion], place: &str) -> Vec<Fault> {
    let checked = assertions.iter().enumerate();
    checked
        .filter_map(|(index, assertion)| {
            let message = assertion.check().err()?;
            Some(Fault::new(format!("{place}/{index}"), message))
        })
        .collect()
}

#[cfg(test)]
mod tests;
