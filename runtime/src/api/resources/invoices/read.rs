//! Reads lines of invoices from CSV and JSON. A line that is wrong is reported with its place, and
//! stops no other.

mod vendor_report;

use std::collections::HashMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::MAX_LINES;
use super::csv::{self, CsvRecord};
use crate::api_types::calls::UnitAmount;
use crate::api_types::invoices::{InvoiceImport, InvoiceImportLine};
use crate::domain::cost::Currency;
use crate::domain::{
    Catalog, InvoiceLine, USAGE_CATEGORY, UnixMillis, invoice_amount as amount, slug,
};

const MAX_ID: usize = 128;
const MAX_TEXT: usize = 256;
/// The year 2200.
const LAST_MS: UnixMillis = 7_258_118_400_000;

/// A line with its place in the file, from 1.
#[derive(Debug, PartialEq)]
pub(super) struct ReadLine {
    pub(super) place: usize,
    pub(super) line: Result<InvoiceLine, String>,
}

/// Context that lines are read with.
pub(super) struct Reader<'a> {
    pub(super) catalog: &'a Catalog,
    /// Invoice of lines without one.
    pub(super) invoice: Option<&'a str>,
    /// Service of all lines.
    pub(super) service: Option<&'a str>,
    pub(super) now_ms: UnixMillis,
}

/// Fields of a line as they were written; empty: there is none.
struct Fields<'a> {
    invoice: &'a str,
    line: i64,
    from: &'a str,
    to: &'a str,
    service: &'a str,
    amount: &'a str,
    currency: &'a str,
    name: &'a str,
    category: &'a str,
}

/// Names of columns, in lower case.
struct Columns {
    invoice: &'static str,
    from: &'static str,
    to: &'static str,
    service: &'static str,
    amount: &'static str,
    currency: &'static str,
    name: &'static str,
    category: &'static str,
}

/// Columns of the FinOps Open Cost and Usage Specification.
const FOCUS: Columns = Columns {
    invoice: "invoiceid",
    from: "chargeperiodstart",
    to: "chargeperiodend",
    service: "servicename",
    amount: "billedcost",
    currency: "billingcurrency",
    name: "chargedescription",
    category: "chargecategory",
};

const GENERIC: Columns = Columns {
    invoice: "invoice",
    from: "from",
    to: "to",
    service: "service",
    amount: "amount",
    currency: "currency",
    name: "name",
    category: "category",
};

impl Reader<'_> {
    pub(super) fn json(&self, import: &InvoiceImport) -> Vec<ReadLine> {
        let lines = import.lines.iter().enumerate();
        let lines = lines.map(|(index, line)| {
            let amount = match &line.amount {
                UnitAmount::Number(number) => number.to_string(),
                UnitAmount::Text(text) => text.clone(),
            };
            let fields = json_fields(&import.invoice, line, &amount, index + 1);
            ReadLine {
                place: index + 1,
                line: self.line(&fields),
            }
        });
        lines.collect()
    }

    /// Reads what a vendor reports of itself. None: it is no report that is known. Periods that are not over are left
    /// out: their amounts change.
    pub(super) fn report(&self, answer: &Value) -> Option<Result<Vec<ReadLine>, String>> {
        let periods = match vendor_report::periods(answer)? {
            Ok(periods) => periods,
            Err(reason) => return Some(Err(reason)),
        };
        if self.service.is_none() {
            let reason = "the report of a vendor names no service; add the parameter `service`, the slug of the one that it is for";
            return Some(Err(reason.to_owned()));
        }
        let over = periods
            .into_iter()
            .filter(|period| period.until.as_millisecond() <= self.now_ms);
        let lines = over.enumerate().map(|(index, period)| {
            let (from, until) = (period.from.to_string(), period.until.to_string());
            let fields = Fields {
                invoice: "",
                line: period.number,
                from: &from,
                to: &until,
                service: "",
                amount: &period.amount.to_string(),
                currency: &period.currency,
                name: "report of the vendor",
                category: "",
            };
            ReadLine {
                place: index + 1,
                line: self.line(&fields),
            }
        });
        Some(Ok(lines.collect()))
    }

    pub(super) fn csv(&self, text: &str) -> Result<Vec<ReadLine>, String> {
        let records = csv::records(text, MAX_LINES + 1)?;
        let Some((header, records)) = records.split_first() else {
            return Err("the file has no header".to_owned());
        };
        let index: HashMap<String, usize> = header
            .fields
            .iter()
            .enumerate()
            .map(|(index, name)| (name.trim().to_lowercase(), index))
            .collect();
        let columns = if index.contains_key(FOCUS.amount) {
            FOCUS
        } else {
            GENERIC
        };
        self.columns_check(&columns, &index)?;
        let lines = records.iter().enumerate().map(|(number, record)| {
            let row = CsvRow {
                index: &index,
                record,
            };
            let line = row.number(number + 1);
            let line = line.and_then(|line| self.line(&row.fields(&columns, line)));
            ReadLine {
                place: record.line,
                line,
            }
        });
        Ok(lines.collect())
    }

    fn columns_check(
        &self,
        columns: &Columns,
        index: &HashMap<String, usize>,
    ) -> Result<(), String> {
        let mut wanted = vec![columns.from, columns.to, columns.amount, columns.currency];
        if self.service.is_none() {
            wanted.push(columns.service);
        }
        if self.invoice.is_none() {
            wanted.push(columns.invoice);
        }
        let missing: Vec<&str> = wanted
            .into_iter()
            .filter(|name| !index.contains_key(*name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "the header has no `{}`; columns are those of FOCUS (`BilledCost`, …) or `from`, `to`, `service`, `amount`, \
             `currency`, and the parameters `invoice` and `service` stand for columns that are not there",
            missing.join("`, `")
        ))
    }

    fn line(&self, fields: &Fields<'_>) -> Result<InvoiceLine, String> {
        let invoice = match (fields.invoice, self.invoice) {
            ("", Some(invoice)) => invoice,
            ("", None) => return Err("the line names no invoice".to_owned()),
            (invoice, _) => invoice,
        };
        let (from_ms, until_ms) = (moment("from", fields.from)?, moment("to", fields.to)?);
        if from_ms >= until_ms {
            return Err("the period ends before it begins".to_owned());
        }
        let currency = Currency::parse(fields.currency)
            .ok_or_else(|| format!("`{}` is no currency of ISO 4217", fields.currency))?;
        let service = self.service_of(fields.service)?;
        let name = if fields.name.is_empty() {
            fields.service
        } else {
            fields.name
        };
        let category = if fields.category.is_empty() {
            USAGE_CATEGORY
        } else {
            fields.category
        };
        Ok(InvoiceLine {
            invoice: cut(invoice, MAX_ID)?,
            line: fields.line,
            service,
            name: name.chars().take(MAX_TEXT).collect(),
            category: cut(category, MAX_ID)?,
            from_ms,
            until_ms,
            amount: amount(fields.amount)?,
            currency: currency.code().as_ref().to_owned(),
            imported_ms: self.now_ms,
        })
    }

    /// Returns the slug of a service that is named by its slug or its name.
    fn service_of(&self, text: &str) -> Result<String, String> {
        if let Some(service) = self.service {
            return Ok(service.to_owned());
        }
        let wanted = slug(text);
        if self.catalog.described(text).is_some() {
            return Ok(text.to_owned());
        }
        if self.catalog.described(&wanted).is_some() {
            return Ok(wanted);
        }
        let all = self.catalog.services.iter().chain(&self.catalog.stopped);
        let mut named = all.filter(|(_, service)| service.name.eq_ignore_ascii_case(text));
        match named.next() {
            Some((slug, _)) => Ok(slug.clone()),
            None => Err(format!(
                "there is no service `{text}`; the parameter `service` names the one that all lines are for"
            )),
        }
    }
}

fn json_fields<'a>(
    invoice: &'a str,
    line: &'a InvoiceImportLine,
    amount: &'a str,
    place: usize,
) -> Fields<'a> {
    let place = i64::try_from(place).unwrap_or(i64::MAX);
    Fields {
        invoice,
        line: line.line.unwrap_or(place),
        from: &line.from,
        to: &line.to,
        service: &line.service,
        amount,
        currency: &line.currency,
        name: line.name.as_deref().unwrap_or_default(),
        category: line.category.as_deref().unwrap_or_default(),
    }
}

/// A record with the places of its columns.
struct CsvRow<'a> {
    index: &'a HashMap<String, usize>,
    record: &'a CsvRecord,
}

impl<'a> CsvRow<'a> {
    fn field(&self, name: &str) -> &'a str {
        let place = self.index.get(name);
        let field = place.and_then(|place| self.record.fields.get(*place));
        field.map_or("", |field| field.trim())
    }

    /// Returns the number of the line, which is its place where it has none.
    fn number(&self, place: usize) -> Result<i64, String> {
        match self.field("line") {
            "" => Ok(i64::try_from(place).unwrap_or(i64::MAX)),
            given => given
                .parse()
                .map_err(|_| format!("`line` is `{given}`, and no number")),
        }
    }

    fn fields(&self, columns: &Columns, line: i64) -> Fields<'a> {
        Fields {
            invoice: self.field(columns.invoice),
            line,
            from: self.field(columns.from),
            to: self.field(columns.to),
            service: self.field(columns.service),
            amount: self.field(columns.amount),
            currency: self.field(columns.currency),
            name: self.field(columns.name),
            category: self.field(columns.category),
        }
    }
}

/// Reads RFC 3339, or a date with or without a time, which is in UTC.
fn moment(name: &str, text: &str) -> Result<UnixMillis, String> {
    let plain = text.trim_end_matches("UTC").trim();
    let in_utc = || {
        let local = plain.parse::<DateTime>().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let parsed = plain.parse::<jiff::Timestamp>().ok().or_else(in_utc);
    let ms = parsed.map(jiff::Timestamp::as_millisecond);
    ms.filter(|ms| (0..LAST_MS).contains(ms)).ok_or_else(|| {
        format!("`{name}` is `{text}`, and no moment from 1970 to 2199 such as `2026-11-01T00:00:00Z` or `2026-11-01`")
    })
}

fn cut(text: &str, most: usize) -> Result<String, String> {
    if text.chars().count() <= most && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "ids and categories are one line of at most {most} characters"
    ))
}

#[cfg(test)]
mod tests;
