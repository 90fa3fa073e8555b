//! A candidate beside the active version: start it, look at how the two compare, make it the active
//! one, or end it.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};

use super::{Component, PluginPath, signature};
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api_types::plugin_shadow::{
    BrokenBody, CostBody, DisagreementBody, QuantilesBody, ShadowBody, SideBody, SideCostBody,
};
use crate::api_types::plugins::PluginBody;
use crate::api_types::scope::Scope::{Deploy, Read};
use crate::domain::{Quantiles, ShadowRun, ShadowSummary, SideCost};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/plugins/{name}/shadow", get)
            .id("pluginShadowGet")
            .summary("Comparison of the candidate with the active version"),
        Endpoint::put(Deploy, "/api/v1/plugins/{name}/shadow", start)
            .takes_component()
            .id("pluginShadowStart")
            .summary("Run a candidate beside the active version")
            .description(
                "Verified like an installation. From then on it gets each call that the active \
                 version gets, a moment later; what it says is compared and stored, and nobody \
                 is alerted. Its requests are real: a probe that changes something at its \
                 service changes it twice. Not for notifiers, which would send everything \
                 twice.",
            ),
        Endpoint::post(Deploy, "/api/v1/plugins/{name}/promote", promote)
            .slow()
            .id("pluginPromote")
            .summary("Make the candidate the active version")
            .description("Verified once more, then the same swap as an installation."),
        Endpoint::post(Deploy, "/api/v1/plugins/{name}/discard", discard)
            .slow()
            .id("pluginDiscard")
            .summary("End the candidate")
            .description(
                "What was compared stays in `shadow_runs`, the component among the versions \
                 that are kept.",
            ),
    ]
}

impl From<SideCost> for SideCostBody {
    fn from(cost: SideCost) -> Self {
        let quantiles = |Quantiles { p50, p95, p99 }| QuantilesBody { p50, p95, p99 };
        Self {
            latency_us: quantiles(cost.latency_us),
            cpu_us: quantiles(cost.cpu_us),
            memory_bytes: quantiles(cost.memory_bytes),
        }
    }
}

impl From<ShadowRun> for DisagreementBody {
    fn from(run: ShadowRun) -> Self {
        Self {
            ts: rfc3339(run.ts_ms),
            service: run.service,
            probe: run.probe,
            active_status: run.active.status,
            candidate_status: run.candidate.status,
            difference: run.difference,
            active_run_id: run.active.run_id,
            candidate_run_id: run.candidate.run_id,
        }
    }
}

async fn start(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    headers: HeaderMap,
    Component(component): Component,
) -> ApiResult<Json<PluginBody>> {
    let signature = signature(&headers)?;
    let started = state
        .deps
        .plugins
        .shadow_start(&name, component, signature, &principal.name)
        .await;
    Ok(Json(started?.into()))
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<ShadowBody>> {
    let entry = state
        .deps
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let candidate = entry.shadow.ok_or_else(|| ApiError::no_candidate(&name))?;
    let summary = state
        .deps
        .results
        .shadow_summary(&name, &entry.digest, &candidate.digest, candidate.since_ms)
        .await?;
    let ShadowSummary {
        runs,
        agreed,
        errors,
        traps,
        timeouts,
        limits,
        active,
        candidate: cost,
        disagreements,
    } = summary;
    Ok(Json(ShadowBody {
        plugin: name,
        kind: entry.kind,
        active: SideBody {
            version: entry.version,
            digest: entry.digest,
        },
        candidate: candidate.into(),
        runs,
        agreed,
        agreement: (runs > 0).then(|| (agreed as f64 * 10_000.0 / runs as f64).floor() / 100.0),
        broken: BrokenBody {
            errors,
            traps,
            timeouts,
            limits,
        },
        cost: CostBody {
            active: active.into(),
            candidate: cost.into(),
        },
        disagreements: disagreements
            .into_iter()
            .map(DisagreementBody::from)
            .collect(),
    }))
}

pub(crate) async fn promote(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let promoted = state.deps.plugins.promote(&name, &principal.name).await?;
    let entry = promoted.ok_or_else(|| ApiError::no_candidate(&name))?;
    Ok(Json(entry.into()))
}

pub(crate) async fn discard(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let discarded = state.deps.plugins.discard(&name, &principal.name).await?;
    if !discarded {
        return Err(ApiError::no_candidate(&name));
    }
    let entry = state
        .deps
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    Ok(Json(entry.into()))
}

impl ApiError {
    pub(crate) fn no_candidate(name: &str) -> Self {
        let detail = format!(
            "no candidate runs beside plugin `{name}`; `PUT /api/v1/plugins/{name}/shadow` or `extrack plugin shadow` starts one"
        );
        Self::not_found("no-candidate", "No candidate", detail)
    }
}
