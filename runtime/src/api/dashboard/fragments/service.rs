//! One service as a row of the table.

use maud::{Markup, html};

use super::pill;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::strip::strip;
use crate::api::dashboard::wording::{ago, latency, prose, since};
use crate::domain::{Observation, Service};
use crate::monitoring::{ProbeStatus, ServiceStatus};

/// Probes shown in a row; a service with more shows their number.
const MAX_PROBES: usize = 4;

pub(crate) fn service(service: &Service, status: Option<&ServiceStatus>) -> Markup {
    let standing = Standing::from(status.and_then(|status| status.status));
    let probes = status.map_or(&[][..], |status| &status.probes);
    let several = probes.len() > 1;
    let shown = &probes[..probes.len().min(MAX_PROBES)];
    let trouble = probes
        .iter()
        .filter_map(|probe| Some((probe, probe.latest.as_deref()?.failure.as_ref()?)))
        .next();
    html! {
        tr id={ "service-" (service.slug) } data-status=(standing.word()) data-name=(sort_key(&service.name)) {
            th scope="row" {
                a.name href={ "/services/" (service.slug) } { (service.name) }
                span.address { (address(&service.base_url)) }
                @if let Some((probe, failure)) = trouble {
                    span.why title=(failure.message) {
                        @if several { b { (probe.name) } " " }
                        b { (failure.kind.as_str()) } " " (prose(&failure.message))
                    }
                }
            }
            td.status {
                (pill(standing.word(), standing.word()))
                @if let Some(ms) = status.and_then(|status| status.since_ms) { span.since { (since(ms)) } }
            }
            td.runs {
                @if shown.is_empty() { div.probe { (strip(&[])) } }
                @for probe in shown {
                    div.probe { (strip(&probe.recent)) @if several { span.probe-name { (probe.name) } } }
                }
                @if probes.len() > shown.len() { span.more { "and " (probes.len() - shown.len()) " more probes" } }
            }
            td.latency { @for probe in shown { div.probe { (latest_latency(probe)) } } }
            td.checked {
                @if let Some(ms) = probes.iter().filter_map(|probe| Some(probe.latest.as_deref()?.ts_ms)).max() { (ago(ms)) }
                @else { span.muted { "–" } }
            }
        }
    }
}

/// Names sort without regard to case.
pub(crate) fn sort_key(name: &str) -> String {
    name.to_lowercase()
}

fn latest_latency(probe: &ProbeStatus) -> Markup {
    let latest: Option<&Observation> = probe.latest.as_deref();
    match latest.and_then(|latest| latest.latency_us) {
        Some(us) => html! { (latency(us)) },
        None => html! { span.muted { "–" } },
    }
}

/// Host and path: the scheme is noise.
pub(crate) fn address(base_url: &str) -> &str {
    let address = base_url
        .split_once("://")
        .map_or(base_url, |(_, rest)| rest);
    // What stands before `@` may be a password.
    let (host, _) = address.split_at(address.find('/').unwrap_or(address.len()));
    let address = host.rfind('@').map_or(address, |at| &address[at + 1..]);
    address
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_short_and_hold_no_secret() {
        for (url, wanted) in [
            ("https://api.example.com", "api.example.com"),
            ("https://api.example.com/v2/", "api.example.com/v2"),
            ("https://me:secret@api.example.com/v2", "api.example.com/v2"),
            (
                "https://api.example.com/v2?key=secret",
                "api.example.com/v2",
            ),
            ("tcp://db:5432", "db:5432"),
            ("https://example.com/@me", "example.com/@me"),
        ] {
            assert_eq!(address(url), wanted);
        }
    }
}
