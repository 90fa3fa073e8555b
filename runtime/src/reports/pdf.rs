//! A report as PDF: A4, laid out here, written by `krilla` with embedded fonts and tags.

mod draw;
mod layout;
mod metrics;

use super::model::{Content, Report};
use super::picture;

/// Returns the file. `drawings` are the SVGs of the charts, in their order.
pub(super) fn pdf(report: &Report, drawings: &[String]) -> Result<Vec<u8>, String> {
    let charts = report
        .sections
        .iter()
        .filter(|section| matches!(section.content, Content::Chart(_)));
    let trees = charts.zip(drawings).map(|(_, svg)| picture::tree(svg));
    let trees = trees.collect::<Result<Vec<_>, _>>()?;
    let sizes: Vec<(f32, f32)> = trees
        .iter()
        .map(|tree| (tree.size().width(), tree.size().height()))
        .collect();
    let pages = layout::pages(report, &sizes);
    draw::document(report, &pages, &trees)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::tests::report;

    const DRAWING: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="640" height="160"><rect width="40" height="90" fill="#2b6cb0"/><text x="4" y="150" font-size="12">16 Nov</text></svg>"##;

    #[test]
    fn a_file_has_pages_embedded_fonts_tags_and_a_title() {
        let drawings = [DRAWING.to_owned()];
        let pdf = pdf(&report(120), &drawings).unwrap();
        assert!(pdf.starts_with(b"%PDF-1."));
        let text = String::from_utf8_lossy(&pdf);
        let count = |part: &str| text.matches(part).count();
        assert!(count("/FontFile") >= 2, "regular and bold are embedded");
        assert!(count("/StructTreeRoot") >= 1, "it is tagged");
        assert!(text.contains("DejaVuSans"), "{} bytes", pdf.len());
        // The tree of the pages is one of them.
        assert!(count("/Type/Page") + count("/Type /Page") >= 4);
        assert!(text.contains("%%EOF"));
        assert!(pdf.len() < 400_000, "fonts are subsetted: {}", pdf.len());
    }
}
