//! Incidents: times in which a service was not available. [`IncidentTracker`] sees every run and
//! decides; [`IncidentWriter`] writes what was decided to the control store, whose transaction is
//! the truth, [`VendorIncidents`] adds what vendors report, `claims` what their pages say, and [`IncidentCopy`] carries all of it
//! to the results. Probing and paging wait for none of them.

mod claims;
mod copy;
mod outage;
#[cfg(test)]
mod tests;
mod vendor;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::{
    Catalog, Incident, IncidentFacts, IncidentSource, Observation, Service, UnixMillis, VendorClaim,
};
use claims::Claims;
pub(super) use claims::PageRun;
pub use copy::IncidentCopy;
use outage::{Outages, ProbeTraits, Run};
pub use vendor::VendorIncidents;
pub use writer::IncidentWriter;

/// Incidents that wait for the control store. It answers again after some minutes or never; in that
/// time no more services than these fail.
const MAX_UNSAVED: usize = 10_000;

/// Sees runs and decides when a service is no longer available, and when it is again.
#[derive(Debug, Default)]
pub struct IncidentTracker {
    state: Mutex<State>,
    /// Wakes the writer.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    services: HashMap<String, Outages>,
    claims: Claims,
    /// Incidents by service and reference; a later state takes the place of an earlier one.
    unsaved: BTreeMap<(String, String), IncidentFacts>,
    is_full: bool,
}

impl State {
    fn save(&mut self, facts: IncidentFacts) {
        let key = (facts.service.clone(), facts.reference.clone());
        if self.unsaved.len() < MAX_UNSAVED || self.unsaved.contains_key(&key) {
            self.is_full = false;
            self.unsaved.insert(key, facts);
            return;
        }
        metrics::counter!("extrack_incidents_lost_total").increment(1);
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::error!(
                waiting = MAX_UNSAVED,
                "too many incidents wait for the control store; further ones are not kept"
            );
        }
    }
}

impl IncidentTracker {
    /// Takes over what was decided before the start, in the order in which it was. To be called before
    /// the first run.
    pub fn adopt(&self, incidents: Vec<Incident>) {
        let mut state = self.lock();
        for incident in incidents {
            if incident.facts.source == IncidentSource::Vendor {
                state.claims.adopt(incident.facts);
                continue;
            }
            let service = incident.facts.service.clone();
            let outages = state.services.entry(service).or_default();
            outages.adopt(incident.facts);
        }
    }

    /// Takes in a run that was recorded before the start and may not have been decided on. Runs come
    /// in the order of their moments.
    pub(super) fn replay(&self, observation: &Observation) {
        let Some(run) = Run::of(observation) else {
            return;
        };
        self.take_in(&observation.service, |outages| {
            let is_decided = outages
                .decided_ms()
                .is_some_and(|decided_ms| observation.ts_ms <= decided_ms);
            match (is_decided, outages.open_since_ms()) {
                (false, _) => outages.note(&run),
                // Which probes failed is not kept with the incident.
                (true, Some(since_ms)) if observation.ts_ms >= since_ms => {
                    outages.recall(&run);
                    None
                }
                (true, _) => None,
            }
        });
    }

    /// Takes in a run.
    pub(super) fn note(&self, observation: &Observation) {
        if let Some(run) = Run::of(observation) {
            self.take_in(&observation.service, |outages| outages.note(&run));
        }
    }

    /// Takes in all incidents that a vendor's page has open.
    /// None: the run found all well, and read no page.
    pub(super) fn note_claims(&self, run: PageRun<'_>, claims: Option<&[VendorClaim]>) {
        let mut state = self.lock();
        let changed = match claims {
            Some(claims) => state.claims.note(run, claims),
            None => state.claims.note_no_page(run),
        };
        if changed.is_empty() {
            return;
        }
        changed.into_iter().for_each(|facts| state.save(facts));
        drop(state);
        self.changed.notify_one();
    }

    fn take_in(&self, service: &str, decide: impl FnOnce(&mut Outages) -> Option<IncidentFacts>) {
        let mut state = self.lock();
        let Some(outages) = state.services.get_mut(service) else {
            return;
        };
        if let Some(facts) = decide(outages) {
            state.save(facts);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Follows the services and their probes. The incident of what is gone ends.
    pub(super) fn apply_catalog(&self, catalog: &Catalog, now_ms: UnixMillis) {
        let mut state = self.lock();
        let mut ended = Vec::new();
        for (slug, service) in &catalog.services {
            let outages = state.services.entry(slug.clone()).or_default();
            ended.extend(outages.apply(traits(service), now_ms));
        }
        state.services.retain(|slug, outages| {
            let is_known = catalog.described(slug).is_some();
            if !is_known {
                ended.extend(outages.remove(now_ms));
            }
            is_known
        });
        // The probes of a service that can't run are not known.
        let is_read =
            |slug: &str, probe: &str, plugin: Option<&str>| match catalog.services.get(slug) {
                Some(service) => service.probes.iter().any(|known| {
                    known.name == probe && plugin.is_none_or(|plugin| known.plugin == plugin)
                }),
                None => catalog.described(slug).is_some(),
            };
        ended.extend(state.claims.retain(is_read, now_ms));
        let has_changed = !ended.is_empty();
        ended.into_iter().for_each(|facts| state.save(facts));
        drop(state);
        if has_changed {
            self.changed.notify_one();
        }
    }

    /// Returns up to so many that are to be written.
    fn take_unsaved(&self, most: usize) -> Vec<IncidentFacts> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((_, facts)) = state.unsaved.pop_first()
        {
            taken.push(facts);
        }
        taken
    }

    /// Takes back what could not be written, unless there is a later state of it.
    fn give_back(&self, incidents: Vec<IncidentFacts>) {
        let mut state = self.lock();
        for facts in incidents {
            let key = (facts.service.clone(), facts.reference.clone());
            state.unsaved.entry(key).or_insert(facts);
        }
    }

    async fn woken(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn traits(service: &Service) -> BTreeMap<String, ProbeTraits> {
    let probes = service.probes.iter().map(|probe| {
        let traits = ProbeTraits {
            retries: probe.retry.map_or(0, |retry| retry.times),
            interval: probe.interval,
        };
        (probe.name.clone(), traits)
    });
    probes.collect()
}
