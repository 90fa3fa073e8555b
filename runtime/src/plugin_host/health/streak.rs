//! When is a plugin failing, and when is it well again? Decided by the last few runs alone,
//! whatever the time between them.

use crate::domain::{Failing, RUNS_REMEMBERED, RUNS_THAT_DECIDE, RecentRuns};

#[derive(Debug, Default)]
pub(super) struct Streak {
    /// The last runs, the latest lowest: 1 broke.
    runs: u32,
    count: u32,
    broken_in_a_row: u32,
    good_in_a_row: u32,
    pub(super) failing: Option<Failing>,
}

const REMEMBERED: u32 = (1 << RUNS_REMEMBERED) - 1;

impl Streak {
    /// Notes a run. Returns a text when the plugin has just become failing; the caller sets the
    /// rest. A plugin becomes well by itself.
    pub(super) fn note(&mut self, broke: bool) -> Option<String> {
        self.push(broke);
        if self.failing.is_some() {
            if self.good_in_a_row >= RUNS_THAT_DECIDE {
                // What broke before is over: it does not count against the runs to come.
                *self = Self {
                    runs: 0,
                    count: self.good_in_a_row,
                    ..Self::default()
                };
            }
            return None;
        }
        let recent = self.recent();
        if self.broken_in_a_row >= RUNS_THAT_DECIDE {
            return Some(format!("the last {} runs broke", self.broken_in_a_row));
        }
        if broke && recent.runs == RUNS_REMEMBERED && recent.broken * 2 > RUNS_REMEMBERED {
            return Some(format!(
                "{} of the last {} runs broke",
                recent.broken, recent.runs
            ));
        }
        None
    }

    fn push(&mut self, broke: bool) {
        self.runs = (self.runs << 1 | u32::from(broke)) & REMEMBERED;
        self.count = (self.count + 1).min(RUNS_REMEMBERED);
        (self.broken_in_a_row, self.good_in_a_row) = if broke {
            ((self.broken_in_a_row + 1).min(RUNS_REMEMBERED), 0)
        } else {
            (0, (self.good_in_a_row + 1).min(RUNS_REMEMBERED))
        };
    }

    pub(super) fn recent(&self) -> RecentRuns {
        RecentRuns {
            runs: self.count,
            broken: self.runs.count_ones(),
            broken_in_a_row: self.broken_in_a_row,
        }
    }

    /// Adds the runs since the start, after those from before it were read back. They were reported
    /// already.
    pub(super) fn go_on(&mut self, since: Streak) {
        for index in (0..since.count).rev() {
            let _ = self.note(since.runs >> index & 1 == 1);
        }
        self.failing = since.failing.or(self.failing.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes runs (`x` broke) and returns after each whether the plugin is failing (`F`).
    fn story(runs: &str) -> String {
        let mut streak = Streak::default();
        let mut story = String::new();
        for run in runs.chars() {
            if let Some(reason) = streak.note(run == 'x') {
                assert!(streak.failing.is_none(), "told once");
                streak.failing = Some(Failing {
                    since_ms: 0,
                    reason,
                });
            }
            story.push(if streak.failing.is_some() { 'F' } else { '.' });
        }
        story
    }

    #[test]
    fn five_in_a_row_decide_either_way() {
        for (runs, wanted) in [
            ("xxxx.", "....."),
            ("xxxxx", "....F"),
            ("xxxx.xxxxx", ".........F"),
            ("xxxxx....x", "....FFFFFF"),
            ("xxxxx.....", "....FFFFF."),
            // Well again means a clean slate.
            ("xxxxx.....xxxx", "....FFFFF....."),
            ("xxxxx.....xxxxx", "....FFFFF.....F"),
        ] {
            assert_eq!(story(runs), wanted, "{runs}");
        }
    }

    #[test]
    fn more_than_half_of_twenty_decide_too() {
        let half = "x.".repeat(10);
        assert_eq!(story(&half), ".".repeat(20), "just half is not more");
        let more = format!("xx.{}", "x.x.".repeat(4));
        assert_eq!(more.len(), 19);
        assert_eq!(story(&format!("{more}x")), format!("{}F", ".".repeat(19)));
        assert_eq!(story(&"x.".repeat(9)), ".".repeat(18), "too few to judge");
        // A good run alone does not make it failing.
        assert_eq!(story(&format!("{}.", more)), ".".repeat(20));
    }

    #[test]
    fn goes_on_where_it_was_before_a_start() {
        let (mut before, mut since) = (Streak::default(), Streak::default());
        for _ in 0..4 {
            before.note(true);
        }
        since.note(true);
        before.go_on(since);
        assert_eq!(
            before.recent(),
            RecentRuns {
                runs: 5,
                broken: 5,
                broken_in_a_row: 5
            }
        );
        assert!(before.note(true).is_some());
    }
}
