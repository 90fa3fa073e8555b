//! A service as YAML, alone or behind those of a file.

use serde_json::{Map, Value};

use crate::config::{self, Environment};
use crate::spec::ServiceSpec;

const SERVICES: &str = "services:";

/// Returns one service as an entry of `services`, with the key before it.
pub fn service_yaml(service: &ServiceSpec) -> String {
    format!("{SERVICES}\n{}", entry(service, ""))
}

/// Returns a service that is stored as it can be described again: with its slug, and without texts
/// that would be read as variables.
pub fn stored_service(slug: &str, spec: Map<String, Value>) -> serde_json::Result<ServiceSpec> {
    let mut spec = Value::Object(spec);
    escape_variables(&mut spec);
    let described: ServiceSpec = serde_json::from_value(spec)?;
    Ok(ServiceSpec {
        slug: Some(slug.to_owned()),
        ..described
    })
}

/// Keeps texts from being read as variables.
pub fn escape_variables(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape_variables),
        Value::Object(members) => members.values_mut().for_each(escape_variables),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns a mapping as YAML, a key a line.
pub fn yaml_of(members: &Map<String, Value>) -> String {
    let lines = mapping(members).into_iter();
    lines.map(|line| format!("{line}\n")).collect()
}

/// Returns the text of a `services.yaml` with one service more. The error is why the text can't be
/// added to.
pub fn append_service(text: &str, service: &ServiceSpec) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(service_yaml(service));
    }
    let is_top = |line: &&str| {
        !line.starts_with([' ', '#', '-', '\t']) && !line.trim().is_empty() && *line != "---"
    };
    if text.lines().rfind(is_top).map(str::trim_end) != Some(SERVICES) {
        return Err(format!(
            "`{SERVICES}` is not its last key, or not a list with an entry a line"
        ));
    }
    let indent: String = text
        .lines()
        .filter(|line| line.trim_start().starts_with("- "))
        .map(|line| line.chars().take_while(|c| *c == ' ').collect())
        .min_by_key(String::len)
        .unwrap_or_default();
    let mut extended = text.trim_end().to_owned();
    extended.push('\n');
    extended.push_str(&entry(service, &indent));
    // The text is edited as text, so that comments stay; that it means what it should is read back.
    let (before, after) = (services_of(text)?, services_of(&extended)?);
    let is_added = after.len() == before.len() + 1
        && after.starts_with(&before)
        && after.last() == serde_json::to_value(service).ok().as_ref();
    if !is_added {
        return Err("its list of services can't be added to line by line".to_owned());
    }
    Ok(extended)
}

/// Reads the services of a text. Variables stay as they are written, as far as that is possible:
/// each stands for itself.
fn services_of(text: &str) -> Result<Vec<Value>, String> {
    // `$${` is an escaped `${`.
    let escaped = text.replace("${", "$${");
    let value = config::parse_value("services.yaml", &escaped, &Environment::default())
        .map_err(|faults| faults.to_string())?;
    match value.get("services") {
        Some(Value::Array(services)) => Ok(services.clone()),
        Some(Value::Null) | None => Ok(Vec::new()),
        Some(_) => Err("`services` is no list".to_owned()),
    }
}

/// Returns one service as an entry of `services`, without the key before it.
pub fn service_entry(service: &ServiceSpec) -> String {
    entry(service, "")
}

fn entry(service: &ServiceSpec, indent: &str) -> String {
    let value = serde_json::to_value(service).unwrap_or_default();
    let mut text = String::new();
    if let Value::Object(members) = &value {
        for (index, line) in mapping(members).iter().enumerate() {
            let lead = if index == 0 { "- " } else { "  " };
            text.push_str(&format!("{indent}{lead}{line}\n"));
        }
    }
    text
}

/// Lines of a mapping, without indentation.
fn mapping(members: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in members {
        let key = scalar(&Value::String(key.clone()));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                lines.push(format!("{key}:"));
                lines.extend(mapping(inner).iter().map(|line| format!("  {line}")));
            }
            Value::Array(items) if !items.is_empty() => {
                lines.push(format!("{key}:"));
                lines.extend(items.iter().flat_map(item).map(|line| format!("  {line}")));
            }
            value => lines.push(format!("{key}: {}", scalar(value))),
        }
    }
    lines
}

fn item(value: &Value) -> Vec<String> {
    let lines = match value {
        Value::Object(inner) if !inner.is_empty() => mapping(inner),
        value => vec![scalar(value)],
    };
    let lead = |index: usize| if index == 0 { "- " } else { "  " };
    let lines = lines.iter().enumerate();
    lines
        .map(|(index, line)| format!("{}{line}", lead(index)))
        .collect()
}

/// A scalar, or what is empty. JSON's texts are YAML's in double quotes.
fn scalar(value: &Value) -> String {
    let is_plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
                .contains(&text.to_ascii_lowercase().as_str())
    };
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> ServiceSpec {
        serde_json::from_value(json!({
            "name": "Stripe: live", "type": "REST", "baseUrl": "https://api.stripe.com",
            "authentication": {"type": "bearer", "token": "${STRIPE_API_KEY}"},
            "monitoring": {"expectedStatus": 401, "settings": {"auth": "none"}},
            "probes": [{"plugin": "tls", "settings": {}}, {"plugin": "dns"}],
            "tags": ["yes", "a b"],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = service_yaml(&service());
        let read = services_of(&text).unwrap();
        assert_eq!(read, [serde_json::to_value(service()).unwrap()], "{text}");
    }

    #[test]
    fn a_service_is_added_behind_the_others_and_comments_stay() {
        for text in [
            "",
            "# ours\nservices:\n  # the shop\n  - name: Shop\n    baseUrl: https://shop.example # live\n",
            "---\nservices:\n- {name: Shop, baseUrl: https://shop.example}",
            "services:\n",
        ] {
            let added = append_service(text, &service()).unwrap();
            assert!(added.starts_with(text.trim_end()), "{added}");
            let read = services_of(&added).unwrap();
            assert_eq!(read.last(), serde_json::to_value(service()).ok().as_ref());
        }
    }

    #[test]
    fn a_file_that_can_not_be_added_to_is_left_alone() {
        for text in [
            "services: [{name: Shop, baseUrl: https://shop.example}]\n",
            "services:\n  - name: Shop\n    baseUrl: https://shop.example\nx-more:\n  - 1\n",
            "services:\n  {}\n",
        ] {
            assert!(append_service(text, &service()).is_err(), "{text}");
        }
    }
}
