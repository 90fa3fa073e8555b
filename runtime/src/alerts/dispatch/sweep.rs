//! Mutes and unmutes alerts, before groups and steps of escalations are decided on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Dispatcher;
use crate::alerts::destinations::labelled;
use crate::alerts::lifecycle::ENGINE;
use crate::alerts::ports::{PortError, PortResult};
use crate::domain::duration::format_duration;
use crate::domain::{
    Alert, AlertGroup, AlertId, AlertState, Catalog, Firing, Maintenance, Mute, MuteChange, Mutes,
    MutesNow, NotifyState, Silence, UnixMillis,
};
use crate::store::control::StoredSilence;
use crate::store::{ControlError, ControlStore};

/// Time before the end of a silence at which a notice is given that it still mutes something, if it
/// holds for longer than that.
const NOTICE_MS: i64 = 15 * 60 * 1_000;

/// Alerts muted in one transaction: some milliseconds of the writer.
const MUTED_AT_ONCE: usize = 200;

/// Silences and maintenance windows made over the API that have not ended.
#[derive(Debug, Clone, Default)]
pub struct ActiveMutes {
    pub silences: Vec<StoredSilence>,
    pub maintenance: Vec<Arc<Maintenance>>,
}

impl ActiveMutes {
    pub async fn read(store: &ControlStore, now_ms: UnixMillis) -> Result<Self, ControlError> {
        let windows = store.maintenance_open_after(now_ms).await?;
        Ok(Self {
            silences: store.silence_ending_after(now_ms).await?,
            maintenance: windows
                .into_iter()
                .map(|stored| Arc::new(stored.window))
                .collect(),
        })
    }
}

/// Result of a sweep, for the decisions that follow.
pub(super) struct Sweep {
    pub(super) mutes: Mutes,
    /// Empty when nothing at all can be muted.
    pub(super) firing: Vec<Firing>,
    /// Alerts that are muted from now on, be it committed or not.
    pub(super) muted: HashSet<AlertId>,
    /// Why the changes were not all committed.
    pub(super) failed: Option<PortError>,
    pub(super) catalog: Arc<Catalog>,
    /// When something begins or ends next that mutes.
    pub(super) next_change_ms: Option<UnixMillis>,
}

impl Sweep {
    /// Returns a sweep of a moment without any mute.
    fn of_nothing(catalog: Arc<Catalog>, mutes: Mutes) -> Self {
        Self {
            mutes,
            firing: Vec::new(),
            muted: HashSet::new(),
            failed: None,
            catalog,
            next_change_ms: None,
        }
    }

    /// Shows a group as it is to be decided on: an alert that is muted although that could not be
    /// committed, and one that came and went before anybody looked and would have been muted,
    /// are not notified of. Returns whether there is one of the former: the group has to stay
    /// due, since no commit makes it due when the mute ends.
    pub(super) fn apply(&self, group: &mut AlertGroup, mutes: &MutesNow<'_>) -> bool {
        let mut is_ahead = false;
        for member in &mut group.members {
            let alert = &mut member.alert;
            if alert.state == AlertState::Firing && self.muted.contains(&alert.id) {
                alert.state = AlertState::Suppressed;
                is_ahead = true;
            }
            let is_over =
                alert.state == AlertState::Resolved && member.notify_state == NotifyState::Pending;
            if is_over && mutes.find(&labelled(alert, &self.catalog)).is_some() {
                member.notify_state = NotifyState::EndedMuted;
            }
        }
        is_ahead
    }
}

impl Dispatcher {
    /// Mutes alerts, and unmutes them, by the silences, windows, inhibitions and dependencies of
    /// this moment.
    ///
    /// To be called after what is to be decided was read. Everything that mutes is read after the
    /// alerts are: so an alert that was read never lacks a silence or a window that was there when
    /// it fired.
    pub(super) async fn sweep(
        &mut self,
        catalog: &watch::Receiver<Arc<Catalog>>,
    ) -> PortResult<Sweep> {
        if !self.may_be_muted {
            let (catalog, mutes, _) = self.read_mutes(catalog).await?;
            if mutes.is_empty() {
                return Ok(Sweep::of_nothing(catalog, mutes));
            }
        }
        let open = self.deps.store.alert_open_list().await?;
        let (catalog, mutes, quiet) = self.read_mutes(catalog).await?;
        let now_ms = self.deps.clock.now_ms();
        let next_change_ms = mutes.next_change_ms(now_ms);
        let open: Vec<Alert> = open
            .into_iter()
            .filter(|alert| alert.fired_ms.is_some())
            .collect();
        let firing: Vec<Firing> = open.iter().map(|alert| labelled(alert, &catalog)).collect();
        let mutes_now = mutes.at(&firing, now_ms);
        let steady_ms = self.started.elapsed().as_millis() as i64;
        let mut muted_by_silence: Vec<(i64, AlertId)> = Vec::new();
        let (mut changes, mut held, mut muted) = (Vec::new(), HashSet::new(), HashSet::new());
        for (alert, labelled) in open.iter().zip(&firing) {
            if !matches!(alert.state, AlertState::Firing | AlertState::Suppressed) {
                continue;
            }
            let mute = mutes_now.find(labelled);
            let is_held = mute.is_none()
                && has_lost_its_cause(alert)
                && self.recovery_holds.is_held(alert, &catalog, steady_ms);
            if is_held {
                held.insert(alert.id);
                continue;
            }
            if let Some(Mute::Silence { id, .. }) = &mute {
                muted_by_silence.push((*id, alert.id));
            }
            if mute.is_some() {
                muted.insert(alert.id);
            }
            changes.extend(change(alert, mute.as_ref(), now_ms));
        }
        self.may_be_muted = !muted.is_empty()
            || open
                .iter()
                .any(|alert| alert.state == AlertState::Suppressed);
        let failed = async {
            for changes in changes.chunks(MUTED_AT_ONCE) {
                self.mute(changes.to_vec()).await?;
            }
            // One that could not be unmuted is not held once more.
            self.recovery_holds.retain(|alert| held.contains(&alert));
            self.give_notice(&quiet, &muted_by_silence, now_ms).await
        };
        let failed = failed.await.err();
        Ok(Sweep {
            mutes,
            firing,
            muted,
            failed,
            catalog,
            next_change_ms,
        })
    }

    async fn read_mutes(
        &self,
        catalog: &watch::Receiver<Arc<Catalog>>,
    ) -> PortResult<(Arc<Catalog>, Mutes, ActiveMutes)> {
        let catalog = catalog.borrow().clone();
        let quiet = ActiveMutes::read(&self.deps.store, self.deps.clock.now_ms()).await?;
        let silences = quiet
            .silences
            .iter()
            .map(|stored| stored.silence.clone())
            .collect();
        let mutes = mutes_of(&catalog, silences, quiet.maintenance.clone());
        Ok((catalog, mutes, quiet))
    }

    async fn mute(&self, changes: Vec<MuteChange>) -> PortResult<()> {
        // An alert that was changed meanwhile is left out; its change wakes this loop again.
        for (alert, event) in self.deps.store.alert_mute(changes).await? {
            metrics::counter!("extrack_alert_transitions_total", "to" => event.to.as_str())
                .increment(1);
            let (service, rule, reason) = (
                alert.service.as_str(),
                alert.name.as_str(),
                event.reason.as_str(),
            );
            tracing::info!(
                service,
                rule,
                alert = alert.id.0,
                reason,
                "alert is {}",
                event.to.as_str()
            );
            self.deps.signals.committed(&alert, &event);
        }
        Ok(())
    }

    /// Notifies people that a silence ends soon and still mutes something.
    async fn give_notice(
        &self,
        quiet: &ActiveMutes,
        muted: &[(i64, AlertId)],
        now_ms: UnixMillis,
    ) -> PortResult<()> {
        for stored in quiet
            .silences
            .iter()
            .filter(|stored| stored.noticed_ms.is_none())
        {
            let silence = &stored.silence;
            let left_ms = silence.ends_ms - now_ms;
            let is_long = silence.ends_ms - silence.starts_ms > NOTICE_MS;
            let alerts: Vec<AlertId> = muted
                .iter()
                .filter(|(id, _)| *id == silence.id)
                .map(|(_, alert)| *alert)
                .collect();
            if !is_long || left_ms > NOTICE_MS || alerts.is_empty() {
                continue;
            }
            let minutes = left_ms.max(0).unsigned_abs().div_ceil(60_000);
            let left = format_duration(Duration::from_secs(60 * minutes));
            let reason = format!(
                "silence {} ends in {left} and still mutes this alert",
                silence.id
            );
            if self
                .deps
                .store
                .silence_notice(silence.id, &alerts, &reason, now_ms)
                .await?
            {
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

/// Returns everything that can mute: the causes of the files, and those of the API.
pub fn mutes_of(
    catalog: &Catalog,
    silences: Vec<Silence>,
    windows: Vec<Arc<Maintenance>>,
) -> Mutes {
    Mutes {
        silences,
        maintenance: catalog.maintenance.iter().cloned().chain(windows).collect(),
        inhibitions: Arc::clone(&catalog.inhibitions),
        dependencies: Arc::clone(&catalog.dependencies),
        paused: Arc::clone(&catalog.paused),
    }
}

/// One of the group's mute times is now.
pub fn is_quiet_time(group: &AlertGroup, catalog: &Catalog, now_ms: UnixMillis) -> bool {
    let mut times = group
        .mute_times
        .iter()
        .filter_map(|name| catalog.mute_times.get(name));
    times.any(|time| time.open_at(now_ms).is_some())
}

/// Whether the alert is muted by another one, of which the caller knows that it has ended.
pub fn has_lost_its_cause(alert: &Alert) -> bool {
    alert.state == AlertState::Suppressed
        && alert
            .suppressed_by
            .as_deref()
            .is_some_and(Mute::is_by_other_alert)
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
    Some(MuteChange {
        alert,
        from,
        suppressed_by: by,
        actor,
        reason,
        ts_ms,
    })
}
