//! `\d`: views and macros; `\d VIEW`: its columns.

use anyhow::{Result, bail};

use super::source::Source;
use crate::api_types::sql::{SqlSchemaBody, SqlViewBody};
use crate::cli::print::{cell, line, table};

/// Runs a command that shows what there is.
pub(super) async fn command(source: &Source, command: &str) -> Result<()> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["\\d"] => list(&source.schema().await?),
        ["\\d", view] => columns(&source.schema().await?, view)?,
        _ => bail!("`{command}` is no command; `\\d` lists views, `\\d VIEW` the columns of one"),
    }
    Ok(())
}

fn list(schema: &SqlSchemaBody) {
    let mut rows: Vec<Vec<String>> = schema
        .views
        .iter()
        .map(|view| vec![cell(&view.name), cell(&view.description)])
        .collect();
    rows.extend(schema.macros.iter().map(|found| {
        let name = format!("{}({})", found.name, found.parameters.join(", "));
        vec![cell(&name), cell(&found.description)]
    }));
    table(&["NAME", "ONE ROW OR VALUE IS"], &rows);
}

fn columns(schema: &SqlSchemaBody, name: &str) -> Result<()> {
    let known = |view: &&SqlViewBody| view.name.eq_ignore_ascii_case(name);
    let Some(view) = schema.views.iter().find(known) else {
        let names: Vec<&str> = schema.views.iter().map(|view| view.name.as_str()).collect();
        bail!(
            "there is no view `{name}`; there are `{}`",
            names.join("`, `")
        );
    };
    line(&cell(&view.description));
    let rows: Vec<Vec<String>> = view
        .columns
        .iter()
        .map(|column| {
            vec![
                cell(&column.name),
                cell(&column.kind),
                cell(&column.description),
            ]
        })
        .collect();
    table(&["COLUMN", "TYPE", ""], &rows);
    Ok(())
}
