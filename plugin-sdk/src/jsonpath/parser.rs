//! Reads a path by the grammar of RFC 9535, appendix A.

use super::{InvalidPath, Segment, Selector};

/// Integers that every reader of JSON takes exactly (RFC 7493).
const MAX_INTEGER: u64 = (1 << 53) - 1;

pub(super) struct Parser<'a> {
    path: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    pub(super) fn new(path: &'a str) -> Self {
        Self { path, rest: path }
    }

    pub(super) fn segments(mut self) -> Result<Vec<Segment>, InvalidPath> {
        if !self.take("$") {
            return self.fault("`$`");
        }
        let mut segments = Vec::new();
        while !self.rest.is_empty() {
            self.skip_space();
            segments.push(self.segment()?);
        }
        Ok(segments)
    }

    fn fault<T>(&self, wanted: &str) -> Result<T, InvalidPath> {
        let column = self.path.chars().count() - self.rest.chars().count() + 1;
        Err(InvalidPath(format!(
            "`{}` is no JSONPath: wanted {wanted} at character {column}",
            self.path
        )))
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn segment(&mut self) -> Result<Segment, InvalidPath> {
        let is_descendant = self.take("..");
        let selectors = if self.take("[") {
            self.bracketed()?
        } else if is_descendant || self.take(".") {
            vec![if self.take("*") {
                Selector::Wildcard
            } else {
                Selector::Name(self.name()?)
            }]
        } else {
            return self.fault("`.` or `[`");
        };
        Ok(Segment {
            is_descendant,
            selectors,
        })
    }

    fn name(&mut self) -> Result<String, InvalidPath> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.fault("a name or `*`");
        }
        if rest.starts_with('-') {
            let end = self
                .rest
                .find(|c| !is_part(c) && c != '-')
                .unwrap_or(self.rest.len());
            return self.fault(&format!(
                "`['{}']` without the dot, for a name with `-` in it,",
                &self.rest[..end]
            ));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn bracketed(&mut self) -> Result<Vec<Selector>, InvalidPath> {
        let mut selectors = Vec::new();
        loop {
            self.skip_space();
            selectors.push(self.selector()?);
            self.skip_space();
            if self.take("]") {
                return Ok(selectors);
            }
            if !self.take(",") {
                return self.fault("`,` or `]`");
            }
        }
    }

    fn selector(&mut self) -> Result<Selector, InvalidPath> {
        match self.rest.chars().next() {
            Some('*') => {
                self.take("*");
                Ok(Selector::Wildcard)
            }
            Some(quote @ ('\'' | '"')) => self.quoted(quote).map(Selector::Name),
            Some('?') => self.fault(
                "no filter here, which are not supported; use a CEL condition, not a filter,",
            ),
            _ => self.index_or_slice(),
        }
    }

    /// Escapes are those of JSON, but for the quote, which is the one around the name.
    fn quoted(&mut self, quote: char) -> Result<String, InvalidPath> {
        let mut name = String::new();
        let mut rest = self.rest[1..].chars();
        loop {
            let here = rest.as_str();
            match rest.next() {
                None => return self.fault("a closing quote"),
                Some(end) if end == quote => {
                    self.rest = rest.as_str();
                    return Ok(name);
                }
                Some('\\') => match escaped(&mut rest, quote) {
                    Some(character) => name.push(character),
                    None => {
                        self.rest = here;
                        return self.fault("an escape of RFC 9535");
                    }
                },
                Some(control) if control < ' ' => {
                    self.rest = here;
                    return self.fault("an escape, such as `\\n`, in place of a control character");
                }
                Some(other) => name.push(other),
            }
        }
    }

    fn index_or_slice(&mut self) -> Result<Selector, InvalidPath> {
        let start = self.integer()?;
        let before_space = self.rest;
        self.skip_space();
        if !self.take(":") {
            self.rest = before_space;
            return start.map_or_else(
                || self.fault("a name in quotes, an index, a slice or `*`"),
                |index| Ok(Selector::Index(index)),
            );
        }
        self.skip_space();
        let end = self.integer()?;
        self.skip_space();
        let step = if self.take(":") {
            self.skip_space();
            self.integer()?.unwrap_or(1)
        } else {
            1
        };
        Ok(Selector::Slice { start, end, step })
    }

    fn integer(&mut self) -> Result<Option<i64>, InvalidPath> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit() && c != '-')
            .unwrap_or(self.rest.len());
        if end == 0 {
            return Ok(None);
        }
        let (digits, rest) = self.rest.split_at(end);
        let has_needless_zero = digits != "0" && digits.trim_start_matches('-').starts_with('0');
        match digits.parse::<i64>() {
            Ok(number) if !has_needless_zero && number.unsigned_abs() <= MAX_INTEGER => {
                self.rest = rest;
                Ok(Some(number))
            }
            _ => self.fault("a whole number"),
        }
    }
}

/// Reads the character behind a backslash.
fn escaped(rest: &mut std::str::Chars<'_>, quote: char) -> Option<char> {
    match rest.next()? {
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        same @ ('/' | '\\') => Some(same),
        same if same == quote => Some(same),
        'u' => {
            let first = unit(rest)?;
            if !(0xd800..0xdc00).contains(&first) {
                return char::from_u32(first);
            }
            let second = (rest.next()? == '\\' && rest.next()? == 'u')
                .then(|| unit(rest))
                .flatten()?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)
        }
        _ => None,
    }
}

/// Four hexadecimal digits.
fn unit(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + rest.next()?.to_digit(16)?))
}
