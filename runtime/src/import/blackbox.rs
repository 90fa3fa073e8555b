//! Modules of the blackbox exporter, and the targets that Prometheus asks it about, as services.

mod modules;
mod targets;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::draft::Draft;
use super::item::Item;
use super::secrets::variable_name;
use modules::Module;
use targets::Target;

/// `targets` is the root of Prometheus' configuration.
pub(super) fn import(root: &Item<'_>, targets: Option<&Item<'_>>, draft: &mut Draft) {
    let mut modules: BTreeMap<String, Option<Module<'_>>> = BTreeMap::new();
    let members = root.get("modules").map(|modules| modules.members());
    for (name, item) in members.into_iter().flatten() {
        let module = modules::module(name, &item, draft);
        modules.insert(name.to_owned(), module);
    }
    draft.unknown_keys(root, &["modules"]);
    if modules.is_empty() {
        draft.note(root, "has no `modules`");
    }
    match targets {
        Some(prometheus) => with_targets(&modules, prometheus, draft),
        None => without_targets(&modules, draft),
    }
}

fn with_targets(
    modules: &BTreeMap<String, Option<Module<'_>>>,
    prometheus: &Item<'_>,
    draft: &mut Draft,
) {
    let mut used = BTreeSet::new();
    for target in targets::targets(prometheus, draft) {
        draft.found();
        used.insert(target.module.clone());
        match modules.get(&target.module) {
            Some(Some(module)) => service(module, &target, draft),
            Some(None) => draft.left_out(
                &target.item,
                &format!("its module `{}` is not carried over", target.module),
            ),
            None => draft.left_out(
                &target.item,
                &format!("the other file has no module `{}`", target.module),
            ),
        }
    }
    for (name, module) in modules {
        if let Some(module) = module.as_ref().filter(|_| !used.contains(name)) {
            draft.left_out(&module.item, "no target is asked by it");
        }
    }
}

/// A variable stands in for the target of each module.
fn without_targets(modules: &BTreeMap<String, Option<Module<'_>>>, draft: &mut Draft) {
    for (name, module) in modules {
        draft.found();
        let Some(module) = module else {
            continue;
        };
        let variable = variable_name(&format!("{name} target"));
        draft.note(
            &module.item,
            format!(
                "has no target: set `{variable}` to one, or name Prometheus' file by `--prometheus`"
            ),
        );
        let mut monitor = module.monitor();
        monitor.name = name.clone();
        let target = format!("${{{variable}}}");
        if module.asks_server() {
            monitor.set("server", target);
        } else {
            monitor.base_url = target;
        }
        draft.service(&module.item, monitor);
    }
}

fn service(module: &Module<'_>, target: &Target<'_>, draft: &mut Draft) {
    let mut monitor = module.monitor();
    monitor.name = target.name.clone();
    monitor.group = Some(target.module.clone());
    monitor.interval = target.interval;
    monitor.timeout = monitor.timeout.or(target.timeout);
    if let (Some(own), Some(limit)) = (monitor.timeout, target.timeout) {
        monitor.timeout = Some(own.min(limit));
    }
    monitor.tags = vec![target.job.clone()];
    for (name, value) in &target.labels {
        monitor.labels.insert(name.clone(), json!(value));
    }
    let reason = module.set_target(&target.address, &target.item, &mut monitor, draft);
    match reason {
        Ok(()) => drop(draft.service(&target.item, monitor)),
        Err(reason) => draft.left_out(&target.item, &reason),
    }
}

#[cfg(test)]
mod tests;
