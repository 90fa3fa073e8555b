//! Consumers of the gateway: added with the services they may call, listed without their tokens,
//! revoked.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::audit;
use super::tokens::new_token;
use crate::api::http::auth::{Principal, token_hash};
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::consumers::{ConsumerBody, ConsumerSpec, NewConsumerBody};
use crate::api_types::scope::Scope::Admin;
use crate::domain::{Consumer, Fault, slug};
use crate::store::ControlError;
use crate::store::control::{ConsumerDraft, ControlStore};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Admin, "/api/v1/consumers", list)
            .id("consumerList")
            .summary("Consumers of the gateway, oldest first, without their tokens"),
        Endpoint::post(Admin, "/api/v1/consumers", create)
            .id("consumerCreate")
            .summary("Add a consumer of the gateway")
            .description("Its token is in the answer and nowhere else: only a hash of it is kept.")
            .returns::<201, Json<NewConsumerBody>>(),
        Endpoint::delete(Admin, "/api/v1/consumers/{id}", revoke)
            .id("consumerRevoke")
            .summary("Revoke a consumer: its token is refused from now on"),
    ]
}

const MAX_NAME_CHARS: usize = 64;
const MAX_SERVICES: usize = 100;

impl From<Consumer> for ConsumerBody {
    fn from(consumer: Consumer) -> Self {
        Self {
            id: consumer.id,
            name: consumer.name.to_string(),
            services: consumer.services,
            created_at: rfc3339(consumer.created_ms),
            created_by: consumer.created_by,
        }
    }
}

impl ConsumerSpec {
    fn check(&self) -> ApiResult<()> {
        let mut faults = Vec::new();
        let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=MAX_NAME_CHARS).contains(&self.name.len()) || !self.name.chars().all(is_word) {
            let message =
                format!("must be 1 to {MAX_NAME_CHARS} letters, digits, `.`, `_` and `-`");
            faults.push(Fault::new("/name", message));
        }
        if !(1..=MAX_SERVICES).contains(&self.services.len()) {
            let message =
                format!("must have 1 to {MAX_SERVICES} slugs of services; `*` stands for all");
            faults.push(Fault::new("/services", message));
        }
        for (index, service) in self.services.iter().enumerate().take(MAX_SERVICES) {
            let is_slug = !service.is_empty() && slug(service) == *service;
            if !is_slug && service != Consumer::EVERY_SERVICE {
                let message = format!("`{service}` is no slug of a service; write e.g. `stripe`");
                faults.push(Fault::new(format!("/services/{index}"), message));
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(
            "invalid-consumer",
            "Invalid consumer",
            faults,
        ))
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ConsumerQuery>,
) -> ApiResult<Json<Page<ConsumerBody>>> {
    let limit = page::limit(query.limit)?;
    let after = page::id_cursor(query.cursor.as_deref())?.unwrap_or(0);
    let rows = state.deps.control.consumer_page(after, limit + 1).await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.id.to_string(),
        ConsumerBody::from,
    )))
}

async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<ConsumerSpec>,
) -> ApiResult<Response> {
    let made = make(&state, principal, spec).await?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Adds a consumer, for the API and for the page.
pub(crate) async fn make(
    state: &ApiState,
    principal: Principal,
    spec: ConsumerSpec,
) -> ApiResult<NewConsumerBody> {
    spec.check()?;
    let token = new_token();
    let (working, hash) = (state.clone(), token_hash(&token));
    let creating = async move {
        let draft = ConsumerDraft {
            name: &spec.name,
            hash: &hash,
            services: &spec.services,
            created_by: &principal.name,
        };
        let stored = match working.deps.control.consumer_insert(draft).await {
            Err(ControlError::Exists { .. }) => return Err(ApiError::consumer_exists(&spec.name)),
            other => other?.ok_or_else(ApiError::consumers_full)?,
        };
        working.deps.consumers.load().await?;
        let detail = json!({ "id": stored.id, "services": stored.services });
        audit::note_with(&working, &principal, "consumer.create", &spec.name, &detail).await;
        Ok(stored)
    };
    let stored = state.to_its_end(creating).await?;
    let body = stored.into();
    Ok(NewConsumerBody { token, body })
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ConsumerPath {
    pub(crate) id: i64,
}

pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ConsumerPath { id }): Path<ConsumerPath>,
) -> ApiResult<NoContent> {
    let working = state.clone();
    let revoking = async move {
        let deleted = working.deps.control.consumer_delete(id).await?;
        let name = deleted.ok_or_else(|| ApiError::consumer_not_found(id))?;
        working.deps.consumers.load().await?;
        let detail = json!({ "id": id });
        audit::note_with(&working, &principal, "consumer.revoke", &name, &detail).await;
        Ok::<_, ApiError>(NoContent)
    };
    state.to_its_end(revoking).await
}

impl ApiError {
    fn consumer_not_found(id: i64) -> Self {
        let detail = format!("there is no consumer {id}; `GET /api/v1/consumers` lists them");
        Self::not_found("consumer-not-found", "Consumer not found", detail)
    }

    fn consumer_exists(name: &str) -> Self {
        let detail = format!(
            "there is already a consumer `{name}`; revoke it, or give this one another name"
        );
        Self::conflict("consumer-exists", "Consumer exists", detail)
    }

    fn consumers_full() -> Self {
        let detail = format!(
            "there are {} consumers, which is the most; revoke one that is no longer used",
            ControlStore::MAX_CONSUMERS
        );
        Self::conflict("consumers-full", "Too many consumers", detail)
    }
}
