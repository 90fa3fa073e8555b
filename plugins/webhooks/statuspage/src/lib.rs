//! The webhook `statuspage`: the reports of a vendor's page by Atlassian Statuspage about the
//! vendor. <https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/>

use extrack_plugin::json::{Value, json};
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Statuspage signs nothing: the secret stands in the URL that it is given, as `?token=…`.
    /// Without one, the webhook needs `unsigned: true`.
    secret: Option<Secrets>,
    /// Name of the parameter that holds the secret.
    #[setting(default = "token")]
    parameter: String,
    /// Names or ids of the components we depend on. Empty: the whole page.
    #[setting(default)]
    components: Vec<String>,
}

#[webhook]
fn receive(delivery: &Delivery, settings: &Settings) -> Result<Option<Event>, Reject> {
    if let Some(secret) = &settings.secret {
        delivery.verify_query(&settings.parameter, secret)?;
    }
    let payload = delivery.json()?;
    let event = if payload["component_update"].is_object() {
        component(&payload, settings)
    } else if payload["incident"].is_object() {
        Some(incident(&payload, settings))
    } else {
        return Err(Reject::malformed(
            "this is neither a `component_update` nor an `incident` of Statuspage's",
        ));
    };
    Ok(event.map(|event| match page(&payload, settings) {
        Some(report) if event.report.is_none() => event.report(report),
        _ => event,
    }))
}

/// One component changed. One we do not depend on is of no interest.
fn component(payload: &Value, settings: &Settings) -> Option<Event> {
    let (update, component) = (&payload["component_update"], &payload["component"]);
    if !settings.components.is_empty() && !is_ours(component, settings) {
        return None;
    }
    let status = word(&update["new_status"]);
    let name = word(&component["name"]);
    let mut event =
        Event::new(format!("component.{status}"), format!("{name}: {status}, was {}", word(&update["old_status"])))
            .payload(json!({"component": name, "old_status": update["old_status"], "new_status": update["new_status"]}))
            .attribute("component", name);
    event.id = update["id"]
        .as_str()
        .map(|id| format!("component_update:{id}"));
    event.ts_ms = time::moment_of(&update["created_at"]);
    // Of several components that are ours, this one is what changed.
    event.report = (!settings.components.is_empty())
        .then(|| report(status, name))
        .flatten();
    Some(event)
}

fn incident(payload: &Value, settings: &Settings) -> Event {
    let incident = &payload["incident"];
    // The latest comes first.
    let update = &incident["incident_updates"][0];
    let (name, status) = (word(&incident["name"]), word(&incident["status"]));
    let none = Vec::new();
    let components = incident["components"].as_array().unwrap_or(&none);
    let mut event = Event::new(format!("incident.{status}"), format!("{name}: {status}, impact {}", word(&incident["impact"])))
        .payload(json!({
            "incident": name,
            "status": status,
            "impact": incident["impact"],
            "update": update["body"],
            "url": incident["shortlink"],
            "components": components.iter().map(|component| json!({"name": component["name"], "status": component["status"]})).collect::<Vec<_>>(),
        }))
        .attribute("impact", word(&incident["impact"]));
    let id = update["id"]
        .as_str()
        .or_else(|| incident["updated_at"].as_str())
        .unwrap_or_default();
    event.id = incident["id"]
        .as_str()
        .map(|incident| format!("incident:{incident}:{id}"));
    event.ts_ms = time::moment_of(&incident["updated_at"]);
    let ours = components
        .iter()
        .filter(|component| is_ours(component, settings));
    // The worst of ours; without one there is no report.
    event.report = ours
        .filter_map(|component| report(word(&component["status"]), word(&component["name"])))
        .max_by_key(|report| severity(report.status));
    event
}

fn is_ours(component: &Value, settings: &Settings) -> bool {
    let is = |wanted: &String| {
        component["id"] == wanted.as_str() || component["name"] == wanted.as_str()
    };
    settings.components.iter().any(is)
}

/// The whole page, where no components are named.
fn page(payload: &Value, settings: &Settings) -> Option<Report> {
    let page = &payload["page"];
    if !settings.components.is_empty() {
        return None;
    }
    let description = page["status_description"].as_str().unwrap_or("the page");
    report(page["status_indicator"].as_str()?, description)
}

/// Status for the vendor's word; none for an unknown word.
fn report(status: &str, name: &str) -> Option<Report> {
    let message = format!("the vendor says: {name}: {status}");
    match status {
        "operational" | "none" => Some(Report::healthy()),
        "degraded_performance"
        | "partial_outage"
        | "under_maintenance"
        | "minor"
        | "maintenance"
        | "degraded" => Some(Report::degraded(message)),
        "major_outage" | "major" | "critical" | "downtime" => Some(Report::unhealthy(message)),
        _ => None,
    }
}

fn severity(status: extrack_plugin::probe::Status) -> u8 {
    use extrack_plugin::probe::Status;
    match status {
        Status::Healthy => 0,
        Status::Degraded => 1,
        Status::Unhealthy => 2,
        Status::Error => 3,
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

#[cfg(test)]
mod tests;
