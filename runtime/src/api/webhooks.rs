//! `/webhooks/{service}/{webhook}`: where services tell us something. Open to anybody, because the
//! signature is the proof; so everything is bounded before a plugin sees it, and a refusal says
//! nothing that helps a stranger.

mod flood;

use std::convert::Infallible;
use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, ReferenceOr, RequestBody};
use aide::transform::TransformOperation;
use axum::Json;
use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use flood::Flood;

use super::auth::Caller;
use super::bodies::{BodyLimit, WorkPermit};
use super::error::{ApiError, ApiResult};
use super::state::ApiState;
use crate::domain::{Answer, AnswerType, WebhookRequest, now_ms};
use crate::monitoring::{Accepted, ReceiveError};

/// Vendors send some KiB; GitHub stops at 25 MiB, and is the only one to come near a MiB.
const BODY: BodyLimit = BodyLimit {
    bytes: 1024 * 1024,
    patience: Duration::from_secs(10),
};
/// All names and values together, and how many: ten times what vendors send.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WebhookPath {
    /// The service's id.
    service: String,
    /// The webhook's name.
    webhook: String,
}

/// Whatever a sender sends, and from where.
pub(super) struct Incoming {
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

/// The delivery was taken, and what was in it is kept for good.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AcceptedBody {
    /// Events kept.
    events: usize,
    /// Events that had been kept before.
    repeated: usize,
}

pub(super) async fn receive(
    State(state): State<ApiState>,
    Path(WebhookPath { service, webhook }): Path<WebhookPath>,
    incoming: Incoming,
) -> ApiResult<Response> {
    state
        .flood
        .admit_caller(incoming.caller)
        .map_err(ApiError::too_many_deliveries)?;
    if !state.parts.webhooks.has(&service, &webhook) {
        return Err(ApiError::webhook_not_found());
    }
    state
        .flood
        .admit_webhook(&service, &webhook)
        .map_err(ApiError::too_many_deliveries)?;
    let request = webhook_request(&state, incoming).await?;
    // Of all requests, so that deliveries leave room for people.
    let _permit = state
        .deliveries
        .try_acquire()
        .map_err(|_| ApiError::busy("too many deliveries at once; come again"))?;
    let taken = state
        .parts
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
            Err(ApiError::from_webhook(error))
        }
    }
}

async fn webhook_request(state: &ApiState, incoming: Incoming) -> ApiResult<WebhookRequest> {
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
        None => state.bodies.read(caller, &headers, body, BODY).await?,
        Some(permit) => {
            permit.pause();
            let read = state.bodies.read(caller, &headers, body, BODY).await?;
            permit.resume().await?;
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

/// Behind `/webhooks/SERVICE/NAME`.
fn rest_of(path: &str) -> &str {
    path.match_indices('/')
        .nth(3)
        .map_or("", |(position, _)| &path[position..])
}

/// What a stranger sends is worth no line of its own; it is a row of `plugin_runs`.
fn log(service: &str, webhook: &str, error: &ReceiveError) {
    let reason = error.to_string();
    match error {
        ReceiveError::Broken(_) | ReceiveError::NotStored(_) => {
            tracing::error!(
                service,
                webhook,
                reason,
                "a delivery could not be taken, the sender was told to come again"
            );
        }
        _ => tracing::debug!(service, webhook, reason, "a delivery was refused"),
    }
}

pub(super) fn receive_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .tag("webhooks")
        .summary("Take in what a service tells us")
        .description(
            "For senders, in their own format. Needs no token: the webhook's plugin checks the sender's signature. What \
             follows the name in the path is handed to the plugin. A success says that the events are kept for good; 503 \
             asks the sender to repeat. Some senders are answered in their own format.",
        )
        .response::<200, Json<AcceptedBody>>()
}

pub(super) fn post_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    receive_docs(operation).id("webhookPost")
}

pub(super) fn put_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    receive_docs(operation).id("webhookPut")
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let mut operation = receive_docs(operation).id("webhookGet");
    operation.inner_mut().request_body = None;
    operation
}

#[cfg(test)]
mod tests {
    use super::rest_of;

    #[test]
    fn what_follows_the_name_is_the_plugins() {
        for (path, rest) in [
            ("/webhooks/a/b", ""),
            ("/webhooks/a/b/", "/"),
            ("/webhooks/a/b/c%2Fd/e", "/c%2Fd/e"),
            ("/webhooks/%C3%B6ffi/b/c", "/c"),
        ] {
            assert_eq!(rest_of(path), rest, "{path}");
        }
    }
}
