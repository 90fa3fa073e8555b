//! The picture of an answer, where its columns make one: moments and numbers a line, words and
//! numbers bars.

use maud::{Markup, html};
use serde_json::Value;

use crate::charts::{self, Bars, Column, Line, Unit, Zone};
use crate::domain::UnixMillis;
use crate::store::SqlAnswer;

/// Lines below each other.
const MAX_LINES: usize = 4;
const MAX_SERIES: usize = 6;
const MAX_BARS: usize = 60;

pub(super) fn chart(answer: &SqlAnswer, zone: &Zone) -> Option<Markup> {
    let kinds: Vec<Kind> = answer
        .columns
        .iter()
        .map(|column| Kind::of(&column.kind))
        .collect();
    let first = |wanted: Kind| kinds.iter().position(|kind| *kind == wanted);
    let numbers: Vec<usize> = (0..kinds.len())
        .filter(|index| kinds[*index] == Kind::Number)
        .collect();
    // One row has nothing to be compared with.
    if numbers.is_empty() || answer.rows.len() < 2 {
        return None;
    }
    match (first(Kind::Moment), first(Kind::Word)) {
        (Some(moment), None) => lines(answer, moment, &numbers, zone),
        (_, Some(word)) if answer.rows.len() <= MAX_BARS => Some(bars(answer, word, &numbers)),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Moment,
    Number,
    Word,
    Other,
}

impl Kind {
    /// `kind`: DuckDB's word for the type of a column.
    fn of(kind: &str) -> Self {
        match kind {
            "DATE" => Kind::Moment,
            "VARCHAR" => Kind::Word,
            "FLOAT" | "DOUBLE" | "HUGEINT" => Kind::Number,
            _ if kind.starts_with("TIMESTAMP") => Kind::Moment,
            _ if kind.starts_with("DECIMAL")
                || kind.ends_with("INTEGER")
                || kind.ends_with("INT") =>
            {
                Kind::Number
            }
            _ => Kind::Other,
        }
    }
}

fn lines(answer: &SqlAnswer, moment: usize, numbers: &[usize], zone: &Zone) -> Option<Markup> {
    let mut rows: Vec<(UnixMillis, &Vec<Value>)> = answer
        .rows
        .iter()
        .filter_map(|row| Some((moment_of(row.get(moment)?)?, row)))
        .collect();
    rows.sort_by_key(|(ms, _)| *ms);
    let span = (rows.first()?.0, rows.last()?.0);
    // Rows of several series, which a line would jump between; or one row, which is no line.
    let is_repeated = rows.windows(2).any(|pair| pair[0].0 == pair[1].0);
    if is_repeated || span.0 == span.1 {
        return None;
    }
    let drawn = numbers.iter().take(MAX_LINES).map(|number| {
        let points: Vec<_> = rows
            .iter()
            .map(|(ms, row)| (*ms, row.get(*number).and_then(number_of)))
            .collect();
        charts::line(&Line {
            name: &answer.columns[*number].name,
            unit: Unit::Count,
            span,
            points: &points,
            threshold: None,
            marks: &[],
            zone,
        })
    });
    let drawn: Vec<Markup> = drawn.collect();
    Some(html! { @for line in drawn { (line) } })
}

fn bars(answer: &SqlAnswer, word: usize, numbers: &[usize]) -> Markup {
    let numbers = &numbers[..numbers.len().min(MAX_SERIES)];
    let series: Vec<&str> = numbers
        .iter()
        .map(|number| answer.columns[*number].name.as_str())
        .collect();
    let columns: Vec<Column> = answer
        .rows
        .iter()
        .map(|row| Column {
            label: row
                .get(word)
                .and_then(Value::as_str)
                .unwrap_or("–")
                .to_owned(),
            values: numbers
                .iter()
                .map(|number| row.get(*number).and_then(number_of).unwrap_or(0.0))
                .collect(),
            is_forecast: false,
        })
        .collect();
    charts::bars(&Bars {
        name: &series.join(", "),
        unit: Unit::Count,
        series: &series,
        columns: &columns,
    })
}

/// Large and exact numbers come as text.
fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

fn moment_of(value: &Value) -> Option<UnixMillis> {
    let text = value.as_str()?;
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    let moment = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(moment.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::SqlColumn;

    fn answer(columns: &[(&str, &str)], rows: Value) -> SqlAnswer {
        let column = |(name, kind): &(&str, &str)| SqlColumn {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
        };
        SqlAnswer {
            columns: columns.iter().map(column).collect(),
            rows: serde_json::from_value(rows).expect("rows"),
            truncated: false,
        }
    }

    #[test]
    fn the_columns_decide_the_picture() {
        let zone = Zone::utc();
        let over_time = answer(
            &[("hour", "TIMESTAMP"), ("p95", "DOUBLE")],
            json!([
                ["2026-11-23T07:00:00Z", 84.5],
                ["2026-11-23T08:00:00Z", null],
                ["2026-11-23 09:00:00", 90]
            ]),
        );
        let drawn = chart(&over_time, &zone).expect("a line").into_string();
        assert!(drawn.contains("<svg") && drawn.contains("p95"), "{drawn}");
        let by_name = answer(
            &[("service", "VARCHAR"), ("cost", "DECIMAL(38,12)")],
            json!([["shop", "1.25"], ["mail", "0.5"]]),
        );
        let drawn = chart(&by_name, &zone).expect("bars").into_string();
        assert!(drawn.contains("shop") && drawn.contains("cost"), "{drawn}");
        let words = answer(&[("a", "VARCHAR"), ("b", "VARCHAR")], json!([["x", "y"]]));
        assert!(chart(&words, &zone).is_none());
        let one = answer(
            &[("at", "DATE"), ("n", "BIGINT")],
            json!([["2026-11-23", 4]]),
        );
        assert!(chart(&one, &zone).is_none(), "one moment is no line");
        let total = answer(
            &[("service", "VARCHAR"), ("runs", "HUGEINT")],
            json!([["shop", "170141183460469231731"]]),
        );
        assert!(chart(&total, &zone).is_none(), "one row has no bars");
    }

    #[test]
    fn long_answers_are_drawn_to_their_end_and_repeated_moments_are_not() {
        let zone = Zone::utc();
        let columns = [("at", "TIMESTAMP"), ("n", "BIGINT")];
        let row = |minute: i64, value: i64| {
            let moment = jiff::Timestamp::from_second(minute * 60).expect("a moment");
            json!([moment.to_string(), value])
        };
        let rows: Vec<Value> = (0..1_000)
            .map(|minute| row(minute, if minute == 999 { 77 } else { 1 }))
            .collect();
        let drawn = chart(&answer(&columns, json!(rows)), &zone).expect("a line");
        let drawn = drawn.into_string();
        assert!(drawn.contains("from 1 to 77, at the end 77"), "{drawn}");
        let repeated = json!([row(1, 4), row(2, 5), row(2, 6)]);
        assert!(chart(&answer(&columns, repeated), &zone).is_none());
    }
}
