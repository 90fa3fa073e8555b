//! Selects by a JSONPath with the SDK.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    path: String,
}

#[probe(name = "path", summary = "Looks for a value")]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let answer = http::get(check.service.url("/")).send()?.json()?;
    let found = jsonpath::select(&answer, &settings.path)
        .map_err(|error| Stop::Internal(error.to_string()))?;
    Ok(match found.first() {
        Some(value) => Observation::healthy().metric("found", value.as_f64().unwrap_or_default()),
        None => Observation::unhealthy("found nothing"),
    })
}
