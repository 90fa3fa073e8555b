//! What services depend on, over files and API together. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::State;
use crate::domain::fault::{child, list, suggest};
use crate::domain::{Dependencies, Fault};

/// Key of the dependencies of a service.
const KEY: &str = "dependsOn";

/// Returns the slugs that each service depends on, by its slug; of services that can't run too.
pub(super) fn dependencies(state: &State) -> BTreeMap<String, Vec<String>> {
    let of_api = |spec: &Value| -> Vec<String> {
        let slugs = spec
            .get(KEY)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        slugs
            .filter_map(|slug| Some(slug.as_str()?.to_owned()))
            .collect()
    };
    let api = state
        .api
        .iter()
        .map(|(slug, service)| (slug.clone(), of_api(&service.stored.spec)));
    let files = state
        .files
        .services
        .iter()
        .map(|(slug, compiled)| (slug.clone(), compiled.service.depends_on.clone()));
    // Where a slug is in both, the file's service counts.
    api.chain(files).collect()
}

/// Returns what is wrong with the dependencies of some services of all, by their slugs.
pub(super) fn dependency_faults(
    all: &BTreeMap<String, Vec<String>>,
    changed: &BTreeSet<&str>,
) -> BTreeMap<String, Vec<Fault>> {
    let mut faults: BTreeMap<String, Vec<Fault>> = BTreeMap::new();
    let mut add = |slug: &str, fault| faults.entry(slug.to_owned()).or_default().push(fault);
    for slug in changed {
        for (index, on) in all.get(*slug).into_iter().flatten().enumerate() {
            if !all.contains_key(on) {
                let nearest = suggest(on, all.keys().map(String::as_str));
                let hint = Some(nearest).filter(|hint| hint.contains("did you mean"));
                let hint = hint.unwrap_or_default();
                let message = format!("there is no service with the slug `{on}`{hint}");
                add(slug, Fault::new(child(&child("", KEY), index), message));
            }
        }
    }
    let dependencies = Dependencies::new(all.clone());
    for circle in dependencies.circles() {
        let way = list(circle.iter().chain(circle.first()).copied());
        let message = format!("depends on itself: {way}; leave one of them out");
        for slug in circle.iter().filter(|slug| changed.contains(*slug)) {
            add(slug, Fault::new(child("", KEY), message.clone()));
        }
    }
    faults
}

/// Returns the other services that depend on one, in order.
pub(super) fn dependents(all: &BTreeMap<String, Vec<String>>, slug: &str) -> Vec<String> {
    let depends = |(other, on): &(&String, &Vec<String>)| {
        other.as_str() != slug && on.iter().any(|on| on == slug)
    };
    all.iter()
        .filter(depends)
        .map(|(other, _)| other.clone())
        .collect()
}
