//! The parts behind the HTTP face: the stores as they are, and narrow traits for the engines and the plugin host, which
//! `app.rs` binds.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::Fault;
use crate::domain::{Catalog, Observation, Origin, PluginKind, Status, UnixMillis};
use crate::store::{ControlStore, ResultStore};

/// What a part answers when it fails for reasons the caller can't mend: logged whole, shown as "internal error".
pub type Broken = anyhow::Error;

/// The parts behind the API.
#[derive(Clone)]
pub struct Parts {
    pub services: Arc<dyn Services>,
    pub monitor: Arc<dyn Monitor>,
    pub control: ControlStore,
    pub results: ResultStore,
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
