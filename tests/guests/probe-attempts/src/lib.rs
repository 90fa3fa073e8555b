//! Tries what its settings name, and reports how each attempt ended: what an attacker with a plugin
//! would do.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;
use extrack_plugin::stream::Piece;

#[derive(Settings)]
struct Settings {
    /// Objects with `url`, `method`, `headers` (pairs), `body`, `form`, `hops`, `auth`,
    /// `insecure`, `serverName`, `timeout` (seconds), or with `tcp` (and a line to `send`) or `udp`
    /// (host and port) or `icmp` (host). `<key>` in the URL, the value of a header, the form or the line is the
    /// secret.
    attempts: Vec<Value>,
    key: Option<Secret>,
    /// Makes the requests all at once.
    #[setting(default = false)]
    together: bool,
}

#[probe(wants(host = "*"))]
fn check(_check: &Check, settings: &Settings) -> Observation {
    let key = settings.key.as_ref();
    let results: Vec<Result<String, NetError>> = if settings.together {
        let requests = settings
            .attempts
            .iter()
            .map(|attempt| request(attempt, key));
        let answers = http::send_all(requests).into_iter();
        answers
            .map(|answer| answer.map(|response| shown(&response)))
            .collect()
    } else {
        settings
            .attempts
            .iter()
            .map(|attempt| made(attempt, key))
            .collect()
    };
    let mut observation = Observation::healthy();
    for (index, result) in results.into_iter().enumerate() {
        let ended = result.unwrap_or_else(|error| {
            let kind = match &error {
                NetError::Denied(_) => "denied".to_owned(),
                NetError::TooLarge(_) => "too-large".to_owned(),
                other => other.kind().as_str().to_owned(),
            };
            format!("{kind}: {error}")
        });
        observation = observation.metric(format!("attempt_{index:02}"), ended);
    }
    observation
}

fn with_key(text: &str, key: Option<&Secret>) -> http::Text {
    let Some(key) = key else { return text.into() };
    let mut pieces = text.split("<key>");
    let first = http::Text::from(pieces.next().unwrap_or_default());
    pieces.fold(first, |text, piece| text.secret(key).text(piece))
}

fn made(attempt: &Value, key: Option<&Secret>) -> Result<String, NetError> {
    if let Some(address) = attempt["tcp"].as_str() {
        return connected(attempt, address, key);
    }
    if let Some(address) = attempt["udp"].as_str() {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "53"));
        let socket = udp::open(
            host,
            port.parse().unwrap_or(53),
            Some(Duration::from_secs(2)),
        )?;
        return Ok(format!("may send to {}", socket.peer()));
    }
    if let Some(host) = attempt["icmp"].as_str() {
        let echoes = icmp::ping(host).count(1).send()?;
        return Ok(format!("may ping {}", echoes.address));
    }
    request(attempt, key)
        .send()
        .map(|response| shown(&response))
}

fn connected(attempt: &Value, address: &str, key: Option<&Secret>) -> Result<String, NetError> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    let mut connection = stream::connect(
        host,
        port.parse().unwrap_or(80),
        Some(Duration::from_secs(2)),
    )?;
    let Some(line) = attempt["send"].as_str() else {
        return Ok(format!("connected to {}", connection.peer()));
    };
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, text) in line.split("<key>").enumerate() {
        pieces.extend(key.filter(|_| index > 0).map(Piece::from));
        pieces.push(text.into());
    }
    pieces.push("\n".into());
    connection.write_pieces(pieces)?;
    // Byte by byte, in which no secret can be seen.
    let mut answer = Vec::new();
    while answer.last() != Some(&b'\n') {
        let bytes = connection.read(1, None)?;
        if bytes.is_empty() {
            break;
        }
        answer.extend(bytes);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

fn request(attempt: &Value, key: Option<&Secret>) -> http::Request {
    let text = |value: &Value| with_key(value.as_str().unwrap_or_default(), key);
    let method = attempt["method"].as_str().unwrap_or("GET");
    let timeout = Duration::from_secs(attempt["timeout"].as_u64().unwrap_or(2));
    let mut request = http::Request::new(method, text(&attempt["url"])).timeout(timeout);
    for pair in attempt["headers"].as_array().into_iter().flatten() {
        request = request.header(pair[0].as_str().unwrap_or_default(), text(&pair[1]));
    }
    if let Some(body) = attempt["body"].as_str() {
        request = request.body(body);
    }
    if attempt["form"].is_string() {
        request = request.form([("field", text(&attempt["form"]))]);
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
    request.follow_redirects(attempt["hops"].as_u64().unwrap_or_default() as u32)
}

fn shown(response: &http::Response) -> String {
    let body = String::from_utf8_lossy(&response.body);
    format!("{} {body}", response.status)
}
