//! Backtests with stand-ins for the results and the rules, beside the live engine over the same
//! observations.

use std::collections::BTreeMap;

use futures::Stream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::alerts::clock::Clock;
use crate::alerts::fakes::{self, *};
use crate::alerts::ports::RuleRunner;
use crate::alerts::{AlertEngine, AlertSignals, EngineDeps};
use crate::domain::{AlertOptions, Failures, FlappingThresholds, NoData, Observation, Status};

/// Pages of these observations that belong to the run.
fn stored(
    observations: &[Observation],
    run: &BacktestRun,
) -> impl Stream<Item = PortResult<Vec<Observation>>> {
    let (since_ms, until_ms) = run.observed_range();
    pages(move |after_run| {
        let is_in = |observation: &&Observation| {
            observation.service == run.rule.service
                && observation.run_id > after_run
                && (since_ms..until_ms).contains(&observation.ts_ms)
        };
        let page = observations.iter().filter(is_in).take(PAGE).cloned();
        std::future::ready(Ok(page.collect()))
    })
}

struct FakeSession(FakeRules, Arc<AlertRule>);

impl RuleSession for FakeSession {
    async fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
        RuleRunner::evaluate(&self.0, &self.1, history, now_ms).await
    }

    fn is_impure(&self) -> bool {
        false
    }
}

const MINUTE_MS: i64 = 60_000;

/// Outages of all lengths, answers without an opinion, rules that fail: different in each service,
/// and always the same.
fn walk(service: &str, runs: i64, every_ms: i64) -> Vec<Observation> {
    let mut seed = service.bytes().fold(7_u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut status = Status::Healthy;
    let mut next = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if (seed >> 33) % 5 == 0 {
            status = match (seed >> 40) % 8 {
                0..=3 => Status::Healthy,
                4..=5 => Status::Unhealthy,
                6 => Status::Degraded,
                _ => Status::Error,
            };
        }
        status
    };
    (1..=runs)
        .map(|run| observation(service, EPOCH_MS + run * every_ms, next()))
        .collect()
}

fn run(rule: &Arc<AlertRule>, since_ms: i64, until_ms: i64) -> BacktestRun {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    BacktestRun {
        rule: rule.clone(),
        look_back: minutes(10),
        interval: minutes(1),
        retries: Default::default(),
        tick: EngineSettings::default().tick,
        ticks: false,
        no_data_after: None,
        since_ms,
        until_ms,
    }
}

async fn tested(
    rule: &Arc<AlertRule>,
    observations: Vec<Observation>,
    since_ms: i64,
    until_ms: i64,
) -> BacktestOutcome {
    let mut session = FakeSession(FakeRules::default(), rule.clone());
    let run = run(rule, since_ms, until_ms);
    simulate(&run, stored(&observations, &run), &mut session, &|_| {})
        .await
        .unwrap()
}

fn engine(
    store: &TestStore,
    clock: FakeClock,
    settings: EngineSettings,
) -> AlertEngine<FakeRules, FakeHistory> {
    AlertEngine::new(EngineDeps {
        rules: FakeRules::default(),
        store: store.control(),
        history: FakeHistory::default(),
        clock: Arc::new(clock),
        signals: AlertSignals::default(),
        settings,
    })
}

#[tokio::test(start_paused = true)]
async fn a_backtest_is_alert_for_alert_what_the_engine_did() {
    // Two days of a hundred services.
    const RUNS: i64 = 2 * 24 * 6;
    const EVERY_MS: i64 = 10 * MINUTE_MS;
    let every = |runs: u64| Duration::from_millis(runs * EVERY_MS as u64);
    let rules: Vec<AlertRule> = (0..100)
        .map(|index| AlertRule {
            duration: every(index % 4),
            options: AlertOptions {
                failures: if index % 3 == 0 {
                    Failures { count: 2, of: 4 }
                } else {
                    Failures::default()
                },
                keep_firing_for: every(index % 5),
                flapping: (index % 2 == 0).then(FlappingThresholds::default),
                ..AlertOptions::default()
            },
            ..rule(&format!("service-{index}"), "Down")
        })
        .collect();
    let store = TestStore::default();
    let catalog = watch::channel(Arc::new(fakes::catalog(&rules))).0;
    let settings = EngineSettings {
        evaluated_behind: usize::MAX,
        kept_behind: usize::MAX,
        ..EngineSettings::default()
    };
    let engine = engine(&store, FakeClock::new(), settings);
    let (sender, receiver) = mpsc::channel(16);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(engine.run(receiver, catalog.subscribe(), shutdown.clone()));
    let walks: BTreeMap<&str, Vec<Observation>> = rules
        .iter()
        .map(|rule| (rule.service.as_str(), walk(&rule.service, RUNS, EVERY_MS)))
        .collect();
    for run in 0..RUNS as usize {
        for observations in walks.values() {
            sender
                .send(Arc::new(observations[run].clone()))
                .await
                .unwrap();
        }
    }
    settle().await;
    shutdown.cancel();
    task.await.unwrap();

    let mut fired = 0;
    for rule in &rules {
        let rule = Arc::new(rule.clone());
        let found = tested(
            &rule,
            walks[rule.service.as_str()].clone(),
            EPOCH_MS,
            i64::MAX,
        )
        .await;
        let live: Vec<Episode> = store
            .state()
            .alerts
            .values()
            .filter(|alert| alert.rule == rule.key)
            .filter_map(Episode::of)
            .collect();
        let moments = |episodes: &[Episode]| -> Vec<(i64, i64, Option<i64>)> {
            episodes
                .iter()
                .map(|episode| (episode.started_ms, episode.fired_ms, episode.resolved_ms))
                .collect()
        };
        assert_eq!(moments(&found.episodes), moments(&live), "{}", rule.service);
        assert_eq!(found.evaluations, RUNS as u64);
        assert!(found.failures > 0 && found.first_failure.as_deref() == Some("trapped"));
        fired += live.len();
    }
    assert!(fired > 600, "the walks are worth a comparison: {fired}");
}

#[tokio::test(start_paused = true)]
async fn what_was_before_the_first_moment_is_looked_at_and_not_judged() {
    let rule = Arc::new(rule("shop-api", "Down"));
    let statuses = [
        Status::Unhealthy,
        Status::Unhealthy,
        Status::Unhealthy,
        Status::Healthy,
        Status::Unhealthy,
    ];
    let observations = statuses.into_iter().enumerate().map(|(index, status)| {
        observation(
            "shop-api",
            EPOCH_MS + (index as i64 + 1) * MINUTE_MS,
            status,
        )
    });
    let rules = FakeRules::default();
    let mut session = FakeSession(rules.clone(), rule.clone());
    let since_ms = EPOCH_MS + 3 * MINUTE_MS;
    let run = run(&rule, since_ms, since_ms + 3 * MINUTE_MS);
    let observations: Vec<Observation> = observations.collect();
    let found = simulate(&run, stored(&observations, &run), &mut session, &|_| {})
        .await
        .unwrap();
    assert_eq!(
        rules
            .seen()
            .iter()
            .map(|(_, _, count)| *count)
            .collect::<Vec<_>>(),
        [3, 4, 5]
    );
    let spans: Vec<_> = found
        .episodes
        .iter()
        .map(|episode| (episode.fired_ms, episode.resolved_ms))
        .collect();
    let minute = |minute: i64| EPOCH_MS + minute * MINUTE_MS;
    assert_eq!(spans, [(minute(3), Some(minute(4))), (minute(5), None)]);
    assert_eq!(
        found.episodes[0].summary, "found 90, wanted 99.5",
        "as it fired"
    );
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_without_a_gap_and_a_failure_to_read_ends_it() {
    let rule = Arc::new(rule("shop-api", "Down"));
    let count = 2 * PAGE as i64 + 3;
    let progress = std::sync::atomic::AtomicU64::new(0);
    let mut session = FakeSession(FakeRules::default(), rule.clone());
    let note = |played| {
        progress.fetch_add(played, std::sync::atomic::Ordering::Relaxed);
    };
    let walk = walk("shop-api", count, MINUTE_MS);
    let run = run(&rule, EPOCH_MS, i64::MAX);
    let found = simulate(&run, stored(&walk, &run), &mut session, &note)
        .await
        .unwrap();
    assert_eq!(
        (found.evaluations, progress.into_inner()),
        (count as u64, count as u64)
    );

    let broken = pages(|_| std::future::ready(Err(PortError("the disk is gone".to_owned()))));
    let failed = simulate(&run, broken, &mut session, &|_| {}).await;
    assert_eq!(failed, Err(PortError("the disk is gone".to_owned())));
}

/// Breached when there was no observation for more than a minute.
struct Absence;

impl RuleSession for Absence {
    async fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
        let silent_ms = history.latest().map_or(0, |latest| now_ms - latest.ts_ms);
        Ok(if silent_ms > MINUTE_MS {
            breached()
        } else {
            ok()
        })
    }

    fn is_impure(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn rules_that_look_at_the_passing_of_time_are_judged_at_the_engines_moments() {
    let rule = Arc::new(rule("shop-api", "Silent"));
    let observations = [1, 2, 3, 10]
        .map(|minute| observation("shop-api", EPOCH_MS + minute * MINUTE_MS, Status::Healthy))
        .to_vec();
    let until_ms = EPOCH_MS + 20 * MINUTE_MS;
    let ticking = BacktestRun {
        ticks: true,
        ..run(&rule, EPOCH_MS, until_ms)
    };
    let found = simulate(
        &ticking,
        stored(&observations, &ticking),
        &mut Absence,
        &|_| {},
    )
    .await
    .unwrap();
    let spans: Vec<_> = found
        .episodes
        .iter()
        .map(|episode| (episode.fired_ms, episode.resolved_ms))
        .collect();
    // Whole quarters of a minute lie 10 s behind the epoch of the tests.
    let second = |second: i64| EPOCH_MS + second * 1_000;
    assert_eq!(
        spans,
        [(second(250), Some(second(600))), (second(670), None)]
    );
    let without = BacktestRun {
        ticks: false,
        ..ticking
    };
    let found = simulate(
        &without,
        stored(&observations, &without),
        &mut Absence,
        &|_| {},
    )
    .await
    .unwrap();
    assert_eq!((found.episodes, found.evaluations), (vec![], 4));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_heard_of_counts_at_the_engines_moments() {
    let silent = |name: &str, duration_s, no_data| AlertRule {
        duration: Duration::from_secs(duration_s),
        options: AlertOptions {
            no_data,
            no_data_after: Some(Duration::from_secs(300)),
            ..AlertOptions::default()
        },
        ..rule("shop-api", name)
    };
    let rules = [
        silent("Alerts", 0, NoData::Alert),
        silent("Alerts after a while", 120, NoData::Alert),
        silent("Is satisfied", 0, NoData::Ok),
        silent("Stays", 0, NoData::Keep),
    ];
    // Minutes with what was seen; in between nothing was.
    let seen = [
        (1, Status::Healthy),
        (2, Status::Unhealthy),
        (20, Status::Healthy),
        (21, Status::Unhealthy),
    ];
    let observations =
        seen.map(|(minute, status)| observation("shop-api", EPOCH_MS + minute * MINUTE_MS, status));
    let until_ms = EPOCH_MS + 40 * MINUTE_MS;

    let store = TestStore::default();
    let clock = FakeClock::new();
    let catalog = watch::channel(Arc::new(fakes::catalog(&rules))).0;
    let (sender, receiver) = mpsc::channel(16);
    let shutdown = CancellationToken::new();
    let engine = engine(&store, clock, EngineSettings::default());
    let task = tokio::spawn(engine.run(receiver, catalog.subscribe(), shutdown.clone()));
    let sleep_until = async |at_ms: i64| {
        tokio::time::sleep(Duration::from_millis(
            (at_ms - clock.now_ms()).max(0).unsigned_abs(),
        ))
        .await;
    };
    for observation in &observations {
        sleep_until(observation.ts_ms).await;
        sender.send(Arc::new(observation.clone())).await.unwrap();
        settle().await;
    }
    sleep_until(until_ms).await;
    shutdown.cancel();
    task.await.unwrap();

    let second = |second: i64| EPOCH_MS + second * 1_000;
    // Whole quarters of a minute lie 10 s behind the epoch of the tests: 430 s is the first one
    // with 300 s of silence before it.
    for (rule, wanted) in rules.into_iter().zip([
        vec![(second(120), Some(second(1_200))), (second(1_260), None)],
        vec![(second(430), Some(second(1_200))), (second(1_570), None)],
        vec![
            (second(120), Some(second(430))),
            (second(1_260), Some(second(1_570))),
        ],
        vec![(second(120), Some(second(1_200))), (second(1_260), None)],
    ]) {
        let rule = Arc::new(rule);
        let run = BacktestRun {
            no_data_after: rule.options.no_data_after,
            ..run(&rule, EPOCH_MS, until_ms)
        };
        let mut session = FakeSession(FakeRules::default(), rule.clone());
        let found = simulate(&run, stored(&observations, &run), &mut session, &|_| {})
            .await
            .unwrap();
        let spans = |episodes: &[Episode]| -> Vec<(i64, Option<i64>)> {
            episodes
                .iter()
                .map(|episode| (episode.fired_ms, episode.resolved_ms))
                .collect()
        };
        let live: Vec<Episode> = store
            .state()
            .alerts
            .values()
            .filter(|alert| alert.rule == rule.key)
            .filter_map(Episode::of)
            .collect();
        assert_eq!(spans(&live), wanted, "live: {}", rule.name);
        assert_eq!(spans(&found.episodes), wanted, "{}", rule.name);
    }
}
