//! Closed months of UTC are frozen: once all hours of a month are counted and late results had their
//! time, its seconds are written for each service that was checked, and never changed. Where a later
//! count comes to something else, a further revision says so. A look compares what is frozen with
//! what the hours come to, so that it may end anywhere and be repeated.

use duckdb::Connection;

use super::changes;
use super::tiers::{self, DAY, Marks, Micros, Range};
use crate::domain::{Tier, UnixMillis};

/// Results have so long to arrive after the end of a month.
const GRACE: Micros = 2 * DAY;

/// Rule by which seconds are counted, as in the migration.
const RULE: u32 = 1;

/// Between looks at all months, beside the one at the start.
const ROUND: Micros = DAY;

/// Where a look at the months is.
#[derive(Debug)]
pub(super) struct MonthCheck {
    /// The next month of the look ends behind it.
    after: Micros,
    due: Micros,
    /// End of the last month that was looked at.
    closed_until: Micros,
    /// From where on hours of closed months were counted again since.
    reopened: Option<Micros>,
}

/// Long before all rows.
const BEGIN: Micros = -62_135_596_800_000_000;

impl Default for MonthCheck {
    fn default() -> Self {
        Self {
            after: BEGIN,
            due: BEGIN,
            closed_until: BEGIN,
            reopened: None,
        }
    }
}

impl MonthCheck {
    /// Notes hours of closed months that are counted again.
    pub(super) fn notice(&mut self, marks: &Marks) {
        let dirty = marks.dirty(Tier::Hour);
        let reopened = dirty.filter(|dirty| dirty.from < self.closed_until);
        if let Some(dirty) = reopened {
            let from = self
                .reopened
                .map_or(dirty.from, |from| from.min(dirty.from));
            self.reopened = Some(from);
        }
    }

    fn end_round(&mut self, now: Micros) {
        self.after = BEGIN;
        self.due = now + ROUND;
    }
}

/// Looks at the next month. False: nothing is due.
pub(super) fn step(
    connection: &mut Connection,
    now_ms: UnixMillis,
    marks: &Marks,
    check: &mut MonthCheck,
) -> duckdb::Result<bool> {
    let now = now_ms.saturating_mul(1_000);
    check.notice(marks);
    if let Some(from) = check.reopened.filter(|_| marks.dirty(Tier::Hour).is_none()) {
        check.reopened = None;
        check.after = check.after.min(from);
        check.due = now;
    }
    // A clock that was set back makes no long pause.
    if check.due > now && check.due <= now + ROUND {
        return Ok(false);
    }
    let Some(month) = month_behind(connection, check.after)? else {
        check.end_round(now);
        return Ok(false);
    };
    if month.until + GRACE > now {
        check.end_round(now);
        // The month may be closed before the next round.
        check.due = check.due.min(month.until + GRACE);
        return Ok(false);
    }
    if !marks.has(Tier::Hour, month) {
        return Ok(false);
    }
    // What was removed can't be counted again.
    if marks.kept_from(Some(Tier::Hour)) <= month.from {
        freeze(connection, month, now)?;
    }
    check.after = month.until;
    check.closed_until = check.closed_until.max(month.until);
    Ok(true)
}

/// Returns the first month with an hour at or behind a moment.
fn month_behind(connection: &Connection, after: Micros) -> duckdb::Result<Option<Range>> {
    let sql = format!(
        "SELECT epoch_us(date_trunc('month', min(ts))) AS first, \
             epoch_us(date_trunc('month', min(ts)) + INTERVAL 1 MONTH) AS last \
         FROM fact.roll_1h WHERE ts >= make_timestamp({after})"
    );
    connection.query_row(&sql, [], |row| {
        let found: (Option<Micros>, Option<Micros>) = (row.get("first")?, row.get("last")?);
        Ok(match found {
            (Some(from), Some(until)) => Some(Range { from, until }),
            _ => None,
        })
    })
}

/// Writes what is new or differs, all of it or nothing.
fn freeze(connection: &mut Connection, month: Range, now: Micros) -> duckdb::Result<()> {
    let tx = connection.transaction()?;
    tiers::bind(&tx)?;
    let Range { from, until } = month;
    let written = tx.execute(
        &format!(
            "INSERT INTO fact.month_frozen
             WITH frozen AS (
                 SELECT * FROM fact.month_frozen WHERE month = make_timestamp({from})::DATE
                 QUALIFY row_number() OVER (PARTITION BY service ORDER BY revision DESC) = 1
             )
             SELECT n.service, make_timestamp({from})::DATE, n.good_s, n.bad_s, n.unknown_s, n.paused_s, n.maintenance_s,
                 {RULE}, coalesce(f.revision, 0) + 1,
                 CASE WHEN f.service IS NULL THEN 'closed'
                     WHEN f.rule_version <> {RULE} THEN 'counted by another rule'
                     ELSE 'late results; before: good ' || f.good_s || ' s, bad ' || f.bad_s || ' s, unknown '
                         || f.unknown_s || ' s' END,
                 make_timestamp({now})
             FROM fact.spent(make_timestamp({from}), make_timestamp({until})) AS n
             LEFT JOIN frozen AS f ON f.service = n.service
             WHERE f.service IS NULL OR f.rule_version <> {RULE}
                 OR (f.good_s, f.bad_s, f.unknown_s, f.paused_s, f.maintenance_s)
                     <> (n.good_s, n.bad_s, n.unknown_s, n.paused_s, n.maintenance_s)
             ORDER BY n.service"
        ),
        [],
    )?;
    if written > 0 {
        changes::mark_whole(&tx, "month_frozen")?;
    }
    tx.commit()?;
    if written > 0 {
        tracing::debug!(rows = written, "a month was frozen");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
