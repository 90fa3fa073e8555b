//! Prices calls as they are counted: one meter for each service with a price list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::cost::{CycleMeter, CycleSpan, MeteredCall, PriceList, start_of_day_ms};
use crate::domain::{Call, CallCost, CallPath, CallPricing, Catalog, UnixMillis};
use crate::store::{ResultError, ResultStore};

/// The meters of all services.
pub struct Prices {
    catalog: watch::Receiver<Arc<Catalog>>,
    meters: Mutex<Meters>,
}

#[derive(Default)]
struct Meters {
    /// Version of the catalog that they are from.
    version: u64,
    by_service: HashMap<String, CycleMeter>,
}

impl Prices {
    /// Makes the meters, and counts what was used in this cycle and the one before.
    pub async fn load(
        results: &ResultStore,
        catalog: watch::Receiver<Arc<Catalog>>,
        now_ms: UnixMillis,
    ) -> Result<Arc<Self>, ResultError> {
        let known = catalog.borrow().clone();
        let mut meters = Meters::default();
        meters.follow(&known);
        for ((from_ms, until_ms), services) in ranges(&known, now_ms) {
            let groups = results.usage_groups(from_ms, until_ms).await?;
            for (service, group) in groups
                .iter()
                .filter(|(service, _)| services.contains(service))
            {
                let Some(meter) = meters.by_service.get_mut(service) else {
                    continue;
                };
                if let Err(error) = meter.recall(group) {
                    tracing::warn!(%service, route = %group.route, %error, "could not count earlier calls again: their cost stays as it was, tiers and allowances may be off");
                }
            }
        }
        let meters = Mutex::new(meters);
        Ok(Arc::new(Self { catalog, meters }))
    }

    /// Returns the function by which calls are priced.
    pub fn pricing(self: Arc<Self>) -> CallPricing {
        Arc::new(move |call| self.price(call))
    }

    /// Counts a call, whose path is a route by now. None: its cost is unknown.
    fn price(&self, call: &Call) -> Option<CallCost> {
        let CallPath::Route(route) = &call.path else {
            return None;
        };
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = self.catalog.borrow();
        if catalog.version != meters.version {
            meters.follow(&catalog);
        }
        drop(catalog);
        let meter = meters.by_service.get_mut(call.service.as_ref())?;
        match meter.take(&MeteredCall::new(call, route)) {
            Ok(cost) => cost,
            Err(error) => {
                tracing::debug!(service = %call.service, %error, "a call has no cost");
                metrics::counter!("extrack_calls_unpriced_total").increment(1);
                None
            }
        }
    }
}

impl Meters {
    /// Takes new price lists over. What was used under the old ones stays counted.
    fn follow(&mut self, catalog: &Catalog) {
        self.version = catalog.version;
        self.by_service
            .retain(|service, _| catalog.prices.contains_key(service));
        for (service, list) in &catalog.prices {
            match self.by_service.get(service) {
                Some(meter) if meter.list() == list => {}
                Some(meter) => {
                    let state = meter.state();
                    let meter = CycleMeter::restore(Arc::clone(list), state).unwrap_or_else(|error| {
                        tracing::warn!(%service, %error, "the price list changed, and its cycles begin anew");
                        CycleMeter::new(Arc::clone(list))
                    });
                    self.by_service.insert(service.clone(), meter);
                }
                None => {
                    let meter = CycleMeter::new(Arc::clone(list));
                    self.by_service.insert(service.clone(), meter);
                }
            }
        }
    }
}

/// Times in which one version of a list is in force, of this cycle and the one before, with the
/// services that have the same.
fn ranges(
    catalog: &Catalog,
    now_ms: UnixMillis,
) -> BTreeMap<(UnixMillis, UnixMillis), BTreeSet<String>> {
    let mut ranges: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (service, list) in &catalog.prices {
        let Ok(now) = list.cycle.around(now_ms) else {
            continue;
        };
        let before = list.cycle.previous(&now).ok();
        for span in before.iter().chain([&now]) {
            for range in versions_in(list, span) {
                ranges.entry(range).or_default().insert(service.clone());
            }
        }
    }
    ranges
}

fn versions_in(list: &PriceList, span: &CycleSpan) -> Vec<(UnixMillis, UnixMillis)> {
    let starts = list.versions.iter().filter_map(|version| version.from);
    let starts = starts.filter_map(|day| start_of_day_ms(list.cycle.zone, day).ok());
    let inside = starts.filter(|start| (span.from_ms + 1..span.until_ms).contains(start));
    let mut bounds = vec![span.from_ms];
    bounds.extend(inside);
    bounds.push(span.until_ms);
    bounds.windows(2).map(|pair| (pair[0], pair[1])).collect()
}
