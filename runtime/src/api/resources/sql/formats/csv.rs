//! RFC 4180. Null is an empty field, an empty text is `""`.

use serde_json::Value;

use super::{EncodeResult, Encoder};
use crate::store::{JsonRows, RecordBatch, SqlColumn};

pub(super) struct Csv {
    rows: JsonRows,
    /// The header line, until it was handed out.
    written: String,
}

impl Csv {
    pub(super) fn new(columns: &[SqlColumn]) -> Self {
        let mut written = String::new();
        line(
            &mut written,
            columns.iter().map(|column| field(&column.name)),
        );
        Self {
            rows: JsonRows::new(columns),
            written,
        }
    }
}

impl Encoder for Csv {
    fn batch(&mut self, batch: &RecordBatch) -> EncodeResult {
        for row in 0..batch.num_rows() {
            let values = self.rows.row(batch, row, &mut 0)?;
            line(&mut self.written, values.iter().map(value));
        }
        Ok(std::mem::take(&mut self.written).into_bytes())
    }

    fn end(&mut self, _is_truncated: bool) -> EncodeResult {
        Ok(std::mem::take(&mut self.written).into_bytes())
    }
}

/// Adds a record of fields that are written.
pub(crate) fn line(text: &mut String, fields: impl Iterator<Item = String>) {
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

/// Writes a text, in quotes where it needs them.
pub(crate) fn field(text: &str) -> String {
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
