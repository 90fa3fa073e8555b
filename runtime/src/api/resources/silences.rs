//! Silences: made, looked at, ended, and tried before they are made.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::audit;
use crate::alerts::labelled;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::alerts::AlertBody;
use crate::api_types::scope::Scope::{Read, Write};
use crate::api_types::silences::{
    SilenceBody, SilencePreviewBody, SilencePreviewSpec, SilenceSpec,
};
use crate::domain::Fault;
use crate::domain::fault::FaultReport;
use crate::domain::matcher::all_match;
use crate::domain::{Alert, Labels, Matcher, UnixMillis, now_ms};
use crate::registry::matchers;
use crate::spec::Texts;
use crate::store::ControlError;
use crate::store::control::{SilenceDraft, StoredSilence};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/silences", list)
            .id("silenceList")
            .summary("Silences, newest first"),
        Endpoint::post(Write, "/api/v1/silences", create)
            .id("silenceCreate")
            .summary("Mute alerts for a while")
            .description(
                "Checks go on. An alert that was notified as firing is also notified as \
                 resolved. Alerts that still fire when the silence ends are notified then.",
            )
            .returns::<201, Json<SilenceBody>>(),
        Endpoint::post(Read, "/api/v1/silences/preview", preview)
            .id("silencePreview")
            .summary("Preview of what a silence would mute now; makes none"),
        Endpoint::get(Read, "/api/v1/silences/{id}", get)
            .id("silenceGet")
            .summary("One silence"),
        Endpoint::delete(Write, "/api/v1/silences/{id}", expire)
            .id("silenceExpire")
            .summary("End a silence now; it stays in the list of those that ended")
            .returns::<200, Json<SilenceBody>>(),
    ]
}

/// Longest silence. Longer ones are forgotten, and mute what they were not meant for: a maintenance
/// window or a rule is better.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const MAX_COMMENT_CHARS: usize = 4_000;

impl SilenceBody {
    fn new(stored: StoredSilence, now_ms: UnixMillis) -> Self {
        let StoredSilence {
            silence,
            created_ms,
            noticed_ms,
        } = stored;
        Self {
            id: silence.id,
            matchers: silence.matchers.iter().map(Matcher::to_string).collect(),
            starts_at: rfc3339(silence.starts_ms),
            ends_at: rfc3339(silence.ends_ms),
            state: silence.state(now_ms).as_str().to_owned(),
            author: silence.author,
            comment: silence.comment,
            created_at: rfc3339(created_ms),
            noticed_at: noticed_ms.map(rfc3339),
        }
    }
}

impl SilenceSpec {
    fn draft(&self, author: &str, now_ms: UnixMillis) -> ApiResult<SilenceDraft> {
        let mut report = FaultReport::default();
        let matchers = matchers_of(&self.matchers, &mut report);
        let starts_ms = moment("/startsAt", self.starts_at.as_deref(), &mut report);
        let starts_ms = starts_ms.unwrap_or(now_ms);
        let ends_ms = self.ends_ms(starts_ms, now_ms, &mut report);
        let comment = &self.comment;
        if comment.chars().count() > MAX_COMMENT_CHARS
            || comment.chars().any(|c| c.is_control() && c != '\n')
        {
            let message = format!("must be text of at most {MAX_COMMENT_CHARS} characters");
            report.fault("/comment", message);
        }
        match ends_ms {
            Some(ends_ms) if report.faults.is_empty() => Ok(SilenceDraft {
                matchers,
                starts_ms,
                ends_ms,
                author: author.to_owned(),
                comment: comment.clone(),
            }),
            _ => Err(ApiError::invalid_silence(report.faults)),
        }
    }

    fn ends_ms(
        &self,
        starts_ms: UnixMillis,
        now_ms: UnixMillis,
        report: &mut FaultReport,
    ) -> Option<UnixMillis> {
        let (pointer, ends_ms) = match (&self.duration, &self.ends_at) {
            (Some(_), Some(_)) => {
                report.fault("/duration", "goes with no `endsAt`; leave one of them out");
                return None;
            }
            (None, None) => {
                let message =
                    "is missing: when the silence ends; or write a `duration` such as `2h`";
                report.fault("/endsAt", message);
                return None;
            }
            (Some(duration), None) => match duration.resolve(1_000) {
                Ok(duration) => {
                    let ends_ms = starts_ms.saturating_add(duration.as_millis() as i64);
                    ("/duration", ends_ms)
                }
                Err(message) => {
                    report.fault("/duration", message);
                    return None;
                }
            },
            (None, Some(text)) => ("/endsAt", moment("/endsAt", Some(text), report)?),
        };
        if ends_ms <= starts_ms.max(now_ms) {
            report.fault(pointer, "has to end after it begins, and after now");
        } else if ends_ms - starts_ms > LONGEST.as_millis() as i64 {
            report.fault(pointer, "must not hold for longer than a year");
        }
        Some(ends_ms)
    }
}

fn moment(pointer: &str, text: Option<&str>, report: &mut FaultReport) -> Option<UnixMillis> {
    match text?.parse::<jiff::Timestamp>() {
        Ok(moment) => Some(moment.as_millisecond()),
        Err(_) => {
            let message = "is not a moment with an offset; write e.g. `2026-11-23T22:00:00Z`";
            report.fault(pointer, message);
            None
        }
    }
}

fn matchers_of(texts: &Texts, report: &mut FaultReport) -> Vec<Matcher> {
    if texts.as_slice().is_empty() {
        report.fault(
            "/matchers",
            "must have at least one entry: a silence for everything is a mistake",
        );
    }
    matchers(Some(texts), "/matchers", report)
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceQuery {
    /// Also those that have ended. Default: false.
    #[serde(default)]
    ended: bool,
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<SilenceQuery>,
) -> ApiResult<Json<Page<SilenceBody>>> {
    let now_ms = now_ms();
    let limit = page::limit(query.limit)?;
    let before = page::id_cursor(query.cursor.as_deref())?;
    let rows = state
        .deps
        .control
        .silence_page(query.ended, now_ms, before, limit + 1)
        .await?;
    let cursor = |row: &StoredSilence| row.silence.id.to_string();
    Ok(Json(Page::from_rows(rows, limit, cursor, |stored| {
        SilenceBody::new(stored, now_ms)
    })))
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<SilenceSpec>,
) -> ApiResult<Response> {
    let now_ms = now_ms();
    let draft = spec.draft(&principal.name, now_ms)?;
    let stored = state.deps.control.silence_insert(draft, now_ms).await?;
    state.deps.signals.wake_dispatcher();
    let body = SilenceBody::new(stored, now_ms);
    let detail =
        json!({ "matchers": body.matchers, "endsAt": body.ends_at, "comment": body.comment });
    audit::note_with(
        &state,
        &principal,
        "silence.create",
        &body.id.to_string(),
        &detail,
    )
    .await;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct SilencePath {
    pub(crate) id: i64,
}

async fn get(
    State(state): State<ApiState>,
    Path(SilencePath { id }): Path<SilencePath>,
) -> ApiResult<Json<SilenceBody>> {
    let stored = state
        .deps
        .control
        .silence_get(id)
        .await?
        .ok_or_else(|| ApiError::silence_not_found(id))?;
    Ok(Json(SilenceBody::new(stored, now_ms())))
}

pub(crate) async fn expire(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SilencePath { id }): Path<SilencePath>,
) -> ApiResult<Json<SilenceBody>> {
    let now_ms = now_ms();
    let stored = match state.deps.control.silence_expire(id, now_ms).await {
        Err(ControlError::NotFound { .. }) => return Err(ApiError::silence_not_found(id)),
        other => other?,
    };
    state.deps.signals.wake_dispatcher();
    audit::note(&state, &principal, "silence.expire", &id.to_string()).await;
    Ok(Json(SilenceBody::new(stored, now_ms)))
}

/// Returns the silences that mute an open alert now, the first to end first.
pub(crate) async fn of_alert(state: &ApiState, alert: &Alert) -> ApiResult<Vec<SilenceBody>> {
    let now_ms = now_ms();
    let labels = labelled(alert, &state.deps.registry.catalog()).labels;
    let stored = state.deps.control.silence_ending_after(now_ms).await?;
    let muting = stored
        .into_iter()
        .filter(|stored| stored.silence.mutes(&labels, now_ms));
    Ok(muting
        .map(|stored| SilenceBody::new(stored, now_ms))
        .collect())
}

pub(crate) async fn preview(
    State(state): State<ApiState>,
    Json(spec): Json<SilencePreviewSpec>,
) -> ApiResult<Json<SilencePreviewBody>> {
    let mut report = FaultReport::default();
    let matchers = matchers_of(&spec.matchers, &mut report);
    if !report.faults.is_empty() {
        return Err(ApiError::invalid_silence(report.faults));
    }
    let catalog = state.deps.registry.catalog();
    let open = state.deps.control.alert_open_list().await?;
    let alerts = open
        .into_iter()
        .filter(|alert| all_match(&matchers, &labelled(alert, &catalog).labels));
    let rules = catalog.rules.iter().filter(|(slug, rules)| {
        let service = catalog.services.get(*slug).map(AsRef::as_ref);
        rules.iter().any(|rule| {
            all_match(
                &matchers,
                &Labels::of(&rule.name, slug, rule.severity, service),
            )
        })
    });
    let services = rules.map(|(slug, _)| slug.clone()).collect();
    Ok(Json(SilencePreviewBody {
        alerts: alerts.map(AlertBody::from).collect(),
        services,
    }))
}

impl ApiError {
    pub(crate) fn silence_not_found(id: i64) -> Self {
        let detail =
            format!("there is no silence {id}; `GET /api/v1/silences?ended=true` lists them");
        Self::not_found("silence-not-found", "Silence not found", detail)
    }

    pub(crate) fn invalid_silence(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-silence", "Invalid silence", faults)
    }
}
