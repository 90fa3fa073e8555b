//! Grants of a plugin: what it wants, what it may use, and the budget of its runs.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::PluginPath;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::audit;
use crate::api_types::plugin_grants::{EffectiveGrants, MissingGrant, PluginGrantsBody};
use crate::api_types::scope::Scope::{Admin, Read};
use crate::domain::Fault;
use crate::plugin_host::{Missing, PluginGrants, PolicyOrigin};
use crate::registry::plugin_policy_read;
use crate::spec::PolicySpec;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/plugins/{name}/grants", get)
            .id("pluginGrantsGet")
            .summary("Wants, grants and budget of a plugin"),
        Endpoint::put(Admin, "/api/v1/plugins/{name}/grants", put)
            .id("pluginGrantsPut")
            .summary("Replace the grants and the budget of a plugin")
            .description(
                "Holds from the next run on. What `plugins.yaml` grants a plugin can't be \
                 changed here.",
            ),
        Endpoint::delete(Admin, "/api/v1/plugins/{name}/grants", delete)
            .id("pluginGrantsDelete")
            .summary("Back to the default grants and budget"),
    ]
}

impl From<PluginGrants> for PluginGrantsBody {
    fn from(grants: PluginGrants) -> Self {
        let budget = grants.budget_shown().into_iter();
        let missing = |Missing { want, setting }| MissingGrant { want, setting };
        Self {
            plugin: grants.name,
            kind: grants.kind,
            origin: match grants.origin {
                PolicyOrigin::File => "file".to_owned(),
                PolicyOrigin::Api => "api".to_owned(),
                PolicyOrigin::Default => "default".to_owned(),
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
                    .map(|capability| capability.as_str().to_owned())
                    .collect(),
            },
            missing: grants.missing.into_iter().map(missing).collect(),
            budget: budget.map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }
}

/// Policy as it was written: every fault comes back with its pointer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct PolicyBody(#[schemars(with = "PolicySpec")] Map<String, Value>);

pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginGrantsBody>> {
    Ok(Json(grants(&state, &name)?.into()))
}

async fn put(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    Json(PolicyBody(body)): Json<PolicyBody>,
) -> ApiResult<Json<PluginGrantsBody>> {
    changeable(&state, &name)?;
    let (spec, policy) =
        plugin_policy_read(&Value::Object(body)).map_err(ApiError::invalid_policy)?;
    let written = serde_json::to_value(&spec).map_err(|error| ApiError::internal(error.into()))?;
    let working = state.clone();
    let changing = async move {
        // One change at a time: the one that is stored last is the one that holds.
        let _changing = working.policies.lock().await;
        let stored = working
            .deps
            .control
            .plugin_policy_put(&name, &written, &principal.name);
        stored.await?;
        working.deps.plugins.set_policy(&name, Some(policy));
        audit::note_with(&working, &principal, "plugin.grant", &name, &written).await;
        working.live.changes().plugins();
        grants(&working, &name)
    };
    Ok(Json(state.to_its_end(changing).await?.into()))
}

async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginGrantsBody>> {
    changeable(&state, &name)?;
    let working = state.clone();
    let changing = async move {
        let _changing = working.policies.lock().await;
        if working.deps.control.plugin_policy_delete(&name).await? {
            working.deps.plugins.set_policy(&name, None);
            audit::note(&working, &principal, "plugin.grant-reset", &name).await;
            working.live.changes().plugins();
        }
        grants(&working, &name)
    };
    Ok(Json(state.to_its_end(changing).await?.into()))
}

fn grants(state: &ApiState, name: &str) -> ApiResult<PluginGrants> {
    state
        .deps
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

impl ApiError {
    pub(crate) fn policy_owned_by_file(name: &str) -> Self {
        let detail =
            format!("what plugin `{name}` may do is said in plugins.yaml; change it there");
        Self::conflict("owned-by-file", "Grants come from a file", detail)
    }

    pub(crate) fn invalid_policy(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-grants", "Invalid grants or budget", faults)
    }
}
