//! JSONPath (RFC 9535) without filters and functions: names, indices, slices, wildcards and
//! descendants. For a condition on what is found there is CEL.

mod parser;

use serde_json::Value;

use self::parser::Parser;

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
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
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
        Parser::new(path).segments().map(Self)
    }

    /// Returns all values that the path selects.
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
            (Selector::Slice { start, end, step }, Value::Array(items)) => {
                slice(items, *start, *end, *step, selected)
            }
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
    usize::try_from(if index < 0 {
        length.checked_add(index)?
    } else {
        index
    })
    .ok()
}

/// RFC 9535, section 2.3.4.2.2.
fn slice<'a>(
    items: &'a [Value],
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    selected: &mut Vec<&'a Value>,
) {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let normal = |index: i64| {
        if index < 0 {
            length.saturating_add(index)
        } else {
            index
        }
    };
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

#[cfg(test)]
mod tests;
