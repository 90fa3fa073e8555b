//! The probe `http`.
use extrack_plugin::prelude::*;

#[derive(Settings)]
pub struct Settings {
    /// Path behind the base URL, in place of the service's health endpoint.
    path: Option<String>,
    /// Status wanted.
    #[setting(default = 200)]
    expected_status: u16,
}

#[probe]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let path = settings.path.as_deref().or(check.service.health_endpoint()).unwrap_or("");
    let mut request = http::get(check.service.url(path));
    if let Some(credential) = check.default_credential() {
        request = request.auth(credential);
    }
    let response = request.send()?;
    let observation = if response.status == settings.expected_status {
        Observation::healthy()
    } else {
        Observation::unhealthy(format!("status is {}, wanted {}", response.status, settings.expected_status))
    };
    Ok(observation.http_status(response.status))
}
