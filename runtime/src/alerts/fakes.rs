//! Stand-ins for the stores and the plugin host, for tests only. They keep to the contracts in
//! `ports`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;

use super::clock::Clock;
use super::ports::*;
use crate::domain::*;

/// 2023-11-14, in milliseconds.
pub(super) const EPOCH_MS: UnixMillis = 1_700_000_000_000;

pub(super) fn ok() -> Verdict {
    Verdict::Ok(Finding {
        summary: String::new(),
        value: Some(100.0),
        wanted: Some(99.5),
        details: vec![],
    })
}

pub(super) fn breached() -> Verdict {
    Verdict::Breached(Finding {
        summary: String::new(),
        value: Some(90.0),
        wanted: Some(99.5),
        details: vec![],
    })
}

pub(super) fn no_opinion() -> Verdict {
    Verdict::NoOpinion("too little history".to_owned())
}

pub(super) fn rule(service: &str, name: &str) -> AlertRule {
    AlertRule {
        key: format!("{service}/{name}"),
        name: name.to_owned(),
        service: service.to_owned(),
        plugin: "fake".to_owned(),
        settings: json!({}),
        probes: None,
        duration: Duration::ZERO,
        life: Life::default(),
        severity: Severity::Critical,
        channels: vec![ChannelId("slack-1".to_owned())],
        is_routed: false,
        escalation: None,
    }
}

pub(super) fn observation(service: &str, ts_ms: UnixMillis, status: Status) -> Observation {
    Observation {
        ts_ms,
        service: service.to_owned(),
        probe: "health".to_owned(),
        location: LOCAL.to_owned(),
        status,
        latency_us: Some(1_000),
        phases: Phases::default(),
        http_status: None,
        failure: None,
        bytes: 0,
        plugin: "http".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        run_id: ts_ms,
        metrics: vec![],
        missed: false,
        rate_limits: Vec::new(),
    }
}

pub(super) fn channel(id: &str) -> Channel {
    Channel {
        id: ChannelId(id.to_owned()),
        name: id.to_owned(),
        plugin: "fake".to_owned(),
        settings: json!({}),
        origin: Origin::File,
        options: Default::default(),
    }
}

pub(super) fn alert(id: i64, service: &str) -> Alert {
    Alert {
        id: AlertId(id),
        name: "Down".to_owned(),
        rule: format!("{service}/Down"),
        service: service.to_owned(),
        severity: Severity::Critical,
        state: AlertState::Firing,
        summary: "found 90, wanted 99.5".to_owned(),
        value: Some(90.0),
        wanted: Some(99.5),
        started_ms: 0,
        fired_ms: Some(0),
        resolved_ms: None,
        updated_ms: 0,
        suppressed_by: None,
        marks: AlertMarks::default(),
    }
}

pub(super) fn service(slug: &str) -> Service {
    Service {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        kind: "REST".to_owned(),
        base_url: format!("https://{slug}"),
        health_endpoint: None,
        tags: vec![],
        labels: BTreeMap::new(),
        depends_on: vec![],
        owner: None,
        description: None,
        origin: Origin::File,
        hosts: Vec::new(),
        private: Default::default(),
        credentials: vec![],
        probes: vec![],
        webhooks: vec![],
    }
}

pub(super) fn notification(created_ms: UnixMillis) -> Notification {
    Notification {
        id: 1,
        idempotency_key: "key-1".to_owned(),
        group_key: "Down:shop-api".to_owned(),
        group_labels: vec![("service".to_owned(), "shop-api".to_owned())],
        channel: ChannelId("slack-1".to_owned()),
        reason: NotificationReason::Transition,
        status: NotificationStatus::Firing,
        state: NotificationState::Waiting,
        attempts: 0,
        created_ms,
        next_attempt_ms: created_ms,
        delivered_ms: None,
        last_error: None,
        reference: None,
        resent_ms: None,
        digest: None,
        alerts: vec![alert(1, "shop-api")],
        omitted: 0,
    }
}

/// Version 1, the given rules, the channels they name.
pub(super) fn catalog(rules: &[AlertRule]) -> Catalog {
    let mut catalog = Catalog {
        version: 1,
        ..Catalog::default()
    };
    for rule in rules {
        catalog
            .rules
            .entry(rule.service.clone())
            .or_default()
            .push(Arc::new(rule.clone()));
        for id in &rule.channels {
            catalog
                .channels
                .insert(id.clone(), Arc::new(channel(&id.0)));
        }
    }
    catalog
}

/// Lets everything happen that can happen without time passing. The clock is paused, so it moves on
/// only once every task waits.
pub(super) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Lets time pass until it holds; two virtual days at most.
pub(super) async fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..1_728_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("did not come to hold within two days");
}

/// Follows tokio's clock, paused or not, unless it is set back.
#[derive(Debug, Clone, Copy)]
pub(super) struct FakeClock(Instant, &'static AtomicI64);

impl FakeClock {
    pub(super) fn new() -> Self {
        Self(Instant::now(), Box::leak(Box::default()))
    }

    pub(super) fn set_back(&self, ms: i64) {
        self.1.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.elapsed().as_millis() as i64 - self.1.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

fn broken<T>() -> PortResult<T> {
    Err(PortError("the disk is full".to_owned()))
}

#[derive(Default)]
pub(super) struct StoreState {
    pub(super) alerts: BTreeMap<i64, Alert>,
    pub(super) events: Vec<AlertEvent>,
    /// Of their members, the alerts as they are now are in `alerts`.
    pub(super) groups: Vec<AlertGroup>,
    pub(super) notifications: Vec<Notification>,
    pub(super) attempts: Vec<(i64, Attempt)>,
    pub(super) channels: HashMap<ChannelId, Channel>,
    pub(super) silences: Vec<StoredSilence>,
    /// By the key of the rule, with its service.
    pub(super) memories: BTreeMap<String, (String, RuleMemory)>,
    /// The next commits that do nothing.
    pub(super) failing_commits: usize,
    /// The next commits that are done and yet answer with an error.
    pub(super) doubtful_commits: usize,
    pub(super) failing_reads: usize,
    pub(super) failing_attempts: usize,
}

/// Keeps everything over a simulated crash.
#[derive(Clone, Default)]
pub(super) struct FakeStore(Arc<Mutex<StoreState>>);

impl FakeStore {
    pub(super) fn state(&self) -> MutexGuard<'_, StoreState> {
        lock(&self.0)
    }

    /// Each event as `alert:state`.
    pub(super) fn story(&self) -> Vec<String> {
        self.state()
            .events
            .iter()
            .map(|event| format!("{}:{}", event.alert.0, event.to.as_str()))
            .collect()
    }

    pub(super) fn waiting(&self) -> usize {
        let waits = |notification: &&Notification| notification.state == NotificationState::Waiting;
        self.state().notifications.iter().filter(waits).count()
    }
}

impl StoreState {
    fn remember(&mut self, rule: &str, service: &str, change: MemoryChange) {
        if change == MemoryChange::Forgotten {
            self.memories.remove(rule);
            return;
        }
        let (_, memory) = self
            .memories
            .entry(rule.to_owned())
            .or_insert((service.to_owned(), RuleMemory::default()));
        match change {
            MemoryChange::Held => memory.is_held = true,
            MemoryChange::Judged {
                memory: judged,
                is_released,
            } => {
                *memory = RuleMemory {
                    is_held: memory.is_held && !is_released,
                    ..judged
                };
            }
            MemoryChange::Forgotten => {}
        }
    }

    fn commit(&mut self, transition: Transition) -> Result<Committed, CommitError> {
        let Transition {
            alert,
            mut event,
            groups,
            is_news,
            memory,
            escalation: _,
        } = transition;
        if self.failing_commits > 0 {
            self.failing_commits -= 1;
            return Ok(broken()?);
        }
        let id = match alert.id {
            Some(id) => {
                let found = self.alerts.get(&id.0).map(|alert| alert.state);
                let mutable = [Some(AlertState::Firing), Some(AlertState::Suppressed)];
                let is_end = event.to == AlertState::Resolved;
                if is_end && mutable.contains(&found) && mutable.contains(&event.from) {
                    event.from = found;
                }
                if found != event.from {
                    return Err(CommitError::Changed(format!(
                        "the alert is {found:?}, not {:?}",
                        event.from
                    )));
                }
                id
            }
            None if self
                .alerts
                .values()
                .any(|open| open.rule == alert.rule && open.state.is_open()) =>
            {
                return Err(CommitError::Changed(
                    "the rule has an open alert already".to_owned(),
                ));
            }
            None => AlertId(self.alerts.len() as i64 + 1),
        };
        let alert = super::lifecycle::alert_of(&alert, id);
        self.alerts.insert(id.0, alert.clone());
        if let Some(memory) = memory {
            self.remember(&alert.rule, &alert.service, memory);
        }
        let EventDraft {
            from,
            to,
            actor,
            reason,
            ts_ms,
        } = event;
        let event = AlertEvent {
            id: self.events.len() as i64 + 1,
            alert: id,
            ts_ms,
            from,
            to,
            actor,
            reason,
        };
        self.events.push(event.clone());
        self.note_change(&event, is_news);
        let is_member =
            |group: &&AlertGroup| group.members.iter().any(|member| member.alert.id == id);
        let told: Vec<ChannelId> = self
            .groups
            .iter()
            .filter(is_member)
            .map(|group| group.channel.clone())
            .collect();
        for draft in groups
            .into_iter()
            .filter(|draft| !told.contains(&draft.channel))
        {
            assert!(
                self.channels.contains_key(&draft.channel),
                "the channel is not in the store"
            );
            self.join(draft, &alert);
        }
        if self.doubtful_commits > 0 {
            self.doubtful_commits -= 1;
            return Ok(broken()?);
        }
        Ok(Committed { alert, event })
    }

    fn note_change(&mut self, event: &AlertEvent, is_news: bool) {
        let was_muted = matches!(
            event.from,
            Some(AlertState::Suppressed | AlertState::Acknowledged)
        );
        for group in &mut self.groups {
            let Some(member) = group
                .members
                .iter_mut()
                .find(|member| member.alert.id == event.alert)
            else {
                continue;
            };
            member.told = match member.told {
                Told::Firing if is_news => Told::Again,
                Told::Nothing if was_muted && event.to == AlertState::Resolved => Told::Held,
                told => told,
            };
            group.revision += 1;
            if group.timing.is_at_once() {
                group.flush_at_ms = Some(
                    group
                        .flush_at_ms
                        .map_or(event.ts_ms, |at| at.min(event.ts_ms)),
                );
            }
        }
    }

    fn join(&mut self, draft: GroupDraft, alert: &Alert) {
        let index = self
            .groups
            .iter()
            .position(|group| group.key == draft.key && group.channel == draft.channel);
        let index = index.unwrap_or_else(|| {
            let id = self.groups.last().map_or(1, |group| group.id + 1);
            let GroupDraft {
                key,
                channel,
                labels,
                timing,
                ..
            } = draft.clone();
            let (flush_at_ms, told_ms, members) = (None, None, Vec::new());
            let (mute_times, revision) = (draft.mute_times.clone(), 0);
            self.groups.push(AlertGroup {
                id,
                key,
                channel,
                labels,
                timing,
                mute_times,
                flush_at_ms,
                told_ms,
                revision,
                members,
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[index];
        group.timing = draft.timing;
        group.revision += 1;
        group.flush_at_ms = Some(match group.flush_at_ms {
            Some(at) if draft.timing.is_at_once() => at.min(draft.flush_at_ms),
            Some(at) => at,
            None => draft.flush_at_ms,
        });
        let (alert, fired, told) = (alert.clone(), alert.clone(), Told::Nothing);
        group.members.push(GroupMember { alert, fired, told });
    }

    fn due(&self, now_ms: UnixMillis) -> Vec<AlertGroup> {
        let is_due = |group: &&AlertGroup| group.flush_at_ms.is_some_and(|at| at <= now_ms);
        let mut due: Vec<AlertGroup> = self.groups.iter().filter(is_due).cloned().collect();
        for member in due.iter_mut().flat_map(|group| &mut group.members) {
            member.alert = self.alerts[&member.alert.id.0].clone();
        }
        due.sort_by_key(|group| (group.flush_at_ms, group.id));
        due
    }

    fn flush(&mut self, flush: GroupFlush, now_ms: UnixMillis) -> usize {
        let wanted =
            |group: &&mut AlertGroup| group.id == flush.group && group.revision == flush.revision;
        let Some(group) = self.groups.iter_mut().find(wanted) else {
            return 0;
        };
        (group.flush_at_ms, group.told_ms) = (flush.flush_at_ms, flush.told_ms);
        group.revision += 1;
        for (alert, told) in &flush.told {
            group
                .members
                .iter_mut()
                .find(|member| member.alert.id == *alert)
                .unwrap()
                .told = *told;
        }
        group
            .members
            .retain(|member| !flush.leave.contains(&member.alert.id));
        self.groups.retain(|group| !group.members.is_empty());
        for draft in &flush.notifications {
            self.push(draft.clone(), now_ms);
        }
        flush.notifications.len()
    }

    fn push(&mut self, draft: NotificationDraft, now_ms: UnixMillis) -> i64 {
        let NotificationDraft {
            group_key,
            group_labels,
            channel,
            reason,
            status,
            idempotency_key,
            alerts,
            omitted,
        } = draft;
        let id = self.notifications.len() as i64 + 1;
        self.notifications.push(Notification {
            id,
            idempotency_key,
            group_key,
            group_labels,
            channel,
            reason,
            status,
            alerts,
            omitted,
            ..notification(now_ms)
        });
        id
    }

    fn first_in_line(&self) -> Vec<Notification> {
        let mut seen = HashSet::new();
        let mut channels = HashSet::new();
        let mut digests = HashSet::new();
        let waits = |notification: &&Notification| {
            let channel = &notification.channel;
            if notification.state != NotificationState::Waiting || digests.contains(channel) {
                return false;
            }
            let is_first_on_channel = channels.insert(channel.clone());
            if notification.reason == NotificationReason::Digest {
                digests.insert(channel.clone());
                return is_first_on_channel;
            }
            seen.insert((notification.group_key.clone(), channel.clone()))
        };
        let mut first: Vec<Notification> =
            self.notifications.iter().filter(waits).cloned().collect();
        first.sort_by_key(|notification| (notification.next_attempt_ms, notification.id));
        first
    }

    fn attempt(&mut self, id: i64, attempt: Attempt, after: AfterAttempt) -> PortResult<()> {
        let AfterAttempt {
            state,
            next_attempt_ms,
            reference,
            fallback,
        } = after;
        if self.failing_attempts > 0 {
            self.failing_attempts -= 1;
            return broken();
        }
        let notification = self
            .notifications
            .iter_mut()
            .find(|notification| notification.id == id)
            .unwrap();
        assert_eq!(
            notification.state,
            NotificationState::Waiting,
            "attempted although it was done with"
        );
        notification.attempts += 1;
        notification.state = state;
        notification.next_attempt_ms = next_attempt_ms;
        notification.reference = reference;
        let is_refused =
            state == NotificationState::Dead && notification.attempts == 1 && fallback.is_none();
        if is_refused && notification.status == NotificationStatus::Firing {
            let (key, channel) = (&notification.group_key, &notification.channel);
            let group = self
                .groups
                .iter_mut()
                .find(|group| group.key == *key && group.channel == *channel);
            let told = |member: &&mut GroupMember| {
                member.told == Told::Firing
                    && notification
                        .alerts
                        .iter()
                        .any(|alert| alert.id == member.alert.id)
            };
            let members = group.into_iter().flat_map(|group| &mut group.members);
            members
                .filter(told)
                .for_each(|member| member.told = Told::Refused);
        }
        let ended_ms = attempt.started_ms + attempt.duration_ms as i64;
        self.attempts.push((id, attempt));
        let is_new = |draft: &NotificationDraft| {
            !self
                .notifications
                .iter()
                .any(|row| row.idempotency_key == draft.idempotency_key)
        };
        if let Some(draft) = fallback.filter(is_new) {
            assert!(
                self.channels.contains_key(&draft.channel),
                "the fallback is not in the store"
            );
            self.push(draft, ended_ms);
        }
        Ok(())
    }
}

impl AlertStore for FakeStore {
    fn alert_open_list(&self) -> BoxFuture<'_, PortResult<Vec<Alert>>> {
        async {
            let mut state = self.state();
            if state.failing_reads > 0 {
                state.failing_reads -= 1;
                return broken();
            }
            Ok(state
                .alerts
                .values()
                .filter(|alert| alert.state.is_open())
                .cloned()
                .collect())
        }
        .boxed()
    }

    fn alert_open_of_service<'a>(
        &'a self,
        service: &'a str,
    ) -> BoxFuture<'a, PortResult<Vec<Alert>>> {
        async move {
            let open = self.alert_open_list().await?;
            Ok(open
                .into_iter()
                .filter(|alert| alert.service == service)
                .collect())
        }
        .boxed()
    }

    fn alert_get(&self, id: AlertId) -> BoxFuture<'_, PortResult<Option<Alert>>> {
        async move { Ok(self.state().alerts.get(&id.0).cloned()) }.boxed()
    }

    fn alert_told(&self, id: AlertId) -> BoxFuture<'_, PortResult<Vec<ChannelId>>> {
        async move {
            let state = self.state();
            let is_told = |group: &&AlertGroup| {
                group
                    .members
                    .iter()
                    .any(|member| member.alert.id == id && member.told.knows())
            };
            Ok(state
                .groups
                .iter()
                .filter(is_told)
                .map(|group| group.channel.clone())
                .collect())
        }
        .boxed()
    }

    fn alert_expiring(&self, limit: u32) -> BoxFuture<'_, PortResult<Vec<Alert>>> {
        async move {
            let until = |alert: &Alert| {
                alert
                    .marks
                    .acknowledged
                    .as_ref()
                    .and_then(|acknowledged| acknowledged.until_ms)
            };
            let mut expiring: Vec<Alert> = self.state().alerts.values().cloned().collect();
            expiring
                .retain(|alert| alert.state == AlertState::Acknowledged && until(alert).is_some());
            expiring.sort_by_key(until);
            expiring.truncate(limit as usize);
            Ok(expiring)
        }
        .boxed()
    }

    fn rule_memory_list<'a>(
        &'a self,
        service: Option<&'a str>,
    ) -> BoxFuture<'a, PortResult<Vec<(String, String, RuleMemory)>>> {
        async move {
            let state = self.state();
            let all = state
                .memories
                .iter()
                .map(|(rule, (service, memory))| (rule.clone(), service.clone(), *memory));
            Ok(all
                .filter(|(_, of, _)| service.is_none_or(|service| service == of))
                .collect())
        }
        .boxed()
    }

    fn rule_memory_put<'a>(
        &'a self,
        rule: &'a str,
        service: &'a str,
        change: MemoryChange,
    ) -> BoxFuture<'a, PortResult<()>> {
        async move {
            self.state().remember(rule, service, change);
            Ok(())
        }
        .boxed()
    }

    fn transition_commit(
        &self,
        transition: Transition,
    ) -> BoxFuture<'_, Result<Committed, CommitError>> {
        async {
            tokio::task::yield_now().await;
            self.state().commit(transition)
        }
        .boxed()
    }

    fn alert_event_after(
        &self,
        id: i64,
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<(AlertEvent, Alert)>>> {
        async move {
            let state = self.state();
            let events = state
                .events
                .iter()
                .filter(|event| event.id > id)
                .take(limit as usize);
            Ok(events
                .map(|event| (event.clone(), state.alerts[&event.alert.0].clone()))
                .collect())
        }
        .boxed()
    }

    fn group_due(
        &self,
        now_ms: UnixMillis,
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<AlertGroup>>> {
        async move {
            let mut due = self.state().due(now_ms);
            due.truncate(limit as usize);
            Ok(due)
        }
        .boxed()
    }

    fn group_next_due(
        &self,
        after_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Option<UnixMillis>>> {
        async move {
            let moments = self
                .state()
                .groups
                .iter()
                .filter_map(|group| group.flush_at_ms)
                .collect::<Vec<_>>();
            Ok(moments.into_iter().filter(|at_ms| *at_ms > after_ms).min())
        }
        .boxed()
    }

    fn group_flush(
        &self,
        flushes: Vec<GroupFlush>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<usize>> {
        async move {
            tokio::task::yield_now().await;
            let mut state = self.state();
            Ok(flushes
                .into_iter()
                .map(|flush| state.flush(flush, now_ms))
                .sum())
        }
        .boxed()
    }

    fn quiet(&self, now_ms: UnixMillis) -> BoxFuture<'_, PortResult<Quiet>> {
        async move {
            let silences = self.state().silences.clone();
            let silences = silences
                .into_iter()
                .filter(|stored| stored.silence.ends_ms > now_ms)
                .collect();
            Ok(Quiet {
                silences,
                maintenance: Vec::new(),
            })
        }
        .boxed()
    }

    fn alert_mute(&self, changes: Vec<MuteChange>) -> BoxFuture<'_, PortResult<Vec<Committed>>> {
        async move {
            let mut state = self.state();
            let mut committed = Vec::new();
            for change in changes {
                let to = change.to();
                let found = state
                    .alerts
                    .get_mut(&change.alert.0)
                    .filter(|alert| alert.state == change.from);
                let Some(alert) = found else { continue };
                (alert.state, alert.suppressed_by) = (to, change.suppressed_by);
                let alert = alert.clone();
                let (id, from) = (state.events.len() as i64 + 1, Some(change.from));
                let MuteChange {
                    actor,
                    reason,
                    ts_ms,
                    ..
                } = change;
                let event = AlertEvent {
                    id,
                    alert: alert.id,
                    ts_ms,
                    from,
                    to,
                    actor,
                    reason,
                };
                state.events.push(event.clone());
                state.note_change(&event, false);
                committed.push(Committed { alert, event });
            }
            Ok(committed)
        }
        .boxed()
    }

    /// No escalation ever begins here; they are tested on the real store.
    fn escalation_due_after(
        &self,
        _now_ms: UnixMillis,
        _after: (UnixMillis, i64),
        _limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<Escalation>>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn escalation_next_due(
        &self,
        _after_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Option<UnixMillis>>> {
        async { Ok(None) }.boxed()
    }

    fn escalation_take(
        &self,
        _step: StepTaken,
        _now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<bool>> {
        async { Ok(false) }.boxed()
    }

    fn silence_notice(
        &self,
        silence: i64,
        alerts: Vec<AlertId>,
        reason: String,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<bool>> {
        async move {
            let mut state = self.state();
            let stored = state
                .silences
                .iter_mut()
                .find(|stored| stored.silence.id == silence)
                .unwrap();
            if stored.noticed_ms.replace(now_ms).is_some() {
                return Ok(false);
            }
            for alert in alerts {
                let (id, to) = (state.events.len() as i64 + 1, AlertState::Suppressed);
                let (actor, reason) = ("engine".to_owned(), reason.clone());
                state.events.push(AlertEvent {
                    id,
                    alert,
                    ts_ms: now_ms,
                    from: Some(to),
                    to,
                    actor,
                    reason,
                });
            }
            Ok(true)
        }
        .boxed()
    }

    fn channel_put(&self, channel: Arc<Channel>) -> BoxFuture<'_, PortResult<()>> {
        async move {
            self.state()
                .channels
                .insert(channel.id.clone(), (*channel).clone());
            Ok(())
        }
        .boxed()
    }

    fn channel_get(&self, id: ChannelId) -> BoxFuture<'_, PortResult<Option<Channel>>> {
        async move { Ok(self.state().channels.get(&id).cloned()) }.boxed()
    }

    fn channel_follow(
        &self,
        current: BTreeMap<ChannelId, Arc<Channel>>,
        _now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<ChannelsFollowed>> {
        async move {
            let mut state = self.state();
            for (id, channel) in &current {
                state
                    .channels
                    .entry(id.clone())
                    .and_modify(|kept| *kept = (**channel).clone());
            }
            Ok(ChannelsFollowed::default())
        }
        .boxed()
    }

    fn notification_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<DueNotification>>> {
        async move {
            let first = self.state().first_in_line().into_iter();
            let wanted = |row: &Notification| {
                row.next_attempt_ms <= now_ms && (row.next_attempt_ms, row.id) > after
            };
            let due = |row: Notification| DueNotification {
                id: row.id,
                channel: row.channel,
                group_key: row.group_key,
                reason: row.reason,
                next_attempt_ms: row.next_attempt_ms,
            };
            Ok(first.filter(wanted).take(limit as usize).map(due).collect())
        }
        .boxed()
    }

    fn notification_get(&self, id: i64) -> BoxFuture<'_, PortResult<Option<Notification>>> {
        async move {
            Ok(self
                .state()
                .notifications
                .iter()
                .find(|row| row.id == id)
                .cloned())
        }
        .boxed()
    }

    fn notification_next_due(&self) -> BoxFuture<'_, PortResult<Option<UnixMillis>>> {
        async {
            Ok(self
                .state()
                .first_in_line()
                .first()
                .map(|waiting| waiting.next_attempt_ms))
        }
        .boxed()
    }

    fn notification_attempt(
        &self,
        id: i64,
        attempt: Attempt,
        after: AfterAttempt,
    ) -> BoxFuture<'_, PortResult<()>> {
        async move {
            tokio::task::yield_now().await;
            self.state().attempt(id, attempt, after)
        }
        .boxed()
    }

    fn notification_reference(&self, id: i64) -> BoxFuture<'_, PortResult<Option<String>>> {
        async move {
            let state = self.state();
            let this = state.notifications.iter().find(|row| row.id == id).unwrap();
            let mut before = state.notifications.iter().filter(|row| {
                row.id < id
                    && (&row.group_key, &row.channel) == (&this.group_key, &this.channel)
                    && row.state == NotificationState::Delivered
            });
            let last = before
                .next_back()
                .filter(|row| row.status == NotificationStatus::Firing);
            Ok(last.and_then(|row| row.reference.clone()))
        }
        .boxed()
    }

    fn notification_attempts_since(
        &self,
        channel: ChannelId,
        since_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Vec<UnixMillis>>> {
        async move {
            let state = self.state();
            let of_channel = |id: i64| {
                state
                    .notifications
                    .iter()
                    .any(|row| row.id == id && row.channel == channel)
            };
            let begun = state
                .attempts
                .iter()
                .filter(|(id, attempt)| of_channel(*id) && attempt.started_ms > since_ms);
            Ok(begun.map(|(_, attempt)| attempt.started_ms).collect())
        }
        .boxed()
    }

    fn notification_digest(
        &self,
        channel: ChannelId,
        except: Vec<i64>,
        idempotency_key: String,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Option<Notification>>> {
        async move {
            let mut state = self.state();
            let is_held = |row: &Notification| {
                row.state == NotificationState::Waiting
                    && row.channel == channel
                    && !except.contains(&row.id)
            };
            let held: Vec<Notification> = state
                .notifications
                .iter()
                .filter(|row| is_held(row))
                .cloned()
                .collect();
            if held.len() < 2 {
                return Ok(None);
            }
            let id = state.push(digest(&channel, &held, idempotency_key), now_ms);
            for row in state
                .notifications
                .iter_mut()
                .filter(|row| held.iter().any(|held| held.id == row.id))
            {
                (row.state, row.digest) = (NotificationState::Digested, Some(id));
            }
            Ok(state.notifications.last().cloned())
        }
        .boxed()
    }
}

/// Says what the latest observation's status asks for: healthy is ok, degraded no opinion,
/// `unhealthy` a breach, and with `error` the rule itself fails. Settings: `hang` never answers,
/// `panic` panics, `lookBackS` is its look-back; with `absentS` it is judged as time passes, and
/// breached when nothing was heard for so long while somebody listened.
#[derive(Clone, Default)]
pub(super) struct FakeRules {
    /// Service, run id and the number of runs in the last ten minutes.
    seen: Arc<Mutex<Vec<(String, i64, u64)>>>,
    /// The look-back of each version that took over, whatever the settings say.
    swapped: Arc<Mutex<Vec<Duration>>>,
}

impl FakeRules {
    /// Another version takes over, which looks back so far.
    pub(super) fn swap(&self, look_back: Duration) {
        lock(&self.swapped).push(look_back);
    }

    pub(super) fn seen(&self) -> Vec<(String, i64, u64)> {
        lock(&self.seen).clone()
    }
}

impl RuleRunner for FakeRules {
    fn swaps(&self) -> u64 {
        lock(&self.swapped).len() as u64
    }

    fn ticks(&self, rule: &AlertRule) -> bool {
        rule.settings["absentS"].is_number()
    }

    fn look_back<'a>(&'a self, rule: &'a AlertRule) -> BoxFuture<'a, PortResult<Duration>> {
        let first = Duration::from_secs(rule.settings["lookBackS"].as_u64().unwrap_or(600));
        let look_back = lock(&self.swapped).last().copied().unwrap_or(first);
        async move { Ok(look_back) }.boxed()
    }

    fn evaluate<'a>(
        &'a self,
        rule: &'a AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'a, PortResult<Verdict>> {
        async move {
            tokio::task::yield_now().await;
            if let Some(absent_s) = rule.settings["absentS"].as_i64() {
                let silent_ms = history
                    .latest()
                    .map_or(i64::MAX, |latest| now_ms - latest.ts_ms);
                let watched_ms = history.watched().as_millis() as i64;
                return Ok(match silent_ms > absent_s * 1_000 {
                    true if watched_ms > absent_s * 1_000 => breached(),
                    true => no_opinion(),
                    false => ok(),
                });
            }
            let latest = history.latest().unwrap();
            let count = history.summary(Duration::from_secs(600)).count;
            lock(&self.seen).push((rule.service.clone(), latest.run_id, count));
            if rule.settings["hang"] == true {
                std::future::pending::<()>().await;
            }
            assert!(
                rule.settings["panic"] != true || latest.status == Status::Healthy,
                "meant to panic"
            );
            match latest.status {
                Status::Healthy => Ok(ok()),
                Status::Degraded => Ok(no_opinion()),
                Status::Unhealthy => Ok(breached()),
                Status::Error => Err(PortError("trapped".to_owned())),
            }
        }
        .boxed()
    }
}

/// What the results had recorded.
#[derive(Clone, Default)]
pub(super) struct FakeHistory {
    pub(super) recorded: Arc<Mutex<Vec<Observation>>>,
    behaviour: Arc<Mutex<Reading>>,
    /// Services in the order in which they were read.
    loads: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Reading {
    #[default]
    Works,
    Fails,
    Hangs,
}

impl FakeHistory {
    pub(super) fn set(&self, behaviour: Reading) {
        *lock(&self.behaviour) = behaviour;
    }

    pub(super) fn loads(&self) -> Vec<String> {
        lock(&self.loads).clone()
    }
}

impl HistoryLoader for FakeHistory {
    fn load<'a>(
        &'a self,
        service: &'a str,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
        limit: usize,
    ) -> BoxFuture<'a, PortResult<Vec<Observation>>> {
        async move {
            lock(&self.loads).push(service.to_owned());
            let behaviour = *lock(&self.behaviour);
            match behaviour {
                Reading::Works => {}
                Reading::Fails => return broken(),
                Reading::Hangs => std::future::pending().await,
            }
            let recorded = lock(&self.recorded);
            let wanted = |run: &&Observation| {
                run.service == service && (since_ms..until_ms).contains(&run.ts_ms)
            };
            Ok(recorded
                .iter()
                .filter(wanted)
                .take(limit)
                .cloned()
                .collect())
        }
        .boxed()
    }

    fn load_groups<'a>(
        &'a self,
        _service: &'a str,
        _span: GroupSpan,
    ) -> BoxFuture<'a, PortResult<Vec<RunGroup>>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Line {
    Up,
    Down,
    Refuses,
    Hangs,
    Panics,
    RetryAfter(u64),
}

/// Remembers what arrived.
#[derive(Clone, Default)]
pub(super) struct FakeNotifier {
    lines: Arc<Mutex<HashMap<String, Line>>>,
    /// Channel and message.
    pub(super) arrived: Arc<Mutex<Vec<(String, Message)>>>,
    pub(super) tries: Arc<Mutex<Vec<(String, Message)>>>,
}

impl FakeNotifier {
    pub(super) fn set(&self, channel: &str, line: Line) {
        lock(&self.lines).insert(channel.to_owned(), line);
    }

    pub(super) fn tries(&self) -> Vec<(String, Message)> {
        lock(&self.tries).clone()
    }

    /// Each message as `channel:status:service`.
    pub(super) fn inbox(&self) -> Vec<String> {
        let text = |(channel, message): &(String, Message)| {
            format!(
                "{channel}:{}:{}",
                message.status.as_str(),
                message.alerts[0].0.service
            )
        };
        lock(&self.arrived).iter().map(text).collect()
    }
}

impl Notifier for FakeNotifier {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        async move {
            let line = lock(&self.lines)
                .get(&channel.id.0)
                .copied()
                .unwrap_or(Line::Up);
            lock(&self.tries).push((channel.id.0.clone(), message.clone()));
            tokio::task::yield_now().await;
            match line {
                Line::Up => {
                    lock(&self.arrived).push((channel.id.0.clone(), message.clone()));
                    Ok(Receipt {
                        reference: Some(format!("ref of {}", message.id)),
                        answer: "200 OK".to_owned(),
                    })
                }
                Line::Down => Err(DeliveryError::Retryable {
                    message: "connection refused".to_owned(),
                    after: None,
                }),
                Line::Refuses => Err(DeliveryError::Permanent("404 no such hook".to_owned())),
                Line::Hangs => std::future::pending().await,
                Line::Panics => panic!("meant to panic"),
                Line::RetryAfter(seconds) => Err(DeliveryError::Retryable {
                    message: "429".to_owned(),
                    after: Some(Duration::from_secs(seconds)),
                }),
            }
        }
        .boxed()
    }
}

#[derive(Clone, Default)]
pub(super) struct FakeResults(Arc<Mutex<(Vec<AlertEvent>, usize)>>);

impl FakeResults {
    pub(super) fn events(&self) -> Vec<AlertEvent> {
        lock(&self.0).0.clone()
    }

    pub(super) fn fail_next(&self, appends: usize) {
        lock(&self.0).1 = appends;
    }
}

impl EventSink for FakeResults {
    fn alert_event_last(&self) -> BoxFuture<'_, PortResult<Option<(i64, UnixMillis)>>> {
        async {
            Ok(lock(&self.0)
                .0
                .iter()
                .map(|event| (event.id, event.ts_ms))
                .max())
        }
        .boxed()
    }

    fn alert_event_append(
        &self,
        events: Vec<(AlertEvent, Alert)>,
    ) -> BoxFuture<'_, PortResult<()>> {
        async move {
            let mut state = lock(&self.0);
            if state.1 > 0 {
                state.1 -= 1;
                return broken();
            }
            for (event, _) in events {
                if !state
                    .0
                    .iter()
                    .any(|known| (known.id, known.ts_ms) == (event.id, event.ts_ms))
                {
                    state.0.push(event);
                }
            }
            Ok(())
        }
        .boxed()
    }
}
