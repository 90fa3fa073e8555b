//! Figures as people read them.

/// `0.42 ms`, `84 ms`, `1.24 s`
pub(crate) fn latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{:.2} ms", us as f64 / 1e3),
        1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..999_500 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// Returns `99.86 %`, rounded down, so that only a whole is a hundred; none of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> Option<String> {
    let hundredths = (u128::from(part) * 10_000).checked_div(u128::from(whole))?;
    Some(format!("{}.{:02} %", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_two_or_three_digits() {
        for (us, wanted) in [
            (420, "0.42 ms"),
            (1_240, "1.2 ms"),
            (84_300, "84 ms"),
            (999_400, "999 ms"),
            (999_600, "1.00 s"),
            (1_240_000, "1.24 s"),
        ] {
            assert_eq!(latency(us), wanted);
        }
    }

    #[test]
    fn percentages_are_never_rounded_up() {
        assert_eq!(percent(99_999, 100_000).as_deref(), Some("99.99 %"));
        assert_eq!(percent(7, 7).as_deref(), Some("100.00 %"));
        assert_eq!(percent(0, 0), None);
    }
}
