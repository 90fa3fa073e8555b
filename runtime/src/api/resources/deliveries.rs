//! Deliveries of webhooks that were kept: listed, shown, and played again.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::audit;
use super::services::SlugPath;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope::{Read, Write};
use crate::api_types::webhooks::{AcceptedBody, DeliveryBody, WholeDeliveryBody};
use crate::domain::{DeliveryEntry, KeptDelivery};
use crate::monitoring::{Accepted, ReceiveError, ReplayError};

const PATH: &str = "/api/v1/services/{slug}/webhooks/deliveries";
const ONE_PATH: &str = "/api/v1/services/{slug}/webhooks/deliveries/{deliveryId}";
const REPLAY_PATH: &str = "/api/v1/services/{slug}/webhooks/deliveries/{deliveryId}/replay";

const MASK: &str = "***";

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, PATH, list)
            .id("webhookDeliveryList")
            .summary("Deliveries of a service's webhooks that were kept, newest first")
            .description("Parts of the path and values of the query stand as `***`."),
        Endpoint::get(Write, ONE_PATH, get)
            .id("webhookDeliveryGet")
            .summary("One delivery with its headers and its body")
            .description("Secrets that the sender sent as they are stand as `***`."),
        Endpoint::post(Write, REPLAY_PATH, replay)
            .slow()
            .id("webhookDeliveryReplay")
            .summary("Play a delivery again")
            .description(
                "The webhook's plugin looks at it as if it had come now; its signature counts as right if it was when \
                 it came. Events that are known are not kept twice.",
            ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryPath {
    /// The service's id, e.g. `shop-api`.
    slug: String,
    /// The delivery's id.
    delivery_id: i64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only those of the webhook of that name.
    webhook: Option<String>,
}

impl From<DeliveryEntry> for DeliveryBody {
    fn from(entry: DeliveryEntry) -> Self {
        Self {
            id: entry.id,
            webhook: entry.webhook,
            received_at: rfc3339(entry.received_ms),
            method: entry.method,
            path: entry.path,
            query: entry.query,
            bytes: entry.bytes,
            proven: entry.is_proven,
            outcome: entry.outcome.as_str().to_owned(),
            error: entry.error,
            events: entry.events,
            replayed_at: entry.replayed_ms.map(rfc3339),
        }
    }
}

impl DeliveryBody {
    /// Returns it for those who may read: a sender may have put secrets into the address that no
    /// settings name.
    fn in_list(self) -> Self {
        Self {
            path: masked(&self.path, '/', |_| 0),
            query: masked(&self.query, '&', |part| {
                part.find('=').map_or(0, |equals| equals + 1)
            }),
            ..self
        }
    }
}

/// Masks what each part has behind its beginning.
fn masked(text: &str, separator: char, begin: impl Fn(&str) -> usize) -> String {
    let parts = text.split(separator).map(|part| {
        let (shown, hidden) = part.split_at(begin(part));
        let mask = if hidden.is_empty() { "" } else { MASK };
        format!("{shown}{mask}")
    });
    parts.collect::<Vec<_>>().join(&separator.to_string())
}

impl From<KeptDelivery> for WholeDeliveryBody {
    fn from(KeptDelivery { entry, request }: KeptDelivery) -> Self {
        let (body, body_base64) = match String::from_utf8(request.body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Self {
            delivery: entry.into(),
            headers: request.headers,
            body,
            body_base64,
        }
    }
}

async fn list(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Query(query): Query<DeliveryQuery>,
) -> ApiResult<Json<Page<DeliveryBody>>> {
    service_check(&state, &slug)?;
    let limit = page::limit(query.limit)?;
    let before = page::id_cursor(query.cursor.as_deref())?;
    let webhook = query.webhook.as_deref();
    let control = &state.deps.control;
    let rows = control
        .delivery_page(&slug, webhook, before, limit + 1)
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row: &DeliveryEntry| row.id.to_string(),
        |row| DeliveryBody::from(row).in_list(),
    )))
}

async fn get(
    State(state): State<ApiState>,
    Path(DeliveryPath { slug, delivery_id }): Path<DeliveryPath>,
) -> ApiResult<Json<WholeDeliveryBody>> {
    service_check(&state, &slug)?;
    let found = state.deps.control.delivery_get(&slug, delivery_id).await?;
    let found = found.ok_or_else(|| ApiError::delivery_not_found(&slug, delivery_id))?;
    Ok(Json(found.into()))
}

async fn replay(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(DeliveryPath { slug, delivery_id }): Path<DeliveryPath>,
) -> ApiResult<Json<AcceptedBody>> {
    service_check(&state, &slug)?;
    let working = state.clone();
    let playing = async move {
        let played = working.deps.webhooks.replay(&slug, delivery_id).await;
        let Accepted {
            events, repeated, ..
        } = played?;
        let detail = json!({ "delivery": delivery_id, "events": events });
        audit::note_with(&working, &principal, "webhook.replay", &slug, &detail).await;
        Ok::<_, ApiError>(Json(AcceptedBody { events, repeated }))
    };
    state.to_its_end(playing).await
}

fn service_check(state: &ApiState, slug: &str) -> ApiResult<()> {
    match state.deps.registry.record(slug) {
        Some(_) => Ok(()),
        None => Err(ApiError::service_not_found(slug)),
    }
}

impl ApiError {
    fn delivery_not_found(slug: &str, id: i64) -> Self {
        let detail = format!(
            "service `{slug}` has no delivery {id}; `GET /api/v1/services/{slug}/webhooks/deliveries` lists those that are kept"
        );
        Self::not_found("delivery-not-found", "Delivery not found", detail)
    }
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        let text = error.to_string();
        match error {
            ReplayError::UnknownDelivery { service, id } => Self::delivery_not_found(&service, id),
            ReplayError::WebhookGone { .. } => Self::conflict("webhook-gone", "Webhook gone", text),
            ReplayError::Store(source) => source.into(),
            ReplayError::Failed(ReceiveError::Busy) => Self::busy(text),
            // For the operator, not for a sender.
            ReplayError::Failed(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "replay-failed",
                "Replay failed",
                text,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DeliveryOutcome;

    #[test]
    fn a_list_shows_no_values_of_an_address() {
        for (path, query, wanted) in [
            ("", "", ("", "")),
            (
                "/hooks/s3cret",
                "token=s3cret&b=&s3cret&c==x",
                ("/***/***", "token=***&b=&***&c=***"),
            ),
        ] {
            let entry = DeliveryEntry {
                id: 1,
                service: "shop".to_owned(),
                webhook: "github".to_owned(),
                received_ms: 0,
                method: "POST".to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                bytes: 0,
                is_proven: true,
                outcome: DeliveryOutcome::Taken,
                error: None,
                events: 1,
                replayed_ms: None,
            };
            let whole = DeliveryBody::from(entry.clone());
            assert_eq!((whole.path.as_str(), whole.query.as_str()), (path, query));
            let listed = DeliveryBody::from(entry).in_list();
            assert_eq!((listed.path.as_str(), listed.query.as_str()), wanted);
        }
    }
}
