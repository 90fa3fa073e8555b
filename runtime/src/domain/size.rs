//! Sizes as people write them: `512KiB`, `64MiB`, `1GiB`.

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a size; write a number of bytes, or a number and a unit, as in `64KiB`, `8MiB` or `1GiB`"
)]
pub struct NotASize(String);

/// Bytes. One number and one unit; without a unit, bytes.
pub fn parse_size(text: &str) -> Result<u64, NotASize> {
    let fault = || NotASize(text.to_owned());
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let count: u64 = digits.parse().map_err(|_| fault())?;
    let bytes = match unit {
        "" | "B" => 1,
        unit => {
            UNITS
                .into_iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(fault)?
                .1
        }
    };
    count.checked_mul(bytes).ok_or_else(fault)
}

/// The shortest exact form: 65,536 is `64KiB`, 1,000 is `1000B`.
pub fn format_size(bytes: u64) -> String {
    match UNITS
        .into_iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_number_and_one_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1_000),
            ("1000B", 1_000),
            ("64KiB", 65_536),
            ("8MiB", 8 << 20),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "KiB",
            "-1",
            "1.5MiB",
            "1 MiB",
            "1mib",
            "1MB",
            "99999999999999999999",
            "99999999999GiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn formats_what_it_reads() {
        for text in ["0B", "1000B", "64KiB", "8MiB", "1GiB", "1025KiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }
}
