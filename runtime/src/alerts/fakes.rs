//! Stand-ins for the stores and the plugin host, for tests only. They keep to the contracts in `ports`.

use std::collections::{BTreeMap, HashMap, HashSet};
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
    Verdict::Ok(Finding { summary: String::new(), value: Some(100.0), wanted: Some(99.5), details: vec![] })
}

pub(super) fn breached() -> Verdict {
    Verdict::Breached(Finding { summary: String::new(), value: Some(90.0), wanted: Some(99.5), details: vec![] })
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
        severity: Severity::Critical,
        channels: vec![ChannelId("slack-1".to_owned())],
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
    }
}

pub(super) fn notification(created_ms: UnixMillis) -> Notification {
    Notification {
        id: 1,
        idempotency_key: "key-1".to_owned(),
        alert: AlertId(1),
        channel: ChannelId("slack-1".to_owned()),
        status: NotificationStatus::Firing,
        state: NotificationState::Waiting,
        attempts: 0,
        created_ms,
        next_attempt_ms: created_ms,
        delivered_ms: None,
        last_error: None,
        alert_snapshot: alert(1, "shop-api"),
    }
}

/// Version 1, the given rules, the channels they name.
pub(super) fn catalog(rules: &[AlertRule]) -> Catalog {
    let mut catalog = Catalog { version: 1, ..Catalog::default() };
    for rule in rules {
        catalog.rules.entry(rule.service.clone()).or_default().push(Arc::new(rule.clone()));
        for id in &rule.channels {
            catalog.channels.insert(id.clone(), Arc::new(channel(&id.0)));
        }
    }
    catalog
}

/// Lets everything happen that can happen without time passing. The clock is paused, so it moves on only once every
/// task waits.
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

/// Follows tokio's clock, paused or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct FakeClock(Instant);

impl FakeClock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> UnixMillis {
        EPOCH_MS + self.0.elapsed().as_millis() as i64
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
    pub(super) notifications: Vec<Notification>,
    pub(super) attempts: Vec<(i64, Attempt)>,
    pub(super) channels: HashMap<ChannelId, Channel>,
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
        self.state().events.iter().map(|event| format!("{}:{}", event.alert.0, event.to.as_str())).collect()
    }

    pub(super) fn waiting(&self) -> usize {
        let waits = |notification: &&Notification| notification.state == NotificationState::Waiting;
        self.state().notifications.iter().filter(waits).count()
    }
}

impl StoreState {
    fn commit(&mut self, transition: Transition) -> PortResult<Committed> {
        let Transition { alert, event, notifications } = transition;
        if self.failing_commits > 0 {
            self.failing_commits -= 1;
            return broken();
        }
        let id = match alert.id {
            Some(id) => {
                let found = self.alerts.get(&id.0).map(|alert| alert.state);
                if found != event.from {
                    return Err(PortError(format!("the alert is {found:?}, not {:?}", event.from)));
                }
                id
            }
            None if self.alerts.values().any(|open| open.rule == alert.rule && open.state.is_open()) => {
                return Err(PortError("the rule has an open alert already".to_owned()));
            }
            None => AlertId(self.alerts.len() as i64 + 1),
        };
        let alert = super::lifecycle::alert_of(&alert, id);
        self.alerts.insert(id.0, alert.clone());
        let EventDraft { from, to, actor, reason, ts_ms } = event;
        let event = AlertEvent { id: self.events.len() as i64 + 1, alert: id, ts_ms, from, to, actor, reason };
        self.events.push(event.clone());
        for draft in notifications {
            assert!(self.channels.contains_key(&draft.channel), "the channel is not in the store");
            self.notifications.push(Notification {
                id: self.notifications.len() as i64 + 1,
                idempotency_key: draft.idempotency_key,
                alert: id,
                channel: draft.channel,
                status: draft.status,
                alert_snapshot: alert.clone(),
                ..notification(ts_ms)
            });
        }
        if self.doubtful_commits > 0 {
            self.doubtful_commits -= 1;
            return broken();
        }
        Ok(Committed { alert, event })
    }

    fn first_in_line(&self) -> Vec<Notification> {
        let mut seen = HashSet::new();
        let waits = |notification: &&Notification| {
            notification.state == NotificationState::Waiting
                && seen.insert((notification.alert, notification.channel.clone()))
        };
        let mut first: Vec<Notification> = self.notifications.iter().filter(waits).cloned().collect();
        first.sort_by_key(|notification| (notification.next_attempt_ms, notification.id));
        first
    }

    fn attempt(&mut self, id: i64, attempt: Attempt, state: NotificationState, next_ms: i64) -> PortResult<()> {
        if self.failing_attempts > 0 {
            self.failing_attempts -= 1;
            return broken();
        }
        let notification = self.notifications.iter_mut().find(|notification| notification.id == id).unwrap();
        assert_eq!(notification.state, NotificationState::Waiting, "attempted although it was done with");
        notification.attempts += 1;
        notification.state = state;
        notification.next_attempt_ms = next_ms;
        self.attempts.push((id, attempt));
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
            Ok(state.alerts.values().filter(|alert| alert.state.is_open()).cloned().collect())
        }
        .boxed()
    }

    fn transition_commit(&self, transition: Transition) -> BoxFuture<'_, PortResult<Committed>> {
        async {
            tokio::task::yield_now().await;
            self.state().commit(transition)
        }
        .boxed()
    }

    fn alert_event_after(&self, id: i64, limit: u32) -> BoxFuture<'_, PortResult<Vec<(AlertEvent, Alert)>>> {
        async move {
            let state = self.state();
            let events = state.events.iter().filter(|event| event.id > id).take(limit as usize);
            Ok(events.map(|event| (event.clone(), state.alerts[&event.alert.0].clone())).collect())
        }
        .boxed()
    }

    fn alert_notifications(&self, alert: AlertId) -> BoxFuture<'_, PortResult<Vec<Notification>>> {
        async move {
            Ok(self.state().notifications.iter().filter(|notification| notification.alert == alert).cloned().collect())
        }
        .boxed()
    }

    fn channel_put(&self, channel: Arc<Channel>) -> BoxFuture<'_, PortResult<()>> {
        async move {
            self.state().channels.insert(channel.id.clone(), (*channel).clone());
            Ok(())
        }
        .boxed()
    }

    fn channel_get(&self, id: ChannelId) -> BoxFuture<'_, PortResult<Option<Channel>>> {
        async move { Ok(self.state().channels.get(&id).cloned()) }.boxed()
    }

    fn notification_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<Notification>>> {
        async move {
            let first = self.state().first_in_line().into_iter();
            let wanted = |row: &Notification| row.next_attempt_ms <= now_ms && (row.next_attempt_ms, row.id) > after;
            Ok(first.filter(wanted).take(limit as usize).collect())
        }
        .boxed()
    }

    fn notification_next_due(&self) -> BoxFuture<'_, PortResult<Option<UnixMillis>>> {
        async { Ok(self.state().first_in_line().first().map(|waiting| waiting.next_attempt_ms)) }.boxed()
    }

    fn notification_attempt(
        &self,
        id: i64,
        attempt: Attempt,
        state: NotificationState,
        next_attempt_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<()>> {
        async move {
            tokio::task::yield_now().await;
            self.state().attempt(id, attempt, state, next_attempt_ms)
        }
        .boxed()
    }
}

/// Says what the latest observation's status asks for: healthy is ok, degraded no opinion, `unhealthy` a breach, and with
/// `error` the rule itself fails. Settings: `hang` never answers, `panic` panics, `lookBackS` is its look-back; with
/// `absentS` it is judged as time passes, and breached when nothing was heard for so long while somebody listened.
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
                let silent_ms = history.latest().map_or(i64::MAX, |latest| now_ms - latest.ts_ms);
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
            assert!(rule.settings["panic"] != true || latest.status == Status::Healthy, "meant to panic");
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
    pub(super) is_broken: bool,
}

impl HistoryLoader for FakeHistory {
    fn load<'a>(
        &'a self,
        service: &'a str,
        since_ms: UnixMillis,
        limit: usize,
    ) -> BoxFuture<'a, PortResult<Vec<Observation>>> {
        async move {
            if self.is_broken {
                return broken();
            }
            let recorded = lock(&self.recorded);
            let wanted = |run: &&Observation| run.service == service && run.ts_ms >= since_ms;
            Ok(recorded.iter().filter(wanted).take(limit).cloned().collect())
        }
        .boxed()
    }

    fn load_groups<'a>(&'a self, _service: &'a str, _span: GroupSpan) -> BoxFuture<'a, PortResult<Vec<RunGroup>>> {
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
            format!("{channel}:{}:{}", message.status.as_str(), message.alerts[0].0.service)
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
            let line = lock(&self.lines).get(&channel.id.0).copied().unwrap_or(Line::Up);
            lock(&self.tries).push((channel.id.0.clone(), message.clone()));
            tokio::task::yield_now().await;
            match line {
                Line::Up => {
                    lock(&self.arrived).push((channel.id.0.clone(), message.clone()));
                    Ok(Receipt { reference: None, answer: "200 OK".to_owned() })
                }
                Line::Down => Err(DeliveryError::Retryable { message: "connection refused".to_owned(), after: None }),
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
    fn alert_event_last_id(&self) -> BoxFuture<'_, PortResult<i64>> {
        async { Ok(lock(&self.0).0.last().map_or(0, |event| event.id)) }.boxed()
    }

    fn alert_event_append(&self, event: AlertEvent, _alert: Alert) -> BoxFuture<'_, PortResult<()>> {
        async move {
            let mut state = lock(&self.0);
            if state.1 > 0 {
                state.1 -= 1;
                return broken();
            }
            state.0.push(event);
            Ok(())
        }
        .boxed()
    }
}
