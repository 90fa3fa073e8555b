//! Compiles the rules by which rate limits of a service are read.

use crate::domain::fault::{FaultReport, child, suggest};
use crate::domain::rate_limit::{FigureSource, LimitRule, built_in_rules};
use crate::domain::{MAX_RATE_LIMITS, RateLimitRules, rules_of_vendor};
use crate::spec::RateLimitRulesSpec;

/// More is a mistake.
const MAX_STATUSES: usize = 16;

pub(super) fn rules(
    spec: Option<&RateLimitRulesSpec>,
    at: &str,
    report: &mut FaultReport,
) -> RateLimitRules {
    let Some(spec) = spec else {
        return RateLimitRules::default();
    };
    let at = child(at, "rateLimits");
    if let Some(vendor) = &spec.vendor
        && rules_of_vendor(vendor).is_none()
    {
        let known = built_in_rules().iter().map(|rules| rules.vendor.as_str());
        let nearest = suggest(vendor, known);
        let message = format!("no rules are known for a vendor `{vendor}`{nearest}");
        report.fault(child(&at, "vendor"), message);
    }
    for (key, length, most) in [
        ("limits", spec.limits.len(), MAX_RATE_LIMITS),
        ("quotas", spec.quotas.len(), MAX_RATE_LIMITS),
        ("refused", spec.refused.len(), MAX_STATUSES),
        ("refusedBodies", spec.refused_bodies.len(), MAX_STATUSES),
    ] {
        if length > most {
            report.fault(child(&at, key), format!("must have at most {most} entries"));
        }
    }
    for (index, status) in spec.refused.iter().enumerate() {
        if !(400..=599).contains(status) {
            let message = format!("`{status}` refuses nothing; write a status from 400 to 599");
            report.fault(child(&child(&at, "refused"), index), message);
        }
    }
    for (index, body) in spec.refused_bodies.iter().enumerate() {
        let place = child(&child(&at, "refusedBodies"), index);
        pointer_check(&body.path, &child(&place, "path"), report);
    }
    let limits = spec.limits.iter().enumerate().map(|(index, rule)| {
        limit_check(rule, &child(&child(&at, "limits"), index), report);
        in_lower_case(rule)
    });
    RateLimitRules {
        limits: limits.collect(),
        vendor: spec.vendor.clone(),
        reset: spec.reset,
        refused: spec.refused.clone(),
        refused_bodies: spec.refused_bodies.clone(),
        refusal_name: spec.refusal_name.as_deref().map(str::to_ascii_lowercase),
        quotas: spec.quotas.clone(),
    }
}

fn limit_check(rule: &LimitRule, at: &str, report: &mut FaultReport) {
    if rule.name.is_empty() {
        report.fault(child(at, "name"), "must not be empty");
    }
    if rule.list.is_none() && rule.sources().next().is_none() {
        let message = "names no figure; give `remaining`, `used`, `quota` or `list`";
        report.fault(at, message);
    }
    let figures = [
        ("quota", &rule.quota),
        ("remaining", &rule.remaining),
        ("used", &rule.used),
        ("reset", &rule.reset),
        ("window", &rule.window),
        ("refill", &rule.refill),
    ];
    for (key, source) in figures {
        let Some(source) = source else { continue };
        let place = child(at, key);
        if source
            .header()
            .is_some_and(|header| header.matches('*').count() > 1)
        {
            report.fault(&place, "may have one `*`");
        }
        let FigureSource::Parts(parts) = source else {
            continue;
        };
        if parts.header.is_some() != parts.paths.is_empty() {
            report.fault(&place, "needs either `header` or `paths`");
        }
        if !parts.paths.is_empty() && rule.document.is_none() {
            let message = "has `paths`, so the limit needs a `document`: a header, or `body`";
            report.fault(&place, message);
        }
        for path in &parts.paths {
            pointer_check(path, &child(&place, "paths"), report);
        }
    }
    if let Some(each) = &rule.each {
        pointer_check(each, &child(at, "each"), report);
    }
}

fn pointer_check(path: &str, at: &str, report: &mut FaultReport) {
    if !path.starts_with('/') {
        let message = format!("`{path}` is no JSON pointer; write e.g. `/usage/left`");
        report.fault(at, message);
    }
}

/// Names of headers are compared in lower case.
fn in_lower_case(rule: &LimitRule) -> LimitRule {
    let lower = |source: &Option<FigureSource>| {
        source.clone().map(|source| match source {
            FigureSource::Number(number) => FigureSource::Number(number),
            FigureSource::Header(header) => FigureSource::Header(header.to_ascii_lowercase()),
            FigureSource::Parts(mut parts) => {
                parts.header = parts.header.map(|header| header.to_ascii_lowercase());
                FigureSource::Parts(parts)
            }
        })
    };
    LimitRule {
        quota: lower(&rule.quota),
        remaining: lower(&rule.remaining),
        used: lower(&rule.used),
        reset: lower(&rule.reset),
        window: lower(&rule.window),
        refill: lower(&rule.refill),
        list: rule.list.as_deref().map(str::to_ascii_lowercase),
        document: rule.document.as_deref().map(str::to_ascii_lowercase),
        ..rule.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn faults(spec: Value) -> Vec<String> {
        let spec: RateLimitRulesSpec = serde_json::from_value(spec).unwrap();
        let mut report = FaultReport::default();
        rules(Some(&spec), "/services/0", &mut report);
        let texts = report
            .faults
            .iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.message));
        texts.collect()
    }

    #[test]
    fn rules_that_mean_something_are_taken_with_headers_in_lower_case() {
        let spec = json!({"vendor": "kucoin", "reset": "ms", "refused": [418],
            "limits": [{"name": "day", "remaining": "X-Left-Today", "quota": 100, "window": 86_400}]});
        assert_eq!(faults(spec.clone()), Vec::<String>::new());
        let spec: RateLimitRulesSpec = serde_json::from_value(spec).unwrap();
        let rules = rules(Some(&spec), "", &mut FaultReport::default());
        let header = FigureSource::Header("x-left-today".to_owned());
        assert_eq!(rules.limits[0].remaining, Some(header));
    }

    #[test]
    fn rules_that_mean_nothing_are_faults_with_their_place() {
        for (spec, wanted) in [
            (
                json!({"vendor": "kucion"}),
                "/services/0/rateLimits/vendor: no rules are known for a vendor `kucion`",
            ),
            (
                json!({"refused": [200]}),
                "/services/0/rateLimits/refused/0: `200`",
            ),
            (
                json!({"limits": [{"name": "a"}]}),
                "/services/0/rateLimits/limits/0: names no figure",
            ),
            (
                json!({"limits": [{"name": "a", "used": {"paths": ["/a"]}}]}),
                "/services/0/rateLimits/limits/0/used: has `paths`",
            ),
            (
                json!({"limits": [{"name": "a", "document": "body", "used": {"paths": ["a"]}}]}),
                "/services/0/rateLimits/limits/0/used/paths: `a` is no JSON pointer",
            ),
            (
                json!({"limits": [{"name": "a", "used": "x-*-*"}]}),
                "/services/0/rateLimits/limits/0/used: may have one `*`",
            ),
        ] {
            let found = faults(spec.clone());
            assert!(
                found.len() == 1 && found[0].starts_with(wanted),
                "{spec}: {found:?}"
            );
        }
    }
}
