//! RFC 4180. Null is an empty field, an empty text is `""`.

use serde_json::Value;

use crate::store::SqlAnswer;

pub(super) fn write(answer: &SqlAnswer) -> String {
    let mut text = String::new();
    line(
        &mut text,
        answer.columns.iter().map(|column| field(&column.name)),
    );
    for row in &answer.rows {
        line(&mut text, row.iter().map(value));
    }
    text
}

fn line(text: &mut String, fields: impl Iterator<Item = String>) {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&field);
    }
    text.push_str("\r\n");
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => field(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => field(&value.to_string()),
    }
}

fn field(text: &str) -> String {
    if text.is_empty() || text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quotes_what_needs_quotes() {
        for (json, csv) in [
            (json!(null), ""),
            (json!(""), "\"\""),
            (json!("plain"), "plain"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"hi\""), "\"say \"\"hi\"\"\""),
            (json!("two\nlines"), "\"two\nlines\""),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!([1, 2]), "\"[1,2]\""),
            (json!({"a": 1}), "\"{\"\"a\"\":1}\""),
        ] {
            assert_eq!(value(&json), csv);
        }
    }
}
