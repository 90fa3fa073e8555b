//! Changes over the API: one or many are checked whole, stored in one transaction, and then
//! published together.

mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::dependencies::{dependencies, dependency_faults, dependents};
use super::{Registry, ServiceRecord, State};
use crate::domain::fault::list;
use crate::domain::{Fault, FieldChange, Origin};
use crate::store::ControlError;
use crate::store::control::ServiceWrite;
use step::Step;

/// Reasons for which a change of the catalog is rejected.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("there is no service `{0}`")]
    NotFound(String),
    #[error("service `{0}` comes from services.yaml; change it there")]
    OwnedByFile(String),
    #[error("there is already a service `{0}`; give this one another `slug`")]
    Exists(String),
    #[error(
        "the service was changed meanwhile: it is at revision {current}; read it again, then repeat"
    )]
    RevisionConflict { current: i64 },
    #[error("service `{0}` was deleted meanwhile; read the services again, then repeat")]
    DeletedMeanwhile(String),
    #[error("another change of the same request is about service `{0}`")]
    Repeated(String),
    #[error("the service has {} fault(s)", .0.len())]
    Invalid(Vec<Fault>),
    #[error("service `{slug}` is paused by its description; {}", resume_hint(*.origin))]
    PausedByDescription { slug: String, origin: Origin },
    #[error("{} can't work without `{slug}`; change that first", list(.by.iter().map(String::as_str)))]
    Needed { slug: String, by: Vec<String> },
    #[error(transparent)]
    Store(#[from] ControlError),
}

/// One change of the services of the API.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceChange {
    /// Adds a service.
    Create { spec: Value },
    /// Replaces a service, with a revision only if it is at that one. `***` in place of a secret
    /// keeps the old one. The slug can't change: history hangs on it.
    Replace {
        slug: String,
        spec: Value,
        revision: Option<i64>,
    },
    /// Adds a service, or replaces the one of its slug unless that is the same; with a revision only
    /// if it is at that one, which is 0 where there is none.
    Put { spec: Value, revision: Option<i64> },
    /// Removes a service, with a revision only if it is at that one.
    Delete { slug: String, revision: Option<i64> },
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    Changed,
    Unchanged,
    Deleted,
}

/// A change that was made, or would be.
#[derive(Debug)]
pub struct ServiceChanged {
    pub slug: String,
    pub kind: ChangeKind,
    /// Revision before it, 0 where there was no service.
    pub revision: i64,
    /// Fields that differ, secrets masked.
    pub fields: Vec<FieldChange>,
    /// The service after it; none where it was deleted, or nothing was stored.
    pub record: Option<ServiceRecord>,
}

/// Why a change can't be made.
#[derive(Debug)]
pub struct RefusedChange {
    /// Its place among the changes; none: the reason lies in none of them.
    pub index: Option<usize>,
    pub error: CatalogError,
}

impl Registry {
    /// Makes all changes, or none. `is_dry_run`: none, and returns what they would do.
    pub async fn change(
        &self,
        changes: Vec<ServiceChange>,
        is_dry_run: bool,
    ) -> Result<Vec<ServiceChanged>, Vec<RefusedChange>> {
        let _changing = self.inner.changing.lock().await;
        let state = self.state();
        let steps = self.steps(&state, changes).await?;
        let refused = dependency_refusals(&state, &steps);
        if !refused.is_empty() {
            return Err(refused);
        }
        let plugins = &*self.inner.plugins;
        let mut changed: Vec<ServiceChanged> =
            steps.iter().map(|step| step.outcome(plugins)).collect();
        if is_dry_run {
            return Ok(changed);
        }
        let records = self.make(&state, steps).await.map_err(|error| {
            vec![RefusedChange {
                index: None,
                error: error.into(),
            }]
        })?;
        for (changed, record) in changed.iter_mut().zip(records) {
            changed.record = record;
        }
        Ok(changed)
    }

    /// Makes one change.
    pub async fn change_one(&self, change: ServiceChange) -> Result<ServiceChanged, CatalogError> {
        match self.change(vec![change], false).await {
            Ok(mut changed) => Ok(changed.pop().expect("each change has an outcome")),
            Err(mut refused) => Err(refused.pop().expect("a refusal has a reason").error),
        }
    }

    /// Adds a service of the API.
    pub async fn create(&self, spec: Value) -> Result<ServiceRecord, CatalogError> {
        let changed = self.change_one(ServiceChange::Create { spec }).await?;
        Ok(changed.record.expect("a service that was made is shown"))
    }

    async fn steps(
        &self,
        state: &State,
        changes: Vec<ServiceChange>,
    ) -> Result<Vec<Step>, Vec<RefusedChange>> {
        let mut compiler = self.compiler(&state.files);
        let (mut steps, mut refused, mut slugs) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (index, change) in changes.into_iter().enumerate() {
            let step = self.step(&mut compiler, state, change).await;
            let error = match step {
                Ok(step) if slugs.insert(step.slug().to_owned()) => {
                    steps.push(step);
                    continue;
                }
                Ok(step) => CatalogError::Repeated(step.slug().to_owned()),
                Err(error) => error,
            };
            refused.push(RefusedChange {
                index: Some(index),
                error,
            });
        }
        if refused.is_empty() {
            Ok(steps)
        } else {
            Err(refused)
        }
    }

    /// Stores the steps and publishes what follows. Returns what is there by then, in their order.
    async fn make(
        &self,
        state: &State,
        steps: Vec<Step>,
    ) -> Result<Vec<Option<ServiceRecord>>, ControlError> {
        let writes: Vec<ServiceWrite<'_>> = steps.iter().filter_map(Step::write).collect();
        if writes.is_empty() {
            return Ok(steps.iter().map(|step| self.kept(step)).collect());
        }
        let mut stored = self.inner.store.service_write(&writes).await?.into_iter();
        let mut state = State::clone(state);
        let mut pauses = BTreeMap::clone(&state.pauses);
        let mut records = Vec::with_capacity(steps.len());
        for step in steps {
            let record = self.kept(&step);
            match step {
                Step::Keep(_) => records.push(record),
                Step::Delete { service, is_hidden } => {
                    state.api.remove(&service.stored.slug);
                    if !is_hidden {
                        pauses.remove(&service.stored.slug);
                    }
                    records.push(None);
                }
                Step::Put(draft) => {
                    let stored = stored.next().expect("what is written is returned");
                    let service = draft.stored(stored);
                    records.push(Some(ServiceRecord::of_api(&service, &*self.inner.plugins)));
                    let slug = service.stored.slug.clone();
                    state.api.insert(slug, Arc::new(service));
                }
            }
        }
        state.pauses = Arc::new(pauses);
        self.publish(state);
        Ok(records)
    }

    fn kept(&self, step: &Step) -> Option<ServiceRecord> {
        match step {
            Step::Keep(old) => Some(ServiceRecord::of_api(old, &*self.inner.plugins)),
            Step::Put(_) | Step::Delete { .. } => None,
        }
    }
}

/// Refuses services that would depend on themselves or on nothing, and the removal of one that
/// others depend on.
fn dependency_refusals(state: &State, steps: &[Step]) -> Vec<RefusedChange> {
    let mut all = dependencies(state);
    for step in steps {
        match step {
            // The service of the file goes on.
            Step::Keep(_)
            | Step::Delete {
                is_hidden: true, ..
            } => {}
            Step::Delete { service, .. } => {
                all.remove(&service.stored.slug);
            }
            Step::Put(draft) => {
                let service = &draft.compiled.service;
                all.insert(service.slug.clone(), service.depends_on.clone());
            }
        }
    }
    let puts = steps.iter().filter(|step| matches!(step, Step::Put(_)));
    let changed: BTreeSet<&str> = puts.map(Step::slug).collect();
    let mut faults = dependency_faults(&all, &changed);
    let errors = steps.iter().enumerate().filter_map(|(index, step)| {
        let slug = step.slug();
        let error = match step {
            Step::Keep(_)
            | Step::Delete {
                is_hidden: true, ..
            } => return None,
            Step::Put(_) => CatalogError::Invalid(faults.remove(slug)?),
            Step::Delete { .. } => {
                let by = dependents(&all, slug);
                if by.is_empty() {
                    return None;
                }
                let slug = slug.to_owned();
                CatalogError::Needed { slug, by }
            }
        };
        Some(RefusedChange {
            index: Some(index),
            error,
        })
    });
    errors.collect()
}

fn resume_hint(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "remove `paused` from it in services.yaml",
        Origin::Api => "replace it by one without `paused`",
    }
}

#[cfg(test)]
impl Registry {
    pub(crate) async fn replace(
        &self,
        slug: &str,
        spec: Value,
        revision: Option<i64>,
    ) -> Result<ServiceRecord, CatalogError> {
        let change = ServiceChange::Replace {
            slug: slug.to_owned(),
            spec,
            revision,
        };
        Ok(self.change_one(change).await?.record.unwrap())
    }

    pub(crate) async fn delete(
        &self,
        slug: &str,
        revision: Option<i64>,
    ) -> Result<(), CatalogError> {
        let slug = slug.to_owned();
        let change = ServiceChange::Delete { slug, revision };
        self.change_one(change).await.map(drop)
    }
}
