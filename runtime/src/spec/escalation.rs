//! Escalations of alerts that are not acknowledged, and the watchdog.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationSpec, NotificationSpec};

/// Steps that are taken one after another until somebody acknowledges the alert or it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EscalationSpec {
    /// Steps in order, at least one.
    pub steps: Vec<EscalationStepSpec>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EscalationStepSpec {
    /// Time after the step before, for the first one after the alert fired: seconds, or text such
    /// as `10m`. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<DurationSpec>,
    /// Channels to notify.
    pub notify: Vec<NotifySpec>,
    /// The step is taken again before the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<StepRepeatSpec>,
    /// Times at which the step is taken; it is passed over at others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<StepHoursSpec>,
}

/// The name of a channel, or a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NotifySpec {
    Name(String),
    Channel(NotificationSpec),
}

impl NotifySpec {
    /// Returns the channel if it is written out.
    pub(crate) fn channel(&self) -> Option<&NotificationSpec> {
        match self {
            NotifySpec::Name(_) => None,
            NotifySpec::Channel(spec) => Some(spec),
        }
    }
}

/// How often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepRepeatSpec {
    /// Seconds, or text such as `5m`; at least `10s`.
    pub every: DurationSpec,
    /// Default: until somebody comes. Then the steps behind it are never reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// A part of the day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepHoursSpec {
    /// `mon` to `sun`. Default: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// `09:00`. Default: `00:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `17:00`, or earlier than `from` for the day after. Default: `24:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// E.g. `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// An alert that always fires, sent to an outside service that calls when it stays away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatchdogSpec {
    /// Where it is sent by `POST`, e.g. the ping URL of a heartbeat check. Or `notify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The channel it is sent to. Or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifySpec>,
    /// Seconds, or text such as `1m`; at least `5s`. Default: `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationSpec>,
}
