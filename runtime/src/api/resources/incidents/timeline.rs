//! What happened during an incident: its alerts, the people who dealt with them, the messages.

use std::collections::BTreeMap;

use crate::api::http::error::ApiResult;
use crate::api::http::moment::rfc3339;
use crate::api::http::page;
use crate::api::http::state::ApiState;
use crate::api_types::alerts::AlertBody;
use crate::api_types::incidents::{
    IncidentBody, IncidentDetailBody, NotifiedChannelBody, TimelineEntryBody, TimelineEvent,
};
use crate::domain::{
    Alert, AlertEvent, AlertId, IncidentSource, Notification, NotificationState, UnixMillis,
};
use crate::store::IncidentRow;
use crate::store::control::NotificationFilter;

/// More alerts of one service than an incident shows; the first ones explain it.
const MAX_ALERTS: usize = 20;
/// Alerts of all services that are looked at: those of a great outage fire together.
const MAX_FIRED: u32 = 1_000;

type Entry = (UnixMillis, TimelineEntryBody);

/// Returns an incident with what happened meanwhile.
pub(super) async fn of(state: &ApiState, incident: IncidentRow) -> ApiResult<IncidentDetailBody> {
    let mut entries = ends(&incident);
    let (mut alerts, mut messages) = (Vec::new(), BTreeMap::new());
    for id in alert_ids(state, &incident).await? {
        // Alerts that ended long ago are no longer kept; their incidents are.
        let Some((alert, events)) = state.deps.control.alert_get(id).await? else {
            continue;
        };
        entries.extend(events.iter().map(|event| of_alert(&alert, event)));
        let filter = NotificationFilter {
            alert: Some(id),
            limit: page::DEFAULT_LIMIT,
            ..NotificationFilter::default()
        };
        let sent = state.deps.control.notification_list(&filter).await?;
        messages.extend(sent.into_iter().map(|sent| (sent.id, sent)));
        alerts.push(AlertBody::from(alert));
    }
    entries.extend(messages.values().map(of_notification));
    entries.sort_by_key(|(at_ms, entry)| (*at_ms, rank(entry.event)));
    Ok(IncidentDetailBody {
        incident: IncidentBody::from(incident),
        alerts,
        notified: notified(messages.values()),
        timeline: entries.into_iter().map(|(_, entry)| entry).collect(),
    })
}

/// Returns the alerts of the service that fired during one of our incidents, the first to fire
/// first.
async fn alert_ids(state: &ApiState, incident: &IncidentRow) -> ApiResult<Vec<AlertId>> {
    if incident.source != IncidentSource::Ours.as_str() {
        return Ok(Vec::new());
    }
    let until_ms = incident
        .ended_ms
        .map_or(i64::MAX, |ended_ms| ended_ms.saturating_add(1));
    let control = &state.deps.control;
    let fired = control
        .alert_fired_list(None, incident.started_ms, until_ms, MAX_FIRED)
        .await?;
    let of_service = fired.into_iter().filter(|alert| {
        alert.service == incident.service
            && alert
                .fired_ms
                .is_some_and(|fired_ms| fired_ms >= incident.started_ms)
    });
    let mut ids: Vec<AlertId> = of_service.map(|alert| alert.id).collect();
    if let Some(first) = incident.alert_id.map(AlertId) {
        ids.retain(|id| *id != first);
        ids.insert(0, first);
    }
    ids.truncate(MAX_ALERTS);
    Ok(ids)
}

/// The beginning and the end.
fn ends(incident: &IncidentRow) -> Vec<Entry> {
    let entry = |event, text| TimelineEntryBody {
        at: String::new(),
        event,
        text,
        actor: incident.probe.clone(),
        alert_id: None,
        notification_id: None,
    };
    let runs = if incident.source == IncidentSource::Ours.as_str() {
        "failed runs"
    } else {
        "updates of the vendor"
    };
    let started = entry(TimelineEvent::Started, incident.cause.clone());
    let ended = incident.ended_ms.map(|ended_ms| {
        let outcome = incident.outcome.as_deref().unwrap_or("ended");
        let text = format!(
            "{outcome} after {} s, {} {runs}",
            incident.seconds, incident.runs
        );
        (ended_ms, entry(TimelineEvent::Ended, text))
    });
    let all = [(incident.started_ms, started)].into_iter().chain(ended);
    all.map(|(at_ms, entry)| dated(at_ms, entry)).collect()
}

fn of_alert(alert: &Alert, event: &AlertEvent) -> Entry {
    let mut text = format!("alert `{}` is {}", alert.name, event.to.as_str());
    if !event.reason.is_empty() {
        text.push_str(": ");
        text.push_str(&event.reason);
    }
    let entry = TimelineEntryBody {
        at: String::new(),
        event: TimelineEvent::Alert,
        text,
        actor: Some(event.actor.clone()),
        alert_id: Some(alert.id.0),
        notification_id: None,
    };
    dated(event.ts_ms, entry)
}

fn of_notification(sent: &Notification) -> Entry {
    let mut text = format!(
        "{} message ({}) to `{}` is {}",
        sent.status.as_str(),
        sent.reason.as_str(),
        sent.channel.0,
        sent.state.as_str()
    );
    if let Some(delivered_ms) = sent.delivered_ms {
        text.push_str(&format!(" since {}", rfc3339(delivered_ms)));
    } else if let Some(error) = &sent.last_error {
        text.push_str(&format!(": {error}"));
    }
    let entry = TimelineEntryBody {
        at: String::new(),
        event: TimelineEvent::Notification,
        text,
        actor: Some(sent.channel.0.clone()),
        alert_id: sent.alerts.first().map(|alert| alert.id.0),
        notification_id: Some(sent.id),
    };
    dated(sent.created_ms, entry)
}

fn dated(at_ms: UnixMillis, entry: TimelineEntryBody) -> Entry {
    let at = rfc3339(at_ms);
    (at_ms, TimelineEntryBody { at, ..entry })
}

/// Returns the order of what happened at the same moment.
fn rank(event: TimelineEvent) -> u8 {
    match event {
        TimelineEvent::Started => 0,
        TimelineEvent::Ended => 1,
        TimelineEvent::Alert => 2,
        TimelineEvent::Notification => 3,
    }
}

fn notified<'a>(messages: impl Iterator<Item = &'a Notification>) -> Vec<NotifiedChannelBody> {
    let mut channels: BTreeMap<String, (u32, u32, Option<UnixMillis>)> = BTreeMap::new();
    for sent in messages {
        let (count, delivered, first_ms) = channels.entry(sent.channel.0.clone()).or_default();
        *count += 1;
        *delivered += u32::from(sent.state == NotificationState::Delivered);
        *first_ms = [*first_ms, sent.delivered_ms].into_iter().flatten().min();
    }
    let body = |(channel, (messages, delivered, first_ms))| NotifiedChannelBody {
        channel,
        messages,
        delivered,
        first_delivered_at: Option::map(first_ms, rfc3339),
    };
    channels.into_iter().map(body).collect()
}
