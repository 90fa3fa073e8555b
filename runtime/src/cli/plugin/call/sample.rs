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
        // Whoever typed the address means it.
        origin: Origin::File,
        options: ChannelOptions::default(),
    }
}

pub(super) fn message(is_resolved: bool) -> Message {
    match is_resolved {
        false => Message::sample(1, 0),
        true => Message::sample(0, 1),
    }
}
