//! Deliveries that were kept are played again: the plugin looks at one as if it had come now, and
//! its signature counts as right if it was when it came.

use super::receiver::find;
use super::{Accepted, ReceiveError};
use crate::domain::{DeliveryOutcome, KeptDelivery, WebhookRequest, now_ms};
use crate::monitoring::Monitoring;
use crate::monitoring::shared::Shared;
use crate::plugin_host::WebhookCall;
use crate::store::control::ControlError;

/// Why a delivery was not played again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("service `{service}` has no delivery {id}")]
    UnknownDelivery { service: String, id: i64 },
    #[error("service `{service}` has no webhook `{webhook}` any more")]
    WebhookGone { service: String, webhook: String },
    #[error(transparent)]
    Failed(ReceiveError),
    #[error("the delivery can't be read")]
    Store(#[source] ControlError),
}

impl Monitoring {
    /// Plays a delivery again. Events that are known are not kept twice.
    pub async fn replay_delivery(&self, service: &str, id: i64) -> Result<Accepted, ReplayError> {
        self.shared.replay_delivery(service, id).await
    }
}

impl Shared {
    async fn replay_delivery(&self, service: &str, id: i64) -> Result<Accepted, ReplayError> {
        let control = &self.webhook_receiver.control;
        let found = control.delivery_get(service, id).await;
        let KeptDelivery { entry, request } =
            found
                .map_err(ReplayError::Store)?
                .ok_or_else(|| ReplayError::UnknownDelivery {
                    service: service.to_owned(),
                    id,
                })?;
        let now_ms = now_ms();
        let request = WebhookRequest {
            received_ms: now_ms,
            ..request
        };
        let played = self.play(service, &entry.webhook, request, entry.is_proven);
        let played = played.await;
        let (outcome, error, events) = match &played {
            Ok(accepted) => {
                let events = accepted.events + accepted.repeated;
                (DeliveryOutcome::Taken, None, Some(events as u64))
            }
            Err(ReplayError::Failed(error)) => {
                let outcome = error.outcome().unwrap_or(entry.outcome);
                (outcome, Some(error.to_string()), None)
            }
            Err(_) => return played,
        };
        let noted = control.delivery_note(id, outcome, error.as_deref(), events, Some(now_ms));
        if let Err(error) = noted.await {
            tracing::warn!(%error, delivery = id, "what became of a delivery can't be noted");
        }
        played
    }

    async fn play(
        &self,
        service: &str,
        webhook: &str,
        request: WebhookRequest,
        is_proven: bool,
    ) -> Result<Accepted, ReplayError> {
        let catalog = self.catalog.borrow().clone();
        let found = find(&catalog, service, webhook);
        let (service, webhook) = found.ok_or_else(|| ReplayError::WebhookGone {
            service: service.to_owned(),
            webhook: webhook.to_owned(),
        })?;
        let busy = || ReplayError::Failed(ReceiveError::Busy);
        let _permit = self.webhook_receiver.admit().ok_or_else(busy)?;
        let received_ms = request.received_ms;
        let call = WebhookCall {
            service,
            webhook,
            request,
            is_proven,
        };
        let result = self.host.receive(call).await.result;
        let reception = result.map_err(|error| ReplayError::Failed(error.into()))?;
        let kept = self.keep(service, webhook, reception, received_ms).await;
        kept.map_err(ReplayError::Failed)
    }
}
