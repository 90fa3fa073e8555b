//! Layers around every route: bounds on time and number, panics caught, security headers, and one
//! shape for all errors.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{
    self, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::bodies::{BodyLimit, WorkPermit};
use super::caller::Caller;
use super::error::{ApiError, PROBLEM_JSON};
use super::state::ApiState;

/// JSON bodies; a service with many probes is a few KiB.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Components; the largest toolchains (JavaScript, Python) make 10 to 40 MiB.
pub(crate) const MAX_COMPONENT_BYTES: usize = 64 * 1024 * 1024;
/// A form of the dashboard.
pub(crate) const FORM: BodyLimit = BodyLimit {
    bytes: 16 * 1024,
    timeout: Duration::from_secs(10),
};
/// A form with the description of a service, of which each character takes up to three there.
pub(crate) const TEXT_FORM: BodyLimit = BodyLimit {
    bytes: 3 * MAX_BODY_BYTES,
    timeout: Duration::from_secs(20),
};
/// A form with texts and statements.
pub(crate) const LONG_FORM: BodyLimit = BodyLimit {
    bytes: MAX_BODY_BYTES,
    timeout: Duration::from_secs(20),
};
/// JSON, at the pace of a poor mobile connection.
pub(crate) const JSON: BodyLimit = BodyLimit {
    bytes: MAX_BODY_BYTES,
    timeout: Duration::from_secs(20),
};
pub(crate) const COMPONENT: BodyLimit = BodyLimit {
    bytes: MAX_COMPONENT_BYTES,
    timeout: Duration::from_secs(180),
};
/// A component in a form, with the other fields.
pub(crate) const COMPONENT_FORM: BodyLimit = BodyLimit {
    bytes: MAX_COMPONENT_BYTES + 64 * 1024,
    timeout: COMPONENT.timeout,
};
/// Time from the last byte of a request to the head of its answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// The same where a probe runs, a component is uploaded and compiled, or SQL is evaluated.
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_secs(180);
/// Limit of the texts of the framework's own errors, which are short.
const MAX_REFUSAL_BYTES: usize = 4 * 1024;

const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                   form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Outermost: no answer leaves without these.
pub(crate) async fn security_headers(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        // What is made to be shown on pages of others is marked so.
        if name == "cross-origin-resource-policy" && headers.contains_key(&name) {
            continue;
        }
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if state.is_https() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    response
}

/// Counts requests by route, never by path: paths are the caller's.
pub(crate) async fn measure(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = method_label(request.method());
    let started = Instant::now();
    let response = next.run(request).await;
    let duration = started.elapsed();
    let status = response.status().as_u16();
    tracing::debug!(
        method,
        route,
        status,
        duration_ms = duration.as_millis() as u64,
        "answered a request"
    );
    metrics::counter!(
        "extrack_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string()
    )
    .increment(1);
    metrics::histogram!("extrack_http_request_duration_seconds", "route" => route)
        .record(duration.as_secs_f64());
    response
}

/// Methods are the caller's text too.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    const NAMES: [&str; KNOWN.len()] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN
        .iter()
        .position(|known| known == method)
        .map_or("other", |index| NAMES[index])
}

/// Turns errors of ours and of the framework into problem+json; pages answer for themselves.
pub(crate) async fn one_error_shape(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let shaped = |headers: &HeaderMap| {
        headers.get(CONTENT_TYPE).is_some_and(|value| {
            value == PROBLEM_JSON
                || value.as_bytes().starts_with(b"text/html")
                || value == "application/json"
                || value == "application/x-protobuf"
        })
    };
    if shaped(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, MAX_REFUSAL_BYTES)
        .await
        .unwrap_or_default();
    let mut problem =
        ApiError::from_status(status, String::from_utf8_lossy(&text).into_owned()).into_response();
    for (name, value) in &parts.headers {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

pub(crate) fn on_panic(panic: Box<dyn Any + Send>) -> Response<Body> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned());
    ApiError::internal(anyhow::anyhow!("a handler panicked: {text}")).into_response()
}

/// Middleware that rejects at once what is too much, so that what was accepted stays quick. Live
/// connections hold their own permit, and health is answered however busy the rest is.
pub(crate) async fn bound_in_flight(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let Some(permit) = WorkPermit::acquire(&state.in_flight) else {
        return ApiError::busy("too many requests are being worked on; come again in a moment")
            .into_response();
    };
    request.extensions_mut().insert(permit.clone());
    request.extensions_mut().insert(state);
    let response = next.run(request).await;
    drop(permit);
    response
}

/// Middleware in front of each handler: reads the body first; meanwhile the request counts as
/// waiting.
pub(crate) async fn read_body(limit: BodyLimit, mut request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let extensions = request.extensions_mut();
    let (Some(permit), Some(state)) = (
        extensions.remove::<WorkPermit>(),
        extensions.remove::<ApiState>(),
    ) else {
        return ApiError::internal(anyhow::anyhow!(
            "a body is read outside of `bound_in_flight`"
        ))
        .into_response();
    };
    let (mut parts, body) = request.into_parts();
    let Ok(caller) = Caller::from_request_parts(&mut parts, &state).await;
    permit.pause();
    let read = state.bodies.read(caller, &parts.headers, body, limit).await;
    match (read, permit.resume().await) {
        (Ok(body), Ok(())) => next.run(Request::from_parts(parts, body.into())).await,
        (Err(error), _) | (_, Err(error)) => error.into_response(),
    }
}

pub(crate) async fn give_up_after(timeout: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timed_out(timeout.as_secs()).into_response(),
    }
}

impl ApiError {
    pub(crate) fn path_not_found(path: &str) -> Self {
        let detail = format!(
            "there is nothing at `{path}`; `GET /api/v1/openapi.json` describes what there is"
        );
        Self::not_found("path-not-found", "Path not found", detail)
    }

    pub(crate) fn timed_out(after_s: u64) -> Self {
        let detail = format!("the request was given up after {after_s} s");
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timed-out",
            "Timed out",
            detail,
        )
    }

    /// Returns the error for what the framework refuses on its own: a body that is no JSON, a wrong
    /// method, a body that is too large.
    pub(crate) fn from_status(status: StatusCode, detail: String) -> Self {
        let (name, title) = match status {
            StatusCode::BAD_REQUEST => ("bad-request", "Bad request"),
            StatusCode::NOT_FOUND => ("path-not-found", "Path not found"),
            StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "Method not allowed"),
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "Body too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported-media-type", "Unsupported media type")
            }
            StatusCode::UNPROCESSABLE_ENTITY => ("invalid-body", "Invalid body"),
            status if status.is_client_error() => ("bad-request", "Bad request"),
            _ => return Self::internal(anyhow::anyhow!("answered {status}: {detail}")),
        };
        let detail = match detail.trim() {
            "" if status == StatusCode::METHOD_NOT_ALLOWED => {
                "this path does not take that method; the `Allow` header says which it takes"
                    .to_owned()
            }
            "" => title.to_lowercase(),
            text => text.to_owned(),
        };
        Self::new(status, name, title, detail)
    }
}
