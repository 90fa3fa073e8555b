//! Timelines under virtual time: what the engine commits for the observations it gets.

mod catalog;
mod history;
mod no_data;
mod outages;
mod people;
mod restarts;
mod timelines;

use std::time::Duration;

use super::*;
use crate::alerts::dispatch::{DispatchDeps, Dispatcher};
use crate::alerts::fakes::{self, *};
use crate::alerts::ports::AfterAttempt;
use crate::alerts::ports::{Attempt, AttemptOutcome};
use crate::domain::{
    AlertRule, AlertState, ChannelId, ErrorKind, Failure, NotificationState, NotificationStatus,
    Status,
};

/// Stores that outlive crashes, and an engine that does not.
struct World {
    store: TestStore,
    rules: FakeRules,
    history: FakeHistory,
    clock: FakeClock,
    signals: AlertSignals,
    settings: EngineSettings,
    catalog: watch::Sender<Arc<Catalog>>,
    runs: i64,
    engine: Option<(
        mpsc::Sender<Arc<Observation>>,
        CancellationToken,
        tokio::task::JoinHandle<()>,
    )>,
    dispatcher: Option<tokio::task::JoinHandle<()>>,
}

impl World {
    async fn new(rules: &[AlertRule]) -> Self {
        let mut world = Self {
            store: TestStore::default(),
            rules: FakeRules::default(),
            history: FakeHistory::default(),
            clock: FakeClock::new(),
            signals: AlertSignals::default(),
            settings: EngineSettings::default(),
            catalog: watch::channel(Arc::new(fakes::catalog(rules))).0,
            runs: 0,
            engine: None,
            dispatcher: None,
        };
        world.start().await;
        world
    }

    async fn start(&mut self) {
        let engine = AlertEngine::new(EngineDeps {
            rules: self.rules.clone(),
            store: self.store.control(),
            history: self.history.clone(),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
            settings: self.settings.clone(),
        });
        let (sender, receiver) = mpsc::channel(4_096);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(engine.run(receiver, self.catalog.subscribe(), shutdown.clone()));
        self.engine = Some((sender, shutdown.clone(), task));
        let dispatcher = Dispatcher::new(DispatchDeps {
            store: self.store.control(),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
        });
        self.dispatcher = Some(tokio::spawn(
            dispatcher.run(self.catalog.subscribe(), shutdown),
        ));
        settle().await;
    }

    /// Ends the engine and the dispatcher as `kill -9` does.
    async fn crash(&mut self) {
        let (_, _, task) = self.engine.take().unwrap();
        for task in [task, self.dispatcher.take().unwrap()] {
            task.abort();
            let _ = task.await;
        }
        self.start().await;
    }

    async fn stop(&mut self) {
        let (_, shutdown, task) = self.engine.take().unwrap();
        shutdown.cancel();
        task.await.unwrap();
        self.dispatcher.take().unwrap().await.unwrap();
    }

    async fn send(&mut self, service: &str, status: Status) {
        self.runs += 1;
        let run = Observation {
            run_id: self.runs,
            ..observation(service, self.clock.now_ms(), status)
        };
        self.engine
            .as_ref()
            .unwrap()
            .0
            .send(Arc::new(run))
            .await
            .unwrap();
    }

    async fn observe_probe(&mut self, probe: &str, status: Status) {
        self.runs += 1;
        let run = observation("shop-api", self.clock.now_ms(), status);
        let run = Observation {
            run_id: self.runs,
            probe: probe.to_owned(),
            ..run
        };
        self.engine
            .as_ref()
            .unwrap()
            .0
            .send(Arc::new(run))
            .await
            .unwrap();
        settle().await;
    }

    async fn observe(&mut self, service: &str, status: Status) {
        self.send(service, status).await;
        settle().await;
    }

    async fn publish(&mut self, rules: &[AlertRule]) {
        let version = self.catalog.borrow().version + 1;
        self.catalog.send_replace(Arc::new(Catalog {
            version,
            ..fakes::catalog(rules)
        }));
        settle().await;
    }

    async fn end_in_dead_letter(&self, channel: &str, attempts: u32) {
        let state = self.store.state();
        let mut rows = state.notifications.iter();
        let row = rows.find(|row| row.channel.0 == channel).unwrap().id;
        self.store
            .notification_set_attempts(row, attempts - 1)
            .await;
        let attempt = Attempt {
            started_ms: 0,
            duration_ms: 0,
            outcome: AttemptOutcome::Dead,
            answer: String::new(),
        };
        let after = AfterAttempt::new(NotificationState::Dead, 0);
        self.store
            .notification_attempt(row, &attempt, after)
            .await
            .unwrap();
    }

    fn outbox(&self) -> Vec<String> {
        let state = self.store.state();
        state
            .notifications
            .iter()
            .map(|row| format!("{}:{}", row.channel.0, row.status.as_str()))
            .collect()
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn lasting(seconds: u64) -> AlertRule {
    AlertRule {
        duration: Duration::from_secs(seconds),
        ..rule("shop-api", "Down")
    }
}

#[tokio::test(start_paused = true)]
async fn resolved_goes_to_exactly_the_channels_that_were_notified_of_firing() {
    let to = |names: &[&str]| AlertRule {
        channels: names
            .iter()
            .map(|name| ChannelId((*name).to_owned()))
            .collect(),
        ..rule("shop-api", "Down")
    };
    let mut world = World::new(&[to(&["email-1", "slack-1", "pager-1", "email-1"])]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    // Rejected at once: not notified. Given up after a while: it may have arrived.
    world.end_in_dead_letter("slack-1", 1).await;
    world.end_in_dead_letter("pager-1", 150).await;
    world.publish(&[to(&["teams-1"])]).await;
    world.observe("shop-api", Status::Healthy).await;
    let wanted = [
        "email-1:firing",
        "slack-1:firing",
        "pager-1:firing",
        "email-1:resolved",
        "pager-1:resolved",
    ];
    assert_eq!(world.outbox(), wanted);
    let keys: HashSet<String> = world
        .store
        .state()
        .notifications
        .iter()
        .map(|row| row.idempotency_key.clone())
        .collect();
    assert_eq!(keys.len(), wanted.len());
}

#[tokio::test(start_paused = true)]
async fn a_rule_for_one_probe_does_not_see_the_others() {
    let only = AlertRule {
        probes: Some(vec!["statuspage".to_owned()]),
        ..rule("shop-api", "Vendor")
    };
    let mut world = World::new(&[only, rule("shop-api", "Any")]).await;
    for (probe, status) in [
        ("http", Status::Healthy),
        ("statuspage", Status::Unhealthy),
        ("http", Status::Healthy),
        ("http", Status::Unhealthy),
        ("statuspage", Status::Healthy),
    ] {
        world.observe_probe(probe, status).await;
        pass(1).await;
    }
    let seen: Vec<(i64, u64)> = world
        .rules
        .seen()
        .into_iter()
        .map(|(_, run, count)| (run, count))
        .collect();
    // Run and samples: the first rule sees its own probe alone, the other one all.
    assert_eq!(
        seen,
        [(1, 1), (2, 1), (2, 2), (3, 3), (4, 4), (5, 2), (5, 5)]
    );
    // What a probe finds does not take back what the vendor said.
    let wanted = [
        "1:firing",
        "2:firing",
        "2:resolved",
        "3:firing",
        "1:resolved",
        "3:resolved",
    ];
    assert_eq!(world.store.story(), wanted);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_hangs_delays_only_its_own_service() {
    let hanging = AlertRule {
        settings: serde_json::json!({"hang": true}),
        ..rule("slow-api", "Loop")
    };
    let mut world =
        World::new(&[hanging, rule("slow-api", "Down"), rule("shop-api", "Down")]).await;
    for _ in 0..100 {
        world.send("slow-api", Status::Unhealthy).await;
    }
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(
        world.outbox(),
        ["slack-1:firing"],
        "the other service has fired at once"
    );
    pass(31).await;
    assert_eq!(
        world.store.story(),
        ["1:firing", "2:firing"],
        "the rule after it had its turn too"
    );
    let judged = world
        .rules
        .seen()
        .iter()
        .filter(|seen| seen.0 == "slow-api")
        .count();
    assert!(judged < 10, "{judged}");
    pass(3_600).await;
    let seen = world.rules.seen();
    let judged: Vec<_> = seen.iter().filter(|seen| seen.0 == "slow-api").collect();
    assert!(
        judged.len() <= 2 * 40,
        "the oldest are no longer judged: {}",
        judged.len()
    );
    assert_eq!(
        judged.last().map(|seen| seen.2),
        Some(100),
        "but none is missing in the history"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_observation_and_no_alert() {
    let rule = AlertRule {
        settings: serde_json::json!({"panic": true}),
        ..rule("shop-api", "Down")
    };
    let mut world = World::new(std::slice::from_ref(&rule)).await;
    world
        .publish(&[AlertRule {
            settings: serde_json::json!({}),
            ..rule.clone()
        }])
        .await;
    world.observe("shop-api", Status::Unhealthy).await;
    world.publish(&[rule]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn missed_and_broken_runs_and_services_without_rules_are_not_evaluated() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    world.observe("other", Status::Unhealthy).await;
    let missed = Observation {
        missed: true,
        ..observation("shop-api", world.clock.now_ms(), Status::Error)
    };
    let failure = Some(Failure::new(ErrorKind::Plugin, "trapped"));
    let broken = Observation {
        failure,
        missed: false,
        ..missed.clone()
    };
    for run in [missed, broken.clone()] {
        world
            .engine
            .as_ref()
            .unwrap()
            .0
            .send(Arc::new(run))
            .await
            .unwrap();
    }
    settle().await;
    assert!(world.rules.seen().is_empty());
    // An open alert stays as it is while the check is broken.
    world.observe("shop-api", Status::Unhealthy).await;
    world
        .engine
        .as_ref()
        .unwrap()
        .0
        .send(Arc::new(broken))
        .await
        .unwrap();
    settle().await;
    assert_eq!(world.store.story(), ["1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_evaluated_before_the_engine_stops() {
    let mut world = World::new(&[rule("shop-api", "Down"), rule("mail", "Down")]).await;
    for service in ["shop-api", "mail"] {
        world.send(service, Status::Unhealthy).await;
        world.send(service, Status::Healthy).await;
    }
    world.stop().await;
    assert_eq!(world.store.story().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn pages_are_notified_of_each_transition() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    let mut changes = world.signals.subscribe();
    world.observe("shop-api", Status::Unhealthy).await;
    let change = changes.try_recv().unwrap();
    assert_eq!(
        (change.alert.state, change.event.to),
        (AlertState::Firing, AlertState::Firing)
    );
    let state = world.store.state();
    assert_eq!(state.notifications[0].status, NotificationStatus::Firing);
    assert_eq!(state.notifications[0].alerts, [(*change.alert).clone()]);
}

/// One probe, which is repeated when it fails.
fn with_probe(rules: &[AlertRule], retry: Option<crate::domain::Retry>) -> Catalog {
    use crate::domain::{Origin, Probe, Service};
    let probe = Probe {
        name: "health".to_owned(),
        plugin: "http".to_owned(),
        settings: serde_json::json!({}),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
        retry,
    };
    let service = Service {
        slug: "shop-api".to_owned(),
        name: "Shop API".to_owned(),
        kind: "REST".to_owned(),
        base_url: "https://shop.example".to_owned(),
        health_endpoint: None,
        tags: vec![],
        labels: Default::default(),
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
        probes: vec![probe],
        webhooks: vec![],
        meters: Vec::new(),
        gateway: None,
    };
    let mut catalog = Catalog {
        version: 2,
        ..fakes::catalog(rules)
    };
    catalog
        .services
        .insert("shop-api".to_owned(), Arc::new(service));
    catalog
}

#[tokio::test(start_paused = true)]
async fn no_service_is_suspected_before_the_retries_are_over() {
    use crate::domain::Retry;
    let retry = Some(Retry {
        times: 2,
        every: Duration::from_secs(10),
    });
    let mut world = World::new(&[]).await;
    world
        .catalog
        .send_replace(Arc::new(with_probe(&[rule("shop-api", "Down")], retry)));
    settle().await;
    for statuses in [
        [Status::Unhealthy, Status::Unhealthy, Status::Healthy],
        [Status::Unhealthy; 3],
    ] {
        assert!(world.store.story().is_empty());
        for status in statuses {
            world.observe("shop-api", status).await;
            let standing = world.signals.rule_statuses().get("shop-api/Down");
            let is_open = !world.store.story().is_empty();
            assert_eq!(
                standing.is_retrying,
                status == Status::Unhealthy && !is_open
            );
            pass(10).await;
        }
    }
    assert_eq!(
        world.store.story(),
        ["1:firing"],
        "with the third failed run in a row"
    );
    world.observe("shop-api", Status::Healthy).await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(
        world.store.story(),
        ["1:firing", "1:resolved"],
        "and a new outage has its retries again"
    );
}
