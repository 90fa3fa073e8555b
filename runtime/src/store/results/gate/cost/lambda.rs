//! What a lambda makes of a list: its expression, once for each element.

use serde_json::Value;

use super::columns::{Names, Row};
use super::size::Size;
use super::{Checked, Estimate};
use crate::store::results::gate::refused;

/// A list whose elements a lambda takes one after another.
struct Walk<'a> {
    element: Size,
    elements: f64,
    /// The lambda's first parameter is what it has accumulated.
    reduces: bool,
    lambda: &'a Value,
}

impl Estimate {
    /// `lambda` sees one element; what it makes it makes for each of them.
    pub(super) fn lambda(
        &mut self,
        name: &str,
        list: &Value,
        lambda: &Value,
        start: Option<&Value>,
        names: &Names<'_>,
        row: &Row<'_>,
    ) -> Checked<Size> {
        let list = self.expression(list, names, row)?;
        let start = start
            .map(|start| self.expression(start, names, row))
            .transpose()?
            .unwrap_or_default();
        let walk = Walk {
            element: list.element().max(start),
            elements: list.bytes / 8.0 + 1.0,
            reduces: name.ends_with("reduce"),
            lambda,
        };
        if walk.reduces {
            let seed = list.bytes + start.bytes + 64.0;
            let once = self.walk(&walk, seed, names, row)?;
            let mut again = Estimate {
                made: Size::default(),
                ..*self
            };
            let twice = again.walk(&walk, 2.0 * seed, names, row)?;
            if twice.bytes - once.bytes > 1.5 * seed {
                return Err(refused(format!(
                    "`{name}` would multiply its value with each element; it may only add to it"
                )));
            }
            return self.make(name, list.plus(start).plus(once));
        }
        let one = self.walk(&walk, 0.0, names, row)?;
        if name.ends_with("filter") {
            return Ok(list);
        }
        let of_collected = list.collected * (one.bytes / Size::INPUT.bytes).max(1.0);
        let size = Size {
            bytes: one.bytes * walk.elements,
            collected: of_collected + one.collected * walk.elements,
            ..list
        };
        self.make(name, size)
    }

    /// Estimates the expression of a lambda for one element, with this much accumulated before it.
    fn walk(
        &mut self,
        walk: &Walk<'_>,
        accumulated: f64,
        names: &Names<'_>,
        row: &Row<'_>,
    ) -> Checked<Size> {
        let parameters = parameters(&walk.lambda["lhs"]);
        let columns = parameters.iter().enumerate().map(|(index, name)| {
            let is_accumulator = walk.reduces && index == 0;
            let size = if is_accumulator {
                Size {
                    bytes: accumulated,
                    ..walk.element
                }
            } else {
                walk.element
            };
            (Some((*name).to_owned()), size)
        });
        let row = Row {
            outer: Some(row),
            columns: columns.collect(),
        };
        let before = self.times;
        self.times = (1.0 + before) * walk.elements - 1.0;
        let size = self.expression(&walk.lambda["expr"], names, &row);
        self.times = before;
        size
    }
}

fn parameters(lhs: &Value) -> Vec<&str> {
    match lhs["class"].as_str() {
        Some("COLUMN_REF") => lhs["column_names"]
            .as_array()
            .and_then(|parts| parts.last()?.as_str())
            .into_iter()
            .collect(),
        _ => lhs["children"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(parameters)
            .collect(),
    }
}
