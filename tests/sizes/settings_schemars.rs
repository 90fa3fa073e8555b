//! The settings of `fixtures/plugins/every_setting.rs` by `schemars` and `serde`: a schema without the
//! limits of their types repeated, and one fault at a time, without its place.
#![allow(dead_code, reason = "the settings are only read")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use extrack_plugin::prelude::*;
use extrack_plugin::settings::{Faults, Place};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    /// Path to ask for.
    #[serde(default = "health")]
    #[schemars(regex(pattern = "^/"), length(min = 1, max = 200))]
    path: String,
    /// Fewer requests left than this is worth a warning.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    warn_below: i64,
    /// Share of the limit that has to be left.
    #[schemars(range(min = 0, max = 1))]
    share: Option<f64>,
    #[serde(default = "yes")]
    strict: bool,
    timeout: Option<Time>,
    #[serde(default)]
    method: Method,
    login: Option<Login>,
    token: Option<Key>,
    #[serde(default)]
    #[schemars(extend("maxProperties" = 20))]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    #[schemars(length(max = 8))]
    fields: Vec<Field>,
    /// Another server with the same answers.
    #[schemars(extend("x-host" = "url"))]
    mirror: Option<String>,
    #[schemars(extend("x-port" = true))]
    port: Option<u16>,
    /// Sent as it is.
    body: Option<json::Value>,
}

fn health() -> String {
    "/health".to_owned()
}

fn hundred() -> i64 {
    100
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
enum Method {
    #[default]
    Get,
    Post,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "type", deny_unknown_fields)]
enum Login {
    Basic { user: String, password: Key },
    Bearer { token: Key },
}

/// A field of the answer, and its value when all is well.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Field {
    #[schemars(length(min = 1))]
    name: String,
    wanted: String,
}

/// The SDK's types for secrets and durations, with the traits of both crates.
macro_rules! shared {
    ($name:ident, $of:ty) => {
        struct $name($of);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = json::Value::deserialize(deserializer)?;
                let mut faults = Faults::default();
                <$of>::read(&value, &Place::ROOT, &mut faults)
                    .map(Self)
                    .ok_or_else(|| D::Error::custom("is wrong"))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json::from_str(&<$of>::schema()).unwrap_or_default()
            }
        }
    };
}
shared!(Key, Secret);
shared!(Time, Duration);

impl Setting for Settings {
    fn schema() -> String {
        let settings =
            SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<Self>();
        json::to_string(&schema).unwrap_or_default()
    }

    fn read(value: &json::Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        match Self::deserialize(value) {
            Ok(settings) => Some(settings),
            Err(error) => {
                faults.add(place, error.to_string());
                None
            }
        }
    }
}

#[probe(name = "every_setting", summary = "Reads its settings")]
fn check(_check: &Check, settings: &Settings) -> Observation {
    // As if they were used: the optimizer leaves none out.
    std::hint::black_box(settings);
    Observation::healthy()
}
