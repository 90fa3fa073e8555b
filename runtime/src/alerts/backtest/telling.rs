//! Who would have been told of a backtest's alerts, and how often: played through the routing,
//! muting, grouping and escalation that decide live, on the assumption that nobody acknowledges
//! anything. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Episode;
use crate::alerts::destinations::{escalation_of, groups_of};
use crate::alerts::dispatch::{RecoveryHolds, decide, has_lost_its_cause, is_quiet_time, labelled};
use crate::domain::{
    Alert, AlertGroup, AlertId, AlertMarks, AlertRule, AlertState, Catalog, ChannelId,
    EscalationPolicy, EscalationProgress, Firing, GroupDraft, GroupMember, Mutes, Timing, Told,
    UnixMillis,
};

/// Looks at groups and steps of escalations, a second or two of work. A month of a hundred services
/// takes a few ten thousand.
const MOST_STEPS: u32 = 1_000_000;

/// One rule, one service.
#[derive(Debug, Clone)]
pub struct Played {
    pub rule: Arc<AlertRule>,
    pub episodes: Vec<Episode>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telling {
    pub messages: BTreeMap<ChannelId, u64>,
    /// By the place in `played` and the place among its episodes: what kept people from hearing of
    /// it when it fired.
    pub suppressed_by: BTreeMap<(usize, usize), String>,
    /// There are more messages than were counted: it was ended before the last moment.
    pub is_cut: bool,
}

/// `others` are alerts of other rules in the same time: they mute, and are not told of.
pub fn tell(
    played: &[Played],
    others: &[Alert],
    catalog: &Catalog,
    mutes: &Mutes,
    until_ms: UnixMillis,
) -> Telling {
    let mut parts: Vec<Part> = Vec::new();
    for (index, Played { rule, episodes }) in played.iter().enumerate() {
        for (place, episode) in episodes.iter().enumerate() {
            let alert = alert(rule, episode, AlertId(parts.len() as i64));
            let flapping = episode.flapping.clone();
            parts.push(Part::new(
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
        parts.push(Part::new(
            None,
            (0, 0),
            alert,
            other.resolved_ms,
            Vec::new(),
        ));
    }
    let mut moments: Vec<(UnixMillis, usize, Moment)> = Vec::new();
    for (
        part,
        Part {
            alert,
            resolved_ms,
            flapping,
            ..
        },
    ) in parts.iter().enumerate()
    {
        moments.extend(
            alert
                .fired_ms
                .map(|fired_ms| (fired_ms, part, Moment::Fires)),
        );
        moments.extend(
            flapping
                .iter()
                .map(|(at_ms, flaps)| (*at_ms, part, Moment::Flaps(*flaps))),
        );
        moments.extend(resolved_ms.map(|ended_ms| (ended_ms, part, Moment::Ends)));
    }
    moments.retain(|(at_ms, ..)| *at_ms < until_ms);
    // The end of an alert comes before the beginning of the next one of its rule.
    moments.sort_by_key(|(at_ms, part, _)| (*at_ms, *part));
    let groups = BTreeMap::new();
    let (open, told) = (Vec::new(), Telling::default());
    let recovery_holds = RecoveryHolds::default();
    Play {
        catalog,
        mutes,
        parts,
        open,
        groups,
        recovery_holds,
        told,
    }
    .run(moments, until_ms)
}

/// As of the moment at which it fires. Until then nobody looks at it.
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
        marks: AlertMarks::default(),
    }
}

enum Moment {
    Fires,
    Flaps(bool),
    Ends,
}

struct Part {
    /// None: it only mutes.
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
    /// The alert is muted, so nobody is awaited.
    is_paused: bool,
}

type GroupKey = (String, ChannelId);

struct Grouped {
    /// Looked at at the moments that `flush_at_ms` and its interval make.
    group: AlertGroup,
    /// The first of them at which there can be something to say, unless something happens before.
    look_ms: Option<UnixMillis>,
}

struct Play<'a> {
    catalog: &'a Catalog,
    mutes: &'a Mutes,
    parts: Vec<Part>,
    /// Places of the alerts that fire, with what they mute others by.
    open: Vec<(usize, Firing)>,
    groups: BTreeMap<GroupKey, Grouped>,
    recovery_holds: RecoveryHolds,
    told: Telling,
}

impl Part {
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

impl Play<'_> {
    fn run(mut self, moments: Vec<(UnixMillis, usize, Moment)>, until_ms: UnixMillis) -> Telling {
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
                return self.told;
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
        self.told.is_cut = true;
        self.told
    }

    /// When a group is to be looked at or a step to be taken.
    fn next_ms(&self) -> Option<UnixMillis> {
        let looks = self.groups.values().filter_map(|grouped| grouped.look_ms);
        let awaited = self
            .open
            .iter()
            .filter_map(|(part, _)| self.parts[*part].escalation.as_ref());
        let steps = awaited
            .filter(|escalating| !escalating.is_paused)
            .map(|escalating| escalating.progress.due_ms);
        looks.chain(steps).min()
    }

    fn apply(&mut self, index: usize, moment: Moment, now_ms: UnixMillis) {
        match moment {
            Moment::Fires => self.fire(index, now_ms),
            Moment::Flaps(flaps) => {
                let part = &mut self.parts[index];
                part.alert.marks.flapping = flaps;
                if flaps && part.alert.state == AlertState::Firing {
                    self.learn(index, Told::Firing, Told::Again);
                }
                self.touch(index, now_ms);
            }
            Moment::Ends => {
                self.open.retain(|(part, _)| *part != index);
                let part = &mut self.parts[index];
                part.escalation = None;
                self.recovery_holds.release(part.alert.id);
                let was_muted = part.alert.state == AlertState::Suppressed;
                (part.alert.state, part.alert.resolved_ms) = (AlertState::Resolved, Some(now_ms));
                if was_muted {
                    self.learn(index, Told::Nothing, Told::Held);
                }
                self.touch(index, now_ms);
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
            self.groups
                .entry(key.clone())
                .or_insert_with(|| Grouped::new(draft))
                .join(&part.alert, now_ms);
            part.groups.push(key);
        }
        let policy = escalation_of(&rule, &part.alert, self.catalog);
        part.escalation = policy.and_then(|policy| {
            Some(Escalating {
                progress: policy.begin(now_ms)?,
                policy: policy.clone(),
                is_paused: false,
            })
        });
    }

    /// What the channels know of the alert.
    fn learn(&mut self, index: usize, from: Told, to: Told) {
        let part = &self.parts[index];
        for key in &part.groups {
            let members = self
                .groups
                .get_mut(key)
                .map(|grouped| &mut grouped.group.members);
            for member in members.into_iter().flatten() {
                if member.alert.id == part.alert.id && member.told == from {
                    member.told = to;
                }
            }
        }
    }

    /// Something happened to the alert: its groups see it as it is now, and have something to think
    /// about.
    fn touch(&mut self, index: usize, now_ms: UnixMillis) {
        let part = &self.parts[index];
        for key in &part.groups {
            let Some(grouped) = self.groups.get_mut(key) else {
                continue;
            };
            let Some(member) = grouped
                .group
                .members
                .iter_mut()
                .find(|member| member.alert.id == part.alert.id)
            else {
                continue;
            };
            member.alert = part.alert.clone();
            grouped.wake(now_ms);
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
                self.told.suppressed_by.insert(part.place, mute.clone());
            }
            if mute == part.alert.suppressed_by {
                continue;
            }
            let is_muted = mute.is_some();
            part.alert.state = if is_muted {
                AlertState::Suppressed
            } else {
                AlertState::Firing
            };
            part.alert.suppressed_by = mute;
            if let Some(escalating) = &mut part.escalation {
                escalating.pause(is_muted, now_ms);
            }
            self.touch(index, now_ms);
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
            if escalating.is_paused || escalating.progress.due_ms > now_ms {
                self.parts[index].escalation = Some(escalating);
                continue;
            }
            let (taken, next) = escalating.policy.advance(escalating.progress, now_ms);
            self.parts[index].escalation = next.map(|progress| Escalating {
                progress,
                ..escalating
            });
            for channel in taken.into_iter().flat_map(|taken| taken.channels) {
                self.tell_step(index, channel);
            }
        }
    }

    /// One message of an escalation. Whoever hears of it is told of the end as well.
    fn tell_step(&mut self, index: usize, channel: ChannelId) {
        let part = &mut self.parts[index];
        let key = match part.groups.iter().find(|(_, other)| *other == channel) {
            Some(key) => key.clone(),
            None => {
                let key = (format!("escalation:{}", part.alert.id.0), channel.clone());
                part.groups.push(key.clone());
                key
            }
        };
        let draft = || GroupDraft {
            key: key.0.clone(),
            channel: key.1.clone(),
            labels: part.alert.own_labels(),
            timing: Timing::AT_ONCE,
            mute_times: Vec::new(),
            flush_at_ms: UnixMillis::MAX,
        };
        let grouped = self.groups.entry(key.clone()).or_insert_with(|| Grouped {
            look_ms: None,
            ..Grouped::new(draft())
        });
        grouped.put(&part.alert, Told::Firing);
        self.count(&channel, 1);
    }

    /// A channel that is not in the catalog is not told.
    fn count(&mut self, channel: &ChannelId, messages: u64) {
        if messages > 0 && self.catalog.channels.contains_key(channel) {
            *self.told.messages.entry(channel.clone()).or_default() += messages;
        }
    }
}

impl Escalating {
    /// One that is awaited again waits the time of its step again.
    fn pause(&mut self, is_muted: bool, now_ms: UnixMillis) {
        if self.is_paused && !is_muted {
            self.progress = self
                .policy
                .resume(self.progress, now_ms)
                .unwrap_or(self.progress);
        }
        self.is_paused = is_muted;
    }
}

impl Grouped {
    fn new(draft: GroupDraft) -> Self {
        let group = AlertGroup {
            id: 0,
            key: draft.key,
            channel: draft.channel,
            labels: draft.labels,
            timing: draft.timing,
            mute_times: draft.mute_times,
            flush_at_ms: Some(draft.flush_at_ms),
            told_ms: None,
            revision: 0,
            members: Vec::new(),
        };
        Self {
            look_ms: group.flush_at_ms,
            group,
        }
    }

    fn join(&mut self, alert: &Alert, now_ms: UnixMillis) {
        self.put(alert, Told::Nothing);
        self.wake(now_ms);
    }

    fn put(&mut self, alert: &Alert, told: Told) {
        match self
            .group
            .members
            .iter_mut()
            .find(|member| member.alert.id == alert.id)
        {
            Some(member) => member.told = told,
            None => self.group.members.push(GroupMember {
                alert: alert.clone(),
                fired: alert.clone(),
                told,
            }),
        }
    }

    /// It is looked at with its next moment, or at once where it collects nothing.
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
        group
            .members
            .retain(|member| !flush.leave.contains(&member.alert.id));
        for (id, told) in &flush.told {
            group
                .members
                .iter_mut()
                .filter(|member| member.alert.id == *id)
                .for_each(|member| member.told = *told);
        }
        (group.flush_at_ms, group.told_ms) = (flush.flush_at_ms, flush.told_ms);
        let is_owed = group
            .members
            .iter()
            .any(|member| member.told.is_owed() && member.alert.state == AlertState::Firing);
        self.look_ms = flush
            .flush_at_ms
            .and_then(|next_ms| match (is_owed, flush.told_ms) {
                (true, _) => Some(next_ms),
                (false, Some(told_ms)) => {
                    Some(self.moment_from(next_ms, told_ms + ms(self.group.timing.repeat)))
                }
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
