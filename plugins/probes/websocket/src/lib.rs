//! The probe `websocket`: does a server open a WebSocket, and answer on it?

mod address;
mod frame;
mod upgrade;

use std::collections::BTreeMap;

use extrack_plugin::prelude::*;
use extrack_plugin::stream::Connection;

use address::Address;
use frame::Frame;

/// Messages that are looked at for the text wanted.
const MAX_MESSAGES: usize = 1_000;

#[derive(Settings)]
struct Settings {
    /// Path behind the base URL, or a whole URL (`https` for `wss`).
    #[setting(host = "url")]
    path: Option<String>,
    /// Headers of the request.
    #[setting(default)]
    headers: BTreeMap<String, String>,
    /// Protocols to offer; the server has to choose one of them.
    #[setting(default)]
    protocols: Vec<String>,
    /// Text to send once the WebSocket is open.
    send: Option<String>,
    /// Text that a message has to have. Without it, the answer to a ping is waited for.
    expect: Option<String>,
    /// Name to ask for and to check in the certificate, in place of the host.
    server_name: Option<String>,
    /// Accepts any certificate.
    #[setting(default = false)]
    insecure: bool,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
}

#[probe(check_settings = check_settings)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let address =
        Address::of(&check.service.base_url, settings.path.as_deref()).map_err(Stop::Settings)?;
    let start_us = clock::monotonic_us();
    let mut connection = stream::connect(&address.host, address.port, None)?;
    let mut days_left = None;
    if address.is_secure {
        let session = connection.start_tls(&stream::Tls {
            server_name: settings.server_name.clone(),
            accept_untrusted: settings.insecure,
            alpn: vec!["http/1.1".to_owned()],
        })?;
        days_left = session.days_left();
    }
    upgrade::request(&connection, &address, settings)?.answered(&mut connection, settings)?;
    let found = converse(&mut connection, settings);
    // The server may be gone already.
    let _ = frame::close(&connection);
    found?;
    let took = Duration::from_micros(clock::monotonic_us() - start_us);
    let mut observation = Observation::healthy()
        .unless_over(settings.degraded_over, took)
        .http_status(101);
    if let Some(days) = days_left {
        observation = observation.metric("certificate_days_left", days);
    }
    Ok(observation)
}

fn converse(connection: &mut Connection, settings: &Settings) -> Result<(), Stop> {
    if let Some(text) = &settings.send {
        frame::text(connection, text)?;
    }
    match &settings.expect {
        Some(wanted) => message(connection, wanted),
        None => pong(connection),
    }
}

/// Waits for a message with this text in it; others may come before.
fn message(connection: &mut Connection, wanted: &str) -> Result<(), Stop> {
    for _ in 0..MAX_MESSAGES {
        match frame::read(connection)? {
            Frame::Message(bytes) if String::from_utf8_lossy(&bytes).contains(wanted) => {
                return Ok(());
            }
            Frame::Message(_) | Frame::Pong(_) => {}
            Frame::Close(reason) => {
                return Err(closed(&reason, &format!("a message with `{wanted}` in it")));
            }
        }
    }
    Err(Stop::unhealthy(format!(
        "none of {MAX_MESSAGES} messages has `{wanted}` in it"
    )))
}

fn pong(connection: &mut Connection) -> Result<(), Stop> {
    let payload = random::bytes(8);
    frame::ping(connection, &payload)?;
    for _ in 0..MAX_MESSAGES {
        match frame::read(connection)? {
            Frame::Pong(echoed) if echoed == payload => return Ok(()),
            Frame::Message(_) | Frame::Pong(_) => {}
            Frame::Close(reason) => return Err(closed(&reason, "a pong")),
        }
    }
    Err(Stop::unhealthy(format!(
        "none of {MAX_MESSAGES} messages is the answer to a ping"
    )))
}

fn closed(reason: &str, wanted: &str) -> Stop {
    Stop::unhealthy(format!(
        "server closed the WebSocket ({reason}), wanted {wanted}"
    ))
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in &settings.headers {
        if upgrade::is_own_header(name) || format!("{name}{value}").contains(char::is_control) {
            faults.push(Fault::new(
                format!("/headers/{}", name.replace('~', "~0").replace('/', "~1")),
                "is set by the probe, or has a control character in it",
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
