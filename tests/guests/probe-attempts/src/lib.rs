//! Tries what it is told to, and says how each attempt ended: what an attacker with a plugin would do.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Objects with `url`, `method`, `headers` (pairs), `body`, `hops`, or with `tcp` (host and port).
    attempts: Vec<Value>,
}

#[probe]
fn check(_check: &Check, settings: &Settings) -> Observation {
    let mut observation = Observation::healthy();
    for (index, attempt) in settings.attempts.iter().enumerate() {
        let ended = match made(attempt) {
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

fn made(attempt: &Value) -> Result<String, NetError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(address) = attempt["tcp"].as_str() {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
        let connection = tcp::connect(host, port.parse().unwrap_or(80), Some(Duration::from_secs(2)))?;
        return Ok(format!("connected to {}", connection.peer()));
    }
    let method = attempt["method"].as_str().unwrap_or("GET");
    let mut request = http::Request::new(method, text(&attempt["url"])).timeout(Duration::from_secs(2));
    for pair in attempt["headers"].as_array().into_iter().flatten() {
        request = request.header(text(&pair[0]), text(&pair[1]));
    }
    if let Some(body) = attempt["body"].as_str() {
        request = request.body(body);
    }
    let hops = attempt["hops"].as_u64().unwrap_or_default() as u32;
    let response = request.follow_redirects(hops).send()?;
    Ok(format!("{} {}", response.status, String::from_utf8_lossy(&response.body)))
}
