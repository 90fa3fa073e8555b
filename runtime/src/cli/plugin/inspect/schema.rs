//! A settings schema as a table: one row a setting, inner ones with their path.

use serde_json::Value;

/// Schemas may refer to themselves.
const DEEPEST: usize = 6;

pub(super) struct Row {
    path: String,
    of_type: String,
    default: String,
    meaning: String,
}

impl Row {
    pub(super) fn cells(self) -> Vec<String> {
        [self.path, self.of_type, self.default, self.meaning]
            .map(|text| {
                text.chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect()
            })
            .into()
    }
}

/// Returns the settings in the schema's order.
pub(super) fn rows(schema: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    properties(schema, schema, "", 0, &mut rows);
    rows
}

fn properties(schema: &Value, root: &Value, path: &str, depth: usize, rows: &mut Vec<Row>) {
    let schema = resolved(schema, root);
    let Some(known) = schema["properties"].as_object().filter(|_| depth < DEEPEST) else {
        return;
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in known {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let inner = resolved(property, root);
        let default = match property.get("default").or_else(|| inner.get("default")) {
            Some(default) => default.to_string(),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => "-".to_owned(),
        };
        let of_type = of_type(inner, root);
        let meaning = meaning(property, inner);
        rows.push(Row {
            path: path.clone(),
            of_type,
            default,
            meaning,
        });
        properties(inner, root, &path, depth + 1, rows);
        if inner["items"].is_object() {
            properties(&inner["items"], root, &format!("{path}[]"), depth + 1, rows);
        }
        if inner["additionalProperties"].is_object() {
            properties(
                &inner["additionalProperties"],
                root,
                &format!("{path}.*"),
                depth + 1,
                rows,
            );
        }
    }
}

/// Follows one `$ref` into `$defs`.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'));
    target
        .and_then(|target| root.pointer(target))
        .unwrap_or(schema)
}

fn of_type(schema: &Value, root: &Value) -> String {
    let marks = [("x-secret", "secret "), ("x-host", "host ")];
    let mark = marks
        .into_iter()
        .find(|(key, _)| schema[*key] == true)
        .map_or("", |(_, mark)| mark);
    let plain = if let Some(choices) = schema["enum"].as_array() {
        choices
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(" | ")
    } else if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        choices
            .iter()
            .map(|choice| of_type(resolved(choice, root), root))
            .collect::<Vec<_>>()
            .join(" | ")
    } else {
        match &schema["type"] {
            Value::String(name) if name == "array" => {
                format!(
                    "list of {}",
                    of_type(resolved(&schema["items"], root), root)
                )
            }
            Value::String(name) => schema["format"].as_str().unwrap_or(name).to_owned(),
            Value::Array(names) => names
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" | "),
            _ => "any".to_owned(),
        }
    };
    let bound = |key: &str, sign: &str| {
        schema
            .get(key)
            .map(|bound| format!(" {sign} {bound}"))
            .unwrap_or_default()
    };
    format!(
        "{mark}{plain}{}{}",
        bound("minimum", "≥"),
        bound("maximum", "≤")
    )
}

fn meaning(property: &Value, inner: &Value) -> String {
    let text = property["description"]
        .as_str()
        .or(inner["description"].as_str())
        .unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_reads_as_a_table() {
        let schema = json!({
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "x-secret": true, "description": "Where\nto post."},
                "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
                "mode": {"enum": ["fast", "slow"], "default": "fast"},
                "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "$defs": {"step": {"type": "object", "required": ["path"], "properties": {
                "path": {"type": "string"}, "next": {"$ref": "#/$defs/step"}
            }}},
        });
        let cells: Vec<Vec<String>> = rows(&schema).into_iter().map(Row::cells).collect();
        let find = |path: &str| {
            cells
                .iter()
                .find(|row| row[0] == path)
                .unwrap_or_else(|| panic!("{path}: {cells:?}"))[1..]
                .to_vec()
        };
        assert_eq!(find("url"), ["secret string", "required", "Where to post."]);
        assert_eq!(find("count"), ["integer ≥ 1 ≤ 9", "3", ""]);
        assert_eq!(find("mode"), [r#""fast" | "slow""#, r#""fast""#, ""]);
        assert_eq!(find("steps"), ["list of object", "-", ""]);
        assert_eq!(find("steps[].path"), ["string", "required", ""]);
        // A schema that holds itself ends.
        assert!(cells.len() < 40, "{}", cells.len());
    }

    #[test]
    fn anything_that_is_a_schema_is_read() {
        for schema in [
            json!({}),
            json!({"type": "object"}),
            json!({"properties": {"a": true}}),
            json!({"properties": 7}),
        ] {
            rows(&schema);
        }
        assert_eq!(rows(&json!({"properties": {"a": true}})).len(), 1);
    }
}
