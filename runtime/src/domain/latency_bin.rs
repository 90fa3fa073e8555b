//! Histograms of latencies: bins that are 5 % wide, so that a quantile read from them is within
//! 2.5 % of the exact one, whatever was merged.

/// Width of a bin. Stored histograms depend on it: another width needs other tables.
pub const LATENCY_BASE: f64 = 1.05;

/// The last bin ends at 18 hours.
pub const LATENCY_BINS: usize = 512;

/// Returns the bin of a latency: bin `b` holds what is above `1.05^(b-1)` µs, up to `1.05^b` µs.
/// A microsecond and less is bin 0.
pub fn latency_bin(latency_us: u64) -> u16 {
    let bin = ((latency_us.max(1) as f64).ln() / LATENCY_BASE.ln()).ceil();
    (bin as usize).min(LATENCY_BINS - 1) as u16
}

/// Returns the latency that stands for a bin, in µs: as far from the lower end as from the upper
/// one, in relation to each of them.
pub fn latency_bin_estimate_us(bin: u16) -> f64 {
    2.0 * LATENCY_BASE.powi(i32::from(bin)) / (1.0 + LATENCY_BASE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ten minutes.
    const LONGEST_US: u64 = 600_000_000;

    /// The quantile by nearest rank, as it is read from a histogram.
    fn quantile_us(bins: &[u64], quantile: f64) -> f64 {
        let total: u64 = bins.iter().sum();
        let rank = ((quantile * total as f64).ceil() as u64).clamp(1, total);
        let mut so_far = 0;
        let bin = bins.iter().position(|runs| {
            so_far += runs;
            so_far >= rank
        });
        latency_bin_estimate_us(bin.expect("a rank lies within the total") as u16)
    }

    proptest! {
        #[test]
        fn a_quantile_of_merged_histograms_is_within_a_fortieth_of_the_exact_one(
            parts in prop::collection::vec(prop::collection::vec(1..LONGEST_US, 1..40), 1..6),
            quantile in 0.0..=1.0_f64,
        ) {
            let mut merged = vec![0; LATENCY_BINS];
            for latency_us in parts.iter().flatten() {
                merged[usize::from(latency_bin(*latency_us))] += 1;
            }
            let mut all: Vec<u64> = parts.into_iter().flatten().collect();
            all.sort_unstable();
            let rank = ((quantile * all.len() as f64).ceil() as usize).clamp(1, all.len());
            let exact = all[rank - 1] as f64;
            let found = quantile_us(&merged, quantile);
            prop_assert!((found / exact - 1.0).abs() <= 0.025, "{found} for {exact}");
        }

        #[test]
        fn a_latency_lies_within_its_bin(latency_us in 2..LONGEST_US) {
            let bin = i32::from(latency_bin(latency_us));
            let (from, until) = (LATENCY_BASE.powi(bin - 1), LATENCY_BASE.powi(bin));
            let latency = latency_us as f64;
            prop_assert!(latency > from * (1.0 - 1e-12) && latency <= until * (1.0 + 1e-12), "{bin}");
        }
    }

    #[test]
    fn the_ends_of_the_range_have_bins() {
        let bins = [0, 1, 2, u64::MAX].map(latency_bin);
        assert_eq!(bins, [0, 0, 15, LATENCY_BINS as u16 - 1]);
        assert!(usize::from(latency_bin(u32::MAX.into())) < LATENCY_BINS);
    }
}
