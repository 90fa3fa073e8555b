//! Calls as they are stored: rows, and totals by minute. Both of one batch are committed together, so
//! that they never differ.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{CacheUse, CallEnd, CallSource, CallUnits, UnixMillis};

const MINUTE_MS: i64 = 60_000;

/// What a row says a call costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCost {
    pub min: Decimal,
    pub max: Decimal,
    /// ISO 4217
    pub currency: String,
}

/// One call, with its route and its cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRow {
    pub ts_ms: UnixMillis,
    pub call_id: String,
    pub service: String,
    pub consumer: Option<String>,
    pub method: String,
    pub route: String,
    pub status: Option<u16>,
    pub latency_us: Option<u64>,
    pub dns_us: Option<u64>,
    pub connect_us: Option<u64>,
    pub tls_us: Option<u64>,
    pub first_byte_us: Option<u64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub units: CallUnits,
    /// None: the service has no price list.
    pub cost: Option<RowCost>,
    pub attempts: u32,
    pub cache: CacheUse,
    pub source: CallSource,
    pub error_kind: Option<String>,
    pub ended: CallEnd,
}

impl CallRow {
    /// Returns the class of the status, e.g. `2xx`; none without an answer.
    pub fn status_class(&self) -> Option<&'static str> {
        const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let class = usize::from(self.status? / 100).checked_sub(1)?;
        CLASSES.get(class).copied()
    }

    /// Returns the units as JSON, each as a number with all its digits; none if there are none and
    /// that is certain. Units of a call that could not be followed to its end have `atLeast` beside them.
    pub fn units_json(&self) -> Option<String> {
        let amounts = self.units.amounts();
        let is_least = matches!(self.units, CallUnits::AtLeast(_));
        if amounts.is_empty() && !is_least {
            return None;
        }
        let mut fields: Vec<String> = amounts
            .iter()
            .map(|(unit, amount)| {
                let name = serde_json::Value::from(unit.as_str());
                format!("{name}:{}", amount.normalize())
            })
            .collect();
        if is_least {
            fields.push("\"atLeast\":true".to_owned());
        }
        Some(format!("{{{}}}", fields.join(",")))
    }
}

/// By what calls are added up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TotalKey {
    /// Begin of the minute.
    pub minute_ms: UnixMillis,
    pub service: String,
    pub consumer: Option<String>,
    pub method: String,
    pub route: String,
    pub status_class: Option<String>,
    pub cache: CacheUse,
    pub source: CallSource,
    pub ended: CallEnd,
    pub currency: Option<String>,
    /// None: the calls themselves; else an amount of this unit alone.
    pub unit: Option<String>,
}

/// Figures of calls that were added up; what is not the matter of a key is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalFigures {
    pub calls: u64,
    /// Calls among those that have no row of their own.
    pub unlisted: u64,
    pub attempts: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub latency_us: u64,
    /// Of the unit.
    pub amount: Decimal,
    pub cost_min: Decimal,
    pub cost_max: Decimal,
}

/// Calls added up; a minute may have many such totals, which are added up again when they are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotal {
    pub key: TotalKey,
    pub figures: TotalFigures,
}

/// Adds up calls.
#[derive(Debug, Default)]
pub struct UsageTotals(HashMap<TotalKey, TotalFigures>);

impl UsageTotals {
    /// Keys of calls without rows that wait for a commit; past it their routes are no longer told
    /// apart.
    pub const MAX_KEYS: usize = 50_000;

    /// Returns the totals of rows.
    pub fn of(rows: &[CallRow]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            totals.add(row, 0);
        }
        totals
    }

    /// Adds a call that has no row of its own.
    pub fn add_unlisted(&mut self, mut row: CallRow) {
        if self.0.len() >= Self::MAX_KEYS {
            super::route_template::OTHER_ROUTES.clone_into(&mut row.route);
            row.consumer = None;
        }
        self.add(&row, 1);
    }

    fn add(&mut self, row: &CallRow, unlisted: u64) {
        let key = TotalKey {
            minute_ms: row.ts_ms.div_euclid(MINUTE_MS) * MINUTE_MS,
            service: row.service.clone(),
            consumer: row.consumer.clone(),
            method: row.method.clone(),
            route: row.route.clone(),
            status_class: row.status_class().map(str::to_owned),
            cache: row.cache,
            source: row.source,
            ended: row.ended,
            currency: row.cost.as_ref().map(|cost| cost.currency.clone()),
            unit: None,
        };
        for (unit, amount) in row.units.amounts() {
            let key = TotalKey {
                unit: Some(unit.clone()),
                ..key.clone()
            };
            let figures = self.0.entry(key).or_default();
            figures.amount = figures.amount.saturating_add(*amount);
        }
        let figures = self.0.entry(key).or_default();
        figures.calls += 1;
        figures.unlisted += unlisted;
        figures.attempts += u64::from(row.attempts);
        figures.bytes_in = figures.bytes_in.saturating_add(row.bytes_in);
        figures.bytes_out = figures.bytes_out.saturating_add(row.bytes_out);
        let latency_us = row.latency_us.unwrap_or_default();
        figures.latency_us = figures.latency_us.saturating_add(latency_us);
        if let Some(cost) = &row.cost {
            figures.cost_min = figures.cost_min.saturating_add(cost.min);
            figures.cost_max = figures.cost_max.saturating_add(cost.max);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what was added up.
    pub fn into_totals(self) -> Vec<UsageTotal> {
        let totals = self.0.into_iter();
        totals
            .map(|(key, figures)| UsageTotal { key, figures })
            .collect()
    }
}

/// Calls that are stored together or not at all. A batch that may be stored already can be handed
/// over again: its number says whether it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallBatch {
    /// Larger than that of each batch before: microseconds since 1970.
    pub seq: i64,
    pub rows: Vec<CallRow>,
    /// Of the rows, and of calls that have none.
    pub totals: Vec<UsageTotal>,
}

impl CallBatch {
    /// Rows in the store.
    pub fn stored_rows(&self) -> usize {
        self.rows.len() + self.totals.len()
    }
}

/// Minutes in which calls and their rows do not agree, by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageDifference {
    pub minute_ms: UnixMillis,
    /// Calls in the totals that should have rows.
    pub counted: i64,
    pub listed: i64,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(ts_ms: i64, amount: &str) -> CallRow {
        let units = BTreeMap::from([("tokens".to_owned(), amount.parse().unwrap())]);
        CallRow {
            ts_ms,
            call_id: ts_ms.to_string(),
            service: "s".to_owned(),
            consumer: None,
            method: "GET".to_owned(),
            route: "/a".to_owned(),
            status: Some(204),
            latency_us: Some(10),
            dns_us: None,
            connect_us: None,
            tls_us: None,
            first_byte_us: None,
            bytes_in: 1,
            bytes_out: 2,
            units: CallUnits::Known(units),
            cost: None,
            attempts: 2,
            cache: CacheUse::None,
            source: CallSource::Api,
            error_kind: None,
            ended: CallEnd::Complete,
        }
    }

    #[test]
    fn calls_are_added_up_by_minute_and_unit() {
        let rows = [row(59_999, "1.5"), row(60_000, "2"), row(60_001, "0.25")];
        let mut totals = UsageTotals::of(&rows).into_totals();
        totals.sort_by_key(|total| (total.key.minute_ms, total.key.unit.is_some()));
        let found: Vec<_> = totals
            .iter()
            .map(|total| {
                let figures = &total.figures;
                (
                    total.key.minute_ms,
                    figures.calls,
                    figures.attempts,
                    figures.amount.to_string(),
                )
            })
            .collect();
        let wanted = [
            (0, 1, 2, "0"),
            (0, 0, 0, "1.5"),
            (60_000, 2, 4, "0"),
            (60_000, 0, 0, "2.25"),
        ];
        assert_eq!(
            found,
            wanted.map(|(minute, calls, attempts, amount)| (
                minute,
                calls,
                attempts,
                amount.to_owned()
            ))
        );
        assert_eq!(totals[0].key.status_class.as_deref(), Some("2xx"));
    }

    #[test]
    fn units_are_json_with_all_their_digits() {
        let mut call = row(0, "12345678901234567890.10");
        assert_eq!(
            call.units_json().unwrap(),
            "{\"tokens\":12345678901234567890.1}"
        );
        call.units = CallUnits::AtLeast(BTreeMap::new());
        assert_eq!(call.units_json().unwrap(), "{\"atLeast\":true}");
        call.units = CallUnits::default();
        assert_eq!(call.units_json(), None);
    }

    #[test]
    fn calls_without_rows_are_added_up_however_many_routes_there_are() {
        let mut totals = UsageTotals::default();
        for index in 0..UsageTotals::MAX_KEYS as i64 + 1_000 {
            let route = format!("/r{index}");
            totals.add_unlisted(CallRow {
                route,
                ..row(0, "1")
            });
        }
        assert!(totals.0.len() <= UsageTotals::MAX_KEYS + 2);
        let totals = totals.into_totals();
        let unlisted: u64 = totals.iter().map(|total| total.figures.unlisted).sum();
        assert_eq!(unlisted, UsageTotals::MAX_KEYS as u64 + 1_000);
    }
}
