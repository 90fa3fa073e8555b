//! Changes to services, and checks on demand.

use axum::extract::{Path, Query, State};
use axum::http::header::{IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{SlugPath, tagged};
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::audit;
use crate::api_types::observations::ObservationBody;
use crate::api_types::scope::Scope;
use crate::api_types::scope::Scope::Write;
use crate::api_types::services::{ServiceBody, ServiceOperationBody};
use crate::domain::FieldChange;
use crate::monitoring::CheckError;
use crate::registry::{ChangeKind, ServiceChange, ServiceChanged, ServiceRecord};
use crate::spec::ServiceSpec;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Write, "/api/v1/services", create)
            .id("serviceCreate")
            .summary("Watch another service")
            .returns::<201, Json<ServiceBody>>(),
        Endpoint::put(Write, "/api/v1/services/{slug}", replace)
            .id("serviceReplace")
            .summary("Replace a service's description")
            .description("With `If-Match: \"REVISION\"` only if it was not changed meanwhile.")
            .returns::<200, Json<ServiceBody>>(),
        Endpoint::delete(Write, "/api/v1/services/{slug}", delete)
            .id("serviceDelete")
            .summary("Stop watching a service; what was measured stays"),
        Endpoint::post(Write, "/api/v1/services/{slug}/check", check)
            .slow()
            .id("serviceCheck")
            .summary("Run a probe now and return its observation"),
    ]
}

/// Description as it was written: the registry checks it, and every fault comes back with its
/// pointer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct SpecBody(#[schemars(with = "ServiceSpec")] Map<String, Value>);

async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(SpecBody(spec)): Json<SpecBody>,
) -> ApiResult<Response> {
    let record = create_one(&state, &principal, spec).await?;
    let location =
        HeaderValue::try_from(format!("/api/v1/services/{}", path_segment(&record.slug)))
            .map_err(|error| ApiError::internal(error.into()))?;
    let mut response = (
        StatusCode::CREATED,
        tagged(ServiceBody::new(&state, record)),
    )
        .into_response();
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Creates a service, for the API and for the page that takes a URL.
pub(crate) async fn create_one(
    state: &ApiState,
    principal: &Principal,
    spec: Map<String, Value>,
) -> ApiResult<ServiceRecord> {
    private_is_allowed(principal, &spec)?;
    let spec = Value::Object(spec);
    let record = changed(state, principal, ServiceChange::Create { spec }).await?;
    state.live.changes().services();
    Ok(record)
}

async fn replace(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
    headers: HeaderMap,
    Json(SpecBody(spec)): Json<SpecBody>,
) -> ApiResult<Response> {
    let revision = if_match(&state, &slug, &headers)?;
    let record = replace_one(&state, &principal, &slug, spec, revision).await?;
    Ok(tagged(ServiceBody::new(&state, record)))
}

/// Replaces a description, for the API and for the pages that edit it.
pub(crate) async fn replace_one(
    state: &ApiState,
    principal: &Principal,
    slug: &str,
    spec: Map<String, Value>,
    revision: Option<i64>,
) -> ApiResult<ServiceRecord> {
    private_is_allowed(principal, &spec)?;
    let change = ServiceChange::Replace {
        slug: slug.to_owned(),
        spec: Value::Object(spec),
        revision,
    };
    let record = changed(state, principal, change).await?;
    state.live.changes().services();
    Ok(record)
}

/// Returns what a description would do: of a new service, or in place of the one with a slug.
pub(crate) async fn preview_one(
    state: &ApiState,
    principal: &Principal,
    slug: Option<&str>,
    spec: Map<String, Value>,
    revision: Option<i64>,
) -> ApiResult<ServiceOperationBody> {
    private_is_allowed(principal, &spec)?;
    let spec = Value::Object(spec);
    let change = match slug {
        None => ServiceChange::Create { spec },
        Some(slug) => ServiceChange::Replace {
            slug: slug.to_owned(),
            spec,
            revision,
        },
    };
    match state.deps.registry.change(vec![change], true).await {
        Ok(changed) => {
            let changed = changed.first().expect("each change has an outcome");
            Ok(ServiceOperationBody::of(changed))
        }
        Err(mut refused) => Err(refused.pop().expect("a refusal has a reason").error.into()),
    }
}

/// Gives a new heartbeat its address, so that the answer has it. If that fails it is tried again
/// without the caller.
pub(super) async fn follow_heartbeat(state: &ApiState) {
    if let Err(error) = state.deps.heartbeats.follow_catalog().await {
        tracing::warn!(%error, "a new heartbeat has no address yet");
    }
}

async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
    headers: HeaderMap,
) -> ApiResult<NoContent> {
    let revision = if_match(&state, &slug, &headers)?;
    delete_one(&state, &principal, slug, revision).await?;
    Ok(NoContent)
}

/// Deletes a service, for the API and for the page that asks first.
pub(crate) async fn delete_one(
    state: &ApiState,
    principal: &Principal,
    slug: String,
    revision: Option<i64>,
) -> ApiResult<()> {
    let change = ServiceChange::Delete { slug, revision };
    to_its_end(state, principal, change).await?;
    state.live.changes().services();
    Ok(())
}

/// Makes a change that leaves a service.
pub(in crate::api) async fn changed(
    state: &ApiState,
    principal: &Principal,
    change: ServiceChange,
) -> ApiResult<ServiceRecord> {
    let changed = to_its_end(state, principal, change).await?;
    let missing = || ApiError::internal(anyhow::anyhow!("a service that was stored is not there"));
    changed.record.ok_or_else(missing)
}

/// Makes a change to its end, though the client may leave: what is stored is also watched, and
/// written down.
async fn to_its_end(
    state: &ApiState,
    principal: &Principal,
    change: ServiceChange,
) -> ApiResult<ServiceChanged> {
    let (working, who) = (state.clone(), principal.clone());
    let changing = async move {
        let changed = working.deps.registry.change_one(change).await?;
        follow_heartbeat(&working).await;
        note(&working, &who, std::slice::from_ref(&changed)).await;
        Ok::<_, ApiError>(changed)
    };
    state.to_its_end(changing).await
}

/// Writes down what changes did, field by field.
pub(super) async fn note(state: &ApiState, principal: &Principal, changed: &[ServiceChanged]) {
    let entries: Vec<(&str, &str, Value)> = changed.iter().filter_map(entry).collect();
    let entries: Vec<(&str, &str, &Value)> = entries
        .iter()
        .map(|(action, slug, detail)| (*action, *slug, detail))
        .collect();
    audit::note_all(state, principal, &entries).await;
}

fn entry(changed: &ServiceChanged) -> Option<(&'static str, &str, Value)> {
    let action = match changed.kind {
        ChangeKind::Created => "service.create",
        ChangeKind::Changed => "service.replace",
        ChangeKind::Deleted => "service.delete",
        ChangeKind::Unchanged => return None,
    };
    let (shown, left_out) = shown_fields(&changed.fields);
    let mut detail = json!({"changes": shown});
    if left_out > 0 {
        detail["changesLeftOut"] = left_out.into();
    }
    Some((action, &changed.slug, detail))
}

/// Returns the first fields of a list, and how many there are beside them.
pub(super) fn shown_fields(fields: &[FieldChange]) -> (&[FieldChange], usize) {
    let shown = &fields[..fields.len().min(FieldChange::MAX)];
    (shown, fields.len() - shown.len())
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckQuery {
    /// Name of the probe; the first one if not given.
    probe: Option<String>,
}

async fn check(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Query(CheckQuery { probe }): Query<CheckQuery>,
) -> ApiResult<Json<ObservationBody>> {
    let checked = state.deps.monitor.check_now(&slug, probe.as_deref()).await;
    let observation = checked?;
    Ok(Json(ObservationBody::from(observation.as_ref())))
}

/// Probe that runs programs of this machine, with arguments from its settings.
const PROGRAM_PROBE: &str = "nagios";

/// Rejects what reaches into the operator's own systems for all but admins: private addresses, and
/// programs, which run as the user of this one.
pub(in crate::api) fn private_is_allowed(
    principal: &Principal,
    spec: &Map<String, Value>,
) -> ApiResult<()> {
    let is_private = spec
        .get("private")
        .is_some_and(|private| private != &Value::Bool(false));
    if (is_private || runs_programs(spec)) && !principal.may(Scope::Admin) {
        return Err(ApiError::scope_missing(Scope::Admin));
    }
    Ok(())
}

fn runs_programs(spec: &Map<String, Value>) -> bool {
    let main = spec
        .get("monitoring")
        .and_then(|monitoring| monitoring.get("probe"));
    let others = spec.get("probes").and_then(Value::as_array);
    let others = others.into_iter().flatten();
    main.into_iter()
        .chain(others.filter_map(|probe| probe.get("plugin")))
        .any(|plugin| plugin == PROGRAM_PROBE)
}

/// The revision that a change is meant for: the one of `If-Match`, of a list the one that holds
/// now. `*` and no header ask for nothing.
fn if_match(state: &ApiState, slug: &str, headers: &HeaderMap) -> ApiResult<Option<i64>> {
    let revisions = revisions(headers)?;
    let current = state
        .deps
        .registry
        .record(slug)
        .and_then(|record| record.revision);
    let held = revisions
        .iter()
        .copied()
        .find(|revision| Some(*revision) == current);
    Ok(held.or(revisions.first().copied()))
}

/// `"7"`, `7` or `W/"7"`, as proxies that compress make of it; a list over all lines.
fn revisions(headers: &HeaderMap) -> ApiResult<Vec<i64>> {
    let mut revisions = Vec::new();
    for line in headers.get_all(IF_MATCH) {
        for tag in line
            .to_str()
            .unwrap_or("unreadable")
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
        {
            if tag == "*" {
                return Ok(Vec::new());
            }
            let revision = tag
                .strip_prefix("W/")
                .unwrap_or(tag)
                .trim_matches('"')
                .parse();
            revisions.push(revision.map_err(|_| {
                let detail =
                    format!("`{tag}` is not a revision; take it from `ETag` of the service");
                ApiError::bad_parameter("If-Match", detail)
            })?);
        }
    }
    Ok(revisions)
}

/// Slugs may hold letters beyond ASCII; a header may not.
fn path_segment(slug: &str) -> String {
    url::form_urlencoded::byte_serialize(slug.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

impl From<CheckError> for ApiError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::UnknownService(slug) => Self::service_not_found(&slug),
            CheckError::UnknownProbe { .. } => {
                Self::not_found("probe-not-found", "Probe not found", error.to_string())
            }
            CheckError::Busy => Self::busy(error.to_string()),
            CheckError::NeverPinged(_) => {
                Self::conflict("never-pinged", "Never pinged", error.to_string())
            }
            CheckError::NotStored(_) => Self::internal(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_revisions_from_if_match() {
        for (text, wanted) in [
            ("\"7\"", vec![7]),
            ("7", vec![7]),
            ("W/\"7\"", vec![7]),
            ("\"6\", W/\"7\",\"8\"", vec![6, 7, 8]),
            ("*", vec![]),
            ("", vec![]),
        ] {
            let headers = HeaderMap::from_iter([(IF_MATCH, text.parse().unwrap())]);
            assert_eq!(revisions(&headers).unwrap(), wanted, "{text}");
        }
        let headers = HeaderMap::from_iter([(IF_MATCH, "\"abc\"".parse().unwrap())]);
        assert!(revisions(&headers).is_err());
    }

    #[test]
    fn slugs_fit_into_a_header() {
        assert_eq!(path_segment("shop-api"), "shop-api");
        assert_eq!(path_segment("öffi"), "%C3%B6ffi");
    }
}
