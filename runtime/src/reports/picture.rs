//! Charts as pictures: the SVG of the pages, drawn with fonts of our own.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::model::Chart;
use crate::charts;

/// DejaVu Sans, reduced to Latin, Greek and Cyrillic.
pub(super) const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");
pub(super) const BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold.ttf");
const FAMILY: &str = "DejaVu Sans";

/// Dots of a picture for each of its units, for screens that have two.
const SCALE: f32 = 2.0;
const MAX_DOTS: f32 = 4_000.0;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    fonts.set_serif_family(FAMILY);
    fonts.set_monospace_family(FAMILY);
    Arc::new(fonts)
});

/// Returns the chart as a page has it, alone.
pub(super) fn svg(name: &str, chart: &Chart) -> String {
    drawn(name, chart, |bars| charts::standalone(&charts::bars(bars)))
}

/// Draws a chart.
pub(crate) fn drawn<T>(name: &str, chart: &Chart, draw: impl FnOnce(&charts::Bars<'_>) -> T) -> T {
    let series: Vec<&str> = chart.series.iter().map(String::as_str).collect();
    let columns: Vec<charts::Column> = chart
        .columns
        .iter()
        .map(|bar| charts::Column {
            label: bar.label.clone(),
            values: bar.values.clone(),
            is_forecast: false,
        })
        .collect();
    let unit = match &chart.currency {
        Some(currency) => charts::Unit::Amount(currency),
        None => charts::Unit::Count,
    };
    draw(&charts::Bars {
        name,
        unit,
        series: &series,
        columns: &columns,
    })
}

/// Reads an SVG for drawing.
pub(super) fn tree(svg: &str) -> Result<Tree, String> {
    let options = Options {
        font_family: FAMILY.to_owned(),
        fontdb: FONTS.clone(),
        ..Options::default()
    };
    Tree::from_str(svg, &options).map_err(|error| format!("the chart can't be drawn: {error}"))
}

/// Returns a PNG on white ground, as mail programs with a dark one need it, and its width in the
/// units of the SVG.
pub(super) fn png(svg: &str) -> Result<(Vec<u8>, u32), String> {
    let tree = tree(svg)?;
    let size = tree.size();
    let dots = |units: f32| (units * SCALE).ceil().clamp(1.0, MAX_DOTS) as u32;
    let pixmap = Pixmap::new(dots(size.width()), dots(size.height()));
    let mut pixmap = pixmap.ok_or_else(|| "the chart has no size".to_owned())?;
    pixmap.fill(Color::WHITE);
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixmap.as_mut(),
    );
    let png = pixmap.encode_png();
    let png = png.map_err(|error| format!("the chart can't be drawn: {error}"))?;
    Ok((png, size.width().ceil() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_letters_and_two_dots_for_a_unit() {
        let svg = |text: &str| {
            format!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20"><text x="2" y="15">{text}</text></svg>"#
            )
        };
        let (with, width) = png(&svg("Größe")).unwrap();
        let (without, _) = png(&svg("")).unwrap();
        assert_eq!(width, 80);
        assert_ne!(with, without, "the font was not found");
        assert_eq!(&with[16..24], [0, 0, 0, 160, 0, 0, 0, 40]);
        assert!(png("<svg").is_err());
    }
}
