//! Where an alert that fires is told of, live and in backtests: the groups it joins, and the policy
//! by which others are told if nobody comes. Pure.

use std::sync::Arc;

use crate::domain::{Alert, AlertRule, Catalog, EscalationPolicy, GroupDraft, Timing, UnixMillis};

use super::dispatch::{first_flush_ms, labelled};

/// As the routing tree says, or a group of its own for each of the rule's channels. None twice.
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
