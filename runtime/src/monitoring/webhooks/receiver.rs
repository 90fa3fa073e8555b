//! [`WebhookReceiver`]: the ids that are known and the numbers of events, for deliveries of all
//! webhooks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::seen_ids::SeenIds;
use crate::domain::{Catalog, Service, Webhook};
use crate::store::ControlStore;

/// Deliveries that plugins look at at the same time, of all webhooks together: strangers may send
/// them, and probes need instances as well.
const MAX_DELIVERIES: usize = 32;

/// Held by a delivery of a webhook while it looks at what came before it.
pub(super) type WebhookLock = Arc<tokio::sync::Mutex<SeenIds>>;

/// Where deliveries are kept as they came, and the number of the next event.
pub struct DeliveryLog {
    pub first_event_id: i64,
    pub control: ControlStore,
}

pub(in crate::monitoring) struct WebhookReceiver {
    permits: Semaphore,
    pub(super) control: ControlStore,
    next_event_id: AtomicI64,
    /// Locks by service and webhook.
    locks: Mutex<HashMap<(String, String), WebhookLock>>,
}

impl WebhookReceiver {
    pub(in crate::monitoring) fn new(deliveries: DeliveryLog) -> Self {
        let DeliveryLog {
            first_event_id,
            control,
        } = deliveries;
        Self {
            permits: Semaphore::new(MAX_DELIVERIES),
            control,
            next_event_id: AtomicI64::new(first_event_id),
            locks: Mutex::default(),
        }
    }

    /// Admits a delivery; none: too many are under way.
    pub(super) fn admit(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.try_acquire().ok()
    }

    pub(super) fn next_event_id(&self) -> i64 {
        self.next_event_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the lock of a webhook. One delivery of it is kept at a time, so that two copies of an
    /// event never both look new.
    pub(super) fn lock(&self, service: &str, webhook: &str) -> WebhookLock {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks
            .entry((service.to_owned(), webhook.to_owned()))
            .or_default()
            .clone()
    }

    /// Forgets the webhooks that are not in the catalog.
    pub(in crate::monitoring) fn apply_catalog(&self, catalog: &Catalog) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|(service, webhook), _| find(catalog, service, webhook).is_some());
    }
}

/// Returns a webhook of the catalog with its service.
pub(super) fn find<'a>(
    catalog: &'a Catalog,
    service: &str,
    webhook: &str,
) -> Option<(&'a Arc<Service>, &'a Webhook)> {
    let service = catalog.services.get(service)?;
    Some((
        service,
        service
            .webhooks
            .iter()
            .find(|found| found.name == webhook)?,
    ))
}
