//! Texts cut to what a service takes: at the end of a character as people see it, and never inside
//! of an escape.

/// How long a text is where lengths are counted in UTF-16 code units, as most services do. Never
/// less than its characters.
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Cuts a text to so many UTF-16 code units; a cut shows as `…`.
pub fn shorten(text: &str, most: usize) -> String {
    shorten_escaped(text, most, |c, out| out.push(c))
}

/// The text with each character as `escape` writes it, at most so many UTF-16 code units in all;
/// what is cut off shows as `…`.
pub fn shorten_escaped(text: &str, most: usize, escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::new();
    // How long it is, and where there is room for the `…` behind a whole character.
    let (mut units, mut cut) = (0, 0);
    let mut before = None;
    for c in text.chars() {
        if units < most && !joins(c) && before != Some(ZERO_WIDTH_JOINER) {
            cut = out.len();
        }
        let start = out.len();
        escape(c, &mut out);
        units += length(&out[start..]);
        if units > most {
            out.truncate(cut);
            if most > 0 {
                out.push('…');
            }
            return out;
        }
        before = Some(c);
    }
    out
}

/// The text without what only machines read: control characters other than line breaks and tabs,
/// and marks that turn the direction of what follows, which a service's error text could use to
/// disguise itself. Line breaks are `\n`.
pub fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let shown = text.chars().map(|c| match c {
        '\n' | '\t' => c,
        '\r' | '\u{2028}' | '\u{2029}' => '\n',
        c if c.is_control() || is_direction(c) => ' ',
        c => c,
    });
    shown.collect()
}

/// [`printable`] in one line: for names and titles.
pub fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Belongs to the character before it: an accent, a variation, a skin tone, a joiner.
fn joins(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | ZERO_WIDTH_JOINER
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(c: char, out: &mut String) {
        match c {
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }

    #[test]
    fn cuts_behind_a_whole_character() {
        for (text, most, wanted) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("", 3, ""),
            ("abc", 0, ""),
            ("abc", 1, "…"),
            ("🚀🚀", 4, "🚀🚀"),
            ("🚀🚀", 3, "🚀…"),
            ("🚀", 1, "…"),
            ("ae\u{301}bc", 3, "a…"),
            ("ae\u{301}bc", 4, "ae\u{301}…"),
        ] {
            let found = shorten(text, most);
            assert_eq!(found, wanted, "{text}");
            assert!(length(&found) <= most, "{text}: {found}");
        }
        // A family of several code points goes or stays as one.
        assert_eq!(shorten("a👩\u{200d}🚒b", 6), "a…");
        assert_eq!(shorten("a👍\u{1f3fd}b", 5), "a…");
    }

    #[test]
    fn an_escape_is_never_cut() {
        for (most, wanted) in [
            (11, "a&amp;&amp;"),
            (10, "a&amp;…"),
            (7, "a&amp;…"),
            (6, "a…"),
            (2, "a…"),
            (1, "…"),
        ] {
            assert_eq!(shorten_escaped("a&&", most, html), wanted, "{most}");
        }
    }

    #[test]
    fn only_what_people_read_is_left() {
        assert_eq!(
            printable("a\u{0}b\r\nc\td\u{1b}[31m\u{202e}e\u{2028}f"),
            "a b\nc\td [31m e\nf"
        );
        assert_eq!(one_line("a\r\nb\tc"), "a b c");
    }
}
