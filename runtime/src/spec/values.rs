//! Values that many entries share: durations and the settings of plugins.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::domain::duration::parse_duration;

/// Settings of a plugin; its schema describes them. They may hold secrets, and print as `***`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct PluginSettings(pub Map<String, Value>);

impl PluginSettings {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for PluginSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A number in the unit of its key, or text with a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DurationSpec {
    Number(Number),
    Text(String),
}

impl DurationSpec {
    /// Longer than anything that is waited for, shorter than anything that overflows.
    const MAX: Duration = Duration::from_secs(366 * 86_400);

    /// `unit_ms`: what a bare number counts.
    pub fn resolve(&self, unit_ms: u32) -> Result<Duration, String> {
        let duration = match self {
            Self::Text(text) => parse_duration(text).map_err(|fault| fault.to_string())?,
            Self::Number(number) => {
                let ms = number.as_f64().unwrap_or(-1.0) * f64::from(unit_ms);
                if !(0.0..=Self::MAX.as_millis() as f64).contains(&ms) {
                    return Err(format!(
                        "`{number}` is not a duration; it has to be between 0 and a year"
                    ));
                }
                Duration::from_millis(ms.round() as u64)
            }
        };
        if duration > Self::MAX {
            return Err("is longer than a year".to_owned());
        }
        Ok(duration)
    }
}

impl JsonSchema for DurationSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}
