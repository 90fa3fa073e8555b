//! One change, checked: what is stored for it, and what it does.

use std::sync::Arc;

use serde_json::Value;

use super::{CatalogError, ChangeKind, ServiceChange, ServiceChanged};
use crate::domain::{Fault, FieldChange, slug};
use crate::registry::compile::{CompiledService, Compiler};
use crate::registry::plugins::PluginDirectory;
use crate::registry::{ApiService, Registry, State, secrets, to_value};
use crate::store::control::{ServiceWrite, StoredService};

pub(super) enum Step {
    Put(Box<Draft>),
    /// Nothing to change.
    Keep(Arc<ApiService>),
    Delete {
        service: Arc<ApiService>,
        /// A service of a file has the slug, and goes on.
        is_hidden: bool,
    },
}

/// A service to be stored.
pub(super) struct Draft {
    old: Option<Arc<ApiService>>,
    spec: Value,
    pub(super) compiled: CompiledService,
    warnings: Vec<Fault>,
}

impl Draft {
    pub(super) fn stored(self, stored: StoredService) -> ApiService {
        ApiService {
            stored,
            compiled: Ok(self.compiled),
            warnings: self.warnings,
        }
    }
}

impl Step {
    pub(super) fn slug(&self) -> &str {
        match self {
            Step::Put(draft) => &draft.compiled.service.slug,
            Step::Keep(service) | Step::Delete { service, .. } => &service.stored.slug,
        }
    }

    /// Returns what is to be written.
    pub(super) fn write(&self) -> Option<ServiceWrite<'_>> {
        let slug = self.slug();
        match self {
            Step::Keep(_) => None,
            Step::Delete { is_hidden, .. } => {
                let is_hidden = *is_hidden;
                Some(ServiceWrite::Delete { slug, is_hidden })
            }
            Step::Put(draft) => {
                let spec = &draft.spec;
                Some(match &draft.old {
                    None => ServiceWrite::Insert { slug, spec },
                    Some(old) => ServiceWrite::Update {
                        slug,
                        spec,
                        expected_revision: Some(old.stored.revision),
                    },
                })
            }
        }
    }

    pub(super) fn outcome(&self, plugins: &dyn PluginDirectory) -> ServiceChanged {
        let (kind, old, after) = match self {
            Step::Put(draft) => match &draft.old {
                None => (ChangeKind::Created, None, &draft.spec),
                Some(old) => (ChangeKind::Changed, Some(old), &draft.spec),
            },
            Step::Keep(old) => (ChangeKind::Unchanged, Some(old), &old.stored.spec),
            Step::Delete { service, .. } => (ChangeKind::Deleted, Some(service), &Value::Null),
        };
        let before = old.map_or(&Value::Null, |old| &old.stored.spec);
        ServiceChanged {
            slug: self.slug().to_owned(),
            kind,
            revision: old.map_or(0, |old| old.stored.revision),
            fields: FieldChange::between(
                (before, &secrets::redact(before, plugins)),
                (after, &secrets::redact(after, plugins)),
            ),
            record: None,
        }
    }
}

impl Registry {
    /// Checks one change against the services as they are.
    pub(super) async fn step(
        &self,
        compiler: &mut Compiler<'_>,
        state: &State,
        change: ServiceChange,
    ) -> Result<Step, CatalogError> {
        match change {
            ServiceChange::Create { spec } => {
                let draft = self.draft(compiler, spec, None).await?;
                let slug = &draft.compiled.service.slug;
                if state.files.services.contains_key(slug) || state.api.contains_key(slug) {
                    return Err(CatalogError::Exists(slug.clone()));
                }
                Ok(Step::Put(Box::new(draft)))
            }
            ServiceChange::Replace {
                slug,
                spec,
                revision,
            } => {
                let old = changeable(state, &slug, revision)?;
                if state.files.services.contains_key(&slug) {
                    return Err(CatalogError::OwnedByFile(slug));
                }
                let draft = self.draft(compiler, spec, Some(old)).await?;
                Ok(Step::Put(Box::new(draft)))
            }
            ServiceChange::Put { spec, revision } => {
                let old = match slug_of(&spec) {
                    Some(slug) => found(state, &slug, revision)?,
                    // That it has no name is a fault of its own.
                    None => None,
                };
                let draft = self.draft(compiler, spec, old.clone()).await?;
                Ok(match old {
                    Some(old) if old.stored.spec == draft.spec => Step::Keep(old),
                    _ => Step::Put(Box::new(draft)),
                })
            }
            ServiceChange::Delete { slug, revision } => {
                let service = changeable(state, &slug, revision)?;
                let is_hidden = state.files.services.contains_key(&slug);
                Ok(Step::Delete { service, is_hidden })
            }
        }
    }

    /// Compiles a service that takes the place of another one.
    async fn draft(
        &self,
        compiler: &mut Compiler<'_>,
        mut spec: Value,
        old: Option<Arc<ApiService>>,
    ) -> Result<Draft, CatalogError> {
        let before = old.as_ref().map_or(&Value::Null, |old| &old.stored.spec);
        let mut faults = secrets::restore(&mut spec, before, &*self.inner.plugins);
        if let (Some(old), Some(members)) = (&old, spec.as_object_mut()) {
            let slug = old.stored.slug.as_str();
            match members.get("slug").and_then(Value::as_str) {
                Some(other) if other != slug => {
                    let message =
                        format!("can't be changed; it is `{slug}`, and history hangs on it");
                    faults.push(Fault::new("/slug", message));
                }
                _ => {
                    members.insert("slug".to_owned(), slug.into());
                }
            }
        }
        match self.compile(compiler, spec).await {
            Ok((compiled, warnings)) if faults.is_empty() => Ok(Draft {
                old,
                spec: to_value(&compiled.spec),
                compiled,
                warnings,
            }),
            Ok(_) => Err(CatalogError::Invalid(faults)),
            Err(more) => {
                faults.extend(more);
                Err(CatalogError::Invalid(faults))
            }
        }
    }
}

/// Returns the slug that a description has or is given.
fn slug_of(spec: &Value) -> Option<String> {
    let text = |key: &str| spec.get(key).and_then(Value::as_str);
    let named = text("slug").map(str::to_owned);
    named.or_else(|| text("name").map(slug))
}

/// Returns the service of the API with a slug, if there is one, and it is at the expected revision.
fn found(
    state: &State,
    slug: &str,
    expected: Option<i64>,
) -> Result<Option<Arc<ApiService>>, CatalogError> {
    if state.files.services.contains_key(slug) {
        return Err(CatalogError::OwnedByFile(slug.to_owned()));
    }
    match (state.api.get(slug), expected) {
        (None, None | Some(0)) => Ok(None),
        (None, Some(_)) => Err(CatalogError::DeletedMeanwhile(slug.to_owned())),
        (Some(old), Some(expected)) if expected != old.stored.revision => {
            let current = old.stored.revision;
            Err(CatalogError::RevisionConflict { current })
        }
        (Some(old), _) => Ok(Some(Arc::clone(old))),
    }
}

/// Returns a service that the API may change, if it is at the expected revision.
fn changeable(
    state: &State,
    slug: &str,
    expected: Option<i64>,
) -> Result<Arc<ApiService>, CatalogError> {
    let Some(service) = state.api.get(slug) else {
        let slug = slug.to_owned();
        return Err(if state.files.services.contains_key(&slug) {
            CatalogError::OwnedByFile(slug)
        } else {
            CatalogError::NotFound(slug)
        });
    };
    let current = service.stored.revision;
    match expected {
        Some(expected) if expected != current => Err(CatalogError::RevisionConflict { current }),
        _ => Ok(Arc::clone(service)),
    }
}
