//! What the environment says about the program itself: the seed's variables, and a few of ours.

mod retention;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::environment::Environment;
use super::fault::PlacedFault;
use crate::domain::{Budget, TrustedProxies};
use crate::registry::Defaults;

pub use retention::KeptFor;

#[derive(Debug, Clone)]
pub struct Settings {
    /// `HEALTH_CHECK_INTERVAL` (seconds, 60) and `HEALTH_CHECK_TIMEOUT` (milliseconds, 5000).
    pub defaults: Defaults,
    /// `SMTP_HOST` and what belongs to it; without it no e-mail is sent.
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
    pub kept_for: KeptFor,
    /// `EXTRACK_SPOOL` (`results-spool` beside `control.sqlite`): where results wait that can't be
    /// committed.
    pub spool_folder: Option<PathBuf>,
    /// `EXTRACK_SPOOL_MB` (1024): how large that folder becomes.
    pub spool_bytes: u64,
    /// `EXTRACK_PROBES_IN_FLIGHT` (2000): the most checks under way at once, which the limit grows
    /// to while the machine has room.
    pub probes_in_flight: usize,
    /// `EXTRACK_RUNS_MEMORY_MB` (a quarter of the machine's, at least 256): memory of all plugin
    /// runs together, MiB.
    pub runs_memory_bytes: Option<u64>,
    /// `EXTRACK_PROBES_PER_HOST` (16): checks under way at once against one host and port.
    pub probes_per_host: usize,
    /// `EXTRACK_OFFLINE_TARGETS` (none): `host:port`, with commas between them. When none of them
    /// can be reached, the monitor itself is offline.
    pub offline_targets: Vec<(String, u16)>,
    /// `EXTRACK_NAMESERVERS` (those of `/etc/resolv.conf`): addresses of name servers, with or
    /// without a port, with commas between them.
    pub nameservers: Vec<SocketAddr>,
    /// `EXTRACK_CONTROL_BALLAST` (MiB, 16; 0: none): room on the disk of the control store that is
    /// kept for alerts.
    pub control_ballast_mebibytes: u64,
}

/// More say nothing more, and each of them gets a connection every few seconds while the monitor is
/// offline.
const MAX_OFFLINE_TARGETS: usize = 16;

/// As many as are asked.
const MAX_NAMESERVERS: usize = 3;

const PROBES_IN_FLIGHT: usize = Budget::MAX_PROBES as usize;
const PROBES_PER_HOST: usize = 16;

/// [`Settings::spool_bytes`] by default, in MiB: some hours of 1,000 results a second.
const SPOOL_MB: u64 = 1_024;

/// [`Settings::plugin_versions_kept`] when nobody says.
pub const PLUGIN_VERSIONS_KEPT: usize = 10;

/// [`Settings::control_ballast_mebibytes`] by default: room for some thousand transitions with
/// their messages, and for the control store's log at its usual size.
const CONTROL_BALLAST_MEBIBYTES: u64 = 16;

#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// `SMTP_HOST`
    pub host: String,
    /// `SMTP_PORT`, 587.
    pub port: u16,
    /// `SMTP_USERNAME`
    pub username: Option<String>,
    /// `SMTP_PASSWORD`
    pub password: Option<SecretString>,
    /// `SMTP_FROM`; else the user name if it is an address, else `extrack@localhost`.
    pub from: String,
    /// `SMTP_HELLO`: this machine's name for the server. Default: its full name, else the domain
    /// of `from`, else its address.
    pub hello: Option<String>,
    /// `SMTP_TLS`: `starttls`, `implicit`, `opportunistic` or `none`. Default: `implicit` for port
    /// 465, `opportunistic` for port 25, else `starttls`.
    pub tls: SmtpTls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// STARTTLS, or no mail.
    Starttls,
    Implicit,
    /// STARTTLS if the server offers it, with any certificate where there is no password.
    Opportunistic,
    None,
}

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
    pub(super) faults: Vec<PlacedFault>,
    pub(super) warnings: Vec<PlacedFault>,
}

impl<'a> SettingsReader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            faults: environment.faults.clone(),
            warnings: environment.warnings.clone(),
        }
    }

    /// With a default in place of each value that is wrong, so that the rest can be checked too.
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
            kept_for: self.kept_for(),
            spool_folder: self.text("EXTRACK_SPOOL").map(PathBuf::from),
            spool_bytes: self.spool_mb() << 20,
            probes_in_flight: self.count(
                "EXTRACK_PROBES_IN_FLIGHT",
                PROBES_IN_FLIGHT,
                PROBES_IN_FLIGHT,
            ),
            runs_memory_bytes: self.runs_memory_bytes(),
            probes_per_host: self.count("EXTRACK_PROBES_PER_HOST", 1_000, PROBES_PER_HOST),
            offline_targets: self.offline_targets(),
            nameservers: self.nameservers(),
            control_ballast_mebibytes: self.control_ballast_mebibytes(),
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

    fn smtp(&mut self) -> Option<SmtpSettings> {
        let port = self.parsed("SMTP_PORT", |text| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err("must be a port between 1 and 65535".to_owned()),
        });
        let tls = self.parsed("SMTP_TLS", |text| match text {
            "starttls" => Ok(SmtpTls::Starttls),
            "implicit" => Ok(SmtpTls::Implicit),
            "opportunistic" => Ok(SmtpTls::Opportunistic),
            "none" => Ok(SmtpTls::None),
            _ => Err("must be one of `starttls`, `implicit`, `opportunistic`, `none`".to_owned()),
        });
        let from = self.parsed("SMTP_FROM", |text| {
            if text.contains('@') {
                Ok(text.to_owned())
            } else {
                Err("must be an e-mail address".to_owned())
            }
        });
        let hello = self.parsed("SMTP_HELLO", |text| {
            let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
            match is_name && text.len() <= 255 {
                true => Ok(text.to_owned()),
                false => {
                    Err("must be a host name such as `monitor.example.com`, or an address such as `[192.0.2.7]`"
                        .to_owned())
                }
            }
        });
        let (username, password) = (self.text("SMTP_USERNAME"), self.text("SMTP_PASSWORD"));
        if username.is_some() != password.is_some() {
            let name = if username.is_some() {
                "SMTP_USERNAME"
            } else {
                "SMTP_PASSWORD"
            };
            self.fault(
                name,
                "`SMTP_USERNAME` and `SMTP_PASSWORD` belong together; set both or neither",
            );
        }
        let host = self.parsed("SMTP_HOST", |text| {
            if text.contains("://") || text.contains(|c: char| c.is_whitespace() || c == '/') {
                return Err(
                    "must be a host name or an address; the port goes into `SMTP_PORT`".to_owned(),
                );
            }
            Ok(text.to_owned())
        })?;
        let port = port.unwrap_or(587);
        let tls = tls.unwrap_or(match port {
            465 => SmtpTls::Implicit,
            25 => SmtpTls::Opportunistic,
            _ => SmtpTls::Starttls,
        });
        if username.is_some() && tls == SmtpTls::None {
            self.warn(
                "SMTP_PASSWORD",
                "is sent unencrypted; set `SMTP_TLS=starttls` or `SMTP_TLS=implicit`",
            );
        }
        let address = username.clone().filter(|name| name.contains('@'));
        let from = from
            .or(address)
            .unwrap_or_else(|| "extrack@localhost".to_owned());
        Some(SmtpSettings {
            host,
            port,
            username,
            password: password.map(SecretString::from),
            from,
            hello,
            tls,
        })
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

    fn offline_targets(&mut self) -> Vec<(String, u16)> {
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

    fn placed(&self, name: &str, message: &str) -> PlacedFault {
        PlacedFault {
            file: self.environment.source(name).to_owned(),
            line: None,
            column: None,
            key: name.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// A host and a port; an IPv6 address in brackets.
fn offline_target(text: &str) -> Result<(String, u16), String> {
    let wrong =
        || format!("`{text}` is not `host:port`, such as `192.0.2.1:443` or `dns.example.net:53`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port
        .parse::<u16>()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(wrong)?;
    let host = url::Host::parse(host).map_err(|_| wrong())?;
    Ok((host.to_string(), port))
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Settings, Vec<String>, Vec<String>) {
        let environment = Environment::of(variables.iter().copied());
        let mut reader = SettingsReader::new(&environment);
        let settings = reader.read();
        let told = |faults: &[PlacedFault]| faults.iter().map(ToString::to_string).collect();
        let (faults, warnings) = (told(&reader.faults), told(&reader.warnings));
        (settings, faults, warnings)
    }

    #[test]
    fn reads_the_seeds_variables() {
        let (settings, faults, warnings) = read(&[
            (
                "DATABASE_URL",
                "postgresql://user:pass@host:5432/external_tracking",
            ),
            ("REDIS_URL", "redis://localhost:6379"),
            ("HEALTH_CHECK_INTERVAL", "30"),
            ("HEALTH_CHECK_TIMEOUT", "2500"),
            ("SMTP_HOST", "smtp.example.com"),
            ("SMTP_PORT", "587"),
            ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/..."),
            ("ENCRYPTION_KEY", "your-encryption-key"),
            ("JWT_SECRET", "your-jwt-secret"),
        ]);
        assert_eq!(faults, [""; 0]);
        assert_eq!(
            settings.defaults,
            Defaults {
                interval: Duration::from_secs(30),
                timeout: Duration::from_millis(2500)
            }
        );
        let smtp = settings.smtp.unwrap();
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.tls),
            ("smtp.example.com", 587, SmtpTls::Starttls)
        );
        assert_eq!(
            settings.encryption_key.unwrap().expose_secret(),
            "your-encryption-key"
        );
        let names: Vec<&str> = warnings
            .iter()
            .filter_map(|text| text.split(": ").nth(1))
            .collect();
        assert_eq!(
            names,
            ["DATABASE_URL", "REDIS_URL", "JWT_SECRET", "ENCRYPTION_KEY"]
        );
        assert!(!warnings.concat().contains("pass@"));
    }

    #[test]
    fn without_variables_there_are_defaults() {
        let (settings, faults, warnings) =
            read(&[("SMTP_HOST", ""), ("HEALTH_CHECK_INTERVAL", " ")]);
        assert_eq!((faults.len(), warnings.len()), (0, 0));
        assert_eq!(settings.defaults, Defaults::default());
        assert_eq!(settings.plugin_versions_kept, 10);
        assert_eq!(
            (settings.probes_in_flight, settings.probes_per_host),
            (2_000, 16)
        );
        assert_eq!(settings.runs_memory_bytes, None);
        assert_eq!(settings.offline_targets, []);
        assert!(
            settings.smtp.is_none()
                && settings.encryption_key.is_none()
                && settings.admin_token.is_none()
        );
    }

    #[test]
    fn says_what_is_wrong_with_a_variable() {
        for (name, value, wanted) in [
            (
                "HEALTH_CHECK_INTERVAL",
                "1m",
                "must be a whole number of seconds between 1 and 31536000",
            ),
            (
                "HEALTH_CHECK_TIMEOUT",
                "0",
                "must be a whole number of milliseconds between 1 and 600000",
            ),
            ("SMTP_PORT", "70000", "must be a port between 1 and 65535"),
            (
                "SMTP_HOST",
                "smtp://x",
                "must be a host name or an address; the port goes into `SMTP_PORT`",
            ),
            (
                "SMTP_HELLO",
                "my monitor",
                "must be a host name such as `monitor.example.com`, or an address such as `[192.0.2.7]`",
            ),
            (
                "SMTP_TLS",
                "yes",
                "must be one of `starttls`, `implicit`, `opportunistic`, `none`",
            ),
            (
                "SMTP_USERNAME",
                "u",
                "`SMTP_USERNAME` and `SMTP_PASSWORD` belong together; set both or neither",
            ),
            (
                "ENCRYPTION_KEY",
                "short",
                "must have at least 16 characters; `openssl rand -base64 32` makes a good one",
            ),
            (
                "EXTRACK_PUBLIC_URL",
                "example.com",
                "must be a URL such as `https://extrack.example.com`",
            ),
            (
                "EXTRACK_PLUGIN_VERSIONS_KEPT",
                "0",
                "must be a whole number between 1 and 1000",
            ),
            (
                "EXTRACK_ALERT_RETENTION",
                "0",
                "must be a whole number of days between 1 and 3650",
            ),
            (
                "EXTRACK_MESSAGE_RETENTION",
                "90d",
                "must be a whole number of days between 1 and 3650",
            ),
            (
                "EXTRACK_SPOOL_MB",
                "1GB",
                "must be a whole number of MiB between 1 and 1048576",
            ),
            (
                "EXTRACK_RUNS_MEMORY_MB",
                "1GB",
                "must be a whole number of MiB between 16 and 1048576",
            ),
            (
                "EXTRACK_PROBES_IN_FLIGHT",
                "2001",
                "must be a whole number between 1 and 2000",
            ),
            (
                "EXTRACK_PROBES_PER_HOST",
                "0",
                "must be a whole number between 1 and 1000",
            ),
            (
                "EXTRACK_OFFLINE_TARGETS",
                "192.0.2.1:443, gateway",
                "`gateway` is not `host:port`, such as `192.0.2.1:443` or `dns.example.net:53`",
            ),
            (
                "EXTRACK_NAMESERVERS",
                "192.0.2.53, dns.example.net",
                "`dns.example.net` is not the address of a name server, such as `192.0.2.53`, `192.0.2.53:5353` or \
                 `[2001:db8::53]:53`",
            ),
            (
                "EXTRACK_NAMESERVERS",
                "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4",
                "must have at most 3 servers",
            ),
            (
                "EXTRACK_ADMIN_TOKEN",
                "a b",
                "must be printable ASCII without spaces, as it travels in a header",
            ),
            (
                "EXTRACK_ADMIN_TOKEN",
                "0123456789abcdef0123456789abcde",
                "must have at least 32 characters; `openssl rand -hex 32` makes a good one",
            ),
            (
                "EXTRACK_TRUSTED_PROXIES",
                "10.0.0.0/8,proxy",
                "`proxy` is neither an address nor a network such as `10.0.0.0/8`; separate several by commas",
            ),
            (
                "EXTRACK_MAX_CONNECTIONS",
                "1",
                "must be a whole number between 16 and 100000",
            ),
        ] {
            assert_eq!(
                read(&[(name, value)]).1,
                [format!("environment: {name}: {wanted}")]
            );
        }
    }

    #[test]
    fn offline_targets_are_hosts_with_ports() {
        let (settings, faults, _) = read(&[(
            "EXTRACK_OFFLINE_TARGETS",
            "192.0.2.1:443, dns.example.net:53,[2001:db8::1]:53",
        )]);
        assert_eq!(faults, [""; 0]);
        let targets = [
            ("192.0.2.1", 443),
            ("dns.example.net", 53),
            ("[2001:db8::1]", 53),
        ];
        assert_eq!(
            settings.offline_targets,
            targets.map(|(host, port)| (host.to_owned(), port))
        );
    }

    #[test]
    fn name_servers_are_addresses_with_a_port_or_without() {
        for (text, wanted) in [
            (
                "192.0.2.53, 127.0.0.1:5353",
                &["192.0.2.53:53", "127.0.0.1:5353"][..],
            ),
            (
                "2001:db8::53,[2001:db8::54],[2001:db8::55]:5353",
                &[
                    "[2001:db8::53]:53",
                    "[2001:db8::54]:53",
                    "[2001:db8::55]:5353",
                ],
            ),
        ] {
            let (settings, faults, _) = read(&[("EXTRACK_NAMESERVERS", text)]);
            assert_eq!(faults, [""; 0]);
            assert_eq!(
                settings
                    .nameservers
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
                wanted
            );
        }
    }

    #[test]
    fn tls_of_mail_follows_the_port() {
        for (port, tls) in [
            ("465", SmtpTls::Implicit),
            ("25", SmtpTls::Opportunistic),
            ("2525", SmtpTls::Starttls),
        ] {
            let (settings, ..) = read(&[("SMTP_HOST", "h"), ("SMTP_PORT", port)]);
            assert_eq!(settings.smtp.unwrap().tls, tls, "{port}");
        }
    }
}
