//! What subcommands print: tables for people, JSON for programs. The only place besides `demo` and
//! `serve` that writes to standard output.
#![expect(clippy::print_stderr, reason = "printing is what this module is for")]

use std::io::{ErrorKind, Write};

use serde_json::Value;

/// `EX_IOERR`: what was asked for can't be written, e.g. because the disk is full.
const EXIT_IO: i32 = 74;

/// Whoever reads may have seen enough, as `head` does: the command goes on without saying more.
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

pub(super) fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
}

/// Columns as wide as their widest cell; the last one is not padded.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: &[&str]| {
        let mut text = String::new();
        for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            text.push_str(cell);
            if index + 1 < cells.len() {
                text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
        }
        line(text.trim_end());
    };
    print(header);
    for row in rows {
        print(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// A cell for any JSON value; `-` for none. Control characters, which could move the cursor, are
/// shown as `?`.
pub(super) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Enough of a digest to name a version by.
pub(super) fn short_digest(digest: &Value) -> String {
    cell(digest).chars().take(12).collect()
}
