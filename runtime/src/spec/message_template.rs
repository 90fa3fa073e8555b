//! `messageTemplates` of `alerts.yaml`, and what a channel has beside its plugin's settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;

/// Messages in your own words: MiniJinja. What is left out, the notifier writes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageTemplateSpec {
    /// One line: the subject of a mail, the first line of a chat message, the text on a lock
    /// screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The message without markup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The message as HTML, for mail; variables are escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// Limit of messages to a channel. Messages beyond it are held back and sent as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitSpec {
    /// Number of messages, at least 1.
    #[schemars(range(min = 1, max = 100_000))]
    pub messages: u32,
    /// Seconds, or text such as `1m`.
    pub per: DurationSpec,
    /// Sends what was held back in one message. Default: true. Otherwise it leaves one by one, as
    /// the limit allows.
    #[serde(default = "digest_default")]
    pub digest: bool,
}

fn digest_default() -> bool {
    true
}
