//! Changes over the API: each one is checked whole, stored, and then published.

use std::sync::Arc;

use serde_json::Value;

use super::compile::CompiledService;
use super::files::CheckedFiles;
use super::{ApiService, Registry, ServiceRecord, State, secrets, to_value};
use crate::domain::fault::list;
use crate::domain::{Dependencies, Fault};
use crate::store::ControlError;

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
    #[error("the service has {} fault(s)", .0.len())]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Store(#[from] ControlError),
}

impl Registry {
    /// Adds a service of the API.
    pub async fn create(&self, mut spec: Value) -> Result<ServiceRecord, CatalogError> {
        let _changing = self.inner.changing.lock().await;
        let state = self.state();
        let faults = secrets::restore(&mut spec, &Value::Null, &*self.inner.plugins);
        let (compiled, warnings) = self.compile_new(spec, &state.files, faults).await?;
        let slug = compiled.service.slug.clone();
        self.circle_check(&compiled)?;
        if state.files.services.contains_key(&slug) || state.api.contains_key(&slug) {
            return Err(CatalogError::Exists(slug));
        }
        let stored = self
            .inner
            .store
            .service_insert(&slug, &to_value(&compiled.spec))
            .await?;
        Ok(self.put(
            slug,
            ApiService {
                stored,
                compiled: Ok(compiled),
                warnings,
            },
        ))
    }

    /// Replaces a service of the API. `***` in place of a secret keeps the old one. The slug can't
    /// change: history hangs on it.
    pub async fn replace(
        &self,
        slug: &str,
        mut spec: Value,
        expected_revision: Option<i64>,
    ) -> Result<ServiceRecord, CatalogError> {
        let _changing = self.inner.changing.lock().await;
        let state = self.state();
        let old = self.changeable(&state, slug, expected_revision)?;
        let mut faults = secrets::restore(&mut spec, &old.stored.spec, &*self.inner.plugins);
        if let Some(members) = spec.as_object_mut() {
            match members.get("slug").and_then(Value::as_str) {
                Some(other) if other != slug => {
                    faults.push(Fault::new(
                        "/slug",
                        format!("can't be changed; it is `{slug}`, and history hangs on it"),
                    ));
                }
                _ => {
                    members.insert("slug".to_owned(), slug.into());
                }
            }
        }
        let (compiled, warnings) = self.compile_new(spec, &state.files, faults).await?;
        self.circle_check(&compiled)?;
        let revision = Some(old.stored.revision);
        let stored = self
            .inner
            .store
            .service_update(slug, &to_value(&compiled.spec), revision)
            .await?;
        Ok(self.put(
            slug.to_owned(),
            ApiService {
                stored,
                compiled: Ok(compiled),
                warnings,
            },
        ))
    }

    /// Removes a service of the API.
    pub async fn delete(
        &self,
        slug: &str,
        expected_revision: Option<i64>,
    ) -> Result<(), CatalogError> {
        let _changing = self.inner.changing.lock().await;
        let mut state = State::clone(&self.state());
        self.changeable(&state, slug, expected_revision)?;
        self.inner.store.service_delete(slug).await?;
        state.api.remove(slug);
        self.publish(state);
        Ok(())
    }

    /// Returns a service that the API may change, if it is at the expected revision.
    fn changeable(
        &self,
        state: &State,
        slug: &str,
        expected_revision: Option<i64>,
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
        match expected_revision {
            Some(expected) if expected != current => {
                Err(CatalogError::RevisionConflict { current })
            }
            _ => Ok(service.clone()),
        }
    }

    /// Publishes a service that was stored.
    fn put(&self, slug: String, service: ApiService) -> ServiceRecord {
        let record = ServiceRecord::of_api(&service, &*self.inner.plugins);
        let mut state = State::clone(&self.state());
        state.api.insert(slug, Arc::new(service));
        self.publish(state);
        record
    }

    /// Rejects a service that would depend on itself.
    fn circle_check(&self, compiled: &CompiledService) -> Result<(), CatalogError> {
        let service = &compiled.service;
        let catalog = self.catalog();
        let others = catalog
            .services
            .values()
            .filter(|other| other.slug != service.slug);
        let all = others
            .chain([service])
            .map(|service| (service.slug.clone(), service.depends_on.clone()));
        let dependencies = Dependencies::new(all);
        match dependencies
            .circles()
            .into_iter()
            .find(|circle| circle.contains(&service.slug.as_str()))
        {
            None => Ok(()),
            Some(circle) => {
                let way = list(circle.iter().chain(circle.first()).copied());
                let message = format!("depends on itself: {way}; leave one of them out");
                Err(CatalogError::Invalid(vec![Fault::new(
                    "/dependsOn",
                    message,
                )]))
            }
        }
    }

    /// Compiles a service that was given over the API. `faults` are those found before; they are
    /// reported with the others.
    async fn compile_new(
        &self,
        spec: Value,
        files: &CheckedFiles,
        mut faults: Vec<Fault>,
    ) -> Result<(CompiledService, Vec<Fault>), CatalogError> {
        let mut compiler = self.compiler(files);
        match self.compile(&mut compiler, spec).await {
            Ok(compiled) if faults.is_empty() => Ok(compiled),
            Ok(_) => Err(CatalogError::Invalid(faults)),
            Err(more) => {
                faults.extend(more);
                Err(CatalogError::Invalid(faults))
            }
        }
    }
}
