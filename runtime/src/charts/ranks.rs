//! Bars of strips: how bad a thing is shows in its height and shape, so that a strip can be read
//! without its colours.

use std::fmt::Write as _;

/// Height of a strip, in units of its picture.
pub(crate) const HEIGHT: usize = 24;

/// Returns the path of equal bars, one in the middle of each slot.
pub(crate) fn path(word: &str, step: usize, slots: impl IntoIterator<Item = usize>) -> String {
    let mut path = String::new();
    for slot in slots {
        // Writing to a text can't fail.
        let _ = write!(path, "M{}.5 {}", slot * step + step / 2, shape(word));
    }
    path
}

/// Returns the strokes of a bar, from the base line up.
fn shape(word: &str) -> &'static str {
    match word {
        "healthy" => "24v-10",
        "degraded" => "24v-16",
        "unhealthy" => "24v-20",
        // With a notch, so that the highest two differ in shape as well.
        "error" => "24v-14m0-4v-6",
        "none" => "24v-2",
        _ => "24v-6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_is_higher() {
        assert_eq!(path("healthy", 5, [0, 3]), "M2.5 24v-10M17.5 24v-10");
        assert_eq!(path("error", 8, [1]), "M12.5 24v-14m0-4v-6");
        assert_eq!(path("missed", 5, []), "");
    }
}
