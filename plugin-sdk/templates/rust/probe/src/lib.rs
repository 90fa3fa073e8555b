//! Checks a service's health endpoint.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Path of the health endpoint.
    #[setting(default = "/health")]
    path: String,
    /// Field of the answer to look at.
    #[setting(default = "status")]
    field: String,
    /// Value of the field when all is well.
    #[setting(default = "ok")]
    wanted: String,
}

#[probe(summary = "Checks a health endpoint that answers in JSON")]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let response = http::get(check.service.url(&settings.path)).send()?;
    let observation = if response.status != 200 {
        Observation::unhealthy(format!("status is {}, wanted 200", response.status))
    } else {
        let answer = response.json()?;
        match answer[settings.field.as_str()].as_str().unwrap_or("absent") {
            found if found == settings.wanted => Observation::healthy(),
            found => Observation::unhealthy(format!("`{}` is {found}, wanted {}", settings.field, settings.wanted)),
        }
    };
    Ok(observation.http_status(response.status))
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, response};

    use super::*;

    fn checked(status: u16, body: &str) -> Observation {
        let host = Host::install();
        host.answer_http("GET https://api.example.com/health", response(status, body));
        match check(&Check::of("https://api.example.com"), &Settings::from_json("{}").unwrap()) {
            Ok(observation) | Err(Stop::Found(observation)) => observation,
            Err(broken) => panic!("{broken:?}"),
        }
    }

    #[test]
    fn is_healthy_when_the_field_has_the_wanted_value() {
        assert_eq!(checked(200, r#"{"status": "ok"}"#).status, Status::Healthy);
    }

    #[test]
    fn names_the_value_found_beside_the_value_wanted() {
        for (status, body, wanted) in [
            (503, "", "status is 503, wanted 200"),
            (200, r#"{"status": "down"}"#, "`status` is down, wanted ok"),
            (200, "{}", "`status` is absent, wanted ok"),
        ] {
            assert_eq!(checked(status, body).message(), wanted);
        }
    }
}
