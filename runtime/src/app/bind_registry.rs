//! What the registry needs, from the plugin host and the control store.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::domain::{PluginInfo, PluginKind};
use crate::plugin_host::{Evaluator, PluginHost, SettingsFault};
use crate::registry::{Fault, PluginDirectory, ServiceStore, ServiceStoreError, StoredService};
use crate::store::{ControlError, ControlStore};

impl PluginDirectory for PluginHost {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        PluginHost::info(self, kind, name)
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        PluginHost::names(self, kind)
    }

    fn evaluator(&self) -> &Evaluator {
        PluginHost::evaluator(self)
    }

    fn check_settings<'a>(
        &'a self,
        kind: PluginKind,
        name: &'a str,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<(), Vec<Fault>>> {
        async move {
            PluginHost::check_settings(self, kind, name, settings)
                .await
                .map_err(faults_of)
        }
        .boxed()
    }

    fn look_back<'a>(
        &'a self,
        rule: &'a str,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<Duration, String>> {
        async move {
            PluginHost::look_back(self, rule, settings)
                .await
                .map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// What a plugin has against settings, as the configuration tells it.
pub(super) fn faults_of(faults: Vec<SettingsFault>) -> Vec<Fault> {
    faults
        .into_iter()
        .map(|fault| Fault::new(fault.path, fault.message))
        .collect()
}

impl ServiceStore for ControlStore {
    fn service_list(&self) -> BoxFuture<'_, Result<Vec<StoredService>, ServiceStoreError>> {
        async move {
            let stored = ControlStore::service_list(self)
                .await
                .map_err(store_error)?;
            Ok(stored.into_iter().map(service).collect())
        }
        .boxed()
    }

    fn service_insert<'a>(
        &'a self,
        slug: &'a str,
        spec: &'a Value,
    ) -> BoxFuture<'a, Result<StoredService, ServiceStoreError>> {
        async move {
            ControlStore::service_insert(self, slug, spec)
                .await
                .map(service)
                .map_err(store_error)
        }
        .boxed()
    }

    fn service_update<'a>(
        &'a self,
        slug: &'a str,
        spec: &'a Value,
        expected_revision: Option<i64>,
    ) -> BoxFuture<'a, Result<StoredService, ServiceStoreError>> {
        async move {
            ControlStore::service_update(self, slug, spec, expected_revision)
                .await
                .map(service)
                .map_err(store_error)
        }
        .boxed()
    }

    fn service_delete<'a>(&'a self, slug: &'a str) -> BoxFuture<'a, Result<(), ServiceStoreError>> {
        async move {
            ControlStore::service_delete(self, slug)
                .await
                .map_err(store_error)
        }
        .boxed()
    }
}

fn service(stored: crate::store::control::StoredService) -> StoredService {
    StoredService {
        slug: stored.slug,
        spec: stored.spec,
        revision: stored.revision,
        created_ms: stored.created_ms,
        updated_ms: stored.updated_ms,
    }
}

fn store_error(error: ControlError) -> ServiceStoreError {
    match error {
        ControlError::NotFound { .. } => ServiceStoreError::NotFound,
        ControlError::Exists { .. } | ControlError::Conflict { .. } => ServiceStoreError::Conflict,
        other => ServiceStoreError::Failed(Box::new(other)),
    }
}
