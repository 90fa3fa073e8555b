//! One message in the place of several to one channel.

use std::collections::BTreeMap;

use super::{
    Alert, AlertId, AlertState, ChannelId, Notification, NotificationDraft, NotificationReason,
    NotificationStatus,
};

/// Every alert that one of the messages names, as the last of them says: nothing that fired is left
/// out, and nothing that ended. The messages are in the order of their ids.
pub fn digest(
    channel: &ChannelId,
    messages: &[Notification],
    idempotency_key: String,
) -> NotificationDraft {
    let mut latest: BTreeMap<AlertId, Alert> = BTreeMap::new();
    for alert in messages.iter().flat_map(|message| &message.alerts) {
        latest.insert(alert.id, alert.clone());
    }
    let (firing, resolved): (Vec<Alert>, Vec<Alert>) = latest
        .into_values()
        .partition(|alert| alert.state != AlertState::Resolved);
    NotificationDraft {
        group_key: format!("digest:{}", channel.0),
        group_labels: Vec::new(),
        channel: channel.clone(),
        reason: NotificationReason::Digest,
        status: if firing.is_empty() {
            NotificationStatus::Resolved
        } else {
            NotificationStatus::Firing
        },
        idempotency_key,
        alerts: firing.into_iter().chain(resolved).collect(),
        omitted: messages.iter().fold(0, |omitted, message| {
            omitted.saturating_add(message.omitted)
        }),
    }
}
