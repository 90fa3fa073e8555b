//! The probe `http`: one request, redirects followed, and the answer judged.

mod answer;
mod assertion;
mod expected;
mod headers;
mod names;
mod values;

use extrack_plugin::prelude::*;

use crate::answer::Answer;
use crate::assertion::Assertion;
use crate::expected::ExpectedStatus;
use crate::headers::Headers;

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
}

#[probe(check_settings = check_settings, wants(host = "*"))]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let response = request(check, settings).send()?;
    let mut observation = judge(&response, settings)?.http_status(response.status);
    if let Some(certificate) = &response.certificate {
        observation = observation.metric("certificate_days_left", certificate.days_left());
    }
    if response.is_end_unproven {
        observation = observation.metric("end_unproven", true);
    }
    if response.redirects > 0 {
        observation = observation.metric("redirects", response.redirects);
    }
    Ok(observation)
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
    for (name, value) in &settings.headers.0 {
        request = request.header(name, value);
    }
    if let Some(body) = &settings.body {
        request = request.body(body.as_str());
    }
    let credential = match settings.auth.as_deref() {
        Some("none") => None,
        Some(name) => Some(name),
        None => check.default_credential(),
    };
    if let Some(credential) = credential {
        request = request.auth(credential);
    }
    if let Some(bytes) = settings.max_body_bytes {
        request = request.max_body_bytes(bytes);
    }
    if settings.insecure {
        request = request.insecure();
    }
    // A page that is not looked into may be as large and as odd as it likes.
    if settings.body_contains.is_some() || settings.assertions.iter().any(Assertion::reads_the_body)
    {
        request = request.text();
    }
    let hops = if settings.expected_status.accepts_a_redirect() {
        0
    } else {
        settings.follow_redirects
    };
    request.follow_redirects(hops.min(MOST_REDIRECTS))
}

/// The first thing that is wrong decides; slowness is only looked at when nothing is.
fn judge(response: &http::Response, settings: &Settings) -> Result<Observation, Stop> {
    if !settings.expected_status.accepts(response.status) {
        let found = response.status;
        return Ok(Observation::unhealthy(format!(
            "status is {found}, wanted {}",
            settings.expected_status
        )));
    }
    let answer = Answer::new(response);
    if let Some(wanted) = &settings.body_contains
        && !answer
            .text()
            .is_ok_and(|text| text.contains(wanted.as_str()))
    {
        return Ok(Observation::unhealthy(format!(
            "body is {}, wanted one with `{wanted}` in it",
            answer.shown()
        )));
    }
    for assertion in &settings.assertions {
        if let Some(fault) = assertion.fault(&answer)? {
            return Ok(Observation::unhealthy(fault));
        }
    }
    if let Some(limit) = settings.degraded_over
        && response.latency() > limit
    {
        let found = response.latency().as_millis();
        return Ok(Observation::degraded(format!(
            "answer took {found} ms, wanted at most {}",
            time::format(limit)
        )));
    }
    Ok(Observation::healthy())
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |path: String, message: String| faults.push(Fault::new(path, message));
    if settings.method.is_empty()
        || !settings
            .method
            .chars()
            .all(|c| c.is_ascii_alphabetic() || c == '-')
    {
        fault(
            "/method".to_owned(),
            format!("is `{}`, wanted a method such as `GET`", settings.method),
        );
    }
    for name in settings
        .headers
        .0
        .keys()
        .filter(|name| !is_header_name(name))
    {
        fault(
            format!("/headers/{name}"),
            "is no name of a header".to_owned(),
        );
    }
    for (index, assertion) in settings.assertions.iter().enumerate() {
        if let Err(message) = assertion.check() {
            fault(format!("/assertions/{index}"), message);
        }
    }
    faults
}

/// A token of RFC 9110, section 5.6.2.
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

#[cfg(test)]
mod tests;
