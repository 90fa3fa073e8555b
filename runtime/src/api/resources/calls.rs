//! `POST /api/v1/calls`: calls that did not pass the gateway, a line each.

mod body;
mod line;
pub(crate) mod traces;

use std::time::Duration;

use aide::openapi::{MediaType, ReferenceOr, RequestBody};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use crate::api::http::bodies::BodyLimit;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api_types::calls::{CallLine, CallsReported, RefusedLine};
use crate::api_types::scope::Scope::Write;
use crate::usage::{ReportError, Reported};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Write, "/api/v1/calls", report)
            .id("callReport")
            .summary("Report calls to services, a line of JSON each")
            .description(
                "For calls that did not pass the gateway. A call is known by its service and its id, \
                 and counts once however often it is reported: after an error, or without an answer, send \
                 the same lines again. A success means that the calls are kept for good. At most 10,000 lines and \
                 8 MiB, also with `content-encoding: gzip`.",
            )
            .takes_lines(LIMIT, "application/x-ndjson")
            .returns::<200, Json<CallsReported>>(),
    ]
}

/// A body of 10,000 lines, at the pace of a poor mobile connection.
const LIMIT: BodyLimit = BodyLimit {
    bytes: 8 * 1024 * 1024,
    timeout: Duration::from_secs(60),
};
const MAX_LINES: usize = 10_000;
const MAX_LINE_BYTES: usize = 16 * 1024;

async fn report(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Json<CallsReported>> {
    let _permit = body::permit(&state)?;
    let body = body::inflated(&headers, body)?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::body_missing("one line of JSON for each call"));
    }
    let catalog = state.deps.registry.catalog();
    let (mut calls, mut refused) = (Vec::new(), Vec::new());
    for (index, text) in body.split(|byte| *byte == b'\n').enumerate() {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if calls.len() + refused.len() >= MAX_LINES {
            return Err(too_many_lines());
        }
        let read = if text.len() <= MAX_LINE_BYTES {
            serde_json::from_slice::<CallLine>(text).map_err(|error| error.to_string())
        } else {
            Err(format!(
                "the line is longer than {} KiB",
                MAX_LINE_BYTES / 1024
            ))
        };
        match read.and_then(|read| line::call(read, &catalog)) {
            Ok(call) => calls.push(call),
            Err(reason) => refused.push(RefusedLine {
                line: index + 1,
                reason,
            }),
        }
    }
    let Reported {
        accepted,
        duplicates,
    } = if calls.is_empty() {
        Reported::default()
    } else {
        state.deps.calls.report(calls).await?
    };
    Ok(Json(CallsReported {
        accepted,
        duplicates,
        refused,
    }))
}

fn too_many_lines() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-many-lines",
        "Too many lines",
        format!("the body has more than {MAX_LINES} lines; send them in several requests"),
    )
}

impl Endpoint {
    /// Reads a body of its own form, within its own limit.
    pub(super) fn takes_lines(mut self, limit: BodyLimit, media_type: &'static str) -> Self {
        self.set_body(limit);
        self.documented(move |mut operation| {
            let content = [(media_type.to_owned(), MediaType::default())];
            operation.inner_mut().request_body = Some(ReferenceOr::Item(RequestBody {
                content: content.into_iter().collect(),
                required: true,
                ..RequestBody::default()
            }));
            operation
        })
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Busy => Self::busy("too many reports of calls at once; come again"),
            ReportError::NotStored(reason) => {
                tracing::error!(
                    reason,
                    "calls that were reported could not be stored; their sender was asked to repeat them"
                );
                let detail = "the calls could not be stored; report them again later";
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
