//! The probe `graphql`: one query by POST, as GraphQL over HTTP defines it. An answer with errors is
//! wrong, whatever its status.

use extrack_answers::{Answer, Assertion, ExpectedStatus, Headers, beginning, credential};
use extrack_plugin::prelude::*;

const MEDIA_TYPES: &str = "application/graphql-response+json, application/json;q=0.9";

#[derive(Settings)]
struct Settings {
    /// Path behind the base URL, in place of the service's `healthEndpoint`. What begins with
    /// `http://` or `https://` is a whole URL, in place of the base URL.
    #[setting(host = "url")]
    path: Option<String>,
    /// Query to send.
    #[setting(default = "{ __typename }")]
    query: String,
    /// Values of its variables, by name.
    variables: Option<json::Value>,
    /// Operation to execute, where the query has several.
    operation_name: Option<String>,
    /// Headers of the request; what looks like a secret is treated as one.
    #[setting(default)]
    headers: Headers,
    /// Status wanted: a number (`200`), a class (`2xx`), a range (`200-399`), or a list of these.
    #[setting(default = "2xx")]
    expected_status: ExpectedStatus,
    /// Further things that have to be true of the answer, such as of `$.data.viewer.id`.
    #[setting(default)]
    assertions: Vec<Assertion>,
    /// Result where the answer has errors beside its data.
    #[setting(default = "unhealthy")]
    on_partial_data: OnPartialData,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
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

#[derive(Settings, Debug, Clone, Copy, PartialEq, Eq)]
enum OnPartialData {
    Unhealthy,
    Degraded,
}

#[probe(check_settings = check_settings, wants(host = "*"))]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let response = request(check, settings).send()?;
    let mut observation = judge(&response, settings)?
        .unless_over(settings.degraded_over, response.latency())
        .http_status(response.status);
    if let Some(certificate) = &response.certificate {
        observation = observation.metric("certificate_days_left", certificate.days_left());
    }
    Ok(observation)
}

fn request(check: &Check, settings: &Settings) -> http::Request {
    let path = settings
        .path
        .as_deref()
        .or(check.service.health_endpoint())
        .unwrap_or("");
    let mut body = json::Map::new();
    body.insert("query".to_owned(), settings.query.as_str().into());
    if let Some(variables) = &settings.variables {
        body.insert("variables".to_owned(), variables.clone());
    }
    if let Some(name) = &settings.operation_name {
        body.insert("operationName".to_owned(), name.as_str().into());
    }
    let mut request = http::post(check.service.url(path))
        .header("accept", MEDIA_TYPES)
        .json(&json::Value::Object(body))
        .text();
    request = settings.headers.add_to(request);
    if let Some(credential) = credential(check, settings.auth.as_deref()) {
        request = request.auth(credential);
    }
    if let Some(bytes) = settings.max_body_bytes {
        request = request.max_body_bytes(bytes);
    }
    if settings.insecure {
        request = request.insecure();
    }
    request
}

fn judge(response: &http::Response, settings: &Settings) -> Result<Observation, Stop> {
    let answer = Answer::new(response);
    let document = answer.json();
    let errors = document
        .ok()
        .and_then(|document| document["errors"].as_array())
        .filter(|errors| !errors.is_empty());
    let is_expected = settings.expected_status.accepts(response.status);
    if let Some(errors) = errors {
        let has_data = document.is_ok_and(|document| document["data"].is_object());
        let message = said(errors);
        let is_partial = has_data && is_expected;
        let found = match settings.on_partial_data {
            OnPartialData::Degraded if is_partial => Observation::degraded(message),
            _ => Observation::unhealthy(message),
        };
        return Ok(found.metric("errors", errors.len()));
    }
    if !is_expected {
        let found = response.status;
        let wanted = &settings.expected_status;
        return Ok(Observation::unhealthy(format!(
            "status is {found}, wanted {wanted}"
        )));
    }
    match document {
        Err(fault) => return Ok(Observation::unhealthy(fault)),
        Ok(document) if !document["data"].is_object() => {
            let shown = answer.shown();
            return Ok(Observation::unhealthy(format!(
                "answer has no `data`: {shown}, wanted one of GraphQL"
            )));
        }
        Ok(_) => {}
    }
    for assertion in &settings.assertions {
        if let Some(fault) = assertion.fault(&answer)? {
            return Ok(Observation::unhealthy(fault));
        }
    }
    Ok(Observation::healthy())
}

/// The first error with its place and code, and how many more there are.
fn said(errors: &[json::Value]) -> String {
    let first = &errors[0];
    let text = first["message"].as_str().unwrap_or("no message");
    let mut message = format!("the answer has errors: {}", beginning(text));
    let steps = first["path"].as_array().into_iter().flatten();
    let path: Vec<String> = steps
        .map(|step| match step {
            json::Value::String(name) => name.clone(),
            other => other.to_string(),
        })
        .collect();
    if !path.is_empty() {
        message.push_str(&format!(" at `{}`", path.join(".")));
    }
    if let Some(code) = first["extensions"]["code"].as_str() {
        message.push_str(&format!(" ({})", beginning(code)));
    }
    if errors.len() > 1 {
        message.push_str(&format!(", and {} more", errors.len() - 1));
    }
    message
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = settings.headers.faults("/headers");
    if settings.query.trim().is_empty() {
        faults.push(Fault::new("/query", "is empty, wanted a query"));
    }
    if settings
        .variables
        .as_ref()
        .is_some_and(|values| !values.is_object())
    {
        faults.push(Fault::new("/variables", "wanted keys with values"));
    }
    for (index, assertion) in settings.assertions.iter().enumerate() {
        if let Err(message) = assertion.check() {
            faults.push(Fault::new(format!("/assertions/{index}"), message));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
