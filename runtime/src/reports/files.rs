//! A report as data: JSON as it is kept, and one value a line as CSV and Parquet, because the
//! sections of a report have no columns in common.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use super::model::{Content, Report, Table, shown};

const SCHEMA: &str = "message report {
    REQUIRED BYTE_ARRAY section (UTF8);
    REQUIRED INT64 row;
    REQUIRED BYTE_ARRAY column (UTF8);
    OPTIONAL BYTE_ARRAY value (UTF8);
    OPTIONAL DOUBLE number;
}";

/// One value of a report.
struct Line {
    section: String,
    /// Number of the row, from 1.
    row: i64,
    column: String,
    value: Option<String>,
    number: Option<f64>,
}

pub(super) fn json(report: &Report) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(report).unwrap_or_default();
    json.push(b'\n');
    json
}

/// Returns RFC 4180 with a header line; none is an empty field.
pub(super) fn csv(report: &Report) -> Vec<u8> {
    let mut csv = String::from("section,row,column,value\r\n");
    for line in lines(report) {
        let value = line.value.as_deref().map(field).unwrap_or_default();
        csv.push_str(&format!(
            "{},{},{},{value}\r\n",
            field(&line.section),
            line.row,
            field(&line.column)
        ));
    }
    csv.into_bytes()
}

fn field(text: &str) -> String {
    // A spreadsheet takes a text that begins so for a formula.
    let text = if text.starts_with(['=', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

pub(super) fn parquet(report: &Report) -> Result<Vec<u8>, String> {
    written(&lines(report)).map_err(|error| format!("the Parquet file can't be written: {error}"))
}

fn written(lines: &[Line]) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let texts = |of: fn(&Line) -> &str| lines.iter().map(|line| text(of(line))).collect::<Vec<_>>();
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        match index {
            0 => {
                let values = texts(|line| &line.section);
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)?;
            }
            1 => {
                let values: Vec<i64> = lines.iter().map(|line| line.row).collect();
                column
                    .typed::<Int64Type>()
                    .write_batch(&values, None, None)?;
            }
            2 => {
                let values = texts(|line| &line.column);
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)?;
            }
            3 => {
                let found = lines.iter().filter_map(|line| line.value.as_deref());
                let values: Vec<ByteArray> = found.map(text).collect();
                let levels = levels(lines, |line| line.value.is_some());
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&levels), None)?;
            }
            _ => {
                let values: Vec<f64> = lines.iter().filter_map(|line| line.number).collect();
                let levels = levels(lines, |line| line.number.is_some());
                column
                    .typed::<DoubleType>()
                    .write_batch(&values, Some(&levels), None)?;
            }
        }
        column.close()?;
        index += 1;
    }
    group.close()?;
    writer.into_inner()
}

/// Definition levels: 1 where there is a value.
fn levels(lines: &[Line], has: fn(&Line) -> bool) -> Vec<i16> {
    lines.iter().map(|line| i16::from(has(line))).collect()
}

fn lines(report: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    for section in &report.sections {
        match &section.content {
            Content::Numbers(numbers) => {
                for (row, number) in (1..).zip(numbers) {
                    let before = format!("{}, before", number.label);
                    for (column, value) in
                        [(&number.label, &number.value), (&before, &number.before)]
                    {
                        lines.push(Line {
                            section: section.title.clone(),
                            row,
                            column: column.clone(),
                            value: Some(value.clone()),
                            number: None,
                        });
                    }
                }
            }
            Content::Chart(chart) => table(&section.title, &chart.table(), &mut lines),
            Content::Table(found) => table(&section.title, found, &mut lines),
            Content::Text(text) => lines.push(single(&section.title, "text", text)),
            Content::Failed(error) => lines.push(single(&section.title, "error", error)),
        }
    }
    lines
}

fn single(section: &str, column: &str, value: &str) -> Line {
    Line {
        section: section.to_owned(),
        row: 1,
        column: column.to_owned(),
        value: Some(value.to_owned()),
        number: None,
    }
}

fn table(section: &str, table: &Table, lines: &mut Vec<Line>) {
    for (row, values) in (1..).zip(&table.rows) {
        for (column, value) in table.columns.iter().zip(values) {
            let number = match value {
                Value::Number(number) => number.as_f64(),
                Value::String(text) if column.is_number => text.parse().ok(),
                _ => None,
            };
            lines.push(Line {
                section: section.to_owned(),
                row,
                column: column.name.clone(),
                value: (!value.is_null()).then(|| shown(value)),
                number,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;
    use crate::reports::model::tests::report;

    #[test]
    fn csv_has_a_line_for_each_value() {
        let csv = String::from_utf8(csv(&report(1))).unwrap();
        assert!(csv.starts_with("section,row,column,value\r\n"), "{csv}");
        assert!(csv.contains("Overview,1,Availability,99.94 %\r\n"), "{csv}");
        assert!(csv.contains("Minutes of outages,1,minutes,12\r\n"), "{csv}");
        assert!(
            csv.contains("Services,1,Wanted %,\r\n"),
            "none is empty: {csv}"
        );
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
    }

    #[test]
    fn parquet_is_read_back_with_its_numbers() {
        let report = report(3);
        let bytes = parquet(&report).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows = reader.metadata().file_metadata().num_rows();
        assert_eq!(rows as usize, lines(&report).len());
        let found: Vec<String> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().to_string())
            .collect();
        assert!(
            found
                .iter()
                .any(|row| row.contains("Availability %") && row.contains("99.914")),
            "{found:?}"
        );
    }
}
