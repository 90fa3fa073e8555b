//! Channels, previews of messages, and test messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MessageTemplateSpec;
use crate::domain::{NotificationStatus, Origin};

/// A notifier plugin with settings, without the settings: they may hold secrets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelBody {
    pub id: String,
    pub name: String,
    /// Notifier.
    pub plugin: String,
    pub origin: Origin,
    /// Name of its message template.
    pub template: Option<String>,
    pub rate_limit: Option<RateLimitBody>,
    pub fallback: Option<FallbackBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitBody {
    pub messages: u32,
    pub per_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FallbackBody {
    /// Name of the other channel.
    pub channel: String,
    pub after_ms: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewRequest {
    /// Sample alerts that fire; 1 if nothing else is asked for, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing: Option<usize>,
    /// Sample alerts that ended; at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<usize>,
    /// Id of an alert, in place of samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<i64>,
    /// A template to try, in place of the channel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<MessageTemplateSpec>,
}

/// Message as it would be sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewBody {
    pub channel: String,
    pub status: NotificationStatus,
    /// Null: the notifier's own words.
    pub template: Option<String>,
    pub title: String,
    pub text: Option<String>,
    pub html: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestRequest {
    /// `firing` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<NotificationStatus>,
}

/// Result of a test message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestBody {
    pub channel: String,
    pub delivered: bool,
    /// Answer of the other side, or why the delivery failed.
    pub answer: String,
    /// A failure that another attempt may mend.
    pub retryable: bool,
    /// Id that the other side gave the message.
    pub reference: Option<String>,
    pub duration_ms: u64,
}
