//! [`Flapping`] measures whether an alert changes so often that its messages are of no use. Icinga's
//! measure: the share of changes among the last 20 judgements, the newer ones weighing more.

use crate::domain::FlappingThresholds;

/// The last judgements: one bit each, whether the verdict changed; the lowest bit is the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flapping {
    changes: u32,
    pub is_flapping: bool,
}

const STATES: u32 = 20;

impl Flapping {
    /// Makes one from what was kept.
    pub fn restore(changes: u32, is_flapping: bool) -> Self {
        Self {
            changes: changes & ((1 << STATES) - 1),
            is_flapping,
        }
    }

    pub fn changes(self) -> u32 {
        self.changes
    }

    /// Takes in one judgement.
    pub fn judge(self, has_changed: bool, thresholds: &FlappingThresholds) -> Self {
        let changes = ((self.changes << 1) | u32::from(has_changed)) & ((1 << STATES) - 1);
        let percent = Self { changes, ..self }.percent();
        let is_flapping = if self.is_flapping {
            percent > thresholds.low
        } else {
            percent > thresholds.high
        };
        Self {
            changes,
            is_flapping,
        }
    }

    /// 0 to 99: the oldest of the 20 weighs 0.8, the newest 1.18.
    pub fn percent(self) -> f64 {
        let weights = (0..STATES).map(|age| match self.changes >> age & 1 {
            1 => 0.8 + 0.02 * f64::from(STATES - 1 - age),
            _ => 0.0,
        });
        weights.sum::<f64>() * 100.0 / f64::from(STATES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x` is a change, `.` none.
    fn after(judgements: &str) -> Flapping {
        let thresholds = FlappingThresholds::default();
        judgements
            .chars()
            .fold(Flapping::default(), |flapping, judged| {
                flapping.judge(judged == 'x', &thresholds)
            })
    }

    #[test]
    fn newer_changes_weigh_more() {
        for (judgements, percent) in [
            ("", 0.0),
            ("x", 5.9),
            ("x...................", 4.0),
            ("x....................", 0.0),
            ("xxxxxxxxxxxxxxxxxxxx", 99.0),
        ] {
            assert!(
                (after(judgements).percent() - percent).abs() < 1e-9,
                "{judgements}: {}",
                after(judgements).percent()
            );
        }
    }

    #[test]
    fn it_starts_above_the_high_mark_and_stops_below_the_low_one() {
        let busy = after("x.x.x.x.x.x.");
        assert!(busy.is_flapping, "{}", busy.percent());
        assert!(!after("x...x...x...x...").is_flapping);
        let mut calm = busy;
        let mut quiet = 0;
        while calm.is_flapping {
            calm = calm.judge(false, &FlappingThresholds::default());
            quiet += 1;
        }
        assert!(calm.percent() <= 25.0);
        assert!((5..20).contains(&quiet), "{quiet}");
    }

    #[test]
    fn it_goes_on_from_what_was_kept() {
        let flapping = after("x.x.x.x.x.x.x");
        assert_eq!(
            Flapping::restore(flapping.changes(), flapping.is_flapping),
            flapping
        );
        assert_eq!(
            Flapping::restore(u32::MAX, true).changes(),
            (1 << STATES) - 1
        );
    }
}
