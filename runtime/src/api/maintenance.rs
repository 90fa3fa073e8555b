//! Maintenance windows: those of the files are shown, those of the API are made and taken away
//! here.

use aide::transform::TransformOperation;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit;
use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{Page, PageQuery};
use super::state::ApiState;
use crate::domain::duration::format_duration;
use crate::domain::fault::FaultReport;
use crate::domain::{Maintenance, Matcher, Origin, UnixMillis, now_ms};
use crate::registry::maintenance_compile;
use crate::spec::MaintenanceSpec;
use crate::store::ControlError;
use crate::store::control::{MaintenanceDraft, StoredMaintenance, WindowText};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MaintenanceBody {
    name: String,
    /// All of them match what it mutes; none: every alert.
    #[serde(rename = "match")]
    matchers: Vec<String>,
    start: Option<String>,
    end: Option<String>,
    cron: Option<String>,
    duration: Option<String>,
    timezone: Option<String>,
    origin: Origin,
    /// Name of the token that made it.
    author: Option<String>,
    comment: String,
    is_open: bool,
    /// When it closes, if it is open.
    closes_at: Option<String>,
    /// When it opens next.
    opens_at: Option<String>,
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

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<MaintenanceBody>>> {
    let now_ms = now_ms();
    let catalog = state.parts.services.catalog();
    let mut items: Vec<MaintenanceBody> = catalog
        .maintenance
        .iter()
        .map(|window| MaintenanceBody::new(window, Origin::File, now_ms))
        .collect();
    let stored = state.parts.control.maintenance_list().await?;
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

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("maintenanceList")
        .tag("silences")
        .summary("Maintenance windows by name, those of alerts.yaml first")
}

pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<MaintenanceSpec>,
) -> ApiResult<Response> {
    let now_ms = now_ms();
    let mut report = FaultReport::default();
    let window = maintenance_compile(&spec, "", &mut report);
    let comment = spec.comment.clone().unwrap_or_default();
    if comment.chars().count() > 4_000 {
        report.fault("/comment", "must have at most 4000 characters");
    }
    let Some(window) = window.filter(|_| report.faults.is_empty()) else {
        return Err(ApiError::invalid_maintenance(report.faults));
    };
    if state
        .parts
        .services
        .catalog()
        .maintenance
        .iter()
        .any(|other| other.name == window.name)
    {
        return Err(ApiError::maintenance_exists(&window.name));
    }
    let name = window.name.clone();
    let draft = MaintenanceDraft {
        window,
        author: principal.name.clone(),
        comment,
    };
    let stored = match state.parts.control.maintenance_insert(draft, now_ms).await {
        Err(ControlError::Exists { .. }) => return Err(ApiError::maintenance_exists(&name)),
        other => other?,
    };
    state.parts.signals.wake_dispatcher();
    audit::note(&state, &principal, "maintenance.create", &name).await;
    Ok((
        StatusCode::CREATED,
        Json(MaintenanceBody::stored(stored, now_ms)),
    )
        .into_response())
}

pub(super) fn create_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("maintenanceCreate")
        .tag("silences")
        .summary("Plan a maintenance window, once or again and again")
        .response::<201, Json<MaintenanceBody>>()
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct MaintenancePath {
    name: String,
}

pub(super) async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(MaintenancePath { name }): Path<MaintenancePath>,
) -> ApiResult<NoContent> {
    match state.parts.control.maintenance_delete(&name).await {
        Err(ControlError::NotFound { .. }) => {
            let is_file = state
                .parts
                .services
                .catalog()
                .maintenance
                .iter()
                .any(|window| window.name == name);
            return Err(ApiError::maintenance_not_found(&name, is_file));
        }
        other => other?,
    }
    state.parts.signals.wake_dispatcher();
    audit::note(&state, &principal, "maintenance.delete", &name).await;
    Ok(NoContent)
}

pub(super) fn delete_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("maintenanceDelete")
        .tag("silences")
        .summary("Take a maintenance window away; what it muted is heard again")
}
