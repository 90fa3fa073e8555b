//! Destinations of an alert that fires, live and in backtests: its labels, the groups it joins, and
//! its escalation policy. Pure.

use std::sync::Arc;

use crate::domain::{
    Alert, AlertRule, Catalog, EscalationPolicy, Firing, GroupDraft, Labels, Severity, Timing,
    UnixMillis,
};

use super::dispatch::first_flush_ms;
use super::ports::AlertDraft;

/// Returns the draft with the labels that its service gives it as of now: they are matched and
/// grouped by, and messages show them.
pub(super) fn with_labels(mut draft: AlertDraft, catalog: &Catalog) -> AlertDraft {
    draft.labels = labels_of(&draft.name, &draft.service, draft.severity, catalog);
    draft
}

/// Returns an alert as matchers see it. One from before labels were stored has those of now.
pub fn labelled(alert: &Alert, catalog: &Catalog) -> Firing {
    let labels = if alert.labels.is_empty() {
        labels_of(&alert.name, &alert.service, alert.severity, catalog)
    } else {
        alert.labels.clone()
    };
    Firing {
        name: alert.name.clone(),
        service: alert.service.clone(),
        labels,
        severity: alert.severity,
    }
}

fn labels_of(name: &str, service: &str, severity: Severity, catalog: &Catalog) -> Labels {
    let described = catalog.described(service);
    Labels::of(name, service, severity, described.map(Arc::as_ref))
}

/// Returns the groups of the routing tree, or one for each of the rule's channels. None twice.
pub(super) fn groups_of(
    rule: &AlertRule,
    alert: &Alert,
    catalog: &Catalog,
    now_ms: UnixMillis,
) -> Vec<GroupDraft> {
    let fired_ms = alert.fired_ms.unwrap_or(now_ms);
    let mut groups: Vec<GroupDraft> = Vec::new();
    let mut add = |group: GroupDraft| {
        if !groups
            .iter()
            .any(|other| other.channel == group.channel && other.key == group.key)
        {
            groups.push(group);
        }
    };
    match catalog.route.as_ref().filter(|_| rule.is_routed) {
        None => rule.channels.iter().for_each(|channel| {
            add(GroupDraft {
                key: format!("{}:{}", alert.name, alert.service),
                channel: channel.clone(),
                labels: alert.own_labels(),
                timing: Timing::AT_ONCE,
                mute_times: Vec::new(),
                flush_at_ms: first_flush_ms(&Timing::AT_ONCE, fired_ms, now_ms),
            });
        }),
        Some(route) => {
            let labels = labelled(alert, catalog).labels;
            for destination in route.destinations(&labels) {
                for channel in &destination.channels {
                    add(GroupDraft {
                        key: destination.group_key(&labels),
                        channel: channel.clone(),
                        labels: destination.group_labels(&labels),
                        timing: destination.timing,
                        mute_times: destination.mute_times.clone(),
                        flush_at_ms: first_flush_ms(&destination.timing, fired_ms, now_ms),
                    });
                }
            }
        }
    }
    groups
}

/// The rule's own, or that of the route that it takes.
pub(super) fn escalation_of<'a>(
    rule: &AlertRule,
    alert: &Alert,
    catalog: &'a Catalog,
) -> Option<&'a Arc<EscalationPolicy>> {
    let by_route = || {
        let route = catalog.route.as_ref().filter(|_| rule.is_routed)?;
        let destinations = route.destinations(&labelled(alert, catalog).labels);
        destinations
            .into_iter()
            .find_map(|destination| destination.escalation)
    };
    catalog
        .escalations
        .get(&rule.escalation.clone().or_else(by_route)?)
}
