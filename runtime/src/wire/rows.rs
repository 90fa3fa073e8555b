//! Rows of an answer on their way to a client, however few of them it takes at a time.

use std::collections::VecDeque;

use super::copy::CopyFormat;
use super::error::WireError;
use super::io::{Failure, Io};
use super::replies::{Field, Replies};
use super::types::PgType;
use super::values;
use crate::api::Registration;
use crate::store::{CatalogAnswer, Cell, Cells, QueryError, QueryStream, RecordBatch, SqlColumn};

pub(super) struct Rows {
    columns: Vec<SqlColumn>,
    cells: Cells,
    source: Source,
    batch: Option<RecordBatch>,
    /// Row of the batch that comes next.
    at: usize,
    /// Rows that were handed out.
    pub(super) taken: u64,
}

enum Source {
    Results {
        stream: Box<QueryStream>,
        registration: Registration,
    },
    Catalog(VecDeque<RecordBatch>),
}

impl Rows {
    pub(super) fn of_results(stream: QueryStream, registration: Registration) -> Self {
        let columns = stream.columns().to_vec();
        let stream = Box::new(stream);
        Self::new(
            columns,
            Source::Results {
                stream,
                registration,
            },
        )
    }

    pub(super) fn of_catalog(answer: CatalogAnswer) -> Self {
        Self::new(answer.columns, Source::Catalog(answer.batches.into()))
    }

    fn new(columns: Vec<SqlColumn>, source: Source) -> Self {
        Self {
            cells: Cells::new(&columns),
            columns,
            source,
            batch: None,
            at: 0,
            taken: 0,
        }
    }

    pub(super) fn columns(&self) -> &[SqlColumn] {
        &self.columns
    }

    /// Sends up to so many rows. Returns whether there are no more.
    pub(super) async fn send(
        &mut self,
        io: &mut Io,
        fields: &[Field],
        sql: &str,
        most: Option<usize>,
    ) -> Result<bool, Failure> {
        let mut left = most.unwrap_or(usize::MAX);
        loop {
            if left == 0 {
                return Ok(false);
            }
            if !self.load(io, sql).await? {
                return Ok(true);
            }
            while left > 0 && self.write(fields, &mut io.out)? {
                left -= 1;
                io.send_some().await?;
            }
        }
    }

    /// Sends all rows as lines of a copy.
    pub(super) async fn copy(
        &mut self,
        io: &mut Io,
        format: &CopyFormat,
        sql: &str,
    ) -> Result<(), Failure> {
        let fields = fields(self.columns(), &[]);
        io.out.copy_begins(fields.len());
        let mut line = Vec::new();
        if format.has_header {
            for (index, field) in fields.iter().enumerate() {
                format.value(Some(field.name.as_bytes()), index == 0, &mut line);
            }
            line.push(b'\n');
            io.out.copy_line(&line);
        }
        let mut value = Vec::new();
        while self.load(io, sql).await? {
            while let Some(batch) = self
                .batch
                .as_ref()
                .filter(|batch| self.at < batch.num_rows())
            {
                line.clear();
                for (index, field) in fields.iter().enumerate() {
                    value.clear();
                    let cell = self.cells.cell(batch, self.at, index);
                    let cell = cell.map_err(|message| WireError::new("22000", message))?;
                    let is_null = cell == Cell::Null;
                    values::text(&cell, field.kind, &mut value).map_err(|_| misfit(field))?;
                    let value = (!is_null).then_some(value.as_slice());
                    format.value(value, index == 0, &mut line);
                }
                line.push(b'\n');
                io.out.copy_line(&line);
                self.at += 1;
                self.taken += 1;
                io.send_some().await?;
            }
        }
        io.out.copy_ends();
        Ok(())
    }

    /// Makes sure that a row is at hand. False: there are no more. What was left out because of the
    /// limits is an error: an answer that ends like a whole one would be trusted.
    async fn load(&mut self, io: &mut Io, sql: &str) -> Result<bool, Failure> {
        loop {
            if self
                .batch
                .as_ref()
                .is_some_and(|batch| self.at < batch.num_rows())
            {
                return Ok(true);
            }
            self.at = 0;
            self.batch = match &mut self.source {
                Source::Catalog(batches) => batches.pop_front(),
                Source::Results {
                    stream,
                    registration,
                } => {
                    let next = tokio::select! {
                        biased;
                        next = stream.next() => next,
                        () = io.gone() => return Err(Failure::Gone),
                    };
                    let next = next.map_err(|error| WireError::of_query(error, sql))?;
                    match &next {
                        Some(batch) => registration.add_rows(batch.num_rows()),
                        None if stream.is_truncated() == Some(true) => {
                            return Err(truncated(self.taken).into());
                        }
                        None => {}
                    }
                    next
                }
            };
            if self.batch.is_none() {
                return Ok(false);
            }
        }
    }

    /// Writes the next row of what is at hand. False: there is none.
    fn write(&mut self, fields: &[Field], out: &mut Replies) -> Result<bool, WireError> {
        let Some(batch) = self
            .batch
            .as_ref()
            .filter(|batch| self.at < batch.num_rows())
        else {
            return Ok(false);
        };
        let (cells, at) = (&self.cells, self.at);
        out.row(fields.len(), |index, body| {
            let field = &fields[index];
            let cell = cells.cell(batch, at, index);
            let cell = cell.map_err(|message| WireError::new("22000", message))?;
            if cell == Cell::Null {
                return Ok(false);
            }
            let written = if field.is_binary {
                values::binary(&cell, field.kind, body)
            } else {
                values::text(&cell, field.kind, body)
            };
            written.map_err(|_| misfit(field))?;
            Ok(true)
        })?;
        self.at += 1;
        self.taken += 1;
        Ok(true)
    }
}

/// Announces columns, with the formats that a client wants: none for text, one for all, or each its
/// own.
pub(super) fn fields(columns: &[SqlColumn], formats: &[u16]) -> Vec<Field> {
    let columns = columns.iter().enumerate();
    columns
        .map(|(index, column)| Field {
            name: column.name.clone(),
            kind: PgType::of_duckdb(&column.kind),
            is_binary: is_binary(formats, index),
        })
        .collect()
}

/// Returns whether a value comes in binary, by a list of formats as above.
pub(super) fn is_binary(formats: &[u16], index: usize) -> bool {
    let format = match formats {
        [one] => Some(one),
        formats => formats.get(index),
    };
    format == Some(&1)
}

fn misfit(field: &Field) -> WireError {
    let message = format!(
        "a value of `{}` does not fit the type {} that it was described with",
        field.name,
        field.kind.sql_name()
    );
    WireError::new("22003", message)
        .with_hint("give the parameters their types, such as `$1::bigint`, or cast the column")
}

fn truncated(rows: u64) -> WireError {
    let message = format!("the answer is longer than it may be; it was cut after {rows} rows");
    WireError::new("54000", message)
        .with_hint("add `LIMIT`, aggregate, or ask for a shorter span of `ts`")
}

impl From<QueryError> for WireError {
    fn from(error: QueryError) -> Self {
        Self::of_query(error, "")
    }
}
