//! A picture outside of a page: in mail, in a PDF, as a file.

use std::fmt::Write as _;

use maud::Markup;

/// The light tones of the dashboard; a page outside has no variables.
const STYLE: &str = "\
.grid{fill:none;stroke:#e3e6ec;stroke-width:1}\
.figure{fill:#5a6274;font-size:10px}\
.band{fill:#3b5bdb;opacity:.22}\
.line{fill:none;stroke:#3b5bdb;stroke-width:1.6}\
.line.far{stroke-width:.7;opacity:.75}\
.dot{fill:#3b5bdb}\
.threshold{fill:none;stroke:#b4410f;stroke-width:1.2;stroke-dasharray:5 4}\
.down{fill:#7d0f2b}\
.incident{fill:#7d0f2b;opacity:.12}\
.incident.vendor{fill:#a87400}\
.touch{fill:none}\
.moment .stroke{fill:none;stroke:#171b26;stroke-width:1;stroke-dasharray:2 3}\
.moment .head{fill:#171b26}\
.s0,.p0{fill:#1f3278}.s1,.p1{fill:#3b5bdb}.s2,.p2{fill:#6f86e6}.s3,.p3{fill:#99a9ee}.s4,.p4{fill:#c3ccf6}.s5{fill:#cfd4dd}\
.forecast{fill:#ffffff;stroke:#5a6274;stroke-width:1}\
.hatch{fill:none;stroke-width:1.4}\
.t0{stroke:#1f3278}.t1{stroke:#3b5bdb}.t2{stroke:#6f86e6}.t3{stroke:#99a9ee}.t4{stroke:#c3ccf6}.t5{stroke:#8a93a6}\
.h0{fill:#e6e9ef}.h1{fill:#c3ccf6}.h2{fill:#99a9ee}.h3{fill:#6f86e6}.h4{fill:#3b5bdb}.h5{fill:#1f3278}\
.days path{fill:none;stroke-width:6}\
.none{stroke:#cfd4dd}.unknown{stroke:#8a93a6}.healthy{stroke:#35a576}.degraded{stroke:#a87400}\
.unhealthy{stroke:#b4410f}.error{stroke:#7d0f2b}\
.rest{fill:#cfd4dd}.left{fill:#35a576}.over{fill:none;stroke:#7d0f2b;stroke-width:2}";

/// The same picture alone: with namespace, size and the light tones, as `resvg` and `krilla-svg`
/// read it.
pub(crate) fn standalone(markup: &Markup) -> String {
    let text = markup.0.as_str();
    let head = text
        .strip_prefix("<svg")
        .and_then(|rest| rest.split_once('>'));
    // What this module draws begins with its root, whose attributes hold no bare `>`.
    let Some((attributes, content)) = head else {
        return text.to_owned();
    };
    let mut alone = String::with_capacity(text.len() + STYLE.len() + 200);
    alone.push_str(r#"<svg xmlns="http://www.w3.org/2000/svg""#);
    if let Some((width, height)) = size(attributes) {
        let _ = write!(alone, r#" width="{width}" height="{height}""#);
    }
    let _ = write!(
        alone,
        r#" font-family="DejaVu Sans, Noto Sans, sans-serif" font-size="10"{attributes}><style>{STYLE}</style>{content}"#
    );
    alone
}

/// Width and height, the last two figures of the box.
fn size(attributes: &str) -> Option<(&str, &str)> {
    let (_, rest) = attributes.split_once(r#"viewBox=""#)?;
    let (view, _) = rest.split_once('"')?;
    let mut figures = view.split(' ').skip(2);
    Some((figures.next()?, figures.next()?))
}

#[cfg(test)]
mod tests {
    use resvg::{tiny_skia, usvg};

    use super::*;
    use crate::charts::{
        Bars, Column, Heat, LatencyChart, Line, Mark, Phases, Unit, Zone, bars, budget, days, heat,
        latency, line, phases, spark,
    };
    use crate::store::{HistorySlot, Latencies};

    const HOUR_MS: i64 = 3_600_000;

    fn forms() -> Vec<(&'static str, Markup)> {
        let zone = Zone::utc();
        let span = (0, 24 * HOUR_MS);
        let slots = [1, 2, 5].map(|hour| HistorySlot {
            from_ms: hour * HOUR_MS,
            healthy: 10,
            error: 1,
            latencies: Latencies::of([80_000 * hour as u64; 10]),
            ..HistorySlot::default()
        });
        let marks = [Mark {
            at_ms: 3 * HOUR_MS,
            text: "a < b & c > d",
        }];
        let names: Vec<String> = ["a", "b"].map(str::to_owned).to_vec();
        let columns = [false, true].map(|is_forecast| Column {
            label: "22 Nov".to_owned(),
            values: vec![1.0, 2.0],
            is_forecast,
        });
        let latencies = LatencyChart {
            slots: &slots,
            incidents: &[],
            width_ms: HOUR_MS,
            span,
            now_ms: 24 * HOUR_MS,
            marks: &marks,
            zone: &zone,
        };
        let values = Line {
            name: "requests",
            unit: Unit::Count,
            span,
            points: &[(0, Some(1.0)), (HOUR_MS, Some(4.0)), (2 * HOUR_MS, None)],
            threshold: Some(3.0),
            marks: &marks,
            zone: &zone,
        };
        let costs = Bars {
            name: "cost",
            unit: Unit::Amount("EUR"),
            series: &["mail", "maps"],
            columns: &columns,
        };
        let counts = Heat {
            name: "runs",
            rows: &names,
            columns: &names,
            counts: &[vec![1, 9], vec![4, 0]],
        };
        let times = Phases {
            span,
            points: &[(0, [9e3; 5]), (HOUR_MS, [8e3; 5])],
            zone: &zone,
        };
        vec![
            ("days", days(&slots, 90, 24 * HOUR_MS)),
            ("latency", latency(&latencies)),
            (
                "spark",
                spark(
                    "requests",
                    &[Some(1.0), None, Some(2.0), Some(4.0)],
                    Unit::Count,
                ),
            ),
            ("line", line(&values)),
            ("bars", bars(&costs)),
            ("heat", heat(&counts)),
            ("phases", phases(&times)),
            ("budget", budget("error budget", -0.2, "18 min over")),
        ]
    }

    /// Colours of a picture, without those that the smoothing of edges makes.
    fn opaque(svg: &str) -> std::collections::BTreeSet<(u8, u8, u8)> {
        let tree = usvg::Tree::from_str(svg, &usvg::Options::default()).unwrap();
        let size = tree.size().to_int_size();
        let mut map = tiny_skia::Pixmap::new(size.width(), size.height()).unwrap();
        resvg::render(&tree, tiny_skia::Transform::default(), &mut map.as_mut());
        let pixels = map.pixels().iter().filter(|pixel| pixel.alpha() == 255);
        pixels
            .map(|pixel| (pixel.red(), pixel.green(), pixel.blue()))
            .collect()
    }

    #[test]
    fn each_form_is_drawn_alone_in_its_tones() {
        for (name, markup) in forms() {
            let colours = opaque(&standalone(&markup));
            // One tone at least; black is what a class without a tone would be.
            assert!(!colours.is_empty(), "{name} is empty");
            assert!(
                !colours.contains(&(0, 0, 0)),
                "{name} has a part without a tone"
            );
        }
    }

    #[test]
    fn each_form_has_a_sentence_and_no_style_of_its_own() {
        for (name, markup) in forms() {
            let svg = markup.into_string();
            assert!(svg.contains(r#"role="img" aria-label=""#), "{name}: {svg}");
            assert!(!svg.contains("style="), "{name}: {svg}");
            assert!(!svg.contains("<style"), "{name}: {svg}");
        }
    }

    #[test]
    fn a_picture_alone_has_its_size() {
        let svg = standalone(&budget("a", 0.5, "b"));
        assert!(
            svg.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg" width="240" height="16" "#),
            "{svg}"
        );
    }
}
