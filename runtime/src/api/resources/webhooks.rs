//! `/webhooks/{service}/{webhook}`: receives what services send. Open to anybody, because the
//! signature is the proof; so everything is bounded before a plugin sees it, and a rejection holds
//! nothing that helps a stranger.

use std::convert::Infallible;
use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, ReferenceOr, RequestBody};
use axum::Json;
use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::http::bodies::{BodyLimit, WorkPermit};
use crate::api::http::caller::Caller;
use crate::api::http::endpoint::{ANYONE, Endpoint};
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api_types::webhooks::AcceptedBody;
use crate::domain::{Answer, AnswerType, WebhookRequest, now_ms};
use crate::monitoring::{Accepted, ReceiveError};
use crate::plugin_host::InboundMemory;

/// Path of the service's first webhook, which takes what names none.
const DEFAULT_PATH: &str = "/webhooks/{service}";
const PATH: &str = "/webhooks/{service}/{webhook}";
/// Path of deliveries with more segments, which are the plugin's to read.
const LONGER_PATH: &str = "/webhooks/{service}/{webhook}/{*rest}";

/// Declares the operations: the methods that senders use. Some senders ask for a challenge by `GET`
/// first.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        delivery(Endpoint::post(ANYONE, PATH, receive)).id("webhookPost"),
        delivery(Endpoint::put(ANYONE, PATH, receive)).id("webhookPut"),
        delivery(Endpoint::get(ANYONE, PATH, receive))
            .id("webhookGet")
            .documented(|mut operation| {
                operation.inner_mut().request_body = None;
                operation
            }),
        delivery(Endpoint::post(ANYONE, DEFAULT_PATH, receive_default)).id("webhookDefaultPost"),
        Endpoint::put(ANYONE, DEFAULT_PATH, receive_default).undocumented(),
        Endpoint::get(ANYONE, DEFAULT_PATH, receive_default).undocumented(),
        Endpoint::post(ANYONE, LONGER_PATH, receive).undocumented(),
        Endpoint::put(ANYONE, LONGER_PATH, receive).undocumented(),
        Endpoint::get(ANYONE, LONGER_PATH, receive).undocumented(),
    ]
}

fn delivery(endpoint: Endpoint) -> Endpoint {
    endpoint
        .summary("Receive a delivery of a service")
        .description(
            "For senders, in their own format. Needs no token: the webhook's plugin checks \
                 the sender's signature. What follows the name in the path is handed to the \
                 plugin. A success means that the events are kept for good; 503 asks the sender \
                 to repeat. Some senders are answered in their own format.",
        )
        .too_many("Too many deliveries for this webhook, or from this address")
        .returns::<200, Json<AcceptedBody>>()
}

/// Vendors send some KiB; GitHub stops at 25 MiB, and is the only one to come near a MiB.
const BODY: BodyLimit = BodyLimit {
    bytes: 1024 * 1024,
    timeout: Duration::from_secs(10),
};
/// All names and values together, and how many: ten times what vendors send.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct WebhookPath {
    /// The service's id.
    service: String,
    /// The webhook's name.
    webhook: String,
}

/// Delivery as it arrives, with its sender.
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

impl OperationInput for Incoming {
    fn operation_input(_context: &mut GenContext, operation: &mut Operation) {
        let content = [("*/*".to_owned(), MediaType::default())]
            .into_iter()
            .collect();
        let description = Some("In the sender's own format; at most 1 MiB.".to_owned());
        let body = RequestBody {
            content,
            description,
            ..RequestBody::default()
        };
        operation.request_body = Some(ReferenceOr::Item(body));
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct DefaultPath {
    /// The service's id.
    service: String,
}

async fn receive_default(
    State(state): State<ApiState>,
    Path(DefaultPath { service }): Path<DefaultPath>,
    incoming: Incoming,
) -> ApiResult<Response> {
    let webhook = state.deps.webhooks.default_of(&service);
    take(state, service, webhook.unwrap_or_default(), incoming).await
}

async fn receive(
    State(state): State<ApiState>,
    Path(WebhookPath { service, webhook }): Path<WebhookPath>,
    incoming: Incoming,
) -> ApiResult<Response> {
    take(state, service, webhook, incoming).await
}

/// Takes in a delivery for a webhook, if there is one of that name.
async fn take(
    state: ApiState,
    service: String,
    webhook: String,
    incoming: Incoming,
) -> ApiResult<Response> {
    state
        .webhook_rate_limit
        .admit_caller(incoming.caller)
        .map_err(ApiError::too_many_deliveries)?;
    if !state.deps.webhooks.has(&service, &webhook) {
        return Err(ApiError::webhook_not_found());
    }
    state
        .webhook_rate_limit
        .admit_webhook(&service, &webhook)
        .map_err(ApiError::too_many_deliveries)?;
    // Until the plugin has answered.
    let mut memory = state.deps.webhooks.memory();
    let request = webhook_request(&state, incoming, &mut memory).await?;
    // Of all requests, so that deliveries leave room for people.
    let _permit = state
        .deliveries
        .try_acquire()
        .map_err(|_| ApiError::busy("too many deliveries at once; come again"))?;
    let taken = state
        .deps
        .webhooks
        .receive(&service, &webhook, request)
        .await;
    match taken {
        Ok(Accepted {
            answer: Some(Answer { content_type, body }),
            ..
        }) => {
            let content_type = match content_type {
                AnswerType::Text => "text/plain; charset=utf-8",
                AnswerType::Json => "application/json",
            };
            Ok(([(CONTENT_TYPE, content_type)], body).into_response())
        }
        Ok(Accepted {
            events,
            repeated,
            answer: None,
        }) => Ok(Json(AcceptedBody { events, repeated }).into_response()),
        Err(error) => {
            log(&service, &webhook, &error);
            Err(ApiError::from(error))
        }
    }
}

async fn webhook_request(
    state: &ApiState,
    incoming: Incoming,
    memory: &mut InboundMemory,
) -> ApiResult<WebhookRequest> {
    let Incoming { caller, request } = incoming;
    let (
        Parts {
            method,
            uri,
            headers,
            mut extensions,
            ..
        },
        body,
    ) = request.into_parts();
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() > HEADERS || header_bytes > HEADER_BYTES {
        return Err(ApiError::headers_too_large());
    }
    let body = match extensions.remove::<WorkPermit>() {
        _ if body.is_end_stream() => Bytes::new(),
        permit => {
            if let Some(permit) = &permit {
                permit.pause();
            }
            let reserve = |bytes| memory.grow(bytes);
            let bodies = &state.bodies;
            let read = bodies.read_into(caller, &headers, body, BODY, reserve);
            let read = read.await?;
            if let Some(permit) = &permit {
                permit.resume().await?;
            }
            read
        }
    };
    // A cookie is the dashboard's, never a sender's.
    let passed = headers.iter().filter(|(name, _)| **name != COOKIE);
    Ok(WebhookRequest {
        method: method.as_str().to_owned(),
        path: rest_of(uri.path()).to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers: passed
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: body.into(),
        received_ms: now_ms(),
    })
}

/// Returns the path behind `/webhooks/SERVICE/NAME`.
fn rest_of(path: &str) -> &str {
    path.match_indices('/')
        .nth(3)
        .map_or("", |(position, _)| &path[position..])
}

/// Logs our own faults as errors. A delivery that is rejected is a row of `plugin_runs`.
fn log(service: &str, webhook: &str, error: &ReceiveError) {
    let reason = error.to_string();
    match error {
        ReceiveError::Broken(_) | ReceiveError::NotStored(_) => {
            tracing::error!(
                service,
                webhook,
                reason,
                "a delivery failed, the sender was asked to repeat it"
            );
        }
        _ => tracing::debug!(service, webhook, reason, "a delivery was refused"),
    }
}

impl ApiError {
    /// The same whether it is the service or the webhook that there is not.
    pub(crate) fn webhook_not_found() -> Self {
        Self::not_found(
            "webhook-not-found",
            "Webhook not found",
            "there is no such webhook",
        )
    }

    pub(crate) fn too_many_deliveries(wait: Duration) -> Self {
        let detail = "too many deliveries in a short time; come again";
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-deliveries",
            "Too many deliveries",
            detail,
        )
        .with_header("retry-after", (wait.as_secs() + 1).to_string())
    }

    pub(crate) fn headers_too_large() -> Self {
        let detail = "the headers are larger than a delivery's may be";
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "Headers too large",
            detail,
        )
    }
}

/// Hides the plugin's text, which is for the operator: a sender need not be who it claims to be.
impl From<ReceiveError> for ApiError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Unknown => Self::webhook_not_found(),
            ReceiveError::Unauthenticated(_) => {
                let detail = "nothing proves who sent this";
                Self::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthenticated",
                    "Unauthenticated",
                    detail,
                )
            }
            ReceiveError::Malformed(_) => {
                let detail = "this is not what the webhook takes";
                Self::new(
                    StatusCode::BAD_REQUEST,
                    "malformed-delivery",
                    "Malformed delivery",
                    detail,
                )
            }
            ReceiveError::Busy => Self::busy("too many deliveries at once; come again"),
            ReceiveError::Broken(_) | ReceiveError::NotStored(_) => {
                let detail = "the delivery could not be taken; repeat it later";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "not-taken",
                    "Not taken",
                    detail,
                )
                .with_header("retry-after", "30")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rest_of;

    #[test]
    fn what_follows_the_name_is_the_plugins() {
        for (path, rest) in [
            ("/webhooks/a", ""),
            ("/webhooks/a/b", ""),
            ("/webhooks/a/b/", "/"),
            ("/webhooks/a/b/c%2Fd/e", "/c%2Fd/e"),
            ("/webhooks/%C3%B6ffi/b/c", "/c"),
        ] {
            assert_eq!(rest_of(path), rest, "{path}");
        }
    }
}
