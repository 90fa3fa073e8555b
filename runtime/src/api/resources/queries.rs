//! Saved queries: kept by name, checked when they are saved, run with values of their parameters.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::audit;
use super::sql::{Ask, answer};
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::queries::{NewSavedQuery, SavedQueryBody, SavedQuerySpec};
use crate::api_types::scope::Scope::{Sql, Write};
use crate::api_types::sql::{SqlAnswer, SqlParams, SqlRunRequest};
use crate::domain::{Fault, now_ms};
use crate::store::ControlError;
use crate::store::control::{SavedQuery, SavedQueryDraft};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Sql, "/api/v1/queries", list)
            .id("queryList")
            .summary("Saved queries, by name"),
        Endpoint::post(Write, "/api/v1/queries", create)
            .id("queryCreate")
            .summary("Save a query under a new name")
            .returns::<201, Json<SavedQueryBody>>(),
        Endpoint::get(Sql, "/api/v1/queries/{name}", get)
            .id("queryGet")
            .summary("One saved query"),
        Endpoint::put(Write, "/api/v1/queries/{name}", replace)
            .id("queryReplace")
            .summary("Replace a saved query"),
        Endpoint::delete(Write, "/api/v1/queries/{name}", delete)
            .id("queryDelete")
            .summary("Remove a saved query"),
        Endpoint::post(Sql, "/api/v1/queries/{name}/run", run)
            .slow()
            .id("queryRun")
            .summary("Run a saved query")
            .description("Answers as `POST /api/v1/sql` does.")
            .returns::<200, Json<SqlAnswer>>(),
    ]
}

const MAX_NAME_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// Of the default values, as JSON.
const MAX_DEFAULTS_BYTES: usize = 16 * 1024;

impl From<SavedQuery> for SavedQueryBody {
    fn from(saved: SavedQuery) -> Self {
        let SavedQueryDraft {
            name,
            query,
            description,
            parameters,
            defaults,
            author,
        } = saved.draft;
        Self {
            name,
            query,
            description,
            parameters,
            defaults,
            author,
            created_at: rfc3339(saved.created_ms),
            updated_at: rfc3339(saved.updated_ms),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && !name.starts_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Checks a query as if it were run.
fn draft(
    state: &ApiState,
    principal: &Principal,
    name: String,
    spec: SavedQuerySpec,
) -> ApiResult<SavedQueryDraft> {
    let mut faults = Vec::new();
    if !is_name(&name) {
        let message = format!(
            "must be 1 to {MAX_NAME_CHARS} lower-case letters, digits and `-`, e.g. `slow-services`"
        );
        faults.push(Fault::new("/name", message));
    }
    let SavedQuerySpec {
        query,
        description,
        defaults,
    } = spec;
    let is_text = |c: char| !c.is_control() || c == '\n';
    if description.chars().count() > MAX_DESCRIPTION_CHARS || !description.chars().all(is_text) {
        let message = format!("must be text of at most {MAX_DESCRIPTION_CHARS} characters");
        faults.push(Fault::new("/description", message));
    }
    let parameters = state.deps.results.query_parameters(&query)?;
    for (parameter, value) in &defaults {
        let pointer = format!("/defaults/{parameter}");
        if !parameters.contains(parameter) {
            let message = format!("the statement has no parameter `${parameter}`");
            faults.push(Fault::new(pointer, message));
        } else if value.is_array() || value.is_object() {
            let message = "must be a text, a number, true, false or null";
            faults.push(Fault::new(pointer, message));
        }
    }
    if json!(defaults).to_string().len() > MAX_DEFAULTS_BYTES {
        let message = format!("must be at most {} KiB", MAX_DEFAULTS_BYTES / 1024);
        faults.push(Fault::new("/defaults", message));
    }
    if faults.is_empty() {
        Ok(SavedQueryDraft {
            name,
            query,
            description,
            parameters,
            defaults,
            author: principal.name.clone(),
        })
    } else {
        Err(ApiError::invalid(
            "invalid-saved-query",
            "Invalid saved query",
            faults,
        ))
    }
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<SavedQueryBody>>> {
    let saved = state.deps.control.saved_query_list().await?;
    let bodies = saved.into_iter().map(SavedQueryBody::from);
    Ok(Json(Page::of_sorted(bodies, &query, |body| {
        body.name.clone()
    })?))
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(new): Json<NewSavedQuery>,
) -> ApiResult<Response> {
    let NewSavedQuery {
        name,
        query,
        description,
        defaults,
    } = new;
    let spec = SavedQuerySpec {
        query,
        description,
        defaults,
    };
    let draft = draft(&state, &principal, name, spec)?;
    let saved = match state
        .deps
        .control
        .saved_query_insert(&draft, now_ms())
        .await
    {
        Err(ControlError::Exists { .. }) => return Err(ApiError::saved_query_exists(&draft.name)),
        other => other?,
    };
    note(&state, &principal, "query.create", &saved).await;
    Ok((StatusCode::CREATED, Json(SavedQueryBody::from(saved))).into_response())
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct QueryPath {
    pub(crate) name: String,
}

async fn find(state: &ApiState, name: &str) -> ApiResult<SavedQuery> {
    let found = state.deps.control.saved_query_get(name).await?;
    found.ok_or_else(|| ApiError::saved_query_not_found(name))
}

async fn get(
    State(state): State<ApiState>,
    Path(QueryPath { name }): Path<QueryPath>,
) -> ApiResult<Json<SavedQueryBody>> {
    Ok(Json(find(&state, &name).await?.into()))
}

async fn replace(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(QueryPath { name }): Path<QueryPath>,
    Json(spec): Json<SavedQuerySpec>,
) -> ApiResult<Json<SavedQueryBody>> {
    find(&state, &name).await?;
    let draft = draft(&state, &principal, name, spec)?;
    let saved = match state
        .deps
        .control
        .saved_query_replace(&draft, now_ms())
        .await
    {
        Err(ControlError::NotFound { .. }) => {
            return Err(ApiError::saved_query_not_found(&draft.name));
        }
        other => other?,
    };
    note(&state, &principal, "query.replace", &saved).await;
    Ok(Json(saved.into()))
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(QueryPath { name }): Path<QueryPath>,
) -> ApiResult<NoContent> {
    match state.deps.control.saved_query_delete(&name).await {
        Err(ControlError::NotFound { .. }) => return Err(ApiError::saved_query_not_found(&name)),
        other => other?,
    }
    audit::note(&state, &principal, "query.delete", &name).await;
    Ok(NoContent)
}

async fn run(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(QueryPath { name }): Path<QueryPath>,
    headers: HeaderMap,
    Json(request): Json<SqlRunRequest>,
) -> ApiResult<Response> {
    let saved = find(&state, &name).await?.draft;
    let ask = Ask {
        params: values(&saved, request.params),
        query: saved.query,
        format: request.format,
        limit: request.limit,
    };
    answer(&state, &principal, &headers, ask).await
}

/// Returns the values that are given, with the defaults for others.
fn values(saved: &SavedQueryDraft, given: Option<SqlParams>) -> Option<SqlParams> {
    if saved.defaults.is_empty() {
        return given;
    }
    let mut values = saved.defaults.clone();
    match given {
        None => {}
        Some(SqlParams::Named(given)) => values.extend(given),
        Some(SqlParams::Positional(given)) => {
            let places = (1..).map(|place: usize| place.to_string());
            values.extend(places.zip(given));
        }
    }
    Some(passed(saved.parameters.len(), values))
}

/// Returns the values of so many parameters as a query takes them: those with numbers are a list.
pub(crate) fn passed(parameters: usize, values: Map<String, Value>) -> SqlParams {
    let places = (1..=parameters).map(|place| place.to_string());
    let listed: Option<Vec<_>> = places.map(|place| values.get(&place).cloned()).collect();
    match listed {
        Some(listed) if listed.len() == values.len() => SqlParams::Positional(listed),
        _ => SqlParams::Named(values),
    }
}

async fn note(state: &ApiState, principal: &Principal, action: &str, saved: &SavedQuery) {
    let detail = json!({ "query": saved.draft.query });
    audit::note_with(state, principal, action, &saved.draft.name, &detail).await;
}

impl ApiError {
    pub(crate) fn saved_query_not_found(name: &str) -> Self {
        let detail = format!("there is no saved query `{name}`; `GET /api/v1/queries` lists them");
        Self::not_found("saved-query-not-found", "Saved query not found", detail)
    }

    fn saved_query_exists(name: &str) -> Self {
        let detail = format!(
            "there is a saved query `{name}` already; `PUT /api/v1/queries/{name}` replaces it"
        );
        Self::conflict("saved-query-exists", "Saved query exists", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_values_come_before_defaults() {
        let saved = |parameters: &[&str], defaults: serde_json::Value| SavedQueryDraft {
            name: "q".to_owned(),
            query: String::new(),
            description: String::new(),
            parameters: parameters.iter().map(|name| (*name).to_owned()).collect(),
            defaults: defaults.as_object().unwrap().clone(),
            author: String::new(),
        };
        for (saved, given, wanted) in [
            (saved(&["a"], json!({})), json!([1]), json!([1])),
            (
                saved(&["a", "b"], json!({"a": 1, "b": 2})),
                json!({"b": 3}),
                json!({"a": 1, "b": 3}),
            ),
            (
                saved(&["1", "2"], json!({"1": 1, "2": 2})),
                json!([5]),
                json!([5, 2]),
            ),
        ] {
            let given = serde_json::from_value(given).unwrap();
            assert_eq!(json!(values(&saved, Some(given))), wanted);
        }
        assert!(is_name("slow-services") && !is_name("Slow") && !is_name("-a") && !is_name(""));
    }
}
