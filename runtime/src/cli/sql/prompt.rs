//! The interactive prompt: statements up to their `;`, history, completion, and commands that begin
//! with a backslash.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::source::Source;
use super::{Options, request, schema, watch};
use crate::api_types::sql::SqlSchemaBody;
use crate::cli::outcome::Outcome;
use crate::cli::print::{line, note};

const HISTORY: usize = 1_000;

const COMMANDS: &str = "\\d            views and macros
\\d VIEW       columns of a view
\\watch N      the last statement again, every N seconds
\\q            end (also Ctrl-D)
A statement ends with `;`. Tab completes names, Ctrl-C cancels the query that runs.";

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "DISTINCT",
    "WITH",
    "JOIN",
    "LEFT JOIN",
    "UNION ALL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "BETWEEN",
    "INTERVAL",
    "count",
    "quantile_cont",
    "time_bucket",
    "FILTER",
];

/// Names that are completed.
#[derive(Default)]
struct Names(Vec<String>);

type LineEditor = Editor<Names, DefaultHistory>;

/// Asks for statements until the end of the input.
pub(super) async fn run(source: Source, options: Options) -> Outcome {
    let schema = source.schema().await?;
    let mut editor = editor(&schema)?;
    let history = history_file();
    if let Some(history) = &history {
        // None at the first time.
        let _ = editor.load_history(history);
    }
    let mut last = None;
    loop {
        let (back, read) = read_line(editor).await?;
        editor = back;
        let text = match read {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        let text = text.trim().trim_end_matches(';').trim_end().to_owned();
        if text.is_empty() {
            continue;
        }
        editor.add_history_entry(text.as_str())?;
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
        match step(&source, &options, &text, &mut last).await {
            Ok(Next::Go) => {}
            Ok(Next::End) => break,
            Err(error) => note(&format!("error: {error:#}")),
        }
    }
    Ok(ExitCode::SUCCESS)
}

enum Next {
    Go,
    End,
}

async fn step(
    source: &Source,
    options: &Options,
    text: &str,
    last: &mut Option<String>,
) -> Result<Next> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["\\q" | "exit" | "quit"] => return Ok(Next::End),
        ["\\?" | "help"] => line(COMMANDS),
        ["\\watch", seconds] => {
            let seconds: u64 = seconds.parse().context("`\\watch` takes seconds")?;
            let statement = last.as_deref().context("there is no statement yet")?;
            let every = Duration::from_secs(seconds.max(1));
            watch(source, &request(statement, options)?, options, every).await?;
        }
        [command, ..] if command.starts_with('\\') => schema::command(source, text).await?,
        _ => {
            *last = Some(text.to_owned());
            super::query(source, &request(text, options)?, options).await?;
        }
    }
    Ok(Next::Go)
}

fn editor(schema: &SqlSchemaBody) -> Result<LineEditor> {
    let config = Config::builder()
        .max_history_size(HISTORY)?
        .history_ignore_space(true)
        .auto_add_history(false)
        .build();
    let mut editor = LineEditor::with_config(config)?;
    editor.set_helper(Some(Names::of(schema)));
    Ok(editor)
}

/// Reads where waiting holds up nobody.
async fn read_line(mut editor: LineEditor) -> Result<(LineEditor, Result<String, ReadlineError>)> {
    let read = move || {
        let read = editor.readline("extrack> ");
        (editor, read)
    };
    Ok(tokio::task::spawn_blocking(read).await?)
}

/// None where there is no home, and then no history is kept.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".local/state"))
    });
    let folder = state?.join("extrack");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("sql_history"))
}

impl Names {
    fn of(schema: &SqlSchemaBody) -> Self {
        let mut names: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
        for view in &schema.views {
            names.push(view.name.clone());
            names.extend(view.columns.iter().map(|column| column.name.clone()));
        }
        names.extend(schema.macros.iter().map(|found| format!("{}(", found.name)));
        names.sort();
        names.dedup();
        Self(names)
    }

    /// Returns where the word begins that ends at the cursor, and the names that begin with it.
    fn matching(&self, text: &str, cursor: usize) -> (usize, Vec<String>) {
        let before = &text[..cursor];
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let start = before.trim_end_matches(is_name).len();
        let word = before[start..].to_lowercase();
        if word.is_empty() {
            return (start, Vec::new());
        }
        let found = self
            .0
            .iter()
            .filter(|name| name.to_lowercase().starts_with(&word));
        (start, found.cloned().collect())
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        text: &str,
        cursor: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.matching(text, cursor))
    }
}

impl Validator for Names {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// Reports whether a line is a command, or a statement up to its `;`.
fn is_whole(text: &str) -> bool {
    let text = text.trim();
    let is_command = text.starts_with('\\') || ["exit", "quit", "help"].contains(&text);
    text.is_empty() || is_command || text.ends_with(';')
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_goes_on_until_its_semicolon() {
        for (text, wanted) in [
            ("SELECT 1", false),
            ("SELECT 1\nFROM events;", true),
            ("\\d events", true),
            ("quit", true),
            ("", true),
        ] {
            assert_eq!(is_whole(text), wanted, "{text}");
        }
    }

    #[test]
    fn names_are_completed_whatever_their_case() {
        let names = Names(vec!["latency_ms".to_owned(), "SELECT".to_owned()]);
        assert_eq!(names.matching("sel", 3), (0, vec!["SELECT".to_owned()]));
        assert_eq!(
            names.matching("SELECT LAT", 10),
            (7, vec!["latency_ms".to_owned()])
        );
        assert_eq!(names.matching("SELECT ", 7).1, Vec::<String>::new());
    }
}
