//! How often what happened when: the more in a cell, the darker and the higher it is.

use maud::{Markup, html};

use super::figure;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 72.0;
const TOP: f64 = 4.0;
const ROW: f64 = 18.0;
const MAX_COLUMNS: usize = 48;
const MAX_CELLS: usize = 400;
const MAX_LABELS: usize = 12;
/// Ranks of a cell that has a count.
const RANKS: u64 = 5;

pub(crate) struct Heat<'a> {
    pub(crate) name: &'a str,
    pub(crate) rows: &'a [String],
    pub(crate) columns: &'a [String],
    /// Counts of each column, by row.
    pub(crate) counts: &'a [Vec<u64>],
}

pub(crate) fn heat(heat: &Heat<'_>) -> Markup {
    let columns = &heat.columns[..heat.columns.len().min(MAX_COLUMNS)];
    let most_rows = MAX_CELLS / columns.len().max(1);
    let rows = &heat.rows[..heat.rows.len().min(most_rows)];
    let count = |row: usize, column: usize| -> u64 {
        let counts = heat.counts.get(row).map_or(&[][..], Vec::as_slice);
        counts.get(column).copied().unwrap_or(0)
    };
    let cells = (0..rows.len()).flat_map(|row| (0..columns.len()).map(move |column| (row, column)));
    let cells: Vec<(usize, usize, u64)> = cells
        .map(|(row, column)| (row, column, count(row, column)))
        .collect();
    let most = cells.iter().map(|(.., count)| *count).max().unwrap_or(0);
    let step = (WIDTH - LEFT) / columns.len().max(1) as f64;
    let bottom = TOP + ROW * rows.len() as f64;
    let every = columns.len().div_ceil(MAX_LABELS).max(1);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (bottom + 40.0) } role="img" aria-label=(sentence(heat, &cells)) {
            @for (index, name) in rows.iter().enumerate() {
                text.figure x=(LEFT - 8.0) y=(TOP + ROW * index as f64 + 13.0) text-anchor="end" { (name) }
            }
            @for (index, name) in columns.iter().enumerate().step_by(every) {
                text.figure x=(figure(LEFT + step * index as f64)) y=(bottom + 12.0) { (name) }
            }
            @for (row, column, count) in &cells {
                @let rank = rank(*count, most);
                @let height = height(rank);
                rect class={ "h" (rank) } x=(figure(LEFT + step * *column as f64)) y=(figure(TOP + ROW * (*row as f64 + 1.0) - height))
                    width=(figure((step - 1.0).max(1.0))) height=(figure(height)) {
                    title { (rows[*row]) " · " (columns[*column]) " · " (count) }
                }
            }
            (legend(most, bottom + 32.0))
        }
    }
}

/// Returns 0 for nothing, and up to [`RANKS`] by the root of the share, so that little is seen
/// beside much.
fn rank(count: u64, most: u64) -> u64 {
    (1..=RANKS)
        .find(|rank| count <= upper(*rank, most))
        .filter(|_| count > 0)
        .unwrap_or(0)
}

/// The highest count of a rank.
fn upper(rank: u64, most: u64) -> u64 {
    let squares = u128::from(rank * rank) * u128::from(most);
    u64::try_from(squares.div_ceil(u128::from(RANKS * RANKS))).unwrap_or(u64::MAX)
}

fn height(rank: u64) -> f64 {
    2.0 + 3.0 * rank as f64
}

fn legend(most: u64, y: f64) -> Markup {
    html! {
        @for rank in 1..=RANKS {
            @let x = LEFT + 110.0 * (rank - 1) as f64;
            rect class={ "h" (rank) } x=(figure(x)) y=(figure(y - height(rank))) width="12" height=(figure(height(rank))) {}
            text.figure x=(figure(x + 16.0)) y=(y) { "up to " (upper(rank, most)) }
        }
    }
}

fn sentence(heat: &Heat<'_>, cells: &[(usize, usize, u64)]) -> String {
    let total: u64 = cells.iter().map(|(.., count)| *count).sum();
    match cells.iter().rev().max_by_key(|(.., count)| *count) {
        Some((row, column, count)) if *count > 0 => format!(
            "{}: {total} in all, the most ({count}) at {}, {}",
            heat.name, heat.rows[*row], heat.columns[*column]
        ),
        _ => format!("{}: nothing was measured", heat.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("n{index}")).collect()
    }

    fn drawn(rows: &[String], columns: &[String], counts: &[Vec<u64>]) -> String {
        heat(&Heat {
            name: "runs",
            rows,
            columns,
            counts,
        })
        .into_string()
    }

    #[test]
    fn more_is_higher_and_little_is_seen_beside_much() {
        assert_eq!(
            [0, 1, 40, 41, 1_000].map(|count| rank(count, 1_000)),
            [0, 1, 1, 2, 5]
        );
        assert_eq!([0, 1].map(|count| rank(count, 1)), [0, 1]);
        assert_eq!(rank(0, 0), 0);
    }

    #[test]
    fn cells_stand_at_their_row_and_column() {
        let svg = drawn(&names(2), &names(2), &[vec![0, 25], vec![1]]);
        for wanted in [
            r#"aria-label="runs: 26 in all, the most (25) at n0, n1""#,
            r#"<rect class="h5" x="396.0" y="5.0" width="323.0" height="17.0"><title>n0 · n1 · 25</title></rect>"#,
            r#"<rect class="h1" x="72.0" y="35.0" width="323.0" height="5.0"><title>n1 · n0 · 1</title></rect>"#,
            r#"<rect class="h0" x="396.0" y="38.0" width="323.0" height="2.0"><title>n1 · n1 · 0</title></rect>"#,
            ">up to 25</text>",
        ] {
            assert!(svg.contains(wanted), "{wanted} is not in {svg}");
        }
    }

    #[test]
    fn cells_have_a_bound_and_nothing_is_said_to_be_nothing() {
        let svg = drawn(&names(100), &names(100), &[]);
        assert!(svg.matches("<title>").count() <= MAX_CELLS, "{}", svg.len());
        assert!(svg.contains("runs: nothing was measured"));
        assert!(drawn(&[], &[], &[]).contains("nothing was measured"));
    }
}
