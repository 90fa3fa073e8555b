//! What a plugin may do: what it wants, what it is granted, and the budget of its runs.

use std::collections::BTreeMap;

use aide::transform::TransformOperation;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::PluginPath;
use crate::api::audit;
use crate::api::auth::Principal;
use crate::api::error::{ApiError, ApiResult};
use crate::api::state::ApiState;
use crate::domain::{Capability, PluginKind, Want};
use crate::plugin_host::{Missing, PluginGrants, PolicyOrigin};
use crate::registry::plugin_policy_read;
use crate::spec::PolicySpec;

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PluginGrantsBody {
    plugin: String,
    kind: PluginKind,
    /// Where the operator's word comes from: `file` (`plugins.yaml`), `api`, or `default` when
    /// there is none.
    origin: &'static str,
    /// The operator's word, in the form that `PUT` takes.
    policy: PolicySpec,
    /// What the plugin asks for.
    wants: Vec<Want>,
    /// What it gets: wanted and granted.
    effective: EffectiveGrants,
    /// What it asks for and does not get.
    missing: Vec<MissingGrant>,
    /// The most that one run may use, with the defaults; a probe's wall clock is at most its own
    /// timeout.
    budget: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EffectiveGrants {
    /// Beyond its service's own host and the hosts that its settings name.
    hosts: Vec<String>,
    /// `null`: all credentials of its service.
    credentials: Option<Vec<String>>,
    /// `null`: all.
    methods: Option<Vec<String>>,
    /// Of those it imports.
    capabilities: Vec<&'static str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MissingGrant {
    want: Want,
    /// The setting that would grant it.
    setting: String,
}

impl From<PluginGrants> for PluginGrantsBody {
    fn from(grants: PluginGrants) -> Self {
        let budget = grants.budget_shown();
        let missing = |Missing { want, setting }| MissingGrant { want, setting };
        Self {
            plugin: grants.name,
            kind: grants.kind,
            origin: match grants.origin {
                PolicyOrigin::File => "file",
                PolicyOrigin::Api => "api",
                PolicyOrigin::Default => "default",
            },
            policy: PolicySpec::from(&grants.policy),
            wants: grants.wants,
            effective: EffectiveGrants {
                hosts: grants.hosts,
                credentials: grants.credentials,
                methods: grants.methods,
                capabilities: grants
                    .capabilities
                    .into_iter()
                    .map(Capability::as_str)
                    .collect(),
            },
            missing: grants.missing.into_iter().map(missing).collect(),
            budget,
        }
    }
}

/// As it was written: every fault comes back with its pointer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(in crate::api) struct PolicyBody(#[schemars(with = "PolicySpec")] Map<String, Value>);

pub(in crate::api) async fn get(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginGrantsBody>> {
    Ok(Json(grants(&state, &name)?.into()))
}

pub(in crate::api) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginGrantsGet")
        .tag("plugins")
        .summary("What a plugin wants, is granted and gets")
}

pub(in crate::api) async fn put(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    Json(PolicyBody(body)): Json<PolicyBody>,
) -> ApiResult<Json<PluginGrantsBody>> {
    changeable(&state, &name)?;
    let (spec, policy) =
        plugin_policy_read(&Value::Object(body)).map_err(ApiError::invalid_policy)?;
    let written = serde_json::to_value(&spec).map_err(|error| ApiError::internal(error.into()))?;
    // One change at a time: the one that is stored last is the one that holds.
    let _changing = state.policies.lock().await;
    state
        .parts
        .control
        .plugin_policy_put(&name, &written, &principal.name)
        .await?;
    state.parts.plugins.set_policy(&name, Some(policy));
    audit::note_with(&state, &principal, "plugin.grant", &name, &written).await;
    state.live.changes().plugins();
    Ok(Json(grants(&state, &name)?.into()))
}

pub(in crate::api) fn put_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginGrantsPut")
        .tag("plugins")
        .summary("Say what a plugin may do, in place of what was said before")
        .description("Holds from the next run on. What `plugins.yaml` says of a plugin can't be changed here.")
}

pub(in crate::api) async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginGrantsBody>> {
    changeable(&state, &name)?;
    let _changing = state.policies.lock().await;
    if state.parts.control.plugin_policy_delete(&name).await? {
        state.parts.plugins.set_policy(&name, None);
        audit::note(&state, &principal, "plugin.grant-reset", &name).await;
        state.live.changes().plugins();
    }
    Ok(Json(grants(&state, &name)?.into()))
}

pub(in crate::api) fn delete_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginGrantsDelete")
        .tag("plugins")
        .summary("Back to the default grants and budget")
}

fn grants(state: &ApiState, name: &str) -> ApiResult<PluginGrants> {
    state
        .parts
        .plugins
        .grants(name)
        .ok_or_else(|| ApiError::plugin_not_found(name))
}

fn changeable(state: &ApiState, name: &str) -> ApiResult<()> {
    match grants(state, name)?.origin {
        PolicyOrigin::File => Err(ApiError::policy_owned_by_file(name)),
        PolicyOrigin::Api | PolicyOrigin::Default => Ok(()),
    }
}
