//! Sentences for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ChangePoint;

/// `p < 0.001`, `p = 0.032`, `p > 0.1`
pub fn p_text(p: f64) -> String {
    match p {
        ..0.001 => "p < 0.001".to_owned(),
        0.001..=0.1 => format!("p = {p:.3}"),
        _ => "p > 0.1".to_owned(),
    }
}

/// `p95 doubled on 21 Nov 14:00 (240 → 480 ms, p < 0.001)`; `written` writes a level.
pub fn sentence(
    name: &str,
    change: &ChangePoint,
    unit: &str,
    written: impl Fn(f64) -> String,
    zone: &TimeZone,
) -> String {
    let moment = Timestamp::from_millisecond(change.at_ms).unwrap_or_default();
    let at = moment.to_zoned(zone.clone());
    format!(
        "{name} {} on {} ({} → {} {unit}, {})",
        verb(change),
        at.strftime("%-d %b %H:%M"),
        written(change.before),
        written(change.after),
        p_text(change.p)
    )
}

fn verb(change: &ChangePoint) -> String {
    let ratio = change.after / change.before;
    if change.before <= 0.0 || !ratio.is_finite() {
        return if change.after > change.before {
            "rose"
        } else {
            "fell"
        }
        .to_owned();
    }
    match ratio {
        ..0.45 => "fell to less than half".to_owned(),
        0.45..=0.55 => "halved".to_owned(),
        0.55..=1.0 => format!("fell by {} %", share((1.0 - ratio) * 100.0)),
        1.0..1.9 => format!("rose by {} %", share((ratio - 1.0) * 100.0)),
        1.9..=2.1 => "doubled".to_owned(),
        2.85..=3.15 => "tripled".to_owned(),
        _ => format!("rose to {ratio:.1} times"),
    }
}

/// Availability changes by less than one percent.
fn share(percent: f64) -> String {
    if percent < 1.0 {
        format!("{percent:.2}")
    } else {
        format!("{percent:.0}")
    }
}
