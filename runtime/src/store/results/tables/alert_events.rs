//! `alert_events`: one row a transition of an alert, copied from the control store.

use super::ColumnType::{I64, Text, Timestamp};
use super::{Cell, Column, Record, column, nullable};
use crate::domain::{Alert, AlertEvent};

/// Transition and its alert.
pub(in crate::store::results) type AlertEventRow = (AlertEvent, Alert);

impl Record for AlertEventRow {
    const TABLE: &'static str = "alert_events";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "moment of the transition", |(event, _)| {
                Cell::moment(event.ts_ms)
            }),
            column("event_id", I64, "id of the transition", |(event, _)| {
                Cell::Signed(event.id)
            }),
            column("alert_id", I64, "id of the alert", |(event, _)| {
                Cell::Signed(event.alert.0)
            }),
            column("service", Text, "slug of the service", |(_, alert)| {
                Cell::text(&alert.service)
            }),
            column("rule", Text, "key of the rule", |(_, alert)| {
                Cell::text(&alert.rule)
            }),
            column("alert", Text, "name of the alert", |(_, alert)| {
                Cell::text(&alert.name)
            }),
            column("severity", Text, "severity of the alert", |(_, alert)| {
                Cell::text(alert.severity.as_str())
            }),
            nullable("from_state", Text, "state before", |(event, _)| {
                Cell::optional(event.from, |state| Cell::text(state.as_str()))
            }),
            column("to_state", Text, "state after", |(event, _)| {
                Cell::text(event.to.as_str())
            }),
            column("actor", Text, "`engine`, or the person", |(event, _)| {
                Cell::text(&event.actor)
            }),
            column("reason", Text, "reason, for people", |(event, _)| {
                Cell::text(&event.reason)
            }),
        ]
    }
}
