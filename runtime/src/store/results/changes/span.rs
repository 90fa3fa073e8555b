//! Spans of time, in microseconds of UTC.

use std::fmt;

/// Microseconds since 1970, as DuckDB keeps moments.
pub(in crate::store::results) type Micros = i64;

const SECOND: Micros = 1_000_000;
/// Width of the finest files.
pub(in crate::store::results) const UNIT: Micros = 300 * SECOND;
pub(in crate::store::results) const HOUR: Micros = 3_600 * SECOND;
pub(in crate::store::results) const DAY: Micros = 24 * HOUR;

/// Moments from one up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store::results) struct Span {
    pub(in crate::store::results) from: Micros,
    pub(in crate::store::results) until: Micros,
}

impl Span {
    /// All moments that a row can have, by years 1 to 9999.
    pub(in crate::store::results) const EVER: Self = Self {
        from: -62_135_596_800 * SECOND,
        until: 253_402_300_800 * SECOND,
    };
    /// Span of a file without rows.
    pub(in crate::store::results) const NEVER: Self = Self { from: 0, until: 0 };

    pub(in crate::store::results) fn new(from: Micros, until: Micros) -> Self {
        Self { from, until }
    }

    /// The span of this width, one of those that lie side by side from 1970 on, that holds a
    /// moment.
    pub(in crate::store::results) fn around(moment: Micros, width: Micros) -> Self {
        let from = moment.div_euclid(width) * width;
        Self {
            from,
            until: from + width,
        }
    }

    pub(in crate::store::results) fn width(self) -> Micros {
        self.until - self.from
    }

    pub(in crate::store::results) fn overlaps(self, other: Self) -> bool {
        self.from < other.until && other.from < self.until
    }

    #[cfg(test)]
    pub(in crate::store::results) fn contains(self, other: Self) -> bool {
        self.from <= other.from && other.until <= self.until
    }

    /// Returns the span that holds both.
    pub(in crate::store::results) fn join(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            until: self.until.max(other.until),
        }
    }

    /// The condition that a row lies in it.
    pub(in crate::store::results) fn sql(self) -> String {
        format!(
            "ts >= make_timestamp({}) AND ts < make_timestamp({})",
            self.from, self.until
        )
    }
}

/// A part of a file's name: where it begins, and how wide it is.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::EVER {
            return f.write_str("all");
        }
        if *self == Self::NEVER {
            return f.write_str("none");
        }
        let begin = jiff::Timestamp::from_microsecond(self.from);
        let begin = begin.map_or_else(
            |_| self.from.to_string(),
            |begin| begin.strftime("%Y%m%dT%H%M").to_string(),
        );
        let minutes = self.width() / (60 * SECOND);
        match minutes {
            0..60 => write!(f, "{begin}-{minutes}m"),
            60..1_440 => write!(f, "{begin}-{}h", minutes / 60),
            _ => write!(f, "{begin}-{}d", minutes / 1_440),
        }
    }
}

/// Joins spans that overlap or touch.
pub(in crate::store::results) fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| span.from < span.until);
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from <= last.until => *last = last.join(span),
            _ => joined.push(span),
        }
    }
    joined
}

/// Returns what none of these spans holds of [`Span::EVER`].
pub(in crate::store::results) fn gaps(spans: Vec<Span>) -> Vec<Span> {
    let mut gaps = Vec::new();
    let mut from = Span::EVER.from;
    for span in joined(spans) {
        if span.from > from {
            gaps.push(Span::new(from, span.from));
        }
        from = from.max(span.until);
    }
    if from < Span::EVER.until {
        gaps.push(Span::new(from, Span::EVER.until));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lie_side_by_side_also_before_1970() {
        for (moment, from) in [(0, 0), (UNIT - 1, 0), (UNIT, UNIT), (-1, -UNIT)] {
            assert_eq!(Span::around(moment, UNIT), Span::new(from, from + UNIT));
        }
    }

    #[test]
    fn spans_and_their_gaps_are_all_of_time() {
        let spans = vec![Span::new(20, 30), Span::new(5, 10), Span::new(9, 20)];
        assert_eq!(joined(spans.clone()), [Span::new(5, 30)]);
        let around = [
            Span::new(Span::EVER.from, 5),
            Span::new(30, Span::EVER.until),
        ];
        assert_eq!(gaps(spans), around);
        assert_eq!(gaps(vec![Span::EVER, Span::new(3, 4)]), []);
        assert_eq!(gaps(vec![Span::NEVER]), [Span::EVER]);
    }

    #[test]
    fn a_file_is_named_after_its_beginning_and_width() {
        let at = 1_795_392_000 * SECOND;
        for (span, name) in [
            (Span::around(at, UNIT), "20261123T0000-5m"),
            (Span::around(at, HOUR), "20261123T0000-1h"),
            (Span::around(at, DAY), "20261123T0000-1d"),
            (Span::EVER, "all"),
            (Span::NEVER, "none"),
        ] {
            assert_eq!(span.to_string(), name);
        }
    }
}
