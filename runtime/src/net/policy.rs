//! Permissions to reach hosts. The order is fixed: host rule, resolution, address rule, and then a
//! connection to exactly the address that was checked, so that a name which changes its answer in
//! between gains nothing.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::address::{Reach, reach};
use super::failure::NetError;
use super::host_rule::HostRule;
use super::host_text::{canonical, parse_host};
use crate::domain::PrivateReach;

/// Hosts that one caller may reach.
#[derive(Debug, Clone)]
pub struct Permission {
    pub hosts: Vec<HostRule>,
    /// Hosts that may be reached at public addresses only, in spite of `allow_private`: the owner of a
    /// name that was not written out could point it anywhere.
    pub public_hosts: Vec<HostRule>,
    /// Whether loopback and private addresses may be reached, at `hosts`.
    pub allow_private: PrivateReach,
    /// How the operator opens them, for denials.
    pub private_remedy: &'static str,
    /// Caller, for denials: ``probe `http` of service `shop-api` ``.
    pub subject: String,
    /// Where the operator names what may be reached, for denials: `` `baseUrl` of the service ``.
    /// `{host}` in it stands for the host that was asked for, `{target}` for the same with its
    /// port, unless that is 80 or 443.
    pub setting: String,
}

impl Permission {
    /// [`Self::private_remedy`] of whatever belongs to a service or a channel.
    pub const OPEN_IN_FILES: &str =
        "write the host in a configuration file, or mark the service `private: true`";
    /// The same of a name that was public when the file was loaded.
    const MARK_PRIVATE: &str = "mark the service `private: true`: the name led to public addresses when the configuration was loaded";

    /// The host rule, before anything is resolved.
    pub fn check_host(&self, host: &Host, port: u16) -> Result<(), NetError> {
        if self.rules().any(|rule| rule.matches(host, port)) {
            return Ok(());
        }
        Err(self.denial(&format!("connect to `{host}:{port}`"), host, Some(port)))
    }

    /// The host rule for what has no ports.
    pub(super) fn check_name(&self, host: &Host) -> Result<(), NetError> {
        if self.rules().any(|rule| rule.matches_name(host)) {
            return Ok(());
        }
        Err(self.denial(&format!("send echo requests to `{host}`"), host, None))
    }

    /// Names that the system's name servers may be asked for: those of hosts that may be reached,
    /// and all below them. A name carries data to the one who answers for it, which is then one
    /// that may be reached anyway.
    pub(super) fn check_query(&self, name: &str) -> Result<(), NetError> {
        let host = parse_host(name)?;
        if self
            .rules()
            .any(|rule| rule.matches_name(&host) || rule.is_above(&host))
        {
            return Ok(());
        }
        Err(self.denial(&format!("ask name servers for `{host}`"), &host, None))
    }

    fn rules(&self) -> impl Iterator<Item = &HostRule> {
        self.hosts.iter().chain(&self.public_hosts)
    }

    fn denial(&self, what: &str, host: &Host, port: Option<u16>) -> NetError {
        let host = host.to_string();
        let target = match port {
            None | Some(80 | 443) => host.clone(),
            Some(port) => format!("{host}:{port}"),
        };
        let setting = self
            .setting
            .replace("{host}", &host)
            .replace("{target}", &target);
        NetError::Denied(format!(
            "{} may not {what}; to allow it, name it in {setting}",
            self.subject
        ))
    }

    /// Private addresses are open to what was written out.
    fn may_be_private(&self, host: &str) -> bool {
        let Some(host) = self.written(host) else {
            return false;
        };
        match (&self.allow_private, host) {
            (PrivateReach::Closed, _) => false,
            (PrivateReach::Open, _)
            | (PrivateReach::AsFirstSeen(_), Host::Ipv4(_) | Host::Ipv6(_)) => true,
            (PrivateReach::AsFirstSeen(seen), Host::Domain(name)) => seen.is_private(&name),
        }
    }

    /// The host, if the operator wrote it out.
    fn written(&self, host: &str) -> Option<Host> {
        parse_host(host)
            .ok()
            .filter(|host| self.hosts.iter().any(|rule| rule.matches_name(host)))
    }

    /// Notes the kind of address that a name led to first, which decides. An answer of addresses that are never reached decides
    /// nothing: that is how a resolver answers in an outage.
    fn note_first(&self, host: &str, addresses: &[SocketAddr]) {
        let PrivateReach::AsFirstSeen(seen) = &self.allow_private else {
            return;
        };
        let Some(Host::Domain(name)) = self.written(host) else {
            return;
        };
        let reached = || addresses.iter().map(|address| reach(address.ip()));
        let is_private = reached().any(|reach| matches!(reach, Reach::Private(_)));
        if is_private || reached().any(|reach| matches!(reach, Reach::Public)) {
            seen.note(&name, is_private);
        }
    }

    fn private_remedy(&self, host: &str) -> String {
        match (&self.allow_private, self.written(host)) {
            (PrivateReach::Closed, _) => self.private_remedy.to_owned(),
            (PrivateReach::AsFirstSeen(_), Some(_)) => Self::MARK_PRIVATE.to_owned(),
            _ => format!("write `{host}` out: a pattern opens public addresses only"),
        }
    }

    /// The address rule, on what `host` resolved to.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), NetError> {
        let place = || {
            if host.contains(&address.to_string()) {
                String::new()
            } else {
                format!("`{host}` is ")
            }
        };
        match reach(address) {
            Reach::Public => Ok(()),
            Reach::Private(_) if self.may_be_private(host) => Ok(()),
            Reach::Private(range) => Err(NetError::Denied(format!(
                "{} may not connect to private addresses, and {}`{address}` ({range}); to allow it, {}",
                self.subject,
                place(),
                self.private_remedy(host)
            ))),
            Reach::Never(range) => Err(NetError::Denied(format!(
                "{} may not connect: {}`{address}` ({range}), which is never allowed",
                self.subject,
                place()
            ))),
        }
    }

    /// The addresses that may be connected to, in their order. An error when none is left.
    pub(super) fn keep_allowed(
        &self,
        host: &str,
        addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, NetError> {
        self.note_first(host, &addresses);
        let mut first_denial = None;
        let mut allowed = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.check_address(host, address.ip()) {
                Ok(()) if !allowed.contains(&address) => allowed.push(address),
                Ok(()) => {}
                Err(denial) => first_denial = first_denial.or(Some(denial)),
            }
        }
        match first_denial {
            Some(denial) if allowed.is_empty() => Err(denial),
            _ => Ok(allowed),
        }
    }

    /// Scheme, user information, host and port of a URL; the host and the port to connect to.
    pub fn check_url(&self, url: &Url) -> Result<(Host, u16), NetError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NetError::Denied(format!(
                "scheme `{}` can't be called; use `http` or `https`",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NetError::Denied(
                "the URL carries a user name or password; take it out and name a credential of the service".to_owned(),
            ));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(NetError::Protocol("the URL has no host".to_owned()));
        };
        let host = canonical(host.to_owned());
        self.check_host(&host, port)?;
        Ok((host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(hosts: &[&str], allow_private: bool) -> Permission {
        Permission {
            hosts: hosts
                .iter()
                .map(|host| HostRule::parse(host).unwrap())
                .collect(),
            public_hosts: Vec::new(),
            allow_private: allow_private.into(),
            private_remedy: Permission::OPEN_IN_FILES,
            subject: "probe `http` of service `shop`".to_owned(),
            setting: "`baseUrl` of the service".to_owned(),
        }
    }

    #[test]
    fn hosts_match_exactly_in_any_spelling() {
        let permission = permission(
            &[
                "api.example.com",
                "Other.example:8443",
                "[::1]:80",
                "127.0.0.1",
            ],
            true,
        );
        for (url, wanted) in [
            ("https://api.example.com/x", true),
            ("http://API.EXAMPLE.com:8080", true),
            ("https://api.example.com./", true),
            ("https://evil-api.example.com/", false),
            ("https://api.example.com.evil/", false),
            ("https://other.example:8443/", true),
            ("https://other.example/", false),
            ("http://[0:0::1]/", true),
            ("http://[::1]:81/", false),
            ("http://0x7f.1/", true),
            ("http://2130706433/", true),
            ("http://0177.0.0.1:9/", true),
            ("http://127.0.0.2/", false),
            ("http://%31%32%37.0.0.1/", true),
            ("ftp://api.example.com/", false),
            ("https://user@api.example.com/", false),
            ("https://:secret@api.example.com/", false),
        ] {
            let answer = permission.check_url(&Url::parse(url).unwrap());
            assert_eq!(answer.is_ok(), wanted, "{url}: {answer:?}");
            if let Err(error) = answer {
                assert!(matches!(error, NetError::Denied(_)), "{url}: {error:?}");
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
    }

    #[test]
    fn what_a_pattern_allows_stays_public() {
        let mut permission = permission(&["written.example"], true);
        permission.public_hosts = vec![HostRule::pattern("*.example").unwrap()];
        permission.setting = "`hosts`, as `{host}`".to_owned();
        for (host, address, wanted) in [
            ("written.example", [10, 0, 0, 1], true),
            ("any.example", [10, 0, 0, 1], false),
            ("any.example", [93, 184, 216, 34], true),
            ("any.example", [169, 254, 169, 254], false),
        ] {
            permission
                .check_host(&Host::Domain(host.to_owned()), 443)
                .unwrap();
            assert_eq!(
                permission.check_address(host, address.into()).is_ok(),
                wanted,
                "{host} {address:?}"
            );
        }
        let denial = permission
            .check_host(&Host::Domain("b.test".to_owned()), 443)
            .unwrap_err()
            .to_string();
        assert!(
            denial.ends_with("name it in `hosts`, as `b.test`"),
            "{denial}"
        );
    }

    #[test]
    fn no_spelling_of_a_host_slips_past_the_rule() {
        let permission = permission(&["localhost", "127.0.0.1"], true);
        for (host, wanted) in [
            ("localhost", Some(true)),
            ("localhost.", Some(true)),
            ("LOCALHOST", Some(true)),
            ("localhost..", Some(true)),
            ("127.1", Some(true)),
            ("127.0.0.1.", Some(true)),
            ("0x7f000001", Some(true)),
            ("017700000001", Some(true)),
            ("2130706433", Some(true)),
            ("127.0.0.1\u{3002}", Some(true)),
            ("①②⑦.0.0.1", Some(true)),
            ("127.0.0.1.nip.example", Some(false)),
            ("a.localhost", Some(false)),
            ("256.0.0.1", None),
            ("fe80::1%eth0", None),
            ("[fe80::1%25eth0]", None),
            ("::1%1", None),
            ("127.0.0.1\0.example", None),
            ("localhost\n", None),
            ("local host", None),
            ("localhost/x", None),
            ("user@localhost", None),
        ] {
            let answer = parse_host(host).map(|host| permission.check_host(&host, 80).is_ok());
            assert_eq!(answer.ok(), wanted, "{host:?}");
        }
    }

    #[test]
    fn name_servers_are_asked_for_what_may_be_reached_and_below() {
        let mut permission = permission(
            &["shop.example:8443", "192.0.2.7", "_sip._tcp.voice.example"],
            false,
        );
        permission.public_hosts = vec![HostRule::pattern("*.cdn.example").unwrap()];
        for (name, wanted) in [
            ("shop.example", true),
            ("Shop.Example.", true),
            ("_dmarc.shop.example", true),
            ("a.b.shop.example", true),
            ("evilshop.example", false),
            ("example", false),
            ("internal", false),
            ("c2VjcmV0.evil.example", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("_sip._tcp.voice.example", true),
            ("_tcp.voice.example", false),
            ("a.cdn.example", true),
            ("cdn.example", false),
        ] {
            assert_eq!(permission.check_query(name).is_ok(), wanted, "{name}");
        }
        assert_eq!(
            permission.check_query("internal").unwrap_err().to_string(),
            "probe `http` of service `shop` may not ask name servers for `internal`; to allow it, name it in `baseUrl` of the \
             service"
        );
    }

    #[test]
    fn denials_name_who_asked_and_the_setting() {
        let permission = permission(&["api.example.com"], false);
        let denial = permission
            .check_host(&Host::Domain("b.example".to_owned()), 443)
            .unwrap_err()
            .to_string();
        assert_eq!(
            denial,
            "probe `http` of service `shop` may not connect to `b.example:443`; \
             to allow it, name it in `baseUrl` of the service"
        );
        let denial = permission
            .check_address("api.example.com", [10, 0, 0, 1].into())
            .unwrap_err()
            .to_string();
        assert_eq!(
            denial,
            "probe `http` of service `shop` may not connect to private addresses, and `api.example.com` is `10.0.0.1` \
             (a private range); to allow it, write the host in a configuration file, or mark the service `private: true`"
        );
    }

    #[test]
    fn only_checked_addresses_are_kept() {
        let addresses = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<SocketAddr>>()
        };
        for (allow_private, answered, wanted) in [
            (
                false,
                &["10.0.0.1:80", "1.1.1.1:80", "[::ffff:127.0.0.1]:80"][..],
                Some(&["1.1.1.1:80"][..]),
            ),
            (false, &["10.0.0.1:80"], None),
            (
                true,
                &["10.0.0.1:80", "169.254.169.254:80", "10.0.0.1:80"],
                Some(&["10.0.0.1:80"]),
            ),
            (true, &["[::ffff:169.254.169.254]:80"], None),
            (true, &["[fe80::1]:80", "[fd00:ec2::254]:80"], None),
        ] {
            let kept = permission(&["h"], allow_private).keep_allowed("h", addresses(answered));
            assert_eq!(kept.ok(), wanted.map(addresses), "{answered:?}");
        }
    }

    #[test]
    fn a_public_name_of_a_file_that_leads_inside_later_is_not_followed() {
        let addresses = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<SocketAddr>>()
        };
        let as_loaded = |hosts: &[&str]| Permission {
            allow_private: PrivateReach::as_loaded(),
            public_hosts: vec![HostRule::pattern("*.pattern.example").unwrap()],
            ..permission(hosts, false)
        };
        let keeps = |permission: &Permission, host: &str, answered: &[&str]| {
            permission.keep_allowed(host, addresses(answered)).is_ok()
        };
        let vendor = as_loaded(&["vendor.example", "10.0.0.1"]);
        assert!(
            !keeps(&vendor, "vendor.example", &["0.0.0.0:443"]),
            "an outage of the resolver decides nothing"
        );
        assert!(keeps(&vendor, "vendor.example", &["93.184.216.34:443"]));
        for inside in ["127.0.0.1:443", "10.0.0.1:443", "192.168.1.1:443"] {
            let denial = vendor
                .keep_allowed("VENDOR.example.", addresses(&[inside]))
                .unwrap_err()
                .to_string();
            assert!(
                denial.contains("mark the service `private: true`"),
                "{denial}"
            );
        }
        assert!(
            keeps(&vendor, "10.0.0.1", &["10.0.0.1:80"]),
            "an address was written as it is"
        );
        assert!(
            !keeps(&vendor, "a.pattern.example", &["10.0.0.1:443"]),
            "a pattern is public"
        );

        let inner = as_loaded(&["inner.example"]);
        assert!(keeps(
            &inner,
            "inner.example",
            &["10.0.0.1:80", "93.184.216.34:80"]
        ));
        assert!(
            keeps(&inner.clone(), "inner.example", &["192.168.1.1:80"]),
            "each run has a copy of it"
        );
        assert!(!keeps(&inner, "inner.example", &["169.254.169.254:80"]));
        assert!(
            keeps(
                &as_loaded(&["vendor.example"]),
                "vendor.example",
                &["10.0.0.1:443"]
            ),
            "loaded again"
        );
    }
}
