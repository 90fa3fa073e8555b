//! What the catalog shows: our views, as tables of PostgreSQL.

use std::collections::HashMap;

use super::parameters::ColumnTypes;
use super::types::PgType;
use crate::store::{CatalogColumn, CatalogTable, CatalogType, SqlSchema};

pub(super) fn of(schema: &SqlSchema) -> Vec<CatalogTable> {
    let views = schema.views.iter();
    views
        .map(|view| CatalogTable {
            name: view.name.clone(),
            about: view.about.clone(),
            columns: view
                .columns
                .iter()
                .map(|column| CatalogColumn {
                    name: column.name.clone(),
                    about: column.about.clone(),
                    type_oid: PgType::of_duckdb(&column.kind).oid(),
                })
                .collect(),
        })
        .collect()
}

/// Returns the types that answers have.
pub(super) fn types() -> Vec<CatalogType> {
    let kinds = PgType::ALL.into_iter();
    kinds
        .map(|kind| CatalogType {
            oid: kind.oid(),
            name: kind.name(),
            sql_name: kind.sql_name(),
            size: kind.size(),
            category: kind.category(),
        })
        .collect()
}

/// Returns the names of views and macros, in lower case.
pub(super) fn names(schema: &SqlSchema) -> Vec<String> {
    let views = schema.views.iter().map(|view| &view.name);
    let macros = schema.macros.iter().map(|found| &found.name);
    views
        .chain(macros)
        .map(|name| name.to_ascii_lowercase())
        .collect()
}

/// Returns the types of columns by their names. Whole numbers that differ between views are those
/// that clients have; others that differ have no type.
pub(super) fn column_types(schema: &SqlSchema) -> ColumnTypes {
    let mut types: HashMap<String, (Option<PgType>, bool)> = HashMap::new();
    for column in schema.views.iter().flat_map(|view| &view.columns) {
        let (kind, is_whole) = (PgType::of_duckdb(&column.kind), is_whole(&column.kind));
        types
            .entry(column.name.to_ascii_lowercase())
            .and_modify(|(known, was_whole)| match *known {
                Some(known) if known == kind => {}
                Some(_) if *was_whole && is_whole => *known = Some(PgType::Int8),
                _ => *known = None,
            })
            .or_insert((Some(kind), is_whole));
    }
    let known = types.into_iter();
    known
        .filter_map(|(name, (kind, _))| Some((name, kind?)))
        .collect()
}

fn is_whole(duckdb: &str) -> bool {
    let name = duckdb.strip_prefix('U').unwrap_or(duckdb);
    ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"].contains(&name)
}
