//! [`BudgetedRules`]: rules that see budgets and invoices of their subject beside its history. Figures
//! come from memory, so that no rule waits for the results.

use std::sync::Arc;
use std::time::Duration;

use super::ports::{PortResult, RuleRunner};
use crate::domain::{
    AlertRule, Bucket, History, Observation, RateLimitReading, Selection, Span, Summary,
    UnixMillis, UsageReader, UsageToDate, Verdict,
};

/// Runs rules with the budgets and invoices of their subjects.
#[derive(Clone)]
pub struct BudgetedRules<R> {
    rules: R,
    usage: UsageReader,
}

impl<R> BudgetedRules<R> {
    pub fn new(rules: R, usage: UsageReader) -> Self {
        Self { rules, usage }
    }
}

impl<R: RuleRunner> RuleRunner for BudgetedRules<R> {
    fn swaps(&self) -> u64 {
        self.rules.swaps()
    }

    fn ticks(&self, rule: &AlertRule) -> bool {
        self.rules.ticks(rule)
    }

    async fn look_back(&self, rule: &AlertRule) -> PortResult<Duration> {
        self.rules.look_back(rule).await
    }

    async fn evaluate(
        &self,
        rule: &AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
        let usage = (self.usage)(&rule.service, now_ms);
        let history = if usage.is_empty() {
            history
        } else {
            Arc::new(WithUsage {
                history,
                usage: usage.into(),
            })
        };
        self.rules.evaluate(rule, history, now_ms).await
    }
}

/// A history with what was used up to its moment.
struct WithUsage {
    history: Arc<dyn History>,
    usage: Arc<[UsageToDate]>,
}

impl History for WithUsage {
    fn latest(&self) -> Option<Arc<Observation>> {
        self.history.latest()
    }

    fn samples(&self, last: usize) -> Vec<Arc<Observation>> {
        self.history.samples(last)
    }

    fn summary(&self, window: Duration) -> Summary {
        self.history.summary(window)
    }

    fn latency(&self, window: Duration, quantile: f64) -> Option<u64> {
        self.history.latency(window, quantile)
    }

    fn consecutive_failures(&self) -> u32 {
        self.history.consecutive_failures()
    }

    fn latest_by_probe(&self) -> Vec<Arc<Observation>> {
        self.history.latest_by_probe()
    }

    fn buckets(&self, span: Span) -> Vec<Bucket> {
        self.history.buckets(span)
    }

    fn rate_limits(&self) -> Vec<RateLimitReading> {
        self.history.rate_limits()
    }

    fn usage(&self) -> Vec<UsageToDate> {
        self.usage.to_vec()
    }

    fn watched(&self) -> Duration {
        self.history.watched()
    }

    fn select(&self, selection: &Selection) -> Arc<dyn History> {
        Arc::new(Self {
            history: self.history.select(selection),
            usage: Arc::clone(&self.usage),
        })
    }
}
