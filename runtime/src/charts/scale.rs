//! Axes of values: round figures at 1, 2 and 5 times powers of ten.

/// Steps of an axis at most, where it begins at zero.
const STEPS: f64 = 4.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    step: f64,
}

impl Scale {
    /// Reaches from zero, or the least value below it, to `least` or the highest value.
    pub(super) fn of(values: impl IntoIterator<Item = f64>, least: f64) -> Self {
        let (mut low, mut high) = (0.0_f64, least);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        let step = step((high - low) / STEPS);
        // What a division leaves in the last binary digit must not add a step.
        Self {
            low: (low / step + 1e-9).floor() * step,
            high: (high / step - 1e-9).ceil() * step,
            step,
        }
    }

    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        let steps = ((self.high - self.low) / self.step).round() as usize;
        (0..=steps).map(move |index| self.low + index as f64 * self.step)
    }

    /// Place of a value between the lower end (0) and the upper (1).
    pub(super) fn share(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

fn step(wanted: f64) -> f64 {
    let power = 10_f64.powf(wanted.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let found = steps.into_iter().find(|step| *step >= wanted * 0.999_999);
    found.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_figure() {
        for (values, least, wanted) in [
            (&[][..], 1_000.0, "0 500 1000"),
            (&[230_000.0], 1_000.0, "0 100000 200000 300000"),
            (&[0.9986], 0.01, "0 0.5 1"),
            (&[-3.0, 7.0], 1.0, "-5 0 5 10"),
            (&[4.0, f64::NAN, f64::INFINITY], 1.0, "0 1 2 3 4"),
        ] {
            let ticks = Scale::of(values.iter().copied(), least).ticks();
            let ticks: Vec<String> = ticks.map(|tick| tick.to_string()).collect();
            assert_eq!(ticks.join(" "), wanted);
        }
    }
}
