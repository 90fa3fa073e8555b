//! The probe `domain`: for how long is a domain registered? Asked by RDAP (RFC 9082, RFC 9083).

use std::net::IpAddr;

use extrack_plugin::json::Value as Json;
use extrack_plugin::prelude::*;

const MOST_REDIRECTS: u32 = 5;
/// Longest registered name that is looked for, in labels: `a.co.uk` has three.
const MOST_LABELS: usize = 4;
const DAY_MS: i64 = 86_400_000;

/// States of a registration in which its names do not work, or will be gone soon.
const BAD_STATES: [&str; 5] = [
    "client hold",
    "server hold",
    "redemption period",
    "pending delete",
    "inactive",
];

#[derive(Settings)]
struct Settings {
    /// Domain, such as `example.com`. Default: the part of the base URL's host that is registered.
    name: Option<String>,
    /// RDAP server. The default knows the server of each registry and leads there by a redirect;
    /// name that host in the service's `hosts`.
    #[setting(host, url, default = "https://rdap.org")]
    server: String,
    /// Fewer days left than this are `degraded`.
    #[setting(default = 30)]
    warn_days: i64,
    /// Fewer days left than this are `unhealthy`.
    #[setting(default = 0)]
    critical_days: i64,
}

/// Default of the setting `server`.
const BOOTSTRAP: &str = "https://rdap.org";

/// What a registry says of a domain.
struct Registration {
    name: String,
    expires_ms: Option<u64>,
    states: Vec<String>,
    registrar: Option<String>,
}

/// Answer to the question for one name.
enum Found {
    Registration(Registration),
    /// It is not registered by itself.
    Nothing,
    Unreadable(String),
    /// The server takes no question about this name; about a longer one it may.
    Refused(String),
}

fn unread(name: &str, reason: &str) -> Observation {
    Observation::degraded(format!(
        "the registration of `{name}` can't be read: {reason}"
    ))
}

#[probe(check_settings = check_settings, wants(host = "*"))]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let names = candidates(settings, &check.service).ok_or_else(|| {
        Stop::Settings("`name` is missing: the base URL has no domain".to_owned())
    })?;
    let (mut without_end, mut refused) = (None, None);
    for name in &names {
        match ask(settings, name)? {
            // Above it a longer name may be the one that is ours, as in `co.uk`.
            Found::Registration(found) if found.expires_ms.is_none() => {
                without_end = without_end.or(Some(found));
            }
            Found::Registration(found) => return Ok(judge(&found, settings)),
            Found::Nothing => {}
            Found::Unreadable(reason) => return Ok(unread(name, &reason)),
            // A registry may refuse names that nobody can register, as `co.uk`.
            Found::Refused(reason) => refused = refused.or(Some(unread(name, &reason))),
        }
    }
    Ok(match (without_end, refused) {
        (Some(found), _) => judge(&found, settings),
        (None, Some(observation)) => observation,
        (None, None) => {
            let message = format!("`{}` is not registered", names.join("`, `"));
            Observation::unhealthy(message)
        }
    })
}

/// Names to ask for, the shortest first; none without a domain.
fn candidates(settings: &Settings, service: &Service) -> Option<Vec<String>> {
    if let Some(name) = &settings.name {
        return Some(vec![usual(name)]);
    }
    let (host, _) = service.host_and_port()?;
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let host = usual(&host);
    let labels: Vec<&str> = host.split('.').collect();
    let lengths = 2..=labels.len().min(MOST_LABELS);
    let names: Vec<String> = lengths
        .map(|length| labels[labels.len() - length..].join("."))
        .collect();
    (!names.is_empty()).then_some(names)
}

fn usual(name: &str) -> String {
    name.trim().trim_end_matches('.').to_lowercase()
}

fn ask(settings: &Settings, name: &str) -> Result<Found, Stop> {
    let path = format!("/domain/{name}");
    let url = extrack_plugin::url::join(&settings.server, &path);
    let answer = http::get(url)
        .header("accept", "application/rdap+json, application/json;q=0.9")
        .text()
        .follow_redirects(MOST_REDIRECTS)
        .send();
    let response = match answer {
        Ok(response) => response,
        // The operator has to allow the host.
        Err(NetError::Denied(reason)) => return Err(NetError::Denied(reason).into()),
        // What a registry does not answer is no word about the service.
        Err(error) => return Ok(Found::Unreadable(error.to_string())),
    };
    if response.status == 404 {
        // It leads to the server of the registry, or knows none.
        let is_unknown = settings.server == BOOTSTRAP && response.redirects == 0;
        let reason = format!("{BOOTSTRAP} knows no server of its registry");
        return Ok(if is_unknown {
            Found::Unreadable(reason)
        } else {
            Found::Nothing
        });
    }
    if !response.is_success() {
        let reason = format!("status is {}, wanted 200", response.status);
        return Ok(match response.status {
            400 | 422 | 501 => Found::Refused(reason),
            _ => Found::Unreadable(reason),
        });
    }
    let document = match response.json() {
        Ok(document) if document["objectClassName"] == "domain" => document,
        Ok(_) => {
            return Ok(Found::Unreadable(
                "the answer is no domain of RDAP".to_owned(),
            ));
        }
        Err(error) => return Ok(Found::Unreadable(error.to_string())),
    };
    Ok(Found::Registration(registration(name, &document)))
}

fn registration(name: &str, document: &Json) -> Registration {
    let items = |key: &str| document[key].as_array().into_iter().flatten();
    let expires = items("events").find(|event| event["eventAction"] == "expiration");
    let registrar = items("entities").find(|entity| {
        let mut roles = entity["roles"].as_array().into_iter().flatten();
        roles.any(|role| role == "registrar")
    });
    Registration {
        name: name.to_owned(),
        expires_ms: expires.and_then(|event| time::moment_of(&event["eventDate"])),
        states: items("status")
            .filter_map(|state| Some(state.as_str()?.to_lowercase()))
            .collect(),
        registrar: registrar.and_then(full_name),
    }
}

/// The name in a jCard (RFC 7095).
fn full_name(entity: &Json) -> Option<String> {
    let properties = entity["vcardArray"][1].as_array()?;
    let name = properties.iter().find(|property| property[0] == "fn")?;
    Some(name[3].as_str()?.to_owned())
}

fn judge(found: &Registration, settings: &Settings) -> Observation {
    let name = &found.name;
    let bad = found
        .states
        .iter()
        .find(|state| BAD_STATES.contains(&state.as_str()));
    let days_left = found.expires_ms.map(days_left);
    let mut observation = match (bad, days_left, found.expires_ms) {
        (Some(state), ..) => Observation::unhealthy(format!(
            "the registration of `{name}` is in state `{state}`"
        )),
        (None, Some(days), Some(expires_ms)) => by_days(name, days, expires_ms, settings),
        (None, ..) => Observation::degraded(format!(
            "the registry does not say when the registration of `{name}` ends"
        )),
    };
    observation = observation.metric("domain", name.as_str());
    if let Some(days) = days_left {
        observation = observation.metric("registration_days_left", days);
    }
    if let Some(expires_ms) = found.expires_ms {
        observation = observation.metric("registered_until", time::rfc3339(expires_ms));
    }
    if let Some(registrar) = &found.registrar {
        observation = observation.metric("registrar", registrar.as_str());
    }
    observation
}

fn by_days(name: &str, days: i64, expires_ms: u64, settings: &Settings) -> Observation {
    let until = time::rfc3339(expires_ms);
    if days < 0 {
        return Observation::unhealthy(format!("the registration of `{name}` ended on {until}"));
    }
    let said = |wanted: i64| {
        format!(
            "the registration of `{name}` ends in {days} days, on {until}, wanted at least {wanted}"
        )
    };
    if days < settings.critical_days {
        Observation::unhealthy(said(settings.critical_days))
    } else if days < settings.warn_days {
        Observation::degraded(said(settings.warn_days))
    } else {
        Observation::healthy()
    }
}

/// Whole days, rounded down; below zero after the end.
fn days_left(expires_ms: u64) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    signed(expires_ms)
        .saturating_sub(signed(clock::now_ms()))
        .div_euclid(DAY_MS)
}

fn check_settings(settings: &Settings, service: Option<&Service>) -> Vec<Fault> {
    let mut faults = Vec::new();
    match (&settings.name, service) {
        (Some(name), _) if !is_domain(&usual(name)) => {
            let message = format!("is `{name}`, wanted a domain such as `example.com`");
            faults.push(Fault::new("/name", message));
        }
        (None, Some(service)) if candidates(settings, service).is_none() => {
            let message = "is missing: the base URL has no domain to ask for";
            faults.push(Fault::new("/name", message));
        }
        _ => {}
    }
    if settings.critical_days > settings.warn_days {
        let message = format!("is more than `warnDays`, {}", settings.warn_days);
        faults.push(Fault::new("/criticalDays", message));
    }
    faults
}

/// Letters, digits and `-`, as names are written in the DNS.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
