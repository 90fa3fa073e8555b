//! What the configuration files say, checked as a whole: names are unique, selectors select,
//! plugins accept.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::built_in::{BuiltInAlert, MONITOR_OFFLINE, PLUGIN_FAILING};
use super::compile::{
    ChannelPlace, CompiledService, Compiler, Defaults, Escalations, MessageTemplates, Routing,
    RoutingEntries, SharedRule, Templates,
};
use super::fault::{Report, child, list, suggest};
use super::plugins::PluginDirectory;
use super::spec::{
    AlertSpec, AlertTemplateSpec, EscalationSpec, MessageTemplateSpec, NotificationSpec,
    ServiceSpec, WatchdogSpec,
};
use crate::domain::{Channel, Dependencies, Origin, Watchdog};

/// More than one machine watches, and few enough that a mistaken file does not eat the memory.
const MAX_SERVICES: usize = 50_000;
const MAX_SHARED_ALERTS: usize = 1_000;

/// Entries as they were read, each with its index in its list. Pointers of faults begin with
/// `/services`, `/alerts` or `/notifications`.
#[derive(Debug, Clone, Default)]
pub struct FileEntries {
    pub services: Vec<(usize, ServiceSpec)>,
    pub alerts: Vec<(usize, AlertSpec)>,
    /// Channels of alerts that name none.
    pub notifications: Vec<(usize, NotificationSpec)>,
    pub message_templates: BTreeMap<String, MessageTemplateSpec>,
    pub routing: RoutingEntries,
    /// By name.
    pub escalations: Vec<(String, EscalationSpec)>,
    pub alert_templates: Vec<(String, AlertTemplateSpec)>,
    pub watchdog: Option<WatchdogSpec>,
    /// Targets say when the monitor is offline.
    pub has_offline_targets: bool,
}

/// What the registry takes over from files.
#[derive(Default)]
pub struct CheckedFiles {
    pub(super) defaults: Defaults,
    pub(super) services: BTreeMap<String, Arc<CompiledService>>,
    pub(super) rules: Vec<SharedRule>,
    pub(super) plugin_alert: BuiltInAlert,
    /// Without a draft where no targets say when the monitor is offline.
    pub(super) offline_alert: BuiltInAlert,
    pub(super) default_channels: Vec<Arc<Channel>>,
    pub(super) message_templates: Arc<MessageTemplates>,
    pub(super) routing: Routing,
    pub(super) escalations: Escalations,
    pub(super) templates: Arc<Templates>,
    pub(super) watchdog: Option<(Watchdog, Arc<Channel>)>,
}

impl fmt::Debug for CheckedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedFiles")
            .field("services", &self.services.keys())
            .finish_non_exhaustive()
    }
}

impl CheckedFiles {
    pub fn service_count(&self) -> usize {
        self.services.len()
    }

    /// Of all rules and services.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        let own = self.services.values().flat_map(|service| &service.channels);
        let shared = self.rules.iter().flat_map(|rule| &rule.channels);
        let named = self.routing.channels.values();
        let escalated = self
            .escalations
            .channels
            .iter()
            .chain(self.watchdog.as_ref().map(|(_, channel)| channel));
        let routed = self.default_channels.iter().chain(named).chain(escalated);
        let built_in = self
            .plugin_alert
            .channels
            .iter()
            .chain(&self.offline_alert.channels);
        own.chain(shared).chain(built_in).chain(routed)
    }
}

/// The answer is only good while the report has no faults.
pub async fn check_files(
    entries: &FileEntries,
    defaults: Defaults,
    plugins: &dyn PluginDirectory,
    report: Report,
) -> (CheckedFiles, Report) {
    let mut compiler = Compiler::new(defaults, plugins, Origin::File);
    compiler.report = report;
    compiler.has_default_channels =
        !entries.notifications.is_empty() || entries.routing.route.is_some();
    if entries.services.len() > MAX_SERVICES {
        compiler.report.fault(
            "/services",
            format!("must have at most {MAX_SERVICES} entries"),
        );
    }
    if entries.alerts.len() > MAX_SHARED_ALERTS {
        compiler.report.fault(
            "/alerts",
            format!("must have at most {MAX_SHARED_ALERTS} entries"),
        );
    }
    compiler.message_templates(&entries.message_templates).await;
    let notifications = entries
        .notifications
        .iter()
        .map(|(index, spec)| (*index, spec));
    let default_channels = compiler
        .channels(notifications, "/notifications", &ChannelPlace::TOP)
        .await;
    compiler.escalation_names = entries
        .escalations
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let routing = compiler.routing(&entries.routing, &default_channels).await;
    let named = default_channels.iter().chain(routing.channels.values());
    compiler.named_channels = named
        .map(|channel| (channel.name.clone(), channel.clone()))
        .collect();
    let escalations = compiler
        .escalations(&entries.escalations, "/escalations")
        .await;
    let templates: Arc<Templates> = Arc::new(entries.alert_templates.iter().cloned().collect());
    compiler.templates_check(&templates, "/alertTemplates");
    compiler.templates = templates.clone();
    let watchdog = match &entries.watchdog {
        Some(spec) => compiler.watchdog(spec, "/watchdog").await,
        None => None,
    };
    let services = services(&mut compiler, entries).await;
    dependencies_check(&mut compiler, entries, &services);
    let (rules, plugin_alert, offline_alert) =
        shared_rules(&mut compiler, entries, &services).await;
    let message_templates = compiler.message_templates.clone();
    let files = CheckedFiles {
        defaults,
        services,
        rules,
        plugin_alert,
        offline_alert,
        default_channels,
        routing,
        escalations,
        templates,
        message_templates,
        watchdog,
    };
    fallbacks_check(&mut compiler, &files);
    (files, compiler.report)
}

/// A message that goes nowhere else is found out too late.
fn fallbacks_check(compiler: &mut Compiler<'_>, files: &CheckedFiles) {
    for (at, name) in std::mem::take(&mut compiler.fallbacks) {
        let names = || files.channels().map(|channel| channel.name.as_str());
        if !names().any(|known| known == name) {
            let hint = suggest(&name, names());
            compiler.report.fault(
                at,
                format!("there is no channel with the name `{name}`{hint}"),
            );
        }
    }
}

async fn services(
    compiler: &mut Compiler<'_>,
    entries: &FileEntries,
) -> BTreeMap<String, Arc<CompiledService>> {
    let mut services: BTreeMap<String, Arc<CompiledService>> = BTreeMap::new();
    for (index, spec) in entries.services.iter().take(MAX_SERVICES) {
        let at = child("/services", index);
        let Some(compiled) = compiler.service(spec, &at).await else {
            continue;
        };
        let slug = compiled.service.slug.clone();
        compiler.duplicate_check(spec, &slug, services.get(&slug).map(|seen| &seen.spec), &at);
        services.entry(slug).or_insert_with(|| Arc::new(compiled));
    }
    services
}

/// A circle would leave nobody to tell of.
fn dependencies_check(
    compiler: &mut Compiler<'_>,
    entries: &FileEntries,
    services: &BTreeMap<String, Arc<CompiledService>>,
) {
    let all = services.values().map(|compiled| {
        (
            compiled.service.slug.clone(),
            compiled.service.depends_on.clone(),
        )
    });
    let dependencies = Dependencies::new(all);
    let place = |slug: &str| {
        let is_it = |spec: &ServiceSpec| {
            spec.slug
                .clone()
                .unwrap_or_else(|| crate::domain::slug(&spec.name))
                == slug
        };
        let index = entries
            .services
            .iter()
            .find(|(_, spec)| is_it(spec))
            .map(|(index, _)| *index);
        child(&child("/services", index.unwrap_or_default()), "dependsOn")
    };
    for circle in dependencies.circles() {
        let Some(first) = circle.first() else {
            continue;
        };
        let way = list(circle.iter().chain([first]).copied());
        let message = format!("depends on itself: {way}; leave one of them out");
        compiler.report.fault(place(first), message);
    }
    for (slug, compiled) in services {
        for (index, on) in compiled.service.depends_on.iter().enumerate() {
            if !services.contains_key(on) {
                let meant = suggest(on, services.keys().map(String::as_str));
                let hint = if meant.contains("did you mean") {
                    meant.as_str()
                } else {
                    ""
                };
                let message = format!("services.yaml has no service with the slug `{on}`{hint}");
                compiler.report.warn(child(&place(slug), index), message);
            }
        }
    }
}

async fn shared_rules(
    compiler: &mut Compiler<'_>,
    entries: &FileEntries,
    services: &BTreeMap<String, Arc<CompiledService>>,
) -> (Vec<SharedRule>, BuiltInAlert, BuiltInAlert) {
    let mut rules: Vec<SharedRule> = Vec::new();
    let mut names: HashSet<&str> = HashSet::new();
    let mut plugin_alert = BuiltInAlert::new(&PLUGIN_FAILING);
    let mut offline_alert = BuiltInAlert::new(&MONITOR_OFFLINE);
    for (index, spec) in entries.alerts.iter().take(MAX_SHARED_ALERTS) {
        let at = child("/alerts", index);
        for (position, slug) in spec.services.iter().flatten().enumerate() {
            if !services.contains_key(slug) {
                let meant = suggest(slug, services.keys().map(String::as_str));
                let hint = if meant.contains("did you mean") {
                    meant.as_str()
                } else {
                    ""
                };
                let message = format!("services.yaml has no service with the slug `{slug}`{hint}");
                compiler
                    .report
                    .warn(child(&child(&at, "services"), position), message);
            }
        }
        if !names.insert(&spec.name) {
            let message = format!(
                "another alert is named `{}`; give this one another name",
                spec.name
            );
            compiler.report.fault(child(&at, "name"), message);
        }
        let built_in = [
            (&PLUGIN_FAILING, &mut plugin_alert),
            (&MONITOR_OFFLINE, &mut offline_alert),
        ];
        if let Some((kind, alert)) = built_in
            .into_iter()
            .find(|(kind, _)| kind.name == spec.name)
        {
            *alert = BuiltInAlert::compile(kind, compiler, spec, &at)
                .await
                .unwrap_or_default();
            continue;
        }
        let Some(rule) = compiler.shared_rule(spec, &at).await else {
            continue;
        };
        if spec.disabled {
            continue;
        }
        if let Some(filter) = &rule.filter {
            let failing = services.values().find_map(|compiled| {
                Some((
                    compiled.service.name.as_str(),
                    filter.selects_now(&compiled.service).err()?,
                ))
            });
            if let Some((name, error)) = failing {
                let message = format!("can't be told of `{name}`, which is not selected: {error}");
                compiler.report.warn(child(&at, "where"), message);
            }
        }
        let selected = services
            .values()
            .map(|compiled| &compiled.service)
            .filter(|service| rule.selects_now(service));
        let rarest = selected
            .filter_map(|service| {
                Some((
                    service.probes.iter().map(|probe| probe.interval).min()?,
                    &service.name,
                ))
            })
            .max();
        if let Some((interval, name)) = rarest {
            compiler.look_back_check(&rule.draft, interval, name, &at);
        }
        rules.push(rule);
    }
    if !entries.has_offline_targets {
        offline_alert = BuiltInAlert::default();
    }
    (rules, plugin_alert, offline_alert)
}
