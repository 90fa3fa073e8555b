//! Deliveries of webhooks: a plugin makes events of them, those that are known already are left out,
//! and the others are committed before the delivery is confirmed, as is the delivery as it came.
//! Reports go the way of every observation.

pub(super) mod receiver;
pub(super) mod replay;
mod seen_ids;

use std::sync::Arc;

use super::runner::Monitoring;
use super::shared::Shared;
use crate::domain::{
    Answer, DeliveryDraft, DeliveryOutcome, Event, Observation, ReceivedEvent, Reception, Report,
    Service, Status, UnixMillis, WEBHOOK, Webhook, WebhookRequest,
};
use crate::plugin_host::{self, DeliveredCall, InboundMemory, WebhookCall};
use crate::store::ResultError;
use receiver::find;
use seen_ids::SeenIds;

/// A delivery that was taken; its events are durable: committed, or synced in the spool of the
/// results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Events kept.
    pub events: usize,
    /// Events that had been kept before.
    pub repeated: usize,
    pub answer: Option<Answer>,
}

/// Why a delivery was not taken. The texts are for the operator, not for the sender.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("there is no such webhook")]
    Unknown,
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Broken(String),
    #[error("too many deliveries are being looked at")]
    Busy,
    #[error("the events could not be stored: {0}")]
    NotStored(String),
}

impl From<plugin_host::ReceiveError> for ReceiveError {
    fn from(error: plugin_host::ReceiveError) -> Self {
        match error {
            plugin_host::ReceiveError::Unauthenticated(text) => Self::Unauthenticated(text),
            plugin_host::ReceiveError::Malformed(text) => Self::Malformed(text),
            plugin_host::ReceiveError::Broken(text) => Self::Broken(text),
        }
    }
}

impl ReceiveError {
    /// Returns what became of a delivery that failed so, if that is kept.
    fn outcome(&self) -> Option<DeliveryOutcome> {
        match self {
            Self::Malformed(_) => Some(DeliveryOutcome::Malformed),
            Self::Broken(_) => Some(DeliveryOutcome::Broken),
            Self::NotStored(_) => Some(DeliveryOutcome::NotStored),
            Self::Unknown | Self::Unauthenticated(_) | Self::Busy => None,
        }
    }
}

impl Monitoring {
    /// Returns the webhook that takes what is sent to a service without naming one: its first.
    pub fn default_webhook(&self, service: &str) -> Option<String> {
        let catalog = self.shared.catalog.borrow();
        let first = catalog.services.get(service)?.webhooks.first()?;
        Some(first.name.clone())
    }

    pub fn has_webhook(&self, service: &str, webhook: &str) -> bool {
        find(&self.shared.catalog.borrow(), service, webhook).is_some()
    }

    /// Memory for the body of one delivery.
    pub fn delivery_memory(&self) -> InboundMemory {
        self.shared.host.inbound_memory()
    }

    /// The events are durable when this returns.
    pub async fn receive(
        &self,
        service: &str,
        webhook: &str,
        request: WebhookRequest,
    ) -> Result<Accepted, ReceiveError> {
        let taken = self.shared.receive(service, webhook, request).await;
        let outcome = match &taken {
            Ok(_) => "taken",
            Err(ReceiveError::Unknown) => "unknown",
            Err(ReceiveError::Unauthenticated(_)) => "unauthenticated",
            Err(ReceiveError::Malformed(_)) => "malformed",
            Err(ReceiveError::Broken(_)) => "broken",
            Err(ReceiveError::Busy) => "busy",
            Err(ReceiveError::NotStored(_)) => "not_stored",
        };
        metrics::counter!("extrack_webhook_deliveries_total", "outcome" => outcome).increment(1);
        taken
    }
}

impl Shared {
    async fn receive(
        &self,
        service: &str,
        webhook: &str,
        request: WebhookRequest,
    ) -> Result<Accepted, ReceiveError> {
        let catalog = self.catalog.borrow().clone();
        let (service, webhook) = find(&catalog, service, webhook).ok_or(ReceiveError::Unknown)?;
        let _permit = self.webhook_receiver.admit().ok_or(ReceiveError::Busy)?;
        let received_ms = request.received_ms;
        let call = WebhookCall {
            service,
            webhook,
            request,
            is_proven: false,
        };
        let DeliveredCall {
            result,
            request,
            is_proven,
        } = self.host.receive(call).await;
        let result = result.map_err(ReceiveError::from);
        let id = match request {
            Some(request) if is_proven || webhook.unsigned => {
                self.keep_raw(service, webhook, request, is_proven, &result)
                    .await
            }
            // Strangers would push out what is worth keeping.
            _ => None,
        };
        let kept = self.keep(service, webhook, result?, received_ms).await;
        if let (Some(id), Err(error)) = (id, &kept) {
            self.note_outcome(id, error).await;
        }
        kept
    }

    /// Keeps a delivery as it came, with what its plugin made of it. Where that can't be, it can't be
    /// played again; its sender only needs that its events are durable.
    async fn keep_raw(
        &self,
        service: &Service,
        webhook: &Webhook,
        request: WebhookRequest,
        is_proven: bool,
        result: &Result<Reception, ReceiveError>,
    ) -> Option<i64> {
        let (outcome, error, events) = match result {
            Ok(reception) => (DeliveryOutcome::Taken, None, reception.events.len() as u64),
            Err(error) => (error.outcome()?, Some(error.to_string()), 0),
        };
        let draft = DeliveryDraft {
            service: service.slug.clone(),
            webhook: webhook.name.clone(),
            request: without_logins(request),
            is_proven,
            outcome,
            error,
            events,
        };
        match self.webhook_receiver.control.delivery_insert(&draft).await {
            Ok(id) => Some(id),
            Err(source) => {
                let reason = format!("{:#}", anyhow::Error::new(source));
                let (service, webhook) = (&service.slug, &webhook.name);
                tracing::warn!(
                    service,
                    webhook,
                    reason,
                    "a delivery can't be kept as it came, and not be played again"
                );
                metrics::counter!("extrack_webhook_copies_lost_total").increment(1);
                None
            }
        }
    }

    /// Notes that the events of a delivery could not be stored. The sender repeats it.
    async fn note_outcome(&self, id: i64, error: &ReceiveError) {
        let Some(outcome) = error.outcome() else {
            return;
        };
        let text = error.to_string();
        let control = &self.webhook_receiver.control;
        let noted = control.delivery_note(id, outcome, Some(&text), None, None);
        if let Err(error) = noted.await {
            tracing::warn!(%error, delivery = id, "what became of a delivery can't be noted");
        }
    }

    async fn keep(
        &self,
        service: &Service,
        webhook: &Webhook,
        reception: Reception,
        received_ms: UnixMillis,
    ) -> Result<Accepted, ReceiveError> {
        let lock = self.webhook_receiver.lock(&service.slug, &webhook.name);
        let mut seen = lock.lock().await;
        if !seen.is_whole() {
            *seen = self.stored_ids(service, webhook).await?;
        }
        let Reception {
            run_id,
            plugin_version,
            events,
            answer,
        } = reception;
        let total = events.len();
        let latest = self
            .status_cache
            .latest(&service.slug, &webhook.name)
            .map(|latest| latest.status);
        let fresh = seen.fresh(events, latest);
        let accepted = Accepted {
            events: fresh.len(),
            repeated: total - fresh.len(),
            answer,
        };
        if fresh.is_empty() {
            return Ok(accepted);
        }
        let fresh_keys = keys(&fresh);
        let mut kept = Vec::new();
        let mut reported = Vec::new();
        for mut event in fresh {
            let report = event.report.take();
            let event = self.event(
                service,
                webhook,
                run_id,
                &plugin_version,
                event,
                received_ms,
            );
            reported
                .extend(report.map(|report| (event.ts_ms, observation(&event, report, run_id))));
            kept.push(event);
        }
        let reports = self.distribute_reports(reported).await;
        // Until the commit is certain, only the store has what is kept: a delivery that is given
        // up leaves that behind.
        let mut known = std::mem::take(&mut *seen);
        let count = kept.len() as u64;
        self.results
            .event_append_durable(kept, reports)
            .await
            .map_err(not_stored)?;
        metrics::counter!("extrack_events_total").increment(count);
        known.remember(fresh_keys);
        *seen = known;
        Ok(accepted)
    }

    /// Reads which ids of a webhook's sender are stored.
    async fn stored_ids(
        &self,
        service: &Service,
        webhook: &Webhook,
    ) -> Result<SeenIds, ReceiveError> {
        // Rows of an earlier delivery may wait for the disk: whether this one repeats it is not
        // known.
        if !self.results.is_settled() {
            return Err(ReceiveError::NotStored(
                "the results store does not commit at the moment".to_owned(),
            ));
        }
        let ids = self
            .results
            .event_sender_ids(&service.slug, &webhook.name, seen_ids::MAX_IDS)
            .await;
        ids.map(SeenIds::of).map_err(not_stored)
    }

    /// Hands on the reports of one delivery. The latest of them is the one that stays, whatever
    /// their order in the delivery.
    async fn distribute_reports(
        &self,
        mut reported: Vec<(UnixMillis, Observation)>,
    ) -> Vec<Arc<Observation>> {
        reported.sort_by_key(|(ts_ms, _)| *ts_ms);
        let mut reports = Vec::new();
        for (_, mut observation) in reported {
            // Each observation is a run of its own, the first one that of the plugin.
            if !reports.is_empty() {
                observation.run_id = self.host.next_run_id();
            }
            reports.push(self.distribute(observation).await);
        }
        reports
    }

    fn event(
        &self,
        service: &Service,
        webhook: &Webhook,
        run_id: i64,
        plugin_version: &str,
        event: ReceivedEvent,
        received_ms: UnixMillis,
    ) -> Event {
        let ReceivedEvent {
            id,
            kind,
            ts_ms,
            summary,
            payload,
            attributes,
            report: _,
        } = event;
        Event {
            id: self.webhook_receiver.next_event_id(),
            ts_ms: ts_ms.unwrap_or(received_ms),
            received_ms,
            service: service.slug.clone(),
            webhook: webhook.name.clone(),
            plugin: webhook.plugin.clone(),
            plugin_version: plugin_version.to_owned(),
            run_id,
            event_id: id,
            kind,
            summary,
            payload,
            attributes,
        }
    }
}

/// Returns a delivery without what was meant for a proxy on its way.
fn without_logins(mut request: WebhookRequest) -> WebhookRequest {
    for (name, value) in &mut request.headers {
        if matches!(name.as_str(), "authorization" | "proxy-authorization") {
            "***".clone_into(value);
        }
    }
    request
}

/// Returns the ids of events, with the status that each reports.
fn keys(events: &[ReceivedEvent]) -> Vec<(String, Option<Status>)> {
    let status = |event: &ReceivedEvent| event.report.as_ref().map(|report| report.status);
    events
        .iter()
        .filter_map(|event| Some((event.id.clone()?, status(event))))
        .collect()
}

fn not_stored(error: ResultError) -> ReceiveError {
    ReceiveError::NotStored(error.to_string())
}

/// Returns the observation of a report. Its moment is by our clock: history is in the order of arrival.
fn observation(event: &Event, report: Report, run_id: i64) -> Observation {
    let Report {
        status,
        failure,
        metrics,
    } = report;
    Observation {
        ts_ms: event.received_ms,
        service: event.service.clone(),
        probe: event.webhook.clone(),
        location: WEBHOOK.to_owned(),
        status,
        latency_us: None,
        phases: Default::default(),
        http_status: None,
        failure,
        bytes: 0,
        plugin: event.plugin.clone(),
        plugin_version: event.plugin_version.clone(),
        run_id,
        metrics,
        missed: false,
        excluded: None,
        rate_limits: Vec::new(),
    }
}
