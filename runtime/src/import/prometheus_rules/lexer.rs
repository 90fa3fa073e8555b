//! Tokens of PromQL.

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    /// A name, or a word such as `and`.
    Word(String),
    Text(String),
    /// Text between `[` and `]`.
    Range(String),
    Sign(&'static str),
}

/// Longer ones before those they begin with.
const SIGNS: [&str; 19] = [
    "==", "!=", "=~", "!~", "<=", ">=", "<", ">", "=", "(", ")", "{", "}", ",", "+", "-", "*", "/",
    "%",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(next) = rest.chars().next() {
        let (token, behind) = if next == '#' {
            rest = rest
                .split_once('\n')
                .map_or("", |(_, rest)| rest)
                .trim_start();
            continue;
        } else if next.is_ascii_digit() || next == '.' {
            number(rest)?
        } else if next.is_alphabetic() || next == '_' || next == ':' {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            (Token::Word(rest[..end].to_owned()), &rest[end..])
        } else if matches!(next, '"' | '\'' | '`') {
            quoted(rest, next)?
        } else if next == '[' {
            let (inner, behind) = rest[1..].split_once(']').ok_or("`[` is not closed")?;
            (Token::Range(inner.trim().to_owned()), behind)
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("`{next}` can't be read"))?;
            (Token::Sign(sign), &rest[sign.len()..])
        };
        tokens.push(token);
        rest = behind.trim_start();
    }
    Ok(tokens)
}

fn number(rest: &str) -> Result<(Token, &str), String> {
    let mut end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let exponent = rest[end..].strip_prefix(['e', 'E']);
    if let Some(digits) = exponent {
        let digits = digits.trim_start_matches(['+', '-']);
        let length = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        if length > 0 {
            end = rest.len() - digits.len() + length;
        }
    }
    let number = rest[..end].parse();
    let number = number.map_err(|_| format!("`{}` is no number", &rest[..end]))?;
    Ok((Token::Number(number), &rest[end..]))
}

fn quoted(rest: &str, quote: char) -> Result<(Token, &str), String> {
    let mut text = String::new();
    let mut characters = rest[1..].char_indices();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return Ok((Token::Text(text), &rest[at + 2..]));
        }
        match character {
            '\\' if quote != '`' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, other)) => text.push(other),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err("a text is not closed".to_owned())
}
