//! Advice about a noisy rule: other options of it, each played over the stored history, with what
//! they would have missed.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::thousandths;
use crate::alerts::message_simulation::Episode;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::services::change;
use crate::api_types::analytics::{AdviceBody, VariantBody};
use crate::backtest::{BacktestError, BacktestRequest, RuleChoice};
use crate::domain::duration::format_duration;
use crate::domain::{AlertRule, IncidentSource, Origin, UnixMillis};
use crate::registry::{ServiceChange, ServiceRecord};
use crate::store::IncidentFilter;

/// Times for which a breach lasts before the alert fires, of which the first longer ones are tried.
const DURATIONS_S: [u64; 5] = [60, 120, 300, 600, 1_800];

/// The same for how long an alert goes on firing.
const KEEP_FIRING_S: [u64; 3] = [300, 900, 3_600];

/// Longer times of each kind that are tried. Each variant takes seconds.
const VARIANTS_OF_A_KIND: usize = 3;

/// Factors for a `threshold`: which of them is the looser one depends on the rule.
const FACTORS: [f64; 2] = [0.99, 1.25];

const MAX_OUTAGES: usize = 1_000;

/// No variant is begun later: a page is given up after 30 seconds.
const MAX_TIME: Duration = Duration::from_secs(20);

/// Names of variants: no rule in force is compared with them a second time.
const VARIANT: &str = "variant of advice";

/// An option with its value, as an entry of `alerts` has it.
struct Variant {
    option: &'static str,
    value: Value,
}

/// Outage of the service, by our own probes.
#[derive(Clone, Copy)]
struct Outage {
    started_ms: UnixMillis,
    ended_ms: UnixMillis,
}

pub(super) async fn advise(
    state: &ApiState,
    key: &str,
    span: (UnixMillis, UnixMillis),
    by: &str,
) -> ApiResult<AdviceBody> {
    let catalog = state.deps.registry.catalog();
    let mut rules = catalog.rules.values().flatten();
    let rule = rules
        .find(|rule| rule.key == key && catalog.services.contains_key(&rule.service))
        .cloned();
    let rule = rule.ok_or_else(|| {
        let detail = format!("`{key}` is no rule of a service that is in force now");
        ApiError::bad_parameter("advise", detail)
    })?;
    let request = |choice| BacktestRequest {
        rule: choice,
        component: None,
        by: by.to_owned(),
        since_ms: span.0,
        until_ms: span.1,
        services: Some(vec![rule.service.clone()]),
    };
    let began = Instant::now();
    let as_it_is = request(RuleChoice::Named(rule.key.clone()));
    let as_it_is = state.deps.backtests.backtest(as_it_is, &|_| {}).await?;
    let as_it_is = episodes(&as_it_is.services);
    let outages = outages(state, &rule.service, span).await?;
    let (mut variants, mut left_out) = (Vec::new(), 0);
    for variant in grid(&rule) {
        if began.elapsed() > MAX_TIME {
            left_out += 1;
            continue;
        }
        let entry = entry(&rule, &variant);
        let asked = request(RuleChoice::Spec(Value::Object(entry)));
        let report = match state.deps.backtests.backtest(asked, &|_| {}).await {
            Ok(report) => report,
            // A value that the rule does not take, such as a percentage above 100.
            Err(BacktestError::Invalid(_) | BacktestError::Plugin(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let found = episodes(&report.services);
        variants.push(judged(&variant, &as_it_is, &found, &outages, span.1));
    }
    variants.sort_by_key(|variant| (variant.missed_outages, variant.fired));
    let notified = |outage: &&Outage| notice(&as_it_is, outage, span.1).is_some();
    let (fired, outages) = (as_it_is.len(), outages.iter().filter(notified).count());
    let best = variants
        .first()
        .filter(|best| best.missed_outages == 0 && best.fired < fired);
    Ok(AdviceBody {
        text: best.map(|best| in_words(best, fired, outages)),
        yaml: best.map(|best| yaml(&rule, best)),
        adoptable: own_entry(state, &rule).is_some(),
        fired,
        outages,
        variants,
        left_out,
    })
}

/// Sets an option of a rule that belongs to a service of the API.
pub(crate) async fn adopt(
    state: &ApiState,
    principal: &Principal,
    key: &str,
    (option, value): (&str, &str),
) -> ApiResult<()> {
    let catalog = state.deps.registry.catalog();
    let found = catalog
        .rules
        .values()
        .flatten()
        .find(|rule| rule.key == key);
    let found = found.and_then(|rule| own_entry(state, rule));
    let Some((mut record, index)) = found else {
        let detail = format!(
            "`{key}` is no rule of a service that was made over the API; change it in its file"
        );
        return Err(ApiError::bad_parameter("rule", detail));
    };
    let Some(value) = adopted(option, value) else {
        let detail = format!("`{option}: {value}` is no option that advice is about");
        return Err(ApiError::bad_parameter("option", detail));
    };
    let alert = record
        .spec
        .get_mut("alerts")
        .and_then(|alerts| alerts.get_mut(index))
        .and_then(Value::as_object_mut);
    if let Some(alert) = alert {
        let has_other_word = option == "duration" && alert.contains_key("for");
        let option = if has_other_word { "for" } else { option };
        alert.insert(option.to_owned(), value);
    }
    change::private_is_allowed(principal, &record.spec)?;
    let change = ServiceChange::Replace {
        slug: record.slug,
        spec: Value::Object(record.spec),
        revision: record.revision,
    };
    change::changed(state, principal, change).await?;
    state.live.changes().services();
    Ok(())
}

/// Returns a value as a description has it; none of an option that advice is not about.
fn adopted(option: &str, value: &str) -> Option<Value> {
    match option {
        "threshold" => {
            let threshold = value.parse().ok().filter(|number: &f64| number.is_finite());
            threshold.map(|threshold| json!(threshold))
        }
        "duration" | "keepFiringFor" => Some(json!(value)),
        _ => None,
    }
}

/// Returns the description of the service that a rule is written in, and the rule's place among its
/// alerts; none where it is from a file.
fn own_entry(state: &ApiState, rule: &AlertRule) -> Option<(ServiceRecord, usize)> {
    let record = state.deps.registry.record(&rule.service)?;
    if record.origin != Origin::Api {
        return None;
    }
    let alerts = record.spec.get("alerts")?.as_array()?;
    let index = alerts.iter().position(|alert| {
        let name = alert.get("name").or_else(|| alert.get("type"));
        name.and_then(Value::as_str) == Some(rule.name.as_str())
    })?;
    Some((record, index))
}

fn episodes(services: &[crate::backtest::ServiceBacktest]) -> Vec<Episode> {
    let episodes = services.iter().map(|service| &service.outcome.episodes);
    episodes.flatten().cloned().collect()
}

async fn outages(
    state: &ApiState,
    service: &str,
    span: (UnixMillis, UnixMillis),
) -> ApiResult<Vec<Outage>> {
    let filter = IncidentFilter {
        service: Some(service.to_owned()),
        source: Some(IncidentSource::Ours),
        from_ms: Some(span.0),
        until_ms: Some(span.1),
        ..IncidentFilter::default()
    };
    let found = state
        .deps
        .results
        .incident_page(filter, MAX_OUTAGES)
        .await?;
    let outages = found.iter().map(|incident| Outage {
        started_ms: incident.started_ms,
        ended_ms: incident.ended_ms.unwrap_or(span.1),
    });
    Ok(outages.collect())
}

/// Options that may make a rule quieter.
fn grid(rule: &AlertRule) -> Vec<Variant> {
    let longer = |option, seconds: &[u64], than: Duration| -> Vec<Variant> {
        let seconds = seconds.iter().map(|seconds| Duration::from_secs(*seconds));
        let longer = seconds.filter(|duration| *duration > than);
        longer
            .take(VARIANTS_OF_A_KIND)
            .map(|duration| Variant {
                option,
                value: json!(format_duration(duration)),
            })
            .collect()
    };
    let mut variants = longer("duration", &DURATIONS_S, rule.duration);
    variants.extend(longer(
        "keepFiringFor",
        &KEEP_FIRING_S,
        rule.options.keep_firing_for,
    ));
    let threshold = rule.settings.get("threshold").and_then(Value::as_f64);
    if let Some(threshold) = threshold {
        variants.extend(FACTORS.map(|factor| Variant {
            option: "threshold",
            value: json!(thousandths(threshold * factor)),
        }));
    }
    variants
}

/// Returns the rule as an entry of `alerts.yaml` for its service alone, with one option changed.
fn entry(rule: &AlertRule, variant: &Variant) -> Map<String, Value> {
    let mut entry = rule.settings.as_object().cloned().unwrap_or_default();
    let options = [
        ("name", json!(VARIANT)),
        ("type", json!(rule.plugin)),
        ("severity", json!(rule.severity)),
        ("services", json!([rule.service])),
        ("duration", json!(format_duration(rule.duration))),
        (
            "keepFiringFor",
            json!(format_duration(rule.options.keep_firing_for)),
        ),
        (
            "failures",
            json!({"count": rule.options.failures.count, "of": rule.options.failures.of}),
        ),
        ("noData", json!(rule.options.no_data)),
        (variant.option, variant.value.clone()),
    ];
    for (key, value) in options {
        entry.insert(key.to_owned(), value);
    }
    if let Some(probes) = &rule.probes {
        entry.insert("probes".to_owned(), json!(probes));
    }
    entry
}

/// Returns when the first alert fired that overlaps an outage.
fn notice(episodes: &[Episode], outage: &Outage, until_ms: UnixMillis) -> Option<UnixMillis> {
    let overlaps = |episode: &&Episode| {
        let resolved_ms = episode.resolved_ms.unwrap_or(until_ms);
        episode.fired_ms <= outage.ended_ms && resolved_ms >= outage.started_ms
    };
    episodes
        .iter()
        .find(overlaps)
        .map(|episode| episode.fired_ms)
}

fn judged(
    variant: &Variant,
    as_it_is: &[Episode],
    found: &[Episode],
    outages: &[Outage],
    until_ms: UnixMillis,
) -> VariantBody {
    let mut later: Vec<i64> = Vec::new();
    let mut missed_outages = 0;
    for outage in outages {
        let Some(notified_ms) = notice(as_it_is, outage, until_ms) else {
            continue;
        };
        match notice(found, outage, until_ms) {
            Some(at_ms) => later.push((at_ms - notified_ms) / 1_000),
            None => missed_outages += 1,
        }
    }
    later.sort_unstable();
    VariantBody {
        option: variant.option.to_owned(),
        value: match &variant.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        fired: found.len(),
        missed_outages,
        later_seconds: later.get(later.len() / 2).copied(),
    }
}

fn in_words(best: &VariantBody, fired: usize, outages: usize) -> String {
    let later = match best.later_seconds {
        Some(seconds @ 1..) => {
            let later = Duration::from_secs(seconds.unsigned_abs());
            format!(", and notified {} later", format_duration(later))
        }
        _ => String::new(),
    };
    format!(
        "With `{}: {}` it would have fired {} times instead of {fired}, missed none of {outages} outages{later}",
        best.option, best.value, best.fired
    )
}

fn yaml(rule: &AlertRule, best: &VariantBody) -> String {
    // A name in quotes as JSON has them is one of YAML.
    format!(
        "- name: {}\n  {}: {}\n",
        json!(rule.name),
        best.option,
        best.value
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(fired_ms: i64, resolved_ms: i64) -> Episode {
        Episode {
            started_ms: fired_ms,
            fired_ms,
            resolved_ms: (resolved_ms > 0).then_some(resolved_ms),
            summary: String::new(),
            flapping: Vec::new(),
        }
    }

    fn outage(started_ms: i64, ended_ms: i64) -> Outage {
        Outage {
            started_ms,
            ended_ms,
        }
    }

    #[test]
    fn what_a_variant_misses_is_counted_by_outages_that_were_notified_of() {
        let variant = Variant {
            option: "duration",
            value: json!("5m"),
        };
        let as_it_is = [
            episode(10_000, 20_000),
            episode(50_000, 60_000),
            episode(90_000, 0),
        ];
        let outages = [
            outage(9_000, 19_000),
            outage(30_000, 31_000),
            outage(49_000, 51_000),
            outage(85_000, 100_000),
        ];
        let found = [episode(15_000, 20_000), episode(97_000, 0)];
        let body = judged(&variant, &as_it_is, &found, &outages, 100_000);
        // The second outage was never notified of, so it can't be missed.
        assert_eq!((body.fired, body.missed_outages), (2, 1));
        assert_eq!(body.later_seconds, Some(7));
        let same = judged(&variant, &as_it_is, &as_it_is, &outages, 100_000);
        assert_eq!((same.missed_outages, same.later_seconds), (0, Some(0)));
        let none = judged(&variant, &[], &found, &outages, 100_000);
        assert_eq!((none.missed_outages, none.later_seconds), (0, None));
    }

    #[test]
    fn only_numbers_are_adopted_as_thresholds() {
        assert_eq!(adopted("threshold", "1.25"), Some(json!(1.25)));
        for text in ["NaN", "inf", "-infinity", "5m", ""] {
            assert_eq!(adopted("threshold", text), None, "{text}");
        }
        assert_eq!(adopted("duration", "5m"), Some(json!("5m")));
        assert_eq!(adopted("severity", "info"), None);
    }

    #[test]
    fn the_best_variant_is_put_in_words() {
        let best = VariantBody {
            option: "duration".to_owned(),
            value: "5m".to_owned(),
            fired: 3,
            missed_outages: 0,
            later_seconds: Some(240),
        };
        assert_eq!(
            in_words(&best, 12, 2),
            "With `duration: 5m` it would have fired 3 times instead of 12, missed none of 2 outages, and notified 4m later"
        );
    }
}
