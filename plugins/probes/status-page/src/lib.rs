//! The probe `status-page`: what does a vendor's status page say? It is the vendor's word, not a
//! measurement: without `onOutage: unhealthy` it is no reason to call a service unavailable.

mod better_stack;
mod feed;
mod instatus;
mod markup;
mod page;
mod source;
mod statuspage;
mod verdict;

use extrack_plugin::prelude::*;
use extrack_plugin::value;

use page::{Incident, Level};
use source::Unread;
use verdict::Verdict;

/// Attribute with the incidents that the page has open, which the host keeps.
const INCIDENTS: &str = "incidents";
/// Incidents that are handed over; the first to begin come first.
const MOST_CLAIMS: usize = 60;

/// Metric with the format of the page, by which the next run begins.
const PAGE_FORMAT: &str = "page_format";

#[derive(Settings)]
struct Settings {
    /// URL of the status page, or of one document of it. Default: the base URL.
    #[setting(host = "url")]
    page: Option<String>,
    /// Format of the page. Default: recognised by what it answers.
    format: Option<Format>,
    /// Names or ids of the components we depend on, or of groups of them; of a feed, words in its
    /// entries. Empty: the whole page.
    #[setting(default, max_size = 50)]
    components: Vec<String>,
    /// Result while the page reports an outage. It is `degraded` by default, so that the vendor's
    /// word does not count in what we measure; `unhealthy` is for a service that is known by its
    /// page alone.
    #[setting(default = "degraded")]
    on_outage: OnOutage,
    /// Result while planned work is under way.
    #[setting(default = "degraded")]
    on_maintenance: OnMaintenance,
    /// Older entries of a feed are over.
    #[setting(default = "7d")]
    feed_window: Duration,
}

#[derive(Settings, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Statuspage by Atlassian, or what answers as it does.
    Statuspage,
    #[setting(name = "incident.io")]
    IncidentIo,
    Instatus,
    #[setting(name = "better-stack")]
    BetterStack,
    /// RSS or Atom.
    Feed,
}

impl Format {
    const ALL: [Format; 5] = [
        Format::Statuspage,
        Format::Instatus,
        Format::BetterStack,
        Format::Feed,
        Format::IncidentIo,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Format::Statuspage => "statuspage",
            Format::IncidentIo => "incident.io",
            Format::Instatus => "instatus",
            Format::BetterStack => "better-stack",
            Format::Feed => "feed",
        }
    }
}

#[derive(Settings, Debug, Clone, Copy, PartialEq, Eq)]
enum OnOutage {
    Degraded,
    Unhealthy,
}

#[derive(Settings, Debug, Clone, Copy, PartialEq, Eq)]
enum OnMaintenance {
    Healthy,
    Degraded,
}

#[probe(check_settings = check_settings, wants(host = "*"))]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let address = settings.page.as_deref().unwrap_or(&check.service.base_url);
    match source::read(address, settings, known_format(check)) {
        Ok(source) => {
            let verdict = Verdict::of(&source.page, &settings.components);
            Ok(observed(&verdict, settings)
                .http_status(source.http_status)
                .metric(PAGE_FORMAT, source.format.as_str())
                .attribute(INCIDENTS, claims(&verdict).to_string()))
        }
        // The operator has to allow the host.
        Err(Unread::Net(NetError::Denied(reason))) => Err(NetError::Denied(reason).into()),
        Err(unread) => Ok(unreadable(&unread)),
    }
}

/// The format that the run before recognised.
fn known_format(check: &Check) -> Option<Format> {
    let metrics = &check.previous.as_ref()?.metrics;
    let name = value::text(metrics, PAGE_FORMAT)?;
    Format::ALL
        .into_iter()
        .find(|format| format.as_str() == name)
}

fn observed(verdict: &Verdict<'_>, settings: &Settings) -> Observation {
    let observation = match verdict.level {
        Level::Operational => Observation::healthy(),
        Level::Maintenance if settings.on_maintenance == OnMaintenance::Healthy => {
            Observation::healthy()
        }
        Level::Outage if settings.on_outage == OnOutage::Unhealthy => {
            Observation::unhealthy(verdict.message())
        }
        _ => Observation::degraded(verdict.message()),
    };
    let mut observation = observation
        .metric("page_status", verdict.level.as_str())
        .metric("open_incidents", verdict.open)
        .metric("planned_work", verdict.upcoming.len());
    if let Some(next) = verdict.upcoming.first().and_then(|work| work.started_ms) {
        observation = observation.metric("planned_work_starts", time::rfc3339(next));
    }
    let Some(incident) = verdict.incident() else {
        return observation;
    };
    if let Some(started_ms) = incident.started_ms {
        observation = observation.metric("incident_started", time::rfc3339(started_ms));
    }
    for (name, text) in [
        ("incident", &incident.name),
        ("incident_id", &incident.id),
        ("incident_status", &incident.state),
        ("incident_impact", &incident.impact),
        ("incident_url", &incident.url),
    ] {
        if !text.is_empty() {
            observation = observation.metric(name, text.as_str());
        }
    }
    observation
}

/// The incidents that touch us, as the contract has them. What has no id is not told apart from
/// others, and a state that is not known claims nothing.
fn claims(verdict: &Verdict<'_>) -> json::Value {
    let mut claims: Vec<&Incident> = verdict
        .touching
        .iter()
        .copied()
        .filter(|incident| !incident.id.is_empty() && incident.level != Level::Unknown)
        .collect();
    claims.sort_by_key(|incident| (incident.started_ms.unwrap_or(u64::MAX), &incident.id));
    let claim = |incident: &&Incident| {
        json::json!({
            "id": incident.id, "name": incident.name, "status": incident.state, "impact": incident.impact,
            "level": incident.level.as_str(), "startedMs": incident.started_ms,
        })
    };
    claims.iter().take(MOST_CLAIMS).map(claim).collect()
}

/// Nothing is known of the vendor then, neither good nor bad.
fn unreadable(unread: &Unread) -> Observation {
    let kind = match unread {
        Unread::Net(error) => error.kind(),
        Unread::Answer(_) => ErrorKind::Assertion,
    };
    let message = format!("the status page can't be read: {unread}");
    Observation::failed(Status::Degraded, kind, message)
        .metric("page_status", Level::Unknown.as_str())
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(page) = &settings.page
        && !["http://", "https://"]
            .iter()
            .any(|scheme| page.starts_with(scheme))
    {
        let message = format!("is `{page}`, wanted a URL that begins with `https://` or `http://`");
        faults.push(Fault::new("/page", message));
    }
    for (index, name) in settings.components.iter().enumerate() {
        if name.trim().is_empty() {
            let place = format!("/components/{index}");
            faults.push(Fault::new(
                place,
                "is empty, wanted a component's name or id",
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
