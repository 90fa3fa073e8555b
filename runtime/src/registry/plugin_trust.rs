//! Compiles what people wrote about trust.

use std::collections::BTreeMap;

use crate::domain::fault::{FaultReport, child};
use crate::domain::{PluginTrust, RegistryAccess, RegistryLogin};
use crate::net::HostRule;
use crate::plugin_host::{check_key, check_reference};
use crate::spec::{PluginSpec, RegistrySpec, TrustSpec};

/// More is a mistake.
const MAX_ENTRIES: usize = 100;

/// `plugins` stands at `plugins_at`, `trust` at `trust_at`; passwords are in their places. Only
/// good while the report has no faults.
pub fn plugin_trust(
    plugins: &BTreeMap<String, PluginSpec>,
    plugins_at: &str,
    trust: &TrustSpec,
    trust_at: &str,
    report: &mut FaultReport,
) -> PluginTrust {
    let mut found = PluginTrust {
        require_signatures: trust.require_signatures,
        ..PluginTrust::default()
    };
    for (name, plugin) in plugins {
        let at = child(plugins_at, name);
        if let Some(digests) = &plugin.sha256 {
            let pins = pins(digests.all(), &child(&at, "sha256"), report);
            found.pins.insert(name.clone(), pins);
        }
        if let Some(source) = &plugin.source {
            match check_reference(source) {
                Ok(()) => drop(found.sources.insert(name.clone(), source.clone())),
                Err(fault) => report.fault(child(&at, "source"), fault),
            }
        }
    }
    let keys_at = child(trust_at, "keys");
    bound(trust.keys.len(), &keys_at, report);
    for (index, key) in trust.keys.iter().take(MAX_ENTRIES).enumerate() {
        match check_key(key) {
            Ok(()) => found.keys.push(key.trim().to_owned()),
            Err(fault) => report.fault(child(&keys_at, index), fault),
        }
    }
    if trust.require_signatures && trust.keys.is_empty() {
        report.fault(
            child(trust_at, "requireSignatures"),
            "can be met by no component while `keys` is empty; name a key",
        );
    }
    let registries_at = child(trust_at, "registries");
    bound(trust.registries.len(), &registries_at, report);
    for (host, registry) in trust.registries.iter().take(MAX_ENTRIES) {
        let at = child(&registries_at, host);
        let access = access(host, registry, &at, report);
        found.registries.insert(host.to_ascii_lowercase(), access);
    }
    found
}

fn bound(count: usize, at: &str, report: &mut FaultReport) {
    if count > MAX_ENTRIES {
        report.fault(at, format!("must have at most {MAX_ENTRIES} entries"));
    }
}

fn pins(digests: &[String], at: &str, report: &mut FaultReport) -> Vec<String> {
    bound(digests.len(), at, report);
    let mut pins = Vec::new();
    for digest in digests.iter().take(MAX_ENTRIES) {
        let hex = digest
            .trim()
            .trim_start_matches("sha256:")
            .to_ascii_lowercase();
        if hex.len() == 64 && hex.chars().all(|character| character.is_ascii_hexdigit()) {
            pins.push(hex);
        } else {
            let message = format!(
                "`{digest}` is not a sha256: 64 hexadecimal digits, as `sha256sum FILE` prints them"
            );
            report.fault(at, message);
        }
    }
    pins
}

fn access(host: &str, spec: &RegistrySpec, at: &str, report: &mut FaultReport) -> RegistryAccess {
    if HostRule::parse(host).is_err() || host.contains('/') {
        report.fault(
            at,
            format!("`{host}` is not a registry; write `host` or `host:port`"),
        );
    }
    if let Some(auth_host) = &spec.auth_host
        && HostRule::parse(auth_host).is_err()
    {
        report.fault(
            child(at, "authHost"),
            format!("`{auth_host}` is not a host; write `host` or `host:port`"),
        );
    }
    let login = match (&spec.username, &spec.password) {
        (Some(username), Some(password)) if !username.contains(':') => Some(RegistryLogin {
            username: username.clone(),
            password: password.as_str().into(),
        }),
        (Some(_), Some(_)) => {
            report.fault(child(at, "username"), "can't hold a `:`");
            None
        }
        (None, None) => None,
        (Some(_), None) => {
            report.fault(
                at,
                "has a `username` and no `password`; set both or neither",
            );
            None
        }
        (None, Some(_)) => {
            report.fault(
                at,
                "has a `password` and no `username`; set both or neither",
            );
            None
        }
    };
    if login.is_some() && spec.plain_http {
        report.warn(
            child(at, "plainHttp"),
            "sends the password so that it can be read on its way",
        );
    }
    RegistryAccess {
        login,
        is_plain: spec.plain_http,
        auth_host: spec.auth_host.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn read(plugin: Value, trust: Value) -> (PluginTrust, Vec<String>) {
        let plugins = [("p".to_owned(), serde_json::from_value(plugin).unwrap())].into();
        let mut report = FaultReport::default();
        let found = plugin_trust(
            &plugins,
            "/plugins",
            &serde_json::from_value(trust).unwrap(),
            "/trust",
            &mut report,
        );
        let texts = report.faults.iter().chain(&report.warnings);
        (
            found,
            texts
                .map(|fault| format!("{}: {}", fault.pointer, fault.message))
                .collect(),
        )
    }

    #[test]
    fn reads_pins_keys_sources_and_registries() {
        let hex = "AB".repeat(32);
        let (found, texts) = read(
            json!({"sha256": [hex, format!("sha256:{}", "0".repeat(64))], "source": "oci://r.example/p:1"}),
            json!({
                "keys": [KEY], "requireSignatures": true,
                "registries": {"R.example": {"username": "u", "password": "p", "authHost": "auth.example"}},
            }),
        );
        assert_eq!(texts, [""; 0]);
        assert_eq!(found.pins["p"], ["ab".repeat(32), "0".repeat(64)]);
        assert_eq!(found.sources["p"], "oci://r.example/p:1");
        assert!(found.require_signatures && found.keys == [KEY]);
        let registry = &found.registries["r.example"];
        assert_eq!(registry.auth_host.as_deref(), Some("auth.example"));
        assert_eq!(registry.login.as_ref().unwrap().username, "u");
        assert!(!format!("{found:?}").contains("\"p\")"));
    }

    #[test]
    fn faults_explain_what_is_wrong() {
        for (plugin, trust, wanted) in [
            (
                json!({"sha256": "abc"}),
                json!({}),
                "/plugins/p/sha256: `abc` is not a sha256",
            ),
            (
                json!({"source": "https://r/p:1"}),
                json!({}),
                "/plugins/p/source: `https://r/p:1` does not begin",
            ),
            (
                json!({}),
                json!({"keys": ["RWQ"]}),
                "/trust/keys/0: is not a minisign public key",
            ),
            (
                json!({}),
                json!({"requireSignatures": true}),
                "/trust/requireSignatures: can be met by no component",
            ),
            (
                json!({}),
                json!({"registries": {"https://r": {}}}),
                "/trust/registries/https:~1~1r: `https://r` is not",
            ),
            (
                json!({}),
                json!({"registries": {"r": {"username": "u"}}}),
                "/trust/registries/r: has a `username` and no",
            ),
            (
                json!({}),
                json!({"registries": {"r": {"username": "u", "password": "p", "plainHttp": true}}}),
                "/trust/registries/r/plainHttp: sends the password",
            ),
        ] {
            let (_, texts) = read(plugin, trust);
            assert!(
                texts.len() == 1 && texts[0].starts_with(wanted),
                "{wanted}: {texts:?}"
            );
        }
    }
}
