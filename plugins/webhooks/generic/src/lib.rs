//! The webhook `generic`: any sender of JSON. Settings define how the sender proves itself and what
//! its fields mean.

mod proof;
mod text;

use std::collections::BTreeMap;

use extrack_plugin::json::{Value, json};
use extrack_plugin::jsonpath;
use extrack_plugin::prelude::*;
use extrack_plugin::probe::Status;

use crate::proof::Proof;
use crate::text::Text;

#[derive(Settings)]
struct Settings {
    /// The secret that is shared with the sender; a list while it is changed. Without one, the
    /// webhook needs `unsigned: true`.
    secret: Option<Secrets>,
    /// How the sender proves that it knows the secret.
    proof: Option<Proof>,
    /// Where several events come at once: JSONPath of each, e.g. `$.events[*]`. The paths below
    /// then begin there.
    items: Option<String>,
    /// The sender's id of the event: what is sent again is kept once. A text with `{$.path}` and
    /// `{header:NAME}` in it.
    id: Option<Text>,
    /// The sender's word for it, e.g. `{$.type}`.
    #[setting(default = "event")]
    kind: Text,
    /// One line for people, e.g. `{$.service} is {$.state}`. Default: the kind.
    summary: Option<Text>,
    /// When it happened, e.g. `{$.time}`: RFC 3339, or seconds or milliseconds since 1970.
    time: Option<Text>,
    /// JSONPath of what is kept.
    #[setting(default = "$")]
    payload: String,
    /// Short values beside the payload, by name.
    #[setting(default)]
    attributes: BTreeMap<String, Text>,
    /// The service's report about its own health.
    status: Option<StatusSettings>,
    /// CEL that is true for what is kept; knows `json` (the event) and `headers`.
    when: Option<String>,
    /// A challenge that the sender wants back, e.g. `{$.challenge}`. Where there is none, the
    /// delivery is one like others.
    challenge: Option<Text>,
}

/// The service's report about its own health, which becomes an observation. A word that is in no
/// list makes none.
#[derive(Settings)]
struct StatusSettings {
    /// The sender's word for it, e.g. `{$.state}`.
    value: Text,
    /// Words, in any case, that mean that all is well.
    #[setting(default)]
    healthy: Vec<String>,
    /// Words that mean that it works, but badly.
    #[setting(default)]
    degraded: Vec<String>,
    /// Words that mean that it does not work.
    #[setting(default)]
    unhealthy: Vec<String>,
    /// Message for people. Default: the summary.
    message: Option<Text>,
}

#[webhook(check_settings = check_settings)]
fn receive(delivery: &Delivery, settings: &Settings) -> Result<Reception, Reject> {
    if let Some(secret) = &settings.secret {
        settings.proof.as_ref().map_or_else(
            || Proof::default().verify(delivery, secret),
            |proof| proof.verify(delivery, secret),
        )?;
    }
    let body = delivery.json()?;
    if let Some(challenge) = settings
        .challenge
        .as_ref()
        .and_then(|text| text.fill(&body, delivery))
    {
        return Ok(Reception::text(challenge));
    }
    let items = match &settings.items {
        Some(path) => {
            jsonpath::select(&body, path).map_err(|error| Reject::Settings(error.to_string()))?
        }
        None => vec![&body],
    };
    let mut events = Vec::new();
    for item in items {
        if is_wanted(item, delivery, settings)? {
            events.push(event(item, delivery, settings)?);
        }
    }
    Ok(Reception {
        events,
        answer: None,
    })
}

fn is_wanted(item: &Value, delivery: &Delivery, settings: &Settings) -> Result<bool, Reject> {
    let Some(when) = &settings.when else {
        return Ok(true);
    };
    let headers: BTreeMap<&str, &str> = delivery
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Ok(cel::is_true(
        when,
        &json!({"json": item, "headers": headers}),
    )?)
}

fn event(item: &Value, delivery: &Delivery, settings: &Settings) -> Result<Event, Reject> {
    let fill = |text: &Option<Text>| text.as_ref().and_then(|text| text.fill(item, delivery));
    let kind = settings
        .kind
        .fill(item, delivery)
        .unwrap_or_else(|| "event".to_owned());
    let summary = fill(&settings.summary).unwrap_or_else(|| kind.clone());
    let mut event = Event::new(kind, summary.clone());
    event.id = fill(&settings.id);
    event.ts_ms = fill(&settings.time).and_then(|text| time::moment_of(&Value::String(text)));
    let kept = jsonpath::select(item, &settings.payload)
        .map_err(|error| Reject::Settings(error.to_string()))?;
    event.payload = match &kept[..] {
        [one] => (*one).clone(),
        several => several.iter().map(|&value| value.clone()).collect(),
    };
    for (name, text) in &settings.attributes {
        if let Some(value) = text.fill(item, delivery) {
            event = event.attribute(name, value);
        }
    }
    event.report = settings
        .status
        .as_ref()
        .and_then(|status| report(status, item, delivery, &summary));
    Ok(event)
}

fn report(
    status: &StatusSettings,
    item: &Value,
    delivery: &Delivery,
    summary: &str,
) -> Option<Report> {
    let word = status.value.fill(item, delivery)?;
    let has = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(&word));
    let found = if has(&status.unhealthy) {
        Status::Unhealthy
    } else if has(&status.degraded) {
        Status::Degraded
    } else if has(&status.healthy) {
        Status::Healthy
    } else {
        return None;
    };
    let message = status
        .message
        .as_ref()
        .and_then(|text| text.fill(item, delivery));
    Some(Report::failed(
        found,
        message.unwrap_or_else(|| summary.to_owned()),
    ))
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |path: &str, message: String| faults.push(Fault::new(path, message));
    for (path, jsonpath) in [
        ("/items", settings.items.as_deref()),
        ("/payload", Some(settings.payload.as_str())),
    ] {
        if let Some(Err(error)) = jsonpath.map(jsonpath::JsonPath::parse) {
            fault(path, error.to_string());
        }
    }
    if let Some(Err(error)) = settings
        .when
        .as_ref()
        .map(|when| cel::check(when, &["json", "headers"]))
    {
        fault("/when", error.to_string());
    }
    match (&settings.proof, &settings.secret) {
        (Some(_), None) => fault("/secret", "is missing: a proof needs a secret".to_owned()),
        (Some(proof), Some(_)) => proof
            .faults()
            .into_iter()
            .for_each(|(path, message)| fault(path, message)),
        (None, _) => {}
    }
    faults
}

#[cfg(test)]
mod tests;
