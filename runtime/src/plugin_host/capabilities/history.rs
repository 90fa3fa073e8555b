//! The history of the service that a rule looks at.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::domain::{Bucket, History, RateLimitReading, Span, Summary};
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::history::{
    Bucket as Step, Host, RateLimit, Sample, WindowSummary,
};
use crate::plugin_host::contract::convert;
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::recorder::{CallId, begin};

/// Most samples a guest gets at once.
const MOST: u32 = 1_000;

#[derive(Clone, Copy, Serialize)]
struct Samples {
    last: u32,
}

#[derive(Clone, Copy, Serialize)]
struct Window {
    window_ms: u64,
}

#[derive(Clone, Copy, Serialize)]
struct Latency {
    window_ms: u64,
    quantile: f64,
}

#[derive(Clone, Copy, Serialize)]
struct Steps {
    from_ms_ago: u64,
    to_ms_ago: u64,
    step_ms: u64,
    quantile: f64,
}

impl Host for RunState {
    fn latest(&mut self) -> wasmtime::Result<Option<Sample>> {
        let call = begin!(self, "history.latest", &());
        self.of_history(call, latest)
    }

    fn samples(&mut self, last: u32) -> wasmtime::Result<Vec<Sample>> {
        let call = begin!(self, "history.samples", &Samples { last });
        self.of_history(call, move |history| samples(history, last))
    }

    fn summary(&mut self, window_ms: u64) -> wasmtime::Result<WindowSummary> {
        let call = begin!(self, "history.summary", &Window { window_ms });
        self.of_history(call, move |history| {
            summary(history.summary(Duration::from_millis(window_ms)))
        })
    }

    fn latency(&mut self, window_ms: u64, quantile: f64) -> wasmtime::Result<Option<u64>> {
        let call = begin!(
            self,
            "history.latency",
            &Latency {
                window_ms,
                quantile
            }
        );
        self.of_history(call, move |history| {
            history.latency(Duration::from_millis(window_ms), quantile)
        })
    }

    fn consecutive_failures(&mut self) -> wasmtime::Result<u32> {
        let call = begin!(self, "history.consecutive-failures", &());
        self.of_history(call, |history| history.consecutive_failures())
    }

    fn latest_by_probe(&mut self) -> wasmtime::Result<Vec<Sample>> {
        let call = begin!(self, "history.latest-by-probe", &());
        self.of_history(call, |history| {
            history
                .latest_by_probe()
                .iter()
                .map(|sample| convert::sample(sample))
                .collect()
        })
    }

    fn buckets(
        &mut self,
        from_ms_ago: u64,
        to_ms_ago: u64,
        step_ms: u64,
        quantile: f64,
    ) -> wasmtime::Result<Vec<Step>> {
        let asked = Steps {
            from_ms_ago,
            to_ms_ago,
            step_ms,
            quantile,
        };
        let call = begin!(self, "history.buckets", &asked);
        let span = Span {
            from: Duration::from_millis(from_ms_ago),
            to: Duration::from_millis(to_ms_ago),
            step: Duration::from_millis(step_ms),
            quantile,
        };
        self.of_history(call, move |history| {
            history.buckets(span).into_iter().map(step).collect()
        })
    }

    fn rate_limits(&mut self) -> wasmtime::Result<Vec<RateLimit>> {
        let call = begin!(self, "history.rate-limits", &());
        self.of_history(call, |history| {
            history.rate_limits().into_iter().map(rate_limit).collect()
        })
    }

    fn watched_ms(&mut self) -> wasmtime::Result<u64> {
        let call = begin!(self, "history.watched-ms", &());
        self.of_history(call, |history| {
            u64::try_from(history.watched().as_millis()).unwrap_or(u64::MAX)
        })
    }
}

impl RunState {
    /// Asks the history, which does not change: a recording asks it again instead of keeping the
    /// answer.
    fn of_history<A>(
        &self,
        call: CallId,
        ask: impl Fn(&dyn History) -> A + Send + Sync + 'static,
    ) -> wasmtime::Result<A>
    where
        A: Serialize + Send + Sync + 'static,
    {
        // Only rules are given one; nobody else can import the interface.
        let history = self
            .access
            .history
            .clone()
            .ok_or_else(|| wasmtime::Error::msg("no history in this call"))?;
        let answer = ask(&*history);
        self.access
            .recorder
            .finish_later(call, &answer, CallCost::default(), move || Again {
                history,
                ask,
            });
        Ok(answer)
    }
}

/// An answer that is computed when a recording is written.
struct Again<F> {
    history: Arc<dyn History>,
    ask: F,
}

impl<A: Serialize, F: Fn(&dyn History) -> A> Serialize for Again<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.ask)(&*self.history).serialize(serializer)
    }
}

fn latest(history: &dyn History) -> Option<Sample> {
    history.latest().as_deref().map(convert::sample)
}

fn samples(history: &dyn History, last: u32) -> Vec<Sample> {
    history
        .samples(last.min(MOST) as usize)
        .iter()
        .map(|sample| convert::sample(sample))
        .collect()
}

fn step(bucket: Bucket) -> Step {
    let Summary {
        count,
        healthy,
        degraded,
        unhealthy,
        errors,
        ..
    } = bucket.summary;
    Step {
        start_ms: bucket.start_ms.max(0).unsigned_abs(),
        end_ms: bucket.end_ms.max(0).unsigned_abs(),
        count,
        healthy,
        degraded,
        unhealthy,
        errors,
        latency_us: bucket.latency_us,
    }
}

fn rate_limit(reading: RateLimitReading) -> RateLimit {
    let limit = reading.limit;
    RateLimit {
        ts_ms: limit.ts_ms.max(0).unsigned_abs(),
        probe: reading.probe.to_string(),
        host: limit.host,
        name: limit.name,
        quota: limit.quota,
        remaining: limit.remaining,
        reset_ms: limit
            .reset_ms
            .map(|reset_ms| reset_ms.max(0).unsigned_abs()),
        window_ms: limit.window_ms,
    }
}

fn summary(summary: Summary) -> WindowSummary {
    WindowSummary {
        count: summary.count,
        healthy: summary.healthy,
        degraded: summary.degraded,
        unhealthy: summary.unhealthy,
        errors: summary.errors,
        covered_ms: summary.covered_ms,
    }
}
