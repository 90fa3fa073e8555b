//! Words of a statement in SQL, as PostgreSQL and DuckDB both read them. Only recognises: what a
//! statement may do is judged where it runs.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or a keyword.
    Word,
    /// `"…"`
    Quoted,
    /// `'…'`, `E'…'` or `$$…$$`
    Text,
    Number,
    /// `$1`
    Parameter,
    /// A single character, or `::`.
    Sign,
    /// White space and comments.
    Space,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Byte at which it begins.
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// Returns the name that an identifier means: in lower case, unless it is quoted.
    pub(super) fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_ascii_lowercase()),
            Kind::Quoted => {
                let inner = self.text.get(1..self.text.len().saturating_sub(1));
                Some(inner.unwrap_or_default().replace("\"\"", "\""))
            }
            _ => None,
        }
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Returns the tokens of a text; together they are the whole text.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < sql.len() {
        let rest = &sql[start..];
        let (kind, length) = next(rest);
        let text = &rest[..length];
        found.push(Token { kind, text, start });
        start += length;
    }
    found
}

/// Returns the tokens that mean something.
pub(super) fn words(sql: &str) -> Vec<Token<'_>> {
    let mut found = tokens(sql);
    found.retain(|token| token.kind != Kind::Space);
    found
}

/// Returns the kind and the bytes of the first token of a text that is not empty.
fn next(text: &str) -> (Kind, usize) {
    let first = text.chars().next().unwrap_or(' ');
    let while_all = |is: &dyn Fn(char) -> bool| text.find(|c| !is(c)).unwrap_or(text.len());
    if first.is_whitespace() {
        return (Kind::Space, while_all(&char::is_whitespace));
    }
    if text.starts_with("--") {
        return (Kind::Space, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (Kind::Space, comment(text));
    }
    match first {
        '\'' => (Kind::Text, quoted(text, '\'', false)),
        '"' => (Kind::Quoted, quoted(text, '"', false)),
        'e' | 'E' if text[1..].starts_with('\'') => {
            (Kind::Text, 1 + quoted(&text[1..], '\'', true))
        }
        '$' => dollar(text),
        '0'..='9' => (
            Kind::Number,
            while_all(&|c| c.is_ascii_alphanumeric() || c == '.' || c == '_'),
        ),
        _ if text.starts_with("::") => (Kind::Sign, 2),
        _ if first.is_alphabetic() || first == '_' => (
            Kind::Word,
            while_all(&|c| c.is_alphanumeric() || c == '_' || c == '$'),
        ),
        _ => (Kind::Sign, first.len_utf8()),
    }
}

/// `$1`, `$name`, `$$…$$` or `$tag$…$tag$`
fn dollar(text: &str) -> (Kind, usize) {
    let rest = &text[1..];
    let word = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    let is_number = rest.starts_with(|c: char| c.is_ascii_digit());
    if !is_number && rest[word..].starts_with('$') {
        let tag = &text[..word + 2];
        let end = text[tag.len()..].find(tag);
        let length = end.map_or(text.len(), |end| end + 2 * tag.len());
        return (Kind::Text, length);
    }
    match word {
        0 => (Kind::Sign, 1),
        _ => (Kind::Parameter, 1 + word),
    }
}

/// Comments nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char, has_escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if has_escapes && character == '\\' {
            characters.next();
        } else if character == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => {
                    characters.next();
                }
                _ => return at + 1,
            }
        }
    }
    text.len()
}

/// Returns the statements of a text, without those that are empty.
pub(super) fn statements(sql: &str) -> Vec<&str> {
    let (mut found, mut start, mut is_empty) = (Vec::new(), 0, true);
    for token in tokens(sql) {
        if token.is_sign(";") {
            if !is_empty {
                found.push(&sql[start..token.start]);
            }
            (start, is_empty) = (token.end(), true);
        } else if token.kind != Kind::Space {
            is_empty = false;
        }
    }
    if !is_empty {
        found.push(&sql[start..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_outside_of_texts_and_comments() {
        for (sql, wanted) in [
            ("select 1", vec!["select 1"]),
            ("select ';'; select 2;", vec!["select ';'", " select 2"]),
            ("-- ping", vec![]),
            (" ; ;", vec![]),
            (
                "select $a$;$a$, \";\", E'\\';' /* ; /* ; */ ; */",
                vec!["select $a$;$a$, \";\", E'\\';' /* ; /* ; */ ; */"],
            ),
            ("select 'it''s; ok'", vec!["select 'it''s; ok'"]),
            ("select 'open; ", vec!["select 'open; "]),
            ("/* open ; ", vec![]),
        ] {
            assert_eq!(statements(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn tokens_have_their_kinds() {
        let kinds = |sql: &str| -> Vec<(Kind, String)> {
            let words = words(sql).into_iter();
            words
                .map(|token| (token.kind, token.text.to_owned()))
                .collect()
        };
        let wanted = [
            (Kind::Word, "a"),
            (Kind::Sign, "::"),
            (Kind::Word, "int"),
            (Kind::Sign, "="),
            (Kind::Parameter, "$12"),
            (Kind::Number, "1.5e3"),
            (Kind::Quoted, "\"x\"\"y\""),
        ];
        let found = kinds("a::int=$12 1.5e3 \"x\"\"y\"");
        for (index, (kind, text)) in found.iter().enumerate() {
            assert_eq!((*kind, text.as_str()), wanted[index]);
        }
        assert_eq!(words("\"x\"\"y\"")[0].name().as_deref(), Some("x\"y"));
        for sql in ["$", "'", "\"", "E'\\", "$tag$ never", "ü$1", "$$"] {
            let all: String = tokens(sql).iter().map(|token| token.text).collect();
            assert_eq!(all, sql);
        }
    }
}
