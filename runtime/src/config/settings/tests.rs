//! Variables and what becomes of them.

use secrecy::ExposeSecret;

use super::*;
use crate::net::SmtpTls;

fn read(variables: &[(&str, &str)]) -> (Settings, Vec<String>, Vec<String>) {
    let environment = Environment::of(variables.iter().copied());
    let mut reader = SettingsReader::new(&environment);
    let settings = reader.read();
    let texts = |faults: &[Fault]| faults.iter().map(ToString::to_string).collect();
    let (faults, warnings) = (texts(&reader.faults), texts(&reader.warnings));
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
    let (settings, faults, warnings) = read(&[("SMTP_HOST", ""), ("HEALTH_CHECK_INTERVAL", " ")]);
    assert_eq!((faults.len(), warnings.len()), (0, 0));
    assert_eq!(settings.defaults, Defaults::default());
    assert_eq!(settings.plugin_versions_kept, 10);
    assert_eq!(
        (settings.monitoring.in_flight, settings.monitoring.per_host),
        (2_000, 16)
    );
    assert_eq!(settings.runs_memory_bytes, None);
    assert_eq!(settings.compiling, CompileLimits::default());
    assert_eq!(settings.offline_targets, []);
    assert!(
        settings.smtp.is_none()
            && settings.encryption_key.is_none()
            && settings.admin_token.is_none()
    );
}

#[test]
fn faults_of_variables_explain_what_is_wrong() {
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
            "EXTRACK_COMPILE_CPU",
            "4m",
            "must be a whole number of seconds between 1 and 86400",
        ),
        (
            "EXTRACK_COMPILE_TIMEOUT",
            "0",
            "must be a whole number of seconds between 1 and 86400",
        ),
        (
            "EXTRACK_COMPILE_MEMORY_MB",
            "63",
            "must be a whole number of MiB between 64 and 1048576",
        ),
        (
            "EXTRACK_COMPILE_NICE",
            "20",
            "must be a whole number between 0 and 19",
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
            "EXTRACK_PROGRAMS",
            "/bin/true, check_disk",
            "`check_disk` is not an absolute path without `..`, such as `/usr/lib/nagios/plugins/check_disk`",
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
            "EXTRACK_SQL_SANDBOX",
            "landlock",
            "must be `full`, `seccomp` or `off`",
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
        targets.map(|(host, port)| OfflineTarget {
            host: host.to_owned(),
            port,
        })
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
fn limits_of_compiling_are_read_in_seconds_and_mebibytes() {
    let (settings, faults, _) = read(&[
        ("EXTRACK_COMPILE_CPU", "20"),
        ("EXTRACK_COMPILE_TIMEOUT", "60"),
        ("EXTRACK_COMPILE_MEMORY_MB", "512"),
        ("EXTRACK_COMPILE_NICE", "0"),
    ]);
    assert_eq!(faults, [""; 0]);
    assert_eq!(
        settings.compiling,
        CompileLimits {
            cpu: Duration::from_secs(20),
            wall_clock: Duration::from_secs(60),
            memory_bytes: 512 << 20,
            nice: 0,
        }
    );
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
