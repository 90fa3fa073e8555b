//! The results behind the interfaces of `ports`.

use crate::domain::{Alert, AlertEvent, PastRuns, UnixMillis};
use crate::store::ResultStore;

use super::ports::{EventSink, HistoryLoader, PastSpan, PortError, PortResult};

impl HistoryLoader for ResultStore {
    async fn load(&self, wanted: Vec<PastSpan>) -> PortResult<Vec<PastRuns>> {
        past_of(self)?;
        self.past_runs(wanted).await.map_err(PortError::of)
    }
}

/// A history that lacks what was spooled before the start is read again when it is whole.
fn past_of(results: &ResultStore) -> PortResult<()> {
    if results.is_past_whole() {
        return Ok(());
    }
    let reason = "observations from before the start are in the spool and not committed yet";
    Err(PortError(reason.to_owned()))
}

impl EventSink for ResultStore {
    async fn alert_event_last(&self) -> PortResult<Option<(i64, UnixMillis)>> {
        ResultStore::alert_event_last(self)
            .await
            .map_err(PortError::of)
    }

    async fn incident_change_last(&self) -> PortResult<Option<(i64, UnixMillis)>> {
        self.incident_last().await.map_err(PortError::of)
    }

    async fn alert_event_append(&self, events: Vec<(AlertEvent, Alert)>) -> PortResult<()> {
        ResultStore::alert_event_append(self, events)
            .await
            .map_err(PortError::of)
    }
}

#[cfg(test)]
mod channel_tests;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::{mpsc, watch};
    use tokio_util::sync::CancellationToken;

    use crate::alerts::fakes::{self, *};
    use crate::alerts::history::{Reach, ServiceHistory};
    use crate::alerts::ports::PastSpan;
    use crate::alerts::*;
    use crate::domain::*;
    use crate::store::control::{AttemptOutcome, NotificationFilter};
    use crate::store::results::TierSettings;
    use crate::store::{ControlStore, Keyring, ResultSettings, ResultStore, SpoolSettings};

    async fn open(dir: &std::path::Path) -> ControlStore {
        let keyring = Keyring::load(None, dir).unwrap();
        ControlStore::open(&dir.join("control.db"), keyring)
            .await
            .unwrap()
    }

    struct Program {
        observations: mpsc::Sender<Arc<Observation>>,
        tasks: [tokio::task::JoinHandle<()>; 3],
        _catalog: watch::Sender<Arc<Catalog>>,
    }

    fn start(store: &ControlStore, notifier: &FakeNotifier) -> Program {
        let rule = AlertRule {
            duration: Duration::from_secs(60),
            ..rule("shop-api", "Down")
        };
        let catalog = watch::channel(Arc::new(fakes::catalog(&[rule]))).0;
        let (signals, clock) = (AlertSignals::default(), Arc::new(SystemClock));
        let engine = AlertEngine::new(EngineDeps {
            rules: FakeRules::default(),
            store: store.clone(),
            history: FakeHistory::default(),
            clock: clock.clone(),
            signals: signals.clone(),
            settings: EngineSettings::default(),
        });
        let dispatcher = Dispatcher::new(DispatchDeps {
            store: store.clone(),
            clock: clock.clone(),
            signals: signals.clone(),
        });
        let delivery = Delivery::new(DeliveryDeps {
            store: store.clone(),
            notifier: Arc::new(notifier.clone()),
            clock,
            signals,
            evaluator: crate::plugin_host::Evaluator::for_tests().clone(),
            settings: DeliverySettings {
                first_retry: Duration::from_millis(20),
                ..DeliverySettings::default()
            },
        });
        let (observations, receiver) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let tasks = [
            tokio::spawn(engine.run(receiver, catalog.subscribe(), shutdown.clone())),
            tokio::spawn(dispatcher.run(catalog.subscribe(), shutdown.clone())),
            tokio::spawn(delivery.run(catalog.subscribe(), shutdown)),
        ];
        Program {
            observations,
            tasks,
            _catalog: catalog,
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
        tokio::time::timeout(Duration::from_secs(20), looking)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn an_alert_lives_in_the_real_store_over_kills_and_a_dead_channel() {
        let dir = tempfile::tempdir().unwrap();
        let notifier = FakeNotifier::default();
        notifier.set("slack-1", Line::Down);
        let begun_ms = now_ms() - 3_600_000;
        let rounds = [
            (0, Status::Unhealthy, AlertState::Pending),
            (60, Status::Unhealthy, AlertState::Firing),
            (120, Status::Healthy, AlertState::Resolved),
        ];
        for (second, status, state) in rounds {
            let store = open(dir.path()).await;
            let program = start(&store, &notifier);
            let run = observation("shop-api", begun_ms + second * 1_000, status);
            program.observations.send(Arc::new(run)).await.unwrap();
            until(async || {
                let found = store.alert_get(AlertId(1)).await.unwrap();
                found.filter(|(alert, _)| alert.state == state)
            })
            .await;
            for task in program.tasks {
                task.abort();
                let _ = task.await;
            }
            store.close().await;
        }

        notifier.set("slack-1", Line::Up);
        let store = open(dir.path()).await;
        let program = start(&store, &notifier);
        let filter = NotificationFilter {
            limit: 10,
            ..NotificationFilter::default()
        };
        let sent = until(async || {
            let sent = store.notification_list(&filter).await.unwrap();
            let all = sent.len() == 2
                && sent
                    .iter()
                    .all(|row| row.state == NotificationState::Delivered);
            all.then_some(sent)
        })
        .await;
        assert_eq!(
            notifier.inbox(),
            ["slack-1:firing:shop-api", "slack-1:resolved:shop-api"]
        );
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|row| row.alerts[0].id == AlertId(1)));
        let attempts = store.notification_attempts(sent[0].id).await.unwrap();
        assert_eq!(attempts.last().unwrap().outcome, AttemptOutcome::Delivered);
        let (_, events) = store.alert_get(AlertId(1)).await.unwrap().unwrap();
        let reasons: Vec<_> = events.iter().map(|event| event.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "found 90, wanted 99.5",
                "found 90, wanted 99.5",
                "found 100, wanted 99.5"
            ]
        );
        drop(program);
    }

    /// 10,000 runs, one every 20 s by two probes: more than are kept one by one.
    fn many_runs() -> impl Iterator<Item = Observation> {
        (0..10_000_i64).map(|run_id| {
            let status = if run_id % 50 == 0 {
                Status::Error
            } else {
                Status::Healthy
            };
            let run = observation("shop-api", EPOCH_MS + run_id * 10_000, status);
            let probe = if run_id % 2 == 0 { "http" } else { "tls" }.to_owned();
            Observation {
                run_id,
                probe,
                latency_us: Some(50_000 + run_id as u64 * 7_919 % 50_000),
                ..run
            }
        })
    }

    fn counting_soon() -> ResultSettings {
        ResultSettings {
            tiers: TierSettings {
                interval: Duration::from_millis(5),
                // These runs are of years ago.
                retention: TierRetention::FOR_EVER,
            },
            ..ResultSettings::default()
        }
    }

    fn span(reach: Reach, as_of_ms: UnixMillis) -> PastSpan {
        PastSpan {
            service: "shop-api".to_owned(),
            since_ms: 0,
            until_ms: UnixMillis::MAX,
            as_of_ms,
            interval: reach.interval,
        }
    }

    async fn read_back(store: &ResultStore, reach: Reach) -> ServiceHistory {
        let span = span(reach, EPOCH_MS + 9_999 * 10_000);
        let mut past = HistoryLoader::load(store, vec![span]).await.unwrap();
        let mut history = ServiceHistory::new(reach);
        history.take_in(past.remove(0), |_| false);
        history
    }

    fn same(seen: &ServiceHistory, read: &ServiceHistory) {
        for minutes in [5, 60, 720, 780, 1_440, 43_200] {
            let window = Duration::from_secs(minutes * 60);
            assert_eq!(
                read.summary(window),
                seen.summary(window),
                "{minutes} minutes"
            );
            for quantile in [0.1, 0.5, 0.9, 0.99] {
                assert_eq!(
                    read.latency(window, quantile),
                    seen.latency(window, quantile),
                    "{minutes} minutes"
                );
            }
            let of_tls =
                |history: &ServiceHistory| history.of_probes(&["tls".to_owned()]).summary(window);
            assert_eq!(of_tls(read), of_tls(seen), "{minutes} minutes");
        }
        let ids = |runs: Vec<Arc<Observation>>| -> Vec<i64> {
            runs.iter().map(|run| run.run_id).collect()
        };
        assert_eq!(ids(read.samples(64)), ids(seen.samples(64)));
        assert_eq!(ids(read.latest_by_probe()), ids(seen.latest_by_probe()));
        assert_eq!(read.consecutive_failures(), seen.consecutive_failures());
    }

    #[tokio::test]
    async fn a_history_that_is_read_back_is_the_one_that_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (store, writer) = ResultStore::open(dir.path(), ResultSettings::default()).unwrap();
        let thread = writer.start().unwrap();
        let reach = Reach {
            look_back: Duration::from_secs(30 * 86_400),
            interval: Duration::from_secs(20),
        };
        let mut seen = ServiceHistory::new(reach);
        for (index, run) in many_runs().map(Arc::new).enumerate() {
            // So that the queue never overflows.
            match index % 1_000 {
                0 => store
                    .observation_append_durable(Arc::clone(&run))
                    .await
                    .unwrap(),
                _ => store.observation_record(Arc::clone(&run)),
            }
            seen.push(run);
        }
        store.alert_event_append(Vec::new()).await.unwrap();
        same(&seen, &read_back(&store, reach).await);
        store.close().await.unwrap();
        thread.join().unwrap().unwrap();
        drop(store);
        // The same from the tiers.
        let (store, writer) = ResultStore::open(dir.path(), counting_soon()).unwrap();
        let thread = writer.start().unwrap();
        until(async || {
            let counted_ms = store.counted_until_ms(Tier::Hour);
            counted_ms.filter(|counted_ms| *counted_ms > EPOCH_MS + 100_000_000)
        })
        .await;
        same(&seen, &read_back(&store, reach).await);
        store.close().await.unwrap();
        thread.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_history_that_is_partly_in_the_spool_of_before_is_not_read_until_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let open = |dir: &std::path::Path| {
            let spool = SpoolSettings {
                reserve_bytes: 0,
                ..SpoolSettings::new(dir.join("spool"))
            };
            ResultStore::open(
                dir,
                ResultSettings {
                    spool: Some(spool),
                    ..ResultSettings::default()
                },
            )
            .unwrap()
        };
        let (store, writer) = open(dir.path());
        let thread = writer.start().unwrap();
        // The write-ahead log can't be opened.
        std::fs::create_dir(dir.path().join("results.duckdb.wal")).unwrap();
        for run_id in 1..=30 {
            let run = Observation {
                run_id,
                ..observation("shop-api", EPOCH_MS + run_id, Status::Healthy)
            };
            store
                .observation_append_durable(Arc::new(run))
                .await
                .unwrap();
        }
        assert!(
            store.is_past_whole(),
            "what is spooled now is in the memory of the rules"
        );
        // As after `kill -9`.
        let crashed = tempfile::tempdir().unwrap();
        std::fs::create_dir(crashed.path().join("spool")).unwrap();
        for entry in std::fs::read_dir(dir.path().join("spool"))
            .unwrap()
            .map(Result::unwrap)
        {
            std::fs::copy(
                entry.path(),
                crashed.path().join("spool").join(entry.file_name()),
            )
            .unwrap();
        }
        std::fs::remove_dir(dir.path().join("results.duckdb.wal")).unwrap();
        store.close().await.unwrap();
        thread.join().unwrap().unwrap();

        let (store, writer) = open(crashed.path());
        let reach = Reach {
            look_back: Duration::from_secs(600),
            interval: Duration::from_secs(20),
        };
        let span = span(reach, EPOCH_MS + 1_000);
        let history = async || HistoryLoader::load(&store, vec![span.clone()]).await;
        let error = history().await.unwrap_err();
        assert!(error.to_string().contains("in the spool"), "{error}");
        let thread = writer.start().unwrap();
        assert!(store.past_whole().await);
        assert_eq!(history().await.unwrap()[0].samples.len(), 30);
        store.close().await.unwrap();
        thread.join().unwrap().unwrap();
    }
}
