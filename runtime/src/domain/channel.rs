//! Channels, by which people are notified, and their options beside the settings of their plugin.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MessageTemplate, Origin};

/// A word for people and a digest of what the channel is known by: its name, or where it is written
/// out. It stays when the settings change.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ChannelId(pub String);

/// A notifier plugin with settings, which may hold secrets: printed as `***`, and replaced before a
/// plugin sees them.
#[derive(Clone)]
pub struct Channel {
    pub id: ChannelId,
    pub name: String,
    pub plugin: String,
    pub settings: Value,
    /// Written in a configuration file, so private addresses in it are meant.
    pub origin: Origin,
    /// Kept in the configuration alone: without them once it left there.
    pub options: ChannelOptions,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("id", &self.id)
            .field("plugin", &self.plugin)
            .field("settings", &"***")
            .finish()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelOptions {
    /// Writes its messages in place of the notifier.
    pub template: Option<Arc<MessageTemplate>>,
    pub rate_limit: Option<MessageRate>,
    pub fallback: Option<Fallback>,
}

/// Rate limit of a channel. Messages beyond it are held back, and sent as one if that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRate {
    /// Number of messages, at least 1.
    pub messages: u32,
    pub per: Duration,
    /// Otherwise what is held back leaves one by one.
    pub digest: bool,
}

/// Where a message goes as well that this channel does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Name of another channel.
    pub channel: String,
    /// Time of failing after which the fallback is used; a message that is given up goes there at
    /// once.
    pub after: Duration,
}
