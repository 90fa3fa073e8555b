//! What subcommands print: tables for people, JSON for programs. The only place besides `demo` and `serve` that writes to
//! standard output.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this module is for")]

use serde_json::Value;

pub(super) fn line(text: &str) {
    println!("{text}");
}

/// A step under way; on standard error, so that results can be piped.
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

pub(super) fn json(value: &Value) {
    println!("{}", serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
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
        let mut line = String::new();
        for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            line.push_str(cell);
            if index + 1 < cells.len() {
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
        }
        println!("{}", line.trim_end());
    };
    print(header);
    for row in rows {
        print(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// A cell for any JSON value; `-` for none. Control characters, which could move the cursor, are shown as `?`.
pub(super) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Enough of a digest to name a version by.
pub(super) fn short_digest(digest: &Value) -> String {
    cell(digest).chars().take(12).collect()
}
