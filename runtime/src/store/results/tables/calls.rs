//! `calls`: one row a call of a client to a service.

use std::borrow::Cow;

use super::ColumnType::{Decimal, Json, Text, Timestamp, U16, U32, U64};
use super::{Cell, Column, Record, column, nullable};
use crate::domain::CallRow;

impl Record for CallRow {
    const TABLE: &'static str = "calls";

    fn columns() -> Vec<Column<Self>> {
        let mut columns = subject();
        columns.extend(times());
        columns.extend(usage());
        columns.extend(ending());
        columns
    }
}

fn subject() -> Vec<Column<CallRow>> {
    vec![
        column("ts", Timestamp, "begin of the call", |row| {
            Cell::moment(row.ts_ms)
        }),
        column(
            "call_id",
            Text,
            "id of the call, unique in its service",
            |row| Cell::text(&row.call_id),
        ),
        column("service", Text, "slug of the service", |row| {
            Cell::text(&row.service)
        }),
        nullable("consumer", Text, "who called", |row| {
            Cell::optional(row.consumer.as_deref(), Cell::text)
        }),
        column("method", Text, "method of HTTP", |row| {
            Cell::text(&row.method)
        }),
        column("route", Text, "template of the path", |row| {
            Cell::text(&row.route)
        }),
        nullable("status", U16, "status of the answer", |row| {
            Cell::optional(row.status.map(u64::from), Cell::Unsigned)
        }),
    ]
}

fn times() -> Vec<Column<CallRow>> {
    vec![
        nullable("latency_us", U64, "whole time, in µs", |row| {
            Cell::optional(row.latency_us, Cell::Unsigned)
        }),
        nullable("dns_us", U32, "resolution of the name, in µs", |row| {
            Cell::optional(row.dns_us, Cell::Unsigned)
        }),
        nullable("connect_us", U32, "TCP connection, in µs", |row| {
            Cell::optional(row.connect_us, Cell::Unsigned)
        }),
        nullable("tls_us", U32, "TLS handshake, in µs", |row| {
            Cell::optional(row.tls_us, Cell::Unsigned)
        }),
        nullable(
            "first_byte_us",
            U64,
            "request's first byte to the answer's, in µs",
            |row| Cell::optional(row.first_byte_us, Cell::Unsigned),
        ),
    ]
}

fn usage() -> Vec<Column<CallRow>> {
    vec![
        column("bytes_in", U64, "body of the request, in bytes", |row| {
            Cell::Unsigned(row.bytes_in)
        }),
        column("bytes_out", U64, "body of the answer, in bytes", |row| {
            Cell::Unsigned(row.bytes_out)
        }),
        nullable(
            "units",
            Json,
            "what was used, by unit; `atLeast` where the answer could not be followed",
            |row| Cell::optional(row.units_json(), |json| Cell::Text(Cow::Owned(json))),
        ),
        nullable("cost_min", Decimal, "cost, at least", |row| {
            Cell::optional(row.cost.as_ref(), |cost| Cell::decimal(cost.min))
        }),
        nullable("cost_max", Decimal, "cost, at most", |row| {
            Cell::optional(row.cost.as_ref(), |cost| Cell::decimal(cost.max))
        }),
        nullable("currency", Text, "currency of the cost (ISO 4217)", |row| {
            Cell::optional(row.cost.as_ref(), |cost| Cell::text(&cost.currency))
        }),
    ]
}

fn ending() -> Vec<Column<CallRow>> {
    vec![
        column("attempts", U32, "requests sent to the service", |row| {
            Cell::Unsigned(row.attempts.into())
        }),
        column(
            "cache",
            Text,
            "`none`, `hit`, `miss`, `revalidated` or `bypass`",
            |row| Cell::text(row.cache.as_str()),
        ),
        column(
            "source",
            Text,
            "who counted it: `gateway`, `api`, `otlp`, `import` or `probe`",
            |row| Cell::text(row.source.as_str()),
        ),
        nullable("error_kind", Text, "what went wrong", |row| {
            Cell::optional(row.error_kind.as_deref(), Cell::text)
        }),
        column(
            "ended",
            Text,
            "`complete`, `cancelled`, `truncated`, `timeout` or `refused`",
            |row| Cell::text(row.ended.as_str()),
        ),
    ]
}
