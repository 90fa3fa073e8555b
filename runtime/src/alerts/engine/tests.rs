//! Timelines under virtual time: what the engine commits for what it is told.

mod outages;

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
    store: FakeStore,
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
            store: FakeStore::default(),
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
            rules: Arc::new(self.rules.clone()),
            store: Arc::new(self.store.clone()),
            history: Arc::new(self.history.clone()),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
            settings: self.settings.clone(),
        });
        let (sender, receiver) = mpsc::channel(4_096);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(engine.run(receiver, self.catalog.subscribe(), shutdown.clone()));
        self.engine = Some((sender, shutdown.clone(), task));
        let dispatcher = Dispatcher::new(DispatchDeps {
            store: Arc::new(self.store.clone()),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
        });
        self.dispatcher = Some(tokio::spawn(
            dispatcher.run(self.catalog.subscribe(), shutdown),
        ));
        settle().await;
    }

    /// As by `kill -9`.
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
        let row = {
            let mut state = self.store.state();
            let row = state
                .notifications
                .iter_mut()
                .find(|row| row.channel.0 == channel)
                .unwrap();
            row.attempts = attempts - 1;
            row.id
        };
        let attempt = Attempt {
            started_ms: 0,
            duration_ms: 0,
            outcome: AttemptOutcome::Dead,
            answer: String::new(),
        };
        let after = AfterAttempt::new(NotificationState::Dead, 0);
        self.store
            .notification_attempt(row, attempt, after)
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

enum Step {
    Healthy,
    Degraded,
    Unhealthy,
    /// The rule fails.
    Broken,
    Pass(u64),
    Crash,
    CommitsFail(usize),
    CommitsDoubtful(usize),
}

/// Its name, the rule's duration in seconds, what happens, the events and the outbox afterwards.
type Timeline = (
    &'static str,
    u64,
    Vec<Step>,
    Vec<&'static str>,
    Vec<&'static str>,
);

#[tokio::test(start_paused = true)]
async fn timelines() {
    use Step::*;
    let cases: Vec<Timeline> = vec![
        (
            "one alert while the service stays down",
            0,
            vec![
                Unhealthy,
                Pass(30),
                Unhealthy,
                Pass(30),
                Unhealthy,
                Pass(30),
                Healthy,
                Healthy,
            ],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "pending goes on over a crash",
            60,
            vec![Unhealthy, Pass(40), Crash, Unhealthy, Pass(20), Unhealthy],
            vec!["1:pending", "1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "firing goes on over a crash and is resolved after it",
            0,
            vec![Unhealthy, Crash, Unhealthy, Crash, Healthy],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a flapping service that stays below the duration disturbs nobody",
            60,
            vec![
                Unhealthy,
                Pass(30),
                Healthy,
                Pass(30),
                Unhealthy,
                Pass(30),
                Healthy,
            ],
            vec!["1:pending", "1:resolved", "2:pending", "2:resolved"],
            vec![],
        ),
        (
            "no opinion and a failing rule change nothing",
            0,
            vec![
                Degraded,
                Broken,
                Unhealthy,
                Degraded,
                Broken,
                Pass(600),
                Broken,
            ],
            vec!["1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "a failed commit is made up for without another observation",
            0,
            vec![CommitsFail(3), Unhealthy, Pass(20)],
            vec!["1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "a failed commit is made up for by the next observation",
            0,
            vec![Unhealthy, CommitsFail(1), Healthy, Healthy],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a commit that failed before a crash comes up again",
            0,
            vec![CommitsFail(1), Unhealthy, Crash, Unhealthy],
            vec!["1:firing"],
            vec!["slack-1:firing"],
        ),
        (
            "a breach that could not be committed is told although it is over",
            0,
            vec![CommitsFail(1), Unhealthy, Healthy],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a breach that could not be committed until it was over is told, and its end behind it",
            0,
            vec![CommitsFail(2), Unhealthy, Healthy, Pass(60)],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "commits that fail for long lose neither a breach nor its end, nor the time that it has lasted",
            60,
            vec![
                CommitsFail(8),
                Unhealthy,
                Pass(1),
                Unhealthy,
                Pass(1),
                Unhealthy,
                Pass(70),
                Unhealthy,
                Healthy,
                Pass(300),
            ],
            vec!["1:pending", "1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
        (
            "a commit that was done although it answered with an error is not done twice",
            0,
            vec![
                CommitsDoubtful(1),
                Unhealthy,
                Pass(20),
                Unhealthy,
                CommitsDoubtful(1),
                Healthy,
                Pass(20),
                Healthy,
            ],
            vec!["1:firing", "1:resolved"],
            vec!["slack-1:firing", "slack-1:resolved"],
        ),
    ];
    for (name, duration_s, steps, story, outbox) in cases {
        let mut world = World::new(&[lasting(duration_s)]).await;
        for step in steps {
            match step {
                Healthy => world.observe("shop-api", Status::Healthy).await,
                Degraded => world.observe("shop-api", Status::Degraded).await,
                Unhealthy => world.observe("shop-api", Status::Unhealthy).await,
                Broken => world.observe("shop-api", Status::Error).await,
                Pass(seconds) => pass(seconds).await,
                Crash => world.crash().await,
                CommitsFail(count) => world.store.state().failing_commits = count,
                CommitsDoubtful(count) => world.store.state().doubtful_commits = count,
            }
        }
        assert_eq!(world.store.story(), story, "{name}");
        assert_eq!(world.outbox(), outbox, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_rule_resolves_its_alert_and_tells_who_was_told() {
    for while_running in [true, false] {
        let mut world = World::new(&[
            rule("shop-api", "Down"),
            rule("shop-api", "Slow"),
            lasting(60),
        ])
        .await;
        world
            .publish(&[
                rule("shop-api", "Down"),
                AlertRule {
                    duration: Duration::from_secs(60),
                    ..rule("mail", "Late")
                },
            ])
            .await;
        world.observe("shop-api", Status::Unhealthy).await;
        world.observe("mail", Status::Unhealthy).await;
        if while_running {
            world.publish(&[]).await;
        } else {
            world.stop().await;
            world.catalog.send_replace(Arc::new(Catalog {
                version: 9,
                ..Catalog::default()
            }));
            world.start().await;
        }
        let mut story = world.store.story();
        story.sort();
        assert_eq!(story, ["1:firing", "1:resolved", "2:pending", "2:resolved"]);
        assert_eq!(world.outbox(), ["slack-1:firing", "slack-1:resolved"]);
        assert!(
            world
                .store
                .state()
                .events
                .iter()
                .skip(2)
                .all(|event| event.reason == "rule removed")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_can_not_run_keeps_its_alerts_until_it_runs_again_or_is_removed() {
    for comes_back in [true, false] {
        let mut world = World::new(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        let stopped = with_probe(&[], None).services;
        world.catalog.send_replace(Arc::new(Catalog {
            version: 7,
            stopped,
            ..Catalog::default()
        }));
        settle().await;
        world.crash().await;
        pass(60).await;
        assert_eq!(world.store.story(), ["1:firing"]);
        match comes_back {
            true => {
                world.publish(&[rule("shop-api", "Down")]).await;
                world.observe("shop-api", Status::Healthy).await;
            }
            false => world.publish(&[]).await,
        }
        assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
        let reason = world.store.state().events[1].reason.clone();
        assert_eq!(reason == "rule removed", !comes_back, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_resolved_before_a_catalog_was_published() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    let rules = world.catalog.borrow().clone();
    world.stop().await;
    world.catalog.send_replace(Arc::new(Catalog::default()));
    world.start().await;
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    world.catalog.send_replace(rules);
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_judged_before_the_open_alerts_were_read() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    world.stop().await;
    world.store.state().failing_reads = 3;
    world.start().await;
    world.observe("shop-api", Status::Unhealthy).await;
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    assert_eq!(world.rules.seen().len(), 2, "judged once they were read");
}

#[tokio::test(start_paused = true)]
async fn resolved_goes_to_exactly_those_who_were_told_firing() {
    let to = |names: &[&str]| AlertRule {
        channels: names
            .iter()
            .map(|name| ChannelId((*name).to_owned()))
            .collect(),
        ..rule("shop-api", "Down")
    };
    let mut world = World::new(&[to(&["email-1", "slack-1", "pager-1", "email-1"])]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    // Refused at once: not told. Given up after a while: it may have arrived.
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
async fn a_rule_for_one_probe_does_not_hear_of_the_others() {
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
async fn history_is_read_back_before_the_first_evaluation_and_counts_no_run_twice() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    pass(3_600).await;
    let now_ms = world.clock.now_ms();
    let recorded = (0..100).map(|n| Observation {
        run_id: n - 99,
        ..observation("shop-api", now_ms - (99 - n) * 30_000, Status::Healthy)
    });
    world.history.recorded.lock().unwrap().extend(recorded);
    // The first run of this process has reached the results already.
    world.history.recorded.lock().unwrap().push(Observation {
        run_id: 1,
        ..observation("shop-api", now_ms, Status::Healthy)
    });
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(
        world.rules.seen(),
        [("shop-api".to_owned(), 1, 21)],
        "20 in the ten minutes before, and itself"
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_of_a_rule_that_looks_back_further_sees_as_far_at_once() {
    let mut looks_back_a_minute = rule("shop-api", "Down");
    looks_back_a_minute.settings = serde_json::json!({"lookBackS": 60});
    let mut world = World::new(&[looks_back_a_minute]).await;
    pass(3_600).await;
    let now_ms = world.clock.now_ms();
    let recorded = (0..100).map(|n| Observation {
        run_id: n - 99,
        ..observation("shop-api", now_ms - (100 - n) * 30_000, Status::Healthy)
    });
    world.history.recorded.lock().unwrap().extend(recorded);
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.history.loads().len(), 1);
    world.rules.swap(Duration::from_secs(600));
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(
        world.history.loads().len(),
        2,
        "it was read again, further back"
    );
    assert_eq!(
        world.rules.seen()[1].2,
        19 + 2,
        "those of the ten minutes before, and its own two"
    );
}

fn looking_back(name: &str, seconds: u64) -> AlertRule {
    AlertRule {
        settings: serde_json::json!({"lookBackS": seconds}),
        ..rule("shop-api", name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_can_not_be_read_is_read_again_and_only_rules_that_need_it_wait() {
    let mut world = World::new(&[]).await;
    let now_ms = world.clock.now_ms();
    let recorded = (0..100).map(|n| Observation {
        run_id: n - 100,
        ..observation("shop-api", now_ms - (100 - n) * 5_000, Status::Healthy)
    });
    world.history.recorded.lock().unwrap().extend(recorded);
    world.history.set(Reading::Fails);
    world
        .publish(&[looking_back("Now", 0), looking_back("Long", 600)])
        .await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(
        world.store.story(),
        ["1:firing"],
        "the one that looks at the last run alone"
    );
    let standing = world.signals.standings().get("shop-api/Long");
    let Some(crate::domain::Verdict::NoOpinion(reason)) = &standing.verdict else {
        panic!("{standing:?}")
    };
    assert_eq!(
        reason,
        "it looks back 10m, and the history can't be read: the disk is full; it is tried again"
    );
    pass(60).await;
    world.observe("shop-api", Status::Unhealthy).await;
    let tries = world.history.loads().len();
    assert!((4..8).contains(&tries), "it backs off: {tries}");
    world.history.set(Reading::Works);
    pass(120).await;
    assert_eq!(
        world.store.story(),
        ["1:firing", "2:firing"],
        "judged as soon as the history is there"
    );
    let counts: Vec<u64> = world
        .rules
        .seen()
        .into_iter()
        .map(|(_, _, count)| count)
        .collect();
    // The last ten minutes hold all that was recorded, and the two runs since.
    assert_eq!(counts, [1, 2, 102]);
    let tries = world.history.loads().len();
    pass(3_600).await;
    assert_eq!(
        world.history.loads().len(),
        tries,
        "once it is there it is not read again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_look_back_has_passed_since_the_start_needs_no_history() {
    let mut world = World::new(&[]).await;
    world.history.set(Reading::Fails);
    world.publish(&[looking_back("Down", 600)]).await;
    for _ in 0..9 {
        world.observe("shop-api", Status::Unhealthy).await;
        pass(60).await;
    }
    assert!(world.store.story().is_empty() && world.rules.seen().is_empty());
    pass(70).await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn results_that_hang_hold_up_no_lane_for_longer_than_its_patience() {
    let services: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    let rules: Vec<AlertRule> = services
        .iter()
        .flat_map(|slug| {
            let looking_back = |name: &str, seconds: u64| AlertRule {
                settings: serde_json::json!({"lookBackS": seconds}),
                ..rule(slug, name)
            };
            [looking_back("Now", 0), looking_back("Long", 600)]
        })
        .collect();
    let mut world = World::new(&[]).await;
    world.history.set(Reading::Hangs);
    world.publish(&rules).await;
    for slug in &services {
        world.send(slug, Status::Unhealthy).await;
    }
    pass(3).await;
    assert_eq!(
        world.store.story().len(),
        services.len(),
        "all of those that need no history have fired"
    );
    assert_eq!(world.history.loads().len(), 2, "two are read at once");
    world.history.set(Reading::Works);
    // The two that hang end with their time, then all others take their turn at once.
    pass(45).await;
    assert_eq!(world.store.story().len(), 2 * services.len());
}

#[tokio::test(start_paused = true)]
async fn runs_are_judged_one_by_one_although_their_history_comes_late() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    for status in [Status::Unhealthy, Status::Healthy, Status::Unhealthy] {
        world.send("shop-api", status).await;
    }
    settle().await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved", "2:firing"]);
}

#[tokio::test(start_paused = true)]
async fn the_severity_of_an_edited_rule_reaches_its_open_alert() {
    use crate::domain::Severity;
    let to = |severity, names: &[&str]| AlertRule {
        severity,
        channels: names
            .iter()
            .map(|name| ChannelId((*name).to_owned()))
            .collect(),
        ..rule("shop-api", "Down")
    };
    let mut world = World::new(&[to(Severity::Warning, &["slack-1"])]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    world
        .publish(&[to(Severity::Critical, &["slack-1", "pager-1"])])
        .await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:firing"]);
    {
        let state = world.store.state();
        assert_eq!(state.alerts[&1].severity, Severity::Critical);
        assert_eq!(
            state.events[1].reason,
            "its rule was edited: the severity is critical, and was warning"
        );
    }
    let told = ["pager-1:firing", "slack-1:firing", "slack-1:firing"];
    let outbox = |world: &World| {
        let mut outbox = world.outbox();
        outbox.sort();
        outbox
    };
    assert_eq!(
        outbox(&world),
        told,
        "who was told is told that it became worse, and who is to know now"
    );
    world
        .publish(&[to(Severity::Info, &["slack-1", "mail-1"])])
        .await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(outbox(&world), told, "that it became less is no news");
    assert_eq!(world.store.state().alerts[&1].severity, Severity::Info);
    world.observe("shop-api", Status::Healthy).await;
    let told = [
        "pager-1:firing",
        "pager-1:resolved",
        "slack-1:firing",
        "slack-1:firing",
        "slack-1:resolved",
    ];
    assert_eq!(outbox(&world), told, "the end goes to who was told");
}

#[tokio::test(start_paused = true)]
async fn missed_and_broken_runs_and_services_without_rules_are_not_judged() {
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
async fn an_alert_about_a_plugin_lives_as_any_other() {
    let mut world = World::new(&[rule("plugin:http", "Plugin failing")]).await;
    world.observe("plugin:http", Status::Unhealthy).await;
    world.crash().await;
    world.observe("plugin:http", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    assert_eq!(world.outbox(), ["slack-1:firing", "slack-1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_judged_before_the_engine_stops() {
    let mut world = World::new(&[rule("shop-api", "Down"), rule("mail", "Down")]).await;
    for service in ["shop-api", "mail"] {
        world.send(service, Status::Unhealthy).await;
        world.send(service, Status::Healthy).await;
    }
    world.stop().await;
    assert_eq!(world.store.story().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn pages_hear_of_each_transition() {
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

#[tokio::test(start_paused = true)]
async fn what_a_person_resolved_is_no_alert_again_until_the_rule_was_satisfied() {
    use crate::alerts::{AlertActions, AlertStore};
    use crate::domain::AlertId;
    for restarts in [false, true] {
        let mut world = World::new(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        let store: Arc<dyn AlertStore> = Arc::new(world.store.clone());
        let actions = AlertActions::new(store, Arc::new(world.clock), world.signals.clone());
        actions.resolve(AlertId(1), "ann", "known").await.unwrap();
        if restarts {
            world.crash().await;
        }
        for status in [
            Status::Unhealthy,
            Status::Unhealthy,
            Status::Healthy,
            Status::Healthy,
            Status::Unhealthy,
        ] {
            world.observe("shop-api", status).await;
        }
        assert_eq!(
            world.store.story(),
            ["1:firing", "1:resolved", "2:firing"],
            "restarts: {restarts}"
        );
        assert!(!world.store.state().memories["shop-api/Down"].1.is_held);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_made_again_alerts_again_although_its_alert_was_resolved_by_hand() {
    use crate::alerts::{AlertActions, AlertStore, ports::MemoryChange};
    use crate::domain::AlertId;
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Gone {
        /// The engine sees a catalog without it.
        Seen,
        /// It is made again before the engine looks; the store forgets with the service.
        Unseen,
        WhileStopped,
    }
    for gone in [Gone::Seen, Gone::Unseen, Gone::WhileStopped] {
        let mut world = World::new(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        let store: Arc<dyn AlertStore> = Arc::new(world.store.clone());
        let actions = AlertActions::new(
            Arc::clone(&store),
            Arc::new(world.clock),
            world.signals.clone(),
        );
        actions.resolve(AlertId(1), "ann", "known").await.unwrap();
        world.observe("shop-api", Status::Unhealthy).await;
        assert_eq!(
            world.store.story(),
            ["1:firing", "1:resolved"],
            "{gone:?}: it is held"
        );
        match gone {
            Gone::Seen => world.publish(&[]).await,
            Gone::Unseen => {
                store
                    .rule_memory_put("shop-api/Down", "shop-api", MemoryChange::Forgotten)
                    .await
                    .unwrap();
            }
            Gone::WhileStopped => {
                world.stop().await;
                world.catalog.send_replace(Arc::new(Catalog {
                    version: 9,
                    ..Catalog::default()
                }));
                world.start().await;
            }
        }
        if gone != Gone::Unseen {
            assert!(world.store.state().memories.is_empty(), "{gone:?}");
        }
        world.publish(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        assert_eq!(
            world.store.story(),
            ["1:firing", "1:resolved", "2:firing"],
            "{gone:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn people_and_the_engine_on_one_alert_do_not_undo_each_other() {
    use crate::alerts::{AlertActions, AlertStore};
    use crate::domain::AlertId;
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    let store: Arc<dyn AlertStore> = Arc::new(world.store.clone());
    let actions = AlertActions::new(store, Arc::new(world.clock), world.signals.clone());
    actions
        .acknowledge(AlertId(1), "ann", None, "looking")
        .await
        .unwrap();
    world.observe("shop-api", Status::Unhealthy).await;
    // The engine still takes it for firing, and has to find out in the same turn.
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(
        world.store.story(),
        ["1:firing", "1:acknowledged", "1:resolved"]
    );
    let alert = world.store.state().alerts[&1].clone();
    assert_eq!(
        alert.marks.acknowledged.unwrap().by,
        "ann",
        "who was on it stays known"
    );
}

#[tokio::test(start_paused = true)]
async fn a_count_that_has_begun_goes_on_over_a_crash() {
    use crate::domain::{Failures, Life};
    let life = Life {
        failures: Failures { count: 3, of: 5 },
        ..Life::default()
    };
    let mut world = World::new(&[AlertRule {
        life,
        ..rule("shop-api", "Down")
    }])
    .await;
    for status in [Status::Unhealthy, Status::Healthy, Status::Unhealthy] {
        world.observe("shop-api", status).await;
    }
    world.crash().await;
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:pending"]);
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:pending", "1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_an_alert_is_kept_goes_on_over_a_crash() {
    use crate::domain::Life;
    let life = Life {
        keep_firing_for: Duration::from_secs(60),
        ..Life::default()
    };
    let mut world = World::new(&[AlertRule {
        life,
        ..rule("shop-api", "Down")
    }])
    .await;
    world.observe("shop-api", Status::Unhealthy).await;
    world.observe("shop-api", Status::Healthy).await;
    world.crash().await;
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn flapping_goes_on_over_a_crash() {
    use crate::domain::{FlappingThresholds, Life};
    let life = Life {
        flapping: Some(FlappingThresholds::default()),
        ..Life::default()
    };
    let mut world = World::new(&[AlertRule {
        life,
        ..rule("shop-api", "Down")
    }])
    .await;
    for _ in 0..2 {
        world.observe("shop-api", Status::Unhealthy).await;
        world.observe("shop-api", Status::Healthy).await;
        world.crash().await;
    }
    world.observe("shop-api", Status::Unhealthy).await;
    world.observe("shop-api", Status::Healthy).await;
    let story = [
        "1:firing",
        "1:resolved",
        "2:firing",
        "2:resolved",
        "3:firing",
        "3:firing",
    ];
    assert_eq!(
        world.store.story(),
        story,
        "the third does not end: it flaps"
    );
    world.crash().await;
    for _ in 0..20 {
        world.observe("shop-api", Status::Healthy).await;
    }
    assert_eq!(
        world.store.story().last().unwrap(),
        "3:resolved",
        "once it has calmed"
    );
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
        origin: Origin::File,
        hosts: Vec::new(),
        private: Default::default(),
        credentials: vec![],
        probes: vec![probe],
        webhooks: vec![],
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
async fn nobody_is_suspected_before_the_retries_are_over() {
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
            let standing = world.signals.standings().get("shop-api/Down");
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

#[tokio::test(start_paused = true)]
async fn a_rule_that_says_nothing_for_long_is_shown_and_counts_as_it_says() {
    use crate::domain::{Life, NoData};
    let ruled = |name: &str, no_data| AlertRule {
        life: Life {
            no_data,
            ..Life::default()
        },
        ..rule("shop-api", name)
    };
    let mut world = World::new(&[]).await;
    let rules = [
        ruled("Keep", NoData::Keep),
        ruled("Alert", NoData::Alert),
        ruled("Fine", NoData::Ok),
    ];
    world
        .catalog
        .send_replace(Arc::new(with_probe(&rules, None)));
    settle().await;
    world.observe("shop-api", Status::Unhealthy).await;
    world.observe("shop-api", Status::Healthy).await;
    let before = world.store.story().len();
    let since_ms = world.clock.now_ms();
    // Three intervals are less than the five minutes that are waited at least.
    for _ in 0..28 {
        pass(10).await;
        world.observe("shop-api", Status::Degraded).await;
    }
    assert_eq!(world.store.story().len(), before);
    assert_eq!(world.signals.standings().silent(), 0);
    pass(40).await;
    for name in ["Keep", "Alert", "Fine"] {
        let standing = world.signals.standings().get(&format!("shop-api/{name}"));
        let silent_since = standing.no_data_since_ms.unwrap();
        assert!(
            (silent_since - since_ms).abs() <= 2,
            "{name}: {silent_since} {since_ms}"
        );
    }
    assert_eq!(
        world.store.story()[before..],
        ["4:firing"],
        "the one that wants to know"
    );
    let alert = world.store.state().alerts[&4].clone();
    assert!(alert.marks.no_data && alert.name == "Alert", "{alert:?}");
    assert!(
        alert.summary.ends_with("too little history"),
        "{}",
        alert.summary
    );
    pass(600).await;
    assert_eq!(world.store.story().len(), before + 1, "once");
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story().last().unwrap(), "4:resolved");
    assert_eq!(world.signals.standings().silent(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_of_which_nothing_is_ever_seen_has_no_data() {
    use crate::domain::{Life, NoData};
    let life = Life {
        no_data: NoData::Alert,
        no_data_after: Some(Duration::from_secs(120)),
        ..Life::default()
    };
    let mut world = World::new(&[]).await;
    world
        .publish(&[AlertRule {
            life,
            ..rule("shop-api", "Down")
        }])
        .await;
    pass(100).await;
    assert!(world.store.story().is_empty());
    world.crash().await;
    pass(100).await;
    assert!(
        world.store.story().is_empty(),
        "the time without the program is nobody's silence"
    );
    pass(40).await;
    assert_eq!(world.store.story(), ["1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn missed_runs_are_the_reason_why_there_is_no_data() {
    use crate::domain::{Life, NoData};
    let life = Life {
        no_data: NoData::Alert,
        no_data_after: Some(Duration::from_secs(120)),
        ..Life::default()
    };
    let mut world = World::new(&[AlertRule {
        life,
        ..rule("shop-api", "Down")
    }])
    .await;
    world.observe("shop-api", Status::Healthy).await;
    for _ in 0..14 {
        pass(10).await;
        let failure = Some(Failure::new(ErrorKind::Plugin, "missed: no free slot"));
        let run = observation("shop-api", world.clock.now_ms(), Status::Error);
        let run = Observation {
            missed: true,
            failure,
            ..run
        };
        world
            .engine
            .as_ref()
            .unwrap()
            .0
            .send(Arc::new(run))
            .await
            .unwrap();
        settle().await;
    }
    assert_eq!(world.store.story(), ["1:firing"]);
    let summary = world.store.state().alerts[&1].summary.clone();
    assert!(
        summary.ends_with("the last one: missed: no free slot"),
        "{summary}"
    );
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_holds_up_no_rule() {
    const HOUR_MS: i64 = 3_600_000;
    for back_ms in [40_000, HOUR_MS] {
        let mut world = World::new(&[lasting(60), absent(60)]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        pass(20).await;
        world.clock.set_back(back_ms);
        world.signals.clock_jumps().add(-back_ms);
        for _ in 0..4 {
            world.observe("shop-api", Status::Unhealthy).await;
            pass(20).await;
        }
        assert_eq!(
            world.store.story(),
            ["1:pending", "1:firing"],
            "back by {back_ms} ms"
        );
        world.observe("shop-api", Status::Healthy).await;
        assert_eq!(
            world.store.story(),
            ["1:pending", "1:firing", "1:resolved"],
            "back by {back_ms} ms"
        );
        pass(90).await;
        assert_eq!(
            world.store.story().last().unwrap(),
            "2:firing",
            "silence is noticed: back by {back_ms} ms"
        );
    }
}

fn absent(seconds: u64) -> AlertRule {
    AlertRule {
        settings: serde_json::json!({"absentS": seconds}),
        ..rule("shop-api", "Silent")
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_although_nothing_arrives() {
    let mut world = World::new(&[absent(60), rule("mail", "Down")]).await;
    world.observe("mail", Status::Healthy).await;
    world.observe("shop-api", Status::Healthy).await;
    pass(50).await;
    assert_eq!(world.store.story(), [""; 0]);
    pass(30).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    pass(300).await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    assert_eq!(world.outbox(), ["slack-1:firing", "slack-1:resolved"]);
    assert_eq!(
        world.rules.seen().len(),
        1,
        "a rule that did not ask for it is judged by observations alone"
    );
    let state = world.store.state();
    let moments: Vec<_> = state.events.iter().map(|event| event.ts_ms).collect();
    assert!(
        moments[0] % 15_000 == 0 && moments[0] <= moments[1],
        "{moments:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_never_heard_is_noticed() {
    let world = World::new(&[absent(60)]).await;
    pass(45).await;
    assert_eq!(world.store.story(), [""; 0]);
    pass(45).await;
    assert_eq!(world.store.story(), ["1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_listened_is_no_silence() {
    let mut world = World::new(&[absent(60)]).await;
    world.observe("shop-api", Status::Healthy).await;
    pass(50).await;
    world.crash().await;
    pass(50).await;
    assert_eq!(
        world.store.story(),
        [""; 0],
        "it has listened for 50 s only"
    );
    pass(30).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    world.crash().await;
    pass(30).await;
    assert_eq!(
        world.store.story(),
        ["1:firing"],
        "a start is no end of the silence either"
    );
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    // The machine sleeps for an hour.
    tokio::time::advance(Duration::from_secs(3_600)).await;
    pass(30).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved", "2:firing"]);
}

#[tokio::test(start_paused = true)]
async fn an_observation_from_before_a_tick_does_not_turn_time_back() {
    let world = World::new(&[absent(60)]).await;
    pass(90).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    // It was due before the tick that fired, and ended after it.
    let run = observation("shop-api", world.clock.now_ms() - 30_000, Status::Healthy);
    world
        .engine
        .as_ref()
        .unwrap()
        .0
        .send(Arc::new(run))
        .await
        .unwrap();
    settle().await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    let state = world.store.state();
    assert!(
        state.events[0].ts_ms <= state.events[1].ts_ms,
        "{:?}",
        state.events
    );
}
