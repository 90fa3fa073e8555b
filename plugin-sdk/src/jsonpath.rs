//! JSONPath (RFC 9535) without filters and functions: names, indices, slices, wildcards and descendants. For a condition on
//! what is found there is CEL.

use serde_json::Value;

/// A path that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    /// `..`: the selectors apply to the node and everything below it.
    is_descendant: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Selector {
    Name(String),
    Index(i64),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Wildcard,
}

/// A path that can't be read, with what was wanted where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPath(String);

impl std::fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPath {}

/// Reads a path such as `$.items[0].name` and answers what it selects, in document order.
pub fn select<'a>(document: &'a Value, path: &str) -> Result<Vec<&'a Value>, InvalidPath> {
    Ok(JsonPath::parse(path)?.select(document))
}

impl JsonPath {
    pub fn parse(path: &str) -> Result<Self, InvalidPath> {
        let mut parser = Parser { path, rest: path };
        parser.expect("$")?;
        let mut segments = Vec::new();
        while !parser.rest.is_empty() {
            segments.push(parser.segment()?);
        }
        Ok(Self(segments))
    }

    /// Everything the path selects.
    pub fn select<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        let mut nodes = vec![document];
        for segment in &self.0 {
            let mut selected = Vec::new();
            for node in nodes {
                segment.apply(node, &mut selected);
            }
            nodes = selected;
        }
        nodes
    }
}

impl Segment {
    fn apply<'a>(&self, node: &'a Value, selected: &mut Vec<&'a Value>) {
        for selector in &self.selectors {
            selector.apply(node, selected);
        }
        if self.is_descendant {
            children(node).for_each(|child| self.apply(child, selected));
        }
    }
}

impl Selector {
    fn apply<'a>(&self, node: &'a Value, selected: &mut Vec<&'a Value>) {
        match (self, node) {
            (Selector::Name(name), Value::Object(entries)) => selected.extend(entries.get(name)),
            (Selector::Index(index), Value::Array(items)) => {
                selected.extend(position(*index, items.len()).and_then(|index| items.get(index)));
            }
            (Selector::Slice { start, end, step }, Value::Array(items)) => slice(items, *start, *end, *step, selected),
            (Selector::Wildcard, _) => selected.extend(children(node)),
            _ => {}
        }
    }
}

fn children(node: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match node {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(entries) => Box::new(entries.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// A negative index counts from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { length.checked_add(index)? } else { index }).ok()
}

/// RFC 9535, section 2.3.4.2.2.
fn slice<'a>(items: &'a [Value], start: Option<i64>, end: Option<i64>, step: i64, selected: &mut Vec<&'a Value>) {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let normal = |index: i64| if index < 0 { length.saturating_add(index) } else { index };
    if step > 0 {
        let lower = normal(start.unwrap_or(0)).clamp(0, length);
        let upper = normal(end.unwrap_or(length)).clamp(0, length);
        let mut index = lower;
        while index < upper {
            selected.extend(items.get(index as usize));
            index = index.saturating_add(step);
        }
    } else if step < 0 {
        let upper = start.map_or(length - 1, normal).clamp(-1, length - 1);
        let lower = end.map_or(-1, normal).clamp(-1, length - 1);
        let mut index = upper;
        while index > lower {
            selected.extend(items.get(index as usize));
            index = index.saturating_add(step);
        }
    }
}

struct Parser<'a> {
    path: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn fault<T>(&self, wanted: &str) -> Result<T, InvalidPath> {
        let column = self.path.chars().count() - self.rest.chars().count() + 1;
        Err(InvalidPath(format!("`{}` is no JSONPath: wanted {wanted} at character {column}", self.path)))
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

    fn expect(&mut self, token: &str) -> Result<(), InvalidPath> {
        if self.take(token) { Ok(()) } else { self.fault(&format!("`{token}`")) }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn segment(&mut self) -> Result<Segment, InvalidPath> {
        let is_descendant = self.take("..");
        let selectors = if self.take("[") {
            self.bracketed()?
        } else if is_descendant || self.take(".") {
            vec![if self.take("*") { Selector::Wildcard } else { Selector::Name(self.name()?) }]
        } else {
            return self.fault("`.` or `[`");
        };
        Ok(Segment { is_descendant, selectors })
    }

    fn name(&mut self) -> Result<String, InvalidPath> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || !c.is_ascii();
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return self.fault("a name or `*`");
        }
        let (name, rest) = self.rest.split_at(end);
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
            Some('?') => self.fault("no filter here, which are not supported; use a CEL condition, not a filter,"),
            _ => self.index_or_slice(),
        }
    }

    /// Escapes are those of JSON, and `\'`.
    fn quoted(&mut self, quote: char) -> Result<String, InvalidPath> {
        let mut name = String::new();
        let mut characters = self.rest[1..].char_indices();
        while let Some((offset, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, escaped @ ('\'' | '"' | '\\' | '/'))) => name.push(escaped),
                    Some((_, 'n')) => name.push('\n'),
                    Some((_, 't')) => name.push('\t'),
                    Some((_, 'r')) => name.push('\r'),
                    _ => return self.fault("an escape that is known"),
                },
                end if end == quote => {
                    self.rest = &self.rest[1 + offset + 1..];
                    return Ok(name);
                }
                other => name.push(other),
            }
        }
        self.fault("a closing quote")
    }

    fn index_or_slice(&mut self) -> Result<Selector, InvalidPath> {
        let start = self.integer()?;
        self.skip_space();
        if !self.take(":") {
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
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.rest.len());
        if end == 0 {
            return Ok(None);
        }
        let (digits, rest) = self.rest.split_at(end);
        let Ok(number) = digits.parse() else { return self.fault("a whole number") };
        self.rest = rest;
        Ok(Some(number))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects() {
        let document = json!({
            "status": "up", "o": {"j": 1, "k k": 2}, "a": [5, 3, {"j": 4}, {"k": 6}],
            // members in alphabetical order: a map that sorts them and one that keeps them agree
            "store": {"bicycle": {"price": 399}, "book": [{"price": 8}, {"price": 12}]},
        });
        for (path, wanted) in [
            ("$.status", json!(["up"])),
            ("$['status']", json!(["up"])),
            ("$.o['k k']", json!([2])),
            ("$.o[\"j\", 'k k']", json!([1, 2])),
            ("$.a[0]", json!([5])),
            ("$.a[-1].k", json!([6])),
            ("$.a[9]", json!([])),
            ("$.a[0:2]", json!([5, 3])),
            ("$.a[:2:1]", json!([5, 3])),
            ("$.a[1::-1]", json!([3, 5])),
            ("$.a[::0]", json!([])),
            ("$.store.book[*].price", json!([8, 12])),
            ("$..price", json!([399, 8, 12])),
            ("$.o.*", json!([1, 2])),
            ("$.missing.name", json!([])),
        ] {
            let found: Vec<Value> = select(&document, path).unwrap().into_iter().cloned().collect();
            assert_eq!(Value::Array(found), wanted, "{path}");
        }
        assert_eq!(select(&document, "$").unwrap(), [&document]);
    }

    #[test]
    fn says_where_a_path_goes_wrong() {
        for (path, wanted) in [
            ("", "`$` at character 1"),
            ("status", "`$` at character 1"),
            ("$.", "a name or `*` at character 3"),
            ("$status", "`.` or `[` at character 2"),
            ("$['open", "closing quote"),
            ("$[1", "`,` or `]` at character 4"),
            ("$[?@.a]", "CEL"),
            ("$[99999999999999999999]", "whole number"),
            ("$[--1]", "whole number"),
            ("$[]", "an index"),
        ] {
            let error = JsonPath::parse(path).unwrap_err().to_string();
            assert!(error.contains(wanted), "{path}: {error}");
        }
    }
}
