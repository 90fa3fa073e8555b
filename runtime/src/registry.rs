//! The catalog of services, rules and channels: what files own and what the API owns, checked and
//! published whole. Knows neither YAML nor HTTP, and asks the plugin host and the control store
//! through two small traits.

pub mod fault;
pub mod schema;
pub mod spec;

mod built_in;
mod catalog;
mod compile;
mod files;
mod plugin_policy;
mod plugin_trust;
mod plugins;
mod prune;
mod record;
mod secrets;
mod stored;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, watch};

pub use compile::{Defaults, RoutingEntries, maintenance_compile, matchers};
pub use fault::{Fault, Report};
pub use files::{CheckedFiles, FileEntries, check_files};
pub use plugin_policy::{plugin_policies, plugin_policy_read};
pub use plugin_trust::plugin_trust;
pub use plugins::PluginDirectory;
pub use prune::prune_and_parse;
pub use record::ServiceRecord;
pub use secrets::MASK;
pub use stored::{ServiceStore, ServiceStoreError, StoredService};

use crate::domain::{AlertRule, Catalog, ChannelId, Dependencies, Origin, PluginKind, slug};
use compile::{CompiledService, Compiler, settings_key};
use schema::Schema;
use spec::{AlertSpec, ServiceSpec};

/// Cheap to clone: one registry, many handles.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    plugins: Arc<dyn PluginDirectory>,
    store: Arc<dyn ServiceStore>,
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
    /// By slug.
    api: BTreeMap<String, Arc<ApiService>>,
}

struct ApiService {
    stored: StoredService,
    /// Faults: it was fine when it was saved, but its plugin went, or a file took its slug. It is
    /// shown, and not run.
    compiled: Result<CompiledService, Vec<Fault>>,
    warnings: Vec<Fault>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is no service `{0}`")]
    NotFound(String),
    #[error("service `{0}` comes from services.yaml; change it there")]
    OwnedByFile(String),
    #[error("there is already a service `{0}`; give this one another `slug`")]
    Exists(String),
    #[error(
        "the service was changed meanwhile: it is at revision {current}; read it again, then repeat"
    )]
    RevisionConflict { current: i64 },
    #[error("the service has {} fault(s)", .0.len())]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Store(#[from] ServiceStoreError),
}

/// Settings that are in use, for the check before a plugin is replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsUse {
    /// Of the service, or of the channel.
    pub origin: Origin,
    /// e.g. ``probe `http` of service `shop-api` ``
    pub owner: String,
    pub kind: PluginKind,
    pub settings: Value,
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
        store: Arc<dyn ServiceStore>,
    ) -> Result<Self, ServiceStoreError> {
        let stored = store.service_list().await?;
        let state = State {
            files: Arc::new(files),
            api: BTreeMap::new(),
        };
        let shared = Shared {
            plugins,
            store,
            schema: Schema::of::<ServiceSpec>(),
            changing: Mutex::new(()),
            state: ArcSwap::from_pointee(state),
            catalog: watch::Sender::new(Arc::new(Catalog::default())),
        };
        let registry = Self {
            shared: Arc::new(shared),
        };
        let plugins = registry.shared.plugins.as_ref();
        registry.publish(
            registry
                .state_of(registry.state().files.clone(), stored, plugins)
                .await,
        );
        Ok(registry)
    }

    /// Changes with each change.
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.shared.catalog.subscribe()
    }

    pub fn catalog(&self) -> Arc<Catalog> {
        self.shared.catalog.borrow().clone()
    }

    /// Checks a new state of the files, which have no faults, together with the services of the
    /// API, against plugins that may not be active yet. Nothing changes before
    /// [`PreparedReload::publish`], and other changes wait for it.
    pub async fn prepare(
        &self,
        files: CheckedFiles,
        plugins: &dyn PluginDirectory,
    ) -> PreparedReload<'_> {
        let changing = self.shared.changing.lock().await;
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

    /// After plugins came or went: services of the API that could not run may run now.
    pub async fn recheck(&self) {
        let _changing = self.shared.changing.lock().await;
        let state = self.state();
        let stored = state
            .api
            .values()
            .map(|service| service.stored.clone())
            .collect();
        self.publish(
            self.state_of(state.files.clone(), stored, self.shared.plugins.as_ref())
                .await,
        );
    }

    /// What an entry of `alerts.yaml` would be in force as, for each service that it selects, with
    /// these plugins or else those that are there; nothing is changed.
    pub async fn rule_try(
        &self,
        spec: Value,
        plugins: Option<&dyn PluginDirectory>,
    ) -> Result<Vec<AlertRule>, Vec<Fault>> {
        let state = self.state();
        let mut report = Report::default();
        Schema::of::<AlertSpec>().check(&spec, "", &[], &mut report);
        report.next_stage();
        let spec: Option<AlertSpec> = prune_and_parse(spec, "", &mut report);
        let Some(spec) = spec.filter(|_| report.faults.is_empty()) else {
            return Err(report.faults);
        };
        let mut compiler = self.compiler_with(
            &state.files,
            plugins.unwrap_or(self.shared.plugins.as_ref()),
        );
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

    pub async fn create(&self, mut spec: Value) -> Result<ServiceRecord, Refusal> {
        let _changing = self.shared.changing.lock().await;
        let state = self.state();
        let faults = secrets::restore(&mut spec, &Value::Null, self.shared.plugins.as_ref());
        let (compiled, warnings) = self.compile_new(spec, &state.files, faults).await?;
        let slug = compiled.service.slug.clone();
        self.circle_check(&compiled)?;
        if state.files.services.contains_key(&slug) || state.api.contains_key(&slug) {
            return Err(Refusal::Exists(slug));
        }
        let stored = self
            .shared
            .store
            .service_insert(&slug, &to_value(&compiled.spec))
            .await?;
        Ok(self.put(
            slug,
            ApiService {
                stored,
                compiled: Ok(compiled),
                warnings,
            },
        ))
    }

    /// `***` in place of a secret keeps the old one. The slug can't change: history hangs on it.
    pub async fn replace(
        &self,
        slug: &str,
        mut spec: Value,
        expected_revision: Option<i64>,
    ) -> Result<ServiceRecord, Refusal> {
        let _changing = self.shared.changing.lock().await;
        let state = self.state();
        let old = self.changeable(&state, slug, expected_revision)?;
        let mut faults =
            secrets::restore(&mut spec, &old.stored.spec, self.shared.plugins.as_ref());
        if let Some(members) = spec.as_object_mut() {
            match members.get("slug").and_then(Value::as_str) {
                Some(other) if other != slug => {
                    faults.push(Fault::new(
                        "/slug",
                        format!("can't be changed; it is `{slug}`, and history hangs on it"),
                    ));
                }
                _ => {
                    members.insert("slug".to_owned(), slug.into());
                }
            }
        }
        let (compiled, warnings) = self.compile_new(spec, &state.files, faults).await?;
        self.circle_check(&compiled)?;
        let revision = Some(old.stored.revision);
        let stored = self
            .shared
            .store
            .service_update(slug, &to_value(&compiled.spec), revision)
            .await?;
        Ok(self.put(
            slug.to_owned(),
            ApiService {
                stored,
                compiled: Ok(compiled),
                warnings,
            },
        ))
    }

    pub async fn delete(&self, slug: &str, expected_revision: Option<i64>) -> Result<(), Refusal> {
        let _changing = self.shared.changing.lock().await;
        let mut state = State::clone(&self.state());
        self.changeable(&state, slug, expected_revision)?;
        self.shared.store.service_delete(slug).await?;
        state.api.remove(slug);
        self.publish(state);
        Ok(())
    }

    /// As its owner wrote it, secrets masked.
    pub fn record(&self, slug: &str) -> Option<ServiceRecord> {
        let state = self.state();
        let plugins = self.shared.plugins.as_ref();
        match state.files.services.get(slug) {
            Some(compiled) => Some(ServiceRecord::of_file(compiled, plugins)),
            None => state
                .api
                .get(slug)
                .map(|service| ServiceRecord::of_api(service, plugins)),
        }
    }

    /// In order; also those that can't run.
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

    /// By slug; also those that can't run.
    pub fn records(&self) -> Vec<ServiceRecord> {
        let state = self.state();
        let plugins = self.shared.plugins.as_ref();
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

    /// Who would be hurt if this plugin no longer accepted their settings.
    pub fn settings_using(&self, plugin: &str) -> Vec<SettingsUse> {
        let catalog = self.catalog();
        let mut uses = Vec::new();
        let mut add = |name: &str, origin: Origin, owner: String, kind, settings: &Value| {
            if name == plugin {
                uses.push(SettingsUse {
                    origin,
                    owner,
                    kind,
                    settings: settings.clone(),
                });
            }
        };
        for service in catalog.services.values() {
            for probe in &service.probes {
                let owner = format!("probe `{}` of service `{}`", probe.name, service.slug);
                add(
                    &probe.plugin,
                    service.origin,
                    owner,
                    PluginKind::Probe,
                    &probe.settings,
                );
            }
        }
        for service in catalog.services.values() {
            for webhook in &service.webhooks {
                let owner = format!("webhook `{}` of service `{}`", webhook.name, service.slug);
                add(
                    &webhook.plugin,
                    service.origin,
                    owner,
                    PluginKind::Webhook,
                    &webhook.settings,
                );
            }
        }
        let shared = |name: &str| {
            self.state()
                .files
                .rules
                .iter()
                .any(|rule| rule.draft.name == name)
        };
        for rule in catalog.rules.values().flatten() {
            let owner = format!("alert `{}` of service `{}`", rule.name, rule.service);
            let service = catalog.services.get(&rule.service);
            let origin = match service.filter(|_| !shared(&rule.name)) {
                Some(service) => service.origin,
                None => Origin::File,
            };
            add(
                &rule.plugin,
                origin,
                owner,
                PluginKind::Rule,
                &rule.settings,
            );
        }
        for channel in catalog.channels.values() {
            let owner = format!("channel `{}`", channel.name);
            add(
                &channel.plugin,
                channel.origin,
                owner,
                PluginKind::Notifier,
                &channel.settings,
            );
        }
        uses
    }

    fn state(&self) -> Arc<State> {
        self.shared.state.load_full()
    }

    fn changeable(
        &self,
        state: &State,
        slug: &str,
        expected_revision: Option<i64>,
    ) -> Result<Arc<ApiService>, Refusal> {
        let Some(service) = state.api.get(slug) else {
            return Err(match state.files.services.contains_key(slug) {
                true => Refusal::OwnedByFile(slug.to_owned()),
                false => Refusal::NotFound(slug.to_owned()),
            });
        };
        let current = service.stored.revision;
        match expected_revision {
            Some(expected) if expected != current => Err(Refusal::RevisionConflict { current }),
            _ => Ok(service.clone()),
        }
    }

    fn put(&self, slug: String, service: ApiService) -> ServiceRecord {
        let record = ServiceRecord::of_api(&service, self.shared.plugins.as_ref());
        let mut state = State::clone(&self.state());
        state.api.insert(slug, Arc::new(service));
        self.publish(state);
        record
    }

    fn publish(&self, state: State) {
        let version = self.shared.catalog.borrow().version + 1;
        let api = state
            .api
            .values()
            .filter_map(|service| service.compiled.as_ref().ok());
        let stopped = state
            .api
            .values()
            .filter(|service| service.compiled.is_err());
        let stopped = stopped.filter_map(|service| record::described(&service.stored));
        let catalog = catalog::build(version, &state.files, api, stopped);
        self.shared.state.store(Arc::new(state));
        self.shared.catalog.send_replace(Arc::new(catalog));
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
            let compiled = match files.services.contains_key(&stored.slug) {
                true => Err(vec![Fault::new(
                    "",
                    "services.yaml has a service with the same slug, which takes its place",
                )]),
                false => self.compile(&mut compiler, stored.spec.clone()).await,
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
        State { files, api }
    }

    fn compiler(&self, files: &CheckedFiles) -> Compiler<'_> {
        self.compiler_with(files, self.shared.plugins.as_ref())
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

    /// A service must not come to depend on itself.
    fn circle_check(&self, compiled: &CompiledService) -> Result<(), Refusal> {
        let service = &compiled.service;
        let catalog = self.catalog();
        let others = catalog
            .services
            .values()
            .filter(|other| other.slug != service.slug);
        let all = others
            .chain([service])
            .map(|service| (service.slug.clone(), service.depends_on.clone()));
        let dependencies = Dependencies::new(all);
        match dependencies
            .circles()
            .into_iter()
            .find(|circle| circle.contains(&service.slug.as_str()))
        {
            None => Ok(()),
            Some(circle) => {
                let way = fault::list(circle.iter().chain(circle.first()).copied());
                let message = format!("depends on itself: {way}; leave one of them out");
                Err(Refusal::Invalid(vec![Fault::new("/dependsOn", message)]))
            }
        }
    }

    /// `faults` are those found before; they are told with the others.
    async fn compile_new(
        &self,
        spec: Value,
        files: &CheckedFiles,
        mut faults: Vec<Fault>,
    ) -> Result<(CompiledService, Vec<Fault>), Refusal> {
        let mut compiler = self.compiler(files);
        match self.compile(&mut compiler, spec).await {
            Ok(compiled) if faults.is_empty() => Ok(compiled),
            Ok(_) => Err(Refusal::Invalid(faults)),
            Err(more) => {
                faults.extend(more);
                Err(Refusal::Invalid(faults))
            }
        }
    }

    /// With the warnings.
    async fn compile(
        &self,
        compiler: &mut Compiler<'_>,
        spec: Value,
    ) -> Result<(CompiledService, Vec<Fault>), Vec<Fault>> {
        compiler.report = Report::default();
        self.shared
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
