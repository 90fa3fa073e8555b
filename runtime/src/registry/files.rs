//! Checks the configuration files as a whole: names are unique, selectors select, plugins accept.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::built_in::{BuiltInAlert, BuiltInAlerts};
use super::compile::{
    ChannelPlace, CompiledBudget, CompiledService, Compiler, Defaults, Escalations,
    MessageTemplates, Routing, RoutingEntries, SharedRule, Templates, report_compile, status_pages,
};
use super::plugins::PluginDirectory;
use crate::domain::fault::{FaultReport, child, list, suggest};
use crate::domain::{Channel, Dependencies, Origin, ReportDefinition, StatusPage, Watchdog};
use crate::spec::{
    AlertSpec, AlertTemplateSpec, CostBudgetSpec, EscalationSpec, MessageTemplateSpec,
    NotificationSpec, PublicPageSpec, ReportSpec, ServiceSpec, WatchdogSpec,
};

/// More than one machine watches, and few enough that a mistaken file does not eat the memory.
const MAX_SERVICES: usize = 50_000;
const MAX_SHARED_ALERTS: usize = 1_000;
const MAX_REPORTS: usize = 200;

/// Entries as they were read, each with its index in its list. Pointers of faults begin with
/// `/services`, `/alerts` or `/notifications`.
#[derive(Debug, Clone, Default)]
pub struct FileEntries {
    pub services: Vec<(usize, ServiceSpec)>,
    pub alerts: Vec<(usize, AlertSpec)>,
    pub budgets: Vec<(usize, CostBudgetSpec)>,
    /// Channels of alerts that name none.
    pub notifications: Vec<(usize, NotificationSpec)>,
    pub message_templates: BTreeMap<String, MessageTemplateSpec>,
    pub routing: RoutingEntries,
    /// Escalations by name.
    pub escalations: Vec<(String, EscalationSpec)>,
    pub alert_templates: Vec<(String, AlertTemplateSpec)>,
    pub watchdog: Option<WatchdogSpec>,
    pub status_pages: Vec<(usize, PublicPageSpec)>,
    pub reports: Vec<(usize, ReportSpec)>,
    /// True if targets are configured by which the monitor notices that it is offline.
    pub has_offline_targets: bool,
    /// True if days of the results are archived.
    pub has_archive: bool,
}

/// Compiled files, for the registry.
#[derive(Default)]
pub struct CheckedFiles {
    pub(super) defaults: Defaults,
    pub(super) services: BTreeMap<String, Arc<CompiledService>>,
    pub(super) rules: Vec<SharedRule>,
    pub(super) budgets: Vec<CompiledBudget>,
    pub(super) built_in: BuiltInAlerts,
    /// Alert about the monitor; without a draft where no offline targets are configured.
    pub(super) default_channels: Vec<Arc<Channel>>,
    pub(super) message_templates: Arc<MessageTemplates>,
    pub(super) routing: Routing,
    pub(super) escalations: Escalations,
    pub(super) templates: Arc<Templates>,
    pub(super) watchdog: Option<(Watchdog, Arc<Channel>)>,
    pub(super) status_pages: Arc<Vec<Arc<StatusPage>>>,
    pub(super) reports: BTreeMap<String, Arc<ReportDefinition>>,
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

    /// Returns the channels of all rules and services.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        let own = self.services.values().flat_map(|service| &service.channels);
        let of_budgets = self.budgets.iter().flat_map(|budget| &budget.rules);
        let shared = self.rules.iter().chain(of_budgets);
        let shared = shared.flat_map(|rule| &rule.channels);
        let named = self.routing.channels.values();
        let escalated = self
            .escalations
            .channels
            .iter()
            .chain(self.watchdog.as_ref().map(|(_, channel)| channel));
        let routed = self.default_channels.iter().chain(named).chain(escalated);
        own.chain(shared)
            .chain(self.built_in.channels())
            .chain(routed)
    }
}

/// The answer is only good while the report has no faults.
pub async fn check_files(
    entries: &FileEntries,
    defaults: Defaults,
    plugins: &dyn PluginDirectory,
    report: FaultReport,
) -> (CheckedFiles, FaultReport) {
    let mut compiler = Compiler::new(defaults, plugins, Origin::File);
    compiler.report = report;
    compiler.has_default_channels =
        !entries.notifications.is_empty() || entries.routing.route.is_some();
    for (at, count, limit) in [
        ("/services", entries.services.len(), MAX_SERVICES),
        ("/alerts", entries.alerts.len(), MAX_SHARED_ALERTS),
    ] {
        if count > limit {
            let message = format!("must have at most {limit} entries");
            compiler.report.fault(at, message);
        }
    }
    let (default_channels, routing) = channels(&mut compiler, entries).await;
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
    let (rules, built_in) = shared_rules(&mut compiler, entries, &services).await;
    let budgets = compiler.budgets(&entries.budgets).await;
    budget_services_check(&mut compiler, entries, &services);
    let status_pages = Arc::new(status_pages(&entries.status_pages, &mut compiler.report));
    status_services_check(&mut compiler, entries, &services);
    let message_templates = compiler.message_templates.clone();
    let mut files = CheckedFiles {
        defaults,
        services,
        rules,
        budgets,
        built_in,
        default_channels,
        routing,
        escalations,
        templates,
        message_templates,
        watchdog,
        status_pages,
        reports: BTreeMap::new(),
    };
    fallbacks_check(&mut compiler, &files);
    let known = files.channels().cloned().collect::<Vec<_>>();
    files.reports = reports(&mut compiler.report, entries, &known);
    (files, compiler.report)
}

/// Compiles the channels that are known by name, and the routing tree over them.
async fn channels(
    compiler: &mut Compiler<'_>,
    entries: &FileEntries,
) -> (Vec<Arc<Channel>>, Routing) {
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
    (default_channels, routing)
}

/// Reports fallbacks that don't exist: a message that goes nowhere else is found out too late.
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

fn reports(
    report: &mut FaultReport,
    entries: &FileEntries,
    channels: &[Arc<Channel>],
) -> BTreeMap<String, Arc<ReportDefinition>> {
    if entries.reports.len() > MAX_REPORTS {
        let message = format!("must have at most {MAX_REPORTS} entries");
        report.fault("/reports", message);
    }
    let mut reports = BTreeMap::new();
    for (index, spec) in entries.reports.iter().take(MAX_REPORTS) {
        let at = child("/reports", index);
        let Some(definition) = report_compile(spec, channels.iter(), &at, report) else {
            continue;
        };
        let name = definition.name.clone();
        if reports.insert(name, Arc::new(definition)).is_some() {
            let message = format!(
                "another report is named `{}`; give this one another name",
                spec.name
            );
            report.fault(child(&at, "name"), message);
        }
    }
    reports
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

/// Reports circles, which would leave no alert to notify about, and services that do not exist.
/// What files own depends on what files own: a service of the API may go at any time.
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
            if let Some(message) = unknown_service(on, services) {
                compiler.report.fault(child(&place(slug), index), message);
            }
        }
    }
}

async fn shared_rules(
    compiler: &mut Compiler<'_>,
    entries: &FileEntries,
    services: &BTreeMap<String, Arc<CompiledService>>,
) -> (Vec<SharedRule>, BuiltInAlerts) {
    let mut rules: Vec<SharedRule> = Vec::new();
    let mut names: HashSet<&str> = HashSet::new();
    let mut built_in = BuiltInAlerts::new();
    for (index, spec) in entries.alerts.iter().take(MAX_SHARED_ALERTS) {
        let at = child("/alerts", index);
        for (position, slug) in spec.services.iter().flatten().enumerate() {
            if let Some(message) = unknown_service(slug, services) {
                let at = child(&child(&at, "services"), position);
                compiler.report.warn(at, message);
            }
        }
        if !names.insert(&spec.name) {
            let message = format!(
                "another alert is named `{}`; give this one another name",
                spec.name
            );
            compiler.report.fault(child(&at, "name"), message);
        }
        if let Some((kind, alert)) = built_in.named(&spec.name) {
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
        selection_check(compiler, &rule, services, &at);
        rules.push(rule);
    }
    if !entries.has_offline_targets {
        built_in.offline = BuiltInAlert::default();
    }
    if !entries.has_archive {
        built_in.archive = BuiltInAlert::default();
    }
    (rules, built_in)
}

/// Warns of services that budgets name and that are not there.
fn budget_services_check(
    compiler: &mut Compiler<'_>,
    entries: &FileEntries,
    services: &BTreeMap<String, Arc<CompiledService>>,
) {
    for (index, spec) in &entries.budgets {
        for (position, slug) in spec.services.iter().flatten().enumerate() {
            if let Some(message) = unknown_service(slug, services) {
                let at = child(&child("/budgets", index), "services");
                compiler.report.warn(child(&at, position), message);
            }
        }
    }
}

/// Warns of services that status pages name and do not show.
fn status_services_check(
    compiler: &mut Compiler<'_>,
    entries: &FileEntries,
    services: &BTreeMap<String, Arc<CompiledService>>,
) {
    for (index, page) in &entries.status_pages {
        let groups = child(&child("/statusPages", index), "groups");
        for (number, group) in page.groups.iter().enumerate() {
            let at = child(&child(&groups, number), "services");
            for (position, slug) in group.services.iter().enumerate() {
                let message = match services.get(slug) {
                    Some(compiled) if compiled.service.profile.public => continue,
                    Some(_) => format!("`{slug}` is not shown; mark the service `public: true`"),
                    None => unknown_service(slug, services).unwrap_or_default(),
                };
                compiler.report.warn(child(&at, position), message);
            }
        }
    }
}

/// Warns of services that the rule can't be selected for, or whose runs are too rare for it.
fn selection_check(
    compiler: &mut Compiler<'_>,
    rule: &SharedRule,
    services: &BTreeMap<String, Arc<CompiledService>>,
    at: &str,
) {
    let all = || services.values().map(|compiled| &compiled.service);
    if let Some(filter) = &rule.filter {
        let failing = all().find_map(|service| {
            let error = filter.selects_now(service).err()?;
            Some((service.name.as_str(), error))
        });
        if let Some((name, error)) = failing {
            let message =
                format!("can't be evaluated for `{name}`, which is not selected: {error}");
            compiler.report.warn(child(at, "where"), message);
        }
    }
    let rarest = all()
        .filter(|service| rule.selects_now(service))
        .filter_map(|service| {
            let shortest = service.probes.iter().map(|probe| probe.interval).min()?;
            Some((shortest, &service.name))
        })
        .max();
    if let Some((interval, name)) = rarest {
        compiler.look_back_check(&rule.draft, interval, name, at);
    }
}

/// Returns what is wrong with a slug that names no service.
fn unknown_service(
    slug: &str,
    services: &BTreeMap<String, Arc<CompiledService>>,
) -> Option<String> {
    if services.contains_key(slug) {
        return None;
    }
    let nearest = suggest(slug, services.keys().map(String::as_str));
    let hint = if nearest.contains("did you mean") {
        nearest.as_str()
    } else {
        ""
    };
    Some(format!(
        "services.yaml has no service with the slug `{slug}`{hint}"
    ))
}
