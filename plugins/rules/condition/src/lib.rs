//! The rule `condition`: an expression in CEL over the latest observation and the history.

mod expression;

use extrack_plugin::json::{Map, Value, json};
use extrack_plugin::prelude::*;
use extrack_plugin::value;

use crate::expression::{Call, Function, calls, names};

/// Names an expression may use.
const VARIABLES: [&str; 10] = [
    "status",
    "service",
    "location",
    "latency_ms",
    "http_status",
    "error_kind",
    "error",
    "metrics",
    "consecutive_failures",
    "probes",
];

#[derive(Settings)]
struct Settings {
    /// CEL that is true while something is wrong, e.g. `status == 'unhealthy'`. Knows `status`,
    /// `service`, `location`, `latency_ms`, `http_status`, `error_kind`, `error`, `metrics`,
    /// `consecutive_failures`, `probes` with the latest of each probe by name
    /// (`probes['tls'].status`, all the above but `service` and `consecutive_failures`, and
    /// `age_s`), and of the history `availability('5m')` and `error_rate('5m')` in percent,
    /// `latency('5m', 0.95)` in milliseconds, `runs('5m')` and `failures('5m')`.
    condition: String,
}

#[rule(look_back = look_back, check_settings = check_settings)]
fn evaluate(
    evaluation: &Evaluation,
    settings: &Settings,
) -> Result<Verdict, extrack_plugin::rule::RuleError> {
    let Some(latest) = history::latest() else {
        return Ok(Verdict::no_opinion("no observation yet"));
    };
    let condition = settings.condition.trim();
    let variables = variables(evaluation, &latest, condition);
    let variables = Value::Object(variables);
    let is_breached = match cel::is_true(condition, &variables) {
        Ok(is_breached) => is_breached,
        // Such as a comparison with the latency of a run that had no answer.
        Err(cel::CelError::Failed(reason)) => {
            return Ok(Verdict::no_opinion(format!(
                "`{condition}` has no value: {reason}{}",
                found(condition, &variables)
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let says = if is_breached { "is true" } else { "is false" };
    Ok(Finding::new(format!(
        "`{condition}` {says}{}",
        found(condition, &variables)
    ))
    .breached_if(is_breached))
}

/// The variables that the expression names.
fn variables(
    evaluation: &Evaluation,
    latest: &history::Sample,
    condition: &str,
) -> Map<String, Value> {
    let mut variables = Map::new();
    for name in names(condition) {
        let value = match name {
            "service" => evaluation.service.as_str().into(),
            "consecutive_failures" => history::consecutive_failures().into(),
            "probes" => {
                // In several locations, the most recent one counts.
                let mut all = history::latest_by_probe();
                all.sort_by_key(|sample| sample.ts_ms);
                all.iter()
                    .map(|sample| (sample.probe.clone(), probe(evaluation, sample)))
                    .collect()
            }
            name => match variable(latest, name) {
                Some(value) => value,
                None => continue,
            },
        };
        variables.insert(name.to_owned(), value);
    }
    variables
}

/// What an observation says under a name.
fn variable(sample: &history::Sample, name: &str) -> Option<Value> {
    let failure = sample.failure.as_ref();
    Some(match name {
        "status" => sample.status.as_str().into(),
        "location" => sample.location.as_str().into(),
        "latency_ms" => sample
            .latency_us
            .map_or(Value::Null, |us| (us as f64 / 1_000.0).into()),
        "http_status" => sample.http_status.map_or(Value::Null, Value::from),
        "error_kind" => failure.map_or(Value::Null, |failure| failure.kind.as_str().into()),
        "error" => failure.map_or(Value::Null, |failure| failure.message.as_str().into()),
        "metrics" => sample
            .metrics
            .iter()
            .map(|entry| (entry.key.clone(), metric(&entry.value)))
            .collect(),
        _ => return None,
    })
}

/// The latest observation of one probe.
fn probe(evaluation: &Evaluation, sample: &history::Sample) -> Value {
    let known = VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), variable(sample, name)?)));
    let age_s = evaluation.now_ms.saturating_sub(sample.ts_ms) / 1_000;
    Value::Object(known.chain([("age_s".to_owned(), age_s.into())]).collect())
}

fn metric(value: &value::Value) -> Value {
    match value {
        value::Value::Text(text) => text.as_str().into(),
        value::Value::Integer(number) => (*number).into(),
        value::Value::Number(number) => json!(number),
        value::Value::Boolean(flag) => (*flag).into(),
    }
}

/// The values behind an expression, for people: of the variables it names and the functions it
/// calls.
fn found(condition: &str, variables: &Value) -> String {
    let named = variables
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "probes");
    let mut values: Vec<String> = named
        .map(|(name, value)| format!("{name} is {}", shown(value)))
        .collect();
    // Of other probes, the status of those that are spoken of.
    let probes = variables
        .get("probes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let spoken_of = probes.filter(|(name, _)| condition.contains(name.as_str()));
    values.extend(
        spoken_of.map(|(name, probe)| format!("probe {name} is {}", shown(&probe["status"]))),
    );
    for call in calls(condition) {
        values.extend(
            call.window()
                .map(|window| format!("{} is {}", call.text, history_value(&call, window))),
        );
    }
    if values.is_empty() {
        String::new()
    } else {
        format!("; {}", values.join(", "))
    }
}

fn history_value(call: &Call<'_>, window: Duration) -> String {
    let value = match call.function {
        Function::Availability => history::summary(window).availability(),
        Function::ErrorRate => history::summary(window).error_rate(),
        Function::Runs => Some(history::summary(window).count as f64),
        Function::Failures => {
            let summary = history::summary(window);
            Some((summary.unhealthy + summary.errors) as f64)
        }
        Function::Latency => history::latency(window, call.quantile)
            .map(|latency| latency.as_micros() as f64 / 1_000.0),
    };
    let unit = match call.function {
        Function::Latency => " ms",
        Function::Availability | Function::ErrorRate => " %",
        Function::Runs | Function::Failures => "",
    };
    value.map_or_else(
        || "unknown".to_owned(),
        |value| format!("{}{unit}", (value * 100.0).round() / 100.0),
    )
}

/// A value in a text; one that is long is cut.
fn shown(value: &Value) -> String {
    const SHOWN_CHARACTERS: usize = 100;
    let text = match value {
        Value::Null => return "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The longest window that the expression names.
fn look_back(settings: &Settings) -> Duration {
    calls(&settings.condition)
        .filter_map(|call| call.window())
        .max()
        .unwrap_or_default()
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let fault = |message: String| Fault::new("/condition", message);
    let mut faults = Vec::new();
    if let Err(error) = cel::check(&settings.condition, &VARIABLES) {
        faults.push(fault(error.to_string()));
    }
    for call in calls(&settings.condition).filter(|call| call.window().is_none()) {
        faults.push(fault(format!(
            "`{}` names no window; write a duration as in `availability('5m')`",
            call.text
        )));
    }
    faults
}

#[cfg(test)]
mod tests;
