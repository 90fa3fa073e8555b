//! The meter of a service: prices one call after another, by what its cycle has used so far.

mod charges;
mod recall;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::recall::CallGroup;

use self::charges::Counted;
use super::bill::price_of_usage;
use super::{Bounds, CostError, CycleSpan, CycleState, MeterState, PriceList};
use crate::domain::{CacheUse, Call, CallCost, CallEnd, CallUnits, UnixMillis};

/// Facts about a call that its price depends on.
#[derive(Debug, Clone, Copy)]
pub struct MeteredCall<'a> {
    pub ts_ms: UnixMillis,
    pub method: &'a str,
    /// The route's template, e.g. `/v1/customers/{id}`.
    pub route: &'a str,
    /// Status of the vendor's answer; none: there was no answer.
    pub status: Option<u16>,
    pub units: &'a CallUnits,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub attempts: u32,
    pub cache: CacheUse,
    pub ended: CallEnd,
    pub tags: &'a BTreeMap<String, String>,
}

impl<'a> MeteredCall<'a> {
    pub fn new(call: &'a Call, route: &'a str) -> Self {
        Self {
            ts_ms: call.ts_ms,
            method: &call.method,
            route,
            status: call.status,
            units: &call.units,
            bytes_in: call.bytes_in,
            bytes_out: call.bytes_out,
            attempts: call.attempts,
            cache: call.cache,
            ended: call.ended,
            tags: &call.tags,
        }
    }

    /// Whether the vendor was asked at all.
    fn is_sent(&self) -> bool {
        self.attempts > 0 && self.cache != CacheUse::Hit && self.ended != CallEnd::Refused
    }
}

/// Prices the calls of one service.
#[derive(Debug, Clone)]
pub struct CycleMeter {
    list: Arc<PriceList>,
    /// Oldest first.
    open: Vec<OpenCycle>,
}

#[derive(Debug, Clone)]
struct OpenCycle {
    span: CycleSpan,
    state: CycleState,
    /// Price of what was used.
    price: Bounds,
}

impl CycleMeter {
    /// Cycles that take late calls: the newest and those before it.
    pub const KEPT: usize = 3;

    pub fn new(list: Arc<PriceList>) -> Self {
        let open = Vec::new();
        Self { list, open }
    }

    /// Goes on where [`CycleMeter::state`] ended, also under a list that has changed since: what
    /// prices of the same name have counted stays counted, and the new list prices the calls to
    /// come.
    pub fn restore(list: Arc<PriceList>, state: MeterState) -> Result<Self, CostError> {
        let mut meter = Self::new(list);
        for state in state.cycles {
            let span = meter.list.cycle.around(state.from_ms)?;
            let price = price_of_usage(&meter.list, &span, &state)?.used;
            meter.open.push(OpenCycle { span, state, price });
        }
        meter.open.sort_by_key(|cycle| cycle.span.from_ms);
        // Cycles of a list with another anchor day may fall into one.
        meter.open.dedup_by_key(|cycle| cycle.span.from_ms);
        let surplus = meter.open.len().saturating_sub(Self::KEPT);
        meter.open.drain(..surplus);
        Ok(meter)
    }

    pub fn list(&self) -> &Arc<PriceList> {
        &self.list
    }

    pub fn state(&self) -> MeterState {
        let cycles = self.open.iter().map(|cycle| cycle.state.clone());
        MeterState {
            cycles: cycles.collect(),
        }
    }

    /// Returns the open cycles with the price of what was used in them, oldest first.
    pub fn cycles(&self) -> impl Iterator<Item = (&CycleSpan, &CycleState, Bounds)> {
        let cycles = self.open.iter();
        cycles.map(|cycle| (&cycle.span, &cycle.state, cycle.price))
    }

    /// Counts a call and returns what it costs: the difference that it makes to the price of its
    /// cycle, so that the costs of all calls add up to that price exactly. It may be below zero
    /// where more costs less (volume tiers). None: no price of the list is for what the call used,
    /// so its cost is unknown. After an error nothing was counted.
    ///
    /// The caller refuses calls from the future: the newest moment decides which cycles are open.
    pub fn take(&mut self, call: &MeteredCall<'_>) -> Result<Option<CallCost>, CostError> {
        let at = self.open_at(call.ts_ms)?;
        if !call.is_sent() {
            return Ok(Some(self.cost(Bounds::default())));
        }
        let day = self.list.cycle.day_of(call.ts_ms)?;
        let version = &self.list.versions[self.list.version_on(day)];
        let cycle = &self.open[at];
        let Some(counted) = charges::count(&self.list, version, &cycle.state, call)? else {
            return Ok(None);
        };
        let mut after = cycle.state.clone();
        let used = after.used.entry(version.key()).or_default();
        for Counted { price, sums } in counted {
            used.insert(price.name.clone(), sums);
        }
        let price = price_of_usage(&self.list, &cycle.span, &after)?.used;
        let difference = price.minus(cycle.price)?;
        let cycle = &mut self.open[at];
        cycle.state = after;
        cycle.price = price;
        Ok(Some(self.cost(difference)))
    }

    fn cost(&self, bounds: Bounds) -> CallCost {
        CallCost {
            min: bounds.low,
            max: bounds.high,
            currency: self.list.currency.code().clone(),
        }
    }

    /// Returns the index of the cycle that a moment lies in, which is opened if need be.
    fn open_at(&mut self, ts_ms: UnixMillis) -> Result<usize, CostError> {
        let found = |cycle: &OpenCycle| cycle.span.contains(ts_ms);
        if let Some(at) = self.open.iter().rposition(found) {
            return Ok(at);
        }
        let span = self.list.cycle.around(ts_ms)?;
        let newest = self.open.last().map(|cycle| cycle.span);
        let newest = newest.filter(|newest| newest.from_ms > span.from_ms);
        let mut oldest = newest.unwrap_or(span);
        for _ in 1..Self::KEPT {
            oldest = self.list.cycle.previous(&oldest)?;
        }
        if span.from_ms < oldest.from_ms {
            return Err(CostError::Closed { kept: Self::KEPT });
        }
        let state = CycleState {
            from_ms: span.from_ms,
            ..CycleState::default()
        };
        let price = price_of_usage(&self.list, &span, &state)?.used;
        self.open.push(OpenCycle { span, state, price });
        self.open.sort_by_key(|cycle| cycle.span.from_ms);
        self.open
            .retain(|cycle| cycle.span.from_ms >= oldest.from_ms);
        let at = self.open.iter().rposition(|cycle| cycle.span == span);
        at.ok_or(CostError::Closed { kept: Self::KEPT })
    }
}
