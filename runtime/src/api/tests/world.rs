//! A small world behind the API: each port answers from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::ports::*;
use crate::api::{ApiSettings, ApiState, Fault, Live, token_hash};
use crate::domain::*;

/// 2026-11-23T07:43:20Z
pub(crate) const NOW: UnixMillis = 1_795_419_800_000;
pub(crate) const ADMIN: &str = "admin-token-of-the-tests";
pub(crate) const READER: &str = "reader-token-of-the-tests";

pub(crate) struct World {
    pub(crate) now: UnixMillis,
    catalog: Mutex<Arc<Catalog>>,
    pub(crate) specs: Mutex<BTreeMap<String, ServiceRecord>>,
    pub(crate) statuses: Mutex<BTreeMap<String, ServiceStatus>>,
    pub(crate) observations: Mutex<Vec<Observation>>,
    pub(crate) alerts: Mutex<Vec<Alert>>,
    pub(crate) notifications: Mutex<Vec<Notification>>,
    pub(crate) plugins: Mutex<Vec<PluginRecord>>,
    pub(crate) sessions: Mutex<BTreeMap<String, SessionRecord>>,
    pub(crate) unready: Mutex<Vec<String>>,
    tokens: Vec<TokenRecord>,
}

impl World {
    pub(crate) fn empty() -> Arc<Self> {
        Self::at(NOW)
    }

    pub(crate) fn at(now: UnixMillis) -> Arc<Self> {
        let token = |name: &str, token: &str, scope: &str| TokenRecord {
            name: name.to_owned(),
            hash: token_hash(token),
            scopes: vec![scope.to_owned()],
        };
        Arc::new(Self {
            now,
            catalog: Mutex::default(),
            specs: Mutex::default(),
            statuses: Mutex::default(),
            observations: Mutex::default(),
            alerts: Mutex::default(),
            notifications: Mutex::default(),
            plugins: Mutex::default(),
            sessions: Mutex::default(),
            unready: Mutex::default(),
            tokens: vec![token("admin", ADMIN, "admin"), token("reader", READER, "read")],
        })
    }

    pub(crate) fn ports(self: &Arc<Self>) -> Ports {
        Ports {
            services: self.clone(),
            monitor: self.clone(),
            results: self.clone(),
            ledger: self.clone(),
            access: self.clone(),
            plugins: self.clone(),
            program: self.clone(),
        }
    }

    pub(crate) fn state(self: &Arc<Self>, settings: ApiSettings, live: Live) -> ApiState {
        ApiState::new(settings, self.ports(), live, CancellationToken::new())
    }

    pub(crate) fn service_add(&self, name: &str, kind: &str, base_url: &str, origin: Origin) -> String {
        let slug = slug(name);
        let service = Service {
            slug: slug.clone(),
            name: name.to_owned(),
            kind: kind.to_owned(),
            base_url: base_url.to_owned(),
            health_endpoint: Some("/health".to_owned()),
            tags: Vec::new(),
            owner: None,
            description: None,
            origin,
            allow_private: false,
            credentials: Vec::new(),
            probes: Vec::new(),
        };
        let mut catalog = self.catalog.lock().unwrap();
        let mut changed = Catalog::clone(&catalog);
        changed.services.insert(slug.clone(), Arc::new(service));
        *catalog = Arc::new(changed);
        let spec = json!({
            "name": name, "type": kind, "baseUrl": base_url, "healthEndpoint": "/health",
            "authentication": {"type": "api_key", "header": "X-API-Key", "value": "***"},
            "monitoring": {"interval": 60, "timeout": 5000},
        });
        let Value::Object(spec) = spec else { unreachable!() };
        let revision = (origin == Origin::Api).then_some(1);
        self.specs.lock().unwrap().insert(slug.clone(), ServiceRecord { slug: slug.clone(), spec, origin, revision });
        slug
    }

    /// One observation becomes the latest of its probe.
    pub(crate) fn observe(&self, observation: Observation) {
        let mut statuses = self.statuses.lock().unwrap();
        let status = statuses.entry(observation.service.clone()).or_insert_with(|| ServiceStatus {
            status: None,
            since_ms: None,
            probes: Vec::new(),
        });
        let probe = match status.probes.iter().position(|probe| probe.name == observation.probe) {
            Some(index) => &mut status.probes[index],
            None => {
                let name = observation.probe.clone();
                status.probes.push(ProbeStatus { name, latest: None, recent: Vec::new() });
                status.probes.last_mut().unwrap()
            }
        };
        probe.recent.push(RecentRun {
            ts_ms: observation.ts_ms,
            status: observation.status,
            latency_us: observation.latency_us,
            missed: observation.missed,
        });
        if probe.recent.len() > 40 {
            probe.recent.remove(0);
        }
        probe.latest = Some(Arc::new(observation.clone()));
        let worst =
            status.probes.iter().filter_map(|probe| Some(probe.latest.as_ref()?.status)).max_by_key(|s| *s as u8);
        if status.status != worst {
            status.status = worst;
            status.since_ms = Some(observation.ts_ms);
        }
        drop(statuses);
        self.observations.lock().unwrap().push(observation);
    }

    pub(crate) fn observation(&self, service: &str, probe: &str, run_id: i64, status: Status) -> Observation {
        let failure = match status {
            Status::Healthy | Status::Degraded => None,
            Status::Unhealthy => Some(Failure::new(ErrorKind::Assertion, "expected status 200, found 503")),
            Status::Error => Some(Failure::new(ErrorKind::Connect, "connection refused by 203.0.113.7:443")),
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
                false => Phases { dns_us: Some(1_200), ..Phases::default() },
            },
            http_status: answered.then_some(if status == Status::Unhealthy { 503 } else { 200 }),
            failure,
            bytes: if answered { 512 } else { 0 },
            plugin: "http".to_owned(),
            plugin_version: "0.1.0".to_owned(),
            run_id,
            metrics: vec![Metric { name: "certificate_days".to_owned(), value: MetricValue::Integer(61) }],
            missed: false,
        }
    }

    pub(crate) fn alert(&self, id: i64, service: &str, severity: Severity, state: AlertState) -> Alert {
        Alert {
            id: AlertId(id),
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
        }
    }

    pub(crate) fn notification(&self, id: i64, alert: Alert, state: NotificationState) -> Notification {
        Notification {
            id,
            idempotency_key: format!("{}-firing-slack-1a2b", alert.id.0),
            alert: alert.id,
            channel: ChannelId("slack-1a2b".to_owned()),
            status: NotificationStatus::Firing,
            state,
            attempts: 1,
            created_ms: self.now - 60_000,
            next_attempt_ms: self.now + 30_000,
            delivered_ms: None,
            last_error: Some("answered 502".to_owned()),
            alert_snapshot: alert,
        }
    }

    pub(crate) fn plugin(&self, kind: PluginKind, name: &str) -> PluginRecord {
        PluginRecord {
            name: name.to_owned(),
            kind,
            version: "0.1.0".to_owned(),
            digest: "9f86d081884c7d65".repeat(4),
            state: "active".to_owned(),
            since_ms: self.now - 3_600_000,
            summary: format!("The {name} {}", kind.as_str()),
            bundled: true,
        }
    }
}

fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    std::future::ready(answer).boxed()
}

impl Services for World {
    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.lock().unwrap().clone()
    }

    fn service_get(&self, slug: &str) -> Option<ServiceRecord> {
        self.specs.lock().unwrap().get(slug).cloned()
    }

    fn service_create<'a>(
        &'a self,
        spec: Map<String, Value>,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<ServiceRecord, ServiceChangeError>> {
        let Some(name) = spec.get("name").and_then(Value::as_str) else {
            let fault = Fault { pointer: "/name".to_owned(), message: "`name` is missing".to_owned() };
            return now(Err(ServiceChangeError::Invalid(vec![fault])));
        };
        if self.specs.lock().unwrap().contains_key(&slug(name)) {
            return now(Err(ServiceChangeError::Exists(slug(name))));
        }
        let base_url = spec.get("baseUrl").and_then(Value::as_str).unwrap_or_default();
        let slug = self.service_add(name, "REST", base_url, Origin::Api);
        now(Ok(self.service_get(&slug).unwrap()))
    }

    fn service_replace<'a>(
        &'a self,
        slug: &'a str,
        spec: Map<String, Value>,
        revision: Option<i64>,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<ServiceRecord, ServiceChangeError>> {
        let mut specs = self.specs.lock().unwrap();
        now(match specs.get_mut(slug) {
            None => Err(ServiceChangeError::NotFound),
            Some(record) => match (record.origin, record.revision, revision) {
                (Origin::File, ..) => Err(ServiceChangeError::OwnedByFile),
                (_, Some(current), Some(wanted)) if current != wanted => {
                    Err(ServiceChangeError::RevisionConflict { current })
                }
                _ => {
                    record.spec = spec;
                    record.revision = record.revision.map(|revision| revision + 1);
                    Ok(record.clone())
                }
            },
        })
    }

    fn service_delete<'a>(
        &'a self,
        slug: &'a str,
        _revision: Option<i64>,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<(), ServiceChangeError>> {
        let mut specs = self.specs.lock().unwrap();
        now(match specs.get(slug).map(|record| record.origin) {
            None => Err(ServiceChangeError::NotFound),
            Some(Origin::File) => Err(ServiceChangeError::OwnedByFile),
            Some(Origin::Api) => {
                specs.remove(slug);
                Ok(())
            }
        })
    }
}

impl Monitor for World {
    fn status(&self, slug: &str) -> Option<Status> {
        self.statuses.lock().unwrap().get(slug)?.status
    }

    fn service_status(&self, slug: &str) -> Option<ServiceStatus> {
        self.statuses.lock().unwrap().get(slug).cloned()
    }

    fn check_now<'a>(
        &'a self,
        slug: &'a str,
        probe: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Observation>, CheckError>> {
        if !self.specs.lock().unwrap().contains_key(slug) {
            return now(Err(CheckError::UnknownService));
        }
        let probe = probe.unwrap_or("http");
        if probe == "panics" {
            panic!("the fake was told to");
        }
        if probe != "http" {
            return now(Err(CheckError::UnknownProbe));
        }
        now(Ok(Arc::new(self.observation(slug, probe, 7, Status::Unhealthy))))
    }
}

impl Results for World {
    fn observation_page<'a>(
        &'a self,
        service: &'a str,
        before_run_id: Option<i64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Observation>, Broken>> {
        let observations = self.observations.lock().unwrap();
        let newest = observations.iter().rev().filter(|observation| observation.service == service);
        let page = newest.filter(|observation| before_run_id.is_none_or(|before| observation.run_id < before));
        now(Ok(page.take(limit as usize).cloned().collect()))
    }

    fn query<'a>(&'a self, sql: &'a str, _limits: QueryLimits) -> BoxFuture<'a, Result<SqlAnswer, SqlError>> {
        now(match sql {
            "select 1" => Ok(SqlAnswer {
                columns: vec![("service".to_owned(), "VARCHAR".to_owned()), ("runs".to_owned(), "BIGINT".to_owned())],
                rows: vec![vec![json!("shop-api"), json!(12)], vec![json!("a \"b\""), Value::Null]],
                truncated: false,
            }),
            "drop table x" => Err(SqlError::Refused("only statements that read may run here, not `drop`".to_owned())),
            "broken" => Err(SqlError::Broken(anyhow::anyhow!("/var/secret/path is gone"))),
            "slow" => Err(SqlError::Timeout),
            _ => Err(SqlError::Invalid("syntax error at or near \"selec\"".to_owned())),
        })
    }
}

impl Ledger for World {
    fn alert_open_list(&self) -> BoxFuture<'_, Result<Vec<Alert>, Broken>> {
        now(Ok(self.alerts.lock().unwrap().iter().filter(|alert| alert.state.is_open()).cloned().collect()))
    }

    fn alert_list(&self, filter: AlertFilter) -> BoxFuture<'_, Result<Vec<Alert>, Broken>> {
        let alerts = self.alerts.lock().unwrap();
        let page = alerts.iter().rev().filter(|alert| {
            filter.state.is_none_or(|state| alert.state == state)
                && filter.service.as_ref().is_none_or(|service| alert.service == *service)
                && filter.before.is_none_or(|before| alert.id.0 < before)
        });
        now(Ok(page.take(filter.limit as usize).cloned().collect()))
    }

    fn alert_get(&self, id: AlertId) -> BoxFuture<'_, Result<Option<(Alert, Vec<AlertEvent>)>, Broken>> {
        let alerts = self.alerts.lock().unwrap();
        let found = alerts.iter().find(|alert| alert.id == id).cloned().map(|alert| {
            let event = |id, from, to, reason: &str| AlertEvent {
                id,
                alert: alert.id,
                ts_ms: alert.started_ms + id * 1000,
                from,
                to,
                actor: "engine".to_owned(),
                reason: reason.to_owned(),
            };
            let first = event(1, None, AlertState::Pending, "breached");
            let second = event(2, Some(AlertState::Pending), AlertState::Firing, "breached for 2m");
            (alert.clone(), vec![first, second])
        });
        now(Ok(found))
    }

    fn notification_list(&self, filter: NotificationFilter) -> BoxFuture<'_, Result<Vec<Notification>, Broken>> {
        let notifications = self.notifications.lock().unwrap();
        let page = notifications.iter().rev().filter(|notification| {
            filter.state.is_none_or(|state| notification.state == state)
                && filter.alert.is_none_or(|alert| notification.alert == alert)
                && filter.before.is_none_or(|before| notification.id < before)
        });
        now(Ok(page.take(filter.limit as usize).cloned().collect()))
    }

    fn notification_attempts(&self, _id: i64) -> BoxFuture<'_, Result<Vec<Attempt>, Broken>> {
        now(Ok(vec![Attempt {
            started_ms: self.now - 59_000,
            duration_ms: 120,
            outcome: "retry".to_owned(),
            answer: Some("answered 502".to_owned()),
        }]))
    }
}

impl Access for World {
    fn token_find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<TokenRecord>, Broken>> {
        now(Ok(self.tokens.iter().find(|token| token.hash == hash).cloned()))
    }

    fn session_insert(&self, session: SessionRecord) -> BoxFuture<'_, Result<(), Broken>> {
        self.sessions.lock().unwrap().insert(session.hash.clone(), session);
        now(Ok(()))
    }

    fn session_find<'a>(
        &'a self,
        hash: &'a str,
        _now_ms: UnixMillis,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, Broken>> {
        now(Ok(self.sessions.lock().unwrap().get(hash).cloned()))
    }

    fn session_delete<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<(), Broken>> {
        self.sessions.lock().unwrap().remove(hash);
        now(Ok(()))
    }
}

impl Plugins for World {
    fn list(&self) -> Vec<PluginRecord> {
        self.plugins.lock().unwrap().clone()
    }

    fn install<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<PluginRecord, PluginChangeError>> {
        if !component.starts_with(b"\0asm") {
            let refused = PluginChangeError::Refused {
                step: "compile".to_owned(),
                reason: "this is not a WebAssembly component".to_owned(),
            };
            return now(Err(refused));
        }
        let record = PluginRecord { version: "0.2.0".to_owned(), ..self.plugin(PluginKind::Probe, name) };
        self.plugins.lock().unwrap().push(record.clone());
        now(Ok(record))
    }

    fn rollback<'a>(
        &'a self,
        name: &'a str,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<PluginRecord, PluginChangeError>> {
        now(match name {
            "http" => Ok(self.plugin(PluginKind::Probe, name)),
            "tcp" => Err(PluginChangeError::NoPrevious),
            _ => Err(PluginChangeError::NotFound),
        })
    }
}

impl Program for World {
    fn unready(&self) -> Vec<String> {
        self.unready.lock().unwrap().clone()
    }

    fn metrics(&self) -> String {
        "# TYPE extrack_up gauge\nextrack_up 1\n".to_owned()
    }
}

/// Longest that a test waits for something that is coming.
pub(crate) const SOON: Duration = Duration::from_secs(5);
