//! The probe `grpc`: what does a server answer to `grpc.health.v1.Health/Check`, the health checking
//! protocol of gRPC?

mod address;
mod message;
mod status;

use std::collections::BTreeMap;

use extrack_plugin::prelude::*;

use status::CallStatus;

#[derive(Settings)]
struct Settings {
    /// `host:port` or a URL, in place of the base URL's. Without a port it is 443 with TLS, else 80.
    #[setting(host)]
    target: Option<String>,
    /// Service to ask for, such as `shop.v1.Cart`. Without it, the server as a whole.
    #[setting(default)]
    service: String,
    /// TLS. Default: whether the address begins with `https://` or `grpcs://`.
    tls: Option<bool>,
    /// Metadata of the call, such as `authorization`.
    #[setting(default)]
    metadata: BTreeMap<String, Secret>,
    /// Credential of the service to use; `none` for none. Without this, the one in
    /// `authentication` if there is one.
    auth: Option<String>,
    /// Deadline of the call, which the server is given. Default: the time-out of the run.
    deadline: Option<Duration>,
    /// Name to ask for and to check in the certificate, in place of the host.
    server_name: Option<String>,
    /// Accepts any certificate.
    #[setting(default = false)]
    insecure: bool,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
}

#[probe(
    check_settings = check_settings,
    wants(feature = "http.request:http2", feature = "http.request:trailers")
)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let response = request(check, settings)?.send()?;
    let mut observation = judge(&response, &settings.service)
        .unless_over(settings.degraded_over, response.latency())
        .http_status(response.status);
    if let Some(certificate) = &response.certificate {
        observation = observation.metric("certificate_days_left", certificate.days_left());
    }
    Ok(observation)
}

fn request(check: &Check, settings: &Settings) -> Result<http::Request, Stop> {
    let deadline = settings
        .deadline
        .unwrap_or(check.timeout)
        .min(check.timeout);
    let mut request = http::post(address::of(check, settings)?)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", format!("{}m", deadline.as_millis()))
        .body(message::request(&settings.service))
        .timeout(deadline)
        .http2()
        .trailers();
    for (name, value) in &settings.metadata {
        request = request.header(name, value);
    }
    let credential = match settings.auth.as_deref() {
        Some("none") => None,
        Some(name) => Some(name),
        None => check.default_credential(),
    };
    if let Some(credential) = credential {
        request = request.auth(credential);
    }
    if let Some(name) = &settings.server_name {
        request = request.server_name(name);
    }
    if settings.insecure {
        request = request.insecure();
    }
    Ok(request)
}

fn judge(response: &http::Response, service: &str) -> Observation {
    let Some(status) = CallStatus::of(response) else {
        let found = response.status;
        return Observation::unhealthy(format!(
            "answer of HTTP status {found} has no `grpc-status`, wanted one of gRPC"
        ));
    };
    match status.name {
        "OK" => serving(&response.body, service),
        "NOT_FOUND" => Observation::unhealthy(format!(
            "server does not know {} ({status})",
            subject(service)
        )),
        "UNIMPLEMENTED" => Observation::unhealthy(format!(
            "server has no `grpc.health.v1.Health`, which reports its health ({status})"
        )),
        "DEADLINE_EXCEEDED" => {
            Observation::failed(Status::Error, ErrorKind::Timeout, status.to_string())
        }
        _ => Observation::unhealthy(format!("status of the call is {status}, wanted OK")),
    }
}

fn serving(body: &[u8], service: &str) -> Observation {
    match message::serving_status(body) {
        Ok("SERVING") => Observation::healthy(),
        Ok(found) => {
            Observation::unhealthy(format!("{} is {found}, wanted SERVING", subject(service)))
        }
        Err(fault) => Observation::failed(Status::Error, ErrorKind::Protocol, fault),
    }
}

fn subject(service: &str) -> String {
    if service.is_empty() {
        "the server".to_owned()
    } else {
        format!("service `{service}`")
    }
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let target = stream::target_fault(settings.target.as_deref());
    let is_name = |name: &str| {
        let is_allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        !name.is_empty() && name.chars().all(is_allowed) && !name.starts_with("grpc-")
    };
    let wrong = settings.metadata.keys().filter(|name| !is_name(name));
    let fault = |name: &String| {
        let place = name.replace('~', "~0").replace('/', "~1");
        Fault::new(
            format!("/metadata/{place}"),
            "is no name of metadata: lower case, without `grpc-` in front",
        )
    };
    target.into_iter().chain(wrong.map(fault)).collect()
}

#[cfg(test)]
mod tests;
