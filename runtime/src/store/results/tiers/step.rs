//! One step: a range of one tier, or a day of old rows, in one transaction.

use std::fmt;

use duckdb::Connection;

use super::marks::{Marks, Range, floor, set_dirty, set_done, set_kept_from, step_width};
use super::plan::{self, Task};
use super::{DAY, Micros};
use crate::domain::{Tier, TierRetention, UnixMillis};
use crate::store::results::changes::{self, Span};

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::results) struct Stepped {
    /// False: nothing was due.
    pub(in crate::store::results) has_worked: bool,
    pub(in crate::store::results) marks: Marks,
}

/// The tables of a tier; each of them is counted the same way.
#[derive(Debug, Clone, Copy)]
enum Table {
    Roll,
    Hist,
}

impl Table {
    const ALL: [Table; 2] = [Table::Roll, Table::Hist];
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Table::Roll => "roll",
            Table::Hist => "hist",
        })
    }
}

/// Does what is due next; an error leaves everything as it was. The connection reads tiers
/// without what is not counted yet.
pub(in crate::store::results) fn step(
    connection: &mut Connection,
    now_ms: UnixMillis,
    retention: &TierRetention,
) -> duckdb::Result<Stepped> {
    let marks = Marks::read(connection)?;
    let Some(task) = plan::next(&marks, now_ms.saturating_mul(1_000), retention) else {
        return Ok(Stepped {
            has_worked: false,
            marks,
        });
    };
    // What is counted is read without a tail: sources are tables, whatever was reopened in them.
    connection.execute_batch(&whole().variables())?;
    let tx = connection.transaction()?;
    match task {
        Task::Count {
            tier,
            range,
            limit,
            is_again: false,
        } => {
            let until = count(&tx, tier, range, limit)?;
            set_done(&tx, tier, until)?;
        }
        Task::Count {
            tier,
            range,
            limit,
            is_again: true,
        } => {
            let until = count(&tx, tier, range, limit)?;
            let rest = marks.of(tier).dirty.map(|dirty| Range {
                from: until,
                ..dirty
            });
            set_dirty(&tx, tier, rest.filter(|rest| rest.from < rest.until))?;
        }
        Task::Remove { tier, before } => remove(&tx, tier, before, marks.kept_from(tier))?,
    }
    let marks = Marks::read(&tx)?;
    tx.commit()?;
    Ok(Stepped {
        has_worked: true,
        marks,
    })
}

/// Marks of tiers that are counted to their end.
fn whole() -> Marks {
    let mut marks = Marks {
        runs_kept_from: 0,
        tiers: [super::marks::Mark::NOTHING; 3],
    };
    for mark in &mut marks.tiers {
        mark.done_until = END;
    }
    marks
}

/// The year 9999.
const END: Micros = 253_402_300_800 * super::SECOND;

/// Counts a range, in place of what was counted of it before. Returns where it ended: without a
/// row, at the next one, so that a gap of years takes no longer than an hour.
fn count(
    connection: &Connection,
    tier: Tier,
    range: Range,
    limit: Micros,
) -> duckdb::Result<Micros> {
    let name = tier.as_str();
    let mut runs = 0;
    for table in Table::ALL {
        delete(connection, &format!("{table}_{name}"), range)?;
        let counted = connection.execute(&insert(table, tier, range), [])?;
        if counted > 0 {
            mark(connection, &format!("{table}_{name}"), range)?;
        }
        runs = runs.max(counted);
    }
    if runs > 0 || range.until >= limit {
        return Ok(range.until);
    }
    let gap = Range {
        from: range.until,
        until: limit,
    };
    let source = match tier.finer() {
        None => "fact.observations".to_owned(),
        Some(finer) => format!("fact.roll_{}", finer.as_str()),
    };
    let next: Option<Micros> = connection.query_row(
        &format!(
            "SELECT epoch_us(min(ts)) AS next FROM {source} WHERE {}",
            gap.sql()
        ),
        [],
        |row| row.get("next"),
    )?;
    let until = next.map_or(limit, |next| {
        floor(next, step_width(tier)).clamp(range.until, limit)
    });
    let skipped = Range { until, ..gap };
    for table in Table::ALL {
        delete(connection, &format!("{table}_{name}"), skipped)?;
    }
    Ok(until)
}

/// Deletes the rows of a range, and marks it where there were some.
fn delete(connection: &Connection, table: &str, range: Range) -> duckdb::Result<()> {
    let sql = format!("DELETE FROM fact.{table} WHERE {}", range.sql());
    if connection.execute(&sql, [])? > 0 {
        mark(connection, table, range)?;
    }
    Ok(())
}

fn mark(connection: &Connection, table: &str, range: Range) -> duckdb::Result<()> {
    let span = Span::new(range.from, range.until);
    changes::mark(connection, table, std::iter::once(span))
}

/// Rows lie in the order of time and service, by which readers skip most of them.
fn insert(table: Table, tier: Tier, range: Range) -> String {
    let source = match tier.finer() {
        None => format!("observed_{table}"),
        Some(finer) => format!("merged_{table}_{}", finer.as_str()),
    };
    let width = match tier {
        Tier::FiveMinutes => "5 MINUTE",
        Tier::Hour => "1 HOUR",
        Tier::Day => "1 DAY",
    };
    format!(
        "INSERT INTO fact.{table}_{} SELECT * FROM fact.{source}(INTERVAL {width}, make_timestamp({}), make_timestamp({})) \
         ORDER BY ts, service",
        tier.as_str(),
        range.from,
        range.until
    )
}

/// Removes the oldest day that ends before a moment.
fn remove(
    connection: &Connection,
    tier: Option<Tier>,
    before: Micros,
    kept_from: Micros,
) -> duckdb::Result<()> {
    let tables = match tier {
        None => vec!["observations".to_owned()],
        Some(tier) => Table::ALL
            .iter()
            .map(|table| format!("{table}_{}", tier.as_str()))
            .collect(),
    };
    let mut until = before;
    for table in &tables {
        let first: Option<Micros> = connection.query_row(
            &format!(
                "SELECT epoch_us(min(ts)) AS first FROM fact.{table} WHERE ts < make_timestamp({before})"
            ),
            [],
            |row| row.get("first"),
        )?;
        until = first.map_or(until, |first| until.min(floor(first, DAY) + DAY));
    }
    for table in &tables {
        let from = Span::EVER.from;
        delete(connection, table, Range { from, until })?;
    }
    // Runs that came too late may lie before.
    set_kept_from(connection, tier, until.max(kept_from))
}
