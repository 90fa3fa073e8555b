//! Widths of the letters of our fonts, read from their tables `head`, `hhea`, `hmtx` and `cmap`
//! (format 4), as OpenType describes them.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::reports::picture::{BOLD, REGULAR};

static REGULAR_WIDTHS: LazyLock<Widths> = LazyLock::new(|| Widths::read(REGULAR));
static BOLD_WIDTHS: LazyLock<Widths> = LazyLock::new(|| Widths::read(BOLD));

/// Letter in place of one that a font has not.
const REPLACEMENT: char = '\u{fffd}';

struct Widths {
    /// Advances by letter, in parts of the size of the font.
    advances: HashMap<char, f32>,
}

/// Returns the width of a text, without kerning.
pub(super) fn width(text: &str, size: f32, is_bold: bool) -> f32 {
    let widths = widths(is_bold);
    let advance = |letter: char| widths.advances.get(&letter).copied().unwrap_or(0.6);
    text.chars().map(advance).sum::<f32>() * size
}

/// Returns a text of letters that the font has, on one line.
pub(super) fn printable(text: &str, is_bold: bool) -> String {
    let widths = widths(is_bold);
    let letter = |letter: char| match letter {
        letter if widths.advances.contains_key(&letter) => letter,
        letter if letter.is_whitespace() => ' ',
        _ => REPLACEMENT,
    };
    text.chars().map(letter).collect()
}

fn widths(is_bold: bool) -> &'static Widths {
    if is_bold {
        &BOLD_WIDTHS
    } else {
        &REGULAR_WIDTHS
    }
}

impl Widths {
    /// A font that can't be read has no letters; a test reads ours.
    fn read(font: &[u8]) -> Self {
        Self {
            advances: advances(font).unwrap_or_default(),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

fn table<'a>(font: &'a [u8], tag: &[u8; 4]) -> Option<&'a [u8]> {
    let count = usize::from(u16_at(font, 4)?);
    let mut records = (0..count).map(|index| 12 + index * 16);
    let record = records.find(|at| font.get(*at..at + 4) == Some(tag))?;
    let (offset, length) = (u32_at(font, record + 8)?, u32_at(font, record + 12)?);
    font.get(offset..offset + length)
}

fn advances(font: &[u8]) -> Option<HashMap<char, f32>> {
    let units = f32::from(u16_at(table(font, b"head")?, 18)?);
    let measured = usize::from(u16_at(table(font, b"hhea")?, 34)?);
    let (hmtx, cmap) = (table(font, b"hmtx")?, table(font, b"cmap")?);
    let subtables = usize::from(u16_at(cmap, 2)?);
    let mut offsets = (0..subtables).filter_map(|index| u32_at(cmap, 8 + index * 8));
    let letters = offsets.find_map(|at| {
        let subtable = cmap.get(at..)?;
        (u16_at(subtable, 0)? == 4).then_some(subtable)
    })?;
    let double = usize::from(u16_at(letters, 6)?);
    let mut advances = HashMap::new();
    for segment in (0..double).step_by(2) {
        let end = u16_at(letters, 14 + segment)?;
        let start = u16_at(letters, 16 + double + segment)?;
        let delta = u16_at(letters, 16 + 2 * double + segment)?;
        let range_at = 16 + 3 * double + segment;
        let range = usize::from(u16_at(letters, range_at)?);
        for code in start..=end {
            let glyph = match range {
                0 => code.wrapping_add(delta),
                _ => {
                    let at = range_at + range + 2 * usize::from(code - start);
                    match u16_at(letters, at) {
                        None | Some(0) => 0,
                        Some(glyph) => glyph.wrapping_add(delta),
                    }
                }
            };
            let Some(letter) = char::from_u32(code.into()).filter(|_| glyph != 0) else {
                continue;
            };
            let row = usize::from(glyph).min(measured.saturating_sub(1));
            advances.insert(letter, f32::from(u16_at(hmtx, row * 4)?) / units);
        }
    }
    Some(advances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_our_fonts_have_widths() {
        for is_bold in [false, true] {
            let wide = width("MMMM", 10.0, is_bold);
            let narrow = width("iiii", 10.0, is_bold);
            assert!(wide > 2.0 * narrow && narrow > 5.0, "{wide} {narrow}");
        }
        assert_eq!(printable("Größe Ωж –€", false), "Größe Ωж –€");
        assert_eq!(printable("a\n\u{4e2d}", true), "a \u{fffd}");
    }
}
