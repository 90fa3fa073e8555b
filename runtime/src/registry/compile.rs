//! Compiles what people wrote into what the engines run: every value is checked, every plugin is
//! asked whether it accepts its settings, and all faults are reported together.

mod alert;
mod channel;
mod channel_options;
mod cost;
mod cost_budget;
mod credential;
mod escalation;
mod gateway;
mod heartbeat;
mod lifecycle;
mod meter;
mod paused;
mod profile;
mod rate_limits;
mod report;
mod routing;
mod scope;
mod service;
mod status_page;
mod target;
mod template;
mod webhook;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

pub(super) use alert::{RuleDraft, SharedRule};
pub(super) use channel::{ChannelPlace, settings_key};
pub(super) use channel_options::MessageTemplates;
pub(super) use cost_budget::CompiledBudget;
pub(super) use escalation::Escalations;
pub use paused::pause_compile;
pub(super) use profile::profile;
pub use report::{bundled_reports, report_compile};
pub(super) use routing::Routing;
pub use routing::{RoutingEntries, maintenance_compile, matchers};
pub(super) use service::CompiledService;
pub(super) use status_page::status_pages;
pub(super) use target::{authority, default_probe};
pub(super) use template::Templates;

use super::plugins::PluginDirectory;
use crate::domain::fault::{Fault, FaultReport, list, suggest};
use crate::domain::{Channel, Origin, PluginKind, ServiceFacts};
use crate::spec::Schema;

/// Values for services that set none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    pub interval: Duration,
    pub timeout: Duration,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Kind and name of a plugin, its settings as JSON text, and the slug of the service.
type SettingsKey = (PluginKind, String, String, Option<String>);

/// Checks specs and builds what travels in the catalog. What it returns is only good while `report`
/// has no faults.
pub(super) struct Compiler<'a> {
    pub(super) defaults: Defaults,
    pub(super) plugins: &'a dyn PluginDirectory,
    pub(super) origin: Origin,
    pub(super) report: FaultReport,
    /// True if `alerts.yaml` has channels for alerts that name none, at its top or in its routing
    /// tree.
    pub(super) has_default_channels: bool,
    /// Channels that others may name.
    pub(super) named_channels: BTreeMap<String, Arc<Channel>>,
    pub(super) escalation_names: BTreeSet<String>,
    pub(super) templates: Arc<Templates>,
    /// Message templates of `alerts.yaml`.
    pub(super) message_templates: Arc<MessageTemplates>,
    /// Names of channels that have to be there in the end, each with the place that names it.
    pub(super) fallbacks: Vec<(String, String)>,
    /// Content of each named channel of the files.
    channel_names: HashMap<String, String>,
    /// The service whose probes, webhooks and meters are being checked.
    service: Option<ServiceFacts>,
    schemas: HashMap<(PluginKind, String), Arc<Option<Schema>>>,
    /// Settings of the same rule or channel are checked once.
    judged: HashMap<SettingsKey, Arc<Vec<Fault>>>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        defaults: Defaults,
        plugins: &'a dyn PluginDirectory,
        origin: Origin,
    ) -> Self {
        let (schemas, judged) = (HashMap::new(), HashMap::new());
        Self {
            defaults,
            plugins,
            origin,
            report: FaultReport::default(),
            has_default_channels: false,
            named_channels: BTreeMap::new(),
            escalation_names: BTreeSet::new(),
            templates: Arc::default(),
            message_templates: Arc::default(),
            fallbacks: Vec::new(),
            channel_names: HashMap::new(),
            service: None,
            schemas,
            judged,
        }
    }

    /// Adds a fault at `at` and answers false when there is no such plugin.
    fn plugin_exists(&mut self, kind: PluginKind, name: &str, at: &str) -> bool {
        if self.plugins.info(kind, name).is_some() {
            return true;
        }
        let names = self.plugins.names(kind);
        let known = || names.iter().map(String::as_str);
        let noun = kind.as_str();
        let elsewhere = PluginKind::ALL
            .into_iter()
            .find(|other| self.plugins.info(*other, name).is_some());
        let message = match elsewhere {
            Some(other) => {
                format!(
                    "`{name}` is a {} plugin, not a {noun} plugin; known: {}",
                    other.as_str(),
                    list(known())
                )
            }
            None => format!(
                "there is no {noun} plugin `{name}`{}",
                suggest(name, known())
            ),
        };
        self.report.fault(at, message);
        false
    }

    /// `locate` turns a pointer into the settings into a pointer into the spec.
    async fn settings_check(
        &mut self,
        kind: PluginKind,
        plugin: &str,
        settings: &Value,
        also: &[String],
        locate: impl Fn(&str) -> String,
    ) -> bool {
        let slug = self.service.as_ref().map(|service| service.slug.clone());
        let key = (kind, plugin.to_owned(), settings.to_string(), slug);
        let faults = match self.judged.get(&key) {
            Some(faults) => faults.clone(),
            None => {
                let faults = Arc::new(self.settings_judge(kind, plugin, settings, also).await);
                self.judged.insert(key, faults.clone());
                faults
            }
        };
        for fault in faults.iter() {
            self.report.add(Fault {
                pointer: locate(&fault.pointer),
                ..fault.clone()
            });
        }
        faults.is_empty()
    }

    /// The schema first, for its better texts and places; the plugin only sees settings that fit
    /// it.
    async fn settings_judge(
        &mut self,
        kind: PluginKind,
        plugin: &str,
        settings: &Value,
        also: &[String],
    ) -> Vec<Fault> {
        let key = (kind, plugin.to_owned());
        let schema = self.schemas.entry(key).or_insert_with(|| {
            let info = self.plugins.info(kind, plugin);
            Arc::new(info.and_then(|info| Schema::new(info.settings_schema.clone()).ok()))
        });
        if let Some(schema) = schema.as_ref() {
            let faults = schema.faults(settings, also);
            if !faults.is_empty() {
                return faults;
            }
        }
        self.plugins
            .check_settings(kind, plugin, settings, self.service.as_ref())
            .await
            .err()
            .unwrap_or_default()
    }
}

/// JSON text with sorted keys: the same for the same settings, in whatever order they were written.
pub(super) fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<(&String, &Value)> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                Value::Object(
                    entries
                        .into_iter()
                        .map(|(key, value)| (key.clone(), sorted(value)))
                        .collect::<Map<_, _>>(),
                )
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}
