//! A delivery of a webhook as it is kept, to be looked at and played again.

use super::{UnixMillis, WebhookRequest};

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Its plugin made events of it, or found nothing of interest.
    Taken,
    /// The plugin did not know what it is.
    Malformed,
    /// The plugin broke.
    Broken,
    /// The events could not be stored.
    NotStored,
}

impl DeliveryOutcome {
    const ALL: [DeliveryOutcome; 4] = [
        DeliveryOutcome::Taken,
        DeliveryOutcome::Malformed,
        DeliveryOutcome::Broken,
        DeliveryOutcome::NotStored,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryOutcome::Taken => "taken",
            DeliveryOutcome::Malformed => "malformed",
            DeliveryOutcome::Broken => "broken",
            DeliveryOutcome::NotStored => "not_stored",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// A delivery before it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryDraft {
    /// Slug.
    pub service: String,
    pub webhook: String,
    /// As it came, with `***` in the place of the secrets that were sent.
    pub request: WebhookRequest,
    /// A signature was right.
    pub is_proven: bool,
    pub outcome: DeliveryOutcome,
    /// Why it was not taken, for the operator.
    pub error: Option<String>,
    /// Events that the plugin made of it.
    pub events: u64,
}

/// A delivery without its headers and its body.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryEntry {
    pub id: i64,
    /// Slug.
    pub service: String,
    pub webhook: String,
    pub received_ms: UnixMillis,
    pub method: String,
    /// Part of the path behind the webhook's own address.
    pub path: String,
    pub query: String,
    /// Length of the body.
    pub bytes: u64,
    pub is_proven: bool,
    pub outcome: DeliveryOutcome,
    pub error: Option<String>,
    pub events: u64,
    /// When it was played again last.
    pub replayed_ms: Option<UnixMillis>,
}

/// A delivery as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptDelivery {
    pub entry: DeliveryEntry,
    pub request: WebhookRequest,
}
