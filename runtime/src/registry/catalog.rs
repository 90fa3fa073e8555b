//! Puts the catalog together from files and API. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use super::compile::{CompiledService, RuleDraft, settings_key};
use super::files::CheckedFiles;
use super::plugin_alert::plugins_in_use;
use crate::domain::{AlertRule, Catalog, Channel, ChannelId, Dependencies, Origin, plugin_subject};

/// Where a slug is in both, the file's service counts.
pub(super) fn build<'a>(
    version: u64,
    files: &'a CheckedFiles,
    api: impl Iterator<Item = &'a CompiledService>,
) -> Catalog {
    let mut catalog = Catalog {
        version,
        escalations: files.escalations.policies.clone(),
        watchdog: files.watchdog.as_ref().map(|(watchdog, _)| watchdog.clone()),
        ..Catalog::default()
    };
    let from_files = files.services.values().map(Arc::as_ref);
    let from_api = api.filter(|compiled| !files.services.contains_key(&compiled.service.slug));
    for channel in files.channels() {
        catalog.channels.entry(channel.id.clone()).or_insert_with(|| channel.clone());
    }
    // Private addresses in settings that a file has as well are meant.
    let mut meant: Option<HashSet<String>> = None;
    for compiled in from_files.chain(from_api) {
        let slug = &compiled.service.slug;
        for channel in compiled.channels.iter().filter(|channel| channel.origin == Origin::Api) {
            let meant = meant.get_or_insert_with(|| files.channels().map(|known| settings_key(known)).collect());
            let is_meant = meant.contains(&settings_key(channel));
            let origin = if is_meant { Origin::File } else { Origin::Api };
            let channel = Arc::new(Channel { origin, ..Channel::clone(channel) });
            catalog.channels.entry(channel.id.clone()).or_insert(channel);
        }
        catalog.rules.insert(slug.clone(), rules(compiled, files));
        catalog.services.insert(slug.clone(), compiled.service.clone());
    }
    catalog.route.clone_from(&files.routing.route);
    catalog.mute_times = Arc::clone(&files.routing.mute_times);
    catalog.inhibitions = Arc::clone(&files.routing.inhibitions);
    catalog.maintenance.clone_from(&files.routing.maintenance);
    let on = catalog.services.values().map(|service| (service.slug.clone(), service.depends_on.clone()));
    catalog.dependencies = Arc::new(Dependencies::new(on));
    if let Some(draft) = &files.plugin_alert.draft {
        // Without defaults, whoever is told of anything: a check that can't run is no one's outage, and everybody's.
        let everybody = everybody(&catalog);
        for plugin in plugins_in_use(&catalog) {
            let subject = plugin_subject(&plugin);
            let mut rule = rule(draft, &subject, files);
            if draft.channels.is_none() && rule.channels.is_empty() && !rule.is_routed {
                rule.channels.clone_from(&everybody);
            }
            catalog.rules.insert(subject, vec![Arc::new(rule)]);
        }
    }
    catalog
}

/// One channel for each place that messages can go to: written out at several places, it is several channels.
fn everybody(catalog: &Catalog) -> Vec<ChannelId> {
    let mut seen = HashSet::new();
    let firsts = catalog.channels.values().filter(|channel| seen.insert(settings_key(channel)));
    firsts.map(|channel| channel.id.clone()).collect()
}

/// Its own, then the shared ones that select it and whose name it does not use itself.
fn rules(compiled: &CompiledService, files: &CheckedFiles) -> Vec<Arc<AlertRule>> {
    let shared = files.rules.iter().filter(|rule| {
        rule.selects(&compiled.service) && !compiled.rules.iter().any(|own| own.name == rule.draft.name)
    });
    let drafts = compiled.rules.iter().chain(shared.map(|rule| &rule.draft));
    drafts.map(|draft| Arc::new(rule(draft, &compiled.service.slug, files))).collect()
}

pub(super) fn rule(draft: &RuleDraft, slug: &str, files: &CheckedFiles) -> AlertRule {
    let defaults = || files.default_channels.iter().map(|channel| channel.id.clone()).collect();
    AlertRule {
        key: format!("{slug}/{}", draft.name),
        name: draft.name.clone(),
        service: slug.to_owned(),
        plugin: draft.plugin.clone(),
        settings: draft.settings.clone(),
        probes: draft.probes.clone(),
        duration: draft.duration,
        life: draft.life,
        severity: draft.severity,
        channels: draft.channels.clone().unwrap_or_else(defaults),
        is_routed: draft.channels.is_none() && files.routing.route.is_some(),
        escalation: draft.escalation.clone(),
    }
}
