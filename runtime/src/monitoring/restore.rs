//! The board as it was before the stop. It is of use, but nothing waits for it: a results store
//! that is slow or damaged delays the start by a bounded time, and then the board begins empty.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::domain::{Catalog, Observation, UnixMillis, WEBHOOK};
use crate::monitoring::{Monitoring, RECENT};
use crate::store::{ResultError, ResultStore};

/// Time-out of the whole restoration. Most starts take a fraction of a second.
const DEADLINE: Duration = Duration::from_secs(10);

/// Bounds of how far back runs are looked for: as far as the board shows runs of the rarest probe.
const MIN_SPAN: Duration = Duration::from_secs(600);
const MAX_SPAN: Duration = Duration::from_secs(86_400);

/// A report counts until the next one; one that is older than this is no longer the state of
/// anything.
const REPORTS_SPAN: Duration = Duration::from_secs(90 * 86_400);

/// Limit of runs on their way from the reader to the board.
const QUEUED: usize = 1_024;

impl Monitoring {
    /// Fills the board from the results and returns the reports after which nothing came: a probe
    /// runs again, but what was confirmed to a sender does not come again, and it may not have been
    /// judged before a crash.
    pub async fn restore_board(
        &self,
        results: &ResultStore,
        catalog: &Catalog,
    ) -> Vec<Arc<Observation>> {
        restore(self, results, catalog).await
    }
}

async fn restore(
    monitoring: &Monitoring,
    results: &ResultStore,
    catalog: &Catalog,
) -> Vec<Arc<Observation>> {
    let mut last = HashMap::new();
    let failure =
        match tokio::time::timeout(DEADLINE, read(monitoring, results, catalog, &mut last)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{:#}", anyhow::Error::new(error))),
            Err(_) => Some(format!("no answer within {} s", DEADLINE.as_secs())),
        };
    if let Some(error) = failure {
        metrics::counter!("extrack_restore_failures_total").increment(1);
        tracing::error!(
            error,
            "results from before the stop can't be read; the program starts without it"
        );
    }
    let mut unjudged: Vec<Arc<Observation>> = last.into_values().flatten().collect();
    unjudged.sort_by_key(|report| report.run_id);
    unjudged
}

/// Reads the recent runs. `last`: the last run of each service, if that is a report.
async fn read(
    monitoring: &Monitoring,
    results: &ResultStore,
    catalog: &Catalog,
    last: &mut HashMap<String, Option<Arc<Observation>>>,
) -> Result<(), ResultError> {
    if !results.past_whole().await {
        tracing::warn!(
            "what was spooled before the stop can't be committed yet; the board begins without it"
        );
    }
    let Some(newest_ms) = results.observation_newest_ms().await? else {
        return Ok(());
    };
    let has_webhooks = catalog
        .services
        .values()
        .any(|service| !service.webhooks.is_empty());
    let reports = if has_webhooks {
        results
            .report_recent(before(newest_ms, REPORTS_SPAN), RECENT)
            .await?
    } else {
        Vec::new()
    };
    let mut reports = reports.into_iter().peekable();
    let mut record = |run: Observation| {
        let report = (run.location == WEBHOOK).then(|| Arc::new(run.clone()));
        last.insert(run.service.clone(), report);
        monitoring.restore([run]);
    };
    let (to, mut runs) = mpsc::channel(QUEUED);
    let reading = results.observation_recent(before(newest_ms, span(catalog)), RECENT, to);
    let recording = async {
        while let Some(run) = runs.recv().await {
            while let Some(report) = reports.next_if(|report| report.run_id < run.run_id) {
                record(report);
            }
            record(run);
        }
        reports.for_each(record);
    };
    let (read, ()) = tokio::join!(reading, recording);
    read
}

fn span(catalog: &Catalog) -> Duration {
    let probes = catalog
        .services
        .values()
        .flat_map(|service| &service.probes);
    let longest = probes.map(|probe| probe.interval).max().unwrap_or_default();
    longest
        .saturating_mul(RECENT as u32)
        .clamp(MIN_SPAN, MAX_SPAN)
        .max(longest.saturating_mul(2))
}

fn before(moment_ms: UnixMillis, span: Duration) -> UnixMillis {
    moment_ms
        .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
        .max(0)
}
