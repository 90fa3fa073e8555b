//! Answers of our own, as RFC 9457 problems, so that a client can tell them from the vendor's.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::admission::Denied;
use crate::domain::{Quota, QuotaScope, QuotaWindow};
use crate::plugin_host::SigningError;

/// A call that the gateway answers by itself.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// Last part of the problem's type.
    name: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    /// Word for the record of the call.
    pub(super) kind: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        name: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            name,
            title,
            detail: detail.into(),
            kind: name,
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1_000).max(1);
        self.with("retry-after", seconds.to_string())
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let body = json!({
            "type": format!("urn:problem-type:extrack:{}", self.name),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        response
    }
}

/// Named constructors, in the order in which a call is judged.
impl Refusal {
    /// Closes the connection: where the next message begins is not known.
    pub(super) fn ambiguous_framing(detail: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "ambiguous-framing",
            "Ambiguous framing",
            detail,
        )
        .with("connection", "close")
    }

    pub(super) fn unknown_service(slug: &str) -> Self {
        let slug: String = slug.chars().take(100).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "gateway-service-not-found",
            "No such service in the gateway",
            format!(
                "no service `{slug}` is open to consumers; open one with `gateway` in its settings"
            ),
        )
    }

    pub(super) fn token_missing() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "consumer-token-missing",
            "Token missing",
            "send the consumer's token as `Authorization: Bearer`, `X-Extrack-Token` or basic password; `extrack consumers add` makes one",
        )
        .with("www-authenticate", "Bearer realm=\"extrack gateway\"")
    }

    pub(super) fn token_unknown() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "consumer-token-unknown",
            "Unknown token",
            "no consumer has this token; `extrack consumers list` shows who there is",
        )
        .with(
            "www-authenticate",
            "Bearer realm=\"extrack gateway\", error=\"invalid_token\"",
        )
    }

    pub(super) fn service_denied(consumer: &str, service: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "consumer-service-denied",
            "Service not allowed",
            format!("consumer `{consumer}` may not call `{service}`; add one that may with `extrack consumers add NAME --service {service}`"),
        )
        .kind("denied")
    }

    pub(super) fn method_denied(method: &str, allowed: &[String]) -> Self {
        let method: String = method.chars().take(32).collect();
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "gateway-method-denied",
            "Method not allowed",
            format!("`{method}` is not among `gateway.methods` of the service"),
        )
        .with("allow", allowed.join(", "))
        .kind("method")
    }

    pub(super) fn path_ambiguous(why: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "gateway-path-ambiguous",
            "Ambiguous path",
            format!("the path {why}, which servers read in different ways"),
        )
        .kind("path")
    }

    pub(super) fn path_denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "gateway-path-denied",
            "Path not allowed",
            "the path matches none of `gateway.paths` of the service",
        )
        .kind("path")
    }

    /// Names whose limit it is, in the fields of draft-ietf-httpapi-ratelimit-headers.
    pub(super) fn denied(denied: Denied, consumer: &str, service: &str) -> Self {
        match denied {
            Denied::InFlight { limit } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "gateway-busy",
                "Too many calls at once",
                format!("{limit} calls to `{service}` are in progress, which is `gateway.maxInFlight` of the service"),
            )
            .retry_after(Duration::from_secs(1))
            .kind("in_flight"),
            Denied::Quota { quota, reset_ms } => {
                let policy = match quota.scope {
                    QuotaScope::Consumer => format!("consumer/{consumer}"),
                    QuotaScope::Service => format!("service/{service}"),
                };
                let wait = Duration::from_millis(reset_ms.unsigned_abs());
                let seconds = wait.as_millis().div_ceil(1_000);
                Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "gateway-quota-exceeded",
                    "Quota used up",
                    format!(
                        "`{policy}` may make {} calls a {}, and has; this is a limit of the gateway, not of the vendor",
                        quota.calls,
                        quota.window.as_str()
                    ),
                )
                .with(
                    "ratelimit-policy",
                    format!("\"{policy}\";q={};w={}", quota.calls, window_seconds(quota)),
                )
                .with("ratelimit", format!("\"{policy}\";r=0;t={seconds}"))
                .retry_after(wait)
                .kind("quota")
            }
        }
    }

    /// The client forbade to ask the vendor (RFC 9111, 5.2.1.7).
    pub(super) fn not_kept() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "gateway-not-cached",
            "No kept answer",
            "the request wants a kept answer only (`only-if-cached`), and there is none",
        )
        .kind("cache")
    }

    pub(super) fn breaker_open(service: &str, wait: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "gateway-breaker-open",
            "The service is failing",
            format!("`{service}` has failed too often just now, so nothing was sent to it"),
        )
        .retry_after(wait)
        .kind("breaker")
    }

    pub(super) fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "gateway-stopping",
            "Stopping",
            "the gateway is stopping",
        )
        .retry_after(Duration::from_secs(5))
        .kind("stopping")
    }

    pub(super) fn request_wrong(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "gateway-request-wrong",
            "Request can't be passed on",
            detail,
        )
        .kind("request")
    }

    /// The credential signs requests, and not this one.
    pub(super) fn unsigned(error: SigningError) -> Self {
        match error {
            SigningError::Request(_) => {
                Self::request_wrong(format!("the request can't be signed: {error}"))
                    .kind("credential")
            }
            SigningError::Credential(_) => {
                let detail = format!("the service's credential does not sign: {error}");
                Self::vendor_failed("credential", detail)
            }
        }
    }

    /// The credential signs bodies, and this one is too large for it.
    pub(super) fn body_unsigned(most: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "gateway-body-too-large",
            "Body too large to be signed",
            format!("the service's credential signs the body, which is read for it up to {most} bytes; send less at a time"),
        )
        .kind("credential")
    }

    pub(super) fn no_room_to_sign() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "gateway-signing-busy",
            "Too many bodies are being signed",
            "the room for bodies that are read to be signed is used up; try again",
        )
        .kind("credential")
        .retry_after(Duration::from_secs(1))
    }

    /// The vendor could not be reached, or gave no answer. `kind` is that of the failure.
    pub(super) fn vendor_failed(kind: &'static str, detail: String) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "gateway-vendor-failed",
            "No answer from the service",
            detail,
        )
        .kind(kind)
    }

    pub(super) fn vendor_timeout(detail: String) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "gateway-vendor-timeout",
            "The service took too long",
            detail,
        )
        .kind("timeout")
    }
}

/// Length of the window that a policy states; a month has as many days as the longest.
fn window_seconds(quota: Quota) -> u64 {
    match quota.window {
        QuotaWindow::Minute => 60,
        QuotaWindow::Hour => 3_600,
        QuotaWindow::Day => 86_400,
        QuotaWindow::Month => 31 * 86_400,
    }
}
