//! The operator's word on every plugin: from the file, else over the API, else the defaults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::domain::{Budget, PluginPolicy};
use crate::net::HostRule;

/// Origin of a policy. A policy of the file can't be changed over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyOrigin {
    File,
    Api,
    /// No policy was set.
    Default,
}

/// The policy of one plugin, ready to hold its runs to.
#[derive(Debug)]
pub(in crate::plugin_host) struct Policy {
    pub(in crate::plugin_host) origin: PolicyOrigin,
    pub(in crate::plugin_host) written: PluginPolicy,
    pub(in crate::plugin_host) hosts: Vec<HostRule>,
    pub(in crate::plugin_host) budget: Budget,
    /// One for each run that may go on at the same time.
    pub(in crate::plugin_host) turns: Arc<Semaphore>,
}

impl Policy {
    pub(in crate::plugin_host) fn new(origin: PolicyOrigin, written: PluginPolicy) -> Self {
        let budget = Budget::of(&written.budget);
        // They were checked where they were read.
        let hosts = written
            .grants
            .hosts
            .iter()
            .filter_map(|host| HostRule::pattern(host).ok())
            .collect();
        let turns = Arc::new(Semaphore::new(budget.concurrency as usize));
        Self {
            origin,
            written,
            hosts,
            budget,
            turns,
        }
    }
}

#[derive(Debug, Default)]
struct Words {
    file: BTreeMap<String, PluginPolicy>,
    api: BTreeMap<String, PluginPolicy>,
}

impl Words {
    fn on(&self, name: &str) -> (PolicyOrigin, PluginPolicy) {
        match (self.file.get(name), self.api.get(name)) {
            (Some(policy), _) => (PolicyOrigin::File, policy.clone()),
            (None, Some(policy)) => (PolicyOrigin::Api, policy.clone()),
            (None, None) => (PolicyOrigin::Default, PluginPolicy::default()),
        }
    }
}

#[derive(Debug, Default)]
pub(in crate::plugin_host) struct Policies {
    words: Mutex<Words>,
    /// Policies by plugin; a plugin without one is added by its first run.
    in_force: ArcSwap<BTreeMap<String, Arc<Policy>>>,
}

impl Policies {
    pub(in crate::plugin_host) fn of(&self, name: &str) -> Arc<Policy> {
        if let Some(policy) = self.in_force.load().get(name) {
            return policy.clone();
        }
        // Under the lock, so that no other first run makes turns of its own.
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = self.in_force.load().get(name) {
            return policy.clone();
        }
        let (origin, written) = words.on(name);
        let policy = Arc::new(Policy::new(origin, written));
        let mut policies = BTreeMap::clone(&self.in_force.load());
        policies.insert(name.to_owned(), policy.clone());
        self.in_force.store(Arc::new(policies));
        policy
    }

    /// Returns what the file said before.
    pub(in crate::plugin_host) fn set_file(
        &self,
        file: BTreeMap<String, PluginPolicy>,
    ) -> BTreeMap<String, PluginPolicy> {
        let mut before = BTreeMap::new();
        self.change(|words| before = std::mem::replace(&mut words.file, file));
        before
    }

    pub(in crate::plugin_host) fn set_api(&self, name: &str, policy: Option<PluginPolicy>) {
        self.change(|words| match policy {
            Some(policy) => {
                words.api.insert(name.to_owned(), policy);
            }
            None => {
                words.api.remove(name);
            }
        });
    }

    /// Replaces policies. A plugin keeps its permits when its policy, or at least its number of
    /// permits, stays the same.
    fn change(&self, change: impl FnOnce(&mut Words)) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut words);
        let before = self.in_force.load();
        let mut policies = BTreeMap::new();
        for name in before
            .keys()
            .chain(words.file.keys())
            .chain(words.api.keys())
        {
            let (origin, written) = words.on(name);
            let mut policy = Policy::new(origin, written);
            if let Some(old) = before.get(name)
                && old.budget.concurrency == policy.budget.concurrency
            {
                policy.turns = old.turns.clone();
            }
            policies.insert(name.clone(), Arc::new(policy));
        }
        self.in_force.store(Arc::new(policies));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BudgetChanges;

    fn with_turns(concurrency: u32) -> PluginPolicy {
        let budget = BudgetChanges {
            concurrency: Some(concurrency),
            ..BudgetChanges::default()
        };
        PluginPolicy {
            budget,
            ..PluginPolicy::default()
        }
    }

    #[test]
    fn the_file_goes_before_the_api_and_both_before_the_defaults() {
        let policies = Policies::default();
        let origin = || policies.of("p").origin;
        assert_eq!(origin(), PolicyOrigin::Default);
        policies.set_api("p", Some(with_turns(1)));
        assert_eq!(origin(), PolicyOrigin::Api);
        policies.set_file([("p".to_owned(), with_turns(2))].into());
        assert_eq!(
            (origin(), policies.of("p").budget.concurrency),
            (PolicyOrigin::File, 2)
        );
        policies.set_file(BTreeMap::new());
        assert_eq!(
            (origin(), policies.of("p").budget.concurrency),
            (PolicyOrigin::Api, 1)
        );
        policies.set_api("p", None);
        assert_eq!(origin(), PolicyOrigin::Default);
    }

    #[test]
    fn runs_under_way_keep_their_turns_over_a_change() {
        let policies = Policies::default();
        policies.set_api("p", Some(with_turns(2)));
        let before = policies.of("p");
        let _turn = before.turns.try_acquire().unwrap();
        policies.set_file([("other".to_owned(), with_turns(1))].into());
        assert_eq!(policies.of("p").turns.available_permits(), 1);
        policies.set_api("p", Some(with_turns(3)));
        assert_eq!(policies.of("p").turns.available_permits(), 3);
    }
}
