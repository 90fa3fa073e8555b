//! `POST /api/v1/rules/backtest`: what a rule would have said over the stored history.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use aide::transform::TransformOperation;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::auth::{Principal, Scope};
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::state::ApiState;
use crate::alerts::backtest::{
    BacktestProgress, BacktestReport, BacktestRequest, Compared, Episode, RuleChoice,
    ServiceBacktest,
};
use crate::domain::duration::parse_duration;
use crate::domain::{UnixMillis, now_ms};

/// Lines that wait for a slow reader. Progress that does not fit is left out.
const LINES: usize = 16;

/// One backtest takes no longer, streamed or not.
const LONGEST: Duration = Duration::from_secs(30 * 60);

const NDJSON: &str = "application/x-ndjson";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BacktestBody {
    rule: RuleBody,
    /// How long ago it begins, as `30d`, or a moment in RFC 3339. Default: `30d`.
    since: Option<String>,
    /// The same for its end. Default: now.
    until: Option<String>,
    /// Slugs. Default: every service that the rule looks at.
    services: Option<Vec<String>>,
    /// A version of the rule's plugin to try, in base64: a WebAssembly component. Needs the scope
    /// `deploy`. Default: the active version.
    component: Option<String>,
}

/// A rule in force by its name, or an entry as of `alerts` in `alerts.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RuleBody {
    Named(String),
    Entry(Map<String, Value>),
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportBody {
    rule: String,
    plugin: String,
    plugin_version: String,
    /// sha256 of the component, in hex.
    digest: String,
    since: String,
    until: String,
    evaluations: u64,
    /// Null when nothing was evaluated.
    evaluations_per_second: Option<u64>,
    /// Alerts that would have fired.
    fired: usize,
    /// How long, all together.
    firing_ms: i64,
    /// Alerts that really fired, and how many of them are among those that would have.
    really_fired: usize,
    really_found: usize,
    /// The rule says different things for the same history: nothing here can be relied on.
    impure: bool,
    /// By the name of the channel: messages after routing, grouping, repeats and escalation, if
    /// nobody had acknowledged anything. Silences and maintenance are those of that time,
    /// everything else is as it is configured now.
    messages: BTreeMap<String, u64>,
    /// There would have been more messages than were counted.
    messages_cut: bool,
    services: Vec<ServiceBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ServiceBody {
    service: String,
    evaluations: u64,
    /// Evaluations that gave no verdict, and why the first of them did not.
    failures: u64,
    first_failure: Option<String>,
    /// Breaches that ended before they fired.
    cleared: u64,
    alerts: Vec<EpisodeBody>,
    /// Alerts beyond those that are listed.
    omitted: u64,
    /// What the rule of that name did in the same time.
    really: Vec<EpisodeBody>,
    /// What the rule that is in force would have done; null where it is the one that was tried.
    current: Option<Vec<EpisodeBody>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EpisodeBody {
    started_at: String,
    fired_at: String,
    /// Null: it fires still at the end.
    resolved_at: Option<String>,
    firing_ms: i64,
    summary: String,
    /// In `alerts`: what would have kept people from hearing of it when it fired, such as `silence
    /// 3`.
    suppressed_by: Option<String>,
    /// In `alerts`: it really fired as well. In `really` and `current`: it would have fired too.
    matched: bool,
}

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

pub(super) async fn backtest(
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
        let report = state
            .parts
            .backtests
            .backtest(request, &|_| {})
            .await
            .map_err(ApiError::from_backtest)?;
        return Ok(Json(ReportBody::from(&report)).into_response());
    }
    let (lines, receiver) = mpsc::channel::<Bytes>(LINES);
    // Ends the work with the body, and with the program.
    let cancel = state.shutdown.child_token();
    let reader = cancel.clone().drop_guard();
    let tracker = state.work.clone();
    let work = async move {
        let told = lines.clone();
        let progress = move |progress: BacktestProgress| {
            let BacktestProgress {
                observations,
                of_observations,
            } = progress;
            let line = json!({"progress": {"observations": observations, "ofObservations": of_observations}});
            let _ = told.try_send(line_of(&line));
        };
        let running = state.parts.backtests.backtest(request, &progress);
        let last = match tokio::time::timeout(LONGEST, running).await {
            Ok(Ok(report)) => json!({"report": ReportBody::from(&report)}),
            Ok(Err(refusal)) => json!({"error": ApiError::from_backtest(refusal).detail()}),
            Err(_) => {
                json!({"error": format!("not done within {} minutes; ask for a shorter time", LONGEST.as_secs() / 60)})
            }
        };
        let _ = lines.send(line_of(&last)).await;
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

fn line_of(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

pub(super) fn backtest_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("ruleBacktest")
        .tag("alerts")
        .summary("What a rule would have said over the stored history")
        .description(
            "Runs the rule and the lifecycle of alerts over stored observations; changes nothing and tells nobody. With \
             `Accept: application/x-ndjson` the answer is lines: `{\"progress\": …}` while it runs, then `{\"report\": …}` or \
             `{\"error\": …}`.",
        )
        .response::<200, Json<ReportBody>>()
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
