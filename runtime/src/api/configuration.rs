//! What became of the configuration files, and the confirmation of what is held.

use aide::transform::TransformOperation;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit;
use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::state::ApiState;
use crate::domain::Configuration;

/// The configuration files as they were last read.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigurationBody {
    /// `in use`; `held`: they would take away much of what is watched and wait for a confirmation;
    /// `faulty`. While they are not in use, what was in use before stays.
    status: &'static str,
    /// Why they are not in use.
    reasons: Vec<String>,
    /// sha256 over the names and texts of the files, in hex.
    digest: String,
    /// Since when they are as they are. RFC 3339.
    since: String,
}

impl From<&Configuration> for ConfigurationBody {
    fn from(configuration: &Configuration) -> Self {
        Self {
            status: configuration.status.as_str(),
            reasons: configuration.reasons.clone(),
            digest: configuration.digest.clone(),
            since: rfc3339(configuration.since_ms),
        }
    }
}

pub(super) async fn get(State(state): State<ApiState>) -> Json<ConfigurationBody> {
    Json(ConfigurationBody::from(
        state.parts.configuration.current().as_ref(),
    ))
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("configGet")
        .tag("program")
        .summary("Whether the configuration files are in use, and why not")
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptQuery {
    /// Of the files that are meant; others are refused. Default: the files as they are.
    digest: Option<String>,
}

pub(super) async fn accept(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(query): Query<AcceptQuery>,
) -> ApiResult<Json<ConfigurationBody>> {
    let accepted = state
        .parts
        .configuration
        .accept(query.digest, &principal.name)
        .await;
    let accepted = accepted.map_err(ApiError::configuration_not_accepted)?;
    audit::note_with(
        &state,
        &principal,
        "config.accept",
        "files",
        &json!({ "digest": accepted.digest }),
    )
    .await;
    Ok(Json(ConfigurationBody::from(accepted.as_ref())))
}

pub(super) fn accept_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("configAccept")
        .tag("program")
        .summary("Takes over the configuration files as they are, whatever they remove")
}
