//! Credentials of services: which there are, when they were used last, and when they end. No value
//! of one is shown.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Query, State};

use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::ApiResult;
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::credentials::CredentialBody;
use crate::api_types::scope::Scope::Read;
use crate::domain::{Credential, Service, UnixMillis};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/credentials", list)
            .id("credentialList")
            .summary("Credentials of services, with their last use and their end, by service")
            .description("Values are write-only: neither this answer nor any other has one."),
    ]
}

/// Last uses, by service and name.
type Uses = HashMap<(String, String), UnixMillis>;

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<CredentialBody>>> {
    let uses = uses(&state).await?;
    let catalog = state.deps.registry.catalog();
    let services = catalog.services.values().chain(catalog.stopped.values());
    let mut bodies: Vec<CredentialBody> = services
        .flat_map(|service| {
            let uses = &uses;
            let credentials = service.credentials.iter();
            credentials.map(move |credential| body(service, credential, uses))
        })
        .collect();
    bodies.sort_by_key(key);
    Ok(Json(Page::of_sorted(bodies, &query, key)?))
}

/// Returns those of one service, in the order of its description.
pub(crate) async fn of_service(state: &ApiState, slug: &str) -> ApiResult<Vec<CredentialBody>> {
    let uses = uses(state).await?;
    let catalog = state.deps.registry.catalog();
    let service = catalog.services.get(slug);
    let Some(service) = service.or_else(|| catalog.stopped.get(slug)) else {
        return Ok(Vec::new());
    };
    let credentials = service.credentials.iter();
    Ok(credentials
        .map(|credential| body(service, credential, &uses))
        .collect())
}

async fn uses(state: &ApiState) -> ApiResult<Uses> {
    let uses = state.deps.control.credential_uses().await?.into_iter();
    Ok(uses
        .map(|used| ((used.service, used.name), used.used_ms))
        .collect())
}

/// Neither a slug nor the name of a credential has a slash.
fn key(body: &CredentialBody) -> String {
    format!("{}/{}", body.service, body.name)
}

fn body(service: &Service, credential: &Credential, uses: &Uses) -> CredentialBody {
    let used = uses.get(&(service.slug.clone(), credential.name.clone()));
    CredentialBody {
        service: service.slug.clone(),
        name: credential.name.clone(),
        kind: credential.kind.as_str().to_owned(),
        origin: service.origin,
        last_used_at: used.map(|used_ms| rfc3339(*used_ms)),
        expires_at: credential.expiry.map(|expiry| rfc3339(expiry.at_ms)),
        expires_from: credential.expiry.map(|expiry| expiry.source),
    }
}
