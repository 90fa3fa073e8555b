//! A message to try a notifier with: a service that is down, or up again.

use serde_json::Value;

use crate::domain::{Channel, ChannelId, ChannelOptions, Message, Origin};
use crate::plugin_host::PluginEntry;

pub(super) fn channel(entry: &PluginEntry, settings: Value) -> Channel {
    Channel {
        id: ChannelId(format!("{}-sample", entry.name)),
        name: entry.name.clone(),
        plugin: entry.name.clone(),
        settings,
        // A typed address is meant.
        origin: Origin::File,
        options: ChannelOptions::default(),
    }
}

pub(super) fn message(is_resolved: bool) -> Message {
    if is_resolved {
        Message::sample(0, 1)
    } else {
        Message::sample(1, 0)
    }
}
