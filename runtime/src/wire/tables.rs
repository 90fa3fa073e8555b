//! What the catalog shows: our views, as tables of PostgreSQL.

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

/// Returns the types of columns by their names; one that differs between views has none.
pub(super) fn column_types(schema: &SqlSchema) -> ColumnTypes {
    let mut types = ColumnTypes::new();
    let mut mixed = Vec::new();
    for column in schema.views.iter().flat_map(|view| &view.columns) {
        let kind = PgType::of_duckdb(&column.kind);
        let name = column.name.to_ascii_lowercase();
        match types.insert(name.clone(), kind) {
            Some(other) if other != kind => mixed.push(name),
            _ => {}
        }
    }
    types.retain(|name, _| !mixed.contains(name));
    types
}
