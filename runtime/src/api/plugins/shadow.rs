//! A candidate beside the active version: start it, look at how the two compare, make it the active
//! one, or end it.

use aide::transform::TransformOperation;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::{CandidateBody, Component, PluginBody, PluginPath, signature};
use crate::api::auth::Principal;
use crate::api::error::{ApiError, ApiResult};
use crate::api::moment::rfc3339;
use crate::api::state::ApiState;
use crate::domain::{PluginKind, Quantiles, ShadowRun, ShadowSummary, SideCost};

/// How a candidate compares with the active version. Times are in microseconds.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ShadowBody {
    plugin: String,
    kind: PluginKind,
    /// What it is compared with: runs beside an earlier active version don't count.
    active: SideBody,
    candidate: CandidateBody,
    /// Compared runs, stored so far.
    runs: u64,
    /// Runs in which both came to the same verdict.
    agreed: u64,
    /// Percent of the runs; null before the first one.
    agreement: Option<f64>,
    /// Runs of the candidate that gave no usable answer.
    broken: BrokenBody,
    cost: CostBody,
    /// The last ones, newest first. `SELECT * FROM shadow_runs WHERE NOT agree` has all.
    disagreements: Vec<DisagreementBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SideBody {
    version: String,
    /// sha256 of the component, in hex.
    digest: String,
}

/// By how they ended.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct BrokenBody {
    errors: u64,
    traps: u64,
    /// Also those in which the service kept it waiting.
    timeouts: u64,
    limits: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct CostBody {
    active: SideCostBody,
    candidate: SideCostBody,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SideCostBody {
    /// Of a probe the latency of its service, of a rule its wall clock.
    latency_us: QuantilesBody,
    cpu_us: QuantilesBody,
    memory_bytes: QuantilesBody,
}

/// Null where no run has the value.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::api) struct QuantilesBody {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct DisagreementBody {
    /// When the candidate ran, RFC 3339.
    ts: String,
    /// Slug.
    service: String,
    /// Null for a rule.
    probe: Option<String>,
    active_status: String,
    candidate_status: String,
    /// For people.
    difference: Option<String>,
    active_run_id: i64,
    candidate_run_id: i64,
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

pub(in crate::api) async fn start(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    headers: HeaderMap,
    Component(component): Component,
) -> ApiResult<Json<PluginBody>> {
    let signature = signature(&headers)?;
    let started = state
        .parts
        .plugins
        .shadow_start(&name, component, signature, &principal.name)
        .await;
    Ok(Json(started.map_err(ApiError::from_plugin_host)?.into()))
}

pub(in crate::api) fn start_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("pluginShadowStart").tag("plugins").summary("Run a candidate beside the active version").description(
        "Verified like an installation. From then on it gets each call that the active version gets, a moment later; what it \
         says is compared and stored, and nobody is alerted. Its requests are real: a probe that changes something at its \
         service changes it twice. Not for notifiers, which would send everything twice.",
    )
}

pub(in crate::api) async fn get(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<ShadowBody>> {
    let entry = state
        .parts
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let candidate = entry.shadow.ok_or_else(|| ApiError::no_candidate(&name))?;
    let summary = state
        .parts
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

pub(in crate::api) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginShadowGet")
        .tag("plugins")
        .summary("How the candidate compares with the active version")
}

pub(in crate::api) async fn promote(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let promoted = state
        .parts
        .plugins
        .promote(&name, &principal.name)
        .await
        .map_err(ApiError::from_plugin_host)?;
    let entry = promoted.ok_or_else(|| ApiError::no_candidate(&name))?;
    Ok(Json(entry.into()))
}

pub(in crate::api) fn promote_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginPromote")
        .tag("plugins")
        .summary("Make the candidate the active version")
        .description("Verified once more, then the same swap as an installation.")
}

pub(in crate::api) async fn discard(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let discarded = state
        .parts
        .plugins
        .discard(&name, &principal.name)
        .await
        .map_err(ApiError::from_plugin_host)?;
    if !discarded {
        return Err(ApiError::no_candidate(&name));
    }
    let entry = state
        .parts
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    Ok(Json(entry.into()))
}

pub(in crate::api) fn discard_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginDiscard")
        .tag("plugins")
        .summary("End the candidate")
        .description("What was compared stays in `shadow_runs`, the component among the versions that are kept.")
}
