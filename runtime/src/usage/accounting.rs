//! Makes rows of calls: with the route of each, and its cost.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::{
    Call, CallPath, CallPricing, CallRow, CallUnits, RouteTemplates, RowCost, UsageTotals,
};

pub(super) struct Accounting {
    /// Routes by service.
    routes: Mutex<HashMap<String, RouteTemplates>>,
    pricing: Option<CallPricing>,
    /// Calls without rows that are in no batch yet.
    unlisted: Mutex<UsageTotals>,
}

impl Accounting {
    pub(super) fn new(pricing: Option<CallPricing>) -> Self {
        Self {
            routes: Mutex::default(),
            pricing,
            unlisted: Mutex::default(),
        }
    }

    /// Learns routes as they were before.
    pub(super) fn recall(&self, routes: Vec<(String, String)>) {
        let mut known = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for (service, route) in routes {
            known.entry(service).or_default().learn(&route);
        }
    }

    pub(super) fn row(&self, mut call: Call) -> CallRow {
        let route = self.route(&call.service, &call.path);
        call.path = CallPath::Route(route.clone());
        bound(&mut call);
        let cost = self.pricing.as_ref().and_then(|price| price(&call));
        let phase = |phase: Option<Duration>| phase.map(micros);
        CallRow {
            ts_ms: call.ts_ms,
            service: call.service.as_ref().to_owned(),
            consumer: call.consumer.as_deref().map(str::to_owned),
            route,
            status: call.status,
            latency_us: call.latency.map(micros),
            dns_us: phase(call.phases.dns),
            connect_us: phase(call.phases.connect),
            tls_us: phase(call.phases.tls),
            first_byte_us: phase(call.phases.first_byte),
            bytes_in: call.bytes_in,
            bytes_out: call.bytes_out,
            cost: cost.map(|cost| RowCost {
                min: cost.min,
                max: cost.max,
                currency: cost.currency.as_ref().to_owned(),
            }),
            attempts: call.attempts,
            cache: call.cache,
            source: call.source,
            ended: call.ended,
            call_id: call.id,
            method: call.method,
            units: call.units,
            error_kind: call.error_kind,
        }
    }

    pub(super) fn add_unlisted(&self, row: CallRow) {
        let mut unlisted = self.unlisted.lock().unwrap_or_else(PoisonError::into_inner);
        unlisted.add_unlisted(row);
    }

    pub(super) fn take_unlisted(&self) -> UsageTotals {
        let mut unlisted = self.unlisted.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut unlisted)
    }

    fn route(&self, service: &str, path: &CallPath) -> String {
        let mut known = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(service) {
            known.insert(service.to_owned(), RouteTemplates::default());
        }
        let Some(routes) = known.get_mut(service) else {
            return crate::domain::route_template::OTHER_ROUTES.to_owned();
        };
        match path {
            CallPath::Path(path) => routes.learn(path),
            CallPath::Route(route) => routes.given(route),
        }
    }
}

/// Most characters of a method, an id, a name.
const MAX_METHOD: usize = 32;
const MAX_TEXT: usize = 128;

/// Cuts what is too long to be kept.
fn bound(call: &mut Call) {
    cut(&mut call.method, MAX_METHOD);
    cut(&mut call.id, MAX_TEXT);
    if let Some(kind) = &mut call.error_kind {
        cut(kind, MAX_TEXT);
    }
    if call.units.amounts().len() > CallUnits::MAX {
        let amounts = call.units.amounts().clone();
        call.units = CallUnits::AtLeast(amounts.into_iter().take(CallUnits::MAX).collect());
    }
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
