//! Names that an expression in CEL uses.

/// Whether an expression has this name outside of texts, and not as a field of something else.
pub fn names(expression: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = expression;
    let mut last = ' ';
    while let Some(next) = rest.chars().next() {
        let length = match next {
            quote @ ('"' | '\'') => text_length(rest, quote, matches!(last, 'r' | 'R')),
            _ if is_part(next) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            _ => next.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if token == name && last != '.' {
            return true;
        }
        if !token.trim().is_empty() {
            last = token.chars().next_back().unwrap_or(' ');
        }
        rest = after;
    }
    false
}

/// Length of the text in quotes with which this begins.
fn text_length(rest: &str, quote: char, is_raw: bool) -> usize {
    let triple = [quote; 3].iter().collect::<String>();
    let quotes = if rest.starts_with(&triple) {
        triple
    } else {
        quote.to_string()
    };
    let mut at = quotes.len();
    while let Some(next) = rest[at..].chars().next() {
        if rest[at..].starts_with(&quotes) {
            return at + quotes.len();
        }
        at += next.len_utf8();
        if next == '\\' && !is_raw {
            at += rest[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn finds_names_outside_of_texts_and_fields() {
        for (expression, wanted) in [
            ("json.a > 1", true),
            ("1 < json['a']", true),
            ("size(json)", true),
            ("headers['content-type'].contains('json')", false),
            ("headers.json == ''", false),
            ("headers . json == ''", false),
            ("my_json == json2", false),
            (r#""a \" json" == '''json''' "#, false),
            (r#"r"\" == body || json.ok"#, true),
            ("'open json", false),
        ] {
            assert_eq!(names(expression, "json"), wanted, "{expression}");
        }
    }
}
