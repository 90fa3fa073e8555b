//! `POST /v1/traces`: client spans of OpenTelemetry (OTLP over HTTP), where its exporters expect it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{LIMIT, body};
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::ApiError;
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope::Write;
use crate::usage::{Encoding, OtlpError, otlp_answer, otlp_refusal, read_spans};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Write, "/v1/traces", receive)
            .id("traceReport")
            .summary("Report client spans of OpenTelemetry")
            .description(
                "OTLP over HTTP, as `application/x-protobuf` or `application/json`, also with \
                 `content-encoding: gzip`. Client spans of HTTP, RPC and generative AI whose host is a \
                 service's become its calls; token attributes are their units. A span counts once. Answers and \
                 refusals are those of OTLP.",
            )
            .takes_lines(LIMIT, "application/x-protobuf"),
    ]
}

/// Codes of gRPC that refusals carry.
const INVALID_ARGUMENT: i32 = 3;
const UNAVAILABLE: i32 = 14;

async fn receive(State(state): State<ApiState>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(encoding) = encoding(&headers) else {
        return ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            "the body must be `application/x-protobuf` or `application/json`",
        )
        .into_response();
    };
    match take(&state, &headers, encoding, body).await {
        Ok(answer) => ([(CONTENT_TYPE, media_type(encoding))], answer).into_response(),
        Err(error) => refuse(encoding, error),
    }
}

async fn take(
    state: &ApiState,
    headers: &HeaderMap,
    encoding: Encoding,
    body: Bytes,
) -> Result<Vec<u8>, ApiError> {
    let _permit = body::permit(state)?;
    let body = body::inflated(headers, body)?;
    let spans = read_spans(encoding, &body)?;
    drop(body);
    let hosts = state.deps.calls.hosts(&state.deps.registry.catalog());
    let taken = spans.into_calls(&hosts);
    if !taken.calls.is_empty() {
        state.deps.calls.report(taken.calls).await?;
    }
    let reason = taken.reasons.join("; ");
    Ok(otlp_answer(encoding, taken.rejected, &reason))
}

/// Exporters send again what is refused with 429, 502, 503 or 504, after `Retry-After`, and drop the
/// rest.
fn refuse(encoding: Encoding, error: ApiError) -> Response {
    let code = if error.is_retryable() {
        UNAVAILABLE
    } else {
        INVALID_ARGUMENT
    };
    let body = otlp_refusal(encoding, code, &error.detail());
    let mut response = error.into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        media_type(encoding)
            .parse()
            .expect("a media type is a header value"),
    );
    headers.remove(axum::http::header::CONTENT_LENGTH);
    let (parts, _) = response.into_parts();
    Response::from_parts(parts, body.into())
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let media = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media = media.split(';').next().unwrap_or_default().trim();
    match media.to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Some(Encoding::Protobuf),
        "application/json" => Some(Encoding::Json),
        _ => None,
    }
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    }
}

impl From<OtlpError> for ApiError {
    fn from(error: OtlpError) -> Self {
        let status = match error {
            OtlpError::Malformed(_) => StatusCode::BAD_REQUEST,
            OtlpError::TooManySpans => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self::new(status, "bad-request", "Bad request", error.to_string())
    }
}
