//! Maintenance windows: those of the files are shown, those of the API are made, replaced and taken
//! away here.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::audit;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::maintenance::MaintenanceBody;
use crate::api_types::scope::Scope::{Read, Write};
use crate::domain::duration::format_duration;
use crate::domain::fault::FaultReport;
use crate::domain::{Fault, Maintenance, Matcher, Origin, UnixMillis, now_ms};
use crate::registry::maintenance_compile;
use crate::spec::MaintenanceSpec;
use crate::store::ControlError;
use crate::store::control::{MaintenanceDraft, StoredMaintenance, WindowText};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/maintenance", list)
            .id("maintenanceList")
            .summary("Maintenance windows by name, those of alerts.yaml first"),
        Endpoint::post(Write, "/api/v1/maintenance", create)
            .id("maintenanceCreate")
            .summary("Plan a maintenance window, once or again and again")
            .returns::<201, Json<MaintenanceBody>>(),
        Endpoint::put(Write, "/api/v1/maintenance/{name}", replace)
            .id("maintenanceReplace")
            .summary("Replace a maintenance window; it mutes by the old or the new one throughout"),
        Endpoint::delete(Write, "/api/v1/maintenance/{name}", delete)
            .id("maintenanceDelete")
            .summary("Delete a maintenance window; what it muted is notified again"),
    ]
}

impl MaintenanceBody {
    fn new(window: &Maintenance, origin: Origin, now_ms: UnixMillis) -> Self {
        let text = WindowText::from(&window.recurrence);
        let open = window.recurrence.open_at(now_ms);
        Self {
            name: window.name.clone(),
            matchers: window.matchers.iter().map(Matcher::to_string).collect(),
            start: text.starts_ms.map(rfc3339),
            end: text.ends_ms.map(rfc3339),
            cron: text.cron,
            duration: text.duration.map(format_duration),
            timezone: text.zone,
            origin,
            author: None,
            comment: String::new(),
            is_open: open.is_some(),
            closes_at: open.map(|(_, ends_ms)| rfc3339(ends_ms)),
            opens_at: window
                .recurrence
                .next_after(now_ms)
                .map(|(starts_ms, _)| rfc3339(starts_ms)),
        }
    }

    fn stored(stored: StoredMaintenance, now_ms: UnixMillis) -> Self {
        let StoredMaintenance {
            window,
            author,
            comment,
            ..
        } = stored;
        Self {
            author: Some(author),
            comment,
            ..Self::new(&window, Origin::Api, now_ms)
        }
    }
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<MaintenanceBody>>> {
    let now_ms = now_ms();
    let catalog = state.deps.registry.catalog();
    let mut items: Vec<MaintenanceBody> = catalog
        .maintenance
        .iter()
        .map(|window| MaintenanceBody::new(window, Origin::File, now_ms))
        .collect();
    let stored = state.deps.control.maintenance_list().await?;
    items.extend(
        stored
            .into_iter()
            .map(|stored| MaintenanceBody::stored(stored, now_ms)),
    );
    let key =
        |item: &MaintenanceBody| format!("{}{}", u8::from(item.origin != Origin::File), item.name);
    items.sort_by_cached_key(key);
    Ok(Json(Page::of_sorted(items, &query, key)?))
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<MaintenanceSpec>,
) -> ApiResult<Response> {
    let now_ms = now_ms();
    let draft = draft(&principal, &spec)?;
    let name = draft.window.name.clone();
    if is_of_files(&state, &name) {
        return Err(ApiError::maintenance_exists(&name));
    }
    let stored = match state.deps.control.maintenance_insert(draft, now_ms).await {
        Err(ControlError::Exists { .. }) => return Err(ApiError::maintenance_exists(&name)),
        other => other?,
    };
    state.deps.signals.wake_dispatcher();
    audit::note(&state, &principal, "maintenance.create", &name).await;
    Ok((
        StatusCode::CREATED,
        Json(MaintenanceBody::stored(stored, now_ms)),
    )
        .into_response())
}

fn draft(principal: &Principal, spec: &MaintenanceSpec) -> ApiResult<MaintenanceDraft> {
    let mut report = FaultReport::default();
    let window = maintenance_compile(spec, "", &mut report);
    let comment = spec.comment.clone().unwrap_or_default();
    if comment.chars().count() > 4_000 {
        report.fault("/comment", "must have at most 4000 characters");
    }
    match window.filter(|_| report.faults.is_empty()) {
        Some(window) => Ok(MaintenanceDraft {
            window,
            author: principal.name.clone(),
            comment,
        }),
        None => Err(ApiError::invalid_maintenance(report.faults)),
    }
}

fn is_of_files(state: &ApiState, name: &str) -> bool {
    let catalog = state.deps.registry.catalog();
    catalog.maintenance.iter().any(|window| window.name == name)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct MaintenancePath {
    pub(crate) name: String,
}

async fn replace(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(MaintenancePath { name }): Path<MaintenancePath>,
    Json(spec): Json<MaintenanceSpec>,
) -> ApiResult<Json<MaintenanceBody>> {
    let now_ms = now_ms();
    let draft = draft(&principal, &spec)?;
    if draft.window.name != name {
        let message = format!("must be `{name}`, as in the address: a window keeps its name");
        return Err(ApiError::invalid_maintenance(vec![Fault::new(
            "/name", message,
        )]));
    }
    let stored = match state.deps.control.maintenance_replace(draft, now_ms).await {
        Err(ControlError::NotFound { .. }) => {
            let is_file = is_of_files(&state, &name);
            return Err(ApiError::maintenance_not_found(&name, is_file));
        }
        other => other?,
    };
    state.deps.signals.wake_dispatcher();
    audit::note(&state, &principal, "maintenance.replace", &name).await;
    Ok(Json(MaintenanceBody::stored(stored, now_ms)))
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(MaintenancePath { name }): Path<MaintenancePath>,
) -> ApiResult<NoContent> {
    match state.deps.control.maintenance_delete(&name).await {
        Err(ControlError::NotFound { .. }) => {
            let is_file = is_of_files(&state, &name);
            return Err(ApiError::maintenance_not_found(&name, is_file));
        }
        other => other?,
    }
    state.deps.signals.wake_dispatcher();
    audit::note(&state, &principal, "maintenance.delete", &name).await;
    Ok(NoContent)
}

impl ApiError {
    pub(crate) fn maintenance_not_found(name: &str, is_file: bool) -> Self {
        if is_file {
            let detail =
                format!("the maintenance window `{name}` comes from alerts.yaml; change it there");
            return Self::conflict("owned-by-file", "Window comes from a file", detail);
        }
        let detail = format!(
            "there is no maintenance window `{name}`; `GET /api/v1/maintenance` lists them"
        );
        Self::not_found(
            "maintenance-not-found",
            "Maintenance window not found",
            detail,
        )
    }

    pub(crate) fn maintenance_exists(name: &str) -> Self {
        let detail =
            format!("there is already a maintenance window `{name}`; give this one another name");
        Self::conflict("maintenance-exists", "Maintenance window exists", detail)
    }

    pub(crate) fn invalid_maintenance(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-maintenance", "Invalid maintenance window", faults)
    }
}
