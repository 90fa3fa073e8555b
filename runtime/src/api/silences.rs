//! Silences: made, looked at, ended, and tried before they are made.

use std::time::Duration;

use aide::transform::TransformOperation;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alerts::AlertBody;
use super::audit;
use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{self, Page};
use super::state::ApiState;
use crate::alerts::labelled;
use crate::domain::fault::FaultReport;
use crate::domain::matcher::all_match;
use crate::domain::{Labels, Matcher, UnixMillis, now_ms};
use crate::registry::matchers;
use crate::spec::{DurationSpec, Texts};
use crate::store::ControlError;
use crate::store::control::{SilenceDraft, StoredSilence};

/// Longer ones are forgotten, and mute what they were not meant for: a maintenance window or a rule
/// says it better.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const MAX_COMMENT_CHARS: usize = 4_000;

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceBody {
    id: i64,
    /// All of them match what it mutes.
    matchers: Vec<String>,
    starts_at: String,
    /// The first moment at which it no longer holds.
    ends_at: String,
    /// Name of the token that made it.
    author: String,
    comment: String,
    /// `pending`, `active` or `expired`.
    state: &'static str,
    created_at: String,
    /// When the log and the alerts' histories said that it ends soon although it still mutes
    /// something.
    noticed_at: Option<String>,
}

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
            state: silence.state(now_ms).as_str(),
            author: silence.author,
            comment: silence.comment,
            created_at: rfc3339(created_ms),
            noticed_at: noticed_ms.map(rfc3339),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SilenceSpec {
    /// Matchers such as `service="shop-api"`, all of which have to match; at least one.
    matchers: Texts,
    /// RFC 3339. Default: now.
    starts_at: Option<String>,
    /// RFC 3339. Needed unless there is a `duration`.
    ends_at: Option<String>,
    /// From its start on: seconds, or text such as `2h`.
    duration: Option<DurationSpec>,
    /// Why. Shown with every alert it mutes.
    #[serde(default)]
    comment: String,
}

impl SilenceSpec {
    fn draft(&self, author: &str, now_ms: UnixMillis) -> ApiResult<SilenceDraft> {
        let mut report = FaultReport::default();
        let matchers = matchers_of(&self.matchers, &mut report);
        let mut moment =
            |key: &str, text: &Option<String>| match text.as_ref()?.parse::<jiff::Timestamp>() {
                Ok(moment) => Some(moment.as_millisecond()),
                Err(_) => {
                    let message =
                        "is not a moment with an offset; write e.g. `2026-11-23T22:00:00Z`";
                    report.fault(format!("/{key}"), message);
                    None
                }
            };
        let starts_ms = moment("startsAt", &self.starts_at).unwrap_or(now_ms);
        let given_end = moment("endsAt", &self.ends_at);
        let ends_ms = match (&self.duration, &self.ends_at) {
            (Some(duration), None) => match duration.resolve(1_000) {
                Ok(duration) => Some(starts_ms.saturating_add(duration.as_millis() as i64)),
                Err(message) => {
                    report.fault("/duration", message);
                    None
                }
            },
            (None, Some(_)) => given_end,
            (Some(_), Some(_)) => {
                report.fault("/duration", "goes with no `endsAt`; leave one of them out");
                None
            }
            (None, None) => {
                report.fault(
                    "/endsAt",
                    "is missing: when the silence ends; or write a `duration` such as `2h`",
                );
                None
            }
        };
        if let Some(ends_ms) = ends_ms {
            let place = if self.duration.is_some() {
                "/duration"
            } else {
                "/endsAt"
            };
            if ends_ms <= starts_ms.max(now_ms) {
                report.fault(place, "has to end after it begins, and after now");
            } else if ends_ms - starts_ms > LONGEST.as_millis() as i64 {
                report.fault(place, "must not hold for longer than a year");
            }
        }
        if self.comment.chars().count() > MAX_COMMENT_CHARS
            || self.comment.chars().any(|c| c.is_control() && c != '\n')
        {
            report.fault(
                "/comment",
                format!("must be text of at most {MAX_COMMENT_CHARS} characters"),
            );
        }
        match ends_ms {
            Some(ends_ms) if report.faults.is_empty() => {
                let (author, comment) = (author.to_owned(), self.comment.clone());
                Ok(SilenceDraft {
                    matchers,
                    starts_ms,
                    ends_ms,
                    author,
                    comment,
                })
            }
            _ => Err(ApiError::invalid_silence(report.faults)),
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SilenceQuery {
    /// Also those that have ended. Default: false.
    #[serde(default)]
    ended: bool,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<SilenceQuery>,
) -> ApiResult<Json<Page<SilenceBody>>> {
    let now_ms = now_ms();
    let limit = page::limit(query.limit)?;
    let before = page::id_cursor(query.cursor.as_deref())?;
    let rows = state
        .parts
        .control
        .silence_page(query.ended, now_ms, before, limit + 1)
        .await?;
    let cursor = |row: &StoredSilence| row.silence.id.to_string();
    Ok(Json(Page::from_rows(rows, limit, cursor, |stored| {
        SilenceBody::new(stored, now_ms)
    })))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("silenceList")
        .tag("silences")
        .summary("Silences, newest first")
}

pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<SilenceSpec>,
) -> ApiResult<Response> {
    let now_ms = now_ms();
    let draft = spec.draft(&principal.name, now_ms)?;
    let stored = state.parts.control.silence_insert(draft, now_ms).await?;
    state.parts.signals.wake_dispatcher();
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

pub(super) fn create_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("silenceCreate")
        .tag("silences")
        .summary("Mute alerts for a while")
        .description(
            "Checks go on, and whoever was told that an alert fires is told of its end. Alerts that still fire when the silence \
             ends are told of then.",
        )
        .response::<201, Json<SilenceBody>>()
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SilencePath {
    id: i64,
}

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(SilencePath { id }): Path<SilencePath>,
) -> ApiResult<Json<SilenceBody>> {
    let stored = state
        .parts
        .control
        .silence_get(id)
        .await?
        .ok_or_else(|| ApiError::silence_not_found(id))?;
    Ok(Json(SilenceBody::new(stored, now_ms())))
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("silenceGet")
        .tag("silences")
        .summary("One silence")
}

pub(super) async fn expire(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SilencePath { id }): Path<SilencePath>,
) -> ApiResult<Json<SilenceBody>> {
    let now_ms = now_ms();
    let stored = match state.parts.control.silence_expire(id, now_ms).await {
        Err(ControlError::NotFound { .. }) => return Err(ApiError::silence_not_found(id)),
        other => other?,
    };
    state.parts.signals.wake_dispatcher();
    audit::note(&state, &principal, "silence.expire", &id.to_string()).await;
    Ok(Json(SilenceBody::new(stored, now_ms)))
}

pub(super) fn expire_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("silenceExpire")
        .tag("silences")
        .summary("End a silence now; it stays in the list of those that ended")
        .response::<200, Json<SilenceBody>>()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SilencePreviewSpec {
    /// As of the silence.
    matchers: Texts,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SilencePreviewBody {
    /// Open alerts that it would mute.
    alerts: Vec<AlertBody>,
    /// Slugs of services of which it would mute some alert, whatever it is called and however
    /// severe it is.
    services: Vec<String>,
}

pub(super) async fn preview(
    State(state): State<ApiState>,
    Json(spec): Json<SilencePreviewSpec>,
) -> ApiResult<Json<SilencePreviewBody>> {
    let mut report = FaultReport::default();
    let matchers = matchers_of(&spec.matchers, &mut report);
    if !report.faults.is_empty() {
        return Err(ApiError::invalid_silence(report.faults));
    }
    let catalog = state.parts.services.catalog();
    let open = state.parts.control.alert_open_list().await?;
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

pub(super) fn preview_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("silencePreview")
        .tag("silences")
        .summary("What a silence would mute now; makes none")
}
