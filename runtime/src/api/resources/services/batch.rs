//! Many changes of services in one: all of them, or none.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::Value;

use super::change::{follow_heartbeat, note, private_is_allowed, shown_fields};
use crate::api::http::auth::Principal;
use crate::api::http::bodies::BodyLimit;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope::Write;
use crate::api_types::services::{
    ServiceAction, ServiceBatchBody, ServiceBatchSpec, ServiceOperationBody, ServiceOperationSpec,
};
use crate::domain::Fault;
use crate::domain::fault::child;
use crate::registry::{CatalogError, ChangeKind, RefusedChange, ServiceChange, ServiceChanged};

/// Operations of one batch: what one server watches, and few enough that other changes do not wait
/// for long.
const MAX_OPERATIONS: usize = 10_000;

/// Room for as many descriptions of some KiB each.
const BODY: BodyLimit = BodyLimit {
    bytes: 32 * 1024 * 1024,
    timeout: Duration::from_secs(60),
};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut batch = Endpoint::post(Write, "/api/v1/services/batch", batch)
        .slow()
        .id("serviceBatch")
        .summary("Add, replace and delete services together, or not at all")
        .description(
            "`dryRun` returns what the operations would do. Each reason against one is among `faults`, by its \
             place: 412 where a service is at another revision, 409 where it is owned by a file or needed by \
             others, 422 for all others.",
        )
        .returns::<200, Json<ServiceBatchBody>>();
    batch.set_body(BODY);
    vec![batch]
}

async fn batch(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<ServiceBatchSpec>,
) -> ApiResult<Json<ServiceBatchBody>> {
    let ServiceBatchSpec {
        dry_run,
        operations,
    } = spec;
    if operations.len() > MAX_OPERATIONS {
        let message = format!("must have at most {MAX_OPERATIONS} entries");
        return Err(invalid(vec![Fault::new("/operations", message)]));
    }
    let changes = changes(&principal, operations)?;
    let working = state.clone();
    let changing = async move {
        let changed = working.deps.registry.change(changes, dry_run).await;
        let changed = changed.map_err(ApiError::refused_batch)?;
        if !dry_run {
            follow_heartbeat(&working).await;
            note(&working, &principal, &changed).await;
            working.live.changes().services();
        }
        Ok::<_, ApiError>(changed)
    };
    let changed = state.to_its_end(changing).await?;
    Ok(Json(ServiceBatchBody {
        dry_run,
        results: changed.iter().map(ServiceOperationBody::of).collect(),
    }))
}

fn changes(
    principal: &Principal,
    operations: Vec<ServiceOperationSpec>,
) -> ApiResult<Vec<ServiceChange>> {
    let (mut changes, mut faults) = (Vec::new(), Vec::new());
    for (index, operation) in operations.into_iter().enumerate() {
        let ServiceOperationSpec {
            spec,
            delete,
            revision,
        } = operation;
        match (spec, delete) {
            (Some(spec), None) => {
                private_is_allowed(principal, &spec)?;
                let spec = Value::Object(spec);
                changes.push(ServiceChange::Put { spec, revision });
            }
            (None, Some(slug)) => changes.push(ServiceChange::Delete { slug, revision }),
            (Some(_), Some(_)) | (None, None) => {
                let message = "must have either a `spec` or a `delete`";
                faults.push(Fault::new(place(index), message));
            }
        }
    }
    if faults.is_empty() {
        Ok(changes)
    } else {
        Err(invalid(faults))
    }
}

fn place(index: usize) -> String {
    child("/operations", index)
}

fn invalid(faults: Vec<Fault>) -> ApiError {
    ApiError::invalid("invalid-batch", "Invalid batch", faults)
}

impl ServiceOperationBody {
    pub(super) fn of(changed: &ServiceChanged) -> Self {
        let (shown, left_out) = shown_fields(&changed.fields);
        Self {
            slug: changed.slug.clone(),
            action: match changed.kind {
                ChangeKind::Created => ServiceAction::Created,
                ChangeKind::Changed => ServiceAction::Changed,
                ChangeKind::Unchanged => ServiceAction::Unchanged,
                ChangeKind::Deleted => ServiceAction::Deleted,
            },
            revision: changed.revision,
            changes: shown.to_vec(),
            changes_left_out: left_out,
        }
    }
}

impl ApiError {
    /// Returns all reasons against a batch in one error, with the most telling status among them.
    fn refused_batch(refused: Vec<RefusedChange>) -> Self {
        let mut faults = Vec::new();
        let mut statuses = Vec::new();
        for RefusedChange { index, error } in refused {
            let Some(at) = index.map(place) else {
                return Self::from(error);
            };
            let text = error.to_string();
            match error {
                CatalogError::Invalid(found) => {
                    let at = child(&at, "spec");
                    faults.extend(found.into_iter().map(|fault| fault.under(&at)));
                }
                error => {
                    faults.push(Fault::new(at, text));
                    statuses.push(Self::from(error).status());
                }
            }
        }
        let most = [
            (
                StatusCode::PRECONDITION_FAILED,
                "revision-conflict",
                "Changed meanwhile",
            ),
            (
                StatusCode::CONFLICT,
                "batch-conflict",
                "Batch can't be made",
            ),
            (
                StatusCode::NOT_FOUND,
                "service-not-found",
                "Service not found",
            ),
        ];
        let found = most.iter().find(|(status, _, _)| statuses.contains(status));
        match found {
            None => invalid(faults),
            Some((status, name, title)) => Self::invalid(name, title, faults).with_status(*status),
        }
    }
}
