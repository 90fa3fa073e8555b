//! Heartbeats: `/ping/{uuid}` takes the calls of jobs, which need no token, because the id is the
//! secret; and the list of them.

use std::convert::Infallible;
use std::time::Duration;

use aide::OperationInput;
use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::audit;
use super::services::SlugPath;
use crate::api::http::auth::Principal;
use crate::api::http::bodies::{BodyLimit, WorkPermit};
use crate::api::http::caller::Caller;
use crate::api::http::endpoint::{ANYONE, Endpoint};
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::heartbeats::HeartbeatBody;
use crate::api_types::scope::Scope::{Read, Write};
use crate::domain::duration::format_duration;
use crate::domain::{Cadence, Ping, Signal};
use crate::monitoring::{HeartbeatStatus, PingError};

const PATH: &str = "/ping/{uuid}";
const SIGNAL_PATH: &str = "/ping/{uuid}/{signal}";

/// The output of a job may be long; of what is sent, the beginning is kept.
const BODY: BodyLimit = BodyLimit {
    bytes: 1024 * 1024,
    timeout: Duration::from_secs(10),
};

/// Declares the operations. `HEAD` is taken as `GET` is.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        ping(Endpoint::post(ANYONE, PATH, receive)).id("pingPost"),
        ping(Endpoint::get(ANYONE, PATH, receive)).id("pingGet"),
        ping(Endpoint::post(ANYONE, SIGNAL_PATH, receive_signal)).id("pingSignalPost"),
        ping(Endpoint::get(ANYONE, SIGNAL_PATH, receive_signal)).id("pingSignalGet"),
        Endpoint::get(Read, "/api/v1/heartbeats", list)
            .id("heartbeatList")
            .summary("Heartbeats of all services, by slug"),
        Endpoint::post(Write, "/api/v1/services/{slug}/heartbeat/rotate", rotate)
            .id("heartbeatRotate")
            .summary("Give a heartbeat another address")
            .description("The address before is refused from now on."),
    ]
}

fn ping(endpoint: Endpoint) -> Endpoint {
    endpoint
        .summary("Receive a ping of a job")
        .description(
            "For jobs. Needs no token: the id is the secret. `start` as the signal when the job begins, `fail` or an \
             exit status from 1 to 255 when it failed; 0 or no signal when it ended well. The body is kept as the \
             message, up to 10 KiB of it. A success means that the ping is kept for good.",
        )
        .too_many("Too many pings of this heartbeat, or from this address")
}

/// Request as it arrives, with its sender.
pub(crate) struct Incoming {
    caller: Caller,
    request: Request,
}

impl FromRequest<ApiState> for Incoming {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Infallible> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        Ok(Self {
            caller,
            request: Request::from_parts(parts, body),
        })
    }
}

impl OperationInput for Incoming {}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct PingPath {
    /// The heartbeat's id.
    uuid: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct SignalPath {
    /// The heartbeat's id.
    uuid: String,
    /// `start`, `fail`, or an exit status from 0 to 255.
    signal: String,
}

async fn receive(
    State(state): State<ApiState>,
    Path(PingPath { uuid }): Path<PingPath>,
    incoming: Incoming,
) -> ApiResult<Response> {
    take(state, uuid, Ok(Signal::Success), incoming).await
}

async fn receive_signal(
    State(state): State<ApiState>,
    Path(SignalPath { uuid, signal }): Path<SignalPath>,
    incoming: Incoming,
) -> ApiResult<Response> {
    let signal = Signal::parse(&signal).ok_or_else(ApiError::signal_not_found);
    take(state, uuid, signal, incoming).await
}

async fn take(
    state: ApiState,
    uuid: String,
    signal: ApiResult<Signal>,
    incoming: Incoming,
) -> ApiResult<Response> {
    let Incoming { caller, request } = incoming;
    state
        .ping_rate_limit
        .admit_caller(caller)
        .map_err(ApiError::too_many_pings)?;
    let service = state.deps.heartbeats.service_of(&uuid);
    let service = service.ok_or_else(ApiError::heartbeat_not_found)?;
    let signal = signal?;
    state
        .ping_rate_limit
        .admit_webhook(&service, "")
        .map_err(ApiError::too_many_pings)?;
    let message = message(&state, caller, request).await?;
    let ping = Ping { signal, message };
    // To its end, though the job may not wait for the answer.
    let working = state.clone();
    let taken = state
        .work
        .spawn(async move { working.deps.heartbeats.ping(&uuid, ping).await });
    let taken = taken
        .await
        .map_err(|error| ApiError::internal(error.into()))?;
    match taken {
        Ok(_) => Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], "OK\n").into_response()),
        Err(error) => {
            if let PingError::NotKept(source) = &error {
                let reason = format!("{source:#}");
                tracing::error!(
                    service,
                    reason,
                    "a ping could not be kept, the job is asked to repeat it"
                );
            }
            Err(ApiError::from(error))
        }
    }
}

/// Reads the message. One that is too long to be read whole is no reason to refuse the ping.
async fn message(state: &ApiState, caller: Caller, request: Request) -> ApiResult<Option<String>> {
    let (mut parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(None);
    }
    let permit = parts.extensions.remove::<WorkPermit>();
    if let Some(permit) = &permit {
        permit.pause();
    }
    let read = state.bodies.read(caller, &parts.headers, body, BODY).await;
    if let Some(permit) = &permit {
        permit.resume().await?;
    }
    match read {
        Ok(body) => Ok(Ping::text_of(&body)),
        Err(error) if error.name() == "too-large" => {
            let kib = BODY.bytes / 1024;
            Ok(Some(format!(
                "(a message of more than {kib} KiB, left out)"
            )))
        }
        Err(error) => Err(error),
    }
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<HeartbeatBody>>> {
    let all = state.deps.heartbeats.all();
    let all = all
        .into_iter()
        .map(|status| HeartbeatBody::new(&state, status).in_list());
    let page = Page::of_sorted(all, &query, |body| body.service.clone())?;
    Ok(Json(page))
}

async fn rotate(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
) -> ApiResult<Json<HeartbeatBody>> {
    if state.deps.registry.record(&slug).is_none() {
        return Err(ApiError::service_not_found(&slug));
    }
    let working = state.clone();
    let rotating = async move {
        let rotated = working.deps.heartbeats.rotate(&slug).await?;
        let status = rotated.ok_or_else(|| ApiError::service_has_no_heartbeat(&slug))?;
        audit::note_with(&working, &principal, "heartbeat.rotate", &slug, &json!({})).await;
        Ok::<_, ApiError>(status)
    };
    let status = state.to_its_end(rotating).await?;
    Ok(Json(HeartbeatBody::new(&state, status)))
}

impl HeartbeatBody {
    /// Returns it without its message: a page of a thousand would have megabytes of them.
    pub(crate) fn in_list(self) -> Self {
        Self {
            message: None,
            ..self
        }
    }

    pub(crate) fn new(state: &ApiState, status: HeartbeatStatus) -> Self {
        let HeartbeatStatus {
            service,
            uuid,
            heartbeat,
            record,
            due_ms,
        } = status;
        let expected = match &heartbeat.cadence {
            Cadence::Every(period) => format!("every {}", format_duration(*period)),
            Cadence::Cron { text, schedule } => format!("{text} ({})", schedule.zone()),
        };
        let path = format!("/ping/{uuid}");
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        Self {
            url: state.settings.public_url.as_ref().map(|url| {
                let base = url.as_str().trim_end_matches('/');
                format!("{base}{path}")
            }),
            service,
            uuid,
            path,
            state: record.state,
            state_since: rfc3339(record.since_ms),
            reason: record.reason,
            expected,
            grace_s: heartbeat.grace.as_secs_f64(),
            max_duration_s: heartbeat.run_limit().as_secs_f64(),
            due_at: due_ms.map(rfc3339),
            last_ping_at: record.last_ms.map(rfc3339),
            last_success_at: record.last_success_ms.map(rfc3339),
            running_since: record.started_ms.map(rfc3339),
            last_duration_s: record.duration_ms.map(seconds),
            exit_status: record.exit_status,
            message: record.message,
            pings: record.pings,
        }
    }
}

impl ApiError {
    fn heartbeat_not_found() -> Self {
        let detail = "there is no such heartbeat; `extrack heartbeats list` shows the addresses";
        Self::not_found("heartbeat-not-found", "Heartbeat not found", detail)
    }

    fn service_has_no_heartbeat(slug: &str) -> Self {
        let detail = format!("service `{slug}` has no `heartbeat`");
        Self::not_found("heartbeat-not-found", "Heartbeat not found", detail)
    }

    fn signal_not_found() -> Self {
        let detail =
            "what follows the id has to be `start`, `fail` or an exit status from 0 to 255";
        Self::not_found("signal-not-found", "Signal not found", detail)
    }

    fn too_many_pings(wait: Duration) -> Self {
        let detail = "too many pings in a short time; come again";
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-pings",
            "Too many pings",
            detail,
        )
        .with_header("retry-after", (wait.as_secs() + 1).to_string())
    }
}

impl From<PingError> for ApiError {
    fn from(error: PingError) -> Self {
        match error {
            PingError::Unknown => Self::heartbeat_not_found(),
            PingError::Busy => Self::busy("too many pings at once; come again"),
            PingError::NotKept(_) => {
                let detail = "the ping could not be kept; repeat it";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "not-taken",
                    "Not taken",
                    detail,
                )
                .with_header("retry-after", "5")
            }
        }
    }
}
