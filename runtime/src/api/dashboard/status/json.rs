//! Status pages and badges as JSON.

use super::badge::Badge;
use super::facts::{IncidentFacts, PageFacts, ServiceFacts, Span};
use crate::api::http::moment::rfc3339;
use crate::api_types::status_pages::{
    BadgeBody, PublicGroupBody, PublicIncidentBody, PublicMaintenanceBody, PublicNoteBody,
    PublicServiceBody, StatusPageBody, UptimeBody,
};
use crate::domain::IncidentSource;

pub(super) fn page(page: &PageFacts) -> String {
    let groups = page.groups.iter().map(|(title, services)| PublicGroupBody {
        title: title.clone(),
        services: services.iter().map(service).collect(),
    });
    let planned = page.planned.iter().map(|window| PublicMaintenanceBody {
        services: window
            .services
            .iter()
            .map(|(slug, _)| slug.clone())
            .collect(),
        starts_at: rfc3339(window.starts_ms),
        ends_at: rfc3339(window.ends_ms),
    });
    let body = StatusPageBody {
        name: page.name.clone(),
        title: page.title.clone(),
        summary: page.sentence(),
        status: page.condition().word().to_owned(),
        rendered_at: rfc3339(page.now_ms),
        history_to: page.history_to_ms.map(rfc3339),
        groups: groups.collect(),
        open_incidents: page.open.iter().map(incident).collect(),
        maintenance: planned.collect(),
        past_incidents: page.over.iter().map(incident).collect(),
    };
    serde_json::to_string(&body).expect("texts and numbers are JSON")
}

pub(super) fn badge(badge: &Badge) -> String {
    let body = BadgeBody {
        label: badge.label.clone(),
        message: badge.message.clone(),
        tone: badge.tone.to_owned(),
    };
    serde_json::to_string(&body).expect("texts are JSON")
}

fn service(service: &ServiceFacts) -> PublicServiceBody {
    let uptime = Span::ALL.map(|span| {
        let uptime = service.uptime(span);
        UptimeBody {
            span: span.as_str().to_owned(),
            percent: floored(uptime.up, uptime.counted()),
            coverage_percent: floored(uptime.counted(), uptime.due()),
        }
    });
    PublicServiceBody {
        slug: service.slug.clone(),
        name: service.name.clone(),
        status: service.condition.word().to_owned(),
        since: service.since_ms.map(rfc3339),
        uptime: uptime.into(),
        p95_ms: service.p95_us.map(|us| us as f64 / 1e3),
    }
}

fn incident(incident: &IncidentFacts) -> PublicIncidentBody {
    let source = if incident.is_vendors {
        IncidentSource::Vendor
    } else {
        IncidentSource::Ours
    };
    let notes = incident.notes.iter().map(|note| PublicNoteBody {
        at: rfc3339(note.at_ms),
        text: note.text.clone(),
    });
    PublicIncidentBody {
        service: incident.slug.clone(),
        what: incident.what.to_owned(),
        source: source.as_str().to_owned(),
        started_at: rfc3339(incident.started_ms),
        ended_at: incident.ended_ms.map(rfc3339),
        notes: notes.collect(),
    }
}

/// Returns percent with two decimals, rounded down; none of nothing.
fn floored(part: u64, whole: u64) -> Option<f64> {
    let hundredths = (u128::from(part) * 10_000).checked_div(u128::from(whole))?;
    Some(hundredths as f64 / 100.0)
}
