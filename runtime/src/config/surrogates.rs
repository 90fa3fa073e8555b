//! Pairs of surrogates in double-quoted YAML, as encoders of JSON write what lies beyond the first
//! 65,536 characters: `\ud83d\ude80` is one rocket. The parser takes each escape by itself and
//! refuses it, so they are written as `\U0001f680` before.

use std::borrow::Cow;

/// The text that is read again when the parser could not take an escape in the quoted text that
/// begins at this character; none when there is no pair in it. What is JSON as a whole is changed
/// as a whole, because then it stands nowhere else.
pub(super) fn joined(text: &str, quote_at: usize) -> Option<String> {
    let start = text.char_indices().nth(quote_at)?.0;
    let (from, until) = match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => (0, text.len()),
        Err(_) => (
            start,
            start + end_of_quoted(text[start..].strip_prefix('"')?)? + 1,
        ),
    };
    match pairs_joined(&text[from..until]) {
        Cow::Borrowed(_) => None,
        Cow::Owned(middle) => Some([&text[..from], &middle, &text[until..]].concat()),
    }
}

/// Where the closing quotation mark stands, in bytes from behind the opening one.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then_some(at)
    })
}

fn pairs_joined(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let Some(character) = pair(escape) else {
            // The backslash and what it escapes: `\\ud83d` is text.
            let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..at + length]);
            rest = &rest[at + length..];
            continue;
        };
        out.push_str(before);
        out.push_str(&format!("\\U{:08x}", u32::from(character)));
        rest = &escape[2 * "\\u0000".len()..];
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    if out == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(out)
    }
}

fn pair(text: &str) -> Option<char> {
    let unit = |from: usize| {
        let digits = text.get(from..from + 6)?.strip_prefix("\\u")?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u16::from_str_radix(digits, 16).ok())?
    };
    char::decode_utf16([unit(0)?, unit(6)?])
        .next()?
        .ok()
        .filter(|c| u32::from(*c) > 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_one_escape_and_nothing_else_changes() {
        for (text, wanted) in [
            (r"a \ud83d\ude80 b", r"a \U0001f680 b"),
            (r"\uD83D\uDE80\ud83d\ude80", r"\U0001f680\U0001f680"),
            (r"\\ud83d\ude80", r"\\ud83d\ude80"),
            (r"\ud83d x", r"\ud83d x"),
            (r"\ude80\ud83d", r"\ude80\ud83d"),
            (r"\u00e9\u00e9", r"\u00e9\u00e9"),
            (r"\ud83", r"\ud83"),
            ("\\", "\\"),
            (r"\é", r"\é"),
        ] {
            assert_eq!(pairs_joined(text), wanted, "{text}");
        }
    }

    #[test]
    fn only_the_quoted_text_in_question_is_changed_unless_all_of_it_is_json() {
        let yaml = "a: \"\\ud83d\\ude80\"\nb: '\\ud83d\\ude80'\n";
        assert_eq!(
            joined(yaml, 3).unwrap(),
            "a: \"\\U0001f680\"\nb: '\\ud83d\\ude80'\n"
        );
        let json = r#"{"a": "\ud83d\ude80", "b": ["\ud83d\ude80"]}"#;
        assert_eq!(
            joined(json, 6).unwrap(),
            r#"{"a": "\U0001f680", "b": ["\U0001f680"]}"#
        );
        assert_eq!(joined("a: \"\\ud83d\"", 3), None);
        assert_eq!(joined("a", 7), None);
    }
}
