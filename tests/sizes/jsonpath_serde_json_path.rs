//! Selects by a JSONPath with `serde_json_path`.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    path: String,
}

#[probe(name = "path", summary = "Looks for a value")]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let answer = http::get(check.service.url("/")).send()?.json()?;
    let path = serde_json_path::JsonPath::parse(&settings.path)
        .map_err(|error| Stop::Internal(error.to_string()))?;
    let found = path.query(&answer).all();
    Ok(match found.first() {
        Some(value) => Observation::healthy().metric("found", value.as_f64().unwrap_or_default()),
        None => Observation::unhealthy("found nothing"),
    })
}
