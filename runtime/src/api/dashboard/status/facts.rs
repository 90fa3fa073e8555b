//! Facts that status pages show. Everything public is copied in here, field by field, and the pages,
//! feeds and badges are made of nothing else: addresses, texts of checks and whatever is not public
//! do not reach them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::past::Past;
use crate::domain::{
    Catalog, CurrentStatus, ErrorKind, IncidentKind, IncidentSource, Labels, Maintenance, Service,
    StatusPage, UnixMillis,
};
use crate::monitoring::ServiceStatus;
use crate::store::{BareIncident, HistorySlot, IncidentRow};

/// Days of the bars.
pub(super) const DAYS: usize = 90;
pub(super) const DAY_MS: UnixMillis = 86_400_000;
/// Days of incidents that are over, and of windows to come.
pub(super) const LISTED_DAYS: UnixMillis = 14;
const MAX_LISTED: usize = 100;
/// Limit of the services of all pages; those that are first by slug are shown.
pub(super) const MAX_SERVICES: usize = 1_000;

/// How a service is, from the best; the worst is that of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    Operational,
    Maintenance,
    /// No check could find out, or none has run.
    Unknown,
    Degraded,
    Down,
}

impl Condition {
    /// The word in JSON and on badges.
    pub(super) fn word(self) -> &'static str {
        match self {
            Condition::Operational => "operational",
            Condition::Maintenance => "maintenance",
            Condition::Unknown => "unknown",
            Condition::Degraded => "degraded",
            Condition::Down => "down",
        }
    }

    /// The class of its color.
    pub(super) fn tone(self) -> &'static str {
        match self {
            Condition::Operational => "healthy",
            Condition::Maintenance | Condition::Unknown => "waiting",
            Condition::Degraded => "degraded",
            Condition::Down => "error",
        }
    }
}

/// Runs of a span of time, as far as they were due and not paused or in maintenance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Uptime {
    pub(super) up: u64,
    pub(super) down: u64,
    /// Missed, or broken.
    pub(super) unknown: u64,
}

impl Uptime {
    fn of<'s>(slots: impl IntoIterator<Item = &'s HistorySlot>) -> Self {
        let mut uptime = Self::default();
        for slot in slots {
            uptime.up += slot.up();
            uptime.down += slot.down();
            uptime.unknown += slot.missed + slot.broken;
        }
        uptime
    }

    pub(super) fn counted(self) -> u64 {
        self.up + self.down
    }

    pub(super) fn due(self) -> u64 {
        self.counted() + self.unknown
    }
}

/// Spans of the availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    Day,
    Week,
    Month,
    Quarter,
}

impl Span {
    pub(super) const ALL: [Span; 4] = [Span::Day, Span::Week, Span::Month, Span::Quarter];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Span::Day => "24h",
            Span::Week => "7d",
            Span::Month => "30d",
            Span::Quarter => "90d",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.as_str() == text)
    }
}

pub(super) struct PageFacts {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) links: Vec<(String, String)>,
    pub(super) groups: Vec<(String, Vec<ServiceFacts>)>,
    pub(super) open: Vec<IncidentFacts>,
    pub(super) over: Vec<IncidentFacts>,
    pub(super) planned: Vec<PlannedFacts>,
    pub(super) now_ms: UnixMillis,
    /// Moment up to which the history is complete; none: it can't be read.
    pub(super) history_to_ms: Option<UnixMillis>,
}

pub(super) struct ServiceFacts {
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) condition: Condition,
    pub(super) since_ms: Option<UnixMillis>,
    pub(super) days: Vec<HistorySlot>,
    /// What its vendor declared in these days, in fixed words; nothing where the page does not show it.
    pub(super) claims: Vec<IncidentRow>,
    /// The last 24 hours.
    day: Uptime,
    pub(super) p95_us: Option<u64>,
    now_ms: UnixMillis,
}

impl ServiceFacts {
    pub(super) fn uptime(&self, span: Span) -> Uptime {
        let days = match span {
            Span::Day => return self.day,
            Span::Week => 7,
            Span::Month => 30,
            Span::Quarter => DAYS as UnixMillis,
        };
        let from_ms = first_day_ms(self.now_ms, days);
        Uptime::of(self.days.iter().filter(|slot| slot.from_ms >= from_ms))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IncidentFacts {
    pub(super) slug: String,
    pub(super) service: String,
    pub(super) what: &'static str,
    pub(super) is_vendors: bool,
    pub(super) started_ms: UnixMillis,
    pub(super) ended_ms: Option<UnixMillis>,
    /// Oldest first.
    pub(super) notes: Vec<NoteFacts>,
}

/// Note about an incident that is for everybody, without its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoteFacts {
    pub(super) at_ms: UnixMillis,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedFacts {
    /// Slugs and names.
    pub(super) services: Vec<(String, String)>,
    pub(super) starts_ms: UnixMillis,
    pub(super) ends_ms: UnixMillis,
}

/// Start of the first of so many days, the last of which is today, in UTC.
pub(super) fn first_day_ms(now_ms: UnixMillis, days: UnixMillis) -> UnixMillis {
    (now_ms.div_euclid(DAY_MS) + 1 - days) * DAY_MS
}

/// Returns the services that pages may show.
pub(super) fn public_services(catalog: &Catalog) -> impl Iterator<Item = &Arc<Service>> {
    let services = catalog.services.values().chain(catalog.stopped.values());
    let public = services.filter(|service| service.profile.public);
    public.take(MAX_SERVICES)
}

/// State of the program of which pages are made.
pub(super) struct Sources<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) status: &'a dyn Fn(&str) -> Option<ServiceStatus>,
    /// Missing while the stores can't be read.
    past: Option<&'a Past>,
    windows: Vec<Window<'a>>,
    now_ms: UnixMillis,
}

/// Planned work and when it is under way: found once, since a recurrence may take a search.
struct Window<'a> {
    window: &'a Maintenance,
    is_open: bool,
    /// The span that is under way, else the next one.
    span: (UnixMillis, UnixMillis),
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        status: &'a dyn Fn(&str) -> Option<ServiceStatus>,
        past: Option<&'a Past>,
        now_ms: UnixMillis,
    ) -> Self {
        let windows = past.map(|past| past.windows.as_slice()).unwrap_or_default();
        let windows = windows.iter().filter_map(|window| {
            let open = window.recurrence.open_at(now_ms);
            let span = open.or_else(|| window.recurrence.next_after(now_ms))?;
            Some(Window {
                window,
                is_open: open.is_some(),
                span,
            })
        });
        Self {
            catalog,
            status,
            past,
            windows: windows.collect(),
            now_ms,
        }
    }

    pub(super) fn has_history(&self) -> bool {
        self.past.is_some()
    }

    /// Returns a page; none where nothing on it is public.
    pub(super) fn page(&self, page: &StatusPage) -> Option<PageFacts> {
        let groups = page.grouped(public_services(self.catalog));
        if groups.is_empty() {
            return None;
        }
        let names: BTreeMap<String, String> = groups
            .iter()
            .flat_map(|(_, services)| services)
            .map(|service| (service.slug.clone(), service.name.clone()))
            .collect();
        let (open, over) = self.incidents(page, &names);
        let facts = |(title, services): (String, Vec<Arc<Service>>)| {
            let services = services.iter().map(|service| self.service(page, service));
            (title, services.collect())
        };
        Some(PageFacts {
            name: page.name.clone(),
            title: page.title.clone(),
            links: page.links.clone(),
            groups: groups.into_iter().map(facts).collect(),
            open,
            over,
            planned: self.planned(&names),
            now_ms: self.now_ms,
            history_to_ms: self.past.map(|past| past.data_to_ms),
        })
    }

    fn service(&self, page: &StatusPage, service: &Arc<Service>) -> ServiceFacts {
        let slug = &service.slug;
        let status = (self.status)(slug);
        let past = self.past.map(|past| &past.histories);
        let hours = past.and_then(|past| past.hours.get(slug));
        let condition = self.condition(service, status.as_ref());
        let is_observed = ![Condition::Maintenance, Condition::Unknown].contains(&condition);
        ServiceFacts {
            slug: slug.clone(),
            name: service.name.clone(),
            condition,
            since_ms: status
                .filter(|_| is_observed)
                .and_then(|status| status.since_ms),
            days: past
                .and_then(|past| past.days.get(slug))
                .cloned()
                .unwrap_or_default(),
            claims: past
                .filter(|_| page.shows_vendors)
                .and_then(|past| past.claims.get(slug))
                .map(|claims| claims.iter().map(claim).collect())
                .unwrap_or_default(),
            day: Uptime::of(hours),
            p95_us: hours.and_then(|hours| hours.latencies.quantile_us(0.95)),
            now_ms: self.now_ms,
        }
    }

    fn condition(&self, service: &Service, status: Option<&ServiceStatus>) -> Condition {
        if self.catalog.is_suspended(&service.slug) {
            return Condition::Unknown;
        }
        let labels = Labels::of_service(&service.slug, Some(service));
        let mut open = self.windows.iter().filter(|window| window.is_open);
        let is_planned = open.any(|open| open.window.covers(&labels));
        match status.and_then(|status| status.status) {
            _ if is_planned => Condition::Maintenance,
            None | Some(CurrentStatus::Unknown) => Condition::Unknown,
            Some(CurrentStatus::Healthy) => Condition::Operational,
            Some(CurrentStatus::Degraded) => Condition::Degraded,
            Some(CurrentStatus::Unhealthy | CurrentStatus::Error) => Condition::Down,
        }
    }

    /// Incidents that last, and those of the last days that are over.
    fn incidents(
        &self,
        page: &StatusPage,
        names: &BTreeMap<String, String>,
    ) -> (Vec<IncidentFacts>, Vec<IncidentFacts>) {
        let all = self
            .past
            .map(|past| past.histories.incidents.as_slice())
            .unwrap_or_default();
        let from_ms = first_day_ms(self.now_ms, LISTED_DAYS);
        let shown = all
            .iter()
            .filter(|incident| incident.ended_ms.is_none_or(|ended_ms| ended_ms >= from_ms))
            .filter_map(|incident| {
                let is_vendors = incident.source != IncidentSource::Ours.as_str();
                let service = names.get(&incident.service)?.clone();
                (page.shows_vendors || !is_vendors).then(|| IncidentFacts {
                    slug: incident.service.clone(),
                    service,
                    what: failure(incident, is_vendors),
                    is_vendors,
                    started_ms: incident.started_ms,
                    ended_ms: incident.ended_ms,
                    notes: self.notes(incident.id),
                })
            });
        let (mut open, mut over): (Vec<_>, Vec<_>) =
            shown.partition(|incident: &IncidentFacts| incident.ended_ms.is_none());
        open.truncate(MAX_LISTED);
        over.truncate(MAX_LISTED);
        (open, over)
    }

    fn notes(&self, incident: i64) -> Vec<NoteFacts> {
        let notes = self.past.and_then(|past| past.notes.get(&incident));
        notes.cloned().unwrap_or_default()
    }

    fn planned(&self, names: &BTreeMap<String, String>) -> Vec<PlannedFacts> {
        let until_ms = self.now_ms + LISTED_DAYS * DAY_MS;
        let listed = self
            .windows
            .iter()
            .filter(|window| window.span.0 < until_ms);
        let mut planned: Vec<PlannedFacts> = listed
            .filter_map(|Window { window, span, .. }| {
                let covered = names.iter().filter(|(slug, _)| {
                    let service = self.catalog.described(slug).map(Arc::as_ref);
                    window.covers(&Labels::of_service(slug, service))
                });
                let services: Vec<_> = covered
                    .map(|(slug, name)| (slug.clone(), name.clone()))
                    .collect();
                (!services.is_empty()).then_some(PlannedFacts {
                    services,
                    starts_ms: span.0,
                    ends_ms: span.1,
                })
            })
            .collect();
        planned.sort_by_key(|window| window.starts_ms);
        planned.truncate(MAX_LISTED);
        planned
    }
}

/// Returns what a chart of claims needs, with no text of the vendor.
fn claim(claim: &BareIncident) -> IncidentRow {
    IncidentRow {
        started_ms: claim.started_ms,
        ended_ms: claim.ended_ms,
        kind: claim.kind.clone(),
        cause: failure(claim, true).to_owned(),
        ..IncidentRow::default()
    }
}

/// Kind of failure in fixed words: texts of checks hold addresses.
fn failure(incident: &BareIncident, is_vendors: bool) -> &'static str {
    if is_vendors {
        return match IncidentKind::parse(&incident.kind) {
            Some(IncidentKind::Degradation) => "the vendor reports that it is degraded",
            Some(IncidentKind::Maintenance) => "the vendor reports maintenance",
            _ => "the vendor reports an outage",
        };
    }
    match incident.error_kind.as_deref().and_then(ErrorKind::parse) {
        Some(ErrorKind::Dns) => "its name could not be resolved",
        Some(ErrorKind::Connect) => "it could not be reached",
        Some(ErrorKind::Tls) => "no secure connection could be made",
        Some(ErrorKind::Timeout) => "it did not answer in time",
        Some(ErrorKind::Protocol) => "its answer could not be read",
        Some(ErrorKind::Assertion) => "its answer was not as expected",
        Some(ErrorKind::Denied | ErrorKind::Plugin) | None => "it was not available",
    }
}

impl PageFacts {
    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceFacts> {
        self.groups.iter().flat_map(|(_, services)| services)
    }

    /// The condition of its worst service.
    pub(super) fn condition(&self) -> Condition {
        let conditions = self.services().map(|service| service.condition);
        conditions.max().unwrap_or(Condition::Unknown)
    }

    /// `2 of 12 services are down: Search, Mail.`
    pub(super) fn sentence(&self) -> String {
        let count = self.services().count();
        let worst = self.condition();
        let names: Vec<&str> = self
            .services()
            .filter(|service| service.condition == worst)
            .map(|service| service.name.as_str())
            .collect();
        let predicate = match worst {
            Condition::Operational if count == 1 => {
                return "The service is operational.".to_owned();
            }
            Condition::Operational => return format!("All {count} services are operational."),
            Condition::Maintenance => "in maintenance",
            Condition::Unknown => "of unknown status",
            Condition::Degraded => "degraded",
            Condition::Down => "down",
        };
        let (noun, verb) = (
            if count == 1 { "service" } else { "services" },
            if names.len() == 1 { "is" } else { "are" },
        );
        let listed = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > 3 { ", …" } else { "." };
        format!(
            "{} of {count} {noun} {verb} {predicate}: {listed}{more}",
            names.len()
        )
    }
}
