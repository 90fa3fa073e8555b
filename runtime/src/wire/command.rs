//! What a statement asks for: results, the catalog, or something of the session. Whatever is not
//! recognised is a query, and goes to the guard of queries as it was written.

use std::time::Duration;

use super::copy::CopyFormat;
use super::dialect;
use super::error::WireError;
use super::tokens::{Kind, Token, words};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// SQL about results, unchanged.
    Query,
    /// A question about the catalog, as our tables answer it.
    Catalog(String),
    /// Nothing to do but to say so.
    Done(&'static str),
    Begin(&'static str),
    Commit,
    Rollback,
    RollbackTo,
    Set {
        name: String,
        value: String,
    },
    /// None: all.
    Reset(Option<String>),
    Show(String),
    /// Forgets everything of the session.
    Discard,
    /// None: all.
    Deallocate(Option<String>),
    /// None: all.
    CloseCursor(Option<String>),
    Declare {
        name: String,
        query: String,
    },
    Fetch {
        cursor: String,
        /// None: all.
        count: Option<usize>,
    },
    Copy {
        query: String,
        format: CopyFormat,
    },
    Refused(WireError),
}

/// Statements that change something in PostgreSQL.
const WRITES: &[&str] = &[
    "alter", "analyze", "call", "cluster", "comment", "create", "delete", "do", "drop", "grant",
    "import", "insert", "lock", "merge", "notify", "reassign", "refresh", "reindex", "revoke",
    "security", "truncate", "update", "vacuum",
];

impl Command {
    /// Reads one statement. `views` are the names that results have.
    pub(super) fn read(sql: &str, views: &[String]) -> Self {
        let words = words(sql);
        let Some(first) = words.first() else {
            return Self::Query;
        };
        let second = words.get(1);
        let is_second = |word: &str| second.is_some_and(|token| token.is_word(word));
        let name_at = |at: usize| words.get(at).and_then(Token::name);
        match first.text.to_ascii_lowercase().as_str() {
            "begin" => Self::Begin("BEGIN"),
            "start" => Self::Begin("START TRANSACTION"),
            "commit" | "end" => Self::Commit,
            "rollback" if words.iter().any(|token| token.is_word("to")) => Self::RollbackTo,
            "rollback" | "abort" => Self::Rollback,
            "savepoint" => Self::Done("SAVEPOINT"),
            "release" => Self::Done("RELEASE"),
            "set" => set(sql, &words),
            "reset" => Self::Reset(name_at(1).filter(|name| name != "all")),
            "show" => show(&words),
            "discard" => Self::Discard,
            "deallocate" => {
                let name = name_at(if is_second("prepare") { 2 } else { 1 });
                Self::Deallocate(name.filter(|name| name != "all"))
            }
            "close" => Self::CloseCursor(name_at(1).filter(|name| name != "all")),
            "listen" | "unlisten" => Self::Done("UNLISTEN"),
            "declare" => declare(sql, &words),
            "fetch" | "move" => fetch(&words),
            "copy" => CopyFormat::read(sql, &words).unwrap_or_else(Self::Refused),
            "prepare" | "execute" => Self::Refused(
                WireError::not_supported("statements are prepared by the protocol here")
                    .with_hint("let the driver prepare the statement, or send it as it is"),
            ),
            word if WRITES.contains(&word) => Self::Refused(WireError::read_only(first.text)),
            _ if dialect::is_catalog(&words, views) => Self::Catalog(dialect::rewrite(sql)),
            _ => Self::Query,
        }
    }
}

/// `SET [SESSION|LOCAL] name {=|TO} value`, `SET TIME ZONE value`, `SET TRANSACTION …`
fn set(sql: &str, words: &[Token<'_>]) -> Command {
    let rest = match words {
        [_, scope, rest @ ..] if scope.is_word("session") || scope.is_word("local") => rest,
        [_, rest @ ..] => rest,
        [] => &[],
    };
    let (name, values) = match rest {
        [word, ..] if word.is_word("transaction") || word.is_word("characteristics") => {
            return Command::Done("SET");
        }
        // DuckDB's: a value that statements read, and nothing of the session.
        [word, ..] if word.is_word("variable") => {
            return Command::Refused(WireError::not_supported("there are no variables here"));
        }
        [time, zone, values @ ..] if time.is_word("time") && zone.is_word("zone") => {
            ("timezone".to_owned(), values)
        }
        [first, dot, second, _, values @ ..] if dot.is_sign(".") => {
            let names = [first, second].map(|token| token.name().unwrap_or_default());
            (names.join("."), values)
        }
        [name, _, values @ ..] => (name.name().unwrap_or_default(), values),
        _ => ("".to_owned(), rest),
    };
    let (Some(start), Some(end)) = (values.first(), values.last()) else {
        return Command::Refused(WireError::new("42601", "`SET` needs a name and a value"));
    };
    let value = match values {
        [one] => unquoted(one),
        _ => sql[start.start..end.end()].to_owned(),
    };
    Command::Set { name, value }
}

fn unquoted(token: &Token<'_>) -> String {
    let text = token.text;
    match token.kind {
        Kind::Text => text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''))
            .map_or(text.to_owned(), |text| text.replace("''", "'")),
        Kind::Quoted => token.name().unwrap_or_default(),
        _ => text.to_owned(),
    }
}

/// Settings are shown here; tables and the like are DuckDB's matter.
fn show(words: &[Token<'_>]) -> Command {
    let names: Vec<String> = words[1..]
        .iter()
        .map(|token| token.name().unwrap_or_else(|| token.text.to_owned()))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = match names.as_slice() {
        ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        ["time", "zone"] => "timezone".to_owned(),
        ["session", "authorization"] => "session_authorization".to_owned(),
        ["tables" | "databases" | "all", "tables"] | ["tables" | "databases", ..] => {
            return Command::Query;
        }
        [name] => (*name).to_owned(),
        [first, ".", second] => format!("{first}.{second}"),
        _ => return Command::Query,
    };
    Command::Show(name)
}

/// `DECLARE name [NO SCROLL] CURSOR [WITH HOLD] FOR query`
fn declare(sql: &str, words: &[Token<'_>]) -> Command {
    let name = words.get(1).and_then(Token::name);
    let query = words.iter().position(|token| token.is_word("for"));
    match (name, query.and_then(|at| words.get(at + 1))) {
        (Some(name), Some(query)) => Command::Declare {
            name,
            query: sql[query.start..].to_owned(),
        },
        _ => Command::Refused(WireError::new(
            "42601",
            "write `DECLARE name CURSOR FOR query`",
        )),
    }
}

/// `FETCH [FORWARD] [count|ALL|NEXT] [FROM|IN] name`
fn fetch(words: &[Token<'_>]) -> Command {
    let backward = ["backward", "prior", "first", "last", "absolute", "relative"];
    if words[0].is_word("move") || words.iter().any(|t| backward.iter().any(|w| t.is_word(w))) {
        let message = "cursors only go forward here";
        return Command::Refused(WireError::new("0A000", message));
    }
    let Some(cursor) = words.last().and_then(Token::name) else {
        return Command::Refused(WireError::new("42601", "write `FETCH count FROM cursor`"));
    };
    let middle = &words[1..words.len() - 1];
    let number = middle.iter().find(|token| token.kind == Kind::Number);
    let count = match number {
        Some(number) => number.text.parse().ok(),
        None if middle.iter().any(|token| token.is_word("all")) => None,
        None => Some(1),
    };
    Command::Fetch { cursor, count }
}

/// Reads `5000`, `5s`, `'1min'`: milliseconds if there is no unit. None: no limit.
pub(super) fn timeout(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let unit = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    (number > 0).then(|| Duration::from_millis(number.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Command {
        Command::read(sql, &["observations".to_owned()])
    }

    #[test]
    fn statements_of_the_session_are_recognised() {
        let set = |name: &str, value: &str| Command::Set {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        for (sql, wanted) in [
            ("SET extra_float_digits = 3", set("extra_float_digits", "3")),
            (
                "set session application_name to 'a''b'",
                set("application_name", "a'b"),
            ),
            ("SET TIME ZONE 'UTC'", set("timezone", "UTC")),
            ("SET search_path = a, b", set("search_path", "a, b")),
            ("SET a.b = 'c'", set("a.b", "c")),
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                Command::Done("SET"),
            ),
            (
                "begin isolation level serializable",
                Command::Begin("BEGIN"),
            ),
            ("ROLLBACK TO SAVEPOINT a", Command::RollbackTo),
            ("DEALLOCATE ALL", Command::Deallocate(None)),
            (
                "DEALLOCATE PREPARE \"A\"",
                Command::Deallocate(Some("A".to_owned())),
            ),
            (
                "SHOW TRANSACTION ISOLATION LEVEL",
                Command::Show("transaction_isolation".to_owned()),
            ),
            ("show tables", Command::Query),
            (
                "FETCH FORWARD 10 FROM \"c 1\"",
                Command::Fetch {
                    cursor: "c 1".to_owned(),
                    count: Some(10),
                },
            ),
            (
                "fetch all in c",
                Command::Fetch {
                    cursor: "c".to_owned(),
                    count: None,
                },
            ),
            (
                "DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR select 1",
                Command::Declare {
                    name: "c".to_owned(),
                    query: "select 1".to_owned(),
                },
            ),
            ("select 1", Command::Query),
            ("EXPLAIN select 1", Command::Query),
        ] {
            assert_eq!(read(sql), wanted, "{sql}");
        }
        for sql in [
            "INSERT INTO a VALUES (1)",
            "create table a (b int)",
            "copy a from stdin",
        ] {
            match read(sql) {
                Command::Refused(error) => assert_eq!(error.code, "25006", "{sql}"),
                other => panic!("{sql}: {other:?}"),
            }
        }
    }

    #[test]
    fn time_limits_have_units() {
        for (value, wanted) in [
            ("5000", Some(5_000)),
            ("5s", Some(5_000)),
            ("2 min", Some(120_000)),
            ("0", None),
            ("soon", None),
        ] {
            assert_eq!(timeout(value), wanted.map(Duration::from_millis), "{value}");
        }
    }
}
