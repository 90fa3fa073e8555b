//! Errors as clients get them: a SQLSTATE, a text, and where it helps a hint and the place.

use crate::store::{Diagnosis, QueryError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WireError {
    /// SQLSTATE, see appendix A of PostgreSQL's manual.
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Characters up to the place in the statement, from 1.
    pub(super) position: Option<usize>,
    /// The connection ends with it.
    pub(super) is_fatal: bool,
}

impl WireError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            position: None,
            is_fatal: false,
        }
    }

    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            is_fatal: true,
            ..Self::new(code, message)
        }
    }

    /// A client that breaks the protocol: what follows can't be understood.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::fatal("08P01", message)
    }

    pub(super) fn not_supported(message: impl Into<String>) -> Self {
        Self::new("0A000", message)
    }

    pub(super) fn read_only(word: &str) -> Self {
        let message = format!("`{word}` can't run here: results are read-only");
        Self::new("25006", message).with_hint("only queries run, such as `SELECT`")
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Reports an error of DuckDB about a statement.
    pub(super) fn of_query(error: QueryError, sql: &str) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Refused(diagnosis) => {
                let code = if message.contains("only `SELECT`") {
                    "25006"
                } else {
                    "42501"
                };
                Self::new(code, message).placed(&diagnosis, sql)
            }
            QueryError::Invalid(diagnosis) => {
                Self::new(invalid_code(&message), message).placed(&diagnosis, sql)
            }
            QueryError::Params(_) => Self::new("08P01", message),
            QueryError::Cancelled => Self::new("57014", "canceling statement due to user request"),
            QueryError::Stalled(_) => Self::new("57014", message)
                .with_hint("fetch the rows of a cursor without long pauses, or add `LIMIT`"),
            QueryError::Timeout(_) => Self::new("57014", message),
            QueryError::Busy => Self::new("53300", message),
            QueryError::Memory => Self::new("53200", message),
            QueryError::Unavailable(_) => Self::new("0A000", message),
            QueryError::Crashed(_) => Self::new("58000", message),
            QueryError::Store(source) => {
                let error = format!("{:#}", anyhow::Error::from(source));
                tracing::error!(error, "a query over the PostgreSQL protocol failed");
                Self::new("XX000", "the results can't be read at the moment")
            }
        }
    }

    fn placed(mut self, diagnosis: &Diagnosis, sql: &str) -> Self {
        self.position = diagnosis.place.as_ref().map(|place| {
            let lines = sql.split_inclusive('\n').take(place.line - 1);
            lines.map(|line| line.chars().count()).sum::<usize>() + place.column
        });
        if !diagnosis.candidates.is_empty() {
            let names: Vec<String> = diagnosis
                .candidates
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            self.hint = Some(format!("did you mean {}?", names.join(", ")));
        }
        self
    }
}

/// Returns the SQLSTATE of DuckDB's text of an error.
fn invalid_code(message: &str) -> &'static str {
    let kind = message.split_once(" Error").map_or("", |(kind, _)| kind);
    match kind {
        "Parser" => "42601",
        "Catalog" if message.contains("Function") => "42883",
        "Catalog" => "42P01",
        "Binder" if message.contains("Referenced column") => "42703",
        "Conversion" => "22P02",
        "Out of Range" => "22003",
        "Invalid Input" => "22023",
        _ if message.starts_with("syntax error") => "42601",
        _ => "42000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_duckdb_get_their_sqlstate() {
        for (message, code) in [
            ("Parser Error: syntax error at or near \"x\"", "42601"),
            ("syntax error at or near \"x\"", "42601"),
            (
                "Binder Error: Referenced column \"x\" not found in FROM clause!",
                "42703",
            ),
            ("Catalog Error: Table with name x does not exist!", "42P01"),
            (
                "Catalog Error: Scalar Function with name x does not exist!",
                "42883",
            ),
            ("Conversion Error: Could not convert string 'a'", "22P02"),
            ("something else", "42000"),
        ] {
            assert_eq!(invalid_code(message), code, "{message}");
        }
    }
}
