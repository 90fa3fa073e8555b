//! Named channels, the routing tree, and what mutes alerts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;

/// One text or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Many(texts) => texts,
        }
    }
}

/// A node of the routing tree. What it leaves out it has from the node above it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSpec {
    /// Names of `channels`. Default, at the top of the tree: the `notifications` at the top of
    /// `alerts.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Texts>,
    /// Matchers such as `severity="critical"`, all of which have to match. None at the top of the
    /// tree.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matchers: Option<Texts>,
    /// Labels; alerts with the same values are notified together. `...`: each alert by itself.
    /// Default: all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    /// How long a new group waits for others before its first message: seconds, or text such as
    /// `30s`. Default: 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<DurationSpec>,
    /// Time after a message before new alerts of the group are sent: seconds, or text such as `5m`.
    /// Default: 5 min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_interval: Option<DurationSpec>,
    /// When a message is repeated although nothing changed: seconds, or text such as `4h`.
    /// Default: 4 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<DurationSpec>,
    /// Names of `muteTimes` during which this node, and none below it, sends nothing about alerts
    /// that fire.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mute_times: Vec<String>,
    /// Name of one of `escalations`: further channels if an alert whose rule names none is not
    /// acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<String>,
    /// Goes on after a match to the nodes that follow beside this one. Default: false.
    #[serde(
        rename = "continue",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub continues: bool,
    /// The first of them that matches takes the alert over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteSpec>,
}

/// While one alert fires, others are suppressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InhibitSpec {
    /// Matchers of the alert that suppresses others.
    pub source: Texts,
    /// Matchers of those it suppresses.
    pub target: Texts,
    /// Labels that have to be the same in both.
    #[serde(default)]
    pub equal: Vec<String>,
}

/// When: once from `start` to `end`, or again and again by `cron` for `duration`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowSpec {
    /// RFC 3339, e.g. `2026-11-23T22:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// RFC 3339, e.g. `2026-11-24T02:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Minute, hour, day of the month, month, day of the week: `0 2 * * SUN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// How long it lasts with `cron`: seconds, or text such as `2h`; at most 31 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationSpec>,
    /// Time zone of `cron`, e.g. `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// Planned work during which alerts are suppressed: once from `start` to `end`, or again and again
/// by `cron` for `duration`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaintenanceSpec {
    /// Name for people, unique.
    pub name: String,
    /// Matchers such as `service="shop-api"`, all of which have to match. Default: every alert.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matchers: Option<Texts>,
    /// RFC 3339, e.g. `2026-11-23T22:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// RFC 3339, e.g. `2026-11-24T02:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Minute, hour, day of the month, month, day of the week: `0 2 * * SUN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// How long it lasts with `cron`: seconds, or text such as `2h`; at most 31 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationSpec>,
    /// Time zone of `cron`, e.g. `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl MaintenanceSpec {
    pub fn window(&self) -> WindowSpec {
        WindowSpec {
            start: self.start.clone(),
            end: self.end.clone(),
            cron: self.cron.clone(),
            duration: self.duration.clone(),
            timezone: self.timezone.clone(),
        }
    }
}
