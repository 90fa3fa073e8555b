//! The probe `dns`: does a name server give the answer it should?

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Name to ask for, in place of the base URL's host.
    name: Option<String>,
    /// Type of the record.
    #[setting(default = "A")]
    record_type: RecordType,
    /// Name server to ask, `host` or `host:port`, in place of the system's.
    #[setting(host)]
    server: Option<String>,
    /// All answers, in any order.
    expected: Option<Vec<String>>,
    /// Text that one of the answers has to contain.
    contains: Option<String>,
    /// Response code wanted.
    #[setting(default = "NOERROR")]
    rcode: String,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
}

#[derive(Settings, Clone, Copy, PartialEq, Eq)]
enum RecordType {
    #[setting(name = "A")]
    A,
    #[setting(name = "AAAA")]
    Aaaa,
    #[setting(name = "CNAME")]
    Cname,
    #[setting(name = "MX")]
    Mx,
    #[setting(name = "NS")]
    Ns,
    #[setting(name = "SOA")]
    Soa,
    #[setting(name = "SRV")]
    Srv,
    #[setting(name = "TXT")]
    Txt,
    #[setting(name = "CAA")]
    Caa,
    #[setting(name = "PTR")]
    Ptr,
}

impl RecordType {
    fn as_str(self) -> &'static str {
        match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Cname => "CNAME",
            RecordType::Mx => "MX",
            RecordType::Ns => "NS",
            RecordType::Soa => "SOA",
            RecordType::Srv => "SRV",
            RecordType::Txt => "TXT",
            RecordType::Caa => "CAA",
            RecordType::Ptr => "PTR",
        }
    }
}

#[probe]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let name = match &settings.name {
        Some(name) => name.clone(),
        None => check
            .service
            .host_and_port()
            .map(|(host, _)| host)
            .ok_or_else(|| Stop::Settings(format!("`{}` names no host; set `name`", check.service.base_url)))?,
    };
    let mut query = dns::query(&name, settings.record_type.as_str());
    if let Some(server) = &settings.server {
        query = query.server(with_port(server));
    }
    let response = query.send()?;
    Ok(measured(judge(&name, &response, settings), &response, settings.record_type))
}

fn judge(name: &str, response: &dns::Response, settings: &Settings) -> Observation {
    if !response.rcode.eq_ignore_ascii_case(&settings.rcode) {
        return Observation::unhealthy(format!(
            "`{name}`: response code is {}, wanted {}",
            response.rcode, settings.rcode
        ));
    }
    let record_type = settings.record_type.as_str();
    let found: Vec<&str> = of_type(response, settings.record_type).map(|answer| answer.data.as_str()).collect();
    if found.is_empty()
        && settings.rcode.eq_ignore_ascii_case("NOERROR")
        && settings.expected.as_ref().is_none_or(|list| !list.is_empty())
    {
        return Observation::unhealthy(format!("`{name}` has no {record_type} record, wanted {}", wanted(settings)));
    }
    if let Some(expected) = &settings.expected
        && normal(found.iter().copied()) != normal(expected.iter().map(String::as_str))
    {
        return Observation::unhealthy(format!(
            "`{name}`: {record_type} is {}, wanted {}",
            listed(&found),
            wanted(settings)
        ));
    }
    if let Some(text) = &settings.contains
        && !found.iter().any(|data| data.contains(text.as_str()))
    {
        return Observation::unhealthy(format!(
            "`{name}`: {record_type} is {}, wanted one with `{text}` in it",
            listed(&found)
        ));
    }
    let took = Duration::from_micros(response.total_us);
    if let Some(limit) = settings.degraded_over.filter(|limit| took > *limit) {
        return Observation::degraded(format!(
            "answer took {} ms, wanted at most {}",
            took.as_millis(),
            time::format(limit)
        ));
    }
    Observation::healthy()
}

fn measured(observation: Observation, response: &dns::Response, record_type: RecordType) -> Observation {
    let observation = observation.metric("answers", of_type(response, record_type).count());
    match of_type(response, record_type).map(|answer| answer.ttl).min() {
        Some(ttl) => observation.metric("ttl_s", ttl),
        None => observation,
    }
}

/// Answers of the type asked for: a `CNAME` on the way to an `A` is not one.
fn of_type(response: &dns::Response, record_type: RecordType) -> impl Iterator<Item = &dns::Answer> {
    response.answers.iter().filter(move |answer| answer.record_type.eq_ignore_ascii_case(record_type.as_str()))
}

/// Names are the same in any case and with or without the final dot.
fn normal<'a>(answers: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut answers: Vec<String> = answers.map(|data| data.trim_end_matches('.').to_ascii_lowercase()).collect();
    answers.sort_unstable();
    answers
}

fn wanted(settings: &Settings) -> String {
    match &settings.expected {
        Some(expected) => listed(&expected.iter().map(String::as_str).collect::<Vec<_>>()),
        None => "at least one".to_owned(),
    }
}

fn listed(answers: &[&str]) -> String {
    if answers.is_empty() { "nothing".to_owned() } else { format!("`{}`", answers.join("`, `")) }
}

/// Name servers listen at 53.
fn with_port(server: &str) -> String {
    match extrack_plugin::url::host_and_port(server) {
        Some((host, None)) if host.contains(':') => format!("[{host}]:53"),
        Some((host, None)) => format!("{host}:53"),
        _ => server.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, dns_response};

    use super::*;

    fn run(settings: &str) -> Observation {
        match check(&Check::of("https://api.example.com/v1"), &Settings::from_json(settings).unwrap()) {
            Ok(observation) | Err(Stop::Found(observation)) => observation,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn judges_answers() {
        for (settings, rcode, data, message) in [
            ("{}", "NOERROR", &["192.0.2.1"][..], ""),
            ("{}", "NXDOMAIN", &[], "`api.example.com`: response code is NXDOMAIN, wanted NOERROR"),
            ("{}", "NOERROR", &[], "`api.example.com` has no A record, wanted at least one"),
            (r#"{"rcode": "NXDOMAIN"}"#, "NXDOMAIN", &[], ""),
            (r#"{"expected": ["192.0.2.2", "192.0.2.1"]}"#, "NOERROR", &["192.0.2.1", "192.0.2.2"], ""),
            (
                r#"{"expected": ["192.0.2.1"]}"#,
                "NOERROR",
                &["192.0.2.9"],
                "`api.example.com`: A is `192.0.2.9`, wanted `192.0.2.1`",
            ),
            (r#"{"expected": []}"#, "NOERROR", &[], ""),
            (r#"{"contains": "192.0."}"#, "NOERROR", &["192.0.2.9"], ""),
            (
                r#"{"contains": "10."}"#,
                "NOERROR",
                &["192.0.2.9"],
                "`api.example.com`: A is `192.0.2.9`, wanted one with `10.` in it",
            ),
        ] {
            let host = Host::install();
            host.answer_dns("A api.example.com", dns_response(rcode, "A", data));
            let observation = run(settings);
            assert_eq!(observation.message(), message, "{settings}");
            assert_eq!(observation.status, if message.is_empty() { Status::Healthy } else { Status::Unhealthy });
        }
    }

    #[test]
    fn compares_names_as_dns_does() {
        let host = Host::install();
        host.answer_dns("MX example.com", dns_response("NOERROR", "MX", &["10 Mail.Example.com."]));
        let observation = run(r#"{"name": "example.com", "recordType": "MX", "expected": ["10 mail.example.com"]}"#);
        assert_eq!(observation.status, Status::Healthy);
    }

    #[test]
    fn a_slow_answer_is_degraded() {
        let host = Host::install();
        host.answer_dns("A api.example.com", dns_response("NOERROR", "A", &["192.0.2.1"]));
        assert_eq!(run(r#"{"degradedOver": "5ms"}"#).message(), "answer took 8 ms, wanted at most 5ms");
    }

    #[test]
    fn no_answer_is_an_error() {
        let host = Host::install();
        host.answer_dns("A api.example.com", NetError::Timeout("no answer".to_owned()));
        assert_eq!(run("{}").status, Status::Error);
    }

    #[test]
    fn servers_get_their_port() {
        for (server, wanted) in [("192.0.2.53", "192.0.2.53:53"), ("ns1:5353", "ns1:5353"), ("[::1]", "[::1]:53")] {
            assert_eq!(with_port(server), wanted);
        }
    }

    #[test]
    fn refuses_an_unknown_record_type() {
        let faults = Settings::from_json(r#"{"recordType": "a"}"#).err().unwrap();
        assert!(faults[0].message.contains("one of `A`, `AAAA`"), "{}", faults[0].message);
    }
}
