//! What the HTTP face needs from the parts behind it. `app.rs` binds each trait to the part that does the work.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::Fault;
use crate::domain::{
    Alert, AlertEvent, AlertId, AlertState, Catalog, Notification, NotificationState, Observation, Origin, PluginKind,
    Status, UnixMillis,
};

/// What a part answers when it fails for reasons the caller can't mend: logged whole, shown as "internal error".
pub type Broken = anyhow::Error;

/// The parts behind the API.
#[derive(Clone)]
pub struct Ports {
    pub services: Arc<dyn Services>,
    pub monitor: Arc<dyn Monitor>,
    pub results: Arc<dyn Results>,
    pub ledger: Arc<dyn Ledger>,
    pub access: Arc<dyn Access>,
    pub plugins: Arc<dyn Plugins>,
    pub program: Arc<dyn Program>,
}

/// The registry.
pub trait Services: Send + Sync + 'static {
    fn catalog(&self) -> Arc<Catalog>;
    fn service_get(&self, slug: &str) -> Option<ServiceRecord>;
    fn service_create<'a>(
        &'a self,
        spec: Map<String, Value>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<ServiceRecord, ServiceChangeError>>;
    /// Replaces the whole description. With a `revision`, only if that is still the current one.
    fn service_replace<'a>(
        &'a self,
        slug: &'a str,
        spec: Map<String, Value>,
        revision: Option<i64>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<ServiceRecord, ServiceChangeError>>;
    fn service_delete<'a>(
        &'a self,
        slug: &'a str,
        revision: Option<i64>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<(), ServiceChangeError>>;
}

/// One service as its owner wrote it, secrets shown as `***`.
#[derive(Debug, Clone)]
pub struct ServiceRecord {
    pub slug: String,
    pub spec: Map<String, Value>,
    pub origin: Origin,
    /// Grows with each change; none for what comes from files.
    pub revision: Option<i64>,
}

#[derive(Debug)]
pub enum ServiceChangeError {
    NotFound,
    /// It comes from a configuration file.
    OwnedByFile,
    /// The slug is taken.
    Exists(String),
    /// Somebody else changed it first.
    RevisionConflict {
        current: i64,
    },
    Invalid(Vec<Fault>),
    Broken(Broken),
}

/// The monitoring engine.
pub trait Monitor: Send + Sync + 'static {
    /// The current word for a service; none before its first run.
    fn status(&self, slug: &str) -> Option<Status>;
    fn service_status(&self, slug: &str) -> Option<ServiceStatus>;
    /// Runs a probe now (the first one if none is named). Its observation is committed when this returns.
    fn check_now<'a>(
        &'a self,
        slug: &'a str,
        probe: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Observation>, CheckError>>;
}

#[derive(Debug, Clone)]
pub struct ServiceStatus {
    /// The worst of its probes; none before the first run.
    pub status: Option<Status>,
    pub since_ms: Option<UnixMillis>,
    pub probes: Vec<ProbeStatus>,
}

#[derive(Debug, Clone)]
pub struct ProbeStatus {
    pub name: String,
    pub latest: Option<Arc<Observation>>,
    /// The last runs, oldest first.
    pub recent: Vec<RecentRun>,
}

#[derive(Debug, Clone, Copy)]
pub struct RecentRun {
    pub ts_ms: UnixMillis,
    pub status: Status,
    pub latency_us: Option<u64>,
    pub missed: bool,
}

#[derive(Debug)]
pub enum CheckError {
    UnknownService,
    UnknownProbe,
    /// The run could not be started, e.g. too many are going on.
    Busy(String),
    Broken(Broken),
}

/// The results store.
pub trait Results: Send + Sync + 'static {
    /// Newest first, with a run id below `before_run_id`.
    fn observation_page<'a>(
        &'a self,
        service: &'a str,
        before_run_id: Option<i64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Observation>, Broken>>;
    fn query<'a>(&'a self, sql: &'a str, limits: QueryLimits) -> BoxFuture<'a, Result<SqlAnswer, SqlError>>;
}

#[derive(Debug, Clone, Copy)]
pub struct QueryLimits {
    pub rows: usize,
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct SqlAnswer {
    /// Name and SQL type.
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Vec<Value>>,
    /// There were more rows than the limit.
    pub truncated: bool,
}

#[derive(Debug)]
pub enum SqlError {
    /// Not a statement that may run here.
    Refused(String),
    /// The database says it is wrong.
    Invalid(String),
    Timeout,
    /// Too many queries at once.
    Busy,
    Broken(Broken),
}

/// Alerts and notifications in the control store. Lists are newest first, with an id below `before`.
pub trait Ledger: Send + Sync + 'static {
    fn alert_open_list(&self) -> BoxFuture<'_, Result<Vec<Alert>, Broken>>;
    fn alert_list(&self, filter: AlertFilter) -> BoxFuture<'_, Result<Vec<Alert>, Broken>>;
    fn alert_get(&self, id: AlertId) -> BoxFuture<'_, Result<Option<(Alert, Vec<AlertEvent>)>, Broken>>;
    fn notification_list(&self, filter: NotificationFilter) -> BoxFuture<'_, Result<Vec<Notification>, Broken>>;
    /// Oldest first.
    fn notification_attempts(&self, id: i64) -> BoxFuture<'_, Result<Vec<Attempt>, Broken>>;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertFilter {
    pub state: Option<AlertState>,
    pub service: Option<String>,
    pub before: Option<i64>,
    pub limit: u32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct NotificationFilter {
    pub state: Option<NotificationState>,
    pub alert: Option<AlertId>,
    pub service: Option<String>,
    pub before: Option<i64>,
    pub limit: u32,
}

#[derive(Debug, Clone)]
pub struct Attempt {
    pub started_ms: UnixMillis,
    pub duration_ms: u64,
    /// `delivered`, `retry` or `dead`.
    pub outcome: String,
    /// What the other side answered, or why it failed.
    pub answer: Option<String>,
}

/// Tokens and dashboard sessions in the control store: only hashes are kept.
pub trait Access: Send + Sync + 'static {
    fn token_find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<TokenRecord>, Broken>>;
    fn session_insert(&self, session: SessionRecord) -> BoxFuture<'_, Result<(), Broken>>;
    /// Not one that has expired.
    fn session_find<'a>(
        &'a self,
        hash: &'a str,
        now_ms: UnixMillis,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, Broken>>;
    fn session_delete<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<(), Broken>>;
}

#[derive(Debug, Clone)]
pub struct TokenRecord {
    pub name: String,
    /// sha256 in hex.
    pub hash: String,
    /// Words of [`super::Scope`].
    pub scopes: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct SessionRecord {
    /// sha256 of the cookie's value, in hex.
    pub hash: String,
    /// Hash of the token that opened it: the session is worth what that token is worth.
    pub token_hash: String,
    pub expires_ms: UnixMillis,
}

/// The plugin host.
pub trait Plugins: Send + Sync + 'static {
    fn list(&self) -> Vec<PluginRecord>;
    fn install<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<PluginRecord, PluginChangeError>>;
    fn rollback<'a>(&'a self, name: &'a str, actor: &'a str) -> BoxFuture<'a, Result<PluginRecord, PluginChangeError>>;
}

#[derive(Debug, Clone)]
pub struct PluginRecord {
    pub name: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// `active`, or what is wrong with it, e.g. `failing`.
    pub state: String,
    pub since_ms: UnixMillis,
    pub summary: String,
    /// Came with the program.
    pub bundled: bool,
}

#[derive(Debug)]
pub enum PluginChangeError {
    NotFound,
    /// The component was not accepted; the version before stays. `step` is one word, e.g. `describe`.
    Refused {
        step: String,
        reason: String,
    },
    /// There is no version to go back to.
    NoPrevious,
    Broken(Broken),
}

/// The program as a whole.
pub trait Program: Send + Sync + 'static {
    /// Why it is not ready to work; empty when it is. Shown to anyone, so without anything private.
    fn unready(&self) -> Vec<String>;
    /// Prometheus text.
    fn metrics(&self) -> String;
}
