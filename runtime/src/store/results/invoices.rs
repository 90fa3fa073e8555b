//! Lines of invoices: they are appended once, whatever is imported again, and added up by service.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use duckdb::{Connection, Row, ToSql, params};
use tokio::sync::watch;

use super::chore::Chore;
use super::error::reading;
use super::usage_sums::decimal;
use super::{ResultError, ResultStore, changes, tables};
use crate::domain::{InvoiceLine, InvoiceSum, TAX_CATEGORY};

/// Lines that are kept: all of them are one file for SQL, written anew with each import.
const MAX_KEPT: i64 = 500_000;

/// Last invoices that are compared: one for each service and currency.
const MAX_LATEST: i64 = 10_000;

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

/// What became of the lines that replace those of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The same lines are there.
    Same,
    Changed,
    /// There is no room; the lines of before are still there.
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

    /// Puts these lines in the place of all lines that an invoice has for a service.
    pub async fn invoice_replace(
        &self,
        invoice: String,
        service: String,
        lines: Vec<InvoiceLine>,
    ) -> Result<Replaced, ResultError> {
        let outcome = Arc::new(Mutex::new(Replaced::Same));
        let slot = Arc::clone(&outcome);
        let chore = Chore::new("replace an invoice in", move |connection| {
            let tx = connection.transaction()?;
            let found = replace(&tx, &invoice, &service, &lines)?;
            if found == Replaced::Changed {
                tx.commit()?;
            }
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = found;
            Ok(())
        });
        let answer = self.queue.chore(chore).await;
        answer.map_err(|_| ResultError::Closed)??;
        let found = *outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if found == Replaced::Changed {
            self.invoice_changes.send_modify(|count| *count += 1);
        }
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
            let limit = limit as i64;
            sums(connection, CHOSEN, params![invoice, service, limit]).map_err(reading)
        })
        .await
    }

    /// Returns the invoice of the latest period of each service and currency.
    pub async fn invoice_latest(&self) -> Result<Vec<InvoiceSum>, ResultError> {
        self.read(|connection| sums(connection, LATEST, params![MAX_LATEST]).map_err(reading))
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
    let mut known = known(connection, new)?;
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

fn replace(
    connection: &Connection,
    invoice: &str,
    service: &str,
    new: &[InvoiceLine],
) -> duckdb::Result<Replaced> {
    let of_service = |line: &InvoiceLine| line.service == service;
    let before: Vec<InvoiceLine> = lines(connection, invoice, i64::MIN, MAX_KEPT)?
        .into_iter()
        .filter(of_service)
        .collect();
    let is_same = before.len() == new.len()
        && before
            .iter()
            .zip(new)
            .all(|(one, other)| one.is_repeated_by(other));
    if is_same {
        return Ok(Replaced::Same);
    }
    let sql = "DELETE FROM fact.invoices WHERE invoice = ? AND service = ?";
    connection.execute(sql, params![invoice, service])?;
    let kept: i64 =
        connection.query_row("SELECT count(*) AS kept FROM fact.invoices", [], |row| {
            row.get("kept")
        })?;
    if kept.saturating_add(new.len() as i64) > MAX_KEPT {
        return Ok(Replaced::Full);
    }
    // Also where no line is appended.
    changes::mark_whole(connection, "invoices")?;
    tables::append(connection, new.iter())?;
    Ok(Replaced::Changed)
}

/// Returns the lines that are there under the keys of others. One question, however many invoices
/// they are of: nothing else is committed meanwhile.
fn known(connection: &Connection, new: &[InvoiceLine]) -> duckdb::Result<Known> {
    let invoices: Vec<&str> = new.iter().map(|line| line.invoice.as_str()).collect();
    let numbers: Vec<i64> = new.iter().map(|line| line.line).collect();
    let invoices = serde_json::to_string(&invoices).expect("a list of texts");
    let numbers = serde_json::to_string(&numbers).expect("a list of numbers");
    let sql = format!(
        "SELECT {LINE} FROM fact.invoices JOIN ( \
             SELECT DISTINCT unnest(?::JSON::VARCHAR[]) AS invoice, unnest(?::JSON::BIGINT[]) AS line \
         ) AS wanted USING (invoice, line)"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![invoices, numbers], line)?;
    rows.map(|row| row.map(|line| ((line.invoice.clone(), line.line), line)))
        .collect()
}

/// Which sums are wanted of all: those of an invoice and of a service, up to a number.
const CHOSEN: &str = "WHERE invoice = coalesce(?, invoice) AND service = coalesce(?, service) \
    ORDER BY until_ms DESC, invoice, service, currency LIMIT ?";
/// The first one of the latest period of each service and currency, up to a number.
const LATEST: &str = "QUALIFY row_number() OVER ( \
        PARTITION BY service, currency ORDER BY until_ms DESC, from_ms DESC, invoice) = 1 \
    ORDER BY service, currency LIMIT ?";

fn sums(
    connection: &Connection,
    wanted: &str,
    bounds: &[&dyn ToSql],
) -> duckdb::Result<Vec<InvoiceSum>> {
    let sql = format!(
        "WITH each_one AS ( \
             SELECT invoice, service, currency, epoch_ms(min(period_start)) AS from_ms, \
                 epoch_ms(max(period_end)) AS until_ms, count(*) AS lines, \
                 coalesce(sum(amount) FILTER (category <> '{TAX_CATEGORY}'), 0) AS billed, \
                 coalesce(sum(amount) FILTER (category = '{TAX_CATEGORY}'), 0) AS tax, \
                 epoch_ms(max(imported)) AS imported_ms \
             FROM fact.invoices GROUP BY invoice, service, currency \
         ), beside AS ( \
             SELECT *, count(*) OVER period AS together, sum(billed) OVER period AS billed_together FROM each_one \
             WINDOW period AS (PARTITION BY service, currency, from_ms, until_ms) \
         ) \
         SELECT * REPLACE (billed::VARCHAR AS billed, tax::VARCHAR AS tax, billed_together::VARCHAR AS billed_together) \
         FROM beside {wanted}"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(bounds, |row| {
        Ok(InvoiceSum {
            invoice: row.get("invoice")?,
            service: row.get("service")?,
            currency: row.get("currency")?,
            from_ms: row.get("from_ms")?,
            until_ms: row.get("until_ms")?,
            lines: row.get("lines")?,
            billed: decimal(row, "billed")?,
            together: row.get("together")?,
            billed_together: decimal(row, "billed_together")?,
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
    let sql = format!(
        "SELECT {LINE} FROM fact.invoices WHERE invoice = ? AND line > ? ORDER BY line LIMIT ?"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![invoice, after, limit], line)?;
    rows.collect()
}

/// Columns of a line, for [`line`].
const LINE: &str = "invoice, line, service, name, category, epoch_ms(period_start) AS from_ms, \
    epoch_ms(period_end) AS until_ms, amount::VARCHAR AS amount, currency, epoch_ms(imported) AS imported_ms";

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

    #[tokio::test]
    async fn lines_that_replace_an_invoice_leave_no_others_and_the_same_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (results, writer) = ResultStore::open(dir.path(), ResultSettings::default()).unwrap();
        writer.start().unwrap();
        let other = InvoiceLine {
            service: "other".to_owned(),
            ..line(9, "7")
        };
        results.invoice_append(vec![other.clone()]).await.unwrap();
        let replace = |lines: Vec<InvoiceLine>| {
            results.invoice_replace("INV-1".to_owned(), "pay".to_owned(), lines)
        };
        let first = vec![line(1, "10.5"), line(2, "3")];
        assert_eq!(replace(first.clone()).await.unwrap(), Replaced::Changed);
        let changes = results.invoice_changes();
        assert_eq!(replace(first).await.unwrap(), Replaced::Same);
        assert!(!changes.has_changed().unwrap());
        let corrected = line(1, "11");
        let answer = replace(vec![corrected.clone()]).await.unwrap();
        assert_eq!(answer, Replaced::Changed);
        assert!(changes.has_changed().unwrap());
        let kept = || results.invoice_lines("INV-1".to_owned(), i64::MIN, 10);
        assert_eq!(kept().await.unwrap(), [corrected, other.clone()]);
        assert_eq!(replace(Vec::new()).await.unwrap(), Replaced::Changed);
        assert_eq!(kept().await.unwrap(), [other]);
        results.close().await.unwrap();
    }

    #[tokio::test]
    async fn the_latest_period_of_each_service_is_found_among_many_with_all_its_invoices() {
        let dir = tempfile::tempdir().unwrap();
        let (results, writer) = ResultStore::open(dir.path(), ResultSettings::default()).unwrap();
        writer.start().unwrap();
        let of = |service: &str, invoice: String, until_ms: i64, amount: &str| InvoiceLine {
            invoice,
            service: service.to_owned(),
            from_ms: until_ms - 1_000,
            until_ms,
            ..line(1, amount)
        };
        let begin_ms = 1_796_083_200_000;
        let mut new: Vec<InvoiceLine> = (0..500)
            .map(|number| of("busy", format!("B-{number}"), begin_ms + number, "1"))
            .collect();
        for (invoice, amount) in [("Q-1", "10.5"), ("Q-2", "-2.25")] {
            new.push(of("quiet", invoice.to_owned(), begin_ms - 5_000, amount));
        }
        let outcomes = results.invoice_append(new.clone()).await.unwrap();
        assert!(outcomes.iter().all(|it| *it == LineOutcome::Taken));
        let outcomes = results.invoice_append(new).await.unwrap();
        assert!(outcomes.iter().all(|it| *it == LineOutcome::Known));
        let latest = results.invoice_latest().await.unwrap();
        let found: Vec<_> = latest
            .iter()
            .map(|sum| {
                let billed = sum.billed_together.normalize().to_string();
                (sum.invoice.as_str(), sum.together, billed)
            })
            .collect();
        assert_eq!(
            found,
            [("B-499", 1, "1".to_owned()), ("Q-1", 2, "8.25".to_owned())]
        );
        results.close().await.unwrap();
    }
}
