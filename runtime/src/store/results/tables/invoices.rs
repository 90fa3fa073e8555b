//! `invoices`: one row a line of an invoice.

use super::ColumnType::{Decimal, I64, Text, Timestamp};
use super::{Cell, Column, Record, column};
use crate::domain::InvoiceLine;

impl Record for InvoiceLine {
    const TABLE: &'static str = "invoices";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("invoice", Text, "vendor's id of the invoice", |row| {
                Cell::text(&row.invoice)
            }),
            column("line", I64, "number of the line in the invoice", |row| {
                Cell::Signed(row.line)
            }),
            column("service", Text, "slug of the service", |row| {
                Cell::text(&row.service)
            }),
            column("name", Text, "vendor's name of what is billed", |row| {
                Cell::text(&row.name)
            }),
            column(
                "category",
                Text,
                "`Usage`, `Purchase`, `Tax`, `Credit`, `Adjustment`",
                |row| Cell::text(&row.category),
            ),
            column("period_start", Timestamp, "begin of the period", |row| {
                Cell::moment(row.from_ms)
            }),
            column(
                "period_end",
                Timestamp,
                "first moment behind the period",
                |row| Cell::moment(row.until_ms),
            ),
            column("amount", Decimal, "amount, below zero for credits", |row| {
                Cell::decimal(row.amount)
            }),
            column(
                "currency",
                Text,
                "currency of the amount (ISO 4217)",
                |row| Cell::text(&row.currency),
            ),
            column("imported", Timestamp, "moment of the import", |row| {
                Cell::moment(row.imported_ms)
            }),
        ]
    }
}
