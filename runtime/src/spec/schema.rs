//! Checks a value against a JSON Schema and reports in plain words what is wrong: all of it at
//! once, each fault in its place.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use schemars::JsonSchema;
use serde_json::Value;

use crate::domain::fault::{Fault, FaultReport, child, list, suggest};
use crate::domain::percentage_hint;

/// A schema, ready to check with.
pub struct Schema {
    root: Value,
    validator: Validator,
}

#[derive(Debug, thiserror::Error)]
#[error("is not a valid JSON Schema: {0}")]
pub struct InvalidSchema(String);

impl Schema {
    /// Returns the schema of one of our own types.
    pub fn of<T: JsonSchema>() -> Self {
        Self::new(schemars::schema_for!(T).to_value()).expect("schemars makes valid schemas")
    }

    /// References are resolved inside the schema only; nothing is fetched. Durations are written as
    /// we write them, not as ISO 8601 does, so that the plugin judges them.
    pub fn new(root: Value) -> Result<Self, InvalidSchema> {
        let options = jsonschema::options()
            .should_validate_formats(true)
            .with_format("uri", is_url)
            .with_format("duration", |_| true);
        let validator = options
            .build(&root)
            .map_err(|error| InvalidSchema(error.to_string()))?;
        Ok(Self { root, validator })
    }

    /// Adds each fault of `value`, which stands at `prefix`. `also` are keys that would be known
    /// beside those of the schema: candidates for a suggestion.
    pub fn check(&self, value: &Value, prefix: &str, also: &[String], report: &mut FaultReport) {
        for fault in self.faults(value, also) {
            report.add(fault.under(prefix));
        }
    }

    pub fn faults(&self, value: &Value, also: &[String]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for error in self
            .validator
            .iter_errors(value)
            .take(FaultReport::MAX_FAULTS)
        {
            self.explain(&error, also, &mut faults);
        }
        faults
    }

    fn explain(&self, error: &ValidationError<'_>, also: &[String], faults: &mut Vec<Fault>) {
        let at = error.instance_path().as_str();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let schema = self.parent_schema(error);
                let known = || property_names(schema).chain(also.iter().map(String::as_str));
                for key in unexpected {
                    let message = format!("is not a known key{}", suggest(key, known()));
                    faults.push(Fault::at_key(child(at, key), message));
                }
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                faults.push(Fault::new(child(at, key), self.missing(error, key)));
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                self.explain_choice(error, context, also, faults);
            }
            _ => {
                let hint =
                    percentage_hint(&self.root, error.schema_path().as_str(), error.instance());
                let sentence = self.with_example(error, sentence(error));
                faults.push(Fault::new(at, format!("{sentence}{hint}")));
            }
        }
    }

    /// Adds the first of the property's examples: a pattern explains little to people.
    fn with_example(&self, error: &ValidationError<'_>, sentence: String) -> String {
        let is_pattern = matches!(error.kind(), ValidationErrorKind::Pattern { .. });
        let example = self
            .parent_schema(error)
            .and_then(|schema| schema.get("examples")?.get(0)?.as_str());
        match example.filter(|_| is_pattern) {
            Some(example) => format!("{sentence}; write e.g. `{example}`"),
            None => sentence,
        }
    }

    /// Explains a choice of forms: the form that was meant is the one that fits at least at its
    /// root.
    fn explain_choice(
        &self,
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
        also: &[String],
        faults: &mut Vec<Fault>,
    ) {
        let at = error.instance_path().as_str();
        let is_other_form = |inner: &ValidationError<'_>| {
            inner.instance_path().as_str() == at
                && matches!(
                    inner.kind(),
                    ValidationErrorKind::Type { .. }
                        | ValidationErrorKind::Constant { .. }
                        | ValidationErrorKind::Enum { .. }
                )
        };
        let mut meant = context
            .iter()
            .filter(|branch| !branch.iter().any(is_other_form));
        if let (Some(branch), None) = (meant.next(), meant.next()) {
            for inner in branch {
                self.explain(inner, also, faults);
            }
            return;
        }
        let mut options = Vec::new();
        let mut types = Vec::new();
        for inner in context
            .iter()
            .flatten()
            .filter(|inner| is_other_form(inner))
        {
            match inner.kind() {
                ValidationErrorKind::Constant { expected_value } => {
                    options.push((**expected_value).clone())
                }
                ValidationErrorKind::Enum { options: more } => {
                    options.extend(more.as_array().cloned().unwrap_or_default())
                }
                ValidationErrorKind::Type { kind } => types.extend(type_names(kind)),
                _ => {}
            }
        }
        let message = match (options.is_empty(), types.is_empty()) {
            (false, _) => not_an_option(&options, error.instance()),
            (true, false) => not_a_type(&types, error.instance()),
            (true, true) => "fits none of the allowed forms".to_owned(),
        };
        faults.push(Fault::new(at, message));
    }

    /// Names a missing key with the first sentence of its description.
    fn missing(&self, error: &ValidationError<'_>, key: &str) -> String {
        let description = self
            .parent_schema(error)
            .and_then(|schema| {
                schema
                    .get("properties")?
                    .get(key)?
                    .get("description")?
                    .as_str()
            })
            .map(|text| first_sentence(text).to_owned());
        match description {
            Some(description) => format!("is missing ({description})"),
            None => "is missing".to_owned(),
        }
    }

    /// The schema that holds the keyword that failed.
    fn parent_schema(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let path = error.schema_path().as_str();
        self.root.pointer(&path[..path.rfind('/')?])
    }
}

/// Returns the first sentence without its full stop; that of `e.g.` ends none.
fn first_sentence(text: &str) -> &str {
    let mut ends = text.match_indices(". ").map(|(end, _)| end);
    let end = ends.find(|end| {
        !["e.g", "i.e"]
            .iter()
            .any(|short| text[..*end].ends_with(short))
    });
    text[..end.unwrap_or(text.len())]
        .trim()
        .trim_end_matches('.')
}

/// `example.com:8080/a` is a URI by the letter, of the scheme `example.com`, and never meant so.
fn is_url(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| url.has_host() || matches!(url.scheme(), "mailto" | "tel" | "urn"))
}

fn property_names(schema: Option<&Value>) -> impl Iterator<Item = &str> {
    schema
        .and_then(|schema| schema.get("properties")?.as_object())
        .into_iter()
        .flat_map(|map| map.keys().map(String::as_str))
}

/// Values are not repeated, they may be secret; only what stands where a fixed word is wanted is.
fn sentence(error: &ValidationError<'_>) -> String {
    let found = error.instance();
    match error.kind() {
        ValidationErrorKind::Type { kind } => not_a_type(&type_names(kind), found),
        ValidationErrorKind::Enum { options } => {
            not_an_option(options.as_array().map_or(&[], Vec::as_slice), found)
        }
        ValidationErrorKind::Constant { expected_value } => {
            not_an_option(std::slice::from_ref(&**expected_value), found)
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::MinLength { limit: 1 }
        | ValidationErrorKind::MinItems { limit: 1 }
        | ValidationErrorKind::MinProperties { limit: 1 } => "must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => {
            format!("must have at least {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} entries"),
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} entries"),
        ValidationErrorKind::MaxProperties { limit } => format!("must have at most {limit} keys"),
        ValidationErrorKind::UniqueItems => "holds the same entry twice".to_owned(),
        ValidationErrorKind::Pattern { pattern } => {
            format!("does not match the pattern `{pattern}`")
        }
        ValidationErrorKind::Format { format } if format == "uri" => {
            "is no URL; write it with its scheme, such as `https://hooks.example.com/a`".to_owned()
        }
        ValidationErrorKind::Format { format } => format!("is not a valid `{format}`"),
        _ => error.masked().to_string(),
    }
}

fn type_names(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(kind) => vec![*kind],
        TypeKind::Multiple(kinds) => kinds.iter().collect(),
    }
}

fn not_a_type(wanted: &[JsonType], found: &Value) -> String {
    let noun = |kind: &JsonType| match kind {
        JsonType::Null => "empty",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "text",
        JsonType::Array => "a list",
        JsonType::Object => "a mapping",
    };
    let is = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    let mut nouns: Vec<&str> = wanted
        .iter()
        .filter(|kind| **kind != JsonType::Null)
        .map(noun)
        .collect();
    nouns.dedup();
    let quotes = wanted.contains(&JsonType::String)
        && !wanted.contains(&JsonType::Number)
        && matches!(found, Value::Number(_) | Value::Bool(_));
    format!(
        "must be {}, not {is}{}",
        nouns.join(" or "),
        if quotes { "; put it in quotes" } else { "" }
    )
}

fn not_an_option(options: &[Value], found: &Value) -> String {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let names: Vec<String> = options
        .iter()
        .filter(|option| !option.is_null())
        .map(text)
        .collect();
    let wanted = match names.as_slice() {
        [one] => format!("must be `{one}`"),
        _ => format!("must be one of {}", list(names.iter().map(String::as_str))),
    };
    match found {
        Value::String(word) => {
            let meant = suggest(word, names.iter().map(String::as_str));
            format!(
                "{wanted}{}",
                if meant.contains("did you mean") {
                    meant
                } else {
                    String::new()
                }
            )
        }
        _ => wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::{ServiceSpec, ServicesFile};

    fn texts(schema: &Schema, value: &Value) -> Vec<String> {
        schema
            .faults(value, &["severity".to_owned()])
            .into_iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.message))
            .collect()
    }

    #[test]
    fn explains_each_fault_in_its_place() {
        let schema = Schema::of::<ServicesFile>();
        let service = |patch: Value| {
            let mut service = json!({"name": "a", "baseUrl": "https://a"});
            service
                .as_object_mut()
                .unwrap()
                .extend(patch.as_object().unwrap().clone());
            json!({ "services": [service] })
        };
        for (value, wanted) in [
            (service(json!({})), vec![]),
            (service(json!({"owner": null, "monitoring": null})), vec![]),
            (
                service(json!({"baseURL": 1})),
                vec!["/services/0/baseURL: is not a known key; did you mean `baseUrl`?"],
            ),
            (
                json!({"services": [{"name": "a"}]}),
                vec![
                    "/services/0/baseUrl: is missing (URL, or `host:port` for what speaks no HTTP)",
                ],
            ),
            (
                service(json!({"name": 12})),
                vec!["/services/0/name: must be text, not a number; put it in quotes"],
            ),
            (
                service(json!({"private": "yes"})),
                vec!["/services/0/private: must be `true` or `false`, not text"],
            ),
            (
                service(json!({"monitoring": {"interval": []}})),
                vec!["/services/0/monitoring/interval: must be a number or text, not a list"],
            ),
            (
                service(json!({"monitoring": {"intervall": 3}})),
                vec![
                    "/services/0/monitoring/intervall: is not a known key; did you mean `interval`?",
                ],
            ),
            (
                service(json!({"monitoring": 3})),
                vec!["/services/0/monitoring: must be a mapping, not a number"],
            ),
            (
                service(json!({"authentication": {"type": "apikey"}})),
                vec![
                    "/services/0/authentication/type: must be one of `none`, `api_key`, `bearer`, `basic`, `query`, `oauth2`, `mtls`, `hmac`, `aws_sigv4`; \
                 did you mean `api_key`?",
                ],
            ),
            (
                service(
                    json!({"alerts": [{"type": "availability", "severity": "fatal", "threshold": 3}]}),
                ),
                vec!["/services/0/alerts/0/severity: must be one of `info`, `warning`, `critical`"],
            ),
            (
                json!({"services": {}, "service": []}),
                vec![
                    "/services: must be a list, not a mapping",
                    "/service: is not a known key; did you mean `services`?",
                ],
            ),
        ] {
            let mut found = texts(&schema, &value);
            found.sort_by_key(|line| !line.starts_with("/services:"));
            assert_eq!(found, wanted, "{value}");
        }
    }

    #[test]
    fn suggests_keys_of_the_entry_around_a_plugins_settings() {
        let schema = Schema::new(json!({
            "type": "object",
            "properties": {"threshold": {"type": "number", "minimum": 0, "description": "Percent. More text."}},
            "required": ["threshold"],
            "additionalProperties": false,
        }))
        .unwrap();
        assert_eq!(
            texts(&schema, &json!({"threshold": 1, "severty": "x"})),
            ["/severty: is not a known key; did you mean `severity`?"]
        );
        assert_eq!(
            texts(&schema, &json!({"threshold": -1})),
            ["/threshold: must be at least 0"]
        );
        assert_eq!(
            texts(&schema, &json!({})),
            ["/threshold: is missing (Percent)"]
        );
    }

    #[test]
    fn a_secret_that_has_to_be_a_url_is_looked_at_and_not_repeated() {
        let url = json!({"type": "string", "format": "uri", "x-secret": true});
        let schema =
            Schema::new(json!({"type": "object", "properties": {"webhook": url}})).unwrap();
        for text in [
            "hook",
            "",
            "example.com/a",
            "example.com:8080/a",
            "https://",
            "//example.com",
        ] {
            let texts = texts(&schema, &json!({"webhook": text}));
            assert!(
                texts.len() == 1
                    && texts[0].starts_with("/webhook: is no URL; write it with its scheme"),
                "{text}: {texts:?}"
            );
        }
        for text in [
            "https://hooks.example.com/T0/B0?x=y",
            "http://127.0.0.1:8080",
            "HTTPS://bücher.example/",
        ] {
            assert_eq!(texts(&schema, &json!({"webhook": text})), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_pattern_is_explained_by_an_example() {
        let window = json!({"type": "string", "pattern": "^[0-9]+m$", "examples": ["5m"]});
        let schema =
            Schema::new(json!({"type": "object", "properties": {"window": window}})).unwrap();
        let texts = texts(&schema, &json!({"window": "soon"}));
        assert_eq!(
            texts,
            ["/window: does not match the pattern `^[0-9]+m$`; write e.g. `5m`"]
        );
    }

    #[test]
    fn does_not_repeat_a_value_that_may_be_secret() {
        let schema = Schema::of::<ServiceSpec>();
        let value = json!({"name": "a", "baseUrl": "https://a", "authentication": {"type": "bearer", "token": 98765}});
        assert!(!texts(&schema, &value).concat().contains("98765"));
    }
}
