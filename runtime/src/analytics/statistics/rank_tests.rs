//! Tests by ranks, which assume no distribution: Mann-Whitney between two samples, Mann-Kendall for
//! a monotonic trend. Both by the normal approximation, with ties counted.

/// Two-sided probability that two samples differ as much by chance; 1 for samples without values.
pub(super) fn mann_whitney(first: &[f64], second: &[f64]) -> f64 {
    let (n, m) = (first.len() as f64, second.len() as f64);
    let mut all: Vec<(f64, bool)> = first.iter().map(|value| (*value, true)).collect();
    all.extend(second.iter().map(|value| (*value, false)));
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (mut rank_sum, mut ties, mut start) = (0.0, 0.0, 0);
    while start < all.len() {
        let same = all[start..]
            .iter()
            .take_while(|(value, _)| *value == all[start].0);
        let (length, of_first) = same
            .fold((0_usize, 0_usize), |(length, of_first), (_, is_first)| {
                (length + 1, of_first + usize::from(*is_first))
            });
        let (rank, tied) = (start as f64 + (length as f64 + 1.0) / 2.0, length as f64);
        rank_sum += rank * of_first as f64;
        ties += tied.powi(3) - tied;
        start += length;
    }
    let total = n + m;
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    two_sided((u - n * m / 2.0).abs() - 0.5, variance)
}

/// Two-sided probability that values in their order rise or fall as steadily by chance.
pub(super) fn mann_kendall(values: &[f64]) -> f64 {
    let mut score = 0.0;
    for (index, value) in values.iter().enumerate() {
        for later in &values[index + 1..] {
            score += match later.total_cmp(value) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Less => -1.0,
                std::cmp::Ordering::Equal => 0.0,
            };
        }
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let part = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let ties: f64 = sorted
        .chunk_by(|left, right| left == right)
        .map(|same| part(same.len() as f64))
        .sum();
    let variance = (part(values.len() as f64) - ties) / 18.0;
    two_sided(f64::abs(score) - 1.0, variance)
}

fn two_sided(deviation: f64, variance: f64) -> f64 {
    if variance <= 0.0 || !variance.is_finite() {
        return 1.0;
    }
    let z = deviation.max(0.0) / variance.sqrt();
    erfc(z / std::f64::consts::SQRT_2).clamp(0.0, 1.0)
}

/// Complementary error function for arguments from 0 on, within 1.5e-7 (Abramowitz and Stegun
/// 7.1.26).
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let terms = [
        0.254_829_592,
        -0.284_496_736,
        1.421_413_741,
        -1.453_152_027,
        1.061_405_429,
    ];
    let sum = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    sum * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_tables() {
        for (x, wanted) in [
            (0.0, 1.0),
            (0.5, 0.479_500),
            (1.0, 0.157_299),
            (2.0, 0.004_678),
        ] {
            assert!((erfc(x) - wanted).abs() < 1e-5, "{x}: {}", erfc(x));
        }
        // U = 0 of 5 and 5: z = 2.507.
        let p = mann_whitney(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((p - 0.0122).abs() < 0.0005, "{p}");
        // S = 45 of 10 values: z = 3.935.
        let rising: Vec<f64> = (0..10).map(f64::from).collect();
        let p = mann_kendall(&rising);
        assert!((p - 0.000_083).abs() < 0.000_005, "{p}");
    }

    #[test]
    fn what_is_all_the_same_is_no_evidence() {
        assert_eq!(mann_whitney(&[3.0; 20], &[3.0; 20]), 1.0);
        assert_eq!(mann_kendall(&[3.0; 20]), 1.0);
        assert_eq!(mann_kendall(&[]), 1.0);
        assert_eq!(mann_whitney(&[], &[1.0]), 1.0);
    }
}
