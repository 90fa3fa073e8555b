//! Settings of the program itself from the environment: the seed's variables, and a few of ours.

mod compiling;
mod mail;
mod retention;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::environment::Environment;
use super::secret_command::owned_by_operator;
use crate::alerts::RetentionSettings;
use crate::archive::CopySettings;
use crate::child::Sandbox;
use crate::domain::fault::child;
use crate::domain::{Fault, TrustedProxies};
use crate::monitoring::{MonitoringSettings, OfflineTarget};
use crate::net::{NetSettings, SmtpSettings};
use crate::plugin_host::{CompileLimits, Programs};
use crate::registry::Defaults;

#[derive(Debug, Clone)]
pub struct Settings {
    /// `HEALTH_CHECK_INTERVAL` (seconds, 60) and `HEALTH_CHECK_TIMEOUT` (milliseconds, 5000).
    pub defaults: Defaults,
    /// `SMTP_HOST`; without it no e-mail is sent. `SMTP_PORT` (587). `SMTP_USERNAME` and
    /// `SMTP_PASSWORD`. `SMTP_FROM`: else the user name if it is an address, else
    /// `extrack@localhost`. `SMTP_HELLO`: this machine's name for the server; else its full name,
    /// else the domain of `SMTP_FROM`, else its address. `SMTP_TLS`: `starttls`, `implicit`,
    /// `opportunistic` or `none`; else `implicit` for port 465, `opportunistic` for port 25, else
    /// `starttls`.
    pub smtp: Option<SmtpSettings>,
    /// `ENCRYPTION_KEY`: seals credentials at rest. Any text of at least 16 characters.
    pub encryption_key: Option<SecretString>,
    /// `EXTRACK_ADMIN_TOKEN`: an admin token, at least 32 characters.
    pub admin_token: Option<SecretString>,
    /// `EXTRACK_PUBLIC_URL`: where people reach the dashboard. Without a slash at the end.
    pub public_url: Option<String>,
    /// `EXTRACK_TRUSTED_PROXIES`: addresses and networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// `EXTRACK_MAX_CONNECTIONS`: incoming connections at the same time. Default: a share of the
    /// file descriptors.
    pub max_connections: Option<usize>,
    /// `EXTRACK_PLUGIN_VERSIONS_KEPT` (10): installed components kept of each plugin, for
    /// roll-backs.
    pub plugin_versions_kept: usize,
    /// `EXTRACK_ALERT_RETENTION` (180), `EXTRACK_MESSAGE_RETENTION` (90),
    /// `EXTRACK_AUDIT_RETENTION` (400) and `EXTRACK_SILENCE_RETENTION` (180): days for which the
    /// control store keeps what is over.
    pub retention: RetentionSettings,
    /// `EXTRACK_SPOOL` (`results-spool` beside `control.sqlite`): where results wait that can't be
    /// committed.
    pub spool_folder: Option<PathBuf>,
    /// `EXTRACK_SPOOL_MB` (1024): how large that folder becomes.
    pub spool_bytes: u64,
    /// `EXTRACK_PROBES_IN_FLIGHT` (2000): the most checks under way at once, which the limit grows
    /// to while the machine has room. `EXTRACK_PROBES_PER_HOST` (16): those against one host and
    /// port.
    pub monitoring: MonitoringSettings,
    /// `EXTRACK_RUNS_MEMORY_MB` (a quarter of the machine's, at least 256): memory of all plugin
    /// runs together, MiB.
    pub runs_memory_bytes: Option<u64>,
    /// `EXTRACK_COMPILE_CPU` (240) and `EXTRACK_COMPILE_TIMEOUT` (900): seconds of CPU time and of
    /// waiting that compiling one plugin may take. `EXTRACK_COMPILE_MEMORY_MB` (2048): its memory,
    /// MiB. `EXTRACK_COMPILE_NICE` (10): its niceness, 0 to 19.
    pub compiling: CompileLimits,
    /// `EXTRACK_OFFLINE_TARGETS` (none): `host:port`, with commas between them. When none of them
    /// can be reached, the monitor itself is offline.
    pub offline_targets: Vec<OfflineTarget>,
    /// `EXTRACK_NAMESERVERS` (those of `/etc/resolv.conf`): addresses of name servers, with or
    /// without a port, with commas between them.
    pub nameservers: Vec<SocketAddr>,
    /// `EXTRACK_PROGRAMS` (none): exact paths of programs that probes `nagios` may run, with commas
    /// between them.
    pub programs: Programs,
    /// `ARCHIVE_URL` (`s3://bucket/prefix`; none): where files of the archive are copied to, with
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL` and
    /// `AWS_ALLOW_HTTP`.
    pub archive_copies: Option<CopySettings>,
    /// `EXTRACK_CONTROL_BALLAST` (MiB, 16; 0: none): room on the disk of the control store that is
    /// kept for alerts.
    pub control_ballast_mebibytes: u64,
    /// `EXTRACK_SQL_SANDBOX` (`full`; `seccomp`, `off`): what the kernel has to hold of the
    /// process that runs a statement of users.
    pub sql_sandbox: Sandbox,
}

impl Settings {
    /// Returns the part that concerns outgoing connections.
    pub fn net(&self) -> NetSettings {
        NetSettings {
            smtp: self.smtp.clone(),
            nameservers: self.nameservers.clone(),
            ..NetSettings::default()
        }
    }
}

/// Limit of offline targets: more add nothing, and each of them gets a connection every few seconds
/// while the monitor is offline.
const MAX_OFFLINE_TARGETS: usize = 16;

/// Limit of name servers, as many as are asked.
const MAX_NAMESERVERS: usize = 3;

/// [`Settings::spool_bytes`] by default, in MiB: some hours of 1,000 results a second.
const SPOOL_MB: u64 = 1_024;

/// [`Settings::plugin_versions_kept`] by default.
pub const PLUGIN_VERSIONS_KEPT: usize = 10;

/// [`Settings::control_ballast_mebibytes`] by default: room for some thousand transitions with
/// their messages, and for the control store's log at its usual size.
const CONTROL_BALLAST_MEBIBYTES: u64 = 16;

const MIN_KEY_CHARS: usize = 16;
/// 128 bits in hex.
const MIN_TOKEN_CHARS: usize = 32;

/// Variables of the seed that do nothing here, and why.
const WITHOUT_MEANING: [(&str, &str); 3] = [
    (
        "DATABASE_URL",
        "has no meaning yet: state is kept in SQLite and results in DuckDB, both in the data folder",
    ),
    ("REDIS_URL", "has no meaning: nothing here needs Redis"),
    (
        "JWT_SECRET",
        "has no meaning yet: tokens are random, and only their hashes are kept",
    ),
];

/// Values of the seed's example, which everyone knows.
const EXAMPLE_KEYS: [&str; 2] = ["your-encryption-key", "your-jwt-secret"];

pub(super) struct SettingsReader<'a> {
    environment: &'a Environment,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

impl<'a> SettingsReader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            faults: environment.faults.clone(),
            warnings: environment.warnings.clone(),
        }
    }

    /// Reads all settings, with a default in place of each value that is wrong, so that the rest
    /// can be checked too.
    pub(super) fn read(&mut self) -> Settings {
        for (name, reason) in WITHOUT_MEANING {
            if self.text(name).is_some() {
                self.warn(name, reason);
            }
        }
        Settings {
            defaults: self.defaults(),
            smtp: self.smtp(),
            encryption_key: self.encryption_key(),
            admin_token: self.admin_token(),
            public_url: self.public_url(),
            trusted_proxies: self.trusted_proxies(),
            max_connections: self.max_connections(),
            plugin_versions_kept: self.plugin_versions_kept(),
            retention: self.retention(),
            spool_folder: self.text("EXTRACK_SPOOL").map(PathBuf::from),
            spool_bytes: self.spool_mb() << 20,
            monitoring: self.monitoring(),
            runs_memory_bytes: self.runs_memory_bytes(),
            compiling: self.compiling(),
            sql_sandbox: self.sql_sandbox(),
            offline_targets: self.offline_targets(),
            nameservers: self.nameservers(),
            programs: self.programs(),
            archive_copies: self.archive_copies(),
            control_ballast_mebibytes: self.control_ballast_mebibytes(),
        }
    }

    fn monitoring(&mut self) -> MonitoringSettings {
        let MonitoringSettings {
            in_flight,
            per_host,
        } = MonitoringSettings::default();
        MonitoringSettings {
            in_flight: self.count(
                "EXTRACK_PROBES_IN_FLIGHT",
                MonitoringSettings::MAX_IN_FLIGHT,
                in_flight,
            ),
            per_host: self.count("EXTRACK_PROBES_PER_HOST", 1_000, per_host),
        }
    }

    fn defaults(&mut self) -> Defaults {
        let fallback = Defaults::default();
        let number = |text: &str, min: u64, max: u64, what: &str| match text.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(format!(
                "must be a whole number of {what} between {min} and {max}"
            )),
        };
        let interval = self.parsed("HEALTH_CHECK_INTERVAL", |text| {
            number(text, 1, 31_536_000, "seconds")
        });
        let timeout = self.parsed("HEALTH_CHECK_TIMEOUT", |text| {
            number(text, 1, 600_000, "milliseconds")
        });
        Defaults {
            interval: interval.map_or(fallback.interval, Duration::from_secs),
            timeout: timeout.map_or(fallback.timeout, Duration::from_millis),
        }
    }

    fn encryption_key(&mut self) -> Option<SecretString> {
        let key = self.parsed("ENCRYPTION_KEY", |text| {
            if text.chars().count() < MIN_KEY_CHARS {
                return Err(format!(
                    "must have at least {MIN_KEY_CHARS} characters; `openssl rand -base64 32` makes a good one"
                ));
            }
            Ok(text.to_owned())
        })?;
        if EXAMPLE_KEYS.contains(&key.as_str()) {
            self.warn(
                "ENCRYPTION_KEY",
                "is the value of the example, which everyone knows; `openssl rand -base64 32` makes a good one",
            );
        }
        Some(SecretString::from(key))
    }

    fn admin_token(&mut self) -> Option<SecretString> {
        let token = self.parsed("EXTRACK_ADMIN_TOKEN", |text| {
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("must be printable ASCII without spaces, as it travels in a header".to_owned());
            }
            if text.len() < MIN_TOKEN_CHARS {
                return Err(format!(
                    "must have at least {MIN_TOKEN_CHARS} characters; `openssl rand -hex 32` makes a good one"
                ));
            }
            Ok(text.to_owned())
        })?;
        Some(SecretString::from(token))
    }

    fn trusted_proxies(&mut self) -> TrustedProxies {
        let parsed = self.parsed("EXTRACK_TRUSTED_PROXIES", |text| {
            TrustedProxies::parse(text)
                .map_err(|fault| format!("{fault}; separate several by commas"))
        });
        parsed.unwrap_or_default()
    }

    fn max_connections(&mut self) -> Option<usize> {
        self.parsed("EXTRACK_MAX_CONNECTIONS", |text| {
            match text.parse::<usize>() {
                Ok(most @ 16..=100_000) => Ok(most),
                _ => Err("must be a whole number between 16 and 100000".to_owned()),
            }
        })
    }

    fn plugin_versions_kept(&mut self) -> usize {
        self.count("EXTRACK_PLUGIN_VERSIONS_KEPT", 1_000, PLUGIN_VERSIONS_KEPT)
    }

    fn count(&mut self, name: &str, most: usize, default: usize) -> usize {
        let count = self.parsed(name, |text| match text.parse::<usize>() {
            Ok(count) if (1..=most).contains(&count) => Ok(count),
            _ => Err(format!("must be a whole number between 1 and {most}")),
        });
        count.unwrap_or(default)
    }

    fn archive_copies(&mut self) -> Option<CopySettings> {
        let variables: Vec<(&'static str, String)> = CopySettings::VARIABLES
            .into_iter()
            .filter_map(|name| Some((name, self.text(name)?)))
            .collect();
        self.parsed("ARCHIVE_URL", |url| CopySettings::parse(url, variables))
    }

    fn offline_targets(&mut self) -> Vec<OfflineTarget> {
        let targets = self.parsed("EXTRACK_OFFLINE_TARGETS", |text| {
            let targets: Vec<&str> = text
                .split(',')
                .map(str::trim)
                .filter(|target| !target.is_empty())
                .collect();
            if targets.len() > MAX_OFFLINE_TARGETS {
                return Err(format!("must have at most {MAX_OFFLINE_TARGETS} targets"));
            }
            targets.into_iter().map(offline_target).collect()
        });
        targets.unwrap_or_default()
    }

    /// Less than two of the smallest runs need stops everything.
    fn runs_memory_bytes(&mut self) -> Option<u64> {
        let mebibytes = self.parsed("EXTRACK_RUNS_MEMORY_MB", |text| match text.parse::<u64>() {
            Ok(mebibytes @ 16..=1_048_576) => Ok(mebibytes),
            _ => Err("must be a whole number of MiB between 16 and 1048576".to_owned()),
        });
        mebibytes.map(|mebibytes| mebibytes << 20)
    }

    fn nameservers(&mut self) -> Vec<SocketAddr> {
        let servers = self.parsed("EXTRACK_NAMESERVERS", |text| {
            let servers: Vec<&str> = text
                .split(',')
                .map(str::trim)
                .filter(|server| !server.is_empty())
                .collect();
            if servers.len() > MAX_NAMESERVERS {
                return Err(format!("must have at most {MAX_NAMESERVERS} servers"));
            }
            servers.into_iter().map(nameserver).collect()
        });
        servers.unwrap_or_default()
    }

    fn programs(&mut self) -> Programs {
        let programs = self.parsed("EXTRACK_PROGRAMS", |text| {
            let programs = Programs::parse(text)?;
            programs.paths().try_for_each(owned_by_operator)?;
            Ok(programs)
        });
        programs.unwrap_or_default()
    }

    fn spool_mb(&mut self) -> u64 {
        let most = self.parsed("EXTRACK_SPOOL_MB", |text| match text.parse::<u64>() {
            Ok(most @ 1..=1_048_576) => Ok(most),
            _ => Err("must be a whole number of MiB between 1 and 1048576".to_owned()),
        });
        most.unwrap_or(SPOOL_MB)
    }

    fn control_ballast_mebibytes(&mut self) -> u64 {
        let mebibytes = self.parsed("EXTRACK_CONTROL_BALLAST", |text| {
            match text.parse::<u64>() {
                Ok(mebibytes @ 0..=65_536) => Ok(mebibytes),
                _ => Err("must be a whole number of mebibytes between 0 and 65536".to_owned()),
            }
        });
        mebibytes.unwrap_or(CONTROL_BALLAST_MEBIBYTES)
    }

    fn sql_sandbox(&mut self) -> Sandbox {
        let sandbox = self.parsed("EXTRACK_SQL_SANDBOX", |text| {
            Sandbox::named(text).ok_or_else(|| "must be `full`, `seccomp` or `off`".to_owned())
        });
        sandbox.unwrap_or_default()
    }

    fn public_url(&mut self) -> Option<String> {
        self.parsed("EXTRACK_PUBLIC_URL", |text| match Url::parse(text) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.query().is_none() =>
            {
                Ok(text.trim_end_matches('/').to_owned())
            }
            _ => Err("must be a URL such as `https://extrack.example.com`".to_owned()),
        })
    }

    /// An empty variable counts as one that is not set.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.environment.get(name) {
            Ok(value) => value
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty()),
            Err(reason) => {
                self.fault(name, &reason);
                None
            }
        }
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(name, &message);
                None
            }
        }
    }

    fn fault(&mut self, name: &str, message: &str) {
        let fault = self.placed(name, message);
        self.faults.push(fault);
    }

    fn warn(&mut self, name: &str, message: &str) {
        let warning = self.placed(name, message);
        self.warnings.push(warning);
    }

    fn placed(&self, name: &str, message: &str) -> Fault {
        Fault::new(child("", name), message).placed(self.environment.source(name), None, None)
    }
}

/// A host and a port; an IPv6 address in brackets.
fn offline_target(text: &str) -> Result<OfflineTarget, String> {
    let wrong =
        || format!("`{text}` is not `host:port`, such as `192.0.2.1:443` or `dns.example.net:53`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port
        .parse::<u16>()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(wrong)?;
    let host = url::Host::parse(host).map_err(|_| wrong())?;
    let host = host.to_string();
    Ok(OfflineTarget { host, port })
}

/// An IPv6 address without a port stands with brackets or without.
fn nameserver(text: &str) -> Result<SocketAddr, String> {
    const PORT: u16 = 53;
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = text
        .parse::<SocketAddr>()
        .ok()
        .filter(|server| server.port() > 0);
    with_port.or_else(|| Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, PORT))).ok_or_else(|| {
        format!(
            "`{text}` is not the address of a name server, such as `192.0.2.53`, `192.0.2.53:5353` or `[2001:db8::53]:53`"
        )
    })
}
