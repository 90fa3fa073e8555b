//! Puts the catalog together from files and API. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compile::{CompiledService, RuleDraft};
use super::files::CheckedFiles;
use super::plugin_alert::plugins_in_use;
use crate::domain::{AlertRule, Catalog, Channel, ChannelId, Dependencies, Origin, Service, plugin_subject};

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
        watchdog: files.watchdog.as_ref().map(|(watchdog, _)| watchdog.clone()),
        ..Catalog::default()
    };
    let from_files = files.services.values().map(Arc::as_ref);
    let from_api = api.filter(|compiled| !files.services.contains_key(&compiled.service.slug));
    for channel in files.channels() {
        channel_add(&mut catalog.channels, channel);
    }
    for compiled in from_files.chain(from_api) {
        let slug = &compiled.service.slug;
        for channel in &compiled.channels {
            channel_add(&mut catalog.channels, channel);
        }
        catalog.rules.insert(slug.clone(), rules(compiled, files));
        catalog.services.insert(slug.clone(), compiled.service.clone());
    }
    catalog.route.clone_from(&files.routing.route);
    catalog.mute_times = Arc::clone(&files.routing.mute_times);
    catalog.inhibitions = Arc::clone(&files.routing.inhibitions);
    catalog.maintenance.clone_from(&files.routing.maintenance);
    let stopped = stopped.filter(|service| !catalog.services.contains_key(&service.slug));
    catalog.stopped = stopped.map(|service| (service.slug.clone(), Arc::new(service))).collect();
    let all = catalog.services.values().chain(catalog.stopped.values());
    let on = all.map(|service| (service.slug.clone(), service.depends_on.clone()));
    catalog.dependencies = Arc::new(Dependencies::new(on));
    if let Some(draft) = &files.plugin_alert.draft {
        // Without defaults, all channels: a check that can't run is no service's outage, and everybody's. A message to the
        // watchdog's channel would count as a sign of life.
        let watchdog = catalog.watchdog.as_ref().map(|watchdog| &watchdog.channel);
        let everybody: BTreeSet<ChannelId> =
            catalog.channels.keys().filter(|id| Some(*id) != watchdog).cloned().collect();
        for plugin in plugins_in_use(&catalog) {
            let subject = plugin_subject(&plugin);
            let mut rule = rule(draft, &subject, files);
            if draft.channels.is_none() && rule.channels.is_empty() && !rule.is_routed {
                rule.channels = everybody.iter().cloned().collect();
            }
            catalog.rules.insert(subject, vec![Arc::new(rule)]);
        }
    }
    catalog
}

/// The same channel may be named by a file and by the API; then the file's word on private addresses counts.
fn channel_add(channels: &mut BTreeMap<ChannelId, Arc<Channel>>, channel: &Arc<Channel>) {
    let known = channels.entry(channel.id.clone()).or_insert_with(|| channel.clone());
    if known.origin == Origin::Api && channel.origin == Origin::File {
        *known = channel.clone();
    }
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
