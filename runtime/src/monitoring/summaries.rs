//! Figures of all services for lists, counted from the results now and then, and read from memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rust_decimal::Decimal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::cost::Cycle;
use crate::domain::{UnixMillis, now_ms};
use crate::store::{ResultError, ResultStore, ServiceSummary, UsageQuestion};

/// Time between two counts.
const PAUSE: Duration = Duration::from_secs(30);
/// Counting takes at most this part of the time, however long it takes.
const ONE_IN: u32 = 10;
const MINUTE_MS: UnixMillis = 60_000;

/// Figures that a list shows of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceFigures {
    pub summary: ServiceSummary,
    /// Cost of the calendar month of UTC so far, by currency.
    pub costs: Vec<(String, Decimal)>,
}

/// Figures by slug.
pub type FiguresBySlug = HashMap<String, Arc<ServiceFigures>>;

/// The figures as they were last counted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Summaries(Arc<ArcSwap<FiguresBySlug>>);

impl Summaries {
    /// Returns the figures of a service; none before it was first counted.
    pub(super) fn get(&self, slug: &str) -> Option<Arc<ServiceFigures>> {
        self.0.load().get(slug).cloned()
    }

    pub fn all(&self) -> Arc<FiguresBySlug> {
        self.0.load_full()
    }
}

/// Counts the figures until the shutdown.
pub struct SummaryRefresher {
    pub(super) results: ResultStore,
    pub(super) summaries: Summaries,
}

impl SummaryRefresher {
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            let began = Instant::now();
            let counted = tokio::select! {
                counted = self.count() => counted,
                () = shutdown.cancelled() => return,
            };
            match counted {
                Ok(counted) => self.summaries.0.store(Arc::new(counted)),
                Err(error) => {
                    tracing::warn!(%error, "the figures of the overview stay as they are: counting them failed");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause_after(began.elapsed())) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn count(&self) -> Result<FiguresBySlug, ResultError> {
        let now_ms = now_ms();
        let summaries = self.results.service_summaries(now_ms).await?;
        let mut counted: HashMap<String, ServiceFigures> = HashMap::new();
        for (slug, summary) in summaries {
            counted.entry(slug).or_default().summary = summary;
        }
        if let Ok(month) = Cycle::default().around(now_ms) {
            let question = UsageQuestion {
                from_ms: month.from_ms,
                until_ms: now_ms + MINUTE_MS,
                ..UsageQuestion::default()
            };
            for sum in self.results.usage_sums(question).await? {
                if let Some(currency) = sum.currency {
                    let costs = &mut counted.entry(sum.key.service).or_default().costs;
                    costs.push((currency, sum.all.cost.low));
                }
            }
        }
        let counted = counted.into_iter();
        Ok(counted
            .map(|(slug, figures)| (slug, Arc::new(figures)))
            .collect())
    }
}

fn pause_after(took: Duration) -> Duration {
    PAUSE.max(took * (ONE_IN - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_never_takes_more_than_its_part_of_the_time() {
        for (took_s, pause_s) in [(0, 30), (3, 30), (10, 90)] {
            let pause = pause_after(Duration::from_secs(took_s));
            assert_eq!(pause, Duration::from_secs(pause_s), "{took_s} s");
        }
    }
}
