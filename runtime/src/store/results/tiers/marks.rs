//! How far each tier is: a row of `roll_state` each, which changes in the transaction that changes
//! the tier.

use std::fmt::Write as _;

use duckdb::Connection;

use super::{DAY, Micros};
use crate::domain::Tier;

/// Marks of one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::results) struct Mark {
    /// Slots before this moment are counted.
    pub(super) done_until: Micros,
    /// Counted slots that have to be counted again.
    pub(super) dirty: Option<Range>,
    /// Rows before this moment were removed.
    pub(super) kept_from: Micros,
}

/// Moments from one up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::results) struct Range {
    pub(in crate::store::results) from: Micros,
    pub(in crate::store::results) until: Micros,
}

impl Range {
    /// Returns the range that holds both.
    pub(super) fn join(self, other: Option<Range>) -> Self {
        other.map_or(self, |other| Self {
            from: self.from.min(other.from),
            until: self.until.max(other.until),
        })
    }

    /// The condition that a row lies in it.
    pub(super) fn sql(self) -> String {
        format!(
            "ts >= make_timestamp({}) AND ts < make_timestamp({})",
            self.from, self.until
        )
    }
}

impl Mark {
    /// Long before all rows.
    pub(super) const NOTHING: Self = Self {
        done_until: -62_135_596_800 * super::SECOND,
        dirty: None,
        kept_from: -62_135_596_800 * super::SECOND,
    };

    /// Everything before is counted, and need not be counted again.
    pub(super) fn clean_until(&self) -> Micros {
        self.dirty
            .map_or(self.done_until, |dirty| dirty.from.min(self.done_until))
    }

    /// Whether a range is counted, and need not be counted again.
    pub(super) fn has(&self, range: Range) -> bool {
        let is_dirty = self
            .dirty
            .is_some_and(|dirty| dirty.from < range.until && dirty.until > range.from);
        range.until <= self.done_until && !is_dirty
    }
}

/// Marks of all tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::results) struct Marks {
    /// Runs before this moment were removed.
    pub(super) runs_kept_from: Micros,
    /// In the order of [`Tier::ALL`].
    pub(super) tiers: [Mark; 3],
}

/// Name of the row that is about the runs themselves.
pub(super) const RUNS: &str = "raw";

impl Marks {
    pub(super) fn of(&self, tier: Tier) -> &Mark {
        &self.tiers[tier as usize]
    }

    /// Slots of a tier that have to be counted again.
    pub(in crate::store::results) fn dirty(&self, tier: Tier) -> Option<Range> {
        self.of(tier).dirty
    }

    /// Whether a range of a tier is counted, and need not be counted again.
    pub(in crate::store::results) fn has(&self, tier: Tier, range: Range) -> bool {
        self.of(tier).has(range)
    }

    /// Returns from when on rows are kept; without a tier, those of the runs.
    pub(in crate::store::results) fn kept_from(&self, tier: Option<Tier>) -> Micros {
        tier.map_or(self.runs_kept_from, |tier| self.of(tier).kept_from)
    }

    /// Milliseconds before which a tier needs nothing any more.
    pub(in crate::store::results) fn clean_until_ms(&self, tier: Tier) -> i64 {
        self.of(tier).clean_until().div_euclid(1_000)
    }

    /// A row that is missing means that nothing was counted.
    pub(in crate::store::results) fn read(connection: &Connection) -> duckdb::Result<Self> {
        let mut marks = Self {
            runs_kept_from: Mark::NOTHING.kept_from,
            tiers: [Mark::NOTHING; 3],
        };
        let sql = "SELECT tier, epoch_us(done_until) AS done, epoch_us(dirty_from) AS dirty_from, \
                   epoch_us(dirty_until) AS dirty_until, epoch_us(kept_from) AS kept_from FROM fact.roll_state";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get("tier")?;
            if name == RUNS {
                marks.runs_kept_from = row.get("kept_from")?;
            }
            let Some(tier) = Tier::ALL.into_iter().find(|tier| tier.as_str() == name) else {
                continue;
            };
            let dirty: (Option<Micros>, Option<Micros>) =
                (row.get("dirty_from")?, row.get("dirty_until")?);
            marks.tiers[tier as usize] = Mark {
                done_until: row.get("done")?,
                dirty: match dirty {
                    (Some(from), Some(until)) => Some(Range { from, until }),
                    _ => None,
                },
                kept_from: row.get("kept_from")?,
            };
        }
        Ok(marks)
    }

    /// Statements that set the variables of the views.
    pub(super) fn variables(&self) -> String {
        let mut statements = String::new();
        for tier in Tier::ALL {
            let (mark, name) = (self.of(tier), tier.as_str());
            let dirty = mark.dirty.unwrap_or(Range {
                from: mark.done_until,
                until: mark.done_until,
            });
            // Writing to a text can't fail.
            let _ = write!(
                statements,
                "SET VARIABLE done_until_{name} = make_timestamp({});\
                 SET VARIABLE dirty_from_{name} = make_timestamp({});\
                 SET VARIABLE dirty_until_{name} = make_timestamp({});",
                mark.done_until, dirty.from, dirty.until
            );
        }
        statements
    }
}

/// Sets what has to be counted again.
pub(super) fn set_dirty(
    connection: &Connection,
    tier: Tier,
    dirty: Option<Range>,
) -> duckdb::Result<()> {
    let (from, until) = match dirty {
        Some(Range { from, until }) => (moment(from), moment(until)),
        None => ("NULL".to_owned(), "NULL".to_owned()),
    };
    set(
        connection,
        tier.as_str(),
        &format!("dirty_from = {from}, dirty_until = {until}"),
    )
}

/// Sets up to where a tier is counted.
pub(super) fn set_done(
    connection: &Connection,
    tier: Tier,
    done_until: Micros,
) -> duckdb::Result<()> {
    let done = format!("done_until = {}", moment(done_until));
    set(connection, tier.as_str(), &done)
}

/// Sets before when rows were removed; without a tier, those of the runs.
pub(super) fn set_kept_from(
    connection: &Connection,
    tier: Option<Tier>,
    kept_from: Micros,
) -> duckdb::Result<()> {
    let name = tier.map_or(RUNS, Tier::as_str);
    set(
        connection,
        name,
        &format!("kept_from = {}", moment(kept_from)),
    )
}

/// Notes that runs before a moment are no longer in the database.
pub(in crate::store::results) fn runs_removed(
    connection: &Connection,
    before_ms: i64,
) -> duckdb::Result<()> {
    let kept_from = Marks::read(connection)?.kept_from(None);
    set_kept_from(connection, None, kept_from.max(before_ms * 1_000))
}

fn set(connection: &Connection, name: &str, values: &str) -> duckdb::Result<()> {
    let sql = format!("UPDATE fact.roll_state SET {values} WHERE tier = '{name}'");
    match connection.execute(&sql, [])? {
        1 => Ok(()),
        // Else the same step would come again and again.
        rows => Err(duckdb::Error::StatementChangedRows(rows)),
    }
}

fn moment(us: Micros) -> String {
    format!("make_timestamp({us})")
}

/// Rounds down to a multiple of a width; days and hours of UTC begin at such ones.
pub(in crate::store::results) fn floor(us: Micros, width: Micros) -> Micros {
    us.div_euclid(width) * width
}

/// Width of a tier's slots.
pub(super) fn width(tier: Tier) -> Micros {
    tier.width().as_micros() as Micros
}

/// Width of what a step counts at most: a day of days, an hour of the others.
pub(super) fn step_width(tier: Tier) -> Micros {
    width(tier).max(super::HOUR)
}

const _: () = assert!(Mark::NOTHING.done_until % DAY == 0, "a day begins there");
