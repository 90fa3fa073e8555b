//! What mutes which alerts: read before the groups are, so that nobody is told of what is muted.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use crate::alerts::lifecycle::ENGINE;
use crate::alerts::ports::{PortResult, Quiet};
use crate::domain::duration::format_duration;
use crate::domain::{
    Alert, AlertGroup, AlertId, AlertState, Catalog, Firing, Labels, Maintenance, Mute, MuteChange, Mutes, Silence,
    Told, UnixMillis,
};

/// How long before its end people are told that a silence still mutes something, if it holds for longer than that at all.
const NOTICE_MS: i64 = 15 * 60 * 1_000;

/// What was found, for the look at the groups that follows.
pub(super) struct Sweep {
    mutes: Mutes,
    firing: Vec<Firing>,
    /// Alerts that were looked at; none: nothing is muted, so there was nothing to look at.
    seen: Option<HashSet<AlertId>>,
    catalog: Arc<Catalog>,
    /// When something begins or ends next that mutes.
    pub(super) next_change_ms: Option<UnixMillis>,
}

impl Sweep {
    /// An alert that fired after the sweep may be muted: its groups have to wait for the next one.
    pub(super) fn covers(&self, group: &AlertGroup) -> bool {
        let Some(seen) = &self.seen else { return true };
        let is_open_question = |alert: &Alert, told: Told| {
            alert.state == AlertState::Firing && told.is_owed() && !seen.contains(&alert.id)
        };
        !group.members.iter().any(|member| is_open_question(&member.alert, member.told))
    }

    /// An alert that came and went before anybody looked is not told of where it would have been muted.
    pub(super) fn hold(&self, group: &mut AlertGroup, now_ms: UnixMillis) {
        for member in &mut group.members {
            let is_over = member.alert.state == AlertState::Resolved && member.told == Told::Nothing;
            let alert = labelled(&member.alert, &self.catalog);
            if is_over && self.seen.is_some() && self.mutes.find(&alert, &self.firing, now_ms).is_some() {
                member.told = Told::Held;
            }
        }
    }
}

impl Dispatcher {
    /// Mutes alerts and lets them be heard again, as the silences, windows, inhibitions and dependencies of this moment say.
    pub(super) async fn sweep(&mut self, catalog: Arc<Catalog>) -> PortResult<Sweep> {
        let now_ms = self.deps.clock.now_ms();
        let quiet = self.deps.store.quiet(now_ms).await?;
        let silences = quiet.silences.iter().map(|stored| stored.silence.clone()).collect();
        let mutes = mutes_of(&catalog, silences, quiet.maintenance.clone());
        let next_change_ms = mutes.next_change_ms(now_ms);
        if mutes.is_empty() && !self.may_be_muted {
            return Ok(Sweep { mutes, firing: Vec::new(), seen: None, catalog, next_change_ms });
        }
        let open = self.deps.store.alert_open_list().await?;
        let open: Vec<Alert> = open.into_iter().filter(|alert| alert.fired_ms.is_some()).collect();
        let all: Vec<Firing> = open.iter().map(|alert| labelled(alert, &catalog)).collect();
        self.may_be_muted = false;
        let mut muted_by_silence: Vec<(i64, AlertId)> = Vec::new();
        for (alert, labelled) in open.iter().zip(&all) {
            let mute = match alert.state {
                AlertState::Firing | AlertState::Suppressed => mutes.find(labelled, &all, now_ms),
                AlertState::Pending | AlertState::Acknowledged | AlertState::Resolved => continue,
            };
            self.may_be_muted |= mute.is_some();
            if let Some(Mute::Silence { id, .. }) = &mute {
                muted_by_silence.push((*id, alert.id));
            }
            if let Some(change) = change(alert, mute.as_ref(), now_ms) {
                self.mute(change).await?;
            }
        }
        self.give_notice(&quiet, &muted_by_silence, now_ms).await?;
        let seen = Some(open.iter().map(|alert| alert.id).collect());
        Ok(Sweep { mutes, firing: all, seen, catalog, next_change_ms })
    }

    async fn mute(&self, change: MuteChange) -> PortResult<()> {
        // Whoever changed the alert meanwhile wakes this loop again.
        let Some(committed) = self.deps.store.alert_mute(change).await? else { return Ok(()) };
        let (alert, event) = (&committed.alert, &committed.event);
        metrics::counter!("extrack_alert_transitions_total", "to" => event.to.as_str()).increment(1);
        let (service, rule, reason) = (alert.service.as_str(), alert.name.as_str(), event.reason.as_str());
        tracing::info!(service, rule, alert = alert.id.0, reason, "alert is {}", event.to.as_str());
        self.deps.signals.committed(alert, event);
        Ok(())
    }

    /// Whoever made a silence should know before it ends that it still mutes something.
    async fn give_notice(&self, quiet: &Quiet, muted: &[(i64, AlertId)], now_ms: UnixMillis) -> PortResult<()> {
        for stored in quiet.silences.iter().filter(|stored| stored.noticed_ms.is_none()) {
            let silence = &stored.silence;
            let left_ms = silence.ends_ms - now_ms;
            let is_long = silence.ends_ms - silence.starts_ms > NOTICE_MS;
            let alerts: Vec<AlertId> =
                muted.iter().filter(|(id, _)| *id == silence.id).map(|(_, alert)| *alert).collect();
            if !is_long || left_ms > NOTICE_MS || alerts.is_empty() {
                continue;
            }
            let minutes = left_ms.max(0).unsigned_abs().div_ceil(60_000);
            let left = format_duration(Duration::from_secs(60 * minutes));
            let reason = format!("silence {} ends in {left} and still mutes this alert", silence.id);
            if self.deps.store.silence_notice(silence.id, alerts.clone(), reason, now_ms).await? {
                metrics::counter!("extrack_silences_ending_total").increment(1);
                let author = silence.author.as_str();
                tracing::warn!(
                    silence = silence.id,
                    author,
                    alerts = alerts.len(),
                    left,
                    "a silence ends soon and still mutes alerts"
                );
                self.deps.signals.wake_events();
            }
        }
        Ok(())
    }
}

/// Everything that can mute: what the files say, and what people said over the API.
pub fn mutes_of(catalog: &Catalog, silences: Vec<Silence>, windows: Vec<Arc<Maintenance>>) -> Mutes {
    Mutes {
        silences,
        maintenance: catalog.maintenance.iter().cloned().chain(windows).collect(),
        inhibitions: Arc::clone(&catalog.inhibitions),
        dependencies: Arc::clone(&catalog.dependencies),
    }
}

/// One of the group's mute times is now.
pub fn is_quiet_time(group: &AlertGroup, catalog: &Catalog, now_ms: UnixMillis) -> bool {
    let mut times = group.mute_times.iter().filter_map(|name| catalog.mute_times.get(name));
    times.any(|time| time.open_at(now_ms).is_some())
}

/// An alert with its labels.
pub fn labelled(alert: &Alert, catalog: &Catalog) -> Firing {
    let service = catalog.described(&alert.service);
    Firing {
        name: alert.name.clone(),
        service: alert.service.clone(),
        labels: Labels::of(&alert.name, &alert.service, alert.severity, service.map(Arc::as_ref)),
        severity: alert.severity,
    }
}

fn change(alert: &Alert, mute: Option<&Mute>, ts_ms: UnixMillis) -> Option<MuteChange> {
    let by = mute.map(Mute::to_string);
    if by == alert.suppressed_by && by.is_some() == (alert.state == AlertState::Suppressed) {
        return None;
    }
    let (actor, reason) = match (mute, &alert.suppressed_by) {
        (Some(mute), _) => (mute.actor().unwrap_or(ENGINE), mute.reason()),
        (None, Some(before)) => (ENGINE, format!("no longer suppressed by {before}")),
        (None, None) => (ENGINE, "no longer suppressed".to_owned()),
    };
    let (alert, from, actor) = (alert.id, alert.state, actor.to_owned());
    Some(MuteChange { alert, from, suppressed_by: by, actor, reason, ts_ms })
}
