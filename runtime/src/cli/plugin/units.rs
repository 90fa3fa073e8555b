//! Durations and sizes as an author reads them: three figures and a unit.

/// `812 µs`, `84.2 ms`, `1.20 s`.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// `812 B`, `1.2 KiB`, `64.0 MiB`.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1_024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// Returns a bar of at most `width` characters for a part of `most`; something that is not nothing
/// is never shown as nothing.
pub(super) fn bar(value: u64, most: u64, width: usize) -> String {
    if value == 0 || most == 0 {
        return String::new();
    }
    let length = (value as f64 / most as f64 * width as f64).round() as usize;
    "█".repeat(length.clamp(1, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_figures_and_a_unit() {
        for (us, wanted) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_234, "1.23 ms"),
            (84_210, "84.2 ms"),
            (120_400, "120 ms"),
            (1_200_000, "1.20 s"),
        ] {
            assert_eq!(micros(us), wanted);
        }
        for (count, wanted) in [(812, "812 B"), (1_229, "1.2 KiB"), (64 << 20, "64.0 MiB")] {
            assert_eq!(bytes(count), wanted);
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(50, 100, 10).chars().count(), 5);
        assert_eq!(bar(1, 1_000, 10).chars().count(), 1);
        assert_eq!(bar(0, 100, 10), "");
        assert_eq!(bar(200, 100, 10).chars().count(), 10);
    }
}
