//! The columns and the expressions of `WITH` that a part of a statement may name, with the sizes of
//! their values.

use serde_json::Value;

use super::size::Size;

#[derive(Clone, Default)]
pub(super) struct Relation {
    /// Their names where they are known.
    pub(super) columns: Vec<(Option<String>, Size)>,
    pub(super) references: f64,
}

/// The expressions of `WITH` in sight, innermost first.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) outer: Option<&'a Names<'a>>,
    pub(super) name: &'a str,
    pub(super) relation: Option<&'a Relation>,
}

/// The columns that an expression may name.
pub(super) struct Row<'a> {
    pub(super) outer: Option<&'a Row<'a>>,
    pub(super) columns: Vec<(Option<String>, Size)>,
}

impl Names<'_> {
    pub(super) const NONE: Names<'static> = Names {
        outer: None,
        name: "",
        relation: None,
    };

    pub(super) fn find(&self, wanted: &str) -> Option<&Relation> {
        match self.relation {
            Some(relation) if self.name.eq_ignore_ascii_case(wanted) => Some(relation),
            _ => self.outer?.find(wanted),
        }
    }
}

impl Row<'_> {
    pub(super) const NONE: Row<'static> = Row {
        outer: None,
        columns: Vec::new(),
    };

    /// Any part of a name may be the column's: `table.column.field`.
    pub(super) fn named(&self, parts: &[&str]) -> Option<Size> {
        let is_meant = |name: &str| parts.iter().any(|part| part.eq_ignore_ascii_case(name));
        let sizes = self
            .columns
            .iter()
            .filter(|(name, _)| name.as_deref().is_some_and(is_meant));
        let found = sizes.map(|(_, size)| *size).reduce(Size::max);
        found.or_else(|| self.outer?.named(parts))
    }

    /// Of a name that is not among those that are known: it belongs to a table of ours, or to
    /// something without a name.
    pub(super) fn unnamed(&self) -> Option<Size> {
        let sizes = self
            .columns
            .iter()
            .filter(|(name, _)| name.is_none())
            .map(|(_, size)| *size);
        sizes
            .chain(self.outer.and_then(Row::unnamed))
            .reduce(Size::max)
    }

    pub(super) fn largest(&self) -> Size {
        let here = self
            .columns
            .iter()
            .fold(Size::INPUT, |most, (_, size)| most.max(*size));
        self.outer.map_or(here, |outer| outer.largest().max(here))
    }
}

/// Columns by other names, as far as they go.
pub(super) fn rename(relation: &mut Relation, names: &Value) {
    let names = names
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return;
    }
    // Where one of them stands for more than one column, places say nothing.
    if relation.columns.len() != names.len()
        && relation.columns.iter().any(|(name, _)| name.is_none())
    {
        let largest = relation
            .columns
            .iter()
            .fold(Size::INPUT, |most, (_, size)| most.max(*size));
        relation
            .columns
            .extend(names.iter().map(|name| (Some((*name).to_owned()), largest)));
        return;
    }
    for ((name, _), new) in relation.columns.iter_mut().zip(names) {
        *name = Some(new.to_owned());
    }
}

pub(super) fn merge(relation: &mut Relation, other: Relation) {
    let is_even = relation.columns.len() == other.columns.len();
    let largest = other
        .columns
        .iter()
        .fold(Size::default(), |most, (_, size)| most.max(*size));
    if relation.columns.is_empty() {
        *relation = other;
        return;
    }
    for (index, (_, size)) in relation.columns.iter_mut().enumerate() {
        *size = size.max(if is_even {
            other.columns[index].1
        } else {
            largest
        });
    }
}
