//! What stands between a user's SQL and the database: an allow-list over the parsed statement.
//! DuckDB's own parser says what the text means; whatever is not known here to be harmless is
//! refused, with the reason; and so is what would grow beyond the limits.

mod cost;
mod functions;
mod scope;
mod statements;

use std::ffi::CString;
use std::sync::Mutex;

use duckdb::{Config, Connection};
use serde_json::Value;

use super::ResultError;
use super::error::QueryError;
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
];

/// Tables that take arguments. Ours alone: each is a macro of the schema `main`.
pub(super) const MACROS: &[&str] = &["availability", "latency"];
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
}

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

    pub(super) fn admit(&self, sql: &str) -> Result<Admitted, QueryError> {
        if sql.len() > MAX_BYTES {
            return Err(refused(format!(
                "the statement is longer than {} KiB",
                MAX_BYTES / 1024
            )));
        }
        let (explain, inner) = split_explain(sql);
        let parser = self
            .parser
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let text = CString::new(inner)
            .map_err(|_| refused("the statement holds a NUL character".to_owned()))?;
        match parser.counter.count(&text).map_err(QueryError::Invalid)? {
            1 => {}
            0 => return Err(refused("there is no statement".to_owned())),
            _ => {
                return Err(refused(
                    "one statement at a time, and no `PIVOT` statement".to_owned(),
                ));
            }
        }
        let tree: String = parser
            .connection
            .query_row(
                "SELECT json_serialize_sql(?::VARCHAR) AS tree",
                [inner],
                |row| row.get("tree"),
            )
            .map_err(|error| QueryError::Invalid(error.to_string()))?;
        drop(parser);
        let tree: Value = serde_json::from_str(&tree)
            .map_err(|_| refused("the statement is nested too deeply".to_owned()))?;
        let query = query_of(&tree)?;
        scope::check(query)?;
        cost::check(query)?;
        Ok(Admitted {
            sql: format!("{explain}{inner}"),
        })
    }
}

pub(super) fn refused(reason: String) -> QueryError {
    QueryError::Refused(reason)
}

/// The one query node of DuckDB's answer.
fn query_of(tree: &Value) -> Result<&Value, QueryError> {
    if tree["error"] != Value::Bool(false) {
        let message = tree["error_message"]
            .as_str()
            .unwrap_or("it does not parse");
        return Err(match tree["error_type"].as_str() {
            Some("not implemented") => refused(
                "only `SELECT`, `DESCRIBE`, `SUMMARIZE`, `SHOW TABLES` and `EXPLAIN` run here"
                    .to_owned(),
            ),
            _ => QueryError::Invalid(message.to_owned()),
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
