//! Name of this machine in EHLO. Many servers want one with a dot, and containers have none.

use std::net::{IpAddr, SocketAddr};

use lettre::transport::smtp::extension::ClientId;

use super::{SmtpSettings, compose};

/// The operator's word, else the machine's full name, else the domain that the mail is from, else
/// the address.
pub(super) fn client_id(settings: &SmtpSettings, local: Option<SocketAddr>) -> ClientId {
    let machine = match ClientId::default() {
        ClientId::Domain(name) => Some(name),
        _ => None,
    };
    choose(
        settings,
        machine.as_deref(),
        local.map(|address| address.ip()),
    )
}

fn choose(settings: &SmtpSettings, machine: Option<&str>, local: Option<IpAddr>) -> ClientId {
    if let Some(hello) = &settings.hello {
        return ClientId::Domain(hello.clone());
    }
    let from = compose::mailbox(&settings.from)
        .ok()
        .map(|from| from.email.domain().to_owned());
    let names = [machine, from.as_deref()]
        .into_iter()
        .flatten()
        .map(|name| name.trim_end_matches('.'));
    if let Some(name) = names.into_iter().find(|name| is_full(name)) {
        return ClientId::Domain(name.to_owned());
    }
    match local {
        Some(IpAddr::V6(address)) => address
            .to_ipv4_mapped()
            .map_or(ClientId::Ipv6(address), ClientId::Ipv4),
        Some(IpAddr::V4(address)) => ClientId::Ipv4(address),
        None => ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST),
    }
}

fn is_full(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    labels.len() > 1
        && labels.iter().all(is_label)
        && labels[0] != "localhost"
        && !labels[labels.len() - 1]
            .bytes()
            .all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::mail::SmtpTls;

    fn settings(from: &str, hello: Option<&str>) -> SmtpSettings {
        SmtpSettings {
            host: "mail.example.com".to_owned(),
            port: 25,
            username: None,
            password: None,
            from: from.to_owned(),
            hello: hello.map(str::to_owned),
            tls: SmtpTls::Opportunistic,
            allow_private: false,
        }
    }

    #[test]
    fn the_name_is_one_that_servers_take() {
        let (container, local) = (Some("3f2c9a1b7d4e"), Some("192.0.2.7".parse().unwrap()));
        for (from, hello, machine, local, wanted) in [
            (
                "a@example.org",
                Some("monitor.example.com"),
                Some("m.example.net"),
                local,
                "monitor.example.com",
            ),
            (
                "a@example.org",
                Some("[192.0.2.9]"),
                container,
                local,
                "[192.0.2.9]",
            ),
            (
                "a@example.org",
                None,
                Some("m.example.net."),
                local,
                "m.example.net",
            ),
            (
                "Watch <a@example.org>",
                None,
                container,
                local,
                "example.org",
            ),
            ("a@localhost", None, container, local, "[192.0.2.7]"),
            (
                "a@localhost",
                None,
                Some("localhost.localdomain"),
                Some("2001:db8::7".parse().unwrap()),
                "[IPv6:2001:db8::7]",
            ),
            (
                "a@localhost",
                None,
                Some("my_host.lan"),
                Some("::ffff:192.0.2.7".parse().unwrap()),
                "[192.0.2.7]",
            ),
            ("a@localhost", None, None, None, "[127.0.0.1]"),
        ] {
            assert_eq!(
                choose(&settings(from, hello), machine, local).to_string(),
                wanted,
                "{from} {machine:?}"
            );
        }
    }
}
