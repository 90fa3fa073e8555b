//! Makes a report: asks what its sections need, one question after the other. A section whose
//! question fails has the reason in its place.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::figures;
use super::model::{Bar, Chart, Column, Content, Number, Report, Section, Table, shown};
use crate::domain::{
    ReportChart, ReportContent, ReportDefinition, ReportNumber, ReportPeriod, ReportSql,
    UnixMillis, error_chain, now_ms,
};
use crate::plugin_host::Evaluator;
use crate::store::{
    ControlStore, QueryError, QueryLimits, QueryParams, QueryRequest, ResultStore, SqlAnswer,
};

const LIMITS: QueryLimits = QueryLimits {
    rows: 500,
    bytes: 4 * 1024 * 1024,
    timeout: Duration::from_secs(60),
};
/// Bytes of a report as JSON, with what the markup of its cells takes: a mail has room for it, and
/// the store for its runs.
const ROOM: usize = 4 * 1024 * 1024;
const CELL_MARKUP: usize = 100;
/// Columns of a chart that can be told apart.
const MAX_BARS: usize = 60;
const MAX_SERIES: usize = 6;
/// Limit of judging the statements of a report that is saved, all together.
const JUDGED_WITHIN: Duration = Duration::from_secs(10);
/// Tries where all slots are taken, and the pause between them.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(2);

/// Where reports read.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) control: ControlStore,
    pub(super) results: ResultStore,
    pub(super) evaluator: Evaluator,
}

/// Numeric types of DuckDB, by the beginnings of their names.
const NUMERIC: [&str; 14] = [
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "REAL",
];

impl Sources {
    pub(super) async fn report(
        &self,
        definition: &ReportDefinition,
        period: ReportPeriod,
    ) -> Report {
        let mut asking = Asking {
            sources: self,
            definition,
            period,
            before: period.previous(definition.span).unwrap_or(period),
            data_to_ms: None,
        };
        let (mut sections, mut room) = (Vec::new(), ROOM);
        for section in &definition.sections {
            let contents = asking.contents(&section.content).await;
            match contents.and_then(|contents| fitting(contents, &mut room)) {
                Ok(contents) => {
                    sections.extend(contents.into_iter().map(|(suffix, content)| Section {
                        title: format!("{}{suffix}", section.title),
                        content,
                    }))
                }
                Err(error) => {
                    let (report, section_title) =
                        (definition.name.as_str(), section.title.as_str());
                    tracing::error!(
                        report,
                        section = section_title,
                        error,
                        "a section of a report could not be made"
                    );
                    sections.push(Section {
                        title: section.title.clone(),
                        content: Content::Failed(error),
                    });
                }
            }
        }
        Report {
            name: definition.name.clone(),
            title: definition.title.clone(),
            period: period.text(),
            from: rfc3339(period.from_ms()),
            to: rfc3339(period.to_ms()),
            made: rfc3339(now_ms()),
            data_to: asking.data_to_ms.map(rfc3339),
            sections,
        }
    }

    /// Returns what is wrong with the statements and texts of a report, each with its pointer.
    pub(super) async fn faults(&self, definition: &ReportDefinition) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let until = Instant::now() + JUDGED_WITHIN;
        let period = ReportPeriod::before(now_ms(), definition.span, definition.zone);
        for (index, section) in definition.sections.iter().enumerate() {
            let at = format!("/sections/{index}");
            match &section.content {
                ReportContent::Sql {
                    source: ReportSql::Text(sql),
                    ..
                } => {
                    let fault = self.statement_judge(sql, period, until).await.err();
                    faults.extend(fault.map(|message| (format!("{at}/sql"), message)));
                }
                ReportContent::Text(source) => {
                    let values = period.map(|period| values(definition, period));
                    let rendered = self
                        .evaluator
                        .text_render(source, &values.unwrap_or_default())
                        .await;
                    faults.extend(
                        rendered
                            .err()
                            .map(|fault| (format!("{at}/text"), fault.message)),
                    );
                }
                _ => {}
            }
        }
        faults
    }

    /// Judges a statement by its parameters and its columns. One that is not described in time, or
    /// for which there is no room now, is judged when the report is made.
    async fn statement_judge(
        &self,
        sql: &str,
        period: Option<ReportPeriod>,
        until: Instant,
    ) -> Result<(), String> {
        use QueryError::{Invalid, Params, Refused};
        let wanted = self.parameters(sql)?;
        let left = until.checked_duration_since(Instant::now());
        let (Some(period), Some(timeout)) = (period, left) else {
            return Ok(());
        };
        let limits = QueryLimits {
            rows: 0,
            bytes: 0,
            timeout,
        };
        let request = QueryRequest {
            params: params_of(&wanted, Map::new(), period),
            ..QueryRequest::new(sql, limits)
        };
        match self.results.query_stream(request).await {
            Err(error @ (Refused(_) | Invalid(_) | Params(_))) => Err(error_chain(&error)),
            _ => Ok(()),
        }
    }

    /// Returns the parameters of a statement, which can only be those of the period.
    fn parameters(&self, sql: &str) -> Result<Vec<String>, String> {
        let found = self.results.query_parameters(sql);
        let found = found.map_err(|error| error_chain(&error))?;
        match found
            .iter()
            .find(|name| !["from", "to"].contains(&name.as_str()))
        {
            Some(other) => Err(format!(
                "`${other}` has no value; a report has `$from` and `$to`"
            )),
            None => Ok(found),
        }
    }
}

/// Returns the values of a statement's parameters: those of the period beside those given.
fn params_of(
    wanted: &[String],
    mut given: Map<String, Value>,
    period: ReportPeriod,
) -> QueryParams {
    if wanted.is_empty() {
        return QueryParams::default();
    }
    for (name, at_ms) in [("from", period.from_ms()), ("to", period.to_ms())] {
        if wanted.iter().any(|wanted| wanted == name) {
            given.insert(name.to_owned(), Value::from(rfc3339(at_ms)));
        }
    }
    QueryParams::Named(given)
}

/// Values that a text section reads.
fn values(definition: &ReportDefinition, period: ReportPeriod) -> Value {
    json!({
        "report": { "name": definition.name, "title": definition.title },
        "period": {
            "text": period.text(),
            "from": rfc3339(period.from_ms()),
            "to": rfc3339(period.to_ms()),
        },
    })
}

struct Asking<'a> {
    sources: &'a Sources,
    definition: &'a ReportDefinition,
    period: ReportPeriod,
    before: ReportPeriod,
    data_to_ms: Option<UnixMillis>,
}

type Titled = (String, Content);

impl Asking<'_> {
    /// Returns the content of a section, each part with the end of its title.
    async fn contents(&mut self, content: &ReportContent) -> Result<Vec<Titled>, String> {
        let content = match content {
            ReportContent::Numbers(numbers) => Content::Numbers(self.numbers(numbers).await?),
            ReportContent::Chart(chart) => return self.chart(*chart).await,
            ReportContent::Table(table) => {
                let sql = figures::table(*table, self.period, self.before);
                Content::Table(table_of(self.ask(sql, QueryParams::default()).await?))
            }
            ReportContent::Sql { source, is_chart } => {
                let answer = self.saved(source).await?;
                if *is_chart {
                    Content::Chart(chart_of(&answer)?)
                } else {
                    Content::Table(table_of(answer))
                }
            }
            ReportContent::Text(source) => {
                let values = values(self.definition, self.period);
                let rendered = self.sources.evaluator.text_render(source, &values).await;
                Content::Text(rendered.map_err(|fault| fault.message)?)
            }
        };
        Ok(vec![(String::new(), content)])
    }

    async fn numbers(&mut self, numbers: &[ReportNumber]) -> Result<Vec<Number>, String> {
        let mut found = Vec::new();
        for number in numbers {
            let now = figures::number(*number, self.period);
            let now = self.ask(now, QueryParams::default()).await?;
            let before = figures::number(*number, self.before);
            let before = self.ask(before, QueryParams::default()).await?;
            found.push(Number {
                label: figures::label(*number).to_owned(),
                value: value_of(*number, &now),
                before: value_of(*number, &before),
            });
        }
        Ok(found)
    }

    /// Returns one chart, or one for each currency: those are never added up.
    async fn chart(&mut self, chart: ReportChart) -> Result<Vec<Titled>, String> {
        let sql = figures::chart(chart, self.period);
        let answer = self.ask(sql, QueryParams::default()).await?;
        let labels = self.period.parts().into_iter().map(|(label, ..)| label);
        Ok(charts_of(chart, &labels.collect::<Vec<_>>(), &answer.rows))
    }

    /// Asks what a person wrote.
    async fn saved(&mut self, source: &ReportSql) -> Result<SqlAnswer, String> {
        let (sql, given) = match source {
            ReportSql::Text(sql) => (sql.clone(), Map::new()),
            ReportSql::Saved(name) => {
                let found = self.sources.control.saved_query_get(name).await;
                let found = found.map_err(|error| error_chain(&error))?;
                let saved = found.ok_or_else(|| format!("there is no saved query `{name}`"))?;
                (saved.draft.query, saved.draft.defaults)
            }
        };
        let found = self.sources.results.query_parameters(&sql);
        let wanted = found.map_err(|error| error_chain(&error))?;
        let params = params_of(&wanted, given, self.period);
        self.ask(sql, params).await
    }

    async fn ask(&mut self, sql: String, params: QueryParams) -> Result<SqlAnswer, String> {
        let mut tries = 0;
        loop {
            tries += 1;
            let request = QueryRequest {
                params: params.clone(),
                ..QueryRequest::new(sql.clone(), LIMITS)
            };
            match self.sources.results.query_stream(request).await {
                Ok(stream) => {
                    let missing = stream.missing().join(", ");
                    if !missing.is_empty() {
                        return Err(format!(
                            "the rows of {missing} can't be read: their files in the archive are damaged"
                        ));
                    }
                    self.data_to_ms = self.data_to_ms.max(Some(stream.data_to_ms()));
                    let answer = stream.into_answer().await;
                    return answer.map_err(|error| error_chain(&error));
                }
                Err(QueryError::Busy) if tries < TRIES => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error_chain(&error)),
            }
        }
    }
}

/// Returns the bars of each currency: rows have the number of a part, a value and a currency. Labels
/// are no names of parts, because an hour comes twice where clocks are set back.
fn charts_of(chart: ReportChart, labels: &[String], rows: &[Vec<Value>]) -> Vec<Titled> {
    let currency_of = |row: &Vec<Value>| {
        let currency = row.get(2).and_then(Value::as_str);
        currency.map(str::to_owned)
    };
    let mut currencies: Vec<Option<String>> = rows.iter().map(currency_of).collect();
    currencies.sort_unstable();
    currencies.dedup();
    if currencies.len() > 1 {
        currencies.retain(Option::is_some);
    }
    let of_currency = |currency: &Option<String>| {
        let mut values = vec![0.0; labels.len()];
        for row in rows.iter().filter(|row| currency_of(row) == *currency) {
            let part = row.first().and_then(Value::as_u64);
            let part = part.and_then(|part| values.get_mut(usize::try_from(part).ok()?));
            if let (Some(part), Some(value)) = (part, row.get(1).and_then(number_of)) {
                *part = value;
            }
        }
        let bars = labels.iter().zip(values).map(|(label, value)| Bar {
            label: label.clone(),
            values: vec![value],
        });
        Chart {
            currency: currency.clone(),
            series: vec![figures::unit(chart).to_owned()],
            columns: bars.collect(),
        }
    };
    let titled = |currency: &Option<String>| {
        let suffix = currency.as_ref().map(|currency| format!(", {currency}"));
        let content = Content::Chart(of_currency(currency));
        (suffix.unwrap_or_default(), content)
    };
    currencies.iter().map(titled).collect()
}

/// Takes the room of a section from what is left of it.
fn fitting(contents: Vec<Titled>, room: &mut usize) -> Result<Vec<Titled>, String> {
    let needed: usize = contents.iter().map(|(_, content)| weight(content)).sum();
    let Some(left) = room.checked_sub(needed) else {
        let most = ROOM / (1024 * 1024);
        return Err(format!(
            "the report has room for {most} MiB, and this is more than what is left of them; ask for fewer rows or columns"
        ));
    };
    *room = left;
    Ok(contents)
}

fn weight(content: &Content) -> usize {
    let cells: usize = match content {
        Content::Table(table) => table.rows.iter().map(Vec::len).sum(),
        Content::Chart(chart) => chart.columns.iter().map(|bar| bar.values.len()).sum(),
        _ => 0,
    };
    let json = serde_json::to_vec(content).map_or(0, |json| json.len());
    json + cells * CELL_MARKUP
}

fn rfc3339(ms: UnixMillis) -> String {
    let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    format!("{moment:.3}")
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        // Of `NaN` and infinity there is no JSON, and no bar.
        Value::String(text) => text.parse().ok().filter(|value: &f64| value.is_finite()),
        _ => None,
    }
}

/// Writes the answer to the question behind a figure.
fn value_of(number: ReportNumber, answer: &SqlAnswer) -> String {
    if number == ReportNumber::Cost {
        let amounts = answer
            .rows
            .iter()
            .map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" "));
        let amounts = amounts.collect::<Vec<_>>().join(", ");
        return if amounts.is_empty() {
            "–".to_owned()
        } else {
            amounts
        };
    }
    let value = answer.rows.first().and_then(|row| row.first());
    let Some(found) = value.and_then(number_of) else {
        return "–".to_owned();
    };
    match number {
        ReportNumber::Availability => format!("{found} %"),
        ReportNumber::P95 => format!("{found} ms"),
        ReportNumber::Downtime => duration(found as u64),
        _ => format!("{found}"),
    }
}

/// `41 s`, `14 min`, `3 h 5 min`, `2 d 4 h`; never less than it was.
fn duration(seconds: u64) -> String {
    let minutes = seconds.div_ceil(60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1_440, minutes % 1_440 / 60),
    }
}

fn table_of(answer: SqlAnswer) -> Table {
    let columns = answer.columns.into_iter().map(|column| Column {
        is_number: NUMERIC.iter().any(|kind| column.kind.starts_with(kind)),
        name: column.name,
    });
    Table {
        columns: columns.collect(),
        rows: answer.rows,
        is_truncated: answer.truncated,
    }
}

/// Reads bars: a label, then a number for each series.
fn chart_of(answer: &SqlAnswer) -> Result<Chart, String> {
    let series: Vec<String> = answer
        .columns
        .iter()
        .skip(1)
        .map(|column| column.name.clone())
        .collect();
    if !(1..=MAX_SERIES).contains(&series.len()) {
        return Err(format!(
            "bars need a label and 1 to {MAX_SERIES} columns with numbers"
        ));
    }
    if answer.rows.len() > MAX_BARS || answer.truncated {
        return Err(format!("bars have at most {MAX_BARS} rows; add a `LIMIT`"));
    }
    let bar = |row: &Vec<Value>| Bar {
        label: row.first().map(shown).unwrap_or_default(),
        values: row
            .iter()
            .skip(1)
            .map(|value| number_of(value).unwrap_or(0.0))
            .collect(),
    };
    Ok(Chart {
        currency: None,
        series,
        columns: answer.rows.iter().map(bar).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqlColumn;

    fn answer(kinds: &[&str], rows: Vec<Vec<Value>>) -> SqlAnswer {
        let column = |kind: &&str| SqlColumn {
            name: kind.to_lowercase(),
            kind: (*kind).to_owned(),
        };
        SqlAnswer {
            columns: kinds.iter().map(column).collect(),
            rows,
            truncated: false,
        }
    }

    #[test]
    fn figures_are_written_for_people() {
        for (number, rows, wanted) in [
            (
                ReportNumber::Availability,
                vec![vec![json!(99.914)]],
                "99.914 %",
            ),
            (ReportNumber::Availability, vec![vec![json!(null)]], "–"),
            (
                ReportNumber::Downtime,
                vec![vec![json!(3_660)]],
                "1 h 1 min",
            ),
            (ReportNumber::Incidents, vec![vec![json!(3)]], "3"),
            (ReportNumber::Cost, vec![], "–"),
            (
                ReportNumber::Cost,
                vec![
                    vec![json!("96.10"), json!("EUR")],
                    vec![json!("2.00"), json!("USD")],
                ],
                "96.10 EUR, 2.00 USD",
            ),
        ] {
            assert_eq!(value_of(number, &answer(&["DOUBLE"], rows)), wanted);
        }
    }

    #[test]
    fn bars_are_a_label_and_numbers() {
        let chart = chart_of(&answer(
            &["VARCHAR", "DECIMAL(38,2)"],
            vec![vec![json!("a"), json!("1.50")]],
        ));
        assert_eq!(chart.unwrap().columns[0].values, [1.5]);
        assert!(chart_of(&answer(&["VARCHAR"], vec![])).is_err());
    }

    #[test]
    fn the_hour_that_comes_twice_has_two_bars() {
        let labels = ["01:00", "02:00", "02:00", "03:00"].map(str::to_owned);
        let rows = [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)];
        let rows = rows.map(|(part, value)| vec![json!(part), json!(value), json!(null)]);
        let charts = charts_of(ReportChart::Calls, &labels, &rows);
        let [(_, Content::Chart(chart))] = charts.as_slice() else {
            panic!("{charts:?}");
        };
        let bars: Vec<f64> = chart.columns.iter().map(|bar| bar.values[0]).collect();
        assert_eq!(bars, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn currencies_have_charts_of_their_own_with_empty_parts() {
        let labels = ["1 Oct", "2 Oct"].map(str::to_owned);
        let rows = [
            vec![json!(0), json!(0.0), json!(null)],
            vec![json!(1), json!(1.5), json!("EUR")],
            vec![json!(1), json!(2.5), json!("USD")],
        ];
        let charts = charts_of(ReportChart::Cost, &labels, &rows);
        let found: Vec<(&str, Vec<f64>)> = charts
            .iter()
            .map(|(suffix, content)| match content {
                Content::Chart(chart) => {
                    let bars = chart.columns.iter().map(|bar| bar.values[0]);
                    (suffix.as_str(), bars.collect())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            found,
            [(", EUR", vec![0.0, 1.5]), (", USD", vec![0.0, 2.5])]
        );
    }

    #[test]
    fn a_section_that_finds_no_room_is_refused_and_a_smaller_one_behind_it_is_not() {
        let text = |bytes: usize| vec![(String::new(), Content::Text("x".repeat(bytes)))];
        let mut room = 1_000;
        assert!(fitting(text(600), &mut room).is_ok());
        assert!(fitting(text(600), &mut room).is_err());
        assert!(fitting(text(300), &mut room).is_ok());
        let row = vec![json!(1); 10];
        let table = Content::Table(Table {
            columns: Vec::new(),
            rows: vec![row; 10],
            is_truncated: false,
        });
        assert!(weight(&table) > 100 * CELL_MARKUP);
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["NaN", "inf", "-Infinity", "x"] {
            assert_eq!(number_of(&json!(text)), None, "{text}");
        }
        assert_eq!(number_of(&json!("1.50")), Some(1.5));
    }
}
