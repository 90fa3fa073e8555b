//! Tries what its settings name, and reports how each attempt ended: what an attacker with a plugin
//! would do.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Objects with `url`, `method`, `headers` (pairs), `body`, `hops`, `auth`, `insecure`,
    /// `serverName`, or with `tcp` (host and port). `<key>` in the URL, a header or the body
    /// stands for the secret.
    attempts: Vec<Value>,
    key: Option<Secret>,
}

#[probe(wants(host = "*"))]
fn check(_check: &Check, settings: &Settings) -> Observation {
    let mut observation = Observation::healthy();
    for (index, attempt) in settings.attempts.iter().enumerate() {
        let ended = match made(attempt, settings.key.as_ref()) {
            Ok(answered) => answered,
            Err(error) => {
                let kind = match &error {
                    NetError::Denied(_) => "denied",
                    NetError::TooLarge(_) => "too-large",
                    other => other.kind().as_str(),
                };
                format!("{kind}: {error}")
            }
        };
        observation = observation.metric(format!("attempt_{index:02}"), ended);
    }
    observation
}

fn made(attempt: &Value, key: Option<&Secret>) -> Result<String, NetError> {
    let text = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        key.map_or_else(
            || text.to_owned(),
            |key| text.replace("<key>", key.placeholder()),
        )
    };
    if let Some(address) = attempt["tcp"].as_str() {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
        let connection = tcp::connect(
            host,
            port.parse().unwrap_or(80),
            Some(Duration::from_secs(2)),
        )?;
        return Ok(format!("connected to {}", connection.peer()));
    }
    let method = attempt["method"].as_str().unwrap_or("GET");
    let mut request =
        http::Request::new(method, text(&attempt["url"])).timeout(Duration::from_secs(2));
    for pair in attempt["headers"].as_array().into_iter().flatten() {
        request = request.header(text(&pair[0]), text(&pair[1]));
    }
    if attempt["body"].is_string() {
        request = request.body(text(&attempt["body"]));
    }
    if let Some(name) = attempt["auth"].as_str() {
        request = request.auth(name);
    }
    if attempt["insecure"] == true {
        request = request.insecure();
    }
    if let Some(name) = attempt["serverName"].as_str() {
        request = request.server_name(name);
    }
    let hops = attempt["hops"].as_u64().unwrap_or_default() as u32;
    let response = request.follow_redirects(hops).send()?;
    Ok(format!(
        "{} {}",
        response.status,
        String::from_utf8_lossy(&response.body)
    ))
}
