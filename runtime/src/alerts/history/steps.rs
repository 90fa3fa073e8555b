//! A span of the history, cut into steps that end where the span ends.

use super::MAX_BUCKETS;
use super::older::Latencies;
use crate::domain::{Bucket, Span, Summary, UnixMillis};

pub(super) struct Steps {
    pub(super) from_ms: UnixMillis,
    pub(super) to_ms: UnixMillis,
    step_ms: i64,
    /// Oldest first; latencies where there are runs.
    found: Vec<(Summary, Option<Latencies>)>,
}

impl Steps {
    /// Returns none for a span that is empty, has no steps, or more than [`MAX_BUCKETS`].
    pub(super) fn new(now_ms: UnixMillis, span: Span) -> Option<Self> {
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).ok();
        let (from_ms, to_ms) = (
            now_ms.checked_sub(millis(span.from)?)?,
            now_ms.checked_sub(millis(span.to)?)?,
        );
        let step_ms = millis(span.step).filter(|step_ms| *step_ms > 0)?;
        let length_ms = to_ms
            .checked_sub(from_ms)
            .filter(|length_ms| *length_ms > 0)?;
        let steps = usize::try_from((length_ms - 1) / step_ms + 1)
            .ok()
            .filter(|steps| *steps <= MAX_BUCKETS)?;
        Some(Self {
            from_ms,
            to_ms,
            step_ms,
            found: vec![(Summary::default(), None); steps],
        })
    }

    /// Returns the step of a moment; none outside of the span.
    pub(super) fn at(&mut self, ts_ms: UnixMillis) -> Option<(&mut Summary, &mut Latencies)> {
        if ts_ms <= self.from_ms || ts_ms > self.to_ms {
            return None;
        }
        let from_end = usize::try_from((self.to_ms - ts_ms) / self.step_ms).ok()?;
        let index = self.found.len().checked_sub(from_end + 1)?;
        let (summary, latencies) = self.found.get_mut(index)?;
        Some((summary, latencies.get_or_insert_with(Latencies::new)))
    }

    pub(super) fn into_buckets(self, quantile: f64) -> Vec<Bucket> {
        let steps = self.found.len();
        let bucket = |(index, (summary, latencies)): (usize, (Summary, Option<Latencies>))| {
            let end_ms = self.to_ms - (steps - 1 - index) as i64 * self.step_ms;
            Bucket {
                start_ms: (end_ms - self.step_ms).max(self.from_ms),
                end_ms,
                summary,
                latency_us: latencies.and_then(|latencies| latencies.quantile_us(quantile)),
            }
        };
        self.found.into_iter().enumerate().map(bucket).collect()
    }
}
