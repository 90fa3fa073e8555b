//! `POST /api/v1/rules/backtest`: what a rule would have said over the stored history.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::alerts::message_simulation::Episode;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api_types::backtest::{
    BacktestBody, BacktestLine, EpisodeBody, ProgressBody, ReportBody, RuleBody, ServiceBody,
};
use crate::api_types::scope::Scope;
use crate::api_types::scope::Scope::Write;
use crate::backtest::{
    BacktestError, BacktestProgress, BacktestReport, BacktestRequest, Compared, RuleChoice,
    ServiceBacktest,
};
use crate::domain::duration::parse_duration;
use crate::domain::{UnixMillis, now_ms};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Write, "/api/v1/rules/backtest", backtest)
            .takes_component()
            .id("ruleBacktest")
            .summary("Run a rule over the stored history")
            .description(
                "Runs the rule and the lifecycle of alerts over stored observations; changes \
                 nothing and sends nothing. With `Accept: application/x-ndjson` the answer is \
                 lines: `{\"progress\": …}` while it runs, then `{\"report\": …}` or \
                 `{\"error\": …}`.",
            )
            .returns::<200, Json<ReportBody>>(),
    ]
}

/// Lines that wait for a slow reader. Progress that does not fit is left out.
const LINES: usize = 16;

/// Limit of one backtest, streamed or not.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

const NDJSON: &str = "application/x-ndjson";

impl From<&BacktestReport> for ReportBody {
    fn from(report: &BacktestReport) -> Self {
        let sum = |of: fn(&ServiceBacktest) -> usize| report.services.iter().map(of).sum();
        Self {
            rule: report.rule.clone(),
            plugin: report.plugin.clone(),
            plugin_version: report.plugin_version.clone(),
            digest: report.digest.clone(),
            since: rfc3339(report.since_ms),
            until: rfc3339(report.until_ms),
            evaluations: report.evaluations(),
            evaluations_per_second: report.evaluations_per_second(),
            fired: sum(|service| service.outcome.episodes.len()),
            firing_ms: report.firing_ms(),
            really_fired: sum(|service| service.really.len()),
            really_found: sum(|service| service.with_really.both.len()),
            impure: report
                .services
                .iter()
                .any(|service| service.outcome.is_impure),
            messages: report.messages.clone(),
            messages_cut: report.messages_cut,
            services: report
                .services
                .iter()
                .map(|service| service_body(service, report.until_ms))
                .collect(),
        }
    }
}

fn service_body(service: &ServiceBacktest, until_ms: UnixMillis) -> ServiceBody {
    let list = |episodes: &[Episode], is_matched: &dyn Fn(usize) -> bool| -> Vec<EpisodeBody> {
        let body = |(index, episode): (usize, &Episode)| EpisodeBody {
            started_at: rfc3339(episode.started_ms),
            fired_at: rfc3339(episode.fired_ms),
            resolved_at: episode.resolved_ms.map(rfc3339),
            firing_ms: (episode.resolved_ms.unwrap_or(until_ms) - episode.fired_ms).max(0),
            summary: episode.summary.clone(),
            suppressed_by: None,
            matched: is_matched(index),
        };
        episodes.iter().enumerate().map(body).collect()
    };
    let is_second = |compared: &Compared, index: usize| {
        compared.both.iter().any(|(_, second)| *second == index)
    };
    let outcome = &service.outcome;
    let mut alerts = list(&outcome.episodes, &|index| {
        service
            .with_really
            .both
            .iter()
            .any(|(first, _)| *first == index)
    });
    for (index, mute) in &service.suppressed_by {
        alerts[*index].suppressed_by = Some(mute.clone());
    }
    ServiceBody {
        service: service.service.clone(),
        evaluations: outcome.evaluations,
        failures: outcome.failures,
        first_failure: outcome.first_failure.clone(),
        cleared: outcome.cleared,
        alerts,
        omitted: outcome.omitted,
        really: list(&service.really, &|index| {
            is_second(&service.with_really, index)
        }),
        current: service
            .current
            .as_ref()
            .zip(service.with_current.as_ref())
            .map(|(current, compared)| list(current, &|index| is_second(compared, index))),
    }
}

async fn backtest(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    Json(body): Json<BacktestBody>,
) -> ApiResult<Response> {
    let request = request(body, &principal)?;
    let wants_lines = headers
        .get(ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(NDJSON.as_bytes()));
    if !wants_lines {
        let report = state.deps.backtests.backtest(request, &|_| {}).await?;
        return Ok(Json(ReportBody::from(&report)).into_response());
    }
    let (lines, receiver) = mpsc::channel::<Bytes>(LINES);
    // Ends the work with the body, and with the program.
    let cancel = state.shutdown.child_token();
    let reader = cancel.clone().drop_guard();
    let tracker = state.work.clone();
    let work = async move {
        let sender = lines.clone();
        let progress = move |progress: BacktestProgress| {
            let BacktestProgress {
                observations,
                of_observations,
            } = progress;
            let line = BacktestLine::Progress(ProgressBody {
                observations,
                of_observations,
            });
            let _ = sender.try_send(bytes_of(&line));
        };
        let running = state.deps.backtests.backtest(request, &progress);
        let last = match tokio::time::timeout(TIMEOUT, running).await {
            Ok(Ok(report)) => BacktestLine::Report(Box::new(ReportBody::from(&report))),
            Ok(Err(refusal)) => BacktestLine::Error(ApiError::from(refusal).detail()),
            Err(_) => BacktestLine::Error(format!(
                "not done within {} minutes; ask for a shorter time",
                TIMEOUT.as_secs() / 60
            )),
        };
        let _ = lines.send(bytes_of(&last)).await;
    };
    // A task of its own: a reader that stalls must not stop the work, which would keep its place
    // for ever.
    tracker.spawn(async move {
        let _ = cancel.run_until_cancelled(work).await;
    });
    let body = ReceiverStream::new(receiver).map(move |line| {
        let _ends_with_the_body = &reader;
        Ok::<_, Infallible>(line)
    });
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(([content_type], Body::from_stream(body)).into_response())
}

fn bytes_of(line: &BacktestLine) -> Bytes {
    // Plain JSON: a line can't fail to be written.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

fn request(body: BacktestBody, principal: &Principal) -> ApiResult<BacktestRequest> {
    let component = match body.component {
        None => None,
        Some(_) if !principal.may(Scope::Deploy) => {
            return Err(ApiError::scope_missing(Scope::Deploy));
        }
        Some(text) => {
            let bytes = STANDARD.decode(text.trim());
            Some(
                bytes
                    .map_err(|_| {
                        ApiError::bad_parameter("/component", "`component` is not base64")
                    })?
                    .into(),
            )
        }
    };
    let now_ms = now_ms();
    let since_ms = moment("/since", body.since.as_deref().unwrap_or("30d"), now_ms)?;
    let until_ms = body
        .until
        .as_deref()
        .map_or(Ok(now_ms), |text| moment("/until", text, now_ms))?;
    if since_ms >= until_ms {
        return Err(ApiError::bad_parameter(
            "/since",
            "`since` has to be before `until`",
        ));
    }
    let rule = match body.rule {
        RuleBody::Named(name) => RuleChoice::Named(name),
        RuleBody::Entry(spec) => RuleChoice::Spec(Value::Object(spec)),
    };
    Ok(BacktestRequest {
        rule,
        component,
        by: principal.name.clone(),
        since_ms,
        until_ms,
        services: body.services,
    })
}

/// So long ago, or at a moment.
fn moment(pointer: &str, text: &str, now_ms: UnixMillis) -> ApiResult<UnixMillis> {
    if let Ok(ago) = parse_duration(text) {
        return Ok(now_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)));
    }
    let moment: Result<jiff::Timestamp, _> = text.parse();
    moment.map(|moment| moment.as_millisecond()).map_err(|_| {
        let detail =
            format!("`{text}` is neither a duration such as `30d` nor a moment such as `2026-01-31T00:00:00Z`");
        ApiError::bad_parameter(pointer, detail)
    })
}

impl From<BacktestError> for ApiError {
    fn from(refusal: BacktestError) -> Self {
        let detail = refusal.to_string();
        match refusal {
            BacktestError::UnknownRule(_) => {
                Self::not_found("rule-not-found", "Rule not found", detail)
            }
            BacktestError::UnknownService(_) | BacktestError::NoService => {
                Self::not_found("service-not-found", "Service not found", detail)
            }
            BacktestError::Invalid(faults) => {
                let faults = faults.into_iter().map(|fault| fault.under("/rule"));
                Self::invalid("invalid-rule", "Invalid rule", faults.collect())
            }
            BacktestError::Plugin(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "plugin-refused",
                "Plugin refused",
                detail,
            ),
            BacktestError::Busy => Self::busy(detail),
            BacktestError::Failed(_) => Self::internal(anyhow::Error::new(refusal)),
        }
    }
}
