//! Where everything of a report goes: pages of lines, rules and pictures. Pure; nothing here knows
//! of PDF.

use super::metrics::{printable, width};
use crate::reports::markdown::{Block, Span, blocks};
use crate::reports::model::{Content, Number, Report, Table, shown};

/// A4, in points.
pub(super) const PAGE: (f32, f32) = (595.0, 842.0);
pub(super) const MARGIN: f32 = 48.0;
/// Room below the header and above the footer of a page.
const TOP: f32 = 72.0;
const BOTTOM: f32 = 842.0 - 64.0;
const WIDTH: f32 = 595.0 - 2.0 * MARGIN;

const TEXT: f32 = 10.0;
const TITLE: f32 = 13.0;
const SMALL: f32 = 9.0;
const LEADING: f32 = 1.4;
const CELL_PAD: f32 = 6.0;
/// Lines of one cell; the files have the rest.
const MAX_CELL_LINES: usize = 8;
/// Room that a heading in a text is kept together with: its own line and two more.
const HEADING_ROOM: f32 = TEXT * LEADING * 3.0 + 4.0;
/// A report that is longer is cut, with a note.
const MAX_PAGES: usize = 200;

/// Part of the document that something belongs to, for its tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the block in reading order.
    pub(super) block: usize,
    pub(super) kind: Kind,
    pub(super) row: usize,
    pub(super) column: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Title,
    Heading,
    Paragraph,
    HeadCell,
    Cell,
    Figure,
    /// A head that is repeated, a rule: of no meaning to who listens.
    Artifact,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) x: f32,
    /// Base line of a text, upper edge of others.
    pub(super) y: f32,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Text {
        text: String,
        size: f32,
        is_bold: bool,
        is_muted: bool,
    },
    Rule {
        width: f32,
    },
    /// The nth chart.
    Picture {
        nth: usize,
        width: f32,
        height: f32,
    },
}

/// Lays out a report; `charts` are the sizes of its charts.
pub(super) fn pages(report: &Report, charts: &[(f32, f32)]) -> Vec<Vec<Item>> {
    let mut sheet = Sheet::new();
    sheet.lines(Kind::Title, &report.title, 20.0, true, false);
    sheet.lines(Kind::Paragraph, &report.period, TEXT, false, true);
    let mut nth = 0;
    for section in &report.sections {
        if sheet.pages.len() >= MAX_PAGES {
            sheet.lines(
                Kind::Paragraph,
                "The rest has no room here; the files have it.",
                TEXT,
                false,
                true,
            );
            break;
        }
        sheet.y += 12.0;
        if !section.title.is_empty() {
            // A heading stays with what follows it; a point is left for what is rounded.
            let lines = wrapped(&section.title, TITLE, true, WIDTH).len();
            let own = lines as f32 * TITLE * LEADING + 5.0;
            sheet.room(own + first_height(&section.content, charts.get(nth)));
            sheet.lines(Kind::Heading, &section.title, TITLE, true, false);
            sheet.y += 4.0;
        }
        match &section.content {
            Content::Numbers(numbers) => sheet.table(&numbers_table(numbers)),
            Content::Chart(_) => {
                if let Some(size) = charts.get(nth) {
                    sheet.picture(nth, *size);
                }
                nth += 1;
            }
            Content::Table(table) if table.rows.is_empty() => {
                sheet.lines(Kind::Paragraph, "None.", TEXT, false, true);
            }
            Content::Table(table) => sheet.table(table),
            Content::Text(text) => sheet.markdown(text),
            Content::Failed(error) => {
                let text = format!("This section could not be made: {error}");
                sheet.lines(Kind::Paragraph, &text, TEXT, true, false);
            }
        }
    }
    sheet.y += 16.0;
    sheet.lines(Kind::Paragraph, &report.how_counted(), SMALL, false, true);
    sheet.pages
}

/// Returns the height of what a section begins with: its picture, the head and the first row of its
/// table, some lines of its text.
fn first_height(content: &Content, chart: Option<&(f32, f32)>) -> f32 {
    match content {
        Content::Numbers(numbers) => table_begin(&numbers_table(numbers)),
        Content::Chart(_) => chart.map_or(0.0, |size| scaled(*size).1),
        Content::Table(table) if !table.rows.is_empty() => table_begin(table),
        Content::Table(_) | Content::Text(_) | Content::Failed(_) => HEADING_ROOM,
    }
}

fn table_begin(table: &Table) -> f32 {
    let widths = column_widths(table);
    let first = table.rows.first();
    let first = first.map_or(0.0, |values| body_row(values, table, &widths).height);
    head_row(table, &widths).height + first
}

fn head_row(table: &Table, widths: &[f32]) -> Row {
    let names: Vec<String> = table.columns.iter().map(|it| it.name.clone()).collect();
    Row::new(&names, table, widths, true)
}

fn body_row(values: &[serde_json::Value], table: &Table, widths: &[f32]) -> Row {
    let cells: Vec<String> = values.iter().map(shown).collect();
    Row::new(&cells, table, widths, false)
}

/// Returns the size of a chart that is no wider than the page.
fn scaled((width, height): (f32, f32)) -> (f32, f32) {
    let scale = (WIDTH / width.max(1.0)).min(1.0);
    (width * scale, height * scale)
}

fn numbers_table(numbers: &[Number]) -> Table {
    use crate::reports::model::Column;
    let column = |name: &str, is_number| Column {
        name: name.to_owned(),
        is_number,
    };
    Table {
        columns: vec![
            column("Figure", false),
            column("This period", true),
            column("Before", true),
        ],
        rows: numbers
            .iter()
            .map(|it| {
                [&it.label, &it.value, &it.before]
                    .map(|text| text.as_str().into())
                    .to_vec()
            })
            .collect(),
        is_truncated: false,
    }
}

/// The pages so far, and the place for what comes next.
struct Sheet {
    pages: Vec<Vec<Item>>,
    y: f32,
    blocks: usize,
}

impl Sheet {
    fn new() -> Self {
        Self {
            pages: vec![Vec::new()],
            y: TOP,
            blocks: 0,
        }
    }

    /// Begins a page unless there is room.
    fn room(&mut self, height: f32) -> bool {
        if self.y + height <= BOTTOM || self.y <= TOP {
            return false;
        }
        self.pages.push(Vec::new());
        self.y = TOP;
        true
    }

    fn place(&self, kind: Kind) -> Place {
        Place {
            block: self.blocks,
            kind,
            row: 0,
            column: 0,
        }
    }

    fn put(&mut self, place: Place, x: f32, y: f32, shape: Shape) {
        if let Some(page) = self.pages.last_mut() {
            page.push(Item { place, x, y, shape });
        }
    }

    /// A paragraph over the whole width.
    fn lines(&mut self, kind: Kind, text: &str, size: f32, is_bold: bool, is_muted: bool) {
        self.blocks += 1;
        let place = self.place(kind);
        for text in wrapped(text, size, is_bold, WIDTH) {
            self.room(size * LEADING);
            let shape = Shape::Text {
                text,
                size,
                is_bold,
                is_muted,
            };
            self.put(place, MARGIN, self.y + size, shape);
            self.y += size * LEADING;
        }
    }

    fn picture(&mut self, nth: usize, size: (f32, f32)) {
        self.blocks += 1;
        let (width, height) = scaled(size);
        self.room(height);
        let shape = Shape::Picture { nth, width, height };
        self.put(self.place(Kind::Figure), MARGIN, self.y, shape);
        self.y += height;
    }

    fn markdown(&mut self, text: &str) {
        for block in blocks(text) {
            let plain = |spans: &[Span]| spans.iter().map(Span::text).collect::<String>();
            match &block {
                Block::Heading(spans) => {
                    self.room(HEADING_ROOM);
                    self.lines(Kind::Paragraph, &plain(spans), TEXT, true, false);
                }
                Block::Paragraph(spans) => {
                    self.lines(Kind::Paragraph, &plain(spans), TEXT, false, false);
                }
                Block::Item(spans) => {
                    let text = format!("• {}", plain(spans));
                    self.lines(Kind::Paragraph, &text, TEXT, false, false);
                }
                Block::Step(number, spans) => {
                    let text = format!("{number}. {}", plain(spans));
                    self.lines(Kind::Paragraph, &text, TEXT, false, false);
                }
            }
            self.y += 4.0;
        }
    }

    /// A table whose head is repeated on each page that it goes on.
    fn table(&mut self, table: &Table) {
        self.blocks += 1;
        let widths = column_widths(table);
        let head = head_row(table, &widths);
        self.room(table_begin(table));
        self.row(&head, &widths, Some(0), false);
        for (index, values) in table.rows.iter().enumerate() {
            let row = body_row(values, table, &widths);
            if self.room(row.height) {
                if self.pages.len() > MAX_PAGES {
                    return;
                }
                self.row(&head, &widths, None, false);
            }
            self.row(&row, &widths, Some(index + 1), true);
        }
        if table.is_truncated {
            self.lines(Kind::Paragraph, "There are more rows.", SMALL, false, true);
        }
    }

    /// `number`: of the row in the table; none: the head again.
    fn row(&mut self, row: &Row, widths: &[f32], number: Option<usize>, is_body: bool) {
        let kind = match number {
            Some(_) if is_body => Kind::Cell,
            Some(_) => Kind::HeadCell,
            None => Kind::Artifact,
        };
        let mut x = MARGIN;
        for (column, (cell, width_)) in row.cells.iter().zip(widths).enumerate() {
            let place = Place {
                row: number.unwrap_or_default(),
                column,
                ..self.place(kind)
            };
            for (index, text) in cell.lines.iter().enumerate() {
                let own = width(text, SMALL, row.is_head);
                let left = if cell.is_right {
                    x + width_ - CELL_PAD - own
                } else {
                    x
                };
                let y = self.y + SMALL + 2.0 + index as f32 * SMALL * LEADING;
                let shape = Shape::Text {
                    text: text.clone(),
                    size: SMALL,
                    is_bold: row.is_head,
                    is_muted: false,
                };
                self.put(place, left, y, shape);
            }
            x += width_;
        }
        self.y += row.height;
        let rule = self.place(Kind::Artifact);
        self.put(rule, MARGIN, self.y, Shape::Rule { width: WIDTH });
    }
}

struct Row {
    cells: Vec<Cell>,
    height: f32,
    is_head: bool,
}

struct Cell {
    lines: Vec<String>,
    is_right: bool,
}

impl Row {
    fn new(texts: &[String], table: &Table, widths: &[f32], is_head: bool) -> Self {
        let cells = texts.iter().zip(&table.columns).zip(widths);
        let cells: Vec<Cell> = cells
            .map(|((text, column), width)| {
                let mut lines = wrapped(text, SMALL, is_head, width - CELL_PAD);
                if lines.len() > MAX_CELL_LINES {
                    lines.truncate(MAX_CELL_LINES);
                    lines.push("…".to_owned());
                }
                Cell {
                    lines,
                    is_right: column.is_number,
                }
            })
            .collect();
        let most = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(1);
        Self {
            cells,
            height: most as f32 * SMALL * LEADING + 6.0,
            is_head,
        }
    }
}

/// Returns the width of each column: as wide as its content where there is room, else in
/// proportion, and none narrower than a word of six letters.
fn column_widths(table: &Table) -> Vec<f32> {
    let least = width("mmmmmm", SMALL, true) + CELL_PAD;
    let wanted: Vec<f32> = table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = table.rows.iter().filter_map(|row| row.get(index));
            let widest = cells.map(|cell| width(&shown(cell), SMALL, false));
            let head = width(&column.name, SMALL, true);
            (widest.fold(head, f32::max) + CELL_PAD + 2.0).clamp(least, WIDTH)
        })
        .collect();
    let sum: f32 = wanted.iter().sum();
    if sum <= WIDTH {
        // What is left goes to the first column, whose text is read from its left.
        let rest = WIDTH - sum;
        let mut widths = wanted;
        if let Some(first) = widths.first_mut() {
            *first += rest;
        }
        return widths;
    }
    let floor = least.min(WIDTH / wanted.len() as f32);
    let (above, room): (f32, f32) = (
        wanted.iter().map(|width| width - floor).sum(),
        WIDTH - floor * wanted.len() as f32,
    );
    let share = |width: &f32| floor + (width - floor) / above.max(1.0) * room;
    wanted.iter().map(share).collect()
}

/// Breaks a text into lines: between words, and within those that are longer than a line.
fn wrapped(text: &str, size: f32, is_bold: bool, most: f32) -> Vec<String> {
    let text = printable(text, is_bold);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = if line.is_empty() {
            word.to_owned()
        } else {
            format!("{line} {word}")
        };
        if width(&longer, size, is_bold) <= most {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for letter in word.chars() {
            line.push(letter);
            if width(&line, size, is_bold) > most && line.chars().count() > 1 {
                line.pop();
                lines.push(std::mem::take(&mut line));
                line.push(letter);
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::tests::report;

    fn texts(page: &[Item]) -> Vec<String> {
        let text = |item: &Item| match &item.shape {
            Shape::Text { text, .. } => Some(text.clone()),
            _ => None,
        };
        page.iter().filter_map(text).collect()
    }

    #[test]
    fn the_head_of_a_table_is_repeated_on_each_page_and_is_an_artifact_there() {
        let pages = pages(&report(120), &[(640.0, 160.0)]);
        assert!(pages.len() >= 3, "{}", pages.len());
        for (index, page) in pages[..pages.len() - 1].iter().enumerate() {
            let heads = page.iter().filter(|item| {
                matches!(&item.shape, Shape::Text { text, is_bold: true, .. } if text == "Service")
            });
            let kinds: Vec<Kind> = heads.map(|item| item.place.kind).collect();
            let wanted = if index == 0 {
                Kind::HeadCell
            } else {
                Kind::Artifact
            };
            assert_eq!(kinds, [wanted], "page {index}");
        }
        assert!(texts(&pages[0]).contains(&"Weekly vendors".to_owned()));
    }

    #[test]
    fn a_heading_is_never_the_last_line_of_a_page() {
        for lines in 1..80 {
            let mut report = report(40);
            let text = "A line of its own.\n\n".repeat(lines);
            report.sections[0].content =
                Content::Text(format!("{text}## Why\n\nBecause it was so."));
            for page in pages(&report, &[(640.0, 160.0)]) {
                let last = page.iter().rfind(|it| it.place.kind != Kind::Artifact);
                let last = last.unwrap();
                let is_heading = matches!(&last.shape, Shape::Text { text, .. } if text == "Why");
                assert!(
                    last.place.kind != Kind::Heading && !is_heading,
                    "{lines} lines: {last:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_lies_outside_of_a_page() {
        for page in pages(&report(90), &[(640.0, 160.0)]) {
            for item in page {
                let right = match &item.shape {
                    Shape::Text {
                        text,
                        size,
                        is_bold,
                        ..
                    } => item.x + width(text, *size, *is_bold),
                    Shape::Rule { width } | Shape::Picture { width, .. } => item.x + width,
                };
                assert!(
                    item.x >= MARGIN - 0.5 && right <= PAGE.0 - MARGIN + 0.5,
                    "{item:?}"
                );
                assert!(item.y >= TOP - 0.5 && item.y <= BOTTOM + 0.5, "{item:?}");
            }
        }
    }

    #[test]
    fn lines_break_between_words_and_within_long_ones() {
        let lines = wrapped(
            "one two three",
            10.0,
            false,
            width("one two", 10.0, false) + 0.1,
        );
        assert_eq!(lines, ["one two", "three"]);
        let long = "x".repeat(50);
        let lines = wrapped(&long, 10.0, false, 60.0);
        assert!(lines.len() > 3 && lines.concat() == long, "{lines:?}");
        assert_eq!(wrapped("", 10.0, false, 60.0), [""]);
    }
}
