//! Messages on the real store: with the settings of now, and in order although the store failed for
//! a while.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::alerts::fakes::{self, *};
use crate::alerts::*;
use crate::domain::*;
use crate::store::control::NotificationFilter;
use crate::store::{ControlStore, Keyring};

/// Address, status and idempotency key.
type Taken = (String, &'static str, String);

/// Keeps what is sent to an address that it knows.
#[derive(Clone)]
struct Hooks {
    known: Vec<&'static str>,
    /// Answer to other addresses.
    refusal: DeliveryError,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Hooks {
    fn new(known: &[&'static str], refusal: DeliveryError) -> Self {
        Self {
            known: known.to_vec(),
            refusal,
            taken: Arc::default(),
        }
    }

    fn taken(&self) -> Vec<(String, &'static str)> {
        self.taken
            .lock()
            .unwrap()
            .iter()
            .map(|(url, status, _)| (url.clone(), *status))
            .collect()
    }
}

impl Notifier for Hooks {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        async move {
            let url = channel.settings["url"].as_str().unwrap().to_owned();
            if !self.known.contains(&url.as_str()) {
                return Err(self.refusal.clone());
            }
            self.taken
                .lock()
                .unwrap()
                .push((url, message.status.as_str(), message.id.clone()));
            Ok(Receipt {
                reference: None,
                answer: "200".to_owned(),
            })
        }
        .boxed()
    }
}

async fn open(dir: &std::path::Path) -> ControlStore {
    ControlStore::open(&dir.join("control.db"), Keyring::load(None, dir).unwrap())
        .await
        .unwrap()
}

/// One service, one rule, and the address of its channel; none: the channel is gone.
fn catalog(version: u64, url: Option<&str>) -> Arc<Catalog> {
    let mut catalog = Catalog {
        version,
        ..fakes::catalog(&[rule("shop-api", "Down")])
    };
    let id = ChannelId("slack-1".to_owned());
    match url {
        Some(url) => {
            let settings = json!({ "url": url });
            catalog.channels.insert(
                id,
                Arc::new(Channel {
                    settings,
                    ..channel("slack-1")
                }),
            );
        }
        None => {
            catalog.channels.remove(&id);
        }
    }
    Arc::new(catalog)
}

struct Program {
    store: ControlStore,
    observations: mpsc::Sender<Arc<Observation>>,
    catalog: watch::Sender<Arc<Catalog>>,
    signals: AlertSignals,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    runs: i64,
}

impl Program {
    async fn start(dir: &std::path::Path, hooks: &Hooks, first: Arc<Catalog>) -> Self {
        let store = open(dir).await;
        let (catalog, signals, clock) = (
            watch::channel(first).0,
            AlertSignals::default(),
            Arc::new(SystemClock),
        );
        let engine = AlertEngine::new(EngineDeps {
            rules: FakeRules::default(),
            store: store.clone(),
            history: FakeHistory::default(),
            clock: clock.clone(),
            signals: signals.clone(),
            settings: EngineSettings {
                first_retry: Duration::from_millis(20),
                ..EngineSettings::default()
            },
        });
        let dispatcher = Dispatcher::new(DispatchDeps {
            store: store.clone(),
            clock: clock.clone(),
            signals: signals.clone(),
        });
        let delivery = Delivery::new(DeliveryDeps {
            store: store.clone(),
            notifier: Arc::new(hooks.clone()),
            clock,
            signals: signals.clone(),
            evaluator: crate::plugin_host::Evaluator::for_tests().clone(),
            // Nothing comes by itself in a test's time.
            settings: DeliverySettings {
                first_retry: Duration::from_secs(3_600),
                ..DeliverySettings::default()
            },
        });
        let (observations, receiver) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(engine.run(receiver, catalog.subscribe(), shutdown.clone())),
            tokio::spawn(dispatcher.run(catalog.subscribe(), shutdown.clone())),
            tokio::spawn(delivery.run(catalog.subscribe(), shutdown)),
        ];
        Self {
            store,
            observations,
            catalog,
            signals,
            tasks,
            runs: 0,
        }
    }

    async fn observe(&mut self, status: Status) {
        self.runs += 1;
        let run = Observation {
            run_id: self.runs,
            ..observation("shop-api", now_ms(), status)
        };
        self.observations.send(Arc::new(run)).await.unwrap();
    }

    async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        self.store.close().await;
    }

    async fn notifications(&self) -> Vec<Notification> {
        let filter = NotificationFilter {
            limit: 10,
            ..NotificationFilter::default()
        };
        self.store.notification_list(&filter).await.unwrap()
    }

    /// Waits until the newest message is in a state, after so many attempts.
    async fn until_newest(&self, state: NotificationState, attempts: u32) -> Notification {
        until(async || {
            let newest = self.notifications().await.into_iter().next();
            newest.filter(|newest| newest.state == state && newest.attempts == attempts)
        })
        .await
    }
}

/// Time is real here, because the store has threads of its own.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking)
        .await
        .unwrap()
}

fn down() -> DeliveryError {
    DeliveryError::Retryable {
        message: "connection refused".to_owned(),
        after: None,
    }
}

#[tokio::test]
async fn what_waits_goes_to_the_mended_address_once_and_the_end_to_the_rotated_one() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = Hooks::new(&["right", "rotated"], down());
    let mut program = Program::start(dir.path(), &hooks, catalog(1, Some("wrong"))).await;
    program.observe(Status::Unhealthy).await;
    program.until_newest(NotificationState::Waiting, 1).await;
    assert_eq!(hooks.taken(), []);
    program.catalog.send_replace(catalog(2, Some("right")));
    program.until_newest(NotificationState::Delivered, 2).await;
    assert_eq!(hooks.taken(), [("right".to_owned(), "firing")]);
    program.catalog.send_replace(catalog(3, Some("rotated")));
    program.observe(Status::Healthy).await;
    until(async || (hooks.taken().len() == 2).then_some(())).await;
    assert_eq!(hooks.taken()[1], ("rotated".to_owned(), "resolved"));
    program.kill().await;
}

#[tokio::test]
async fn an_address_that_is_mended_while_the_program_is_down_gets_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = Hooks::new(&["right"], down());
    let mut program = Program::start(dir.path(), &hooks, catalog(1, Some("wrong"))).await;
    program.observe(Status::Unhealthy).await;
    program.until_newest(NotificationState::Waiting, 1).await;
    program.kill().await;
    let program = Program::start(dir.path(), &hooks, catalog(1, Some("right"))).await;
    program.until_newest(NotificationState::Delivered, 2).await;
    assert_eq!(hooks.taken(), [("right".to_owned(), "firing")]);
    program.kill().await;
}

#[tokio::test]
async fn a_dead_message_that_is_put_back_goes_to_the_mended_address() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = Hooks::new(
        &["right"],
        DeliveryError::Permanent("404 no such hook".to_owned()),
    );
    let mut program = Program::start(dir.path(), &hooks, catalog(1, Some("wrong"))).await;
    program.observe(Status::Unhealthy).await;
    let dead = program.until_newest(NotificationState::Dead, 1).await;
    program.catalog.send_replace(catalog(2, Some("right")));
    program
        .store
        .notification_resend(dead.id, now_ms())
        .await
        .unwrap();
    program.signals.wake_delivery();
    let sent = program.until_newest(NotificationState::Delivered, 2).await;
    assert_eq!(
        hooks.taken.lock().unwrap().as_slice(),
        [("right".to_owned(), "firing", sent.idempotency_key)]
    );
    program.observe(Status::Healthy).await;
    until(async || (hooks.taken().len() == 2).then_some(())).await;
    program.kill().await;
}

#[tokio::test]
async fn a_removed_channel_is_told_of_the_end_with_its_last_settings() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = Hooks::new(&["first", "last"], down());
    let mut program = Program::start(dir.path(), &hooks, catalog(1, Some("first"))).await;
    program.observe(Status::Unhealthy).await;
    program.until_newest(NotificationState::Delivered, 1).await;
    program.catalog.send_replace(catalog(2, Some("last")));
    let id = ChannelId("slack-1".to_owned());
    until(async || {
        let kept = program.store.channel_get(&id).await.unwrap().unwrap();
        (kept.settings["url"] == "last").then_some(())
    })
    .await;
    program.catalog.send_replace(catalog(3, None));
    program.observe(Status::Healthy).await;
    until(async || (hooks.taken().len() == 2).then_some(())).await;
    assert_eq!(
        hooks.taken(),
        [
            ("first".to_owned(), "firing"),
            ("last".to_owned(), "resolved")
        ]
    );
    program.kill().await;
}

#[tokio::test]
async fn a_removed_channel_that_does_not_answer_says_that_it_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = Hooks::new(
        &["first"],
        DeliveryError::Permanent("404 no such hook".to_owned()),
    );
    let mut program = Program::start(dir.path(), &hooks, catalog(1, Some("first"))).await;
    program.observe(Status::Unhealthy).await;
    program.until_newest(NotificationState::Delivered, 1).await;
    program
        .store
        .channel_put(&Channel {
            settings: json!({"url": "gone"}),
            ..channel("slack-1")
        })
        .await
        .unwrap();
    program.catalog.send_replace(catalog(2, None));
    program.observe(Status::Healthy).await;
    let dead = program.until_newest(NotificationState::Dead, 1).await;
    let text = dead.last_error.unwrap();
    assert!(
        text.contains("404 no such hook") && text.contains("the channel was removed"),
        "{text}"
    );
    program.kill().await;
}

#[tokio::test]
async fn a_breach_that_the_store_refused_is_told_although_the_next_runs_are_good() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = Hooks::new(&["right"], down());
    let mut program = Program::start(dir.path(), &hooks, catalog(1, Some("right"))).await;
    program.store.refuse_transitions(true).await.unwrap();
    program.observe(Status::Unhealthy).await;
    program.observe(Status::Healthy).await;
    program.observe(Status::Healthy).await;
    until(async || {
        let judged = program.signals.rule_statuses().get("shop-api/Down").verdict;
        matches!(judged, Some(Verdict::Ok(_))).then_some(())
    })
    .await;
    assert!(program.notifications().await.is_empty());
    program.store.refuse_transitions(false).await.unwrap();
    until(async || (hooks.taken().len() == 2).then_some(())).await;
    assert_eq!(
        hooks.taken(),
        [
            ("right".to_owned(), "firing"),
            ("right".to_owned(), "resolved")
        ]
    );
    let (_, events) = program.store.alert_get(AlertId(1)).await.unwrap().unwrap();
    let steps: Vec<AlertState> = events.iter().map(|event| event.to).collect();
    assert_eq!(steps, [AlertState::Firing, AlertState::Resolved]);
    program.kill().await;
}
