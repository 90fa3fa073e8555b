//! Statements that are prepared, described, bound and executed step by step.

use std::sync::Arc;

use serde_json::Value;

use super::{MAX_STATEMENTS, MAX_STATEMENTS_BYTES, Outcome, Portal, Prepared, Session};
use crate::store::{QueryParams, SqlColumn};
use crate::wire::command::Command;
use crate::wire::error::WireError;
use crate::wire::io::Failure;
use crate::wire::messages::{Bind, Parse, Target};
use crate::wire::parameters;
use crate::wire::replies::Transaction;
use crate::wire::rows::{fields, is_binary};
use crate::wire::tokens::{statements, words};

impl Session {
    pub(super) fn parse(&mut self, parse: Parse) -> Result<(), Failure> {
        let Parse { name, sql, types } = parse;
        if statements(&sql).len() > 1 {
            let message = "a prepared statement holds one statement";
            return Err(WireError::new("42601", message).into());
        }
        let sql = sql.trim_end().trim_end_matches(';').to_owned();
        if !name.is_empty() {
            if self.statements.contains_key(&name) {
                let message = format!("there is a statement `{name}` already");
                return Err(WireError::new("42P05", message).into());
            }
            let bytes: usize = self.statements.values().map(|one| one.sql.len()).sum();
            if self.statements.len() >= MAX_STATEMENTS || bytes + sql.len() > MAX_STATEMENTS_BYTES {
                let message = format!("a connection has at most {MAX_STATEMENTS} statements");
                return Err(WireError::new("53400", message)
                    .with_hint("`DEALLOCATE` those that are done")
                    .into());
            }
        }
        let types = parameters::types(&sql, &types, &self.context.column_types)?;
        let command = Command::read(&sql, &self.context.views);
        let prepared = Prepared {
            sql,
            command,
            types,
            columns: None,
        };
        self.statements.insert(name, Arc::new(prepared));
        self.io.out.parsed();
        Ok(())
    }

    pub(super) fn bind(&mut self, bind: Bind) -> Result<(), Failure> {
        let prepared = self.prepared(&bind.statement)?;
        let (wanted, given) = (prepared.types.len(), bind.values.len());
        if wanted != given {
            let message = format!("the statement has {wanted} parameters, and {given} came");
            return Err(WireError::new("08P01", message).into());
        }
        let values = bind.values.iter().zip(&prepared.types).enumerate();
        let values: Vec<Value> = values
            .map(|(index, (value, kind))| match value {
                None => Ok(Value::Null),
                Some(bytes) => parameters::value(bytes, *kind, is_binary(&bind.formats, index)),
            })
            .collect::<Result<_, _>>()?;
        let portal = Portal {
            sql: prepared.sql.clone(),
            command: prepared.command.clone(),
            params: QueryParams::Positional(values),
            formats: bind.result_formats,
            columns: prepared.columns.clone(),
            rows: None,
            is_done: false,
            is_cursor: false,
            is_held: false,
        };
        self.portal_insert(bind.portal, portal)?;
        self.io.out.bound();
        Ok(())
    }

    pub(super) async fn describe(&mut self, target: Target) -> Result<(), Failure> {
        match target {
            Target::Statement(name) => {
                let prepared = self.prepared(&name)?;
                self.io.out.parameter_types(&prepared.types);
                let columns = match &prepared.columns {
                    Some(columns) => Some(columns.clone()),
                    None => self.columns_of(&prepared).await?,
                };
                match &columns {
                    Some(columns) => self.io.out.columns(&fields(columns, &[])),
                    None => self.io.out.no_data(),
                }
                let prepared = Prepared {
                    sql: prepared.sql.clone(),
                    command: prepared.command.clone(),
                    types: prepared.types.clone(),
                    columns,
                };
                self.statements.insert(name, Arc::new(prepared));
            }
            Target::Portal(name) => {
                self.open(&name).await?;
                let found = self.portals.get(&name).and_then(Portal::fields);
                match found {
                    Some(fields) => self.io.out.columns(&fields),
                    None => self.io.out.no_data(),
                }
            }
        }
        Ok(())
    }

    /// Returns the columns that a statement will have; none if it has no rows.
    async fn columns_of(&mut self, prepared: &Prepared) -> Result<Option<Vec<SqlColumn>>, Failure> {
        let nulls = QueryParams::Positional(vec![Value::Null; prepared.types.len()]);
        match &prepared.command {
            Command::Query if words(&prepared.sql).is_empty() => Ok(None),
            Command::Query if is_plain(&prepared.sql) => {
                // Refused as it was written, with its places.
                let results = &self.context.state.deps.results;
                let checked = results.query_check(&prepared.sql);
                checked.map_err(|error| WireError::of_query(error, &prepared.sql))?;
                let sql = parameters::with_nulls(&prepared.sql, &prepared.types);
                let columns = results.query_columns(&sql).await;
                let columns = columns.map_err(|error| WireError::of_query(error, &sql))?;
                Ok(Some(columns))
            }
            Command::Query => {
                let rows = self.results(&prepared.sql, &nulls).await?;
                Ok(Some(rows.columns().to_vec()))
            }
            Command::Catalog(text) => {
                let rows = self.catalog(text, &nulls).await?;
                Ok(Some(rows.columns().to_vec()))
            }
            Command::Show(name) => Ok(Some(vec![SqlColumn {
                name: name.clone(),
                kind: "VARCHAR".to_owned(),
            }])),
            Command::Fetch { cursor, .. } => {
                self.cursor_open(cursor).await?;
                let rows = self
                    .portals
                    .get(cursor)
                    .and_then(|portal| portal.rows.as_ref());
                Ok(rows.map(|rows| rows.columns().to_vec()))
            }
            _ => Ok(None),
        }
    }

    /// Starts the query of a portal whose columns are not known yet.
    async fn open(&mut self, name: &str) -> Result<(), Failure> {
        let unknown = || WireError::new("34000", format!("there is no portal `{name}`"));
        let portal = self.portals.get(name).ok_or_else(unknown)?;
        let has_rows = matches!(
            portal.command,
            Command::Query | Command::Catalog(_) | Command::Show(_)
        );
        if let Command::Fetch { cursor, .. } = &portal.command {
            let cursor = cursor.clone();
            self.cursor_open(&cursor).await?;
            let columns = self
                .portals
                .get(&cursor)
                .and_then(|portal| portal.rows.as_ref());
            let columns = columns.map(|rows| rows.columns().to_vec());
            if let Some(portal) = self.portals.get_mut(name) {
                portal.columns = columns;
            }
            return Ok(());
        }
        let is_known = portal.columns.is_some() || portal.rows.is_some() || portal.is_done;
        if is_known || !has_rows || words(&portal.sql).is_empty() {
            return Ok(());
        }
        let (sql, command) = (portal.sql.clone(), portal.command.clone());
        let params = portal.params.clone();
        if let Outcome::Rows(rows) = self.perform(&command, &sql, &params).await?
            && let Some(portal) = self.portals.get_mut(name)
        {
            portal.rows = Some(rows);
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, name: &str, most: Option<usize>) -> Result<(), Failure> {
        let unknown = || WireError::new("34000", format!("there is no portal `{name}`"));
        let mut portal = self.portals.remove(name).ok_or_else(unknown)?;
        let executed = self.execute_portal(&mut portal, most).await;
        // A failed one is gone, and its query with it.
        if executed.is_ok() {
            self.portals.insert(name.to_owned(), portal);
        }
        executed
    }

    async fn execute_portal(
        &mut self,
        portal: &mut Portal,
        most: Option<usize>,
    ) -> Result<(), Failure> {
        if words(&portal.sql).is_empty() {
            self.io.out.empty_query();
            return Ok(());
        }
        if portal.is_done {
            self.io.out.done("SELECT 0");
            return Ok(());
        }
        if portal.rows.is_none() {
            let (command, sql) = (portal.command.clone(), portal.sql.clone());
            match self.perform(&command, &sql, &portal.params).await? {
                Outcome::Rows(rows) => portal.rows = Some(rows),
                Outcome::Done(tag) => {
                    self.io.out.done(&tag);
                    portal.is_done = true;
                    return Ok(());
                }
                Outcome::Copy(mut rows, format) => {
                    rows.copy(&mut self.io, &format, &sql).await?;
                    self.io.out.done(&format!("COPY {}", rows.taken));
                    portal.is_done = true;
                    return Ok(());
                }
                Outcome::Fetch(cursor, count) => {
                    self.cursor_open(&cursor).await?;
                    portal.is_done = true;
                    return self.fetch(&cursor, count, &portal.formats).await;
                }
            }
        }
        if self.transaction == Transaction::Failed {
            return Err(WireError::new("25P02", "the transaction failed").into());
        }
        let fields = portal.fields().unwrap_or_default();
        if let Some(rows) = &mut portal.rows {
            let before = rows.taken;
            let is_last = rows.send(&mut self.io, &fields, &portal.sql, most).await?;
            if is_last {
                self.io.out.done(&format!("SELECT {}", rows.taken - before));
                portal.rows = None;
                portal.is_done = true;
            } else {
                self.io.out.suspended();
            }
        }
        Ok(())
    }

    pub(super) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        self.io.out.closed();
    }

    fn prepared(&self, name: &str) -> Result<Arc<Prepared>, WireError> {
        let found = self.statements.get(name).cloned();
        found.ok_or_else(|| WireError::new("26000", format!("there is no statement `{name}`")))
    }
}

/// A statement whose columns DuckDB tells without running it.
fn is_plain(sql: &str) -> bool {
    let first = words(sql)
        .first()
        .map(|token| token.text.to_ascii_lowercase());
    first.is_some_and(|first| {
        ["select", "with", "from", "values", "table", "("].contains(&first.as_str())
    })
}
