//! Sums of calls, units and costs, from the totals that are committed with the calls.

use std::collections::BTreeSet;

use duckdb::types::Type;
use duckdb::{Connection, Row, params};
use rust_decimal::Decimal;

use super::error::reading;
use super::read::MAX_ROWS;
use super::{ResultError, ResultStore};
use crate::domain::cost::{Bounds, CallGroup};
use crate::domain::{CallEnd, UnixMillis};

/// Selection of calls, and the keys of their sums beside service and currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageQuestion {
    /// Whole minutes.
    pub from_ms: UnixMillis,
    pub until_ms: UnixMillis,
    /// Slug; none: all.
    pub service: Option<String>,
    pub by_consumer: bool,
    pub by_route: bool,
    pub by_day: bool,
    /// Milliseconds that are added to UTC to find the day.
    pub offset_ms: i64,
}

/// Key of a sum. Parts that were not asked for are none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    pub service: String,
    pub consumer: Option<String>,
    pub route: Option<String>,
    /// Days since 1970.
    pub day: Option<i64>,
}

/// Calls and their cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallSum {
    pub calls: i64,
    pub cost: Bounds,
}

/// Sum of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    pub key: UsageKey,
    /// ISO 4217; none: calls without a cost.
    pub currency: Option<String>,
    pub all: CallSum,
    pub attempts: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
    /// Answered with 5xx.
    pub failed: CallSum,
    pub timed_out: CallSum,
    /// Ended before the whole answer had passed.
    pub cut: CallSum,
    /// Checks of our own.
    pub checks: CallSum,
}

/// Sum of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitSum {
    pub key: UsageKey,
    pub unit: String,
    pub amount: Decimal,
}

/// Attempts beyond the first of their calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySum {
    pub key: UsageKey,
    pub currency: String,
    pub attempts: i64,
    /// The most that they can have cost.
    pub at_most: Decimal,
}

/// Sums of several questions, and which batches of calls they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageAndBatches {
    /// One entry a question.
    pub sums: Vec<Vec<UsageSum>>,
    /// Numbers of batches.
    pub batches: BTreeSet<i64>,
}

impl ResultStore {
    /// Returns sums of calls, and which of the batches from a number on are in all of them. An error
    /// if there are more sums than can be answered.
    pub async fn usage_sums_and_batches(
        &self,
        questions: Vec<UsageQuestion>,
        since_seq: i64,
    ) -> Result<UsageAndBatches, ResultError> {
        self.read(move |connection| {
            connection
                .execute_batch("BEGIN TRANSACTION READ ONLY")
                .map_err(reading)?;
            let answer = sums_and_batches(connection, &questions, since_seq).map_err(reading);
            let ended = connection.execute_batch("ROLLBACK").map_err(reading);
            let answer = answer?;
            ended?;
            if answer.sums.iter().any(|sums| sums.len() >= MAX_ROWS) {
                return Err(ResultError::TooManySums { most: MAX_ROWS });
            }
            Ok(answer)
        })
        .await
    }

    /// Returns sums of calls by key and currency.
    pub async fn usage_sums(&self, question: UsageQuestion) -> Result<Vec<UsageSum>, ResultError> {
        self.read(move |connection| sums(connection, &question).map_err(reading))
            .await
    }

    /// Returns sums of units by key.
    pub async fn usage_units(&self, question: UsageQuestion) -> Result<Vec<UnitSum>, ResultError> {
        self.read(move |connection| units(connection, &question).map_err(reading))
            .await
    }

    /// Returns the calls with a cost of a time, by service and kind, for meters to go on from.
    pub async fn usage_groups(
        &self,
        from_ms: UnixMillis,
        until_ms: UnixMillis,
    ) -> Result<Vec<(String, CallGroup)>, ResultError> {
        self.read(move |connection| groups(connection, from_ms, until_ms).map_err(reading))
            .await
    }

    /// Returns what attempts beyond the first of calls with rows cost at most.
    pub async fn usage_retries(
        &self,
        question: UsageQuestion,
    ) -> Result<Vec<RetrySum>, ResultError> {
        self.read(move |connection| retries(connection, &question).map_err(reading))
            .await
    }
}

/// Asks within one transaction, so that all answers are of one moment.
fn sums_and_batches(
    connection: &Connection,
    questions: &[UsageQuestion],
    since_seq: i64,
) -> duckdb::Result<UsageAndBatches> {
    let answers = questions.iter().map(|question| sums(connection, question));
    let sums: Vec<_> = answers.collect::<duckdb::Result<_>>()?;
    let mut statement = connection.prepare("SELECT seq FROM fact.call_batches WHERE seq >= ?")?;
    let batches = statement.query_map(params![since_seq], |row| row.get("seq"))?;
    let batches = batches.collect::<duckdb::Result<_>>()?;
    Ok(UsageAndBatches { sums, batches })
}

fn sums(connection: &Connection, question: &UsageQuestion) -> duckdb::Result<Vec<UsageSum>> {
    let part = |name: &str, condition: &str| {
        format!(
            "coalesce(sum(calls) FILTER ({condition}), 0)::BIGINT AS {name}_calls, \
             coalesce(sum(cost_min) FILTER ({condition}), 0)::VARCHAR AS {name}_min, \
             coalesce(sum(cost_max) FILTER ({condition}), 0)::VARCHAR AS {name}_max"
        )
    };
    let figures = [
        part("all", "true"),
        part("failed", "status_class = '5xx' AND ended <> 'timeout'"),
        part("timed_out", "ended = 'timeout'"),
        part("cut", "ended IN ('cancelled', 'truncated')"),
        part("checks", "source = 'probe'"),
    ];
    let sql = format!(
        "SELECT {}, currency, {}, sum(attempts)::BIGINT AS attempts, sum(bytes_in)::BIGINT AS bytes_in, \
             sum(bytes_out)::BIGINT AS bytes_out \
         FROM fact.usage_deltas WHERE unit IS NULL AND {RANGE} GROUP BY ALL ORDER BY ALL LIMIT {MAX_ROWS}",
        keys(question),
        figures.join(", "),
    );
    let read = |row: &Row<'_>| {
        Ok(UsageSum {
            key: key(row)?,
            currency: row.get("currency")?,
            all: call_sum(row, "all")?,
            attempts: row.get("attempts")?,
            bytes_in: row.get("bytes_in")?,
            bytes_out: row.get("bytes_out")?,
            failed: call_sum(row, "failed")?,
            timed_out: call_sum(row, "timed_out")?,
            cut: call_sum(row, "cut")?,
            checks: call_sum(row, "checks")?,
        })
    };
    rows(connection, &sql, question, read)
}

fn units(connection: &Connection, question: &UsageQuestion) -> duckdb::Result<Vec<UnitSum>> {
    let sql = format!(
        "SELECT {}, unit, sum(amount)::VARCHAR AS amount \
         FROM fact.usage_deltas WHERE unit IS NOT NULL AND {RANGE} GROUP BY ALL ORDER BY ALL LIMIT {MAX_ROWS}",
        keys(question),
    );
    let read = |row: &Row<'_>| {
        Ok(UnitSum {
            key: key(row)?,
            unit: row.get("unit")?,
            amount: decimal(row, "amount")?,
        })
    };
    rows(connection, &sql, question, read)
}

fn retries(connection: &Connection, question: &UsageQuestion) -> duckdb::Result<Vec<RetrySum>> {
    let sql = format!(
        "SELECT {}, currency, sum(attempts - 1)::BIGINT AS attempts, \
             round(sum(cost_max::DOUBLE * (attempts - 1) / attempts), 9)::DECIMAL(38,12)::VARCHAR AS at_most \
         FROM fact.calls WHERE attempts > 1 AND currency IS NOT NULL AND {RANGE} \
         GROUP BY ALL ORDER BY ALL LIMIT {MAX_ROWS}",
        keys(question),
    );
    let read = |row: &Row<'_>| {
        Ok(RetrySum {
            key: key(row)?,
            currency: row.get("currency")?,
            attempts: row.get("attempts")?,
            at_most: decimal(row, "at_most")?,
        })
    };
    rows(connection, &sql, question, read)
}

/// Rows without a unit come first, and the units of the same kind of calls behind them.
fn groups(
    connection: &Connection,
    from_ms: UnixMillis,
    until_ms: UnixMillis,
) -> duckdb::Result<Vec<(String, CallGroup)>> {
    let sql = format!(
        "SELECT service, method, route, status_class, ended, unit, sum(calls)::BIGINT AS calls, \
             sum(attempts)::BIGINT AS attempts, sum(bytes_in)::BIGINT AS bytes_in, \
             sum(bytes_out)::BIGINT AS bytes_out, sum(amount)::VARCHAR AS amount \
         FROM fact.usage_deltas \
         WHERE ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) AND currency IS NOT NULL \
             AND cache <> 'hit' AND ended <> 'refused' \
         GROUP BY service, method, route, status_class, ended, unit \
         ORDER BY service, method, route, status_class, ended, unit NULLS FIRST LIMIT {MAX_ROWS}"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params![from_ms, until_ms])?;
    let mut groups: Vec<(String, CallGroup)> = Vec::new();
    while let Some(row) = rows.next()? {
        let unit: Option<String> = row.get("unit")?;
        match unit {
            None => groups.push(group(row, from_ms)?),
            Some(unit) => {
                if let Some((_, last)) = groups.last_mut() {
                    last.units.insert(unit, decimal(row, "amount")?);
                }
            }
        }
    }
    Ok(groups)
}

fn group(row: &Row<'_>, ts_ms: UnixMillis) -> duckdb::Result<(String, CallGroup)> {
    let class: Option<String> = row.get("status_class")?;
    let first = |class: String| class.chars().next()?.to_digit(10);
    let ended: String = row.get("ended")?;
    let ended = CallEnd::ALL.into_iter().find(|end| end.as_str() == ended);
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    let group = CallGroup {
        ts_ms,
        method: row.get("method")?,
        route: row.get("route")?,
        status: class.and_then(first).map(|class| class as u16 * 100),
        ended: ended.unwrap_or(CallEnd::Complete),
        units: std::collections::BTreeMap::new(),
        calls: count("calls")?,
        attempts: count("attempts")?,
        bytes_in: count("bytes_in")?,
        bytes_out: count("bytes_out")?,
    };
    Ok((row.get("service")?, group))
}

/// Binds beginning, end and service.
const RANGE: &str = "ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) AND service = coalesce(?, service)";

/// Columns of [`UsageKey`].
fn keys(question: &UsageQuestion) -> String {
    let column = |is_wanted: bool, name: &str, kind: &str, value: &str| {
        let value = if is_wanted { value } else { "NULL" };
        format!("({value})::{kind} AS {name}")
    };
    let day = format!("(epoch_ms(ts) + {}) // 86400000", question.offset_ms);
    [
        "service".to_owned(),
        column(question.by_consumer, "key_consumer", "VARCHAR", "consumer"),
        column(question.by_route, "key_route", "VARCHAR", "route"),
        column(question.by_day, "key_day", "BIGINT", &day),
    ]
    .join(", ")
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    question: &UsageQuestion,
    read: impl FnMut(&Row<'_>) -> duckdb::Result<T>,
) -> duckdb::Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(
        params![question.from_ms, question.until_ms, question.service],
        read,
    )?;
    rows.collect()
}

fn key(row: &Row<'_>) -> duckdb::Result<UsageKey> {
    Ok(UsageKey {
        service: row.get("service")?,
        consumer: row.get("key_consumer")?,
        route: row.get("key_route")?,
        day: row.get("key_day")?,
    })
}

fn call_sum(row: &Row<'_>, name: &str) -> duckdb::Result<CallSum> {
    Ok(CallSum {
        calls: row.get(format!("{name}_calls").as_str())?,
        cost: Bounds {
            low: decimal(row, &format!("{name}_min"))?,
            high: decimal(row, &format!("{name}_max"))?,
        },
    })
}

pub(super) fn decimal(row: &Row<'_>, name: &str) -> duckdb::Result<Decimal> {
    let text: String = row.get(name)?;
    let parsed = Decimal::from_str_exact(&text);
    parsed
        .map(|amount| amount.normalize())
        .map_err(|error| duckdb::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

#[cfg(test)]
mod tests;
