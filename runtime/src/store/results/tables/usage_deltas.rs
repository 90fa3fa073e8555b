//! `usage_deltas`: calls of batches, added up; the view `usage_totals` adds up the batches.

use super::ColumnType::{Decimal, Text, Timestamp, U64};
use super::{Cell, Column, Record, column, nullable};
use crate::domain::UsageTotal;

impl Record for UsageTotal {
    const TABLE: &'static str = "usage_deltas";

    fn columns() -> Vec<Column<Self>> {
        let mut columns = keys();
        columns.extend(figures());
        columns
    }
}

fn keys() -> Vec<Column<UsageTotal>> {
    vec![
        column("ts", Timestamp, "begin of the minute", |row| {
            Cell::moment(row.key.minute_ms)
        }),
        column("service", Text, "slug of the service", |row| {
            Cell::text(&row.key.service)
        }),
        nullable("consumer", Text, "who called", |row| {
            Cell::optional(row.key.consumer.as_deref(), Cell::text)
        }),
        column("method", Text, "method of HTTP", |row| {
            Cell::text(&row.key.method)
        }),
        column("route", Text, "template of the path", |row| {
            Cell::text(&row.key.route)
        }),
        nullable("status_class", Text, "e.g. `2xx`", |row| {
            Cell::optional(row.key.status_class.as_deref(), Cell::text)
        }),
        column("cache", Text, "as in `calls`", |row| {
            Cell::text(row.key.cache.as_str())
        }),
        column("source", Text, "as in `calls`", |row| {
            Cell::text(row.key.source.as_str())
        }),
        column("ended", Text, "as in `calls`", |row| {
            Cell::text(row.key.ended.as_str())
        }),
    ]
}

fn figures() -> Vec<Column<UsageTotal>> {
    vec![
        nullable("unit", Text, "the unit that is added up", |row| {
            Cell::optional(row.key.unit.as_deref(), Cell::text)
        }),
        column("amount", Decimal, "its amount", |row| {
            Cell::decimal(row.figures.amount)
        }),
        column("calls", U64, "calls", |row| {
            Cell::Unsigned(row.figures.calls)
        }),
        column("unlisted", U64, "calls that have no row", |row| {
            Cell::Unsigned(row.figures.unlisted)
        }),
        column("attempts", U64, "requests sent to the service", |row| {
            Cell::Unsigned(row.figures.attempts)
        }),
        column("bytes_in", U64, "as in `calls`", |row| {
            Cell::Unsigned(row.figures.bytes_in)
        }),
        column("bytes_out", U64, "as in `calls`", |row| {
            Cell::Unsigned(row.figures.bytes_out)
        }),
        column("latency_us", U64, "times of all calls together", |row| {
            Cell::Unsigned(row.figures.latency_us)
        }),
        column("cost_min", Decimal, "cost, at least", |row| {
            Cell::decimal(row.figures.cost_min)
        }),
        column("cost_max", Decimal, "cost, at most", |row| {
            Cell::decimal(row.figures.cost_max)
        }),
        nullable("currency", Text, "currency of the cost", |row| {
            Cell::optional(row.key.currency.as_deref(), Cell::text)
        }),
    ]
}
