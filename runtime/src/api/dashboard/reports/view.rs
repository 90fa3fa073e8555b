//! A report on a page, with the figures and charts that its mail and its files have.

use maud::{Markup, html};

use crate::api::dashboard::wording::prose;
use crate::charts;
use crate::reports::{Block, Content, Report, Span, Table, blocks, drawn, shown};

pub(super) fn report(report: &Report) -> Markup {
    html! {
        article.report {
            h1 { (report.title) }
            p.muted { (report.period) }
            @for section in &report.sections {
                section.card.panel {
                    @if !section.title.is_empty() { h2 { (section.title) } }
                    @match &section.content {
                        Content::Numbers(numbers) => {
                            dl.report-numbers {
                                @for number in numbers {
                                    div {
                                        dt { (number.label) }
                                        dd { strong { (number.value) } " " span.muted { "before: " (number.before) } }
                                    }
                                }
                            }
                        }
                        Content::Chart(chart) => {
                            div.wide tabindex="0" { (drawn(&section.title, chart, charts::bars)) }
                            details { summary { "Table" } (table(&chart.table())) }
                        }
                        Content::Table(found) => { (table(found)) }
                        Content::Text(text) => { (markdown(text)) }
                        Content::Failed(error) => { p.report-failed { "This section could not be made: " (prose(error)) } }
                    }
                }
            }
            p.muted { (report.how_counted()) }
        }
    }
}

fn table(table: &Table) -> Markup {
    html! {
        @if table.rows.is_empty() { p.empty { "None." } }
        @else {
            div.wide { table.list {
                thead { tr { @for column in &table.columns { th.number[column.is_number] scope="col" { (column.name) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (column, value) in table.columns.iter().zip(row) {
                                td.number[column.is_number] { (shown(value)) }
                            }
                        }
                    }
                }
            } }
            @if table.is_truncated { p.muted { "There are more rows." } }
        }
    }
}

fn markdown(text: &str) -> Markup {
    html! {
        @for block in blocks(text) {
            @match &block {
                Block::Heading(spans) => { h3 { (inline(spans)) } }
                Block::Paragraph(spans) => { p { (inline(spans)) } }
                Block::Item(spans) => { ul { li { (inline(spans)) } } }
                Block::Step(number, spans) => { ol start=(number) { li { (inline(spans)) } } }
            }
        }
    }
}

fn inline(spans: &[Span]) -> Markup {
    html! {
        @for span in spans {
            @match span {
                Span::Plain(text) => { (text) }
                Span::Bold(text) => { strong { (text) } }
                Span::Code(text) => { code { (text) } }
                Span::Link { text, url } => { a href=(url) rel="noreferrer" { (text) } }
            }
        }
    }
}
