//! Two lists of alerts of one rule and one service, side by side.

use crate::alerts::message_simulation::Episode;
use crate::domain::UnixMillis;

/// Positions are those in the two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Pairs that fired at the same time, at least in part.
    pub both: Vec<(usize, usize)>,
    pub only_first: Vec<usize>,
    pub only_second: Vec<usize>,
}

impl Compared {
    pub fn is_equal(&self) -> bool {
        self.only_first.is_empty() && self.only_second.is_empty()
    }
}

/// Both are in the order in which they fired, and those of one list never overlap. `until_ms` is
/// the end of one that has none.
pub fn compare(first: &[Episode], second: &[Episode], until_ms: UnixMillis) -> Compared {
    let end = |episode: &Episode| {
        episode
            .resolved_ms
            .unwrap_or(until_ms)
            .max(episode.fired_ms)
    };
    let mut compared = Compared::default();
    let (mut left, mut right) = (0, 0);
    while let (Some(a), Some(b)) = (first.get(left), second.get(right)) {
        if end(a) < b.fired_ms {
            compared.only_first.push(left);
            left += 1;
        } else if end(b) < a.fired_ms {
            compared.only_second.push(right);
            right += 1;
        } else {
            compared.both.push((left, right));
            (left, right) = (left + 1, right + 1);
        }
    }
    compared.only_first.extend(left..first.len());
    compared.only_second.extend(right..second.len());
    compared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episodes(spans: &[(i64, i64)]) -> Vec<Episode> {
        let episode = |(fired_ms, resolved_ms): &(i64, i64)| Episode {
            started_ms: *fired_ms,
            fired_ms: *fired_ms,
            resolved_ms: (*resolved_ms != 0).then_some(*resolved_ms),
            summary: String::new(),
            flapping: Vec::new(),
        };
        spans.iter().map(episode).collect()
    }

    #[test]
    fn alerts_that_fired_at_the_same_time_are_the_same() {
        for (first, second, both, only_first, only_second) in [
            (vec![], vec![], vec![], vec![], vec![]),
            (vec![(10, 20)], vec![(10, 20)], vec![(0, 0)], vec![], vec![]),
            (vec![(10, 20)], vec![(15, 30)], vec![(0, 0)], vec![], vec![]),
            (vec![(10, 20)], vec![(21, 30)], vec![], vec![0], vec![0]),
            (
                vec![(1, 2), (10, 0)],
                vec![(50, 60)],
                vec![(1, 0)],
                vec![0],
                vec![],
            ),
            (
                vec![(50, 60)],
                vec![(1, 2), (55, 0), (90, 91)],
                vec![(0, 1)],
                vec![],
                vec![0, 2],
            ),
        ] {
            let found = compare(&episodes(&first), &episodes(&second), 100);
            assert_eq!(
                (&found.both, &found.only_first, &found.only_second),
                (&both, &only_first, &only_second)
            );
            assert_eq!(
                found.is_equal(),
                only_first.is_empty() && only_second.is_empty()
            );
        }
    }
}
