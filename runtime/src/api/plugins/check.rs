//! Would this server accept a component, and what would it be granted?

use aide::transform::TransformOperation;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::grants::PluginGrantsBody;
use super::{Component, PluginBody, signature};
use crate::api::auth::Principal;
use crate::api::error::ApiResult;
use crate::api::state::ApiState;
use crate::plugin_host::{CheckedStep, ComponentCheck, StepOutcome};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PluginCheckBody {
    accepted: bool,
    /// In their order.
    steps: Vec<PluginCheckStep>,
    /// What it says of itself, if it came so far.
    plugin: Option<PluginBody>,
    /// What it would be granted.
    grants: Option<PluginGrantsBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PluginCheckStep {
    step: &'static str,
    /// `passed`, `failed` or `not-reached`.
    outcome: &'static str,
    /// Why it failed.
    reason: Option<String>,
}

impl From<CheckedStep> for PluginCheckStep {
    fn from(CheckedStep { step, outcome }: CheckedStep) -> Self {
        let (outcome, reason) = match outcome {
            StepOutcome::Passed => ("passed", None),
            StepOutcome::Failed(reason) => ("failed", Some(reason)),
            StepOutcome::NotReached => ("not-reached", None),
        };
        Self {
            step,
            outcome,
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

pub(in crate::api) async fn check(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    Component(component): Component,
) -> ApiResult<Json<PluginCheckBody>> {
    let signature = signature(&headers)?;
    Ok(Json(
        state
            .parts
            .plugins
            .check(component, signature, &principal.name)
            .await
            .into(),
    ))
}

pub(in crate::api) fn check_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginCheck")
        .tag("plugins")
        .summary("Try the steps of an installation, and change nothing")
        .description("Answers 200 whatever comes of it; `accepted` says what it is.")
}
