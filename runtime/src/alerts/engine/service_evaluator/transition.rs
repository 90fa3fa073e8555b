//! Commit of one transition, together with the groups and the escalation that notify people of it.

use std::collections::HashSet;

use crate::alerts::destinations::{escalation_of, groups_of, with_labels};
use crate::alerts::engine::Core;
use crate::alerts::evaluator::UNSAVED;
use crate::alerts::lifecycle::{self, Change};
use crate::alerts::ports::{
    AlertDraft, CommitError, EscalationDraft, MemoryChange, PortResult, RuleRunner, Transition,
};
use crate::domain::{
    Alert, AlertEvent, AlertRule, AlertState, Catalog, ChannelId, GroupDraft, NotificationStatus,
};

/// Commits one change together with the groups whose channels are to be notified of it, then
/// announces it. `before`: the alert as it is.
pub(super) async fn commit(
    core: &Core<impl RuleRunner>,
    catalog: &Catalog,
    rule: Option<&AlertRule>,
    before: Option<&Alert>,
    change: Change,
    memory: MemoryChange,
) -> Result<Alert, CommitError> {
    let change = Change {
        alert: with_labels(change.alert, catalog),
        ..change
    };
    let is_firing = change.notify == Some(NotificationStatus::Firing);
    // Channels of the groups it is in are notified of its end, and of what else happens to it.
    let was_fired = change
        .event
        .from
        .is_some_and(|from| from != AlertState::Pending);
    // More severe than before, it may go to others as well.
    let is_raised = before.is_some_and(|before| change.alert.severity > before.severity);
    let groups = if is_firing && (!was_fired || is_raised) {
        groups(core, catalog, rule, &change.alert).await?
    } else {
        Vec::new()
    };
    let is_news = is_firing && was_fired;
    let escalation = if is_firing && !was_fired {
        escalation(catalog, rule, &change.alert)
    } else {
        None
    };
    let (alert, event, memory) = (change.alert, change.event, Some(memory));
    let transition = Transition {
        alert,
        event,
        groups,
        is_news,
        memory,
        escalation,
    };
    let (alert, event) = core.store.transition_commit(transition).await?;
    announce(core, &alert, &event);
    Ok(alert)
}

fn announce(core: &Core<impl RuleRunner>, alert: &Alert, event: &AlertEvent) {
    let signals = &core.signals;
    signals.unrecorded().recorded(alert, core.clock.now_ms());
    metrics::counter!("extrack_alert_transitions_total", "to" => event.to.as_str()).increment(1);
    let (service, rule, state) = (
        alert.service.as_str(),
        alert.name.as_str(),
        alert.state.as_str(),
    );
    let reason = event.reason.as_str();
    tracing::info!(
        service,
        rule,
        state,
        alert = alert.id.0,
        reason,
        "alert is {state}"
    );
    signals.committed(alert, event);
}

/// Returns the escalation that goes on until the alert is acknowledged.
fn escalation(
    catalog: &Catalog,
    rule: Option<&AlertRule>,
    alert: &AlertDraft,
) -> Option<EscalationDraft> {
    let policy = escalation_of(rule?, &lifecycle::alert_of(alert, UNSAVED), catalog)?;
    Some(EscalationDraft {
        policy: policy.name.clone(),
        progress: policy.begin(alert.fired_ms.unwrap_or(alert.updated_ms))?,
    })
}

/// Returns the groups that notify of an alert that fires, with channels that are in the store.
async fn groups(
    core: &Core<impl RuleRunner>,
    catalog: &Catalog,
    rule: Option<&AlertRule>,
    alert: &AlertDraft,
) -> PortResult<Vec<GroupDraft>> {
    let Some(rule) = rule else {
        return Ok(Vec::new());
    };
    let mut groups = Vec::new();
    for group in groups_of(
        rule,
        &lifecycle::alert_of(alert, UNSAVED),
        catalog,
        core.clock.now_ms(),
    ) {
        if keep_channel(core, catalog, &group.channel).await? {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// Keeps a channel in the store first, so that it can be notified of the end as well. Returns false
/// where there is none of that id.
async fn keep_channel(
    core: &Core<impl RuleRunner>,
    catalog: &Catalog,
    id: &ChannelId,
) -> PortResult<bool> {
    let Some(channel) = catalog.channels.get(id) else {
        metrics::counter!("extrack_alert_channels_unknown_total").increment(1);
        tracing::error!(
            channel = id.0,
            "a rule names a channel that is not in the catalog, it is not notified"
        );
        return Ok(false);
    };
    let is_kept =
        |kept: &(u64, HashSet<ChannelId>)| kept.0 == catalog.version && kept.1.contains(id);
    if !core.kept_channels.lock().is_ok_and(|kept| is_kept(&kept)) {
        core.store.channel_put(channel).await?;
        if let Ok(mut kept) = core.kept_channels.lock() {
            if kept.0 != catalog.version {
                *kept = (catalog.version, HashSet::new());
            }
            kept.1.insert(id.clone());
        }
    }
    Ok(true)
}
