//! Decides which files have to be written: pure, by what is sealed, what has changed, and time.

use std::collections::BTreeMap;

use crate::store::results::changes::{DAY, HOUR, Micros, Span, joined};

/// Widths of files. What is over is joined to the next one, so that years are some hundred files.
const WIDTHS: [Micros; 4] = [HOUR, DAY, 30 * DAY, 360 * DAY];
/// Files are joined so long after the end of what they are joined to: rows of before still arrive.
const GRACE: Micros = HOUR / 12;
/// Rows of a file that others were joined to, at most: a late row has all of it written anew, which
/// takes some seconds.
const MOST_JOINED: u64 = 4_000_000;

/// Rows in a span; of one that has to be written about as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) span: Span,
    pub(super) rows: u64,
}

/// State of a table.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Files, which do not overlap.
    pub(super) sealed: Vec<Piece>,
    /// Spans that are not as in the files.
    pub(super) dirty: Vec<Span>,
    /// Units in what is dirty that have rows; those with a file may be missing.
    pub(super) counted: Vec<Piece>,
}

/// Returns what has to be written, oldest first: files that something changed in as a whole, and
/// units that have none. Nothing of it overlaps with a file that stays.
pub(super) fn changed(known: &Known) -> Vec<Piece> {
    let dirty = joined(known.dirty.clone());
    let is_dirty = |span: Span| dirty.iter().any(|dirty| dirty.overlaps(span));
    let sealed = &known.sealed;
    let covered = |span: Span| sealed.iter().any(|piece| piece.span.overlaps(span));
    let files = sealed.iter().filter(|piece| is_dirty(piece.span));
    let units = known
        .counted
        .iter()
        .filter(|unit| is_dirty(unit.span) && !covered(unit.span));
    let mut pieces: Vec<Piece> = files.chain(units).copied().collect();
    pieces.sort_unstable_by_key(|piece| piece.span);
    pieces
}

/// Returns what [`changed`] does, with files of what is over joined to wider ones.
pub(super) fn joining(known: &Known, now: Micros) -> Vec<Piece> {
    let new = changed(known);
    let kept = known.sealed.iter().filter(|piece| {
        let position = new.binary_search_by_key(&piece.span, |new| new.span);
        position.is_err()
    });
    let kept = kept.map(|piece| (piece.span.from, (*piece, false)));
    let mut all: BTreeMap<Micros, (Piece, bool)> = kept.collect();
    all.extend(new.iter().map(|piece| (piece.span.from, (*piece, true))));
    for width in WIDTHS {
        all = join(all, width, now);
    }
    let new = all.into_values().filter(|(_, is_new)| *is_new);
    new.map(|(piece, _)| piece).collect()
}

/// Joins what lies together in a span of this width.
fn join(
    pieces: BTreeMap<Micros, (Piece, bool)>,
    width: Micros,
    now: Micros,
) -> BTreeMap<Micros, (Piece, bool)> {
    let mut wider: BTreeMap<Span, Vec<(Piece, bool)>> = BTreeMap::new();
    for (piece, is_new) in pieces.into_values() {
        let span = Span::around(piece.span.from, width).join(piece.span);
        wider.entry(span).or_default().push((piece, is_new));
    }
    let mut joined = BTreeMap::new();
    for (span, members) in wider {
        let rows: u64 = members.iter().map(|(piece, _)| piece.rows).sum();
        let is_over = span.until.saturating_add(GRACE) <= now;
        if members.len() > 1 && is_over && rows <= MOST_JOINED {
            joined.insert(span.from, (Piece { span, rows }, true));
        } else {
            joined.extend(
                members
                    .into_iter()
                    .map(|member| (member.0.span.from, member)),
            );
        }
    }
    joined
}

/// Splits off what is done in one step: one of them at least, and as few rows as that allows.
pub(super) fn split<T>(
    mut tasks: Vec<T>,
    rows_of: impl Fn(&T) -> u64,
    most_rows: u64,
) -> (Vec<T>, Vec<T>) {
    let mut rows = 0;
    let mut taken = 0;
    for task in &tasks {
        rows += rows_of(task);
        if taken > 0 && rows > most_rows {
            break;
        }
        taken += 1;
    }
    let rest = tasks.split_off(taken);
    (tasks, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::results::changes::UNIT;

    /// 2026-11-23T00:00:00Z
    const T0: Micros = 1_795_392_000_000_000;

    fn unit(index: Micros) -> Piece {
        Piece {
            span: Span::around(T0 + index * UNIT, UNIT),
            rows: 10,
        }
    }

    fn file(from: Micros, width: Micros, rows: u64) -> Piece {
        Piece {
            span: Span::around(T0 + from, width),
            rows,
        }
    }

    fn spans(pieces: &[Piece]) -> Vec<(Micros, Micros)> {
        let span = |piece: &Piece| ((piece.span.from - T0) / UNIT, piece.span.width() / UNIT);
        pieces.iter().map(span).collect()
    }

    #[test]
    fn a_new_unit_is_a_file_and_a_late_row_has_its_file_written_anew() {
        let mut known = Known {
            sealed: vec![file(0, HOUR, 100), unit(12)],
            dirty: vec![unit(12).span, unit(13).span],
            counted: vec![unit(12), unit(13)],
        };
        let now = T0 + HOUR + 12 * 60_000_000;
        assert_eq!(spans(&changed(&known)), [(12, 1), (13, 1)]);
        assert_eq!(spans(&joining(&known, now)), [(12, 1), (13, 1)]);
        known.dirty = vec![unit(3).span];
        known.counted = vec![unit(3)];
        assert_eq!(spans(&changed(&known)), [(0, 12)]);
    }

    #[test]
    fn what_is_over_is_joined_up_to_a_limit_of_rows() {
        let hours = |rows| (0..24).map(|hour| file(hour * HOUR, HOUR, rows)).collect();
        let known = |rows| Known {
            sealed: hours(rows),
            ..Known::default()
        };
        assert_eq!(joining(&known(100), T0 + DAY), [], "rows may still arrive");
        let next = T0 + DAY + GRACE;
        assert_eq!(spans(&joining(&known(100), next)), [(0, 288)]);
        assert_eq!(joining(&known(200_000), next), []);
        let units = Known {
            sealed: (0..11).map(unit).collect(),
            dirty: vec![unit(11).span],
            counted: vec![unit(11)],
        };
        assert_eq!(spans(&joining(&units, T0 + HOUR + GRACE)), [(0, 12)]);
    }

    #[test]
    fn a_file_whose_rows_are_gone_is_looked_at_again() {
        let known = Known {
            sealed: vec![file(0, DAY, 100), file(DAY, DAY, 100)],
            dirty: vec![Span::new(Span::EVER.from, T0 + DAY)],
            counted: Vec::new(),
        };
        assert_eq!(spans(&changed(&known)), [(0, 288)]);
    }

    #[test]
    fn a_step_does_one_task_at_least() {
        let split = |rows: Vec<u64>| super::split(rows, |rows| *rows, 50);
        assert_eq!(split(vec![100, 10, 10]), (vec![100], vec![10, 10]));
        assert_eq!(split(vec![10, 40, 1]), (vec![10, 40], vec![1]));
        assert_eq!(split(Vec::new()), (Vec::new(), Vec::new()));
    }

    proptest! {
        /// Whatever was sealed and has changed: every row is in one file afterwards.
        #[test]
        fn rows_are_in_one_file(
            files in proptest::collection::vec((0..600_i64, 0..3_usize), 0..20),
            changes in proptest::collection::vec((0..90_000_i64, 1..400_i64), 0..6),
            later in 0..400_i64,
        ) {
            let mut sealed: Vec<Piece> = Vec::new();
            for (at, width) in files {
                let piece = file(at * HOUR * 2, [UNIT, HOUR, DAY][width], 1_000);
                if !sealed.iter().any(|other| other.span.overlaps(piece.span)) {
                    sealed.push(piece);
                }
            }
            let dirty: Vec<Span> = changes
                .iter()
                .map(|(at, units)| Span::new(T0 + at * UNIT, T0 + (at + units) * UNIT))
                .collect();
            let counted: Vec<Piece> = joined(dirty.clone())
                .into_iter()
                .flat_map(|span| (0..span.width() / UNIT).map(move |unit| (span.from + unit * UNIT, unit)))
                .filter(|(_, unit)| unit % 3 != 2)
                .map(|(from, _)| Piece { span: Span::around(from, UNIT), rows: 7 })
                .collect();
            let known = Known { sealed, dirty, counted };
            for new in [changed(&known), joining(&known, T0 + later * DAY)] {
                let stays = |piece: &&Piece| !new.iter().any(|new| new.span.overlaps(piece.span));
                let mut after: Vec<Span> = known.sealed.iter().filter(stays).map(|piece| piece.span).collect();
                for dirty in &known.dirty {
                    prop_assert!(!after.iter().any(|span| span.overlaps(*dirty)));
                }
                after.extend(new.iter().map(|piece| piece.span));
                after.sort_unstable();
                for pair in after.windows(2) {
                    prop_assert!(pair[0].until <= pair[1].from);
                }
                let holds = |row: Span| after.iter().any(|span| span.contains(row));
                for row in known.sealed.iter().chain(&known.counted) {
                    prop_assert!(holds(row.span));
                }
            }
        }
    }
}
