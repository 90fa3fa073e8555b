//! Lines of invoices: they are appended once, whatever is imported again, and added up by service.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use duckdb::{Connection, Row, params};
use tokio::sync::watch;

use super::chore::Chore;
use super::error::reading;
use super::usage_sums::decimal;
use super::{ResultError, ResultStore, tables};
use crate::domain::{InvoiceLine, InvoiceSum, TAX_CATEGORY};

/// Lines that are kept: all of them are one file for SQL, written anew with each import.
const MAX_KEPT: i64 = 500_000;

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineOutcome {
    Taken,
    /// The same line is there.
    Known,
    /// The line is there with another content.
    Differs(Box<InvoiceLine>),
    /// There is no room.
    Full,
}

/// Lines of one number by invoice.
type Known = HashMap<(String, i64), InvoiceLine>;

impl ResultStore {
    /// Returns after the commit what became of each line.
    pub async fn invoice_append(
        &self,
        lines: Vec<InvoiceLine>,
    ) -> Result<Vec<LineOutcome>, ResultError> {
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let slot = Arc::clone(&outcomes);
        let chore = Chore::new("import invoices into", move |connection| {
            let tx = connection.transaction()?;
            let found = append(&tx, &lines)?;
            tx.commit()?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = found;
            Ok(())
        });
        let answer = self.queue.chore(chore).await;
        answer.map_err(|_| ResultError::Closed)??;
        self.invoice_changes.send_modify(|count| *count += 1);
        let found = std::mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(found)
    }

    /// Changes with each import.
    pub fn invoice_changes(&self) -> watch::Receiver<u64> {
        self.invoice_changes.subscribe()
    }

    /// Returns invoices by service and currency, the latest periods first.
    pub async fn invoice_sums(
        &self,
        invoice: Option<String>,
        service: Option<String>,
        limit: usize,
    ) -> Result<Vec<InvoiceSum>, ResultError> {
        self.read(move |connection| {
            sums(connection, invoice, service, limit as i64).map_err(reading)
        })
        .await
    }

    /// Returns the lines of an invoice behind a number.
    pub async fn invoice_lines(
        &self,
        invoice: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<InvoiceLine>, ResultError> {
        self.read(move |connection| {
            lines(connection, &invoice, after, limit as i64).map_err(reading)
        })
        .await
    }
}

fn append(connection: &Connection, new: &[InvoiceLine]) -> duckdb::Result<Vec<LineOutcome>> {
    let invoices: BTreeSet<&str> = new.iter().map(|line| line.invoice.as_str()).collect();
    let mut known = Known::new();
    for invoice in invoices {
        for line in lines(connection, invoice, i64::MIN, MAX_KEPT)? {
            known.insert((line.invoice.clone(), line.line), line);
        }
    }
    let kept: i64 =
        connection.query_row("SELECT count(*) AS kept FROM fact.invoices", [], |row| {
            row.get("kept")
        })?;
    let mut room = MAX_KEPT - kept;
    let (mut outcomes, mut taken) = (Vec::new(), Vec::new());
    for line in new {
        let key = (line.invoice.clone(), line.line);
        let outcome = match known.get(&key) {
            Some(other) if other.is_repeated_by(line) => LineOutcome::Known,
            Some(other) => LineOutcome::Differs(Box::new(other.clone())),
            None if room <= 0 => LineOutcome::Full,
            None => {
                room -= 1;
                known.insert(key, line.clone());
                taken.push(line);
                LineOutcome::Taken
            }
        };
        outcomes.push(outcome);
    }
    tables::append(connection, taken.iter().copied())?;
    Ok(outcomes)
}

fn sums(
    connection: &Connection,
    invoice: Option<String>,
    service: Option<String>,
    limit: i64,
) -> duckdb::Result<Vec<InvoiceSum>> {
    let sql = format!(
        "SELECT invoice, service, currency, epoch_ms(min(period_start)) AS from_ms, epoch_ms(max(period_end)) AS until_ms, \
             count(*) AS lines, coalesce(sum(amount) FILTER (category <> '{TAX_CATEGORY}'), 0)::VARCHAR AS billed, \
             coalesce(sum(amount) FILTER (category = '{TAX_CATEGORY}'), 0)::VARCHAR AS tax, \
             epoch_ms(max(imported)) AS imported_ms \
         FROM fact.invoices WHERE invoice = coalesce(?, invoice) AND service = coalesce(?, service) \
         GROUP BY invoice, service, currency ORDER BY until_ms DESC, invoice, service, currency LIMIT ?"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![invoice, service, limit], |row| {
        Ok(InvoiceSum {
            invoice: row.get("invoice")?,
            service: row.get("service")?,
            currency: row.get("currency")?,
            from_ms: row.get("from_ms")?,
            until_ms: row.get("until_ms")?,
            lines: row.get("lines")?,
            billed: decimal(row, "billed")?,
            tax: decimal(row, "tax")?,
            imported_ms: row.get("imported_ms")?,
        })
    })?;
    rows.collect()
}

fn lines(
    connection: &Connection,
    invoice: &str,
    after: i64,
    limit: i64,
) -> duckdb::Result<Vec<InvoiceLine>> {
    let sql = "SELECT invoice, line, service, name, category, epoch_ms(period_start) AS from_ms, \
             epoch_ms(period_end) AS until_ms, amount::VARCHAR AS amount, currency, epoch_ms(imported) AS imported_ms \
         FROM fact.invoices WHERE invoice = ? AND line > ? ORDER BY line LIMIT ?";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params![invoice, after, limit], line)?;
    rows.collect()
}

fn line(row: &Row<'_>) -> duckdb::Result<InvoiceLine> {
    Ok(InvoiceLine {
        invoice: row.get("invoice")?,
        line: row.get("line")?,
        service: row.get("service")?,
        name: row.get("name")?,
        category: row.get("category")?,
        from_ms: row.get("from_ms")?,
        until_ms: row.get("until_ms")?,
        amount: decimal(row, "amount")?,
        currency: row.get("currency")?,
        imported_ms: row.get("imported_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;
    use crate::store::ResultSettings;

    fn line(number: i64, amount: &str) -> InvoiceLine {
        InvoiceLine {
            invoice: "INV-1".to_owned(),
            line: number,
            service: "pay".to_owned(),
            name: "Lookups".to_owned(),
            category: if number == 3 { "Tax" } else { "Usage" }.to_owned(),
            from_ms: 1_793_491_200_000 + number,
            until_ms: 1_796_083_200_000,
            amount: Decimal::from_str_exact(amount).unwrap(),
            currency: "EUR".to_owned(),
            imported_ms: 1_796_083_200_000,
        }
    }

    #[tokio::test]
    async fn a_line_that_is_imported_again_counts_once_and_another_content_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (results, writer) = ResultStore::open(dir.path(), ResultSettings::default()).unwrap();
        writer.start().unwrap();
        let changes = results.invoice_changes();
        let first = vec![line(1, "10.5"), line(2, "-0.25"), line(3, "1.9")];
        let outcomes = results.invoice_append(first).await.unwrap();
        assert_eq!(
            outcomes,
            [LineOutcome::Taken, LineOutcome::Taken, LineOutcome::Taken]
        );
        assert!(changes.has_changed().unwrap());
        let later = InvoiceLine {
            imported_ms: 1_796_083_200_001,
            ..line(1, "10.50")
        };
        let again = vec![later, line(2, "-0.26"), line(4, "1"), line(4, "1")];
        let outcomes = results.invoice_append(again).await.unwrap();
        assert_eq!(
            outcomes,
            [
                LineOutcome::Known,
                LineOutcome::Differs(Box::new(line(2, "-0.25"))),
                LineOutcome::Taken,
                LineOutcome::Known,
            ]
        );
        let sums = results.invoice_sums(None, None, 10).await.unwrap();
        assert_eq!(sums.len(), 1);
        assert_eq!(
            (
                sums[0].billed.to_string(),
                sums[0].tax.to_string(),
                sums[0].lines
            ),
            ("11.25".to_owned(), "1.9".to_owned(), 4)
        );
        assert_eq!(sums[0].from_ms, 1_793_491_200_001);
        let none = results
            .invoice_sums(None, Some("other".to_owned()), 10)
            .await;
        assert_eq!(none.unwrap(), []);
        let lines = results
            .invoice_lines("INV-1".to_owned(), 2, 10)
            .await
            .unwrap();
        assert_eq!(lines, [line(3, "1.9"), line(4, "1")]);
        results.close().await.unwrap();
    }
}
