//! What the registry asks of the control store: the services that were made over the API.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::domain::UnixMillis;

/// A service as it was saved. The spec holds its secrets.
#[derive(Clone, PartialEq)]
pub struct StoredService {
    pub slug: String,
    pub spec: Value,
    /// Grows by one with each change.
    pub revision: i64,
    pub created_ms: UnixMillis,
    pub updated_ms: UnixMillis,
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceStoreError {
    #[error("there is no such service")]
    NotFound,
    /// The slug is taken, or the revision is no longer the expected one.
    #[error("the service was changed by someone else")]
    Conflict,
    #[error("the control store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub trait ServiceStore: Send + Sync {
    fn service_list(&self) -> BoxFuture<'_, Result<Vec<StoredService>, ServiceStoreError>>;

    fn service_insert<'a>(
        &'a self,
        slug: &'a str,
        spec: &'a Value,
    ) -> BoxFuture<'a, Result<StoredService, ServiceStoreError>>;

    fn service_update<'a>(
        &'a self,
        slug: &'a str,
        spec: &'a Value,
        expected_revision: Option<i64>,
    ) -> BoxFuture<'a, Result<StoredService, ServiceStoreError>>;

    fn service_delete<'a>(&'a self, slug: &'a str) -> BoxFuture<'a, Result<(), ServiceStoreError>>;
}
