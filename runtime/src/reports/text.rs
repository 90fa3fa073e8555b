//! A report as plain text: the first part of a mail, and what chats get.

use super::markdown::{Block, Span, blocks};
use super::model::{Content, Number, Report, Table, shown};

/// Rows of a table in a text; the files have all.
const MAX_ROWS: usize = 50;
/// Characters of a cell.
const MAX_CELL: usize = 60;

pub(super) fn text(report: &Report) -> String {
    let mut text = format!("{}\n{}\n", report.title, report.period);
    for section in &report.sections {
        if !section.title.is_empty() {
            text.push_str(&format!("\n{}\n", section.title));
        }
        text.push('\n');
        match &section.content {
            Content::Numbers(numbers) => self::numbers(numbers, &mut text),
            Content::Chart(chart) => table(&chart.table(), &mut text),
            Content::Table(found) => table(found, &mut text),
            Content::Text(source) => markdown(source, &mut text),
            Content::Failed(error) => {
                text.push_str(&format!("This section could not be made: {error}\n"));
            }
        }
    }
    text.push_str(&format!("\n{}\n", report.how_counted()));
    text
}

fn numbers(numbers: &[Number], text: &mut String) {
    let rows: Vec<Vec<String>> = numbers
        .iter()
        .map(|number| {
            let before = format!("before: {}", number.before);
            vec![number.label.clone(), number.value.clone(), before]
        })
        .collect();
    aligned(&rows, &[false; 3], text);
}

fn table(table: &Table, text: &mut String) {
    if table.rows.is_empty() {
        text.push_str("None.\n");
        return;
    }
    let head = table.columns.iter().map(|column| column.name.clone());
    let mut rows: Vec<Vec<String>> = vec![head.collect()];
    let shown = |row: &Vec<_>| row.iter().map(shown).collect();
    rows.extend(table.rows.iter().take(MAX_ROWS).map(shown));
    let right: Vec<bool> = table
        .columns
        .iter()
        .map(|column| column.is_number)
        .collect();
    aligned(&rows, &right, text);
    let more = table.rows.len().saturating_sub(MAX_ROWS);
    if more > 0 || table.is_truncated {
        text.push_str(&format!("… and {more} more rows\n"));
    }
}

/// Writes rows in columns as wide as their widest cells.
fn aligned(rows: &[Vec<String>], right: &[bool], text: &mut String) {
    let cut = |cell: &String| -> String {
        let line = cell.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(MAX_CELL).collect()
    };
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(cut).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..right.len()).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(&widths).zip(right) {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            if *right {
                line.push_str(&format!("{pad}{cell}  "));
            } else {
                line.push_str(&format!("{cell}{pad}  "));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn markdown(source: &str, text: &mut String) {
    for block in blocks(source) {
        let (mark, spans) = match &block {
            Block::Heading(spans) | Block::Paragraph(spans) => (String::new(), spans),
            Block::Item(spans) => ("- ".to_owned(), spans),
            Block::Step(number, spans) => (format!("{number}. "), spans),
        };
        text.push_str(&mark);
        for span in spans {
            text.push_str(span.text());
            if let Span::Link { url, .. } = span {
                text.push_str(&format!(" <{url}>"));
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::tests::report;

    #[test]
    fn a_text_has_the_figures_and_counts_what_it_has_no_room_for() {
        let text = text(&report(MAX_ROWS + 3));
        assert!(
            text.contains("Availability  99.94 %  before: 99.97 %"),
            "{text}"
        );
        assert!(text.contains("16 Nov       12"), "{text}");
        assert!(text.contains("… and 3 more rows"), "{text}");
        assert!(text.contains("- Größe of x < 1"), "{text}");
    }
}
