//! The probe `dns`: does a name server give the answer it should?

mod value;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Name to ask for, in place of the base URL's host.
    #[setting(host)]
    name: Option<String>,
    /// Type of the record.
    #[setting(default = "A")]
    record_type: RecordType,
    /// Name server to ask, `host` or `host:port`, in place of the system's.
    #[setting(host)]
    server: Option<String>,
    /// All answers, in any order: addresses, names, `10 mail.example.com` for `MX`, the whole text
    /// for `TXT`.
    expected: Option<Vec<String>>,
    /// Text that one of the answers has to contain; the case of names does not count.
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

/// Response codes by the names in which the host gives them.
const RCODES: [&str; 6] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
];

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, text) in settings.expected.iter().flatten().enumerate() {
        if let Err(form) = value::normal(settings.record_type, text) {
            let record_type = settings.record_type.as_str();
            let message =
                format!("`{text}` is not the value of a record `{record_type}`; write {form}");
            faults.push(Fault::new(format!("/expected/{index}"), message));
        }
    }
    if !RCODES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(&settings.rcode))
    {
        let message = format!(
            "`{}` is no response code; use one of `{}`",
            settings.rcode,
            RCODES.join("`, `")
        );
        faults.push(Fault::new("/rcode", message));
    }
    faults
}

#[probe(check_settings = check_settings)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let name = match &settings.name {
        Some(name) => name.clone(),
        None => check
            .service
            .host_and_port()
            .map(|(host, _)| host)
            .ok_or_else(|| {
                Stop::Settings(format!(
                    "`{}` names no host; set `name`",
                    check.service.base_url
                ))
            })?,
    };
    let mut query = dns::query(&name, settings.record_type.as_str());
    if let Some(server) = &settings.server {
        query = query.server(with_port(server));
    }
    let response = query.send()?;
    Ok(measured(
        judge(&name, &response, settings),
        &response,
        settings.record_type,
    ))
}

fn judge(name: &str, response: &dns::Response, settings: &Settings) -> Observation {
    if !response.rcode.eq_ignore_ascii_case(&settings.rcode) {
        return Observation::unhealthy(format!(
            "`{name}`: response code is {}, wanted {}",
            response.rcode, settings.rcode
        ));
    }
    let record_type = settings.record_type.as_str();
    let found = of_type(response, settings.record_type).map(|answer| answer.data.as_str());
    let found = in_order(settings.record_type, found);
    if found.is_empty()
        && settings.rcode.eq_ignore_ascii_case("NOERROR")
        && settings
            .expected
            .as_ref()
            .is_none_or(|list| !list.is_empty())
    {
        return Observation::unhealthy(format!(
            "`{name}` has no {record_type} record, wanted {}",
            wanted(settings)
        ));
    }
    if let Some(expected) = &settings.expected
        && found != in_order(settings.record_type, expected.iter().map(String::as_str))
    {
        return Observation::unhealthy(format!(
            "`{name}`: {record_type} is {}, wanted {}",
            listed(&found),
            wanted(settings)
        ));
    }
    if let Some(text) = &settings.contains
        && !found
            .iter()
            .any(|data| value::contains(settings.record_type, data, text))
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

fn measured(
    observation: Observation,
    response: &dns::Response,
    record_type: RecordType,
) -> Observation {
    let observation = observation.metric("answers", of_type(response, record_type).count());
    match of_type(response, record_type)
        .map(|answer| answer.ttl)
        .min()
    {
        Some(ttl) => observation.metric("ttl_s", ttl),
        None => observation,
    }
}

/// Answers of the type asked for: a `CNAME` on the way to an `A` is not one.
fn of_type(
    response: &dns::Response,
    record_type: RecordType,
) -> impl Iterator<Item = &dns::Answer> {
    response.answers.iter().filter(move |answer| {
        answer
            .record_type
            .eq_ignore_ascii_case(record_type.as_str())
    })
}

/// Returns the values in the form in which equal values are equal, in one order, each once.
fn in_order<'a>(record_type: RecordType, values: impl Iterator<Item = &'a str>) -> Vec<String> {
    // What is of no known form is compared as it came.
    let normal = |text: &str| value::normal(record_type, text).unwrap_or_else(|_| text.to_owned());
    let mut values: Vec<String> = values.map(normal).collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn wanted(settings: &Settings) -> String {
    settings
        .expected
        .as_deref()
        .map_or_else(|| "at least one".to_owned(), listed)
}

fn listed(answers: &[String]) -> String {
    if answers.is_empty() {
        "nothing".to_owned()
    } else {
        format!("`{}`", answers.join("`, `"))
    }
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
        match check(
            &Check::of("https://api.example.com/v1"),
            &Settings::from_json(settings).unwrap(),
        ) {
            Ok(observation) | Err(Stop::Found(observation)) => observation,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn judges_answers() {
        for (settings, rcode, data, message) in [
            ("{}", "NOERROR", &["192.0.2.1"][..], ""),
            (
                "{}",
                "NXDOMAIN",
                &[],
                "`api.example.com`: response code is NXDOMAIN, wanted NOERROR",
            ),
            (
                "{}",
                "NOERROR",
                &[],
                "`api.example.com` has no A record, wanted at least one",
            ),
            (r#"{"rcode": "NXDOMAIN"}"#, "NXDOMAIN", &[], ""),
            (
                r#"{"expected": ["192.0.2.2", "192.0.2.1"]}"#,
                "NOERROR",
                &["192.0.2.1", "192.0.2.2"],
                "",
            ),
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
            assert_eq!(
                observation.status,
                if message.is_empty() {
                    Status::Healthy
                } else {
                    Status::Unhealthy
                }
            );
        }
    }

    fn settings_of(
        record_type: &str,
        key: &str,
        value: impl Into<extrack_plugin::json::Value>,
    ) -> String {
        let mut settings =
            extrack_plugin::json::json!({"name": "example.com", "recordType": record_type});
        settings[key] = value.into();
        settings.to_string()
    }

    #[test]
    fn values_are_equal_however_they_are_written() {
        let key = "v=DKIM1; k=rsa; p=MIIBIjANBg";
        for (record_type, answer, expected, is_same) in [
            (
                "TXT",
                r#""v=spf1 include:_spf.example -all""#,
                "v=spf1 include:_spf.example -all",
                true,
            ),
            (
                "TXT",
                r#""v=spf1 include:_spf.example -all""#,
                r#""v=spf1 include:_spf.example -all""#,
                true,
            ),
            ("TXT", r#""v=DKIM1; k=rsa; " "p=MIIBIjANBg""#, key, true),
            (
                "TXT",
                r#""v=DKIM1; k=rsa; " "p=MIIBIjANBg""#,
                r#""v=DKIM1; k=rsa; " "p=MIIBIjANBg""#,
                true,
            ),
            (
                "TXT",
                r#""v=DKIM1; k=rsa; " "p=MIIBIjANBg""#,
                r#""v=DKIM1; k=rsa;" "p=MIIBIjANBg""#,
                false,
            ),
            (
                "TXT",
                r#""v=DKIM1; k=rsa; " "p=MIIBIjANBg""#,
                "v=DKIM1; k=rsa; p=miibijanbg",
                false,
            ),
            (
                "TXT",
                r#""say \"hi\" \\ there""#,
                r#"say "hi" \ there"#,
                true,
            ),
            ("TXT", r#""caf\195" "\169""#, "café", true),
            (
                "AAAA",
                "2001:db8::1",
                "2001:0db8:0000:0000:0000:0000:0000:0001",
                true,
            ),
            ("AAAA", "2001:db8::1", "2001:DB8::1", true),
            ("AAAA", "2001:db8::1", "2001:db8::2", false),
            ("MX", "10 Mail.Example.com.", "10 mail.example.com", true),
            ("MX", "10 mail.example.com.", "10\tMAIL.example.com.", true),
            ("MX", "10 mail.example.com.", "20 mail.example.com", false),
            ("CNAME", "Shop.Vendor.example.", "shop.vendor.example", true),
            ("NS", "ns1.example.", "NS1.example.", true),
            ("PTR", "host.example.", "host.example", true),
            (
                "SRV",
                "0 5 5060 Sip.example.com.",
                "0  5 5060 sip.example.com",
                true,
            ),
            (
                "CAA",
                r#"0 issue "letsencrypt.org""#,
                "0 issue letsencrypt.org",
                true,
            ),
            (
                "CAA",
                r#"0 issue "letsencrypt.org""#,
                r#"0 ISSUE "letsencrypt.org""#,
                true,
            ),
            (
                "SOA",
                "ns1.example. admin.example. 7 3600 600 86400 60",
                "NS1.example admin.example 7 3600 600 86400 60",
                true,
            ),
        ] {
            let settings = settings_of(record_type, "expected", vec![expected.to_owned()]);
            let host = Host::install();
            host.answer_dns(
                &format!("{record_type} example.com"),
                dns_response("NOERROR", record_type, &[answer]),
            );
            let status = if is_same {
                Status::Healthy
            } else {
                Status::Unhealthy
            };
            assert_eq!(
                run(&settings).status,
                status,
                "{record_type}: {answer} and {expected}"
            );
            assert_eq!(
                check_settings(&Settings::from_json(&settings).unwrap()).len(),
                0,
                "{expected}"
            );
        }
    }

    #[test]
    fn a_part_is_found_however_it_is_written() {
        for (record_type, answer, part, is_there) in [
            ("MX", "10 Mail.Example.com.", "mail.example.com", true),
            ("MX", "10 mail.example.com.", "MAIL.EXAMPLE.COM.", true),
            ("MX", "10 mail.example.com.", "mail.example.org", false),
            (
                "TXT",
                r#""v=DKIM1; k=rsa; p=MIIB" "IjANBg""#,
                "MIIBIjAN",
                true,
            ),
            (
                "TXT",
                r#""v=DKIM1; k=rsa; p=MIIB" "IjANBg""#,
                "miibijan",
                false,
            ),
            (
                "AAAA",
                "2001:db8::1",
                "2001:0db8:0000:0000:0000:0000:0000:0001",
                true,
            ),
            ("AAAA", "2001:db8::1", "2001:DB8:", true),
            ("A", "192.0.2.10", "192.0.2.1", false),
            ("A", "192.0.2.10", "192.0.2.", true),
            (
                "CAA",
                r#"0 issue "letsencrypt.org""#,
                r#"issue "letsencrypt.org""#,
                true,
            ),
            ("NS", "NS1.Vendor.example.", ".vendor.example", true),
        ] {
            let settings = settings_of(record_type, "contains", part);
            let host = Host::install();
            host.answer_dns(
                &format!("{record_type} example.com"),
                dns_response("NOERROR", record_type, &[answer]),
            );
            let status = if is_there {
                Status::Healthy
            } else {
                Status::Unhealthy
            };
            assert_eq!(
                run(&settings).status,
                status,
                "{record_type}: {part} in {answer}"
            );
        }
    }

    #[test]
    fn a_value_that_no_record_can_have_is_a_fault_that_shows_the_form() {
        for (record_type, expected, form) in [
            ("A", "2001:db8::1", "an IPv4 address, such as `192.0.2.1`"),
            ("A", "192.0.2", "an IPv4 address, such as `192.0.2.1`"),
            (
                "AAAA",
                "192.0.2.1",
                "an IPv6 address, such as `2001:db8::1`",
            ),
            (
                "MX",
                "mail.example.com",
                "preference and name, such as `10 mail.example.com`",
            ),
            (
                "MX",
                "mail.example.com 10",
                "preference and name, such as `10 mail.example.com`",
            ),
            (
                "SRV",
                "5060 sip.example.com",
                "priority, weight, port and name, such as `0 5 5060 sip.example.com`",
            ),
            (
                "CAA",
                "letsencrypt.org",
                "flags, tag and value, such as `0 issue letsencrypt.org`",
            ),
            ("CNAME", "two words", "a name, such as `www.example.com`"),
            (
                "NS",
                "bücher.example",
                "a name, such as `www.example.com` (others than ASCII as `xn--…`)",
            ),
            ("SOA", "ns1.example admin.example", "all seven fields"),
        ] {
            let settings = Settings::from_json(&settings_of(
                record_type,
                "expected",
                vec![expected.to_owned()],
            ))
            .unwrap();
            let faults = check_settings(&settings);
            assert_eq!(faults[0].path, "/expected/0");
            assert!(faults[0].message.contains(form), "{}", faults[0].message);
        }
        let faults = check_settings(&Settings::from_json(r#"{"rcode": "NXDOMAN"}"#).unwrap());
        assert!(
            faults[0].path == "/rcode" && faults[0].message.contains("`NXDOMAIN`"),
            "{faults:?}"
        );
    }

    #[test]
    fn a_slow_answer_is_degraded() {
        let host = Host::install();
        host.answer_dns(
            "A api.example.com",
            dns_response("NOERROR", "A", &["192.0.2.1"]),
        );
        assert_eq!(
            run(r#"{"degradedOver": "5ms"}"#).message(),
            "answer took 8 ms, wanted at most 5ms"
        );
    }

    #[test]
    fn no_answer_is_an_error() {
        let host = Host::install();
        host.answer_dns(
            "A api.example.com",
            NetError::Timeout("no answer".to_owned()),
        );
        assert_eq!(run("{}").status, Status::Error);
    }

    #[test]
    fn servers_get_their_port() {
        for (server, wanted) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("ns1:5353", "ns1:5353"),
            ("[::1]", "[::1]:53"),
        ] {
            assert_eq!(with_port(server), wanted);
        }
    }

    #[test]
    fn refuses_an_unknown_record_type() {
        let faults = Settings::from_json(r#"{"recordType": "a"}"#).err().unwrap();
        assert!(
            faults[0].message.contains("one of `A`, `AAAA`"),
            "{}",
            faults[0].message
        );
    }
}
