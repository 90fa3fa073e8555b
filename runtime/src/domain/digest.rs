//! One message in the place of several to one channel.

use std::collections::BTreeMap;

use super::{
    Alert, AlertId, AlertState, ChannelId, Notification, NotificationDraft, NotificationReason,
    NotificationStatus,
};

/// Merges messages of a channel, given in the order of their ids, into one with every alert that
/// they name, as the last of them shows it: nothing that fired or ended is left out.
pub fn merge_into_digest(
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
