//! Where to ask, and whether by TLS.

use extrack_plugin::prelude::*;

use super::Settings;

/// Returns the URL of the health service's method.
pub(crate) fn of(check: &Check, settings: &Settings) -> Result<String, Stop> {
    let text = settings.target.as_ref().unwrap_or(&check.service.base_url);
    let scheme = text.split("://").next().unwrap_or_default();
    let is_tls = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("grpcs");
    let (scheme, usual_port) = if settings.tls.unwrap_or(is_tls) {
        ("https", 443)
    } else {
        ("http", 80)
    };
    let (mut host, port) = stream::target(check, settings.target.as_deref(), usual_port)?;
    if host.contains(':') {
        host = format!("[{host}]");
    }
    Ok(format!(
        "{scheme}://{host}:{port}/grpc.health.v1.Health/Check"
    ))
}
