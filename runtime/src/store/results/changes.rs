//! Marks of what has changed since it was sealed: spans of tables, marked in the transaction that changes
//! them, so that a crash at any moment leaves no change without its mark. The list of the tables
//! that are sealed is here; code that writes to one of them marks what was written.

mod span;
mod tables;

use std::collections::BTreeSet;

use duckdb::{Connection, params};

#[cfg(test)]
pub(super) use span::UNIT;
pub(super) use span::{DAY, HOUR, Micros, Span, gaps, joined};
pub(super) use tables::{Cut, SealedTable, TABLES};

/// Marks of one transaction and table; more are joined to one. Rows of one batch lie close to each
/// other.
const MOST_MARKS: usize = 64;

/// A span that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) table: String,
    pub(super) span: Span,
}

/// What is marked, as a transaction sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Marked {
    pub(super) marks: Vec<Mark>,
    /// Marks that may go once what they name is sealed. Those of the epoch that goes on may be
    /// added to by what is not seen yet.
    pub(super) seen: Vec<i64>,
}

/// Epoch of marks that nothing is added to.
const APART: i64 = -1;
/// Marks that one statement removes.
const REMOVED_AT_ONCE: usize = 1_000;

/// Marks the units in which these moments lie.
pub(super) fn mark_moments(
    connection: &Connection,
    table: &str,
    moments: impl Iterator<Item = Micros>,
) -> duckdb::Result<()> {
    let spans = moments.map(|moment| Span::new(moment, moment.saturating_add(1)));
    mark(connection, table, spans)
}

/// Marks all rows of a table.
pub(super) fn mark_whole(connection: &Connection, table: &str) -> duckdb::Result<()> {
    mark(connection, table, std::iter::once(Span::EVER))
}

/// Marks the units of these spans, once in an epoch. For the thread that commits, which no seal
/// overtakes; others use [`mark_apart`]. What is not sealed needs no marks.
pub(super) fn mark(
    connection: &Connection,
    table: &str,
    spans: impl Iterator<Item = Span>,
) -> duckdb::Result<()> {
    let sql = "INSERT INTO fact.sealed_dirty \
               SELECT $1::VARCHAR, make_timestamp($2::BIGINT), make_timestamp($3::BIGINT), s.epoch, $4::BIGINT \
               FROM (SELECT coalesce(max(epoch), 0) AS epoch FROM fact.sealed_state) AS s \
               WHERE NOT EXISTS (SELECT 1 FROM fact.sealed_dirty AS d WHERE d.table_name = $1 AND d.epoch = s.epoch \
                   AND d.since = make_timestamp($2::BIGINT) AND d.until = make_timestamp($3::BIGINT))";
    let mut statement = connection.prepare(sql)?;
    for Span { from, until } in units(table, spans) {
        statement.execute(params![table, from, until, rand::random::<i64>()])?;
    }
    Ok(())
}

/// Marks the units of these spans in a transaction beside those of the committer.
pub(super) fn mark_apart(
    connection: &Connection,
    table: &str,
    spans: impl Iterator<Item = Span>,
) -> duckdb::Result<()> {
    let sql = "INSERT INTO fact.sealed_dirty VALUES (?, make_timestamp(?::BIGINT), make_timestamp(?::BIGINT), ?, ?)";
    let mut statement = connection.prepare(sql)?;
    for Span { from, until } in units(table, spans) {
        statement.execute(params![table, from, until, APART, rand::random::<i64>()])?;
    }
    Ok(())
}

/// Returns the units of a table that these spans touch; none of one that is not sealed.
fn units(table: &str, spans: impl Iterator<Item = Span>) -> BTreeSet<Span> {
    let Some(sealed) = SealedTable::named(table) else {
        return BTreeSet::new();
    };
    let units: BTreeSet<Span> = spans.map(|span| sealed.units(span)).collect();
    let joined = units.iter().copied().reduce(Span::join);
    match joined {
        Some(joined) if units.len() > MOST_MARKS => BTreeSet::from([joined]),
        _ => units,
    }
}

/// Begins a new epoch: marks of those before it are no longer added to.
pub(super) fn rotate(connection: &Connection) -> duckdb::Result<()> {
    match connection.execute("UPDATE fact.sealed_state SET epoch = epoch + 1", [])? {
        1 => Ok(()),
        // Else marks that no seal has seen would be removed.
        rows => Err(duckdb::Error::StatementChangedRows(rows)),
    }
}

/// Returns everything that is marked.
pub(super) fn read(connection: &Connection) -> duckdb::Result<Marked> {
    let sql = "SELECT table_name, epoch_us(since) AS since, epoch_us(until) AS until, id, \
                   epoch < (SELECT coalesce(max(epoch), 0) FROM fact.sealed_state) AS is_seen \
               FROM fact.sealed_dirty";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut marked = Marked::default();
    while let Some(row) = rows.next()? {
        let mark = Mark {
            table: row.get("table_name")?,
            span: Span::new(row.get("since")?, row.get("until")?),
        };
        if row.get("is_seen")? {
            marked.seen.push(row.get("id")?);
        }
        if !marked.marks.contains(&mark) {
            marked.marks.push(mark);
        }
    }
    Ok(marked)
}

/// Removes marks that a seal has seen, and adds what is left of them.
pub(super) fn forget(connection: &Connection, seen: &[i64], left: &[Mark]) -> duckdb::Result<()> {
    for ids in seen.chunks(REMOVED_AT_ONCE) {
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        connection.execute(
            &format!(
                "DELETE FROM fact.sealed_dirty WHERE id IN ({})",
                ids.join(", ")
            ),
            [],
        )?;
    }
    for Mark { table, span } in left {
        mark_apart(connection, table, std::iter::once(*span))?;
    }
    Ok(())
}
