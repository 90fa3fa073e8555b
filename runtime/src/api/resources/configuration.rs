//! Status of the configuration files, and the confirmation of files that are held.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::audit;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api_types::configuration::ConfigurationBody;
use crate::api_types::scope::Scope::{Admin, Read};
use crate::domain::{AcceptRefusal, Configuration};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/config", get)
            .id("configGet")
            .summary("Status of the configuration files"),
        Endpoint::post(Admin, "/api/v1/config/accept", accept)
            .slow()
            .id("configAccept")
            .summary("Accept the configuration files as they are, whatever they remove"),
    ]
}

impl From<&Configuration> for ConfigurationBody {
    fn from(configuration: &Configuration) -> Self {
        Self {
            status: configuration.status.as_str().to_owned(),
            reasons: configuration.reasons.clone(),
            digest: configuration.digest.clone(),
            since: rfc3339(configuration.since_ms),
        }
    }
}

pub(crate) async fn get(State(state): State<ApiState>) -> Json<ConfigurationBody> {
    Json(ConfigurationBody::from(
        state.deps.configuration.current().as_ref(),
    ))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptQuery {
    /// Digest of the files that are meant; others are rejected. Default: the files as they are.
    pub(crate) digest: Option<String>,
}

pub(crate) async fn accept(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(query): Query<AcceptQuery>,
) -> ApiResult<Json<ConfigurationBody>> {
    let accepted = state
        .deps
        .configuration
        .accept(query.digest, &principal.name)
        .await;
    let accepted = accepted?;
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

impl From<AcceptRefusal> for ApiError {
    fn from(refusal: AcceptRefusal) -> Self {
        let (detail, faulty) = (refusal.to_string(), StatusCode::UNPROCESSABLE_ENTITY);
        match refusal {
            AcceptRefusal::Changed { .. } => Self::conflict(
                "configuration-changed",
                "Configuration files were changed",
                detail,
            ),
            AcceptRefusal::Faulty(_) => Self::new(
                faulty,
                "configuration-faulty",
                "Configuration has faults",
                detail,
            ),
            AcceptRefusal::NotKept(_) | AcceptRefusal::Stopping => Self::busy(detail),
        }
    }
}
