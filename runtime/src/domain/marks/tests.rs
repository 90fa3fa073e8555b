use serde_json::json;

use super::*;

fn hidden(settings: Value, schema: &Value) -> Value {
    let mut settings = settings;
    visit_marked(&mut settings, schema, Mark::Secret, |marked| {
        *marked.value = "***".into()
    });
    settings
}

#[test]
fn a_mark_is_found_in_every_form_that_a_schema_gives_it() {
    let secret = json!({"type": "string", "x-secret": true});
    for (schema, settings, wanted) in [
        (
            json!({"properties": {"a": secret}}),
            json!({"a": "s", "b": "s"}),
            json!({"a": "***", "b": "s"}),
        ),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/text", "x-secret": true}}, "$defs": {"text": {"type": "string"}}}),
            json!({"a": "s"}),
            json!({"a": "***"}),
        ),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/one"}}, "$defs": {"one": {"$ref": "#/$defs/two"}, "two": secret}}),
            json!({"a": "s"}),
            json!({"a": "***"}),
        ),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/a%20b~1c"}}, "$defs": {"a b/c": secret}}),
            json!({"a": "s"}),
            json!({"a": "***"}),
        ),
        (
            json!({"properties": {"a": {"$ref": "#key"}}, "$defs": {"x": {"$anchor": "key", "x-secret": true}}}),
            json!({"a": "s"}),
            json!({"a": "***"}),
        ),
        (
            json!({"$id": "https://a.example/s", "properties": {"a": {"$ref": "https://a.example/s#/$defs/x"}}, "$defs": {"x": secret}}),
            json!({"a": "s"}),
            json!({"a": "***"}),
        ),
        (
            json!({"properties": {"auth": {"oneOf": [
                {"properties": {"kind": {"const": "key"}, "key": secret}},
                {"properties": {"kind": {"const": "none"}}},
            ]}}}),
            json!({"auth": {"kind": "key", "key": "s"}}),
            json!({"auth": {"kind": "key", "key": "***"}}),
        ),
        (
            json!({"allOf": [{"properties": {"a": {"anyOf": [{"type": "null"}, secret]}}}]}),
            json!({"a": "s"}),
            json!({"a": "***"}),
        ),
        (
            json!({"if": {"required": ["a"]}, "then": {"properties": {"a": secret}}, "else": {"properties": {"b": secret}}}),
            json!({"a": "s", "b": "s"}),
            json!({"a": "***", "b": "***"}),
        ),
        (
            json!({"dependentSchemas": {"user": {"properties": {"password": secret}}}}),
            json!({"user": "u", "password": "s"}),
            json!({"user": "u", "password": "***"}),
        ),
        (
            json!({"properties": {"pair": {"prefixItems": [{"type": "string"}, secret], "items": {"type": "string"}}}}),
            json!({"pair": ["u", "s", "x"]}),
            json!({"pair": ["u", "***", "x"]}),
        ),
        (
            json!({"properties": {"pair": {"prefixItems": [{"type": "string"}], "items": secret}}}),
            json!({"pair": ["u", "s", "s"]}),
            json!({"pair": ["u", "***", "***"]}),
        ),
        (
            json!({"properties": {"headers": {"patternProperties": {"^(?i)authorization$": secret}, "additionalProperties": {"type": "string"}}}}),
            json!({"headers": {"Authorization": "s", "accept": "x"}}),
            json!({"headers": {"Authorization": "***", "accept": "x"}}),
        ),
        (
            json!({"properties": {"any": {"patternProperties": {"(?=unreadable)": secret}}}}),
            json!({"any": {"x": "s"}}),
            json!({"any": {"x": "***"}}),
        ),
        (
            json!({"properties": {"all": {"x-secret": true, "properties": {"deep": {"type": "object"}}}}}),
            json!({"all": {"deep": {"list": ["s", 1, true, null]}}}),
            json!({"all": {"deep": {"list": ["***", "***", "***", null]}}}),
        ),
        (
            json!({"$defs": {"node": {"properties": {"key": secret, "next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"}),
            json!({"key": "s", "next": {"key": "s", "next": {"key": "s"}}}),
            json!({"key": "***", "next": {"key": "***", "next": {"key": "***"}}}),
        ),
        (
            json!({"unevaluatedProperties": secret}),
            json!({"a": "s"}),
            json!({"a": "***"}),
        ),
    ] {
        assert_eq!(mark_faults(&schema), Vec::<String>::new(), "{schema}");
        assert_eq!(hidden(settings, &schema), wanted, "{schema}");
    }
}

#[test]
fn a_mark_that_can_not_be_followed_refuses_the_schema() {
    let secret = json!({"type": "string", "x-secret": true});
    for (schema, wanted) in [
        (
            json!({"$defs": {"unused": secret}}),
            "`x-secret` at `/$defs/unused` is where the host does not look",
        ),
        (
            json!({"not": {"properties": {"a": secret}}}),
            "at `/not/properties/a` is where",
        ),
        (
            json!({"propertyNames": {"x-secret": true}}),
            "at `/propertyNames` is where",
        ),
        (
            json!({"properties": {"a": {"x-secret": "yes"}}}),
            "`x-secret` at `/properties/a` has to be `true`",
        ),
        (
            json!({"properties": {"a": {"x-host": "yes"}}}),
            "`x-host` at `/properties/a` has to be `true` or `\"url\"`",
        ),
        (
            json!({"properties": {"a": {"type": "integer", "x-secret": true}}}),
            "marks a number",
        ),
        (
            json!({"properties": {"a": secret, "b": {"$ref": "https://elsewhere.example/s"}}}),
            "leads to `https://elsewhere.example/s`",
        ),
        (
            json!({"properties": {"a": secret, "b": {"$ref": "#/$defs/gone"}}}),
            "leads to `#/$defs/gone`",
        ),
        (
            json!({"properties": {"a": secret, "b": {"$id": "https://b.example/"}}}),
            "`$id` at `/properties/b`",
        ),
    ] {
        let faults = mark_faults(&schema);
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{schema}: {faults:?}"
        );
    }
    for schema in [
        json!({}),
        json!({"properties": {"x-secret": {"type": "string"}}}),
        json!({"properties": {"b": {"$ref": "https://elsewhere.example/s"}}}),
        json!({"properties": {"a": {"x-secret": false}}}),
    ] {
        assert_eq!(mark_faults(&schema), Vec::<String>::new(), "{schema}");
    }
}

#[test]
fn a_mark_has_its_form_and_the_place_of_the_value() {
    let schema =
        json!({"properties": {"path": {"x-host": "url"}, "a/b": {"x-host": true, "items": {}}}});
    let mut found = Vec::new();
    visit_marked(
        &mut json!({"path": "/x", "a/b": ["h"]}),
        &schema,
        Mark::Host,
        |marked| {
            found.push((marked.pointer.to_owned(), marked.form.clone()));
        },
    );
    assert_eq!(
        found,
        [
            ("/path".to_owned(), json!("url")),
            ("/a~1b/0".to_owned(), json!(true))
        ]
    );
}
