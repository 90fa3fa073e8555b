//! The history of the service that a rule looks at.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::domain::{
    Bucket, BudgetUsage, History, InvoiceUsage, RateLimitReading, Selection as Selected, Span,
    Summary, UsageToDate,
};
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::history::{
    Bucket as Step, Host, RateLimit, Sample, Selection, Usage, WindowSummary,
};
use crate::plugin_host::contract::bindings::imports::types::{Entry, Value};
use crate::plugin_host::contract::convert;
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::recorder::CallId;

/// Most samples a guest gets at once.
const MOST: u32 = 1_000;

#[derive(Clone, Serialize)]
struct Only {
    only: Option<Selection>,
}

#[derive(Clone, Serialize)]
struct Samples {
    last: u32,
    only: Option<Selection>,
}

#[derive(Clone, Serialize)]
struct Window {
    window_ms: u64,
    only: Option<Selection>,
}

#[derive(Clone, Serialize)]
struct Latency {
    window_ms: u64,
    quantile: f64,
    only: Option<Selection>,
}

#[derive(Clone, Serialize)]
struct Steps {
    from_ms_ago: u64,
    to_ms_ago: u64,
    step_ms: u64,
    quantile: f64,
    only: Option<Selection>,
}

impl Host for RunState {
    fn latest(&mut self, only: Option<Selection>) -> wasmtime::Result<Option<Sample>> {
        let asked = Only { only };
        let call = begin!(self, "history.latest", &asked);
        self.of_history(call, asked.only, latest)
    }

    fn samples(&mut self, last: u32, only: Option<Selection>) -> wasmtime::Result<Vec<Sample>> {
        let asked = Samples { last, only };
        let call = begin!(self, "history.samples", &asked);
        self.of_history(call, asked.only, move |history| samples(history, last))
    }

    fn summary(
        &mut self,
        window_ms: u64,
        only: Option<Selection>,
    ) -> wasmtime::Result<WindowSummary> {
        let asked = Window { window_ms, only };
        let call = begin!(self, "history.summary", &asked);
        self.of_history(call, asked.only, move |history| {
            summary(history.summary(Duration::from_millis(window_ms)))
        })
    }

    fn latency(
        &mut self,
        window_ms: u64,
        quantile: f64,
        only: Option<Selection>,
    ) -> wasmtime::Result<Option<u64>> {
        let asked = Latency {
            window_ms,
            quantile,
            only,
        };
        let call = begin!(self, "history.latency", &asked);
        self.of_history(call, asked.only, move |history| {
            history.latency(Duration::from_millis(window_ms), quantile)
        })
    }

    fn consecutive_failures(&mut self, only: Option<Selection>) -> wasmtime::Result<u32> {
        let asked = Only { only };
        let call = begin!(self, "history.consecutive-failures", &asked);
        self.of_history(call, asked.only, |history| history.consecutive_failures())
    }

    fn latest_by_probe(&mut self, only: Option<Selection>) -> wasmtime::Result<Vec<Sample>> {
        let asked = Only { only };
        let call = begin!(self, "history.latest-by-probe", &asked);
        self.of_history(call, asked.only, |history| {
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
        only: Option<Selection>,
    ) -> wasmtime::Result<Vec<Step>> {
        let asked = Steps {
            from_ms_ago,
            to_ms_ago,
            step_ms,
            quantile,
            only,
        };
        let call = begin!(self, "history.buckets", &asked);
        let span = Span {
            from: Duration::from_millis(from_ms_ago),
            to: Duration::from_millis(to_ms_ago),
            step: Duration::from_millis(step_ms),
            quantile,
        };
        self.of_history(call, asked.only, move |history| {
            history.buckets(span).into_iter().map(step).collect()
        })
    }

    fn rate_limits(&mut self) -> wasmtime::Result<Vec<RateLimit>> {
        let call = begin!(self, "history.rate-limits", &());
        self.of_history(call, None, |history| {
            history.rate_limits().into_iter().map(rate_limit).collect()
        })
    }

    fn usage_to_date(&mut self) -> wasmtime::Result<Vec<Usage>> {
        let call = begin!(self, "history.usage-to-date", &());
        self.of_history(call, None, |history| {
            history.usage().into_iter().map(usage).collect()
        })
    }

    fn watched_ms(&mut self) -> wasmtime::Result<u64> {
        let call = begin!(self, "history.watched-ms", &());
        self.of_history(call, None, |history| {
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
        only: Option<Selection>,
        ask: impl Fn(&dyn History) -> A + Send + Sync + 'static,
    ) -> wasmtime::Result<A>
    where
        A: Serialize + Send + Sync + 'static,
    {
        // Only rules are given one; no other kind can import the interface.
        let history = self
            .access
            .history
            .clone()
            .ok_or_else(|| wasmtime::Error::msg("no history in this call"))?;
        let history = match only {
            None => history,
            Some(only) => history.select(&Selected {
                probes: only.probes,
                locations: only.locations,
            }),
        };
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
        attributes: None,
    }
}

fn rate_limit(reading: RateLimitReading) -> RateLimit {
    let limit = reading.limit;
    let count = |key: &str, count: Option<u64>| {
        count.map(|count| Entry {
            key: key.to_owned(),
            value: Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)),
        })
    };
    let text = |key: &str, text: Option<String>| {
        text.map(|text| Entry {
            key: key.to_owned(),
            value: Value::Text(text),
        })
    };
    let counts = [
        count("used", limit.used),
        count("refill-per-hour", limit.refill_per_hour),
    ];
    let texts = [
        text("unit", limit.unit),
        text("credential", limit.credential),
        text("partition", limit.partition),
    ];
    let (counts, texts) = (counts.into_iter().flatten(), texts.into_iter().flatten());
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
        attributes: counts.chain(texts).collect(),
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
        attributes: Vec::new(),
    }
}

fn usage(usage: UsageToDate) -> Usage {
    let budget = usage.budget.map_or_else(Vec::new, budget_attributes);
    let invoice = usage.invoice.map_or_else(Vec::new, invoice_attributes);
    Usage {
        meter: usage.meter,
        period_start_ms: usage.period_start_ms.max(0).unsigned_abs(),
        period_end_ms: usage.period_end_ms.max(0).unsigned_abs(),
        used: usage.used,
        quota: usage.quota,
        cost_micros: usage.cost_micros,
        budget_micros: usage.budget_micros,
        currency: usage.currency,
        attributes: budget.into_iter().chain(invoice).collect(),
    }
}

/// Facts about an invoice beside what we counted.
fn invoice_attributes(invoice: InvoiceUsage) -> Vec<Entry> {
    let entry = |key: &str, value: Value| Entry {
        key: key.to_owned(),
        value,
    };
    let percent = invoice.drift_percent.map(Value::Number);
    let mut entries = vec![
        entry("billed-micros", Value::Integer(invoice.billed_micros)),
        entry("drift-micros", Value::Integer(invoice.drift_micros)),
        entry("reasons", Value::Text(invoice.reasons)),
    ];
    entries.extend(percent.map(|percent| entry("drift-percent", percent)));
    entries
}

/// Facts about a budget beside what is used. Keys are documented in the contract's README.
fn budget_attributes(budget: BudgetUsage) -> Vec<Entry> {
    let entry = |key: &str, value: Value| Entry {
        key: key.to_owned(),
        value,
    };
    let text = |key: &str, text: Option<String>| text.map(|text| entry(key, Value::Text(text)));
    let [likely, low, high] = match budget.forecast_micros {
        Some(micros) => micros.map(Some),
        None => [None; 3],
    };
    let number =
        |key: &str, number: Option<i64>| number.map(|number| entry(key, Value::Integer(number)));
    let entries = [
        text("budget", Some(budget.name)),
        text("missing", budget.missing),
        number("forecast-micros", likely),
        number("forecast-low-micros", low),
        number("forecast-high-micros", high),
        text("forecast-missing", budget.forecast_missing),
        number("used-up-ms", budget.used_up_ms),
    ];
    entries.into_iter().flatten().collect()
}
