//! Compiles `gateway` of a service.

use std::time::Duration;

use http::Method;
use url::Url;

use crate::domain::duration::format_duration;
use crate::domain::fault::{FaultReport, child, suggest};
use crate::domain::{
    CacheSettings, CallUnits, Credential, GatewaySettings, OnCancel, Quota, QuotaScope,
    QuotaWindow, UnitRules, VendorHttp,
};
use crate::net::HostRule;
use crate::spec::{GatewaySpec, OnCancelSpec, QuotaSpec, ServiceSpec, UnitsSpec};

const MAX_METHODS: usize = 32;
const MAX_PATHS: usize = 256;
const MAX_PATH_BYTES: usize = 1_024;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);
const DEFAULT_IN_FLIGHT: u32 = 64;
/// Each is a connection, a descriptor at least.
const MAX_IN_FLIGHT: u32 = 10_000;
const DEFAULT_RETRIES: u32 = 1;
const MAX_RETRIES: u32 = 5;
const LEAST_CACHE_BYTES: u32 = 64 * 1024;
const DEFAULT_CACHE_BYTES: u32 = 16 * 1024 * 1024;
const MAX_CACHE_BYTES: u32 = 1024 * 1024 * 1024;
const DEFAULT_CACHE_ENTRIES: u32 = 1_000;
const MAX_CACHE_ENTRIES: u32 = 100_000;
/// Counted exactly in JSON.
const MAX_CALLS: u64 = 1 << 53;

/// None: the service is closed to consumers.
pub(super) fn gateway(
    spec: &ServiceSpec,
    credentials: &[Credential],
    at: &str,
    report: &mut FaultReport,
) -> Option<GatewaySettings> {
    let gateway = spec.gateway.as_ref()?;
    let place = child(at, "gateway");
    if gateway.enabled == Some(false) {
        return None;
    }
    let url = Url::parse(&spec.base_url).ok();
    if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
        report.fault(
            &place,
            "needs a service whose `baseUrl` begins with `http://` or `https://`",
        );
    }
    Some(GatewaySettings {
        methods: methods(gateway, &place, report),
        paths: paths(gateway, &place, report),
        credential: credential(gateway, credentials, &place, report),
        host: host(gateway, &place, report),
        timeout: timeout(gateway, &place, report),
        max_in_flight: bounded(
            gateway.max_in_flight,
            (1, DEFAULT_IN_FLIGHT, MAX_IN_FLIGHT),
            &child(&place, "maxInFlight"),
            report,
        ) as usize,
        retries: bounded(
            gateway.retries,
            (0, DEFAULT_RETRIES, MAX_RETRIES),
            &child(&place, "retries"),
            report,
        ),
        on_cancel: match gateway.on_cancel {
            Some(OnCancelSpec::Drain) => OnCancel::Drain,
            Some(OnCancelSpec::Cut) | None => OnCancel::Cut,
        },
        http: match gateway.http2 {
            None => VendorHttp::Negotiated,
            Some(true) => VendorHttp::Http2,
            Some(false) => VendorHttp::Http1,
        },
        quotas: quotas(gateway, &place, report),
        units: units(gateway, &place, report),
        cache: cache(gateway, &place, report),
    })
}

fn cache(spec: &GatewaySpec, at: &str, report: &mut FaultReport) -> Option<CacheSettings> {
    let cache = spec.cache.as_ref()?;
    let place = child(at, "cache");
    patterns(&cache.paths, &child(&place, "paths"), report);
    Some(CacheSettings {
        paths: cache.paths.clone(),
        shared: cache.shared.unwrap_or(false),
        max_bytes: bounded(
            cache.max_bytes,
            (LEAST_CACHE_BYTES, DEFAULT_CACHE_BYTES, MAX_CACHE_BYTES),
            &child(&place, "maxBytes"),
            report,
        ) as usize,
        max_entries: bounded(
            cache.max_entries,
            (1, DEFAULT_CACHE_ENTRIES, MAX_CACHE_ENTRIES),
            &child(&place, "maxEntries"),
            report,
        ) as usize,
    })
}

fn units(spec: &GatewaySpec, at: &str, report: &mut FaultReport) -> UnitRules {
    let Some(units) = &spec.units else {
        return UnitRules::None;
    };
    let place = child(at, "units");
    let read = match units {
        UnitsSpec::Vendor(name) => UnitRules::named(name),
        UnitsSpec::Paths(paths) if paths.len() > CallUnits::MAX => {
            Err(format!("must have at most {} entries", CallUnits::MAX))
        }
        UnitsSpec::Paths(paths) => UnitRules::at(paths),
    };
    read.unwrap_or_else(|message| {
        report.fault(place, message);
        UnitRules::None
    })
}

fn methods(spec: &GatewaySpec, at: &str, report: &mut FaultReport) -> Vec<String> {
    let Some(methods) = &spec.methods else {
        return vec!["GET".to_owned(), "HEAD".to_owned()];
    };
    let place = child(at, "methods");
    if methods.is_empty() || methods.len() > MAX_METHODS {
        report.fault(&place, format!("must have 1 to {MAX_METHODS} entries"));
    }
    let mut kept = Vec::new();
    for (index, method) in methods.iter().take(MAX_METHODS).enumerate() {
        let word = method.to_ascii_uppercase();
        if Method::from_bytes(word.as_bytes()).is_err() || word == "CONNECT" {
            let message = format!("`{method}` is no method that passes; write e.g. `POST`");
            report.fault(child(&place, index), message);
        }
        kept.push(word);
    }
    kept
}

fn paths(spec: &GatewaySpec, at: &str, report: &mut FaultReport) -> Vec<String> {
    let place = child(at, "paths");
    if spec.paths.is_empty() {
        let message = "must name the paths that may be called; `/*` is all";
        report.fault(&place, message);
    }
    patterns(&spec.paths, &place, report);
    spec.paths.clone()
}

fn patterns(paths: &[String], place: &str, report: &mut FaultReport) {
    if paths.len() > MAX_PATHS {
        report.fault(place, format!("must have at most {MAX_PATHS} entries"));
    }
    for (index, path) in paths.iter().enumerate().take(MAX_PATHS) {
        let message = if !path.starts_with('/') {
            "must begin with `/`"
        } else if path.len() > MAX_PATH_BYTES {
            "is too long"
        } else if path.contains(['?', '#', '%', '\\'])
            || path.split('/').any(|part| matches!(part, "." | ".."))
        {
            "must be a plain path: without query, `%`, `\\`, `.` and `..`"
        } else if path
            .split('/')
            .any(|part| part.contains('*') && part != "*")
        {
            "has a `*` beside other characters; it stands for whole segments"
        } else {
            continue;
        };
        report.fault(child(place, index), message);
    }
}

fn credential(
    spec: &GatewaySpec,
    credentials: &[Credential],
    at: &str,
    report: &mut FaultReport,
) -> Option<String> {
    let exists = |name: &str| credentials.iter().any(|known| known.name == name);
    match spec.credential.as_deref() {
        Some("none") => None,
        None => exists("default").then(|| "default".to_owned()),
        Some(name) => {
            if !exists(name) {
                let known = credentials.iter().map(|known| known.name.as_str());
                let message = format!(
                    "the service has no credential `{name}`{}; write it under `credentials`",
                    suggest(name, known)
                );
                report.fault(child(at, "credential"), message);
            }
            Some(name.to_owned())
        }
    }
}

fn host(spec: &GatewaySpec, at: &str, report: &mut FaultReport) -> Option<String> {
    let host = spec.host.as_ref()?;
    let is_name = HostRule::parse(host).is_ok_and(|rule| rule.port().is_none());
    if !is_name || host.contains(['/', '*', '[', ':']) {
        let message = "must be a host name without port, as `Host` of a request has it, e.g. `stripe.internal`";
        report.fault(child(at, "host"), message);
    }
    Some(host.to_ascii_lowercase())
}

fn timeout(spec: &GatewaySpec, at: &str, report: &mut FaultReport) -> Duration {
    let place = child(at, "timeout");
    match spec.timeout.as_ref().map(|timeout| timeout.resolve(1)) {
        None => DEFAULT_TIMEOUT,
        Some(Err(message)) => {
            report.fault(place, message);
            DEFAULT_TIMEOUT
        }
        Some(Ok(timeout)) => {
            if timeout.is_zero() || timeout > MAX_TIMEOUT {
                let message = format!("must be between 1ms and {}", format_duration(MAX_TIMEOUT));
                report.fault(place, message);
            }
            timeout
        }
    }
}

fn bounded(
    value: Option<u32>,
    (least, default, most): (u32, u32, u32),
    at: &str,
    report: &mut FaultReport,
) -> u32 {
    let value = value.unwrap_or(default);
    if !(least..=most).contains(&value) {
        report.fault(at, format!("must be between {least} and {most}"));
    }
    value
}

fn quotas(spec: &GatewaySpec, at: &str, report: &mut FaultReport) -> Vec<Quota> {
    let Some(quotas) = &spec.quotas else {
        return Vec::new();
    };
    let at = child(at, "quotas");
    let scopes = [
        (QuotaScope::Consumer, "consumer", &quotas.consumer),
        (QuotaScope::Service, "service", &quotas.service),
    ];
    let mut kept = Vec::new();
    for (scope, key, spec) in scopes {
        let Some(spec) = spec else { continue };
        let place = child(&at, key);
        for window in QuotaWindow::ALL {
            let Some(calls) = of_window(spec, window) else {
                continue;
            };
            if !(1..=MAX_CALLS).contains(&calls) {
                report.fault(
                    child(&place, window.as_str()),
                    "must be at least 1; `enabled: false` closes the service",
                );
            }
            kept.push(Quota {
                scope,
                window,
                calls,
            });
        }
    }
    kept
}

fn of_window(spec: &QuotaSpec, window: QuotaWindow) -> Option<u64> {
    match window {
        QuotaWindow::Minute => spec.minute,
        QuotaWindow::Hour => spec.hour,
        QuotaWindow::Day => spec.day,
        QuotaWindow::Month => spec.month,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compiled(gateway: Value) -> (Option<GatewaySettings>, Vec<String>) {
        let spec: ServiceSpec = serde_json::from_value(json!({
            "name": "Vendor", "baseUrl": "https://vendor.example/api", "gateway": gateway,
        }))
        .unwrap();
        let mut report = FaultReport::default();
        let settings = super::gateway(&spec, &[], "", &mut report);
        let faults = report.faults.iter().map(|fault| fault.message.clone());
        (settings, faults.collect())
    }

    #[test]
    fn a_service_is_open_for_reading_what_its_paths_name() {
        let (settings, faults) = compiled(json!({"paths": ["/v1/*"]}));
        let settings = settings.unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(settings.methods, ["GET", "HEAD"]);
        assert_eq!((settings.credential, settings.retries), (None, 1));
        assert!(compiled(json!({"enabled": false})).0.is_none());
    }

    #[test]
    fn what_can_not_be_meant_is_a_fault() {
        for (gateway, wanted) in [
            (json!({}), "/*"),
            (json!({"paths": ["v1"]}), "begin with"),
            (json!({"paths": ["/a/../b"]}), "plain path"),
            (json!({"paths": ["/a%2fb"]}), "plain path"),
            (json!({"paths": ["/a*"]}), "whole segments"),
            (json!({"paths": ["/*"], "methods": ["G T"]}), "method"),
            (json!({"paths": ["/*"], "methods": ["connect"]}), "method"),
            (json!({"paths": ["/*"], "credential": "x"}), "credential"),
            (json!({"paths": ["/*"], "host": "a.example:80"}), "host"),
            (json!({"paths": ["/*"], "maxInFlight": 0}), "between"),
            (json!({"paths": ["/*"], "retries": 6}), "between"),
            (
                json!({"paths": ["/*"], "cache": {"paths": ["v1"]}}),
                "begin with",
            ),
            (
                json!({"paths": ["/*"], "cache": {"maxBytes": 1}}),
                "between",
            ),
            (
                json!({"paths": ["/*"], "cache": {"maxEntries": 0}}),
                "between",
            ),
            (json!({"paths": ["/*"], "timeout": "2h"}), "between"),
            (
                json!({"paths": ["/*"], "quotas": {"consumer": {"minute": 0}}}),
                "at least 1",
            ),
        ] {
            let (_, faults) = compiled(gateway.clone());
            assert!(
                faults.iter().any(|fault| fault.contains(wanted)),
                "{gateway}: {faults:?}"
            );
        }
    }
}
