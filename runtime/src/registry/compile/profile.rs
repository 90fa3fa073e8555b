//! Compiles facts about a service that decide on no check.

use std::collections::BTreeMap;
use std::time::Duration;

use super::service::line_check;
use crate::domain::fault::{FaultReport, child};
use crate::domain::{Contract, ServiceProfile, Slo};
use crate::spec::{ContractSpec, DurationSpec, ServiceSpec, SloSpec};

const MAX_LINKS: usize = 32;
const MAX_LINK_BYTES: usize = 2_000;
const DAY: Duration = Duration::from_secs(86_400);

/// What it returns is only good while the report has no faults.
pub(in crate::registry) fn profile(
    spec: &ServiceSpec,
    at: &str,
    report: &mut FaultReport,
) -> ServiceProfile {
    for (key, text) in [("team", &spec.team), ("environment", &spec.environment)] {
        if let Some(text) = text {
            line_check(text, &child(at, key), report);
        }
    }
    links_check(&spec.links, at, report);
    ServiceProfile {
        team: spec.team.clone(),
        criticality: spec.criticality,
        environment: spec.environment.clone(),
        links: spec.links.clone(),
        contract: spec
            .contract
            .as_ref()
            .map(|spec| contract(spec, &child(at, "contract"), report)),
        public: spec.public,
    }
}

/// Service level objective; faults go into the report.
pub(super) fn slo(spec: &ServiceSpec, at: &str, report: &mut FaultReport) -> Option<Slo> {
    let SloSpec { target, window } = spec.slo.as_ref()?;
    let at = child(at, "slo");
    if !(*target > 0.0 && *target < 100.0) {
        let message = format!(
            "`{target}` leaves nothing to miss or nothing to meet; write percent above 0 and below 100, e.g. `99.9`"
        );
        report.fault(child(&at, "target"), message);
    }
    let days = match window.as_ref().map(|window| window.resolve(86_400_000)) {
        None => Ok(Slo::DEFAULT_DAYS),
        Some(Ok(window))
            if window.as_millis() % DAY.as_millis() == 0
                && (DAY..=DAY * Slo::MAX_DAYS).contains(&window) =>
        {
            Ok((window.as_secs() / DAY.as_secs()) as u32)
        }
        Some(Ok(_)) => Err(format!(
            "must be whole days from 1 to {}, e.g. `30d`",
            Slo::MAX_DAYS
        )),
        Some(Err(message)) => Err(message),
    };
    let days = days.unwrap_or_else(|message| {
        report.fault(child(&at, "window"), message);
        Slo::DEFAULT_DAYS
    });
    Some(Slo {
        target: *target,
        days,
    })
}

pub(super) fn links_check(specs: &BTreeMap<String, String>, at: &str, report: &mut FaultReport) {
    let links = child(at, "links");
    if specs.len() > MAX_LINKS {
        report.fault(&links, format!("must have at most {MAX_LINKS} entries"));
    }
    for (name, link) in specs {
        let place = child(&links, name);
        line_check(name, &place, report);
        let url = url::Url::parse(link).ok();
        let is_link = url.is_some_and(|url| {
            url.scheme() == "https"
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        });
        if !is_link || link.len() > MAX_LINK_BYTES {
            let message = format!(
                "must be an `https://` URL without a user name, of at most {MAX_LINK_BYTES} bytes, \
                 e.g. `https://wiki.example.com/payments`"
            );
            report.fault(place, message);
        }
    }
}

fn contract(spec: &ContractSpec, at: &str, report: &mut FaultReport) -> Contract {
    if let Some(sla) = spec.sla
        && !(sla > 0.0 && sla <= 100.0)
    {
        let message =
            format!("`{sla}` is no promise; write percent above 0 and at most 100, e.g. `99.95`");
        report.fault(child(at, "sla"), message);
    }
    let claim_days = spec.claim_within.as_ref().and_then(|within| {
        days(within)
            .map_err(|message| report.fault(child(at, "claimWithin"), message))
            .ok()
    });
    Contract {
        sla: spec.sla,
        claim_days,
    }
}

fn days(spec: &DurationSpec) -> Result<u32, String> {
    let duration = spec.resolve(86_400_000)?;
    let is_whole = duration.as_millis() % DAY.as_millis() == 0;
    if !is_whole || !(DAY..=DAY * Contract::MAX_CLAIM_DAYS).contains(&duration) {
        let most = Contract::MAX_CLAIM_DAYS;
        return Err(format!("must be whole days from 1 to {most}, e.g. `30d`"));
    }
    Ok((duration.as_secs() / DAY.as_secs()) as u32)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::Criticality;

    fn compiled(facts: Value) -> (ServiceProfile, Vec<String>) {
        let mut spec = json!({"name": "Pay", "baseUrl": "https://pay.example"});
        spec.as_object_mut()
            .unwrap()
            .extend(facts.as_object().unwrap().clone());
        let spec: ServiceSpec = serde_json::from_value(spec).unwrap();
        let mut report = FaultReport::default();
        let profile = profile(&spec, "/s", &mut report);
        let faults = report.faults.iter();
        (profile, faults.map(|fault| fault.pointer.clone()).collect())
    }

    #[test]
    fn facts_are_taken_over() {
        let (profile, faults) = compiled(json!({
            "team": "payments", "criticality": "critical", "environment": "production",
            "links": {"runbook": "https://wiki.example/pay"},
            "contract": {"sla": 99.95, "claimWithin": 30}, "public": true,
        }));
        assert_eq!(faults, [""; 0]);
        assert_eq!(profile.criticality, Some(Criticality::Critical));
        assert_eq!(
            profile.contract,
            Some(Contract {
                sla: Some(99.95),
                claim_days: Some(30)
            })
        );
        assert!(profile.public);
        let (without, _) = compiled(json!({}));
        assert_eq!(without, ServiceProfile::default());
    }

    #[test]
    fn faults_have_their_places() {
        let (_, faults) = compiled(json!({
            "team": "two\nlines", "environment": " ",
            "links": {"a": "http://plain.example", "b": "https://user:pass@x.example", "c": "wiki", "d": "https://fine.example"},
            "contract": {"sla": 0, "claimWithin": "36h"},
        }));
        assert_eq!(
            faults,
            [
                "/s/team",
                "/s/environment",
                "/s/links/a",
                "/s/links/b",
                "/s/links/c",
                "/s/contract/sla",
                "/s/contract/claimWithin",
            ]
        );
    }
}
