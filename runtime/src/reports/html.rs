//! A report as HTML: tables and styles in attributes alone, as mail programs need them. It reads
//! with its pictures blocked, because each has its figures as bars of table cells below it.

use super::markdown::{Block, Span, blocks};
use super::model::{Chart, Content, Number, Report, Table, shown};

/// Where the pictures of a page are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pictures<'a> {
    /// Parts of the mail, by content id, with their widths; none could not be drawn.
    Mail(&'a [Option<u32>]),
    /// The SVG itself, one for each chart.
    Inline(&'a [String]),
}

const FONT: &str = "font-family:Arial,Helvetica,sans-serif";
const INK: &str = "#1d2430";
const MUTED: &str = "#5b6675";
const LINE: &str = "#d5dae1";
const BAR: &str = "#2b6cb0";
const BAD: &str = "#b4410f";
/// Cells of the widest bar, in percent of the width of the table.
const BAR_PERCENT: f64 = 60.0;

/// Content id of the picture of the nth chart.
pub(super) fn content_id(nth: usize) -> String {
    format!("chart-{nth}")
}

pub(super) fn page(report: &Report, pictures: Pictures<'_>) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"color-scheme\" content=\"light only\"><title>{}</title></head>\
         <body style=\"margin:0;background:#ffffff;color:{INK};{FONT};font-size:14px;line-height:1.45\">\
         <div style=\"max-width:680px;margin:0 auto;padding:16px\">\
         <h1 style=\"font-size:22px;margin:0\">{}</h1><p style=\"margin:2px 0 16px;color:{MUTED}\">{}</p>",
        escape(&report.subject()),
        escape(&report.title),
        escape(&report.period),
    );
    let mut charts = 0;
    for section in &report.sections {
        if !section.title.is_empty() {
            heading(&section.title, &mut html);
        }
        match &section.content {
            Content::Numbers(numbers) => self::numbers(numbers, &mut html),
            Content::Chart(chart) => {
                picture(charts, &section.title, pictures, &mut html);
                if matches!(pictures, Pictures::Mail(_)) {
                    bars(chart, &mut html);
                }
                charts += 1;
            }
            Content::Table(table) => self::table(table, &mut html),
            Content::Text(text) => markdown(text, &mut html),
            Content::Failed(error) => html.push_str(&format!(
                "<p style=\"border-left:4px solid {BAD};padding:4px 12px;margin:0\">This section could not be made: {}</p>",
                escape(error)
            )),
        }
    }
    html.push_str(&format!(
        "<p style=\"margin:24px 0 0;color:{MUTED};font-size:12px\">{}</p></div></body></html>",
        escape(&report.how_counted())
    ));
    html
}

fn heading(title: &str, html: &mut String) {
    let title = escape(title);
    html.push_str(&format!(
        "<h2 style=\"font-size:16px;margin:24px 0 8px\">{title}</h2>"
    ));
}

fn numbers(numbers: &[Number], html: &mut String) {
    html.push_str(&format!(
        "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" style=\"{FONT};font-size:14px\">"
    ));
    for number in numbers {
        html.push_str(&format!(
            "<tr><td style=\"padding:3px 24px 3px 0;color:{MUTED}\">{}</td>\
             <td style=\"padding:3px 24px 3px 0\"><strong>{}</strong></td>\
             <td style=\"padding:3px 0;color:{MUTED}\">before: {}</td></tr>",
            escape(&number.label),
            escape(&number.value),
            escape(&number.before),
        ));
    }
    html.push_str("</table>");
}

fn picture(nth: usize, title: &str, pictures: Pictures<'_>, html: &mut String) {
    match pictures {
        Pictures::Mail(widths) => {
            if let Some(width) = widths.get(nth).copied().flatten() {
                html.push_str(&format!(
                    "<img src=\"cid:{}\" alt=\"{}, as bars below\" width=\"{width}\" style=\"max-width:100%;height:auto\">",
                    content_id(nth),
                    escape(title),
                ));
            }
        }
        // Our own drawing, with its texts escaped.
        Pictures::Inline(drawings) => html.push_str(drawings.get(nth).map_or("", String::as_str)),
    }
}

fn bars(chart: &Chart, html: &mut String) {
    let highest = chart.highest();
    html.push_str(&format!(
        "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" width=\"100%\" style=\"{FONT};font-size:12px\">"
    ));
    for bar in &chart.columns {
        let sum: f64 = bar.values.iter().sum();
        let percent = if highest > 0.0 {
            (sum / highest * BAR_PERCENT).round()
        } else {
            0.0
        };
        let figures = bar
            .values
            .iter()
            .map(|value| format!("{}", (value * 100.0).round() / 100.0));
        let figures = figures.collect::<Vec<_>>().join(" + ");
        let cell = if percent >= 1.0 {
            format!(
                "<td bgcolor=\"{BAR}\" width=\"{percent}%\" style=\"background:{BAR}\">&nbsp;</td>"
            )
        } else {
            String::new()
        };
        html.push_str(&format!(
            "<tr><td width=\"80\" style=\"padding:1px 8px 1px 0;color:{MUTED};white-space:nowrap\">{}</td><td>\
             <table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" width=\"100%\" style=\"{FONT};font-size:12px\">\
             <tr>{cell}<td style=\"padding:0 6px\">{figures}</td></tr></table></td></tr>",
            escape(&bar.label)
        ));
    }
    html.push_str("</table>");
}

fn table(table: &Table, html: &mut String) {
    if table.rows.is_empty() {
        html.push_str(&format!("<p style=\"margin:0;color:{MUTED}\">None.</p>"));
        return;
    }
    html.push_str(&format!(
        "<table cellpadding=\"0\" cellspacing=\"0\" width=\"100%\" style=\"{FONT};font-size:13px;border-collapse:collapse\"><thead><tr>"
    ));
    let align = |is_number: bool| if is_number { "right" } else { "left" };
    for column in &table.columns {
        html.push_str(&format!(
            "<th scope=\"col\" align=\"{}\" style=\"padding:4px 8px 4px 0;border-bottom:2px solid {LINE}\">{}</th>",
            align(column.is_number),
            escape(&column.name)
        ));
    }
    html.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        html.push_str("<tr>");
        for (column, value) in table.columns.iter().zip(row) {
            html.push_str(&format!(
                "<td align=\"{}\" valign=\"top\" style=\"padding:4px 8px 4px 0;border-bottom:1px solid {LINE}\">{}</td>",
                align(column.is_number),
                escape(&shown(value))
            ));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    if table.is_truncated {
        html.push_str(&format!(
            "<p style=\"margin:4px 0 0;color:{MUTED}\">There are more rows.</p>"
        ));
    }
}

fn markdown(text: &str, html: &mut String) {
    for block in blocks(text) {
        const ITEM: &str = "<p style=\"margin:0 0 4px;padding-left:14px\">";
        let (open, mark, spans, close) = match &block {
            Block::Heading(spans) => (
                "<h3 style=\"font-size:14px;margin:12px 0 4px\">",
                String::new(),
                spans,
                "</h3>",
            ),
            Block::Paragraph(spans) => {
                ("<p style=\"margin:0 0 8px\">", String::new(), spans, "</p>")
            }
            Block::Item(spans) => (ITEM, "• ".to_owned(), spans, "</p>"),
            Block::Step(number, spans) => (ITEM, format!("{number}. "), spans, "</p>"),
        };
        html.push_str(open);
        html.push_str(&mark);
        for span in spans {
            let text = escape(span.text());
            html.push_str(&match span {
                Span::Plain(_) => text,
                Span::Bold(_) => format!("<strong>{text}</strong>"),
                Span::Code(_) => format!("<code>{text}</code>"),
                Span::Link { url, .. } => format!("<a href=\"{}\">{text}</a>", escape(url)),
            });
        }
        html.push_str(close);
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::tests::report;

    #[test]
    fn a_mail_reads_with_its_pictures_blocked() {
        let page = page(&report(2), Pictures::Mail(&[Some(680)]));
        assert!(page.contains("<img src=\"cid:chart-0\""), "{page}");
        assert!(
            page.contains("width=\"60%\""),
            "the highest bar as cells: {page}"
        );
        assert!(page.contains(">12</td>"), "and its figure: {page}");
        assert!(page.contains("color-scheme\" content=\"light only"));
        assert!(page.contains("<code>x &lt; 1</code>"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<style"));
    }

    #[test]
    fn a_section_that_failed_has_its_reason_in_its_place() {
        let mut report = report(1);
        report.sections[2].content = Content::Failed("`<took>` too long".to_owned());
        let page = page(&report, Pictures::Mail(&[None]));
        assert!(page.contains("This section could not be made: `&lt;took&gt;` too long"));
        assert!(
            !page.contains("cid:"),
            "a picture that is not there is not named"
        );
    }
}
