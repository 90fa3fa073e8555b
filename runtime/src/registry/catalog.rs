//! Puts the catalog together from files and API. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use super::built_in::{MONITOR_OFFLINE, plugins_in_use};
use super::compile::{CompiledBudget, CompiledService, RuleDraft, settings_key};
use super::files::CheckedFiles;
use crate::domain::cost::budget_subject;
use crate::domain::matcher::Operator;
use crate::domain::{
    ARCHIVE_SUBJECT, AlertRule, CREDENTIALS_SUBJECT, Catalog, Channel, ChannelId, Dependencies,
    Inhibition, MONITOR_SUBJECT, Matcher, Origin, Service, plugin_subject,
};

/// Where a slug is in both, the file's service counts. `stopped` are services that can't run.
pub(super) fn build<'a>(
    version: u64,
    files: &'a CheckedFiles,
    api: impl Iterator<Item = &'a CompiledService>,
    stopped: impl Iterator<Item = Service>,
) -> Catalog {
    let mut catalog = Catalog {
        version,
        escalations: files.escalations.policies.clone(),
        watchdog: files.watchdog.as_ref().map(|(it, _)| it.clone()),
        status_pages: Arc::clone(&files.status_pages),
        reports: files.reports.clone(),
        ..Catalog::default()
    };
    let from_files = files.services.values().map(Arc::as_ref);
    let from_api = api.filter(|compiled| !files.services.contains_key(&compiled.service.slug));
    for channel in files.channels() {
        let id = channel.id.clone();
        catalog
            .channels
            .entry(id)
            .or_insert_with(|| channel.clone());
    }
    // Private addresses in settings that a file has as well are meant.
    let mut meant: Option<HashSet<String>> = None;
    for compiled in from_files.chain(from_api) {
        add_api_channels(&mut catalog, compiled, files, &mut meant);
        let slug = &compiled.service.slug;
        catalog.rules.insert(slug.clone(), rules(compiled, files));
        if let Some(prices) = &compiled.prices {
            catalog.prices.insert(slug.clone(), Arc::clone(prices));
        }
        if let Some(heartbeat) = &compiled.heartbeat {
            let heartbeat = Arc::clone(heartbeat);
            catalog.heartbeats.insert(slug.clone(), heartbeat);
        }
        catalog
            .services
            .insert(slug.clone(), compiled.service.clone());
    }
    catalog.route.clone_from(&files.routing.route);
    catalog.mute_times = Arc::clone(&files.routing.mute_times);
    catalog.inhibitions = Arc::clone(&files.routing.inhibitions);
    catalog.maintenance.clone_from(&files.routing.maintenance);
    let stopped = stopped.filter(|service| !catalog.services.contains_key(&service.slug));
    catalog.stopped = stopped
        .map(|service| (service.slug.clone(), Arc::new(service)))
        .collect();
    let all = catalog.services.values().chain(catalog.stopped.values());
    let on = all.map(|service| (service.slug.clone(), service.depends_on.clone()));
    catalog.dependencies = Arc::new(Dependencies::new(on));
    if let Some(draft) = &files.built_in.offline.draft {
        built_in_add(&mut catalog, draft, MONITOR_SUBJECT, files);
        // Observations made while the monitor is offline are no evidence about a service.
        let inhibitions = catalog
            .inhibitions
            .iter()
            .cloned()
            .chain(offline_inhibition());
        catalog.inhibitions = Arc::new(inhibitions.collect());
    }
    if let Some(draft) = &files.built_in.archive.draft {
        built_in_add(&mut catalog, draft, ARCHIVE_SUBJECT, files);
    }
    for CompiledBudget { budget, rules } in &files.budgets {
        let subject = budget_subject(&budget.slug);
        let rules = rules
            .iter()
            .map(|shared| Arc::new(rule(&shared.draft, &subject, files)));
        let rules = rules.collect();
        catalog.rules.insert(subject, rules);
        let slug = budget.slug.clone();
        catalog.budgets.insert(slug, Arc::clone(budget));
    }
    if let Some(draft) = &files.built_in.credentials.draft
        && has_expiring_credential(&catalog)
    {
        built_in_add(&mut catalog, draft, CREDENTIALS_SUBJECT, files);
    }
    if let Some(draft) = &files.built_in.plugin.draft {
        for plugin in plugins_in_use(&catalog) {
            built_in_add(&mut catalog, draft, &plugin_subject(&plugin), files);
        }
    }
    catalog
}

/// Adds the channels of a service of the API. `meant` holds the settings of the files' channels
/// once they are needed.
fn add_api_channels(
    catalog: &mut Catalog,
    compiled: &CompiledService,
    files: &CheckedFiles,
    meant: &mut Option<HashSet<String>>,
) {
    let of_api = |channel: &&Arc<Channel>| channel.origin == Origin::Api;
    for channel in compiled.channels.iter().filter(of_api) {
        let meant = meant
            .get_or_insert_with(|| files.channels().map(|known| settings_key(known)).collect());
        let is_meant = meant.contains(&settings_key(channel));
        let origin = if is_meant { Origin::File } else { Origin::Api };
        let channel = Arc::new(Channel {
            origin,
            ..Channel::clone(channel)
        });
        catalog
            .channels
            .entry(channel.id.clone())
            .or_insert(channel);
    }
}

/// One channel for each place that messages can go to: written out at several places, it is several
/// channels. Not the watchdog's, where a message would count as a sign of life.
fn everybody(catalog: &Catalog) -> Vec<ChannelId> {
    let mut seen = HashSet::new();
    let watchdog = catalog.watchdog.as_ref().map(|watchdog| &watchdog.channel);
    let others = catalog
        .channels
        .values()
        .filter(|channel| Some(&channel.id) != watchdog);
    let firsts = others.filter(|channel| seen.insert(settings_key(channel)));
    firsts.map(|channel| channel.id.clone()).collect()
}

fn has_expiring_credential(catalog: &Catalog) -> bool {
    let services = catalog.services.values();
    let mut credentials = services.flat_map(|service| &service.credentials);
    credentials.any(|credential| credential.expiry.is_some())
}

fn built_in_add(catalog: &mut Catalog, draft: &RuleDraft, subject: &str, files: &CheckedFiles) {
    let mut rule = rule(draft, subject, files);
    // Without defaults, every channel: a check that can't run is an outage of no single service.
    if draft.channels.is_none() && rule.channels.is_empty() && !rule.is_routed {
        rule.channels = everybody(catalog);
    }
    catalog
        .rules
        .insert(subject.to_owned(), vec![Arc::new(rule)]);
}

/// Every other alert is the target. None: the name is no matcher's value, which its test rules out.
fn offline_inhibition() -> Option<Inhibition> {
    let source = Matcher::new("alertname", Operator::Equal, MONITOR_OFFLINE.name).ok()?;
    Some(Inhibition {
        source: vec![source],
        target: Vec::new(),
        equal: Vec::new(),
    })
}

/// Returns its own rules, then the shared ones that select it and whose name it does not use
/// itself.
fn rules(compiled: &CompiledService, files: &CheckedFiles) -> Vec<Arc<AlertRule>> {
    let shared = files.rules.iter().filter(|rule| {
        rule.selects_now(&compiled.service)
            && !compiled.rules.iter().any(|own| own.name == rule.draft.name)
    });
    let drafts = compiled.rules.iter().chain(shared.map(|rule| &rule.draft));
    drafts
        .map(|draft| Arc::new(rule(draft, &compiled.service.slug, files)))
        .collect()
}

pub(super) fn rule(draft: &RuleDraft, slug: &str, files: &CheckedFiles) -> AlertRule {
    let defaults = || {
        files
            .default_channels
            .iter()
            .map(|channel| channel.id.clone())
            .collect()
    };
    AlertRule {
        key: format!("{slug}/{}", draft.name),
        name: draft.name.clone(),
        service: slug.to_owned(),
        plugin: draft.plugin.clone(),
        settings: draft.settings.clone(),
        probes: draft.probes.clone(),
        duration: draft.duration,
        options: draft.options,
        severity: draft.severity,
        channels: draft.channels.clone().unwrap_or_else(defaults),
        is_routed: draft.channels.is_none() && files.routing.route.is_some(),
        escalation: draft.escalation.clone(),
    }
}
