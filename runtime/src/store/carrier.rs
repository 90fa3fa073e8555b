//! Carries rows from the control store to the results, by ids that grow with each change. The
//! results leave out what they have, so that a crash between the two stores loses and repeats
//! nothing. Nothing waits for it: rows stay in the control store while the results do not take
//! them.

use std::fmt;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::UnixMillis;

/// Rows read at once.
const BATCH: u32 = 500;
const RETRY: Duration = Duration::from_secs(5);

/// What is carried, and where the two ends of its way are.
pub trait Carried: Send + Sync {
    type Row: Send;
    type Error: fmt::Display + Send;

    /// Words for the log, e.g. `alert events`.
    const WHAT: &'static str;
    /// Interval of the looks without a call: what was missed is found then.
    const PATROL: Duration;

    /// Id and moment of a row.
    fn key(row: &Self::Row) -> (i64, UnixMillis);

    /// Returns rows of the control store with greater ids, in their order.
    fn after(
        &self,
        id: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Self::Error>> + Send;

    /// Returns id and moment of the row with the greatest id that the results have.
    fn last(&self) -> impl Future<Output = Result<Option<(i64, UnixMillis)>, Self::Error>> + Send;

    /// Has the results take rows, without those that they have.
    fn append(&self, rows: Vec<Self::Row>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Waits for the next change.
    fn woken(&self) -> impl Future<Output = ()> + Send;
}

/// Runs until the shutdown, then carries what is left.
pub async fn carry_all<C: Carried>(carried: C, shutdown: CancellationToken) {
    // Unknown until the results have answered.
    let mut done = None;
    let mut is_failing = false;
    loop {
        let wait = match carry(&carried, &mut done).await {
            Ok(()) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("{} are copied to the results again", C::WHAT);
                }
                C::PATROL
            }
            Err(error) => {
                // Once: an outage of the results may last.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(
                        %error,
                        "{} can't be copied to the results; they are kept and tried again",
                        C::WHAT
                    );
                }
                RETRY
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = carried.woken() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    if let Err(error) = carry(&carried, &mut done).await {
        tracing::warn!(
            %error,
            "the last {} were not copied to the results, the next start does it",
            C::WHAT
        );
    }
}

/// Carries what is new. `done`: the last id that both have, once that is known.
pub async fn carry<C: Carried>(carried: &C, done: &mut Option<i64>) -> Result<(), C::Error> {
    let mut last = match *done {
        Some(id) => id,
        None => watermark(carried).await?,
    };
    loop {
        *done = Some(last);
        let rows = carried.after(last, BATCH).await?;
        let is_all = rows.len() < BATCH as usize;
        if let Some(row) = rows.last() {
            (last, _) = C::key(row);
            carried.append(rows).await?;
            *done = Some(last);
        }
        if is_all {
            return Ok(());
        }
    }
}

/// The last row that both stores have. A control store that was made anew or restored counts from
/// where it was, beside results that know higher ids: then all of its rows are offered, and the
/// results leave out what they have.
async fn watermark<C: Carried>(carried: &C) -> Result<i64, C::Error> {
    let Some((id, ts_ms)) = carried.last().await? else {
        return Ok(0);
    };
    let found = carried.after(id - 1, 1).await?;
    let is_same = found.first().is_some_and(|row| C::key(row) == (id, ts_ms));
    if !is_same {
        tracing::info!(
            id,
            "the last of the {} in the results is not in the control store; all are compared",
            C::WHAT
        );
    }
    Ok(if is_same { id } else { 0 })
}
