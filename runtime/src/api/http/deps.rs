//! The parts behind the API: the stores, the registry, the recordings and the configuration as they
//! are; the engines and the plugin host by narrow traits, which they implement here, and which the
//! tests implement from memory.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::alerts::{AlertActions, AlertSignals, Notifier};
use crate::archive::Archive;
use crate::backtest::{
    BacktestError, BacktestProgress, BacktestReport, BacktestRequest, Backtester,
};
use crate::backup::Backups;
use crate::domain::{
    CurrentStatus, HeartbeatState, Observation, Ping, PluginPolicy, UnixMillis, WebhookRequest,
};
use crate::gateway::ConsumerBook;
use crate::monitoring::{
    self, Accepted, CheckError, FiguresBySlug, HeartbeatStatus, Monitoring, PingError,
    ReceiveError, ReplayError, ServiceStatus,
};
use crate::plugin_host::{
    self, ComponentCheck, Evaluator, InboundMemory, InstallRequest, PluginEntry, PluginGrants,
    PluginHost, Recordings, VersionEntry,
};
use crate::registry::Registry;
use crate::reload::ConfigHandle;
use crate::reports::Reports;
use crate::store::{ControlError, ControlStore, ResultStore};
use crate::usage::Calls;

/// Future of the plugin host: object-safe traits need boxes.
pub(crate) type PluginFuture<'a, T> = BoxFuture<'a, Result<T, plugin_host::InstallError>>;

/// Future of the monitoring engine.
pub(crate) type MonitoringFuture<'a, T, E> = BoxFuture<'a, Result<T, E>>;

#[derive(Clone)]
pub struct ApiDeps {
    pub registry: Registry,
    pub monitor: Arc<dyn Monitor>,
    pub webhooks: Arc<dyn Webhooks>,
    pub heartbeats: Arc<dyn Heartbeats>,
    pub plugins: Arc<dyn Plugins>,
    pub program: Arc<dyn ProgramStatus>,
    pub backtests: Arc<dyn Backtests>,
    pub backups: Backups,
    pub archive: Archive,
    pub configuration: ConfigHandle,
    /// Wakes what waits for alerts.
    pub signals: AlertSignals,
    /// Acknowledgements and the like, and the status of the rules.
    pub actions: AlertActions,
    /// Sender of test messages.
    pub notifier: Arc<dyn Notifier>,
    /// Consumers of the gateway, as it knows them.
    pub consumers: ConsumerBook,
    pub control: ControlStore,
    pub results: ResultStore,
    pub recordings: Recordings,
    /// Where calls are reported.
    pub calls: Calls,
    pub reports: Reports,
    /// Evaluator of templates that are tried.
    pub evaluator: Evaluator,
}

/// Plays rules over the stored history.
pub trait Backtests: Send + Sync + 'static {
    fn backtest<'a>(
        &'a self,
        request: BacktestRequest,
        progress: &'a (dyn Fn(BacktestProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<BacktestReport, BacktestError>>;
}

impl Backtests for Backtester {
    fn backtest<'a>(
        &'a self,
        request: BacktestRequest,
        progress: &'a (dyn Fn(BacktestProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<BacktestReport, BacktestError>> {
        self.run(request, progress).boxed()
    }
}

/// The monitoring engine.
pub trait Monitor: Send + Sync + 'static {
    /// Returns the current status of a service; none before its first run.
    fn status(&self, slug: &str) -> Option<CurrentStatus>;
    fn service_status(&self, slug: &str) -> Option<ServiceStatus>;
    /// Returns the moment since which a service has its status.
    fn since_ms(&self, slug: &str) -> Option<UnixMillis>;
    /// Returns the figures of all services, as they were last counted.
    fn figures(&self) -> Arc<FiguresBySlug>;
    /// Runs a probe now (the first one if none is named). Its observation is committed when this
    /// returns.
    fn check_now<'a>(
        &'a self,
        slug: &'a str,
        probe: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Observation>, CheckError>>;
}

impl Monitor for Monitoring {
    fn status(&self, slug: &str) -> Option<CurrentStatus> {
        self.status_cache().status(slug)
    }

    fn service_status(&self, slug: &str) -> Option<ServiceStatus> {
        self.service_status(slug)
    }

    fn since_ms(&self, slug: &str) -> Option<UnixMillis> {
        self.status_cache().since_ms(slug)
    }

    fn figures(&self) -> Arc<FiguresBySlug> {
        self.status_cache().summaries().all()
    }

    fn check_now<'a>(
        &'a self,
        slug: &'a str,
        probe: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Observation>, CheckError>> {
        self.check_now(slug, probe).boxed()
    }
}

/// Receiver of webhook deliveries.
pub trait Webhooks: Send + Sync + 'static {
    fn has(&self, service: &str, webhook: &str) -> bool;
    /// Returns the webhook that takes what is sent to a service without naming one.
    fn default_of(&self, service: &str) -> Option<String>;
    /// Plays a delivery that was kept again.
    fn replay<'a>(
        &'a self,
        service: &'a str,
        id: i64,
    ) -> MonitoringFuture<'a, Accepted, ReplayError>;
    /// The events are committed when this returns.
    fn receive<'a>(
        &'a self,
        service: &'a str,
        webhook: &'a str,
        request: WebhookRequest,
    ) -> BoxFuture<'a, Result<Accepted, ReceiveError>>;
    /// Memory for the body of one delivery.
    fn memory(&self) -> InboundMemory;
}

impl Webhooks for Monitoring {
    fn has(&self, service: &str, webhook: &str) -> bool {
        self.has_webhook(service, webhook)
    }

    fn default_of(&self, service: &str) -> Option<String> {
        self.default_webhook(service)
    }

    fn replay<'a>(
        &'a self,
        service: &'a str,
        id: i64,
    ) -> MonitoringFuture<'a, Accepted, ReplayError> {
        self.replay_delivery(service, id).boxed()
    }

    fn receive<'a>(
        &'a self,
        service: &'a str,
        webhook: &'a str,
        request: WebhookRequest,
    ) -> BoxFuture<'a, Result<Accepted, ReceiveError>> {
        self.receive(service, webhook, request).boxed()
    }

    fn memory(&self) -> InboundMemory {
        self.delivery_memory()
    }
}

/// Receiver of the pings of jobs.
pub trait Heartbeats: Send + Sync + 'static {
    /// Returns the heartbeat of a service, if it has one.
    fn status(&self, service: &str) -> Option<HeartbeatStatus>;
    /// Returns all heartbeats, by slug.
    fn all(&self) -> Vec<HeartbeatStatus>;
    /// Returns the service whose heartbeat has this id.
    fn service_of(&self, uuid: &str) -> Option<String>;
    /// The ping is durable when this returns. To be run to its end.
    fn ping<'a>(
        &'a self,
        uuid: &'a str,
        ping: Ping,
    ) -> MonitoringFuture<'a, HeartbeatState, PingError>;
    /// Returns none where the service has no heartbeat.
    fn rotate<'a>(
        &'a self,
        service: &'a str,
    ) -> MonitoringFuture<'a, Option<HeartbeatStatus>, ControlError>;
    /// Gives the heartbeat of a service that is new its address.
    fn follow_catalog(&self) -> MonitoringFuture<'_, (), ControlError>;
}

impl Heartbeats for monitoring::Heartbeats {
    fn status(&self, service: &str) -> Option<HeartbeatStatus> {
        self.status(service)
    }

    fn all(&self) -> Vec<HeartbeatStatus> {
        self.all()
    }

    fn service_of(&self, uuid: &str) -> Option<String> {
        self.service_of(uuid)
    }

    fn ping<'a>(
        &'a self,
        uuid: &'a str,
        ping: Ping,
    ) -> MonitoringFuture<'a, HeartbeatState, PingError> {
        self.ping(uuid, ping).boxed()
    }

    fn rotate<'a>(
        &'a self,
        service: &'a str,
    ) -> MonitoringFuture<'a, Option<HeartbeatStatus>, ControlError> {
        self.rotate(service).boxed()
    }

    fn follow_catalog(&self) -> MonitoringFuture<'_, (), ControlError> {
        self.follow_catalog().boxed()
    }
}

/// The plugin host.
pub trait Plugins: Send + Sync + 'static {
    fn list(&self) -> Vec<PluginEntry>;
    fn get(&self, name: &str) -> Option<PluginEntry>;
    fn install<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        signature: Option<String>,
        actor: &'a str,
    ) -> PluginFuture<'a, PluginEntry>;
    /// `oci://…`
    fn pull<'a>(
        &'a self,
        reference: &'a str,
        name: Option<&'a str>,
        actor: &'a str,
    ) -> PluginFuture<'a, PluginEntry>;
    /// Returns none when there is no version to go back to.
    fn rollback<'a>(
        &'a self,
        name: &'a str,
        to: Option<&'a str>,
        actor: &'a str,
    ) -> PluginFuture<'a, Option<PluginEntry>>;
    /// Returns the plugin that takes its place, if any does.
    fn remove<'a>(&'a self, name: &'a str, actor: &'a str)
    -> PluginFuture<'a, Option<PluginEntry>>;
    /// Returns none when there is no such plugin.
    fn versions<'a>(&'a self, name: &'a str) -> PluginFuture<'a, Option<Vec<VersionEntry>>>;
    /// Returns none when there is no such version.
    fn component<'a>(&'a self, name: &'a str, digest: &'a str) -> PluginFuture<'a, Option<Bytes>>;
    fn shadow_start<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        signature: Option<String>,
        actor: &'a str,
    ) -> PluginFuture<'a, PluginEntry>;
    /// Returns none when there is no candidate.
    fn promote<'a>(
        &'a self,
        name: &'a str,
        actor: &'a str,
    ) -> PluginFuture<'a, Option<PluginEntry>>;
    /// Returns false when there is no candidate.
    fn discard<'a>(&'a self, name: &'a str, actor: &'a str) -> PluginFuture<'a, bool>;
    /// All the steps of an installation but the last.
    fn check<'a>(
        &'a self,
        component: Bytes,
        signature: Option<String>,
        actor: &'a str,
    ) -> BoxFuture<'a, ComponentCheck>;
    /// Returns none when there is no such plugin.
    fn grants(&self, name: &str) -> Option<PluginGrants>;
    /// Sets the policy of the API; none removes it.
    fn set_policy(&self, name: &str, policy: Option<PluginPolicy>);
}

impl Plugins for PluginHost {
    fn list(&self) -> Vec<PluginEntry> {
        self.list()
    }

    fn get(&self, name: &str) -> Option<PluginEntry> {
        self.get(name)
    }

    fn install<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        signature: Option<String>,
        actor: &'a str,
    ) -> PluginFuture<'a, PluginEntry> {
        let request = InstallRequest::component(component, signature, actor).named(name);
        self.install(request).boxed()
    }

    fn pull<'a>(
        &'a self,
        reference: &'a str,
        name: Option<&'a str>,
        actor: &'a str,
    ) -> PluginFuture<'a, PluginEntry> {
        let request = InstallRequest {
            name: name.map(str::to_owned),
            ..InstallRequest::registry(reference, actor)
        };
        self.install(request).boxed()
    }

    fn rollback<'a>(
        &'a self,
        name: &'a str,
        to: Option<&'a str>,
        actor: &'a str,
    ) -> PluginFuture<'a, Option<PluginEntry>> {
        self.rollback(name, to, actor).boxed()
    }

    fn remove<'a>(
        &'a self,
        name: &'a str,
        actor: &'a str,
    ) -> PluginFuture<'a, Option<PluginEntry>> {
        self.remove(name, actor).boxed()
    }

    fn versions<'a>(&'a self, name: &'a str) -> PluginFuture<'a, Option<Vec<VersionEntry>>> {
        self.versions(name).boxed()
    }

    fn component<'a>(&'a self, name: &'a str, digest: &'a str) -> PluginFuture<'a, Option<Bytes>> {
        self.component(name, digest).boxed()
    }

    fn shadow_start<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        signature: Option<String>,
        actor: &'a str,
    ) -> PluginFuture<'a, PluginEntry> {
        let request = InstallRequest::component(component, signature, actor).named(name);
        self.install(request.beside_active()).boxed()
    }

    fn promote<'a>(
        &'a self,
        name: &'a str,
        actor: &'a str,
    ) -> PluginFuture<'a, Option<PluginEntry>> {
        self.promote(name, actor).boxed()
    }

    fn discard<'a>(&'a self, name: &'a str, actor: &'a str) -> PluginFuture<'a, bool> {
        self.discard(name, actor).boxed()
    }

    fn check<'a>(
        &'a self,
        component: Bytes,
        signature: Option<String>,
        actor: &'a str,
    ) -> BoxFuture<'a, ComponentCheck> {
        self.check_component(component, signature, actor).boxed()
    }

    fn grants(&self, name: &str) -> Option<PluginGrants> {
        self.grants(name)
    }

    fn set_policy(&self, name: &str, policy: Option<PluginPolicy>) {
        self.set_api_policy(name, policy);
    }
}

/// Status of the program as a whole.
pub trait ProgramStatus: Send + Sync + 'static {
    /// Returns why it is not ready to work; empty when it is. Shown to anyone, so without anything
    /// private.
    fn unready(&self) -> Vec<String>;
    /// Returns problems that do not keep it from working; as open as the above.
    fn warnings(&self) -> Vec<String>;
    /// Prometheus text.
    fn metrics(&self) -> String;
}
