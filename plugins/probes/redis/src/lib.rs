//! The probe `redis`: does a server take our password, and answer `PING`?

use extrack_plugin::prelude::*;
use extrack_plugin::stream::{Connection, Piece};

/// An answer to `PING` is one short line.
const MAX_LINE_BYTES: usize = 4096;
/// Limit of the characters of an answer that are shown in a message.
const SHOWN_CHARACTERS: usize = 80;

#[derive(Settings)]
struct Settings {
    /// `host:port`, in place of the base URL's. Without a port it is 6379.
    #[setting(host)]
    target: Option<String>,
    /// TLS from the first byte. Default: whether the address begins with `rediss://`.
    tls: Option<bool>,
    /// User to log in as. Without it, the one that Redis calls `default`.
    username: Option<String>,
    /// Password to log in with. Without it, `PING` is sent at once.
    password: Option<Secret>,
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
    let (host, port) = stream::target(check, settings.target.as_deref(), 6379)?;
    let start_us = clock::monotonic_us();
    let mut connection = stream::connect(&host, port, None)?;
    let mut days_left = None;
    if uses_tls(check, settings) {
        let session = connection.start_tls(&stream::Tls {
            server_name: settings.server_name.clone(),
            accept_untrusted: settings.insecure,
            alpn: Vec::new(),
        })?;
        days_left = session.days_left();
    }
    if let Some(password) = &settings.password {
        connection.write_pieces(log_in(settings.username.as_deref(), password))?;
        expect(&mut connection, "AUTH", "+OK")?;
    }
    connection.write("*1\r\n$4\r\nPING\r\n")?;
    expect(&mut connection, "PING", "+PONG")?;
    let took = Duration::from_micros(clock::monotonic_us() - start_us);
    let observation = Observation::healthy().unless_over(settings.degraded_over, took);
    Ok(match days_left {
        Some(days) => observation.metric("certificate_days_left", days),
        None => observation,
    })
}

fn uses_tls(check: &Check, settings: &Settings) -> bool {
    let address = settings.target.as_ref().unwrap_or(&check.service.base_url);
    settings.tls.unwrap_or_else(|| {
        address
            .get(..9)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("rediss://"))
    })
}

/// The command `AUTH`: a list of texts, each with its length in front.
fn log_in(username: Option<&str>, password: &Secret) -> [Piece; 3] {
    let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let count = 2 + usize::from(username.is_some());
    let username = username.map(text).unwrap_or_default();
    let auth = text("AUTH");
    let length = password.length();
    [
        format!("*{count}\r\n{auth}{username}${length}\r\n").into(),
        password.into(),
        "\r\n".into(),
    ]
}

/// Reads the answer to a command; an error unless it is the wanted one.
fn expect(connection: &mut Connection, command: &str, wanted: &str) -> Result<(), Stop> {
    let answer = connection.read_line(MAX_LINE_BYTES)?;
    if answer == wanted {
        return Ok(());
    }
    Err(Stop::unhealthy(format!(
        "answer to {command} is `{}`, wanted `{wanted}`",
        shown(&answer)
    )))
}

fn shown(answer: &str) -> String {
    answer
        .chars()
        .take(SHOWN_CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults: Vec<Fault> = stream::target_fault(settings.target.as_deref())
        .into_iter()
        .collect();
    if settings.username.is_some() && settings.password.is_none() {
        faults.push(Fault::new("/username", "needs a `password` beside it"));
    }
    faults
}

#[cfg(test)]
mod tests;
