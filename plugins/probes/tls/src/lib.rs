//! The probe `tls`: is a certificate trusted, for this name, and for how long?

use extrack_plugin::net::Certificate;
use extrack_plugin::prelude::*;

const DAY_S: i64 = 86_400;

#[derive(Settings)]
struct Settings {
    /// `host:port`, in place of the base URL's. The port is 443 if none is named.
    #[setting(host)]
    target: Option<String>,
    /// Name to ask for and to check, in place of the host.
    server_name: Option<String>,
    /// Fewer days left than this is `degraded`.
    #[setting(default = 14, min = 0)]
    warn_days: i64,
    /// Fewer days left than this is `unhealthy`.
    #[setting(default = 0, min = 0)]
    critical_days: i64,
    /// Accepts a certificate of an unknown issuer, and only looks at its dates and those of its
    /// issuers.
    #[setting(default = false)]
    allow_untrusted: bool,
    /// Text that the issuer has to contain.
    issuer_contains: Option<String>,
}

#[probe(check_settings = check_settings)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let (host, port) = target(check, settings)?;
    let session = stream::handshake(&host, port, settings.server_name.as_deref(), None)?;
    let now = i64::try_from(clock::now_ms() / 1_000).unwrap_or(i64::MAX);
    let Some(leaf) = session.chain.first() else {
        return Ok(Observation::unhealthy("server showed no certificate"));
    };
    let days_left = days_left(leaf, now);
    let observation = judge(&session, now, settings)
        .metric("certificate_days_left", days_left)
        .metric("chain_length", session.chain.len())
        .metric("protocol", session.protocol.as_str())
        .metric("issuer", leaf.issuer.as_str());
    Ok(observation)
}

/// Dates first: an expired certificate is not trusted either, and the date is what helps.
fn judge(session: &stream::Session, now: i64, settings: &Settings) -> Observation {
    let path = path(session);
    for certificate in &path {
        let subject = &certificate.subject;
        if certificate.not_after <= now {
            let days = (now - certificate.not_after) / DAY_S;
            return Observation::failed(
                Status::Unhealthy,
                ErrorKind::Tls,
                format!("certificate `{subject}` expired {days} days ago"),
            );
        }
        if certificate.not_before > now {
            let starts = time::rfc3339(u64::try_from(certificate.not_before).unwrap_or(0) * 1_000);
            return Observation::failed(
                Status::Unhealthy,
                ErrorKind::Tls,
                format!("certificate `{subject}` is not valid before {starts}"),
            );
        }
    }
    if let Some(reason) = session
        .untrusted
        .as_ref()
        .filter(|_| !settings.allow_untrusted)
    {
        return Observation::failed(
            Status::Unhealthy,
            ErrorKind::Tls,
            format!("certificate is not trusted: {reason}"),
        );
    }
    if let (Some(wanted), Some(leaf)) = (&settings.issuer_contains, path.first())
        && !leaf.issuer.contains(wanted.as_str())
    {
        return Observation::unhealthy(format!(
            "issuer is `{}`, wanted one with `{wanted}` in it",
            leaf.issuer
        ));
    }
    let Some(first_to_end) = path.iter().min_by_key(|certificate| certificate.not_after) else {
        return Observation::unhealthy("server showed no certificate");
    };
    let (subject, days) = (&first_to_end.subject, days_left(first_to_end, now));
    let left = |wanted: i64| {
        format!("certificate `{subject}` has {days} days left, wanted at least {wanted}")
    };
    if days < settings.critical_days {
        return Observation::unhealthy(left(settings.critical_days));
    }
    if days < settings.warn_days {
        return Observation::degraded(left(settings.warn_days));
    }
    Observation::healthy()
}

/// The certificates that count. Of one that is trusted, the host has those by which it was
/// verified. Of one that is not, those that lead from the server's own to its issuers: servers show
/// others as well, such as an old cross-signature for old clients, of which none is anybody's
/// trouble.
fn path(session: &stream::Session) -> Vec<&Certificate> {
    let mut others: Vec<&Certificate> = session.chain.iter().collect();
    if session.untrusted.is_none() || others.is_empty() {
        return others;
    }
    let mut path = vec![others.remove(0)];
    loop {
        let issuer = path
            .last()
            .map(|last| last.issuer.as_str())
            .unwrap_or_default();
        let issuers = others
            .iter()
            .enumerate()
            .filter(|(_, certificate)| certificate.subject == issuer);
        let Some((index, _)) = issuers.max_by_key(|(_, certificate)| certificate.not_after) else {
            return path;
        };
        path.push(others.remove(index));
    }
}

/// Whole days, rounded down, so that 0 is the last day.
fn days_left(certificate: &Certificate, now: i64) -> i64 {
    (certificate.not_after - now).div_euclid(DAY_S)
}

fn target(check: &Check, settings: &Settings) -> Result<(String, u16), Stop> {
    let parsed = match &settings.target {
        Some(target) => extrack_plugin::url::host_and_port(target),
        None => check
            .service
            .host_and_port()
            .map(|(host, port)| (host, port.filter(|port| *port != 80))),
    };
    let missing = || {
        Stop::Settings(format!(
            "`{}` names no host; set `target` to `host:port`",
            check.service.base_url
        ))
    };
    parsed
        .map(|(host, port)| (host, port.unwrap_or(443)))
        .ok_or_else(missing)
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if settings.critical_days > settings.warn_days {
        let message = format!(
            "is {}, wanted at most `warnDays`, which is {}",
            settings.critical_days, settings.warn_days
        );
        faults.push(Fault::new("/criticalDays", message));
    }
    if let Some(target) = settings
        .target
        .as_ref()
        .filter(|target| extrack_plugin::url::host_and_port(target).is_none())
    {
        faults.push(Fault::new(
            "/target",
            format!("is `{target}`, wanted `host:port`"),
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, StreamScript, certificate, tls_session};

    use super::*;

    fn run(settings: &str) -> Observation {
        match check(
            &Check::of("https://api.example.com/v1"),
            &Settings::from_json(settings).unwrap(),
        ) {
            Ok(observation) | Err(Stop::Found(observation)) => observation,
            Err(other) => panic!("{other:?}"),
        }
    }

    /// A host whose certificate has this many days left.
    fn host_with(days: i64, untrusted: Option<&str>) -> Host {
        let host = Host::install();
        let now = (host.now_ms() / 1_000) as i64;
        let mut session = tls_session(vec![certificate(
            &["api.example.com"],
            now + days * DAY_S + 60,
        )]);
        session.untrusted = untrusted.map(str::to_owned);
        host.answer_stream(
            "api.example.com:443",
            StreamScript::default().with_tls(session),
        );
        host
    }

    #[test]
    fn judges_by_the_days_that_are_left() {
        for (days, settings, status, message) in [
            (60, "{}", Status::Healthy, ""),
            (14, "{}", Status::Healthy, ""),
            (
                13,
                "{}",
                Status::Degraded,
                "certificate `CN=api.example.com` has 13 days left, wanted at least 14",
            ),
            (13, r#"{"warnDays": 7}"#, Status::Healthy, ""),
            (
                2,
                r#"{"criticalDays": 3}"#,
                Status::Unhealthy,
                "certificate `CN=api.example.com` has 2 days left, wanted at least 3",
            ),
            (
                -3,
                "{}",
                Status::Unhealthy,
                "certificate `CN=api.example.com` expired 2 days ago",
            ),
        ] {
            let _host = host_with(days, None);
            let observation = run(settings);
            assert_eq!(
                (observation.status, observation.message()),
                (status, message)
            );
            assert!(matches!(observation.metrics[0].value, Value::Integer(found) if found == days));
        }
    }

    #[test]
    fn an_untrusted_certificate_is_unhealthy_unless_that_is_meant() {
        let _host = host_with(60, Some("self-signed"));
        let observation = run("{}");
        assert_eq!(
            (observation.status, observation.kind()),
            (Status::Unhealthy, Some(ErrorKind::Tls))
        );
        assert_eq!(
            observation.message(),
            "certificate is not trusted: self-signed"
        );
        assert_eq!(run(r#"{"allowUntrusted": true}"#).status, Status::Healthy);
    }

    #[test]
    fn checks_the_issuer() {
        let _host = host_with(60, None);
        assert_eq!(run(r#"{"issuerContains": "Test"}"#).status, Status::Healthy);
        assert_eq!(
            run(r#"{"issuerContains": "ACME"}"#).message(),
            "issuer is `CN=Test`, wanted one with `ACME` in it"
        );
    }

    /// A certificate by that issuer, with so many days left.
    fn issued(now: i64, name: &str, issuer: &str, days: i64) -> Certificate {
        Certificate {
            issuer: format!("CN={issuer}"),
            ..certificate(&[name], now + days * DAY_S + 60)
        }
    }

    #[test]
    fn an_intermediate_that_ends_first_counts() {
        let host = Host::install();
        let now = (host.now_ms() / 1_000) as i64;
        let chain = vec![
            issued(now, "api.example.com", "ca", 60),
            issued(now, "ca", "root", 5),
        ];
        host.answer_stream(
            "api.example.com:443",
            StreamScript::default().with_tls(tls_session(chain)),
        );
        assert_eq!(
            run("{}").message(),
            "certificate `CN=ca` has 5 days left, wanted at least 14"
        );
    }

    #[test]
    fn of_an_untrusted_chain_only_what_leads_from_the_servers_certificate_counts() {
        for (certificates, message) in [
            (
                vec![
                    ("api.example.com", "ca", 60),
                    ("ca", "root", -400),
                    ("ca", "root", 60),
                    ("other", "none", -1),
                ],
                "certificate is not trusted: issuer `CN=root` is unknown",
            ),
            (
                vec![("api.example.com", "ca", 60), ("ca", "root", -4)],
                "certificate `CN=ca` expired 3 days ago",
            ),
            (
                vec![("api.example.com", "api.example.com", -1)],
                "certificate `CN=api.example.com` expired 0 days ago",
            ),
        ] {
            let host = Host::install();
            let now = (host.now_ms() / 1_000) as i64;
            let chain = certificates
                .into_iter()
                .map(|(name, issuer, days)| issued(now, name, issuer, days))
                .collect();
            let mut session = tls_session(chain);
            session.untrusted = Some("issuer `CN=root` is unknown".to_owned());
            host.answer_stream(
                "api.example.com:443",
                StreamScript::default().with_tls(session),
            );
            assert_eq!(run("{}").message(), message);
        }
    }

    #[test]
    fn limits_have_an_order() {
        let faults =
            check_settings(&Settings::from_json(r#"{"warnDays": 3, "criticalDays": 7}"#).unwrap());
        assert_eq!(faults[0].path, "/criticalDays");
    }
}
