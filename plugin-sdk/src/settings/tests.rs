use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::Settings;

#[derive(Settings, Debug, PartialEq)]
struct Sample {
    /// A name, "quoted".
    name: String,
    #[setting(default = "fast")]
    mode: Mode,
    #[setting(default = "5m")]
    window: Duration,
    /// How many
    /// at most.
    #[setting(default = 3, min = 1, max = 10)]
    most_items: u32,
    port: Option<u16>,
    #[setting(default = -0.5)]
    offset: f64,
    #[setting(default)]
    labels: BTreeMap<String, Secret>,
    #[setting(default)]
    parts: Vec<Part>,
    token: Option<Secret>,
    #[setting(url)]
    hook: Option<Secret>,
    #[setting(name = "X-Any")]
    any: Option<Value>,
}

#[derive(Settings, Debug, PartialEq)]
enum Mode {
    Fast,
    VerySlow,
    #[setting(name = "OFF")]
    Off,
}

#[derive(Settings, Debug, PartialEq)]
struct Part {
    id: i64,
    flag: Option<bool>,
}

fn faults(text: &str) -> Vec<(String, String)> {
    Sample::from_json(text)
        .unwrap_err()
        .into_iter()
        .map(|fault| (fault.path, fault.message))
        .collect()
}

#[test]
fn the_schema_says_what_the_struct_says() {
    let schema: Value = serde_json::from_str(&Sample::schema()).unwrap();
    assert_eq!(
        schema,
        json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "A name, \"quoted\"."},
                "mode": {"type": "string", "enum": ["fast", "verySlow", "OFF"], "default": "fast"},
                "window": {"type": "string", "default": "5m", "minLength": 2,
                    "pattern": "^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
                    "examples": ["500ms", "2s", "1h30m"]},
                "mostItems": {"type": "integer", "description": "How many at most.", "default": 3, "minimum": 1, "maximum": 10},
                "port": {"type": "integer", "minimum": 0, "maximum": 65535},
                "offset": {"type": "number", "default": -0.5},
                "labels": {"type": "object",
                    "additionalProperties": {"type": "string", "minLength": 1, "x-secret": true}},
                "parts": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"id": {"type": "integer"}, "flag": {"type": "boolean"}},
                    "required": ["id"],
                    "additionalProperties": false,
                }},
                "token": {"type": "string", "minLength": 1, "x-secret": true},
                "hook": {"type": "string", "minLength": 1, "format": "uri", "x-secret": true},
                "X-Any": {},
            },
            "required": ["name"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn absent_keys_take_their_defaults() {
    let sample = Sample::from_json(r#"{"name": "n"}"#).unwrap();
    let wanted = Sample {
        name: "n".to_owned(),
        mode: Mode::Fast,
        window: Duration::from_secs(300),
        most_items: 3,
        port: None,
        offset: -0.5,
        labels: BTreeMap::new(),
        parts: Vec::new(),
        token: None,
        hook: None,
        any: None,
    };
    assert_eq!(sample, wanted);
}

#[test]
fn present_keys_are_read() {
    let sample = Sample::from_json(
        r#"{"name": "n", "mode": "verySlow", "window": "90s", "mostItems": 10, "port": 65535, "offset": 2,
            "labels": {"a": "b"}, "parts": [{"id": -1, "flag": true}], "token": "t", "X-Any": [1]}"#,
    )
    .unwrap();
    assert_eq!(
        (sample.mode, sample.window.as_secs(), sample.most_items),
        (Mode::VerySlow, 90, 10)
    );
    assert_eq!(
        (sample.port, sample.offset, sample.any),
        (Some(65_535), 2.0, Some(json!([1])))
    );
    assert_eq!(sample.labels["a"].pointer(), "/labels/a");
    assert_eq!(
        sample.parts,
        [Part {
            id: -1,
            flag: Some(true)
        }]
    );
}

#[test]
fn every_fault_is_told_with_its_place() {
    let found = faults(
        r#"{"mode": "slow", "window": "5", "mostItems": 11, "port": 70000, "labels": {"a/b": 1}, "parts": [{"id": 1}, {}], "nam": 1}"#,
    );
    let wanted = [
        ("/name", "is missing"),
        (
            "/mode",
            "is `slow`, wanted one of `fast`, `verySlow`, `OFF`",
        ),
        (
            "/window",
            "is `5`, wanted a duration such as `500ms`, `2s`, `5m`, `1h30m` or `7d`",
        ),
        ("/mostItems", "is `11`, wanted at most 10"),
        ("/port", "is `70000`, wanted at most 65535"),
        ("/port", "is `70000`, wanted a whole number in range"),
        ("/labels/a~1b", "is `1`, wanted a secret"),
        ("/parts/1/id", "is missing"),
        (
            "/nam",
            "is not a setting; known are `name`, `mode`, `window`, `mostItems`, `port`, `offset`, `labels`, `parts`, `token`, `hook`, `X-Any`",
        ),
    ];
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(path, message)| (path.as_str(), message.as_str()))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn what_is_no_object_is_refused_as_a_whole() {
    assert_eq!(
        faults("[]"),
        [(
            String::new(),
            "is a list, wanted keys with values".to_owned()
        )]
    );
    assert!(faults("{")[0].1.starts_with("not JSON"));
}

#[test]
fn a_secret_is_not_printed() {
    let sample = Sample::from_json(r#"{"name": "n", "labels": {"a": "hunter2"}}"#).unwrap();
    assert!(!format!("{sample:?}").contains("hunter2"));
}

#[test]
fn a_plugin_without_settings_takes_none() {
    assert_eq!(NoSettings::from_json("{}"), Ok(NoSettings));
    assert_eq!(
        NoSettings::from_json(r#"{"a": 1}"#).unwrap_err()[0].message,
        "is not a setting; known are none"
    );
}

#[derive(Settings, Debug, PartialEq)]
struct Bounded {
    #[setting(pattern = "^[a-z]+$", min_size = 2, max_size = 4)]
    word: String,
    #[setting(default, max_size = 2)]
    items: Vec<Login>,
    #[setting(default, min_size = 1)]
    by_name: BTreeMap<String, i64>,
}

#[derive(Settings, Debug, PartialEq)]
#[setting(tag = "type")]
enum Login {
    None,
    Basic {
        user: String,
        /// Password of the user.
        password: Secret,
    },
    #[setting(name = "api-key")]
    Key {
        #[setting(default = "x-key")]
        header: String,
    },
}

#[test]
fn bounds_patterns_and_alternatives_are_in_the_schema() {
    let schema: Value = serde_json::from_str(&Bounded::schema()).unwrap();
    let alternative = |name: &str, properties: Value, required: Value| {
        let mut all = json!({"type": {"const": name}});
        all.as_object_mut()
            .unwrap()
            .extend(properties.as_object().unwrap().clone());
        json!({"type": "object", "properties": all, "required": required, "additionalProperties": false})
    };
    assert_eq!(
        schema["properties"],
        json!({
            "word": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
            "items": {"type": "array", "maxItems": 2, "items": {"oneOf": [
                alternative("none", json!({}), json!(["type"])),
                alternative("basic", json!({
                    "user": {"type": "string"},
                    "password": {"type": "string", "minLength": 1, "x-secret": true, "description": "Password of the user."},
                }), json!(["type", "user", "password"])),
                alternative("api-key", json!({"header": {"type": "string", "default": "x-key"}}), json!(["type"])),
            ]}},
            "byName": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer"}},
        })
    );
}

#[test]
fn an_alternative_is_read_by_its_tag_and_bounds_are_kept() {
    let read = Bounded::from_json(
        r#"{"word": "abc", "items": [{"type": "none"}, {"type": "api-key"}], "byName": {"a": 1}}"#,
    );
    let items = read.unwrap().items;
    let key = Login::Key {
        header: "x-key".to_owned(),
    };
    assert_eq!(items, [Login::None, key]);
    let faults = Bounded::from_json(
        r#"{"word": "a", "byName": {}, "items": [{"type": "basic"}, {"type": "digest"}, {}, {"type": "none", "user": "u"}]}"#,
    )
    .unwrap_err();
    let found: Vec<(&str, &str)> = faults
        .iter()
        .map(|fault| (fault.path.as_str(), fault.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("/word", "has 1 characters, wanted at least 2"),
            ("/items", "has 4 entries, wanted at most 2"),
            ("/items/0/user", "is missing"),
            ("/items/0/password", "is missing"),
            (
                "/items/1/type",
                "is `digest`, wanted one of `none`, `basic`, `api-key`"
            ),
            (
                "/items/2/type",
                "is missing, wanted one of `none`, `basic`, `api-key`"
            ),
            ("/items/3/user", "is not a setting; known are `type`"),
            ("/byName", "has 0 entries, wanted at least 1"),
        ]
    );
}

#[derive(Settings, Debug, PartialEq)]
struct Narrowed {
    #[setting(min_size = 20)]
    token: Secret,
    #[setting(min_size = 1, max_size = 2)]
    keys: Secrets,
    /// Code of the country.
    #[setting(max_size = 2)]
    country: Code,
}

/// A type with keywords that fields set too.
#[derive(Debug, PartialEq)]
struct Code(String);

impl Setting for Code {
    fn schema() -> String {
        r#"{"type":"string","description":"A code.","minLength":2,"maxLength":9,"pattern":"^[A-Z]+$"}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        String::read(value, place, faults).map(Self)
    }
}

#[test]
fn what_a_field_sets_replaces_what_its_type_sets() {
    let schema = Narrowed::schema();
    let count = |name: &str| schema.matches(&format!("\"{name}\":")).count();
    assert_eq!(count("description"), 1, "{schema}");
    // Each secret of `keys` has one of its own.
    assert_eq!(count("minLength"), 2 + 2, "{schema}");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(
        schema["properties"]["token"],
        json!({"type": "string", "minLength": 20, "x-secret": true})
    );
    assert_eq!(
        schema["properties"]["country"],
        json!({"type": "string", "description": "Code of the country.", "minLength": 2, "maxLength": 2, "pattern": "^[A-Z]+$"})
    );
}

#[test]
fn the_size_of_a_secret_is_that_of_its_value() {
    let faults = |token: Value, keys: Value| -> Vec<String> {
        let settings = json!({"token": token, "keys": keys, "country": "AT"}).to_string();
        let faults = Narrowed::from_json(&settings).err().unwrap_or_default();
        faults
            .into_iter()
            .map(|fault| format!("{} {}", fault.path, fault.message))
            .collect()
    };
    let marker = |pointer: &str| json!({"$secret": pointer});
    let (long, none) = ("a".repeat(20), Vec::<String>::new());
    // The host has the value, and has checked it.
    assert_eq!(faults(marker("/token"), marker("/keys")), none);
    assert_eq!(faults(json!(long), json!("one of many characters")), none);
    let three = json!([marker("/keys/0"), marker("/keys/1"), marker("/keys/2")]);
    assert_eq!(
        faults(json!("short"), three),
        [
            "/token has 5 characters, wanted at least 20",
            "/keys has 3 entries, wanted at most 2"
        ]
    );
}
