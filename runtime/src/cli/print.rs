//! The output of subcommands: tables for people, JSON for programs. The only place besides `demo`
//! and `serve` that writes to standard output.
#![expect(clippy::print_stderr, reason = "printing is what this module is for")]

use std::io::{ErrorKind, Write};

use serde::Serialize;
use serde_json::Value;

/// `EX_IOERR`: what was asked for can't be written, e.g. because the disk is full.
const EXIT_IO: i32 = 74;

/// Prints a line. A reader may close the output early, as `head` does: the command goes on in
/// silence.
pub(super) fn line(text: &str) {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: can't write to standard output: {error}");
            std::process::exit(EXIT_IO);
        }
        _ => {}
    }
}

/// A step under way; on standard error, so that results can be piped.
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

pub(super) fn json(value: &impl Serialize) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a table, see [`table_text`].
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) {
    line(table_text(header, rows).trim_end_matches('\n'));
}

/// Returns a table. Columns are as wide as their widest cell; the last one is not padded.
pub(super) fn table_text(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = String::new();
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut print = |cells: &[&str]| {
        let mut text = String::new();
        for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            text.push_str(cell);
            if index + 1 < cells.len() {
                text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
        }
        lines.push_str(text.trim_end());
        lines.push('\n');
    };
    print(header);
    for row in rows {
        print(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    lines
}

/// Returns the cell for a value as JSON has it; `-` for none. Control characters, which could move
/// the cursor, are shown as `?`.
pub(super) fn cell<T: Serialize + ?Sized>(value: &T) -> String {
    let text = match serde_json::to_value(value).unwrap_or_default() {
        Value::Null => "-".to_owned(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    plain(&text)
}

/// Returns a text without control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Returns several values in one cell; `-` for none.
pub(super) fn list_cell<T: Serialize>(values: &[T]) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    values.iter().map(cell).collect::<Vec<_>>().join(", ")
}

/// Enough of a digest to name a version by.
pub(super) fn short_digest(digest: &str) -> String {
    plain(digest).chars().take(12).collect()
}
