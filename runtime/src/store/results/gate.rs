//! What stands between a user's SQL and the database: an allow-list over the parsed statement.
//! DuckDB's own parser says what the text means; whatever is not known here to be harmless is
//! refused, with the reason; and so is what would grow beyond the limits.

mod catalog;
mod cost;
mod functions;
mod moments;
mod names;
mod parameters;
mod scope;
mod statements;

use std::collections::HashSet;
use std::ffi::CString;
use std::sync::Mutex;

use duckdb::{Config, Connection};
use serde_json::Value;

use super::ResultError;
use super::diagnosis::Diagnosis;
use super::error::QueryError;
use super::query::QueryParams;
pub(super) use names::Names;
use statements::StatementCounter;

/// What users may name after `FROM`, and nothing else.
pub(super) const VIEWS: &[&str] = &[
    "observations",
    "plugin_runs",
    "alert_events",
    "events",
    "services",
    "shadow_runs",
    "plugin_health",
    "rate_limits",
    "roll_5m",
    "roll_1h",
    "roll_1d",
    "hist_5m",
    "hist_1h",
    "hist_1d",
    "availability_30d",
    "incidents",
    "availability_by_month",
    "slo",
    "error_budget",
    "plugin_run_minutes",
    "calls",
    "usage_totals",
    "cost_by_month",
    "invoices",
    "vendor_claims",
    "alert_noise",
    "vendor_honesty",
    "service_comparison",
    "usage_by_hour",
];

/// Tables that take arguments. Ours alone: each is a macro of the schema `main`.
pub(super) const MACROS: &[&str] = &["availability", "availability_between", "latency"];
const MAX_BYTES: usize = 64 * 1024;

/// Parses on instances of its own, in memory, that hold nothing.
pub(super) struct Gate {
    parser: Mutex<Parser>,
}

struct Parser {
    connection: Connection,
    counter: StatementCounter,
}

/// A statement that may run: the very text that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) sql: String,
    /// Where in the statement as it was written this text begins.
    pub(super) shift: isize,
    /// Identifiers of its parameters, each once.
    pub(super) parameters: Vec<String>,
    pub(super) names: Names,
}

/// Puts values in the places of the parameters with these identifiers.
type PutValues<'a> = &'a mut dyn FnMut(&mut Value, &[String]) -> Result<(), QueryError>;

impl Gate {
    pub(super) fn open() -> Result<Self, ResultError> {
        let opening = |source| ResultError::Database {
            doing: "open the statement parser of",
            source,
        };
        let config = || {
            Config::default()
                .max_memory("256MB")?
                .threads(1)?
                .enable_external_access(false)?
                .with("autoinstall_known_extensions", "false")?
                .with("autoload_known_extensions", "false")
        };
        let connection =
            Connection::open_in_memory_with_flags(config().map_err(opening)?).map_err(opening)?;
        let counter = StatementCounter::open().map_err(opening)?;
        Ok(Self {
            parser: Mutex::new(Parser {
                connection,
                counter,
            }),
        })
    }

    /// Judges a statement with the values of its parameters.
    pub(super) fn admit(&self, sql: &str, params: &QueryParams) -> Result<Admitted, QueryError> {
        self.judge(sql, &mut |tree, wanted| {
            params.check(wanted)?;
            parameters::put(tree, &mut |name| params.get(name).cloned());
            Ok(())
        })
    }

    /// Judges a statement before its parameters have values.
    pub(super) fn check(&self, sql: &str) -> Result<Admitted, QueryError> {
        self.judge(sql, &mut |tree, _| {
            parameters::put(tree, &mut |_| Some(Value::from(1)));
            Ok(())
        })
    }

    /// Judges a question about the catalog, which has these functions of its own.
    pub(super) fn check_catalog(
        &self,
        sql: &str,
        functions: &HashSet<String>,
    ) -> Result<(), QueryError> {
        let mut tree = self.parse(sql)?;
        parameters::put(&mut tree, &mut |_| Some(Value::from(1)));
        catalog::check(query_of(&tree)?, functions)?;
        catalog::make_small(&mut tree);
        cost::check(query_of(&tree)?)
    }

    fn judge(&self, sql: &str, put_values: PutValues<'_>) -> Result<Admitted, QueryError> {
        if sql.len() > MAX_BYTES {
            return Err(refused(format!(
                "the statement is longer than {} KiB",
                MAX_BYTES / 1024
            )));
        }
        let (explain, inner) = split_explain(sql);
        // Both are parts of texts of at most 64 KiB.
        let before_inner = (sql.len() - inner.len()) as isize;
        let mut judge = || -> Result<(Vec<String>, Names), QueryError> {
            let mut tree = self.parse(inner)?;
            // Values of parameters keep their offsets.
            moments::check(query_of(&tree)?)?;
            let parameters = parameters::of(&tree);
            put_values(&mut tree, &parameters)?;
            let query = query_of(&tree)?;
            scope::check(query)?;
            cost::check(query)?;
            Ok((parameters, names::of(query)))
        };
        let (parameters, names) = judge().map_err(|error| error.located(sql, before_inner))?;
        Ok(Admitted {
            parameters,
            names,
            sql: format!("{explain}{inner}"),
            shift: before_inner - explain.len() as isize,
        })
    }

    /// Returns the tree of the one statement of a text, as DuckDB's serializer has it.
    fn parse(&self, text: &str) -> Result<Value, QueryError> {
        let parser = self
            .parser
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let c_text = CString::new(text)
            .map_err(|_| refused("the statement holds a NUL character".to_owned()))?;
        match parser.counter.count(&c_text) {
            Ok(1) => {}
            Ok(0) => return Err(refused("there is no statement".to_owned())),
            Ok(_) => {
                return Err(refused(
                    "one statement at a time, and no `PIVOT` statement".to_owned(),
                ));
            }
            Err(error) => return Err(parser.syntax_error(error, text)),
        }
        let tree = parser.tree(text)?;
        serde_json::from_str(&tree)
            .map_err(|_| refused("the statement is nested too deeply".to_owned()))
    }
}

impl Parser {
    fn tree(&self, text: &str) -> Result<String, QueryError> {
        self.connection
            .query_row(
                "SELECT json_serialize_sql(?::VARCHAR) AS tree",
                [text],
                |row| row.get("tree"),
            )
            .map_err(|error| QueryError::Invalid(error.to_string().into()))
    }

    /// Returns the error of the parser, with a hint where a word of SQL is the name of a column:
    /// ours are called `cost`, `error` and the like.
    fn syntax_error(&self, error: String, text: &str) -> QueryError {
        let Some((message, offset)) = self.syntax_fault(text) else {
            return QueryError::Invalid(error.into());
        };
        let mut diagnosis = Diagnosis {
            message,
            offset,
            ..Diagnosis::default()
        };
        let place = offset.filter(|offset| *offset > 0);
        if let Some((before, after)) = place.and_then(|offset| text.split_at_checked(offset)) {
            let mended = format!("{before}AS {after}");
            let is_further = match self.syntax_fault(&mended) {
                None => true,
                Some((_, next)) => next.is_some_and(|next| next > before.len() + 3),
            };
            let word: String = after
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if is_further && !word.is_empty() {
                let hint = format!("; as the name of a column write `AS {word}`");
                diagnosis.message.push_str(&hint);
            }
        }
        QueryError::Invalid(diagnosis)
    }

    /// Returns what the parser objects to, and at which byte.
    fn syntax_fault(&self, text: &str) -> Option<(String, Option<usize>)> {
        let tree: Value = serde_json::from_str(&self.tree(text).ok()?).ok()?;
        let message = tree["error_message"].as_str()?.to_owned();
        let offset = tree["position"].as_str();
        Some((message, offset.and_then(|offset| offset.parse().ok())))
    }
}

/// Refuses a part of a statement, which begins at `query_location` of its node.
fn refused_at(reason: String, node: &Value, candidates: Vec<String>) -> QueryError {
    QueryError::Refused(Diagnosis {
        message: reason,
        offset: node["query_location"]
            .as_u64()
            .and_then(|offset| usize::try_from(offset).ok()),
        candidates,
        ..Diagnosis::default()
    })
}

/// Reports whether a function may be named somewhere in a query.
pub(super) fn is_function_allowed(name: &str) -> bool {
    functions::is_scalar_allowed(name)
        || functions::is_table_allowed(name)
        || MACROS.contains(&name)
}

pub(super) fn refused(reason: String) -> QueryError {
    QueryError::Refused(reason.into())
}

/// The one query node of DuckDB's answer.
fn query_of(tree: &Value) -> Result<&Value, QueryError> {
    if tree["error"] != Value::Bool(false) {
        let message = tree["error_message"]
            .as_str()
            .unwrap_or("it does not parse");
        return Err(match tree["error_type"].as_str() {
            Some("not implemented") if message.contains("parameters") => {
                QueryError::Invalid(message.to_owned().into())
            }
            Some("not implemented") => refused(
                "only `SELECT`, `DESCRIBE`, `SUMMARIZE`, `SHOW TABLES` and `EXPLAIN` run here"
                    .to_owned(),
            ),
            _ => QueryError::Invalid(message.to_owned().into()),
        });
    }
    match tree["statements"].as_array().map(Vec::as_slice) {
        Some([statement]) => Ok(&statement["node"]),
        _ => Err(refused("one statement at a time".to_owned())),
    }
}

/// DuckDB's serializer takes no `EXPLAIN`, so what it explains is looked at instead; what runs is
/// put together from both.
fn split_explain(sql: &str) -> (&'static str, &str) {
    let Some(rest) = keyword(skip_blank(sql), "explain") else {
        return ("", sql);
    };
    match keyword(skip_blank(rest), "analyze") {
        Some(rest) => ("EXPLAIN ANALYZE ", rest),
        None => ("EXPLAIN ", rest),
    }
}

fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
    (head.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

/// Past blanks and `--` comments. A `/* */` comment stays, and then the statement is no `EXPLAIN`.
fn skip_blank(text: &str) -> &str {
    let mut text = text.trim_start();
    while let Some(comment) = text.strip_prefix("--") {
        text = comment
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    text
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use tests::{GROWING, USEFUL};
