//! The list of what needs attention now: services in trouble and subjects of open alerts, with what
//! is known and who is on it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::alerts::fate;
use super::pill;
use super::service::trouble;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::wording::{count, prose, since, subject};
use crate::api::http::deps::ApiDeps;
use crate::domain::{
    Alert, AlertState, Catalog, Incident, IncidentSource, Labels, Maintenance, Service, Severity,
    UnixMillis, now_ms,
};
use crate::monitoring::ServiceStatus;
use crate::store::ControlError;

/// Shown on the page; beyond it a number.
const MAX_SHOWN: usize = 8;

/// Probe plugin that reads what a vendor claims.
const STATUS_PAGE: &str = "status-page";

/// The form that the buttons of the list belong to; it is outside, because the list is sent to all
/// pages alike.
pub(crate) const ACT_FORM: &str = "act";

/// Subject of the list.
struct Item {
    /// Standing of a service in trouble.
    standing: Option<Standing>,
    since_ms: UnixMillis,
    /// The one that needs someone first.
    alerts: Vec<Alert>,
    /// A maintenance window of the service is open.
    is_planned: bool,
}

impl Item {
    /// Reports whether it is planned, or all its alerts are acknowledged or muted.
    fn is_handled(&self) -> bool {
        let handled = [AlertState::Acknowledged, AlertState::Suppressed];
        let mut states = self.alerts.iter().map(|alert| alert.state);
        self.is_planned || (!self.alerts.is_empty() && states.all(|state| handled.contains(&state)))
    }

    /// Sorts what needs someone first.
    fn rank(
        &self,
    ) -> (
        bool,
        Standing,
        Reverse<Option<Severity>>,
        Reverse<UnixMillis>,
    ) {
        (
            self.is_handled(),
            self.standing.unwrap_or(Standing::Healthy),
            Reverse(self.alerts.first().map(|alert| alert.severity)),
            Reverse(self.since_ms),
        )
    }
}

/// The list as it is sent to live pages.
pub(crate) async fn alerts(deps: &ApiDeps) -> Result<Markup, ControlError> {
    attention(deps, true).await
}

pub(crate) async fn attention(deps: &ApiDeps, may_act: bool) -> Result<Markup, ControlError> {
    let open = deps.control.alert_open_list().await?;
    let claims = deps
        .control
        .incident_recent(IncidentSource::Vendor, UnixMillis::MAX)
        .await?;
    let catalog = deps.registry.catalog();
    let mut items = items(deps, &catalog, open);
    mark_planned(deps, &catalog, &mut items).await?;
    let mut items: Vec<(String, Item)> = items.into_iter().collect();
    items.sort_by_key(|(_, item)| item.rank());
    Ok(html! {
        div #alerts {
            @if items.is_empty() { (quiet(deps, &catalog)) }
            @else {
                h2 { "Now" }
                ol.now-list {
                    @for (slug, item) in items.iter().take(MAX_SHOWN) {
                        (entry(deps, &catalog, (slug.as_str(), item), &claims, may_act))
                    }
                }
                @if items.len() > MAX_SHOWN {
                    p.muted { a href="/?as=rows&sort=worst" { "and " (items.len() - MAX_SHOWN) " more" } }
                }
            }
        }
    })
}

fn items(deps: &ApiDeps, catalog: &Catalog, open: Vec<Alert>) -> BTreeMap<String, Item> {
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for slug in catalog.services.keys() {
        let standing = Standing::from(deps.monitor.status(slug));
        if standing.is_trouble() && !catalog.is_suspended(slug) {
            let item = Item {
                standing: Some(standing),
                since_ms: deps.monitor.since_ms(slug).unwrap_or_default(),
                alerts: Vec::new(),
                is_planned: false,
            };
            items.insert(slug.clone(), item);
        }
    }
    for alert in open {
        // A suspicion alone is no news, and how a service is that is not watched is not known.
        let is_suspicion =
            alert.state == AlertState::Pending && !items.contains_key(&alert.service);
        if is_suspicion || catalog.is_suspended(&alert.service) {
            continue;
        }
        let since_ms = alert.fired_ms.unwrap_or(alert.started_ms);
        let item = items.entry(alert.service.clone()).or_insert_with(|| Item {
            standing: None,
            since_ms,
            alerts: Vec::new(),
            is_planned: false,
        });
        if item.standing.is_none() {
            item.since_ms = item.since_ms.min(since_ms);
        }
        item.alerts.push(alert);
    }
    for item in items.values_mut() {
        item.alerts.sort_by_key(|alert| {
            let order = match alert.state {
                AlertState::Firing => 0,
                AlertState::Acknowledged => 1,
                _ => 2,
            };
            (order, Reverse(alert.severity), Reverse(alert.started_ms))
        });
    }
    items
}

/// Marks the subjects that are being worked on by plan.
async fn mark_planned(
    deps: &ApiDeps,
    catalog: &Catalog,
    items: &mut BTreeMap<String, Item>,
) -> Result<(), ControlError> {
    if items.is_empty() {
        return Ok(());
    }
    let now_ms = now_ms();
    let stored = deps.control.maintenance_open_after(now_ms).await?;
    let stored = stored.iter().map(|stored| &stored.window);
    let windows = catalog.maintenance.iter().map(Arc::as_ref).chain(stored);
    let open: Vec<&Maintenance> = windows
        .filter(|window| window.is_about_services())
        .filter(|window| window.recurrence.open_at(now_ms).is_some())
        .collect();
    for (slug, item) in items {
        let service = catalog.described(slug).map(Arc::as_ref);
        let labels = Labels::of_service(slug, service);
        item.is_planned = open.iter().any(|window| window.covers(&labels));
    }
    Ok(())
}

fn entry(
    deps: &ApiDeps,
    catalog: &Catalog,
    (slug, item): (&str, &Item),
    claims: &[Incident],
    may_act: bool,
) -> Markup {
    let service = catalog.described(slug);
    let status = deps.monitor.service_status(slug);
    let name = service.map_or(slug, |service| service.name.as_str());
    let vendor = service.and_then(|service| vendor_word(service, status.as_ref(), claims));
    let flapping = item.alerts.iter().any(|alert| alert.flags.flapping);
    html! {
        li {
            p.head {
                @if let Some(standing) = item.standing { (pill(standing.word(), standing.word())) " " }
                b { (subject(slug, name)) } " "
                span.muted { (since(item.since_ms)) @if flapping { " · flapping" } @if item.is_planned { " · in maintenance" } }
            }
            @if let Some(why) = status.as_ref().filter(|_| item.standing.is_some()).and_then(why) { (why) }
            @if let Some(word) = vendor { p.vendor { (word) } }
            @if let Some(alert) = item.alerts.first() { (alert_line(alert, item.alerts.len() - 1)) }
            @if let Some(alert) = item.alerts.first().filter(|_| may_act) { (acts(alert, name)) }
        }
    }
}

/// The first failure of the service, or why it is not known how it is.
fn why(status: &ServiceStatus) -> Option<Markup> {
    let Some((probe, failure)) = trouble(status) else {
        let reason = status.reason.as_deref()?;
        return Some(html! { p.why { (prose(reason)) } });
    };
    Some(html! {
        p.why {
            @if status.probes.len() > 1 { b { (probe.name) } " " }
            b { (failure.kind.as_str()) } " " (prose(&failure.message))
        }
    })
}

fn alert_line(alert: &Alert, others: usize) -> Markup {
    html! {
        p.alert-line {
            (pill(alert.severity.as_str(), alert.severity.as_str())) " "
            a href={ "/alerts/" (alert.id.0) } { (alert.name) }
            @if !alert.summary.is_empty() { " · " (prose(&alert.summary)) }
            span.muted { " · " (fate(alert)) }
            @if others > 0 { " · " a href="/alerts" { (count(others, "more alert")) } }
        }
    }
}

fn acts(alert: &Alert, service: &str) -> Markup {
    let is_firing = alert.state == AlertState::Firing;
    let about = format!("{} of {service}", alert.name);
    html! {
        @if is_firing || alert.state == AlertState::Acknowledged {
            p.acts {
                @if is_firing {
                    button type="submit" form=(ACT_FORM) formaction={ "/attention/" (alert.id.0) "/acknowledge" }
                        aria-label={ "Ack " (about) } { "Ack" }
                }
                button type="submit" form=(ACT_FORM) formaction={ "/attention/" (alert.id.0) "/silence" } name="for" value="2h"
                    aria-label={ "Silence 2 h " (about) } { "Silence 2 h" }
            }
        }
    }
}

/// Returns the vendor's word about the service; none where nothing reads its status page.
fn vendor_word(
    service: &Service,
    status: Option<&ServiceStatus>,
    claims: &[Incident],
) -> Option<String> {
    let mut open = claims
        .iter()
        .filter(|claim| claim.facts.service == service.slug && claim.facts.ended_ms.is_none());
    if let Some(claim) = open.next() {
        return Some(match open.count() {
            0 => format!("Vendor: {}", claim.facts.cause),
            others => format!("Vendor: {}, and {others} more", claim.facts.cause),
        });
    }
    let page = service
        .probes
        .iter()
        .find(|probe| probe.plugin == STATUS_PAGE)?;
    let mut probes = status?.probes.iter();
    let latest = probes
        .find(|probe| probe.name == page.name)?
        .latest
        .as_deref()?;
    Some(match &latest.failure {
        None => "Vendor: no incident is declared".to_owned(),
        Some(failure) => format!("Vendor: {}", failure.message),
    })
}

fn quiet(deps: &ApiDeps, catalog: &Catalog) -> Markup {
    let turns = catalog
        .services
        .keys()
        .filter_map(|slug| deps.monitor.since_ms(slug));
    html! {
        @if let Some(ms) = turns.max() { p.quiet-line { "All quiet " (since(ms)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_is_on_comes_first_then_the_worst_then_the_newest() {
        let item = |standing, since_ms| Item {
            standing,
            since_ms,
            alerts: Vec::new(),
            is_planned: false,
        };
        let planned = Item {
            is_planned: true,
            ..item(Some(Standing::Error), 4)
        };
        let mut items = [
            planned,
            item(Some(Standing::Degraded), 3),
            item(Some(Standing::Error), 1),
            item(None, 9),
            item(Some(Standing::Error), 2),
        ];
        items.sort_by_key(Item::rank);
        let order: Vec<UnixMillis> = items.iter().map(|item| item.since_ms).collect();
        assert_eq!(order, [2, 1, 3, 9, 4]);
    }
}
