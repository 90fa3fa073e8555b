//! [`count_messages`] sends a backtest's alerts through the routing, muting, grouping and escalation
//! that decide live, and counts the messages by channel, as if no alert was acknowledged. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::destinations::{escalation_of, groups_of, labelled};
use super::dispatch::{RecoveryHolds, decide, has_lost_its_cause, is_quiet_time};
use crate::domain::{
    Alert, AlertFlags, AlertGroup, AlertId, AlertRule, AlertState, AlertStep, Catalog, ChannelId,
    EscalationPolicy, EscalationProgress, Firing, MuteChange, Mutes, UnixMillis,
};

/// Looks at groups and steps of escalations, a second or two of work. A month of a hundred services
/// takes a few ten thousand.
const MOST_STEPS: u32 = 1_000_000;

/// An alert that would have fired, or did.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// First breach.
    pub started_ms: UnixMillis,
    pub fired_ms: UnixMillis,
    /// Null: it fires still at the end.
    pub resolved_ms: Option<UnixMillis>,
    /// The value found beside the value wanted, as it fired.
    pub summary: String,
    /// When it began and ceased to flap.
    pub flapping: Vec<(UnixMillis, bool)>,
}

impl Episode {
    /// Returns none for an alert that never fired.
    pub fn of(alert: &Alert) -> Option<Self> {
        Some(Self {
            started_ms: alert.started_ms,
            fired_ms: alert.fired_ms?,
            resolved_ms: alert.resolved_ms,
            summary: alert.summary.clone(),
            flapping: Vec::new(),
        })
    }
}

/// One rule, one service.
#[derive(Debug, Clone)]
pub struct RuleEpisodes {
    pub rule: Arc<AlertRule>,
    pub episodes: Vec<Episode>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageCount {
    pub messages: BTreeMap<ChannelId, u64>,
    /// The mute of an alert when it fired, by the place of its rule and its place among the
    /// episodes of that rule.
    pub suppressed_by: BTreeMap<(usize, usize), String>,
    /// There are more messages than were counted: it was ended before the last moment.
    pub is_cut: bool,
}

/// Counts the messages about alerts of some rules. `others` are alerts of other rules in the same
/// time, which mute and send nothing.
pub fn count_messages(
    rules: &[RuleEpisodes],
    others: &[Alert],
    catalog: &Catalog,
    mutes: &Mutes,
    until_ms: UnixMillis,
) -> MessageCount {
    let parts = simulated(rules, others);
    let moments = moments(&parts, until_ms);
    let groups = BTreeMap::new();
    let (open, counted) = (Vec::new(), MessageCount::default());
    let recovery_holds = RecoveryHolds::default();
    MessageSimulation {
        catalog,
        mutes,
        parts,
        open,
        groups,
        recovery_holds,
        counted,
    }
    .run(moments, until_ms)
}

/// Returns the alerts that take part, each with its place as its number.
fn simulated(rules: &[RuleEpisodes], others: &[Alert]) -> Vec<SimulatedAlert> {
    let mut parts: Vec<SimulatedAlert> = Vec::new();
    for (index, RuleEpisodes { rule, episodes }) in rules.iter().enumerate() {
        for (place, episode) in episodes.iter().enumerate() {
            let alert = alert(rule, episode, AlertId(parts.len() as i64));
            let flapping = episode.flapping.clone();
            parts.push(SimulatedAlert::new(
                Some(rule.clone()),
                (index, place),
                alert,
                episode.resolved_ms,
                flapping,
            ));
        }
    }
    for other in others {
        let alert = Alert {
            id: AlertId(parts.len() as i64),
            ..other.clone()
        };
        let (place, flapping) = ((0, 0), Vec::new());
        parts.push(SimulatedAlert::new(
            None,
            place,
            alert,
            other.resolved_ms,
            flapping,
        ));
    }
    parts
}

/// Returns when what happens to which alert, in this order.
fn moments(parts: &[SimulatedAlert], until_ms: UnixMillis) -> Vec<(UnixMillis, usize, Moment)> {
    let mut moments = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let fires = part.alert.fired_ms.map(|at_ms| (at_ms, Moment::Fires));
        let flaps = part
            .flapping
            .iter()
            .map(|(at_ms, flaps)| (*at_ms, Moment::Flaps(*flaps)));
        let ends = part.resolved_ms.map(|at_ms| (at_ms, Moment::Ends));
        let all = fires.into_iter().chain(flaps).chain(ends);
        moments.extend(all.map(|(at_ms, moment)| (at_ms, index, moment)));
    }
    moments.retain(|(at_ms, ..)| *at_ms < until_ms);
    // The end of an alert comes before the beginning of the next one of its rule.
    moments.sort_by_key(|(at_ms, index, _)| (*at_ms, *index));
    moments
}

/// Returns the alert of an episode as of the moment at which it fires.
fn alert(rule: &AlertRule, episode: &Episode, id: AlertId) -> Alert {
    Alert {
        id,
        name: rule.name.clone(),
        rule: rule.key.clone(),
        service: rule.service.clone(),
        severity: rule.severity,
        state: AlertState::Firing,
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: episode.started_ms,
        fired_ms: Some(episode.fired_ms),
        resolved_ms: None,
        updated_ms: episode.fired_ms,
        suppressed_by: None,
        flags: AlertFlags::default(),
        labels: Default::default(),
    }
}

enum Moment {
    Fires,
    Flaps(bool),
    Ends,
}

struct SimulatedAlert {
    /// Rule of the alert; none: it only mutes.
    rule: Option<Arc<AlertRule>>,
    place: (usize, usize),
    alert: Alert,
    resolved_ms: Option<UnixMillis>,
    flapping: Vec<(UnixMillis, bool)>,
    groups: Vec<GroupKey>,
    escalation: Option<Escalating>,
}

struct Escalating {
    policy: Arc<EscalationPolicy>,
    progress: EscalationProgress,
}

type GroupKey = (String, ChannelId);

struct Grouped {
    /// Looked at at the moments that `flush_at_ms` and its interval make.
    group: AlertGroup,
    /// The first of them at which a message can be due, unless something happens before.
    look_ms: Option<UnixMillis>,
}

struct MessageSimulation<'a> {
    catalog: &'a Catalog,
    mutes: &'a Mutes,
    parts: Vec<SimulatedAlert>,
    /// Places of the alerts that fire, with what they mute others by.
    open: Vec<(usize, Firing)>,
    groups: BTreeMap<GroupKey, Grouped>,
    recovery_holds: RecoveryHolds,
    counted: MessageCount,
}

impl SimulatedAlert {
    fn new(
        rule: Option<Arc<AlertRule>>,
        place: (usize, usize),
        alert: Alert,
        resolved_ms: Option<UnixMillis>,
        flapping: Vec<(UnixMillis, bool)>,
    ) -> Self {
        Self {
            rule,
            place,
            alert,
            resolved_ms,
            flapping,
            groups: Vec::new(),
            escalation: None,
        }
    }
}

impl MessageSimulation<'_> {
    fn run(
        mut self,
        moments: Vec<(UnixMillis, usize, Moment)>,
        until_ms: UnixMillis,
    ) -> MessageCount {
        let mut moments = moments.into_iter().peekable();
        let mut mutes_ms = None;
        for _ in 0..MOST_STEPS {
            let next_ms = moments
                .peek()
                .map(|(at_ms, ..)| *at_ms)
                .into_iter()
                .chain(mutes_ms)
                .chain(self.next_ms())
                .min();
            let Some(now_ms) = next_ms.filter(|next_ms| *next_ms < until_ms) else {
                return self.counted;
            };
            let mut is_changed = mutes_ms.is_some_and(|at_ms| at_ms <= now_ms);
            while let Some((_, part, moment)) = moments.next_if(|(at_ms, ..)| *at_ms <= now_ms) {
                self.apply(part, moment, now_ms);
                is_changed = true;
            }
            if is_changed {
                self.mute(now_ms);
                let next_ms = self
                    .mutes
                    .next_change_ms(now_ms)
                    .into_iter()
                    .chain(self.recovery_holds.next_end_ms())
                    .min();
                mutes_ms = if self.open.is_empty() { None } else { next_ms };
            }
            self.flush(now_ms);
            self.escalate(now_ms);
        }
        self.counted.is_cut = true;
        self.counted
    }

    /// When a group is to be looked at or a step to be taken.
    fn next_ms(&self) -> Option<UnixMillis> {
        let looks = self.groups.values().filter_map(|grouped| grouped.look_ms);
        let awaited = self
            .open
            .iter()
            .filter_map(|(part, _)| self.parts[*part].escalation.as_ref());
        let steps = awaited.filter_map(|escalating| escalating.progress.due_ms);
        looks.chain(steps).min()
    }

    fn apply(&mut self, index: usize, moment: Moment, now_ms: UnixMillis) {
        match moment {
            Moment::Fires => self.fire(index, now_ms),
            Moment::Flaps(flaps) => {
                let alert = &mut self.parts[index].alert;
                alert.flags.flapping = flaps;
                let step = AlertStep {
                    from: Some(alert.state),
                    to: alert.state,
                    ts_ms: now_ms,
                    is_news: flaps && alert.state == AlertState::Firing,
                };
                self.note_step(index, &step);
            }
            Moment::Ends => {
                self.open.retain(|(part, _)| *part != index);
                let alert = &mut self.parts[index].alert;
                self.recovery_holds.release(alert.id);
                let step = AlertStep {
                    from: Some(alert.state),
                    to: AlertState::Resolved,
                    ts_ms: now_ms,
                    is_news: false,
                };
                (alert.state, alert.resolved_ms) = (AlertState::Resolved, Some(now_ms));
                self.note_step(index, &step);
            }
        }
    }

    fn fire(&mut self, index: usize, now_ms: UnixMillis) {
        let part = &mut self.parts[index];
        self.open.push((index, labelled(&part.alert, self.catalog)));
        let Some(rule) = part.rule.clone() else {
            return;
        };
        for draft in groups_of(&rule, &part.alert, self.catalog, now_ms) {
            let key = (draft.key.clone(), draft.channel.clone());
            let grouped = self
                .groups
                .entry(key.clone())
                .or_insert_with(|| Grouped::new(AlertGroup::new(draft.clone())));
            grouped.group.join(draft, &part.alert);
            grouped.wake(now_ms);
            part.groups.push(key);
        }
        let policy = escalation_of(&rule, &part.alert, self.catalog);
        part.escalation = policy.and_then(|policy| {
            Some(Escalating {
                progress: policy.begin(now_ms)?,
                policy: policy.clone(),
            })
        });
    }

    /// Takes a transition of an alert into its escalation and its groups.
    fn note_step(&mut self, index: usize, step: &AlertStep) {
        let part = &mut self.parts[index];
        part.escalation = part.escalation.take().and_then(|escalating| {
            Some(Escalating {
                progress: escalating.progress.on_step(step)?,
                ..escalating
            })
        });
        for key in &part.groups {
            if let Some(grouped) = self.groups.get_mut(key) {
                grouped.group.on_step(&part.alert, step);
                grouped.wake(step.ts_ms);
            }
        }
    }

    fn mute(&mut self, now_ms: UnixMillis) {
        if self.mutes.is_empty() {
            return;
        }
        let firing: Vec<Firing> = self.open.iter().map(|(_, firing)| firing.clone()).collect();
        let mutes = self.mutes.at(&firing, now_ms);
        for (at, labelled) in firing.iter().enumerate() {
            let index = self.open[at].0;
            let part = &mut self.parts[index];
            if part.rule.is_none() {
                continue;
            }
            let mute = mutes.find(labelled).map(|mute| mute.to_string());
            let is_held = mute.is_none()
                && has_lost_its_cause(&part.alert)
                && self
                    .recovery_holds
                    .is_held(&part.alert, self.catalog, now_ms);
            if is_held {
                continue;
            }
            self.recovery_holds.release(part.alert.id);
            if let Some(mute) = mute
                .as_ref()
                .filter(|_| part.alert.fired_ms == Some(now_ms))
            {
                self.counted.suppressed_by.insert(part.place, mute.clone());
            }
            if mute == part.alert.suppressed_by {
                continue;
            }
            let change = MuteChange {
                alert: part.alert.id,
                from: part.alert.state,
                suppressed_by: mute,
                actor: String::new(),
                reason: String::new(),
                ts_ms: now_ms,
            };
            if let Some(step) = part.alert.apply_mute(&change) {
                self.note_step(index, &step);
            }
        }
    }

    fn flush(&mut self, now_ms: UnixMillis) {
        let due = self
            .groups
            .iter()
            .filter(|(_, grouped)| grouped.look_ms.is_some_and(|look_ms| look_ms <= now_ms));
        let due: Vec<GroupKey> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            let Some(grouped) = self.groups.get_mut(&key) else {
                continue;
            };
            let count = grouped.flush(self.catalog, now_ms);
            self.count(&key.1, count);
            if self
                .groups
                .get(&key)
                .is_some_and(|grouped| grouped.group.members.is_empty())
            {
                self.groups.remove(&key);
            }
        }
    }

    fn escalate(&mut self, now_ms: UnixMillis) {
        for at in 0..self.open.len() {
            let index = self.open[at].0;
            let Some(escalating) = self.parts[index].escalation.take() else {
                continue;
            };
            let due_ms = escalating.progress.due_ms;
            if due_ms.is_none_or(|due_ms| due_ms > now_ms) {
                self.parts[index].escalation = Some(escalating);
                continue;
            }
            let (taken, next) = escalating.policy.advance(escalating.progress, now_ms);
            self.parts[index].escalation = next.map(|progress| Escalating {
                progress,
                ..escalating
            });
            for channel in taken.into_iter().flat_map(|taken| taken.channels) {
                self.take_step(index, channel, now_ms);
            }
        }
    }

    /// Counts one message of an escalation. Its channel is notified of the end as well.
    fn take_step(&mut self, index: usize, channel: ChannelId, now_ms: UnixMillis) {
        let part = &mut self.parts[index];
        let known = part.groups.iter().find(|(_, other)| *other == channel);
        let key = known.cloned().unwrap_or_else(|| {
            let group = AlertGroup::for_escalation(&part.alert, &channel, now_ms);
            let key = (group.key.clone(), channel.clone());
            part.groups.push(key.clone());
            self.groups
                .entry(key.clone())
                .or_insert(Grouped::new(group));
            key
        });
        if let Some(grouped) = self.groups.get_mut(&key) {
            grouped.group.on_escalated(&part.alert);
        }
        self.count(&channel, 1);
    }

    /// Counts messages to a channel of the catalog.
    fn count(&mut self, channel: &ChannelId, messages: u64) {
        if messages > 0 && self.catalog.channels.contains_key(channel) {
            *self.counted.messages.entry(channel.clone()).or_default() += messages;
        }
    }
}

impl Grouped {
    fn new(group: AlertGroup) -> Self {
        Self {
            group,
            look_ms: None,
        }
    }

    /// Has the group looked at with its next moment, or at once where it collects nothing.
    fn wake(&mut self, now_ms: UnixMillis) {
        self.look_ms = match self.group.flush_at_ms {
            Some(first_ms) if !self.group.timing.is_at_once() => {
                Some(self.moment_from(first_ms, now_ms))
            }
            _ => Some(now_ms),
        };
    }

    /// Looks at it, as the dispatcher does; answers how many messages that makes.
    fn flush(&mut self, catalog: &Catalog, now_ms: UnixMillis) -> u64 {
        let group = &mut self.group;
        let flush = decide(group, is_quiet_time(group, catalog, now_ms), now_ms);
        group.apply_flush(&flush);
        let needs_message = group.members.iter().any(|member| {
            member.notify_state.needs_message() && member.alert.state == AlertState::Firing
        });
        self.look_ms =
            flush
                .flush_at_ms
                .and_then(|next_ms| match (needs_message, flush.last_notified_ms) {
                    (true, _) => Some(next_ms),
                    (false, Some(last_notified_ms)) => Some(
                        self.moment_from(next_ms, last_notified_ms + ms(self.group.timing.repeat)),
                    ),
                    (false, None) => None,
                });
        flush.notifications.len() as u64
    }

    /// The first of its moments that is not before another one.
    fn moment_from(&self, first_ms: UnixMillis, at_ms: UnixMillis) -> UnixMillis {
        let interval_ms = ms(self.group.timing.interval).max(1);
        let behind_ms = (at_ms - first_ms).max(0);
        first_ms + (behind_ms + interval_ms - 1) / interval_ms * interval_ms
    }
}

fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
