//! The history of the service that a rule looks at.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::domain::{History, Summary};
use crate::plugin_host::bindings::imports::history::{Host, Sample, WindowSummary};
use crate::plugin_host::convert;
use crate::plugin_host::recorder::{CallId, begin};
use crate::plugin_host::recording::CallCost;
use crate::plugin_host::state::RunState;

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

impl Host for RunState {
    fn latest(&mut self) -> wasmtime::Result<Option<Sample>> {
        let call = begin!(self, "history.latest", &(), 0);
        self.of_history(call, latest)
    }

    fn samples(&mut self, last: u32) -> wasmtime::Result<Vec<Sample>> {
        let call = begin!(self, "history.samples", &Samples { last }, 0);
        self.of_history(call, move |history| samples(history, last))
    }

    fn summary(&mut self, window_ms: u64) -> wasmtime::Result<WindowSummary> {
        let call = begin!(self, "history.summary", &Window { window_ms }, 0);
        self.of_history(call, move |history| summary(history.summary(Duration::from_millis(window_ms))))
    }

    fn latency(&mut self, window_ms: u64, quantile: f64) -> wasmtime::Result<Option<u64>> {
        let call = begin!(self, "history.latency", &Latency { window_ms, quantile }, 0);
        self.of_history(call, move |history| history.latency(Duration::from_millis(window_ms), quantile))
    }

    fn consecutive_failures(&mut self) -> wasmtime::Result<u32> {
        let call = begin!(self, "history.consecutive-failures", &(), 0);
        self.of_history(call, |history| history.consecutive_failures())
    }
}

impl RunState {
    /// Asks the history, which does not change: a recording asks it again instead of keeping the answer.
    fn of_history<A>(
        &self,
        call: CallId,
        ask: impl Fn(&dyn History) -> A + Send + Sync + 'static,
    ) -> wasmtime::Result<A>
    where
        A: Serialize + 'static,
    {
        // Only rules are given one; nobody else can import the interface.
        let history = self.access.history.clone().ok_or_else(|| wasmtime::Error::msg("no history in this call"))?;
        let answer = ask(&*history);
        self.access.recorder.finish_later(call, 0, CallCost::default(), move || Again { history, ask });
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
    history.samples(last.min(MOST) as usize).iter().map(|sample| convert::sample(sample)).collect()
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
