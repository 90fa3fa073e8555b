//! Would this server accept a component, and what would it be granted?

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};

use super::{Component, signature};
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api_types::plugin_check::{PluginCheckBody, PluginCheckStep};
use crate::api_types::plugin_grants::PluginGrantsBody;
use crate::api_types::plugins::PluginBody;
use crate::api_types::scope::Scope::Deploy;
use crate::plugin_host::{CheckedStep, ComponentCheck, StepOutcome};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Deploy, "/api/v1/plugins/check", check)
            .takes_component()
            .id("pluginCheck")
            .summary("Try the steps of an installation, and change nothing")
            .description("Answers 200 whatever comes of it; `accepted` says what it is."),
    ]
}

impl From<CheckedStep> for PluginCheckStep {
    fn from(CheckedStep { step, outcome }: CheckedStep) -> Self {
        let (outcome, reason) = match outcome {
            StepOutcome::Passed => ("passed", None),
            StepOutcome::Failed(reason) => ("failed", Some(reason)),
            StepOutcome::NotReached => ("not-reached", None),
        };
        Self {
            step: step.as_str().to_owned(),
            outcome: outcome.to_owned(),
            reason,
        }
    }
}

impl From<ComponentCheck> for PluginCheckBody {
    fn from(check: ComponentCheck) -> Self {
        Self {
            accepted: check.is_accepted(),
            steps: check.steps.into_iter().map(PluginCheckStep::from).collect(),
            plugin: check.plugin.map(PluginBody::from),
            grants: check.grants.map(PluginGrantsBody::from),
        }
    }
}

async fn check(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    Component(component): Component,
) -> ApiResult<Json<PluginCheckBody>> {
    let signature = signature(&headers)?;
    Ok(Json(
        state
            .deps
            .plugins
            .check(component, signature, &principal.name)
            .await
            .into(),
    ))
}
