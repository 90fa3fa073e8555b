//! The real control store under virtual time, and stand-ins for what is outside of alerting; for
//! tests only. They keep to the contracts in `ports`.

mod store;

use std::collections::{BTreeMap, HashMap};
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

pub(crate) use store::TestStore;

/// 2023-11-14, in milliseconds.
pub(crate) const EPOCH_MS: UnixMillis = 1_700_000_000_000;

pub(crate) fn ok() -> Verdict {
    Verdict::Ok(Finding {
        summary: String::new(),
        value: Some(100.0),
        wanted: Some(99.5),
        details: vec![],
    })
}

pub(crate) fn breached() -> Verdict {
    Verdict::Breached(Finding {
        summary: String::new(),
        value: Some(90.0),
        wanted: Some(99.5),
        details: vec![],
    })
}

pub(crate) fn no_opinion() -> Verdict {
    Verdict::NoOpinion("too little history".to_owned())
}

pub(crate) fn rule(service: &str, name: &str) -> AlertRule {
    AlertRule {
        key: format!("{service}/{name}"),
        name: name.to_owned(),
        service: service.to_owned(),
        plugin: "fake".to_owned(),
        settings: json!({}),
        probes: None,
        duration: Duration::ZERO,
        options: AlertOptions::default(),
        severity: Severity::Critical,
        channels: vec![ChannelId("slack-1".to_owned())],
        is_routed: false,
        escalation: None,
    }
}

pub(crate) fn observation(service: &str, ts_ms: UnixMillis, status: Status) -> Observation {
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
        excluded: None,
        rate_limits: Vec::new(),
    }
}

pub(crate) fn channel(id: &str) -> Channel {
    Channel {
        id: ChannelId(id.to_owned()),
        name: id.to_owned(),
        plugin: "fake".to_owned(),
        settings: json!({}),
        origin: Origin::File,
        options: Default::default(),
    }
}

pub(crate) fn alert(id: i64, service: &str) -> Alert {
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
        flags: AlertFlags::default(),
        labels: Default::default(),
    }
}

pub(crate) fn service(slug: &str) -> Service {
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
        profile: Default::default(),
        slo: None,
        rate_limits: Default::default(),
        origin: Origin::File,
        hosts: Vec::new(),
        private: Default::default(),
        credentials: vec![],
        probes: vec![],
        webhooks: vec![],
        meters: Vec::new(),
        gateway: None,
    }
}

pub(crate) fn notification(created_ms: UnixMillis) -> Notification {
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
pub(crate) fn catalog(rules: &[AlertRule]) -> Catalog {
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
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Lets time pass until it holds; two virtual days at most.
pub(crate) async fn wait_until(holds: impl Fn() -> bool) {
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
pub(crate) struct FakeClock(Instant, &'static AtomicI64);

impl FakeClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now(), Box::leak(Box::default()))
    }

    pub(crate) fn set_back(&self, ms: i64) {
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

/// Returns the verdict of the latest observation's status: healthy is ok, degraded no opinion,
/// `unhealthy` a breach, and with `error` the rule itself fails. Settings: `hang` never answers,
/// `panic` panics, `lookBackS` is its look-back; with `absentS` it is judged as time passes, and
/// breached after so long without an observation.
#[derive(Clone, Default)]
pub(crate) struct FakeRules {
    /// Service, run id and the number of runs in the last ten minutes.
    seen: Arc<Mutex<Vec<(String, i64, u64)>>>,
    /// The look-back of each version that took over, instead of the one in the settings.
    swapped: Arc<Mutex<Vec<Duration>>>,
}

impl FakeRules {
    /// Another version takes over, which looks back so far.
    pub(crate) fn swap(&self, look_back: Duration) {
        lock(&self.swapped).push(look_back);
    }

    pub(crate) fn seen(&self) -> Vec<(String, i64, u64)> {
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

    async fn look_back(&self, rule: &AlertRule) -> PortResult<Duration> {
        let first = Duration::from_secs(rule.settings["lookBackS"].as_u64().unwrap_or(600));
        let look_back = lock(&self.swapped).last().copied().unwrap_or(first);
        Ok(look_back)
    }

    async fn evaluate(
        &self,
        rule: &AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
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
}

/// Recorded history of the results.
#[derive(Clone, Default)]
pub(crate) struct FakeHistory {
    pub(crate) recorded: Arc<Mutex<Vec<Observation>>>,
    behaviour: Arc<Mutex<Reading>>,
    /// Services in the order in which they were read.
    loads: Arc<Mutex<Vec<String>>>,
    passes: Arc<Mutex<usize>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Reading {
    #[default]
    Works,
    Fails,
    Hangs,
}

impl FakeHistory {
    pub(crate) fn set(&self, behaviour: Reading) {
        *lock(&self.behaviour) = behaviour;
    }

    pub(crate) fn loads(&self) -> Vec<String> {
        lock(&self.loads).clone()
    }

    /// Returns how many times something was read, whatever the number of services.
    pub(crate) fn passes(&self) -> usize {
        *lock(&self.passes)
    }
}

impl HistoryLoader for FakeHistory {
    async fn load(&self, wanted: Vec<PastSpan>) -> PortResult<Vec<PastRuns>> {
        *lock(&self.passes) += 1;
        lock(&self.loads).extend(wanted.iter().map(|span| span.service.clone()));
        let behaviour = *lock(&self.behaviour);
        match behaviour {
            Reading::Works => {}
            Reading::Fails => return broken(),
            Reading::Hangs => std::future::pending().await,
        }
        let recorded = lock(&self.recorded);
        let past = |span: PastSpan| {
            let is_wanted = |run: &&Observation| {
                run.service == span.service && (span.since_ms..span.until_ms).contains(&run.ts_ms)
            };
            PastRuns::of(recorded.iter().filter(is_wanted).cloned().collect())
        };
        Ok(wanted.into_iter().map(past).collect())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    Up,
    Down,
    Refuses,
    Hangs,
    Panics,
    RetryAfter(u64),
}

/// Remembers what arrived.
#[derive(Clone, Default)]
pub(crate) struct FakeNotifier {
    lines: Arc<Mutex<HashMap<String, Line>>>,
    /// Channel and message.
    pub(crate) arrived: Arc<Mutex<Vec<(String, Message)>>>,
    pub(crate) tries: Arc<Mutex<Vec<(String, Message)>>>,
}

impl FakeNotifier {
    pub(crate) fn set(&self, channel: &str, line: Line) {
        lock(&self.lines).insert(channel.to_owned(), line);
    }

    pub(crate) fn tries(&self) -> Vec<(String, Message)> {
        lock(&self.tries).clone()
    }

    /// Each message as `channel:status:service`.
    pub(crate) fn inbox(&self) -> Vec<String> {
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
pub(crate) struct FakeResults(Arc<Mutex<(Vec<AlertEvent>, usize)>>);

impl FakeResults {
    pub(crate) fn events(&self) -> Vec<AlertEvent> {
        lock(&self.0).0.clone()
    }

    pub(crate) fn fail_next(&self, appends: usize) {
        lock(&self.0).1 = appends;
    }
}

impl EventSink for FakeResults {
    async fn alert_event_last(&self) -> PortResult<Option<(i64, UnixMillis)>> {
        let state = lock(&self.0);
        let known = state.0.iter();
        Ok(known.map(|event| (event.id, event.ts_ms)).max())
    }

    async fn incident_change_last(&self) -> PortResult<Option<(i64, UnixMillis)>> {
        Ok(None)
    }

    async fn alert_event_append(&self, events: Vec<(AlertEvent, Alert)>) -> PortResult<()> {
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
}
