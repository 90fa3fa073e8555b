//! The probe `smtp`: does a mail server greet, protect the connection, and offer what it should?

mod judge;
mod reply;

use extrack_plugin::prelude::*;
use extrack_plugin::stream::{Connection, Session};

use judge::judge;
use reply::Reply;

#[derive(Settings)]
struct Settings {
    /// `host:port`, in place of the base URL's. Without a port it is 25, and 465 with
    /// `tls: implicit`.
    #[setting(host)]
    target: Option<String>,
    /// `starttls`, `implicit` (from the first byte) or `none`.
    #[setting(default = "starttls")]
    tls: Tls,
    /// Name to ask for and to check in the certificate, in place of the host.
    server_name: Option<String>,
    /// Accepts any certificate.
    #[setting(default = false)]
    insecure: bool,
    /// Fewer days of the certificate left than this is `degraded`.
    #[setting(default = 14, min = 0)]
    warn_days: i64,
    /// Mechanisms of `AUTH` that have to be offered, such as `PLAIN`.
    #[setting(default)]
    auth: Vec<String>,
    /// User to log in as, with `password`; by the mechanism `PLAIN`, and only over TLS.
    username: Option<String>,
    /// Password of the user.
    password: Option<Secret>,
    /// Name given in `EHLO`.
    #[setting(default = "[127.0.0.1]")]
    hello: String,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
}

#[derive(Settings, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Starttls,
    Implicit,
    None,
}

#[probe(check_settings = check_settings)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let default_port = if settings.tls == Tls::Implicit {
        465
    } else {
        25
    };
    let (host, port) = stream::target(check, settings.target.as_deref(), default_port)?;
    let start_us = clock::monotonic_us();
    let mut connection = stream::connect(&host, port, None)?;
    let mut session = None;
    if settings.tls == Tls::Implicit {
        session = Some(start_tls(&mut connection, settings)?);
    }
    let banner = Reply::read(&mut connection)?.wanted(220, "the connection")?;
    let mut offers = say_hello(&mut connection, settings)?;
    if settings.tls == Tls::Starttls {
        if !offers.has("STARTTLS") {
            return Err(Stop::unhealthy(
                "server does not offer STARTTLS; if that is meant, set `tls: none`",
            ));
        }
        reply::command(&mut connection, "STARTTLS")?.wanted(220, "STARTTLS")?;
        session = Some(start_tls(&mut connection, settings)?);
        // What was offered before TLS could have been changed on the way.
        offers = say_hello(&mut connection, settings)?;
    }
    if let (Some(username), Some(password)) = (&settings.username, &settings.password) {
        reply::log_in(&mut connection, username, password)?.wanted(235, "AUTH")?;
    }
    // A server that hangs up at once has done all that was asked of it.
    let _ = reply::command(&mut connection, "QUIT");
    let took = Duration::from_micros(clock::monotonic_us() - start_us);

    let mut observation = judge(&offers, session.as_ref(), settings)
        .unless_over(settings.degraded_over, took)
        .metric("banner", banner.first_line())
        .metric("auth", offers.words_after("AUTH").join(" "));
    if let Some(session) = session {
        observation = observation.metric("protocol", session.protocol.as_str());
        if let Some(days) = session.days_left() {
            observation = observation.metric("certificate_days_left", days);
        }
    }
    Ok(observation)
}

fn start_tls(connection: &mut Connection, settings: &Settings) -> Result<Session, NetError> {
    connection.start_tls(&stream::Tls {
        server_name: settings.server_name.clone(),
        accept_untrusted: settings.insecure,
        alpn: Vec::new(),
    })
}

fn say_hello(connection: &mut Connection, settings: &Settings) -> Result<Reply, Stop> {
    reply::command(connection, &format!("EHLO {}", settings.hello))?.wanted(250, "EHLO")
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults: Vec<Fault> = stream::target_fault(settings.target.as_deref())
        .into_iter()
        .collect();
    let hello = &settings.hello;
    if hello.is_empty() || hello.contains(|c: char| c.is_whitespace() || c.is_control()) {
        faults.push(Fault::new(
            "/hello",
            format!("is `{hello}`, wanted one word"),
        ));
    }
    if settings.username.is_some() != settings.password.is_some() {
        faults.push(Fault::new(
            "/username",
            "needs a `password`, and it a `username`",
        ));
    }
    if settings.username.is_some() && settings.tls == Tls::None {
        faults.push(Fault::new("/tls", "is `none`, over which no password goes"));
    }
    faults
}

#[cfg(test)]
mod tests;
