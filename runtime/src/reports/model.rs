//! A report as it was made: what every format is written from, and what is kept of a run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) title: String,
    /// Period as people read it.
    pub(crate) period: String,
    /// First moment of the period, RFC 3339.
    pub(crate) from: String,
    /// Moment behind the period.
    pub(crate) to: String,
    /// Moment at which it was made.
    pub(crate) made: String,
    /// Moment up to which results were in it; none where no section asked for any.
    pub(crate) data_to: Option<String>,
    pub(crate) sections: Vec<Section>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Content {
    Numbers(Vec<Number>),
    Chart(Chart),
    Table(Table),
    /// Markdown.
    Text(String),
    /// Why it could not be made.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Number {
    pub(crate) label: String,
    pub(crate) value: String,
    /// The same of the period before.
    pub(crate) before: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Value>>,
    /// There were more rows than a report has room for.
    pub(crate) is_truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) is_number: bool,
}

/// Bars, one or several on each other in a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chart {
    /// Currency; none: something that is counted.
    pub(crate) currency: Option<String>,
    pub(crate) series: Vec<String>,
    pub(crate) columns: Vec<Bar>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bar {
    pub(crate) label: String,
    /// One for each series.
    pub(crate) values: Vec<f64>,
}

impl Report {
    pub(crate) fn is_incomplete(&self) -> bool {
        let failed = |section: &Section| matches!(section.content, Content::Failed(_));
        self.sections.iter().any(failed)
    }

    /// Returns one line: `Weekly vendors, 16 Nov – 22 Nov 2026 (UTC)`.
    pub(crate) fn subject(&self) -> String {
        let mark = if self.is_incomplete() {
            "[incomplete] "
        } else {
            ""
        };
        format!("{mark}{}, {}", self.title, self.period)
    }

    /// Returns how the figures came about, in one sentence.
    pub(crate) fn how_counted(&self) -> String {
        let seconds = |moment: &str| moment.get(..19).unwrap_or(moment).replace('T', " ");
        let mut text = format!("Made {} UTC", seconds(&self.made));
        if let Some(data_to) = &self.data_to {
            text.push_str(&format!(", from results up to {} UTC", seconds(data_to)));
        }
        text.push_str(". Availability is rounded down, and counts neither maintenance nor time without a run.");
        text
    }
}

impl Chart {
    /// Returns the same as a table.
    pub(crate) fn table(&self) -> Table {
        let column = |name: &str, is_number| Column {
            name: name.to_owned(),
            is_number,
        };
        let series = self.series.iter().map(|name| column(name, true));
        let row = |bar: &Bar| {
            let values = bar.values.iter().map(|value| Value::from(rounded(*value)));
            std::iter::once(Value::from(bar.label.clone()))
                .chain(values)
                .collect()
        };
        Table {
            columns: std::iter::once(column("", false)).chain(series).collect(),
            rows: self.columns.iter().map(row).collect(),
            is_truncated: false,
        }
    }

    /// Returns the highest column; 0 where all are empty.
    pub(crate) fn highest(&self) -> f64 {
        let sums = self
            .columns
            .iter()
            .map(|bar| bar.values.iter().sum::<f64>());
        sums.fold(0.0, f64::max)
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Returns a value as people read it; `–` for none.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        // `12`, not `12.0`.
        Value::Number(number) if number.is_f64() => number
            .as_f64()
            .map_or_else(String::new, |value| value.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Returns a report with each kind of section, and a table of so many rows.
    pub(crate) fn report(rows: usize) -> Report {
        let column = |name: &str, is_number| Column {
            name: name.to_owned(),
            is_number,
        };
        let section = |title: &str, content| Section {
            title: title.to_owned(),
            content,
        };
        let row = |index: usize| {
            vec![
                json!(format!(
                    "Service {index} with a name that is long enough to be wrapped in its column"
                )),
                json!(99.914),
                json!(null),
            ]
        };
        Report {
            name: "weekly".to_owned(),
            title: "Weekly vendors".to_owned(),
            period: "16 Nov – 22 Nov 2026 (Europe/Berlin)".to_owned(),
            from: "2026-11-15T23:00:00.000Z".to_owned(),
            to: "2026-11-22T23:00:00.000Z".to_owned(),
            made: "2026-11-23T07:00:01.000Z".to_owned(),
            data_to: Some("2026-11-23T07:00:00.000Z".to_owned()),
            sections: vec![
                section(
                    "Overview",
                    Content::Numbers(vec![Number {
                        label: "Availability".to_owned(),
                        value: "99.94 %".to_owned(),
                        before: "99.97 %".to_owned(),
                    }]),
                ),
                section(
                    "Minutes of outages",
                    Content::Chart(Chart {
                        currency: None,
                        series: vec!["minutes".to_owned()],
                        columns: vec![
                            Bar {
                                label: "16 Nov".to_owned(),
                                values: vec![12.0],
                            },
                            Bar {
                                label: "17 Nov".to_owned(),
                                values: vec![0.0],
                            },
                        ],
                    }),
                ),
                section(
                    "Services",
                    Content::Table(Table {
                        columns: vec![
                            column("Service", false),
                            column("Availability %", true),
                            column("Wanted %", true),
                        ],
                        rows: (0..rows).map(row).collect(),
                        is_truncated: false,
                    }),
                ),
                section(
                    "Words",
                    Content::Text("## Why\n\n- **Größe** of `x < 1`".to_owned()),
                ),
            ],
        }
    }

    #[test]
    fn a_report_with_a_section_that_failed_is_marked_in_its_subject() {
        let mut report = report(1);
        assert!(report.subject().starts_with("Weekly vendors, 16 Nov"));
        report.sections[0].content = Content::Failed("the query took too long".to_owned());
        assert!(report.subject().starts_with("[incomplete] Weekly vendors"));
    }

    #[test]
    fn a_report_is_read_back_as_it_was_kept() {
        let report = report(2);
        let kept = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&kept).unwrap(), report);
    }
}
