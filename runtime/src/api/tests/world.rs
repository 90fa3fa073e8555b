//! A small world behind the API: the real stores and the registry in a folder of their own, and
//! engines that answer from memory.

mod engines;
mod plugins;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::alerts::message_simulation::Episode;
use crate::alerts::{AlertActions, AlertSignals, Notifier, SystemClock};
use crate::api::http::deps::*;
use crate::api::{ApiSettings, ApiState, Live, token_hash};
use crate::archive::Archive;
use crate::backtest::*;
use crate::backup::Backups;
use crate::domain::fault::FaultReport;
use crate::domain::*;
use crate::gateway::ConsumerBook;
use crate::monitoring::{
    Accepted, CheckError, ProbeStatus, ReceiveError, RecentRun, ServiceFigures, ServiceStatus,
};
use crate::plugin_host::{
    self, BUNDLED, CheckedStep, ComponentCheck, PluginEntry, PluginGrants, PolicyOrigin,
    Recordings, ShadowEntry, StepOutcome, VersionEntry, VersionState,
};
use crate::registry::testing::FakePlugins;
use crate::registry::{CheckedFiles, Defaults, FileEntries, Registry, check_files};
use crate::reload::ConfigHandle;
use crate::store::control::{
    AfterAttempt, AlertDraft, Attempt, AttemptOutcome, EventDraft, TokenDraft, TokenOrigin,
    Transition,
};
use crate::store::results::tests::sql_settings;
use crate::store::{ControlStore, Keyring, ResultSettings, ResultStore};
use crate::usage::{BudgetBook, Calls};

/// 2026-11-23T07:43:20Z
pub(crate) const NOW: UnixMillis = 1_795_419_800_000;
pub(crate) const ADMIN: &str = "admin-token-of-the-tests";
/// Digest of the configuration files.
pub(crate) const DIGEST: &str = "d1";
pub(crate) const READER: &str = "reader-token-of-the-tests";
/// Id of the one heartbeat, which is that of `shop-api`.
pub(crate) const HEARTBEAT_ID: &str = "5f0c2c6e-2f0a-4f6e-9d5b-0a4d6c3e1b7a";

/// Recording as the plugin host writes it.
pub(crate) const RECORDING: &str = r#"{"format":2,"run":{"runId":7,"tsMs":1795419800000,"plugin":"http","kind":"probe","version":"0.1.0","digest":"ab","function":"check","service":"shop-api","probe":"http","webhook":null,"channel":null,"status":"unhealthy","outcome":"ok","error":null,"timeoutMs":5000,"budget":{"wallClockMs":null,"cpuMs":1000,"memoryBytes":67108864,"hostCalls":10000,"logBytes":65536},"cost":{"durationUs":20300,"cpuUs":300,"memoryBytes":1048576,"hostCalls":1,"logBytes":0},"truncated":null},
"arguments":[{"settings":"{}"}],
"calls":[],
"log":[],
"result":null}
"#;

pub(crate) struct World {
    pub(crate) now: UnixMillis,
    pub(crate) registry: Registry,
    /// Plugins that the registry sees.
    pub(crate) directory: Arc<FakePlugins>,
    entries: Mutex<FileEntries>,
    statuses: Mutex<BTreeMap<String, ServiceStatus>>,
    pub(crate) plugins: Mutex<Vec<PluginEntry>>,
    policies: Mutex<BTreeMap<String, PluginPolicy>>,
    pub(crate) unready: Mutex<Vec<String>>,
    /// Taken so far.
    pub(crate) pings: Mutex<Vec<Ping>>,
    /// One reference more for each that runs.
    pub(crate) endless_backtests: Arc<()>,
    pub(crate) control: ControlStore,
    results: ResultStore,
    recordings: Recordings,
    calls: Calls,
    data: TempDir,
}

/// Takes calls that are reported until the test ends.
fn call_reports(results: &ResultStore) -> Calls {
    let parts = crate::usage::build(results, None, BudgetBook::default());
    tokio::spawn(parts.reports.run(CancellationToken::new()));
    parts.calls
}

impl World {
    pub(crate) async fn empty() -> Arc<Self> {
        Self::at(NOW).await
    }

    pub(crate) async fn at(now: UnixMillis) -> Arc<Self> {
        let data = TempDir::new().unwrap();
        let keyring = Keyring::load(None, data.path()).unwrap();
        let control = ControlStore::open(&data.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        for (name, token, scope) in [("admin", ADMIN, "admin"), ("reader", READER, "read")] {
            let draft = TokenDraft {
                name,
                hash: &token_hash(token),
                scopes: &[scope.to_owned()],
                expires_ms: None,
                origin: TokenOrigin::Api,
                created_by: "",
            };
            control.token_insert(draft).await.unwrap();
        }
        let settings = ResultSettings {
            sql: sql_settings(),
            ..ResultSettings::default()
        };
        let (results, writer) = ResultStore::open(data.path(), settings).unwrap();
        writer.start().unwrap();
        let recordings = data.path().join("recordings");
        std::fs::create_dir(&recordings).unwrap();
        std::fs::write(recordings.join("7.json"), RECORDING).unwrap();
        let (recordings, _) = Recordings::open(recordings);
        let directory = Arc::new(FakePlugins::bundled());
        let registry = Registry::open(CheckedFiles::default(), directory.clone(), control.clone())
            .await
            .unwrap();
        Arc::new(Self {
            now,
            registry,
            directory,
            entries: Mutex::default(),
            statuses: Mutex::default(),
            plugins: Mutex::default(),
            policies: Mutex::default(),
            unready: Mutex::default(),
            pings: Mutex::default(),
            endless_backtests: Arc::default(),
            control,
            recordings,
            calls: call_reports(&results),
            results,
            data,
        })
    }

    pub(crate) fn deps(self: &Arc<Self>) -> ApiDeps {
        ApiDeps {
            registry: self.registry.clone(),
            monitor: self.clone(),
            webhooks: self.clone(),
            heartbeats: self.clone(),
            plugins: self.clone(),
            program: self.clone(),
            notifier: self.clone(),
            signals: AlertSignals::default(),
            actions: AlertActions::new(
                self.control.clone(),
                Arc::new(SystemClock),
                AlertSignals::default(),
            ),
            backtests: self.clone(),
            backups: Backups::new(self.data.path(), self.control.clone(), self.results.clone()),
            archive: Archive::new(
                self.data.path(),
                &StorageSettings::default(),
                None,
                self.control.clone(),
                self.results.clone(),
            )
            .unwrap(),
            configuration: ConfigHandle::held(Configuration {
                status: ConfigurationStatus::Held,
                reasons: vec!["`services.yaml` was there and is gone".to_owned()],
                digest: DIGEST.to_owned(),
                since_ms: self.now,
            }),
            consumers: ConsumerBook::new(self.control.clone()),
            control: self.control.clone(),
            results: self.results.clone(),
            recordings: self.recordings.clone(),
            calls: self.calls.clone(),
            reports: crate::reports::Reports::new(
                self.registry.clone(),
                self.control.clone(),
                self.results.clone(),
                crate::plugin_host::Evaluator::for_tests().clone(),
                AlertSignals::default(),
            ),
            evaluator: crate::plugin_host::Evaluator::for_tests().clone(),
        }
    }

    pub(crate) fn state(self: &Arc<Self>, settings: ApiSettings, live: Live) -> ApiState {
        ApiState::new(settings, self.deps(), live, CancellationToken::new())
    }

    /// Changes the files of the configuration and loads them.
    pub(crate) async fn files_change(&self, change: impl FnOnce(&mut FileEntries)) {
        let entries = {
            let mut entries = self.entries.lock().unwrap();
            change(&mut entries);
            entries.clone()
        };
        let plugins = &*self.directory;
        let (files, report) = check_files(
            &entries,
            Defaults::default(),
            plugins,
            FaultReport::default(),
        )
        .await;
        assert_eq!(report.faults, []);
        self.registry.prepare(files, plugins).await.publish();
    }

    /// Adds a service to the files.
    pub(crate) async fn file_service_add(&self, name: &str, base_url: &str) -> String {
        let spec = serde_json::from_value(service_spec(name, base_url)).unwrap();
        self.files_change(|entries| entries.services.push((entries.services.len(), spec)))
            .await;
        slug(name)
    }

    /// Adds a service over the API.
    pub(crate) async fn service_add(&self, name: &str, base_url: &str) -> String {
        let spec = service_spec(name, base_url);
        self.registry.create(spec).await.unwrap().slug
    }

    /// Removes a plugin of the services, which are checked again.
    pub(crate) async fn probe_remove(&self, name: &str) {
        self.directory.remove(PluginKind::Probe, name);
        self.files_change(|_| {}).await;
    }

    /// One observation becomes the latest of its probe.
    pub(crate) fn observe(&self, observation: Observation) {
        let mut statuses = self.statuses.lock().unwrap();
        let status = statuses
            .entry(observation.service.clone())
            .or_insert_with(|| ServiceStatus {
                status: None,
                reason: None,
                since_ms: None,
                probes: Vec::new(),
                figures: None,
                meters: Vec::new(),
            });
        let probe = match status
            .probes
            .iter()
            .position(|probe| probe.name == observation.probe)
        {
            Some(index) => &mut status.probes[index],
            None => {
                let name = observation.probe.clone();
                status.probes.push(ProbeStatus {
                    name,
                    latest: None,
                    recent: Vec::new(),
                });
                status.probes.last_mut().unwrap()
            }
        };
        probe.recent.push(RecentRun {
            ts_ms: observation.ts_ms,
            status: observation.status,
            latency_us: observation.latency_us,
            missed: observation.missed,
            broken: observation.is_check_broken(),
        });
        if probe.recent.len() > 40 {
            probe.recent.remove(0);
        }
        probe.latest = Some(Arc::new(observation.clone()));
        let worst = status
            .probes
            .iter()
            .filter_map(|probe| Some(CurrentStatus::of(probe.latest.as_ref()?)))
            .max_by_key(|s| *s as u8);
        if status.status != worst {
            status.status = worst;
            status.since_ms = Some(observation.ts_ms);
        }
    }

    /// Figures of a service that was observed.
    pub(crate) fn figures_set(&self, slug: &str, figures: ServiceFigures) {
        let mut statuses = self.statuses.lock().unwrap();
        statuses.get_mut(slug).unwrap().figures = Some(Arc::new(figures));
    }

    /// And is in the results.
    pub(crate) async fn observe_and_store(&self, observation: Observation) {
        self.observe(observation.clone());
        self.results
            .observation_append_durable(Arc::new(observation))
            .await
            .unwrap();
    }

    pub(crate) fn observation(
        &self,
        service: &str,
        probe: &str,
        run_id: i64,
        status: Status,
    ) -> Observation {
        let failure = match status {
            Status::Healthy | Status::Degraded => None,
            Status::Unhealthy => Some(Failure::new(
                ErrorKind::Assertion,
                "expected status 200, found 503",
            )),
            Status::Error => Some(Failure::new(
                ErrorKind::Connect,
                "connection refused by 203.0.113.7:443",
            )),
        };
        let answered = status != Status::Error;
        Observation {
            ts_ms: self.now,
            service: service.to_owned(),
            probe: probe.to_owned(),
            location: LOCAL.to_owned(),
            status,
            latency_us: answered.then_some(84_300),
            phases: match answered {
                true => Phases {
                    dns_us: Some(1_200),
                    connect_us: Some(9_800),
                    tls_us: Some(21_000),
                    first_byte_us: Some(50_100),
                    body_us: Some(2_200),
                },
                false => Phases {
                    dns_us: Some(1_200),
                    ..Phases::default()
                },
            },
            http_status: answered.then_some(if status == Status::Unhealthy {
                503
            } else {
                200
            }),
            failure,
            bytes: if answered { 512 } else { 0 },
            plugin: "http".to_owned(),
            plugin_version: "0.1.0".to_owned(),
            run_id,
            metrics: vec![Metric {
                name: "certificate_days".to_owned(),
                value: MetricValue::Integer(61),
            }],
            missed: false,
            excluded: None,
            rate_limits: Vec::new(),
        }
    }

    pub(crate) fn draft(&self, service: &str, severity: Severity, state: AlertState) -> AlertDraft {
        AlertDraft {
            id: None,
            name: "Service Down".to_owned(),
            rule: format!("{service}/Service Down"),
            service: service.to_owned(),
            severity,
            state,
            summary: "status is `error`, wanted `healthy`".to_owned(),
            value: Some(1.0),
            wanted: None,
            started_ms: self.now - 180_000,
            fired_ms: (state != AlertState::Pending).then_some(self.now - 60_000),
            resolved_ms: (state == AlertState::Resolved).then_some(self.now),
            updated_ms: self.now,
            flags: Default::default(),
            labels: Default::default(),
        }
    }

    pub(crate) async fn alert(
        &self,
        draft: AlertDraft,
        from: Option<AlertState>,
        message: bool,
    ) -> Alert {
        let event = EventDraft {
            ts_ms: draft.fired_ms.unwrap_or(draft.started_ms),
            from,
            to: draft.state,
            actor: "engine".to_owned(),
            reason: "breached".to_owned(),
        };
        let transition = Transition {
            alert: draft,
            event,
            groups: Vec::new(),
            is_news: false,
            memory: None,
            escalation: None,
        };
        let (alert, event) = self.control.transition_commit(transition).await.unwrap();
        if message {
            let draft = NotificationDraft {
                group_key: format!("{}:{}", alert.name, alert.service),
                group_labels: vec![("service".to_owned(), alert.service.clone())],
                channel: ChannelId("slack-1a2b".to_owned()),
                reason: NotificationReason::Transition,
                status: NotificationStatus::Firing,
                idempotency_key: format!("{}-firing-slack-1a2b", alert.rule),
                alerts: vec![alert.clone()],
                omitted: 0,
            };
            self.control
                .notification_queue(draft, event.ts_ms)
                .await
                .unwrap();
        }
        alert
    }

    pub(crate) async fn attempt(&self, id: i64) {
        let attempt = Attempt {
            started_ms: self.now - 59_000,
            duration_ms: 120,
            outcome: AttemptOutcome::Retry,
            answer: "answered 502".to_owned(),
        };
        let after = AfterAttempt::new(NotificationState::Waiting, self.now + 30_000);
        self.control
            .notification_attempt(id, &attempt, after)
            .await
            .unwrap();
    }

    pub(crate) fn plugin(&self, kind: PluginKind, name: &str) -> PluginEntry {
        let info = PluginInfo {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            summary: format!("The {name} {}", kind.as_str()),
            settings_schema: json!({"type": "object"}),
            wants: vec![Want::Host("*".to_owned())],
            evaluated_over_time: false,
        };
        PluginEntry {
            name: name.to_owned(),
            kind,
            version: "0.1.0".to_owned(),
            digest: ACTIVE.repeat(4),
            state: plugin_host::PluginState::Active,
            since_ms: self.now - 3_600_000,
            by: BUNDLED.to_owned(),
            size: 28_672,
            signed_by: None,
            imports: vec!["external-tracking:plugin/http@0.2.0".to_owned()],
            info: Arc::new(info),
            health: self.health(),
            shadow: (name == "http").then(|| self.candidate()),
            rolled_back: None,
            warning: None,
        }
    }

    fn health(&self) -> PluginHealth {
        let duration = DurationQuantiles {
            p50_us: 1_900,
            p95_us: 5_400,
            p99_us: 9_000,
            max_us: 12_345,
        };
        let last_hour = RunFigures {
            runs: 120,
            ok: 118,
            traps: 2,
            cpu_us: 60_000,
            memory_bytes: 1_179_648,
            duration: Some(duration),
            ..RunFigures::default()
        };
        PluginHealth {
            since_ms: self.now - 3_600_000,
            total: last_hour.clone(),
            last_hour,
            recent: RecentRuns {
                runs: 20,
                broken: 2,
                broken_in_a_row: 0,
            },
            failing: None,
            last_broken: Some(BrokenRun {
                ts_ms: self.now - 60_000,
                function: "check".to_owned(),
                outcome: RunOutcome::Trap,
                reason: "trapped: wasm `unreachable` instruction executed".to_owned(),
            }),
        }
    }

    /// Runs beside `http`.
    fn candidate(&self) -> ShadowEntry {
        ShadowEntry {
            version: "0.3.0".to_owned(),
            digest: CANDIDATE.repeat(4),
            state: plugin_host::ShadowState::Comparing,
            since_ms: self.now - 1_800_000,
            by: "ci".to_owned(),
            skipped: 2,
            last_error: None,
        }
    }

    /// One call that both versions of `http` got.
    pub(crate) async fn compared(&self, run_id: i64, active: Status, candidate: Status) {
        let side = |run_id, version: &str, digest: &str, status: Status| ShadowSide {
            run_id,
            version: version.to_owned(),
            digest: digest.repeat(4),
            status: status.as_str().to_owned(),
            latency_us: Some(1_000 * run_id.unsigned_abs()),
            cpu_us: 40,
            memory_bytes: 1_114_112,
        };
        let run = ShadowRun {
            ts_ms: self.now - 60_000 + run_id,
            plugin: "http".to_owned(),
            kind: PluginKind::Probe,
            service: "shop-api".to_owned(),
            probe: Some("http".to_owned()),
            active: side(run_id, "0.1.0", ACTIVE, active),
            candidate: side(run_id + 1, "0.3.0", CANDIDATE, candidate),
            outcome: RunOutcome::Ok,
            is_agreed: active == candidate,
            difference: (active != candidate)
                .then(|| format!("{} → {}", active.as_str(), candidate.as_str())),
        };
        self.results.shadow_run_record(run);
        // A commit of its own, which takes the row before with it.
        let flush = self.observation("nobody", "http", run_id + 1_000, Status::Healthy);
        self.results
            .observation_append_durable(Arc::new(flush))
            .await
            .unwrap();
    }
}

/// Quarters of digests.
const ACTIVE: &str = "9f86d081884c7d65";
const CANDIDATE: &str = "3fdba35f04dc8c46";

fn service_spec(name: &str, base_url: &str) -> Value {
    json!({
        "name": name, "type": "REST", "baseUrl": base_url, "healthEndpoint": "/health",
        "authentication": {"type": "api_key", "header": "X-API-Key", "value": "k3y-of-the-tests"},
        "monitoring": {"interval": 60, "timeout": 5000},
    })
}

fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    std::future::ready(answer).boxed()
}

/// Longest that a test waits for something that is coming.
pub(crate) const SOON: Duration = Duration::from_secs(5);
