//! Options of a channel beside the settings of its plugin.

use std::sync::Arc;
use std::time::Duration;

use super::MessageTemplate;

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
