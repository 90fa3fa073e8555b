//! What is usual, by medians: neither the outage of last week nor a single slow answer moves them.

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usual {
    pub(crate) count: usize,
    /// The median.
    pub(crate) middle: f64,
    /// 1.4826 times the median distance from it: the standard deviation, if the values were
    /// normal.
    pub(crate) spread: f64,
}

/// Values that hardly differ have no spread to speak of; this share of the median is the least.
const LEAST_SPREAD: f64 = 0.05;

impl Usual {
    pub(crate) fn of(values: Vec<f64>) -> Option<Self> {
        let count = values.len();
        let middle = median(values.clone())?;
        let distance = median(
            values
                .into_iter()
                .map(|value| (value - middle).abs())
                .collect(),
        )?;
        let spread = (1.4826 * distance)
            .max(LEAST_SPREAD * middle)
            .max(f64::MIN_POSITIVE);
        Some(Self {
            count,
            middle,
            spread,
        })
    }

    /// How many spreads a value is away.
    pub(crate) fn score(&self, value: f64) -> f64 {
        (value - self.middle) / self.spread
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_move_neither_middle_nor_spread() {
        let plain = Usual::of(vec![9.0, 10.0, 11.0, 12.0, 8.0]).unwrap();
        let wild = Usual::of(vec![9.0, 10.0, 11.0, 9_000.0, 8.0]).unwrap();
        assert_eq!((plain.middle, wild.middle), (10.0, 10.0));
        assert!((plain.spread - 1.4826).abs() < 1e-9 && (wild.spread - 1.4826).abs() < 1e-9);
        assert!((plain.score(14.4478) - 3.0).abs() < 1e-3);
        assert_eq!(Usual::of(vec![10.0; 9]).unwrap().spread, 0.5);
        assert_eq!(Usual::of(vec![]), None);
        assert_eq!(Usual::of(vec![1.0, 3.0]).unwrap().middle, 2.0);
    }
}
