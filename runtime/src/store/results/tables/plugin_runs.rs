//! `plugin_runs`: one row an execution of a plugin.

use super::ColumnType::{I64, Text, Timestamp, U32, U64};
use super::{Cell, Column, Record, column, nullable};
use crate::domain::PluginRun;

impl Record for PluginRun {
    const TABLE: &'static str = "plugin_runs";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "start of the run", |row| {
                Cell::moment(row.ts_ms)
            }),
            column("run_id", I64, "id of the run", |row| {
                Cell::Signed(row.run_id)
            }),
            column("plugin", Text, "name of the plugin", |row| {
                Cell::text(&row.plugin)
            }),
            column(
                "kind",
                Text,
                "`probe`, `rule`, `notifier`, `webhook` or `meter`",
                |row| Cell::text(row.kind.as_str()),
            ),
            column("version", Text, "version of the plugin", |row| {
                Cell::text(&row.version)
            }),
            column("digest", Text, "sha256 of the component, in hex", |row| {
                Cell::text(&row.digest)
            }),
            column("function", Text, "the function that was called", |row| {
                Cell::text(&row.function)
            }),
            nullable("service", Text, "slug of the service", |row| {
                Cell::optional(row.service.as_deref(), Cell::text)
            }),
            column(
                "outcome",
                Text,
                "`ok`, `error`, `trap`, `timeout` or `limit`",
                |row| Cell::text(row.outcome.as_str()),
            ),
            nullable(
                "error",
                Text,
                "reason of another outcome than `ok`",
                |row| Cell::optional(row.error.as_deref(), Cell::text),
            ),
            column("duration_us", U32, "wall clock in µs", |row| {
                Cell::Unsigned(row.duration_us)
            }),
            column("cpu_us", U32, "CPU time in µs", |row| {
                Cell::Unsigned(row.cpu_us)
            }),
            column("memory_bytes", U64, "most linear memory", |row| {
                Cell::Unsigned(row.memory_bytes)
            }),
            column("host_calls", U32, "calls of the host", |row| {
                Cell::Unsigned(row.host_calls.into())
            }),
            column("log_bytes", U64, "bytes logged", |row| {
                Cell::Unsigned(row.log_bytes)
            }),
            nullable("denials", U32, "calls that the policy refused", |row| {
                Cell::Unsigned(row.denials.into())
            }),
            nullable("denied", Text, "reason of the last refusal", |row| {
                Cell::optional(row.denied.as_deref(), Cell::text)
            }),
            nullable("bytes_in", U64, "bytes received", |row| {
                Cell::Unsigned(row.bytes_in)
            }),
            nullable("bytes_out", U64, "bytes sent", |row| {
                Cell::Unsigned(row.bytes_out)
            }),
        ]
    }
}
