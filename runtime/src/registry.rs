//! The catalog of services, rules and channels: what files own and what the API owns, checked and
//! published whole. Knows neither YAML nor HTTP, and asks for plugins through
//! [`PluginDirectory`], behind which stands the plugin host, or the plugins of a reload.

mod built_in;
mod catalog;
mod changes;
mod compile;
mod dependencies;
mod files;
mod pauses;
mod plugin_policy;
mod plugin_trust;
mod plugins;
mod record;
mod secrets;
mod settings_use;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;

pub use changes::{CatalogError, ChangeKind, RefusedChange, ServiceChange, ServiceChanged};
pub use compile::{
    Defaults, RoutingEntries, bundled_reports, maintenance_compile, matchers, pause_compile,
    report_compile,
};
pub use files::{CheckedFiles, FileEntries, check_files};
pub use plugin_policy::{plugin_policies, plugin_policy_read};
pub use plugin_trust::plugin_trust;
pub use plugins::{PluginAnswer, PluginDirectory};
pub use record::ServiceRecord;
pub use secrets::MASK;
pub use settings_use::SettingsUse;

use crate::domain::fault::FaultReport;
use crate::domain::{AlertRule, Catalog, ChannelId, Fault, Origin, Pause, now_ms, slug};
use crate::spec::{AlertSpec, Schema, ServiceSpec, prune_and_parse};
use crate::store::control::StoredService;
use crate::store::{ControlError, ControlStore};
use compile::{CompiledService, Compiler, settings_key};

/// Handle of the catalog; clones share it.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<RegistryInner>,
}

struct RegistryInner {
    plugins: Arc<dyn PluginDirectory>,
    store: ControlStore,
    schema: Schema,
    /// Held over a whole change, so that what was checked is what is published. Readers never wait
    /// for it.
    changing: Mutex<()>,
    state: ArcSwap<State>,
    catalog: watch::Sender<Arc<Catalog>>,
}

#[derive(Clone)]
struct State {
    files: Arc<CheckedFiles>,
    /// Services of the API by slug.
    api: BTreeMap<String, Arc<ApiService>>,
    /// Pauses made over the API by slug, over or not.
    pauses: Arc<BTreeMap<String, Pause>>,
}

struct ApiService {
    stored: StoredService,
    /// Faults: it was fine when it was saved, but its plugin went, or a file took its slug. It is
    /// shown, and not run.
    compiled: Result<CompiledService, Vec<Fault>>,
    warnings: Vec<Fault>,
}

/// A reload that was checked. Dropped, it changes nothing.
pub struct PreparedReload<'a> {
    registry: &'a Registry,
    _changing: MutexGuard<'a, ()>,
    state: State,
}

impl PreparedReload<'_> {
    /// Puts it in place of what was.
    pub fn publish(self) -> Arc<Catalog> {
        self.registry.publish(self.state);
        self.registry.catalog()
    }
}

impl Registry {
    /// Reads what the API has made and publishes the first catalog.
    pub async fn open(
        files: CheckedFiles,
        plugins: Arc<dyn PluginDirectory>,
        store: ControlStore,
    ) -> Result<Self, ControlError> {
        let stored = store.service_list().await?;
        let state = State {
            files: Arc::new(files),
            api: BTreeMap::new(),
            pauses: Arc::new(store.pause_list().await?),
        };
        let inner = RegistryInner {
            plugins,
            store,
            schema: Schema::of::<ServiceSpec>(),
            changing: Mutex::new(()),
            state: ArcSwap::from_pointee(state),
            catalog: watch::Sender::new(Arc::new(Catalog::default())),
        };
        let registry = Self {
            inner: Arc::new(inner),
        };
        let plugins = &*registry.inner.plugins;
        registry.publish(
            registry
                .state_of(registry.state().files.clone(), stored, plugins)
                .await,
        );
        Ok(registry)
    }

    /// Changes with each change.
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.inner.catalog.subscribe()
    }

    pub fn catalog(&self) -> Arc<Catalog> {
        self.inner.catalog.borrow().clone()
    }

    /// Checks a new state of the files, which have no faults, together with the services of the
    /// API, against plugins that may not be active yet. Nothing changes before
    /// [`PreparedReload::publish`], and other changes wait for it.
    pub async fn prepare(
        &self,
        files: CheckedFiles,
        plugins: &dyn PluginDirectory,
    ) -> PreparedReload<'_> {
        let changing = self.inner.changing.lock().await;
        let stored = self
            .state()
            .api
            .values()
            .map(|service| service.stored.clone())
            .collect();
        let state = self.state_of(Arc::new(files), stored, plugins).await;
        PreparedReload {
            registry: self,
            _changing: changing,
            state,
        }
    }

    /// Checks the services of the API again after every swap of a plugin's version, however it came
    /// about, until the shutdown: a service may run now that could not, or the other way round.
    pub async fn follow_swaps(self, mut swaps: watch::Receiver<u64>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = swaps.changed() => if changed.is_err() { return },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.recheck() => {}
            }
        }
    }

    async fn recheck(&self) {
        let _changing = self.inner.changing.lock().await;
        let state = self.state();
        let stored = state
            .api
            .values()
            .map(|service| service.stored.clone())
            .collect();
        self.publish(
            self.state_of(state.files.clone(), stored, &*self.inner.plugins)
                .await,
        );
    }

    /// Returns the rules that an entry of `alerts.yaml` would be, for each service that it selects;
    /// nothing is changed.
    pub async fn rule_try(&self, spec: Value) -> Result<Vec<AlertRule>, Vec<Fault>> {
        self.rule_try_with(spec, &*self.inner.plugins).await
    }

    /// Returns the rules that [`Self::rule_try`] would return with other plugins.
    pub async fn rule_try_with(
        &self,
        spec: Value,
        plugins: &dyn PluginDirectory,
    ) -> Result<Vec<AlertRule>, Vec<Fault>> {
        let state = self.state();
        let mut report = FaultReport::default();
        Schema::of::<AlertSpec>().check(&spec, "", &[], &mut report);
        report.next_stage();
        let spec: Option<AlertSpec> = prune_and_parse(spec, "", &mut report);
        let Some(spec) = spec.filter(|_| report.faults.is_empty()) else {
            return Err(report.faults);
        };
        let mut compiler = self.compiler_with(&state.files, plugins);
        let shared = compiler.shared_rule(&spec, "").await;
        let Some(mut shared) = shared.filter(|_| compiler.report.faults.is_empty()) else {
            return Err(compiler.report.faults);
        };
        let catalog = self.catalog();
        // A channel that is there already counts as itself, whatever the entry calls it.
        let known = |id: &ChannelId| {
            let tried = settings_key(shared.channels.iter().find(|channel| channel.id == *id)?);
            catalog
                .channels
                .values()
                .find(|channel| settings_key(channel) == tried)
                .map(|channel| channel.id.clone())
        };
        let channels = shared.draft.channels.take();
        shared.draft.channels =
            channels.map(|ids| ids.into_iter().map(|id| known(&id).unwrap_or(id)).collect());
        let mut rules = Vec::new();
        for service in catalog.services.values() {
            if shared.selects(service).await {
                rules.push(catalog::rule(&shared.draft, &service.slug, &state.files));
            }
        }
        Ok(rules)
    }

    /// Returns a service as its owner wrote it, secrets masked.
    pub fn record(&self, slug: &str) -> Option<ServiceRecord> {
        let state = self.state();
        let plugins = &*self.inner.plugins;
        match state.files.services.get(slug) {
            Some(compiled) => Some(ServiceRecord::of_file(compiled, plugins)),
            None => state
                .api
                .get(slug)
                .map(|service| ServiceRecord::of_api(service, plugins)),
        }
    }

    /// Returns all slugs in order, with those of services that can't run.
    pub fn slugs(&self) -> Vec<String> {
        let state = self.state();
        let slugs: BTreeSet<&String> = state
            .files
            .services
            .keys()
            .chain(state.api.keys())
            .collect();
        slugs.into_iter().cloned().collect()
    }

    /// Returns all services by slug, with those that can't run.
    pub fn records(&self) -> Vec<ServiceRecord> {
        let state = self.state();
        let plugins = &*self.inner.plugins;
        let mut records: BTreeMap<&str, ServiceRecord> = state
            .api
            .values()
            .map(|service| {
                (
                    service.stored.slug.as_str(),
                    ServiceRecord::of_api(service, plugins),
                )
            })
            .collect();
        for (slug, compiled) in &state.files.services {
            records.insert(slug, ServiceRecord::of_file(compiled, plugins));
        }
        records.into_values().collect()
    }

    fn state(&self) -> Arc<State> {
        self.inner.state.load_full()
    }

    fn publish(&self, state: State) {
        let version = self.inner.catalog.borrow().version + 1;
        let api = state
            .api
            .values()
            .filter_map(|service| service.compiled.as_ref().ok());
        let stopped = state
            .api
            .values()
            .filter(|service| service.compiled.is_err());
        let stopped = stopped.filter_map(|service| record::described(&service.stored));
        let catalog = Catalog {
            paused: Arc::new(state.paused(now_ms())),
            ..catalog::build(version, &state.files, api, stopped)
        };
        self.inner.state.store(Arc::new(state));
        self.inner.catalog.send_replace(Arc::new(catalog));
    }

    /// Checks every service of the API against new files or plugins.
    async fn state_of(
        &self,
        files: Arc<CheckedFiles>,
        stored: Vec<StoredService>,
        plugins: &dyn PluginDirectory,
    ) -> State {
        let mut compiler = self.compiler_with(&files, plugins);
        let mut api = BTreeMap::new();
        for stored in stored {
            let compiled = if files.services.contains_key(&stored.slug) {
                Err(vec![Fault::new(
                    "",
                    "services.yaml has a service with the same slug, which takes its place",
                )])
            } else {
                self.compile(&mut compiler, stored.spec.clone()).await
            };
            let (compiled, warnings) = match compiled {
                Ok((compiled, warnings)) => (Ok(compiled), warnings),
                Err(faults) => {
                    let fault = faults
                        .first()
                        .map(|fault| fault.message.as_str())
                        .unwrap_or_default();
                    tracing::warn!(
                        service = stored.slug,
                        fault,
                        "a service made over the API can't run"
                    );
                    (Err(faults), Vec::new())
                }
            };
            api.insert(
                stored.slug.clone(),
                Arc::new(ApiService {
                    stored,
                    compiled,
                    warnings,
                }),
            );
        }
        drop(compiler);
        State {
            files,
            api,
            pauses: self.state().pauses.clone(),
        }
    }

    fn compiler(&self, files: &CheckedFiles) -> Compiler<'_> {
        self.compiler_with(files, &*self.inner.plugins)
    }

    fn compiler_with<'a>(
        &self,
        files: &CheckedFiles,
        plugins: &'a dyn PluginDirectory,
    ) -> Compiler<'a> {
        let mut compiler = Compiler::new(files.defaults, plugins, Origin::Api);
        compiler.has_default_channels =
            !files.default_channels.is_empty() || files.routing.route.is_some();
        compiler.escalation_names = files.escalations.policies.keys().cloned().collect();
        compiler.templates = files.templates.clone();
        compiler.message_templates = files.message_templates.clone();
        compiler
    }

    /// Compiles a spec, and returns the warnings with it.
    async fn compile(
        &self,
        compiler: &mut Compiler<'_>,
        spec: Value,
    ) -> Result<(CompiledService, Vec<Fault>), Vec<Fault>> {
        compiler.report = FaultReport::default();
        self.inner
            .schema
            .check(&spec, "", &[], &mut compiler.report);
        let parsed = prune_and_parse::<ServiceSpec>(spec, "", &mut compiler.report);
        compiler.report.next_stage();
        let compiled = match parsed {
            Some(mut spec) => {
                let compiled = compiler.service(&spec, "").await;
                spec.slug.get_or_insert_with(|| slug(&spec.name));
                compiled.map(|compiled| CompiledService { spec, ..compiled })
            }
            None => None,
        };
        let report = std::mem::take(&mut compiler.report);
        match compiled {
            Some(compiled) if report.faults.is_empty() => Ok((compiled, report.warnings)),
            _ => Err(report.faults),
        }
    }
}

fn to_value(spec: &ServiceSpec) -> Value {
    serde_json::to_value(spec).expect("a spec is made of text, numbers and lists")
}
