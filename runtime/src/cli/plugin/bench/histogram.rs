//! Counts microseconds in buckets that grow with the value: any number of runs in 16 KiB, each
//! quantile off by less than 2 %.

/// Buckets of each power of two.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.ilog2();

/// Longer than an hour counts as this.
const MAX_US: u64 = 1 << 32;

#[derive(Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn record(&mut self, us: u64) {
        let index = index(us.min(MAX_US));
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.total += 1;
        self.max = self.max.max(us);
    }

    pub(super) fn add(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// Nearest rank: the smallest value that at least this share did not exceed. 0 without any.
    pub(super) fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((quantile * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(index).min(self.max);
            }
        }
        self.max
    }

    /// Returns counts by their upper bound in microseconds (a power of two), from the first that is
    /// not empty to the last.
    pub(super) fn octaves(&self) -> Vec<(u64, u64)> {
        let mut octaves: Vec<(u64, u64)> = Vec::new();
        for (index, count) in self.counts.iter().enumerate() {
            let limit = (upper(index) + 1).next_power_of_two();
            match octaves.last_mut() {
                Some((last, sum)) if *last == limit => *sum += count,
                _ => octaves.push((limit, *count)),
            }
        }
        let first = octaves
            .iter()
            .position(|(_, count)| *count > 0)
            .unwrap_or(octaves.len());
        octaves.split_off(first)
    }
}

/// Exact below [`STEPS`]; above, the power of two and the bits after the first.
fn index(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = value.ilog2() - STEP_BITS;
    (u64::from(power + 1) * STEPS + (value >> power) - STEPS) as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let power = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|value| histogram.record(value));
        for (quantile, wanted) in [
            (0.0, 1.0),
            (0.5, 500.0),
            (0.9, 900.0),
            (0.99, 990.0),
            (1.0, 1_000.0),
        ] {
            let found = histogram.quantile(quantile) as f64;
            assert!(
                (found - wanted).abs() <= wanted * 0.02,
                "{quantile}: {found}"
            );
        }
        assert_eq!((histogram.total(), histogram.max()), (1_000, 1_000));
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    #[test]
    fn octaves_count_everything_once() {
        let mut histogram = Histogram::default();
        [30, 40, 100, 3_000]
            .into_iter()
            .for_each(|value| histogram.record(value));
        let octaves = histogram.octaves();
        assert_eq!(octaves.first(), Some(&(32, 1)), "{octaves:?}");
        assert_eq!(octaves.last(), Some(&(4_096, 1)), "{octaves:?}");
        assert_eq!(octaves.iter().map(|(_, count)| count).sum::<u64>(), 4);
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_bucket(value in 0..MAX_US) {
            let index = index(value);
            prop_assert!(value <= upper(index));
            prop_assert!(index == 0 || value > upper(index - 1));
            prop_assert!((upper(index) - value) as f64 <= value as f64 / 32.0);
        }
    }
}
