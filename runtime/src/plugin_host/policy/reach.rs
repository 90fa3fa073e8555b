//! Where one run may go, and where its credentials and the secrets of its settings may go with it.
//! A host that may be reached is not yet one that is trusted with a secret.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::grants::EffectiveGrants;
use super::secrets::host_of;
use super::secrets::{self, SealedSettings};
use crate::domain::Credential;
use crate::domain::{Channel, CredentialKind, Origin, PrivateReach, Service};
use crate::net::Permission;
use crate::net::{HostRule, NetFailure, canonical};

/// A host, with its port if only that one is meant.
#[derive(Debug, Clone)]
struct Place {
    rule: HostRule,
    /// The operator wrote a scheme without TLS, such as `http://`, so that secrets go there plain.
    is_plain: bool,
}

impl Place {
    fn matches(&self, target: &Target) -> bool {
        self.rule.matches(&target.host, target.port)
    }
}

/// Where a request goes.
struct Target {
    host: Host,
    port: u16,
    is_plain: bool,
}

impl Target {
    fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let host = canonical(url.host()?.to_owned());
        Some(Self {
            host,
            port: url.port_or_known_default()?,
            is_plain: url.scheme() != "https",
        })
    }

    /// Returns true for a target that no third party can listen to.
    fn is_local(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Where secrets may go. Nowhere by default.
#[derive(Debug, Clone, Default)]
pub(in crate::plugin_host) struct SecretScope {
    /// The base URL's origin; both usual ports of a host whose base URL names one of them, so that
    /// a service that leads from `http` to `https` is one place.
    own: Vec<Place>,
    /// The service's own origin, for denials.
    own_shown: String,
    /// Credentials go over TLS only, as the service itself is reached.
    needs_tls: bool,
    /// Hosts in the settings.
    written: Vec<Place>,
    /// The settings have `insecure: true`.
    may_be_insecure: bool,
    /// The name in the settings' `serverName`.
    server_name: Option<String>,
}

/// Options of a request by which a server's certificate proves less than usual.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct Weakened<'a> {
    pub(in crate::plugin_host) insecure: bool,
    pub(in crate::plugin_host) server_name: Option<&'a str>,
}

impl SecretScope {
    /// Returns the scope of a service's own origin alone.
    pub(in crate::plugin_host) fn of_base_url(base_url: &str) -> Self {
        Self {
            own: own_places(base_url),
            own_shown: host_of(base_url).unwrap_or_default(),
            needs_tls: base_url
                .get(..6)
                .is_some_and(|start| start.eq_ignore_ascii_case("https:")),
            ..Self::default()
        }
    }

    fn with_settings(mut self, settings: &Value, written: Vec<Place>) -> Self {
        self.written = written;
        self.may_be_insecure = settings.get("insecure") == Some(&Value::Bool(true));
        self.server_name = settings
            .get("serverName")
            .and_then(Value::as_str)
            .map(str::to_owned);
        self
    }

    /// A credential goes to its service's own origin and to the hosts that it names itself.
    pub(in crate::plugin_host) fn check_credential(
        &self,
        credential: &Credential,
        url: &str,
    ) -> Result<(), NetFailure> {
        let name = &credential.name;
        let target = Target::of(url);
        let goes_there = target.as_ref().is_some_and(|target| {
            let mut listed = credential
                .hosts
                .iter()
                .filter_map(|host| HostRule::parse(host).ok());
            self.own.iter().any(|place| place.matches(target))
                || listed.any(|rule| rule.matches(&target.host, target.port))
        });
        if !goes_there {
            return Err(NetFailure::denied(format!(
                "credential `{name}` goes to the service's own host `{}` only; to send it elsewhere, name the host in its \
                 `hosts`",
                self.own_shown
            )));
        }
        let needs_tls = self.needs_tls || matches!(credential.kind, CredentialKind::Mtls { .. });
        if needs_tls && target.is_some_and(|target| target.is_plain) {
            return Err(NetFailure::denied(format!(
                "credential `{name}` goes over `https` only, as the service's `baseUrl` does"
            )));
        }
        Ok(())
    }

    /// The secrets of the settings go to the service's own origin, and to hosts that the operator
    /// wrote out: in the settings, or in what the plugin is granted.
    pub(in crate::plugin_host) fn check_secret(
        &self,
        grants: &EffectiveGrants,
        url: &str,
    ) -> Result<(), NetFailure> {
        Target::of(url).map_or(Ok(()), |target| self.check_target(grants, &target))
    }

    /// The same for a connection.
    pub(in crate::plugin_host) fn check_stream(
        &self,
        grants: &EffectiveGrants,
        host: &Host,
        port: u16,
        is_plain: bool,
    ) -> Result<(), NetFailure> {
        let target = Target {
            host: canonical(host.clone()),
            port,
            is_plain,
        };
        self.check_target(grants, &target)
    }

    fn check_target(&self, grants: &EffectiveGrants, target: &Target) -> Result<(), NetFailure> {
        let places: Vec<&Place> = self
            .own
            .iter()
            .chain(&self.written)
            .filter(|place| place.matches(target))
            .collect();
        let is_granted = || {
            grants
                .hosts()
                .iter()
                .any(|rule| rule.is_exact() && rule.matches(&target.host, target.port))
        };
        if places.is_empty() && !is_granted() {
            return Err(NetFailure::denied(format!(
                "a secret of the settings does not go to `{target}`: only the service's own host and hosts that are written \
                 out, in the settings or in the plugin's `grants.hosts`, are trusted with one"
            )));
        }
        if target.is_plain && !target.is_local() && !places.iter().any(|place| place.is_plain) {
            return Err(NetFailure::denied(format!(
                "a secret of the settings does not go to `{target}` without TLS; use TLS, or write the address with a scheme \
                 that has none, such as `http://`, where it is configured"
            )));
        }
        Ok(())
    }

    /// Checks that a request with a secret or a credential verifies the certificate, unless the
    /// operator wrote otherwise.
    pub(in crate::plugin_host) fn check_weakened(
        &self,
        weakened: &Weakened<'_>,
    ) -> Result<(), NetFailure> {
        if weakened.insecure && !self.may_be_insecure {
            return Err(NetFailure::denied(
                "a request with a credential or a secret does not go out `insecure`: anybody on the way could read it; to allow \
                 it, write `insecure: true` in the settings",
            ));
        }
        match weakened.server_name {
            Some(name) if self.server_name.as_deref() != Some(name) => {
                Err(NetFailure::denied(format!(
                    "a request with a credential or a secret does not go to a server that is checked as `{name}`; to allow it, \
                 write it as `serverName` in the settings"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Both sides of one run's reach.
pub(in crate::plugin_host) struct Reach {
    pub(in crate::plugin_host) permission: Permission,
    pub(in crate::plugin_host) scope: SecretScope,
}

impl Reach {
    /// Returns the reach of a probe or a webhook: its service's own origin, what the operator wrote
    /// into the settings, and what the service names in `hosts`, where no secret goes.
    pub(in crate::plugin_host) fn of_service(
        service: &Service,
        settings: &Value,
        schema: &Value,
        sealed: &SealedSettings,
        subject: String,
    ) -> Self {
        let mut scope = SecretScope::of_base_url(&service.base_url);
        if let Some(host) = scope.own.first().map(|place| place.rule.clone()) {
            let ports = secrets::written_ports(settings, schema);
            scope.own.extend(ports.into_iter().map(|port| Place {
                rule: host.at(port),
                is_plain: false,
            }));
        }
        let scope = scope.with_settings(
            settings,
            written(secrets::written_hosts(settings, schema), sealed),
        );
        let own_port = own_port(&service.base_url);
        let further = service
            .hosts
            .iter()
            .filter_map(|host| HostRule::parse(host).ok());
        let further = further.flat_map(|rule| at_usual_ports(&rule, own_port));
        let hosts = scope
            .own
            .iter()
            .chain(&scope.written)
            .map(|place| place.rule.clone())
            .chain(further);
        let permission = Permission {
            hosts: hosts.collect(),
            public_hosts: Vec::new(),
            allow_private: service.private.clone(),
            private_remedy: Permission::OPEN_IN_FILES,
            subject,
            setting: "`hosts` of the service, as `{target}`".to_owned(),
        };
        Self { permission, scope }
    }

    /// Returns the reach of a notifier: what the operator wrote into the settings, and `defaults`
    /// of a plugin that is part of this binary.
    pub(in crate::plugin_host) fn of_channel(
        settings: &Value,
        schema: &Value,
        sealed: &SealedSettings,
        defaults: Vec<String>,
        allow_private: PrivateReach,
        subject: String,
    ) -> Self {
        let mut hosts = secrets::written_hosts(settings, schema);
        hosts.extend(defaults);
        let scope = SecretScope::default().with_settings(settings, written(hosts, sealed));
        let permission = Permission {
            hosts: scope
                .written
                .iter()
                .map(|place| place.rule.clone())
                .collect(),
            public_hosts: Vec::new(),
            allow_private,
            private_remedy: Permission::OPEN_IN_FILES,
            subject,
            setting: "the settings of the channel".to_owned(),
        };
        Self { permission, scope }
    }
}

/// Channels remembered; over it all are forgotten, and their names judged anew.
const MOST_CHANNELS: usize = 10_000;

/// First addresses of the names in channels' settings. Other settings are another channel.
#[derive(Default)]
pub(in crate::plugin_host) struct ChannelReach {
    seen: Mutex<HashMap<[u8; 32], PrivateReach>>,
}

impl ChannelReach {
    pub(in crate::plugin_host) fn of(&self, channel: &Channel) -> PrivateReach {
        if channel.origin == Origin::Api {
            return PrivateReach::Closed;
        }
        let hash = Sha256::new_with_prefix(&channel.id.0)
            .chain_update([0])
            .chain_update(channel.settings.to_string());
        let key = hash.finalize().into();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_CHANNELS && !seen.contains_key(&key) {
            seen.clear();
        }
        seen.entry(key)
            .or_insert_with(PrivateReach::as_loaded)
            .clone()
    }
}

fn written(hosts: Vec<String>, sealed: &SealedSettings) -> Vec<Place> {
    let texts = hosts.iter().map(String::as_str).chain(sealed.urls());
    let place = |text: &str| {
        let rule = HostRule::parse(&host_of(text)?).ok()?;
        Some(Place {
            rule,
            is_plain: is_plain(text),
        })
    };
    texts.filter_map(place).collect()
}

/// Schemes that mean a connection without TLS, each with one beside it that means TLS.
const PLAIN_SCHEMES: [&str; 8] = ["http", "ws", "grpc", "redis", "mqtt", "amqp", "ldap", "ftp"];

fn is_plain(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        PLAIN_SCHEMES
            .iter()
            .any(|plain| scheme.eq_ignore_ascii_case(plain))
    })
}

/// The host of a base URL, at its port. Both usual ports if that is one of them; any if it names
/// none.
fn own_places(base_url: &str) -> Vec<Place> {
    let rule = host_of(base_url).and_then(|host| HostRule::parse(&host).ok());
    let is_plain = is_plain(base_url);
    let place = |rule: HostRule| Place { rule, is_plain };
    match rule.as_ref().map(HostRule::port) {
        Some(Some(80 | 443)) => rule
            .iter()
            .flat_map(|rule| [place(rule.at(80)), place(rule.at(443))])
            .collect(),
        _ => rule.into_iter().map(place).collect(),
    }
}

fn own_port(base_url: &str) -> Option<u16> {
    host_of(base_url)
        .and_then(|host| HostRule::parse(&host).ok())?
        .port()
}

/// A host of `hosts` without a port is one at the usual ports, and at that of the base URL.
fn at_usual_ports(rule: &HostRule, own_port: Option<u16>) -> Vec<HostRule> {
    match rule.port() {
        Some(_) => vec![rule.clone()],
        None => [Some(80), Some(443), own_port]
            .into_iter()
            .flatten()
            .map(|port| rule.at(port))
            .collect(),
    }
}

#[cfg(test)]
mod tests;
