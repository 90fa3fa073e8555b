//! Timelines under virtual time: the messages, their moments and their alerts. Expectations are
//! written by hand from what Alertmanager documents; `runtime/docs/routing.md` names the differences.
//! In one file, because all timelines share one notation.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::alerts::engine::{AlertEngine, EngineDeps, EngineSettings};
use crate::alerts::fakes::{self, *};
use crate::alerts::message_simulation::{Episode, RuleEpisodes, count_messages};
use crate::domain::*;
use crate::store::control::SilenceDraft;

/// Event at a second.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// The check of a service fails.
    Fail(&'static str),
    Heal(&'static str),
    /// A silence until a second.
    Silence(&'static str, i64),
    /// Ends all silences.
    Expire,
    /// Engine and dispatcher are cut off and start again.
    Crash,
    /// The program is off until a second.
    Off(i64),
}
use Act::*;

/// Where observations go in, the engine and the dispatcher.
type Running = (
    mpsc::Sender<Arc<Observation>>,
    JoinHandle<()>,
    JoinHandle<()>,
);

struct World {
    store: TestStore,
    clock: FakeClock,
    signals: AlertSignals,
    catalog: watch::Sender<Arc<Catalog>>,
    running: Option<Running>,
    runs: i64,
}

impl World {
    fn new(catalog: Catalog) -> Self {
        let mut world = Self {
            store: TestStore::default(),
            clock: FakeClock::new(),
            signals: AlertSignals::default(),
            catalog: watch::channel(Arc::new(catalog)).0,
            running: None,
            runs: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let engine = AlertEngine::new(EngineDeps {
            rules: FakeRules::default(),
            store: self.store.control(),
            history: FakeHistory::default(),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
            settings: EngineSettings::default(),
        });
        let dispatcher = Dispatcher::new(DispatchDeps {
            store: self.store.control(),
            clock: Arc::new(self.clock),
            signals: self.signals.clone(),
        });
        let (sender, receiver) = mpsc::channel(64);
        let never = CancellationToken::new();
        let engine = tokio::spawn(engine.run(receiver, self.catalog.subscribe(), never.clone()));
        self.running = Some((
            sender,
            engine,
            tokio::spawn(dispatcher.run(self.catalog.subscribe(), never)),
        ));
    }

    async fn stop(&mut self) {
        let (_, engine, dispatcher) = self.running.take().unwrap();
        for task in [engine, dispatcher] {
            task.abort();
            let _ = task.await;
        }
    }

    async fn observe(&mut self, service: &str, status: Status) {
        self.runs += 1;
        let run = Observation {
            run_id: self.runs,
            ..observation(service, self.clock.now_ms(), status)
        };
        self.running
            .as_ref()
            .unwrap()
            .0
            .send(Arc::new(run))
            .await
            .unwrap();
    }

    async fn act(&mut self, act: Act) {
        match act {
            Fail(service) => self.observe(service, Status::Unhealthy).await,
            Heal(service) => self.observe(service, Status::Healthy).await,
            Silence(matcher, until_s) => {
                let silence = SilenceDraft {
                    matchers: vec![Matcher::parse(matcher).unwrap()],
                    starts_ms: self.clock.now_ms(),
                    ends_ms: EPOCH_MS + until_s * 1_000,
                    author: "ana".to_owned(),
                    comment: "moving".to_owned(),
                };
                self.store.silence_insert(silence, 0).await.unwrap();
                self.signals.wake_dispatcher();
            }
            Expire => {
                let now_ms = self.clock.now_ms();
                for silence in &self.store.state().silences {
                    let expired = self.store.silence_expire(silence.id, now_ms).await;
                    expired.unwrap();
                }
                self.signals.wake_dispatcher();
            }
            Crash => {
                self.stop().await;
                self.start();
            }
            Off(until_s) => {
                self.stop().await;
                self.sleep_until(until_s).await;
                self.start();
            }
        }
        settle().await;
    }

    async fn sleep_until(&self, second: i64) {
        let wait_ms = EPOCH_MS + second * 1_000 - self.clock.now_ms();
        tokio::time::sleep(Duration::from_millis(wait_ms.max(0).unsigned_abs())).await;
    }

    /// Each message as `second channel: firing alerts / ended ones`, with `again` where nothing is
    /// new.
    fn told(&self) -> Vec<String> {
        let state = self.store.state();
        let line = |row: &Notification| {
            let names = |is_open: bool| {
                let of_state = row
                    .alerts
                    .iter()
                    .filter(|alert| alert.state.is_open() == is_open);
                let mut names: Vec<String> = of_state
                    .map(|alert| format!("{}.{}", alert.service, alert.name))
                    .collect();
                names.sort();
                names.join(" ")
            };
            let again = if row.reason == NotificationReason::Repeat {
                " again"
            } else {
                ""
            };
            let second = (row.created_ms - EPOCH_MS) / 1_000;
            format!(
                "{second} {}: {} / {}{again}",
                row.channel.0,
                names(true),
                names(false)
            )
        };
        state.notifications.iter().map(line).collect()
    }

    /// Messages by channel, as they were and as a backtest of all rules counts them over the alerts
    /// that fired.
    fn counted(&self) -> (BTreeMap<ChannelId, u64>, BTreeMap<ChannelId, u64>) {
        let (state, catalog) = (self.store.state(), self.catalog.borrow().clone());
        let mut live: BTreeMap<ChannelId, u64> = BTreeMap::new();
        for row in &state.notifications {
            *live.entry(row.channel.clone()).or_default() += 1;
        }
        let episodes: Vec<RuleEpisodes> = catalog
            .rules
            .values()
            .flatten()
            .map(|rule| RuleEpisodes {
                rule: rule.clone(),
                episodes: state
                    .alerts
                    .values()
                    .filter(|alert| alert.rule == rule.key)
                    .filter_map(Episode::of)
                    .collect(),
            })
            .collect();
        let mutes = mutes_of(&catalog, state.silences.clone(), Vec::new());
        let counted = count_messages(&episodes, &[], &catalog, &mutes, self.clock.now_ms() + 1);
        assert!(!counted.is_cut);
        (live, counted.messages)
    }

    fn history(&self) -> Vec<String> {
        let state = self.store.state();
        state
            .events
            .iter()
            .map(|event| format!("{} {}", event.to.as_str(), event.reason))
            .collect()
    }
}

fn channels(names: &[&str]) -> Option<Vec<ChannelId>> {
    Some(
        names
            .iter()
            .map(|name| ChannelId((*name).to_owned()))
            .collect(),
    )
}

fn matchers(texts: &[&str]) -> Vec<Matcher> {
    texts
        .iter()
        .map(|text| Matcher::parse(text).unwrap())
        .collect()
}

fn by(names: &[&str]) -> Option<GroupBy> {
    Some(GroupBy::Labels(
        names.iter().map(|name| (*name).to_owned()).collect(),
    ))
}

/// Wait 30 s, interval 300 s, repeat 3600 s; all to `ops` together.
fn tree(routes: Vec<Route>) -> Route {
    Route {
        channels: channels(&["ops"]),
        group_wait: Some(Duration::from_secs(30)),
        group_interval: Some(Duration::from_secs(300)),
        repeat_interval: Some(Duration::from_secs(3_600)),
        routes,
        ..Route::default()
    }
}

fn service(slug: &str, tags: &[&str], depends_on: &[&str]) -> Arc<Service> {
    Arc::new(Service {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        depends_on: depends_on.iter().map(|slug| (*slug).to_owned()).collect(),
        ..fakes::service(slug)
    })
}

/// Services `a`, `b`, `c` with the alert `Down`, critical, and `d` with a warning; `a` and `b`
/// depend on `db`.
fn catalog(route: Route) -> Catalog {
    let routed = |slug: &str, name: &str, severity| AlertRule {
        channels: vec![],
        is_routed: true,
        severity,
        ..rule(slug, name)
    };
    let rules: Vec<AlertRule> = ["a", "b", "c", "db"]
        .map(|slug| routed(slug, "Down", Severity::Critical))
        .to_vec();
    let mut catalog =
        fakes::catalog(&[rules, vec![routed("d", "Slow", Severity::Warning)]].concat());
    for (slug, tags, on) in [
        ("a", &["eu", "paid"][..], &["db"][..]),
        ("b", &["eu"], &["db"]),
        ("c", &["us"], &[]),
        ("d", &["us"], &[]),
        ("db", &[], &[]),
    ] {
        catalog
            .services
            .insert(slug.to_owned(), service(slug, tags, on));
    }
    for name in ["ops", "pager", "eu"] {
        catalog
            .channels
            .insert(ChannelId(name.to_owned()), Arc::new(channel(name)));
    }
    catalog.route = Some(Arc::new(route));
    let on = catalog
        .services
        .values()
        .map(|service| (service.slug.clone(), service.depends_on.clone()));
    catalog.dependencies = Arc::new(Dependencies::new(on));
    catalog
}

/// Name, configuration, events with their seconds, end, and the messages.
type Timeline = (
    &'static str,
    Catalog,
    Vec<(i64, Act)>,
    i64,
    Vec<&'static str>,
);

async fn play(catalog: Catalog, acts: &[(i64, Act)], until_s: i64) -> World {
    let mut world = World::new(catalog);
    settle().await;
    for (second, act) in acts {
        world.sleep_until(*second).await;
        world.act(*act).await;
    }
    world.sleep_until(until_s).await;
    world
}

async fn check(cases: Vec<Timeline>) {
    for (name, catalog, acts, until_s, wanted) in cases {
        let world = play(catalog, &acts, until_s).await;
        assert_eq!(world.told(), wanted, "{name}: {:#?}", world.history());
        let (live, in_a_backtest) = world.counted();
        assert_eq!(in_a_backtest, live, "{name}: a backtest counts the same");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_speak_as_alertmanager_documents() {
    check(vec![
        (
            "groupWait: what comes meanwhile is told together",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (10, Fail("c")), (29, Fail("d"))],
            200,
            vec!["30 ops: a.Down c.Down d.Slow / "],
        ),
        (
            "groupInterval: what comes later waits for it, and comes with all that fires",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (40, Fail("c")), (50, Fail("d"))],
            900,
            vec!["30 ops: a.Down / ", "330 ops: a.Down c.Down d.Slow / "],
        ),
        (
            "repeatInterval: counted from the last message, at a tick of the interval",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (1_000, Fail("c"))],
            5_000,
            vec![
                "30 ops: a.Down / ",
                "1230 ops: a.Down c.Down / ",
                "4830 ops: a.Down c.Down /  again",
            ],
        ),
        (
            "an end is told with the next interval, and with what still fires",
            catalog(tree(vec![])),
            vec![
                (0, Fail("a")),
                (1, Fail("c")),
                (60, Heal("a")),
                (400, Heal("c")),
            ],
            2_000,
            vec![
                "30 ops: a.Down c.Down / ",
                "330 ops: c.Down / a.Down",
                "630 ops:  / c.Down",
            ],
        ),
        (
            "what ends before the first message is not told",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (20, Heal("a"))],
            2_000,
            vec![],
        ),
        (
            "what ends and fires again within an interval is not told twice, and its end once",
            catalog(tree(vec![])),
            vec![
                (0, Fail("a")),
                (60, Heal("a")),
                (90, Fail("a")),
                (400, Heal("a")),
            ],
            2_000,
            vec!["30 ops: a.Down / ", "630 ops:  / a.Down"],
        ),
        (
            "a group that ended begins anew, with its wait",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (60, Heal("a")), (400, Fail("a"))],
            600,
            vec![
                "30 ops: a.Down / ",
                "330 ops:  / a.Down",
                "430 ops: a.Down / ",
            ],
        ),
        (
            "groupBy: groups of their own",
            catalog(Route {
                group_by: by(&["severity", "region"]),
                ..tree(vec![])
            }),
            vec![(0, Fail("a")), (5, Fail("c")), (10, Fail("d"))],
            200,
            vec!["30 ops: a.Down c.Down / ", "40 ops: d.Slow / "],
        ),
        (
            "groupBy `...`: each alert by itself",
            catalog(Route {
                group_by: Some(GroupBy::Each),
                ..tree(vec![])
            }),
            vec![(0, Fail("a")), (5, Fail("c"))],
            200,
            vec!["30 ops: a.Down / ", "35 ops: c.Down / "],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_tree_says_who_is_told() {
    let routes = || {
        vec![
            Route {
                matchers: matchers(&["severity=critical"]),
                channels: channels(&["pager"]),
                group_wait: Some(Duration::ZERO),
                continues: true,
                ..Route::default()
            },
            Route {
                matchers: matchers(&["tag=eu"]),
                channels: channels(&["eu"]),
                ..Route::default()
            },
            Route {
                matchers: matchers(&["tag=paid"]),
                channels: channels(&["ops"]),
                ..Route::default()
            },
        ]
    };
    check(vec![
        (
            "continue: the pager at once, and its region's people; siblings after a match without it are not asked",
            catalog(tree(routes())),
            vec![(0, Fail("a"))],
            100,
            vec!["0 pager: a.Down / ", "30 eu: a.Down / "],
        ),
        (
            "a match with continue alone is all there is; without any match the top is told",
            catalog(tree(routes())),
            vec![(0, Fail("c")), (1, Fail("d"))],
            100,
            vec!["0 pager: c.Down / ", "31 ops: d.Slow / "],
        ),
        (
            "two receivers are told independently",
            catalog(Route { channels: channels(&["ops", "eu"]), ..tree(vec![]) }),
            vec![(0, Fail("a"))],
            100,
            vec!["30 ops: a.Down / ", "30 eu: a.Down / "],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn silences_mute_until_they_end_and_never_the_end() {
    check(vec![
        (
            "silenced before the first message: told at the first interval after the silence",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (10, Silence("service=a", 500))],
            1_000,
            vec!["630 ops: a.Down / "],
        ),
        (
            "others are told meanwhile",
            catalog(tree(vec![])),
            vec![
                (0, Fail("a")),
                (10, Silence("service=a", 5_000)),
                (15, Fail("c")),
            ],
            1_000,
            vec!["30 ops: c.Down / "],
        ),
        (
            "silenced after it was told: no repeats, and its end is told all the same",
            catalog(tree(vec![])),
            vec![
                (0, Fail("a")),
                (60, Silence("service=a", 9_000)),
                (4_000, Heal("a")),
            ],
            6_000,
            vec!["30 ops: a.Down / ", "4230 ops:  / a.Down"],
        ),
        (
            "what came and went under a silence is not told",
            catalog(tree(vec![])),
            vec![
                (0, Silence("service=a", 9_000)),
                (10, Fail("a")),
                (600, Heal("a")),
            ],
            9_500,
            vec![],
        ),
        (
            "ended early by a person",
            catalog(tree(vec![])),
            vec![
                (0, Silence("severity=critical", 9_000)),
                (10, Fail("a")),
                (100, Expire),
            ],
            400,
            vec!["340 ops: a.Down / "],
        ),
        (
            "over a crash",
            catalog(tree(vec![])),
            vec![
                (0, Fail("a")),
                (10, Silence("service=a", 500)),
                (20, Crash),
                (450, Crash),
            ],
            1_000,
            vec!["630 ops: a.Down / "],
        ),
    ])
    .await;
    let acts = [
        (0, Fail("a")),
        (10, Silence("service=a", 1_500)),
        (1_550, Heal("a")),
    ];
    let world = play(catalog(tree(vec![])), &acts, 2_000).await;
    assert_eq!(
        world.history(),
        [
            "firing found 90, wanted 99.5",
            "suppressed suppressed by silence 1: moving",
            "suppressed silence 1 ends in 15m and still mutes this alert",
            "firing no longer suppressed by silence 1",
            "resolved found 100, wanted 99.5",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn other_alerts_services_and_times_mute_too() {
    let inhibiting = || {
        let inhibition = Inhibition {
            source: matchers(&["severity=critical"]),
            target: matchers(&["severity=warning"]),
            equal: vec!["region".to_owned()],
        };
        Catalog {
            inhibitions: Arc::new(vec![inhibition]),
            ..catalog(tree(vec![]))
        }
    };
    let window = |recurrence| Maintenance {
        name: "move".to_owned(),
        matchers: matchers(&["service=c"]),
        recurrence,
    };
    let quiet_times = || {
        let time = Recurrence::once(EPOCH_MS, EPOCH_MS + 400_000).unwrap();
        let route = Route {
            mute_times: vec!["night".to_owned()],
            ..tree(vec![])
        };
        Catalog {
            mute_times: Arc::new(BTreeMap::from([("night".to_owned(), time)])),
            ..catalog(route)
        }
    };
    check(vec![
        (
            "inhibition: the warning says nothing while the critical alert fires, and is told when it ends",
            inhibiting(),
            vec![(0, Fail("c")), (1, Fail("d")), (400, Heal("c"))],
            1_000,
            vec!["30 ops: c.Down / ", "630 ops: d.Slow / c.Down"],
        ),
        (
            "dependency: one message, about the cause",
            catalog(tree(vec![])),
            vec![
                (0, Fail("a")),
                (5, Fail("b")),
                (20, Fail("db")),
                (100, Heal("a")),
                (101, Heal("b")),
                (102, Heal("db")),
            ],
            1_000,
            vec!["30 ops: db.Down / ", "330 ops:  / db.Down"],
        ),
        (
            "what still fires when the dependency is well again is told",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (5, Fail("b")), (20, Fail("db")), (100, Heal("b")), (102, Heal("db"))],
            1_000,
            vec!["30 ops: db.Down / ", "330 ops: a.Down / db.Down"],
        ),
        (
            "a maintenance window of the files",
            Catalog {
                maintenance: vec![Arc::new(window(Recurrence::once(EPOCH_MS, EPOCH_MS + 100_000).unwrap()))],
                ..catalog(tree(vec![]))
            },
            vec![(0, Fail("c")), (1, Fail("a"))],
            400,
            vec!["30 ops: a.Down / ", "330 ops: a.Down c.Down / "],
        ),
        (
            "a mute time of a node: told at the first interval after it",
            quiet_times(),
            vec![(0, Fail("a"))],
            1_000,
            vec!["630 ops: a.Down / "],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_changes_nothing() {
    check(vec![
        (
            "between the transition and the message",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (15, Crash), (16, Fail("c"))],
            400,
            vec!["30 ops: a.Down c.Down / "],
        ),
        (
            "after the message nobody is told again before the repeat",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (31, Crash), (100, Crash), (331, Crash)],
            4_000,
            vec!["30 ops: a.Down / ", "3630 ops: a.Down /  again"],
        ),
        (
            "off when the message was due: told at once",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (10, Off(100))],
            300,
            vec!["100 ops: a.Down / "],
        ),
        (
            "the end after a restart",
            catalog(tree(vec![])),
            vec![(0, Fail("a")), (40, Off(400)), (410, Heal("a"))],
            1_000,
            vec!["30 ops: a.Down / ", "700 ops:  / a.Down"],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_names_its_channels_is_told_at_once_and_muted_as_any_other() {
    let direct = || {
        let mut catalog = catalog(tree(vec![]));
        let own = AlertRule {
            channels: vec![ChannelId("pager".to_owned())],
            ..rule("a", "Down")
        };
        catalog.rules.insert("a".to_owned(), vec![Arc::new(own)]);
        catalog
    };
    check(vec![
        (
            "one message for each transition, and no repeats",
            direct(),
            vec![(0, Fail("a")), (60, Heal("a")), (70, Fail("a"))],
            20_000,
            vec![
                "0 pager: a.Down / ",
                "60 pager:  / a.Down",
                "70 pager: a.Down / ",
            ],
        ),
        (
            "told when the silence ends",
            direct(),
            vec![(0, Silence("service=a", 100)), (10, Fail("a"))],
            1_000,
            vec!["100 pager: a.Down / "],
        ),
        (
            "and not at all if it ended before that",
            direct(),
            vec![
                (0, Silence("service=a", 100)),
                (10, Fail("a")),
                (50, Heal("a")),
            ],
            1_000,
            vec![],
        ),
        (
            "the end is told although it is muted by then",
            direct(),
            vec![
                (0, Fail("a")),
                (10, Silence("service=a", 1_000)),
                (50, Heal("a")),
            ],
            2_000,
            vec!["0 pager: a.Down / ", "50 pager:  / a.Down"],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_right_after_its_cause_is_never_announced() {
    // `a` notifies its own channel at once, depends on `db`, and is checked every minute.
    let direct = || {
        let mut catalog = catalog(tree(vec![]));
        let own = AlertRule {
            channels: vec![ChannelId("pager".to_owned())],
            ..rule("a", "Down")
        };
        catalog.rules.insert("a".to_owned(), vec![Arc::new(own)]);
        let probe = Probe {
            name: "health".to_owned(),
            plugin: "fake".to_owned(),
            settings: serde_json::json!({}),
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(1),
            retry: None,
        };
        let service = Service {
            probes: vec![probe],
            ..(*service("a", &[], &["db"])).clone()
        };
        catalog.services.insert("a".to_owned(), Arc::new(service));
        catalog
    };
    let inhibited = || {
        let mut catalog = direct();
        catalog.dependencies = Arc::default();
        let (source, target) = (matchers(&["service=db"]), matchers(&["service=a"]));
        catalog.inhibitions = Arc::new(vec![Inhibition {
            source,
            target,
            equal: vec![],
        }]);
        catalog
    };
    let of_db = ["30 ops: db.Down / ", "330 ops:  / db.Down"];
    let with_pager = |message: &'static str| vec![of_db[0], message, of_db[1]];
    check(vec![
        (
            "it ends with its next check",
            direct(),
            vec![
                (0, Fail("db")),
                (5, Fail("a")),
                (100, Heal("db")),
                (160, Heal("a")),
            ],
            1_000,
            of_db.to_vec(),
        ),
        (
            "inhibited by a rule as well",
            inhibited(),
            vec![
                (0, Fail("db")),
                (5, Fail("a")),
                (100, Heal("db")),
                (160, Heal("a")),
            ],
            1_000,
            of_db.to_vec(),
        ),
        (
            "what still fires after its next check is announced",
            direct(),
            vec![(0, Fail("db")), (5, Fail("a")), (100, Heal("db"))],
            1_000,
            with_pager("166 pager: a.Down / "),
        ),
        (
            "over a restart",
            direct(),
            vec![
                (0, Fail("db")),
                (5, Fail("a")),
                (100, Heal("db")),
                (120, Crash),
            ],
            1_000,
            with_pager("186 pager: a.Down / "),
        ),
        (
            "a cause that comes again mutes again",
            direct(),
            vec![
                (0, Fail("db")),
                (5, Fail("a")),
                (100, Heal("db")),
                (130, Fail("db")),
                (400, Heal("db")),
                (460, Heal("a")),
            ],
            1_000,
            vec!["30 ops: db.Down / ", "630 ops:  / db.Down"],
        ),
        (
            "the end of a silence is not the end of a cause",
            direct(),
            vec![(0, Silence("service=a", 100)), (5, Fail("a"))],
            1_000,
            vec!["100 pager: a.Down / "],
        ),
    ])
    .await;
}
