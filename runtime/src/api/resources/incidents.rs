//! Incidents: times in which a service was not available, by us and by its vendor.

pub(crate) mod notes;
mod timeline;

use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::incidents::{IncidentBody, IncidentDetailBody, IncidentNoteBody};
use crate::api_types::scope::Scope::{Read, Write};
use crate::domain::{IncidentSource, UnixMillis};
use crate::store::{IncidentFilter, IncidentRow};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/incidents", list)
            .id("incidentList")
            .summary("Incidents of services, the last to begin first"),
        Endpoint::get(Read, "/api/v1/incidents/{id}", get)
            .id("incidentGet")
            .summary("One incident with its alerts, who was notified, and what happened when"),
        Endpoint::get(Read, "/api/v1/incidents/{id}/notes", notes::list)
            .id("incidentNoteList")
            .summary("Notes about an incident, oldest first"),
        Endpoint::post(Write, "/api/v1/incidents/{id}/notes", notes::create)
            .id("incidentNoteCreate")
            .summary("Write a note about an incident")
            .description(
                "Notes are never changed, only deleted; a public one is on the status pages too.",
            )
            .returns::<201, Json<IncidentNoteBody>>(),
        Endpoint::delete(Write, "/api/v1/incidents/{id}/notes/{note}", notes::delete)
            .id("incidentNoteDelete")
            .summary(
                "Take back a note about an incident; status pages lose it at their next rendering",
            ),
    ]
}

impl From<IncidentRow> for IncidentBody {
    fn from(row: IncidentRow) -> Self {
        Self {
            id: row.id,
            service: row.service,
            source: row.source,
            kind: row.kind,
            started_at: rfc3339(row.started_ms),
            ended_at: row.ended_ms.map(rfc3339),
            seconds: row.seconds,
            cause: row.cause,
            error_kind: row.error_kind,
            probe: row.probe,
            outcome: row.outcome,
            runs: row.runs,
            reopened: row.reopened,
            alert_id: row.alert_id,
            fired_at: row.fired_ms.map(rfc3339),
            acknowledged_at: row.acknowledged_ms.map(rfc3339),
            acknowledged_by: row.acknowledged_by,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = r"^-?[0-9]{1,18}\.[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only incidents of the service with that slug.
    service: Option<String>,
    /// `ours` or `vendor`.
    #[schemars(with = "Option<IncidentSource>")]
    source: Option<String>,
    /// True: only those that last. False: only those that have ended.
    open: Option<bool>,
    /// Only incidents that lasted into this moment or began behind it, RFC 3339 with an offset.
    from: Option<String>,
    /// Only incidents that began before this moment, RFC 3339 with an offset.
    to: Option<String>,
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<IncidentQuery>,
) -> ApiResult<Json<Page<IncidentBody>>> {
    let limit = page::limit(query.limit)?;
    let cursor = page::key_cursor(query.cursor.as_deref(), |text| place(text).is_some())?;
    let filter = IncidentFilter {
        id: None,
        service: query.service,
        source: page::word(
            "source",
            query.source.as_deref(),
            IncidentSource::parse,
            &IncidentSource::ALL.map(IncidentSource::as_str),
        )?,
        is_open: query.open,
        from_ms: moment("from", query.from.as_deref())?,
        until_ms: moment("to", query.to.as_deref())?,
        before: cursor.and_then(place),
    };
    let rows = state
        .deps
        .results
        .incident_page(filter, limit as usize + 1)
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| format!("{}.{}", row.started_ms, row.id),
        IncidentBody::from,
    )))
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct IncidentPath {
    id: i64,
}

impl IncidentPath {
    pub(crate) fn page(&self) -> String {
        format!("/incidents/{}", self.id)
    }
}

pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(IncidentPath { id }): Path<IncidentPath>,
) -> ApiResult<Json<IncidentDetailBody>> {
    let incident = found(&state, id).await?;
    Ok(Json(timeline::of(&state, incident).await?))
}

async fn found(state: &ApiState, id: i64) -> ApiResult<IncidentRow> {
    let filter = IncidentFilter {
        id: Some(id),
        ..IncidentFilter::default()
    };
    let found = state.deps.results.incident_page(filter, 1).await?;
    let incident = found.into_iter().next();
    incident.ok_or_else(|| ApiError::incident_not_found(id))
}

impl ApiError {
    fn incident_not_found(id: i64) -> Self {
        let detail = format!("there is no incident `{id}`; `GET /api/v1/incidents` lists them");
        Self::not_found("incident-not-found", "Incident not found", detail)
    }
}

/// Returns start and id in a cursor.
fn place(cursor: &str) -> Option<(UnixMillis, i64)> {
    let (started_ms, id) = cursor.split_once('.')?;
    Some((started_ms.parse().ok()?, id.parse().ok()?))
}

fn moment(name: &'static str, text: Option<&str>) -> Result<Option<UnixMillis>, ApiError> {
    text.map(|text| {
        let parsed = text.parse::<jiff::Timestamp>();
        parsed.map(jiff::Timestamp::as_millisecond).map_err(|_| {
            ApiError::bad_parameter(
                name,
                format!("`{text}` is not a moment; write e.g. `2026-11-23T00:00:00+01:00`, with `+` as `%2B`"),
            )
        })
    })
    .transpose()
}
