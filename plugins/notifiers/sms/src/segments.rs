//! How much of a text goes into so many parts of a long message: 153 characters of the GSM alphabet
//! each (3GPP TS 23.038), or 67 UTF-16 code units as soon as one character is not in it, an emoji
//! as well as `…`.

use extrack_plugin::notifier::shorten;

/// A phone's screen holds no more, and each part is paid for.
const MOST_SEGMENTS: usize = 3;
/// A character that takes two places is not spread over two parts, which can cost one place in
/// each.
const GSM_PLACES: usize = MOST_SEGMENTS * 152;
const UTF16_UNITS: usize = MOST_SEGMENTS * 66;

const GSM: &str = "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                   abcdefghijklmnopqrstuvwxyzäöñüà";
/// Characters that take two places.
const GSM_EXTENSION: &str = "^{}\\[~]|€";

/// Text to send: typographic marks as their plain forms, the end cut off with dots.
pub(crate) fn cut(text: &str) -> String {
    let plain: String = text.chars().map(plain_form).collect();
    let Some(sum) = plain.chars().map(places).sum::<Option<usize>>() else {
        return shorten(text, UTF16_UNITS);
    };
    if sum <= GSM_PLACES {
        return plain;
    }
    let mut left = GSM_PLACES - 3;
    let fits = |c: &char| match left.checked_sub(places(*c).unwrap_or(2)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    plain
        .chars()
        .take_while(fits)
        .chain("...".chars())
        .collect()
}

/// Places of a character in the GSM alphabet; none where it is not in it.
fn places(c: char) -> Option<usize> {
    match c {
        c if GSM.contains(c) => Some(1),
        c if GSM_EXTENSION.contains(c) => Some(2),
        _ => None,
    }
}

fn plain_form(c: char) -> char {
    match c {
        '‘' | '’' | '‚' | '`' | '´' => '\'',
        '“' | '”' | '„' | '«' | '»' => '"',
        '‐'..='―' | '−' => '-',
        '•' | '·' => '*',
        '\u{a0}' | '\u{2009}' | '\u{202f}' | '\t' => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::notifier::length;

    use super::*;

    #[test]
    fn a_text_of_the_alphabet_has_more_room_than_one_with_an_emoji() {
        for (text, wanted) in [
            ("a".repeat(456), "a".repeat(456)),
            ("a".repeat(457), "a".repeat(453) + "..."),
            ("[".repeat(229), "[".repeat(226) + "..."),
            (
                "it’s “down” – `x`".to_owned(),
                "it's \"down\" - 'x'".to_owned(),
            ),
            ("ä€".to_owned(), "ä€".to_owned()),
            ("🚀".repeat(99), "🚀".repeat(99)),
            ("監".repeat(300), "監".repeat(197) + "…"),
        ] {
            assert_eq!(cut(&text), wanted);
        }
        let mixed = format!("🚀{}", "a".repeat(500));
        assert!(cut(&mixed).ends_with("a…") && length(&cut(&mixed)) == UTF16_UNITS);
    }
}
