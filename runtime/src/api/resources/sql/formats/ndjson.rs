//! A JSON object a line, its keys the names of the columns.

use serde_json::{Map, Value, json};

use super::{EncodeResult, Encoder};
use crate::store::{JsonRows, QueryError, RecordBatch, SqlColumn};

/// Key of a last line that is no row.
const MARK: &str = "$extrack";

pub(super) struct Ndjson {
    rows: JsonRows,
    names: Vec<String>,
}

impl Ndjson {
    pub(super) fn new(columns: &[SqlColumn]) -> Self {
        Self {
            rows: JsonRows::new(columns),
            names: distinct(columns.iter().map(|column| column.name.as_str())),
        }
    }
}

impl Encoder for Ndjson {
    fn batch(&mut self, batch: &RecordBatch) -> EncodeResult {
        let mut written = Vec::new();
        for row in 0..batch.num_rows() {
            let values = self.rows.row(batch, row, &mut 0)?;
            let object: Map<String, Value> = self.names.iter().cloned().zip(values).collect();
            written.extend(line(&Value::Object(object)));
        }
        Ok(written)
    }

    fn end(&mut self, is_truncated: bool) -> EncodeResult {
        let mark = is_truncated.then(|| line(&json!({ MARK: { "truncated": true } })));
        Ok(mark.unwrap_or_default())
    }

    fn broken(&mut self, error: &QueryError) -> Option<Vec<u8>> {
        Some(line(&json!({ MARK: { "error": error.to_string() } })))
    }
}

fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The second `a` is called `a_2`: an object has each key once.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let mut candidate = name.to_owned();
        let mut number = 2;
        while found.contains(&candidate) {
            candidate = format!("{name}_{number}");
            number += 1;
        }
        found.push(candidate);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_twice_are_numbered() {
        let names = distinct(["a", "b", "a", "a_2", "a"].into_iter());
        assert_eq!(names, ["a", "b", "a_2", "a_2_2", "a_3"]);
    }
}
