//! A report in each of its formats, and as a mail with its files. Pure.

use super::html::{self, Pictures};
use super::model::{Content, Report, Section};
use super::{files, pdf, picture, text};
use crate::domain::{MessageFile, ReportFormat, ReportRunState};
use crate::store::control::ReportResult;

const MIB: usize = 1024 * 1024;

/// Bytes that a mail has room for: a notifier sends at most 8 MiB.
struct Room {
    /// Of its text and its page.
    words: usize,
    /// Of these and its files.
    all: usize,
}

const MAIL: Room = Room {
    words: 2 * MIB,
    all: 6 * MIB,
};

/// Writes a report in a format.
pub(super) fn written(report: &Report, format: ReportFormat) -> Result<Vec<u8>, String> {
    match format {
        ReportFormat::Html => {
            let drawings = drawings(report);
            Ok(html::page(report, Pictures::Inline(&drawings)).into_bytes())
        }
        ReportFormat::Pdf => pdf::pdf(report, &drawings(report)),
        ReportFormat::Csv => Ok(files::csv(report)),
        ReportFormat::Json => Ok(files::json(report)),
        ReportFormat::Parquet => files::parquet(report),
    }
}

/// The SVG of each chart.
fn drawings(report: &Report) -> Vec<String> {
    let drawing = |section: &Section| match &section.content {
        Content::Chart(chart) => Some(picture::svg(&section.title, chart)),
        _ => None,
    };
    report.sections.iter().filter_map(drawing).collect()
}

/// What goes into the mail and what is kept. A file that can't be written is a section that failed;
/// one that a mail has no room for is named in it.
pub(super) fn made(report: Report, formats: &[ReportFormat]) -> ReportResult {
    made_within(report, formats, &MAIL)
}

fn made_within(mut report: Report, formats: &[ReportFormat], room: &Room) -> ReportResult {
    let mut left = room.all.saturating_sub(room.words);
    let mut attached = Vec::new();
    for format in formats
        .iter()
        .filter(|format| **format != ReportFormat::Html)
    {
        let content = match written(&report, *format) {
            Ok(content) if content.len() <= left => {
                left -= content.len();
                attached.push(MessageFile {
                    name: format!("{}.{}", report.name, format.as_str()),
                    media_type: format.media_type().to_owned(),
                    content_id: None,
                    content,
                });
                continue;
            }
            Ok(content) => Content::Text(left_out(content.len())),
            Err(error) => Content::Failed(error),
        };
        report.sections.push(Section {
            title: format!("Attachment: {}", format.as_str()),
            content,
        });
    }
    let widths = pictures(&report, left, &mut attached);
    let (mut letter, mut page) = (
        text::text(&report),
        html::page(&report, Pictures::Mail(&widths)),
    );
    if letter.len() + page.len() > room.words {
        let size = letter.len() + page.len();
        attached.retain(|file| file.content_id.is_none());
        let brief = brief(&report, size);
        letter = text::text(&brief);
        page = html::page(&brief, Pictures::Mail(&[]));
    }
    ReportResult {
        state: ReportRunState::Sent,
        error: failures(&report),
        title: report.subject(),
        data: serde_json::to_string(&report).unwrap_or_default(),
        letter,
        page,
        files: attached,
    }
}

fn left_out(bytes: usize) -> String {
    format!(
        "Left out: with its {} KiB the mail would be too large. The page of the report has it.",
        bytes.div_ceil(1024)
    )
}

/// Puts in a picture of each chart while there is room. Returns their widths; none for a chart
/// without one: its figures are there as bars.
fn pictures(report: &Report, mut left: usize, attached: &mut Vec<MessageFile>) -> Vec<Option<u32>> {
    let mut widths = Vec::new();
    for (nth, svg) in drawings(report).iter().enumerate() {
        let drawn = picture::png(svg);
        if let Err(error) = &drawn {
            let report = report.name.as_str();
            tracing::error!(report, error, "a chart of a report has no picture");
        }
        let fitting = drawn.ok().filter(|(content, _)| content.len() <= left);
        widths.push(fitting.map(|(content, width)| {
            left -= content.len();
            let id = html::content_id(nth);
            attached.push(MessageFile {
                name: format!("{id}.png"),
                media_type: "image/png".to_owned(),
                content_id: Some(id),
                content,
            });
            width
        }));
    }
    widths
}

/// The report in a mail that has no room for its sections.
fn brief(report: &Report, bytes: usize) -> Report {
    Report {
        sections: vec![Section {
            title: "Its sections".to_owned(),
            content: Content::Text(left_out(bytes)),
        }],
        ..report.clone()
    }
}

/// Returns why sections could not be made.
fn failures(report: &Report) -> Option<String> {
    let failed = report
        .sections
        .iter()
        .filter_map(|section| match &section.content {
            Content::Failed(error) => Some(format!("{}: {error}", section.title)),
            _ => None,
        });
    let failed = failed.collect::<Vec<_>>().join("; ");
    (!failed.is_empty()).then_some(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::tests::report;

    #[test]
    fn a_mail_has_the_files_that_are_wanted_and_its_pictures() {
        let formats = [ReportFormat::Html, ReportFormat::Pdf, ReportFormat::Csv];
        let result = made(report(3), &formats);
        let names: Vec<&str> = result.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["weekly.pdf", "weekly.csv", "chart-0.png"]);
        assert_eq!(result.error, None);
        assert!(result.page.contains("cid:chart-0"));
        assert!(result.letter.starts_with("Weekly vendors\n"));
        let kept: Report = serde_json::from_str(&result.data).unwrap();
        assert_eq!(kept, report(3));
    }

    #[test]
    fn what_a_mail_has_no_room_for_is_left_out_and_named() {
        let formats = [ReportFormat::Pdf, ReportFormat::Csv];
        let csv = written(&report(3), ReportFormat::Csv).unwrap().len();
        let words = 1_000_000;
        let room = Room {
            words,
            all: words + csv,
        };
        let result = made_within(report(3), &formats, &room);
        let names: Vec<&str> = result.files.iter().map(|file| file.name.as_str()).collect();
        assert!(names.iter().all(|name| *name == "weekly.csv"), "{names:?}");
        assert!(
            result.letter.contains("Attachment: pdf"),
            "{}",
            result.letter
        );
        assert!(result.page.contains("Left out"), "{}", result.page);
        assert!(!result.page.contains("cid:"), "{}", result.page);
        assert_eq!(result.error, None, "it is whole");

        let room = Room {
            words: 1_500,
            all: MAIL.all,
        };
        let result = made_within(report(300), &formats, &room);
        assert!(result.page.len() + result.letter.len() < 4_000);
        assert!(result.page.contains("Its sections"), "{}", result.page);
        assert_eq!(result.files.len(), 2, "no picture without its page");
        let kept: Report = serde_json::from_str(&result.data).unwrap();
        assert_eq!(kept, report(300));
    }
}
