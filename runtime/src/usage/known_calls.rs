//! Which calls were reported before. A call is known by its service and its id, among the calls that
//! began on the same day, the day before or the day after (UTC): who reports a call again reports the
//! moment it began at as well. Keys come into this memory after their calls are durable.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::domain::UnixMillis;
use crate::store::{ResultError, ResultStore};

const DAY_MS: i64 = 86_400_000;
/// Keys of one day that are held; a day with more is asked of the store.
const MAX_DAY: usize = 1_000_000;
/// Keys of all days, some 40 MB.
const MAX_KEYS: usize = 2_000_000;

/// Keys of the calls of one day.
enum Day {
    Held(HashSet<u64>),
    /// Too many.
    Large,
}

#[derive(Default)]
pub(super) struct KnownCalls {
    /// By the number of the day since 1970.
    days: BTreeMap<i64, Day>,
}

/// Why it is not known which calls were reported before.
#[derive(Debug)]
pub(super) enum Unknown {
    /// What is stored can't be read whole at the moment.
    Unsettled,
    Failed(ResultError),
}

impl KnownCalls {
    /// Returns those of some calls, each with its moment and key, that were reported before.
    pub(super) async fn among(
        &mut self,
        results: &ResultStore,
        calls: &[(UnixMillis, u64)],
    ) -> Result<HashSet<u64>, Unknown> {
        let days: BTreeSet<i64> = calls.iter().flat_map(|(ts_ms, _)| around(*ts_ms)).collect();
        self.forget_others(&days);
        let mut large = Vec::new();
        for day in days {
            let known = match self.days.entry(day) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(read_day(results, day).await?),
            };
            if matches!(known, Day::Large) {
                large.push(day);
            }
        }
        let is_known = |(ts_ms, key): &&(UnixMillis, u64)| {
            around(*ts_ms).any(|day| match self.days.get(&day) {
                Some(Day::Held(keys)) => keys.contains(key),
                _ => false,
            })
        };
        let mut known: HashSet<u64> = calls.iter().filter(is_known).map(|(_, key)| *key).collect();
        for day in large {
            let wanted: HashSet<u64> = calls
                .iter()
                .filter(|(ts_ms, _)| around(*ts_ms).any(|near| near == day))
                .map(|(_, key)| *key)
                .collect();
            settled(results)?;
            let found = results.call_keys_among(span(day), wanted).await;
            known.extend(found.map_err(Unknown::Failed)?);
        }
        Ok(known)
    }

    /// Adds calls that are durable.
    pub(super) fn remember(&mut self, calls: impl Iterator<Item = (UnixMillis, u64)>) {
        for (ts_ms, key) in calls {
            let day = ts_ms.div_euclid(DAY_MS);
            if let Some(Day::Held(keys)) = self.days.get_mut(&day) {
                keys.insert(key);
                if keys.len() > MAX_DAY {
                    self.days.insert(day, Day::Large);
                }
            }
        }
    }

    /// Makes room; days that are needed now stay.
    fn forget_others(&mut self, needed: &BTreeSet<i64>) {
        let held = |day: &Day| match day {
            Day::Held(keys) => keys.len(),
            Day::Large => 0,
        };
        let is_full = self.days.values().map(held).sum::<usize>() > MAX_KEYS;
        if is_full || self.days.len() > 1_000 {
            self.days.retain(|day, _| needed.contains(day));
        }
    }
}

/// The days among whose calls a call is looked for.
fn around(ts_ms: UnixMillis) -> impl Iterator<Item = i64> {
    let day = ts_ms.div_euclid(DAY_MS);
    day - 1..=day + 1
}

fn span(day: i64) -> (UnixMillis, UnixMillis) {
    (day * DAY_MS, (day + 1) * DAY_MS)
}

async fn read_day(results: &ResultStore, day: i64) -> Result<Day, Unknown> {
    settled(results)?;
    let keys = results.call_keys_between(span(day), MAX_DAY).await;
    let keys = keys.map_err(Unknown::Failed)?;
    Ok(keys.map_or(Day::Large, Day::Held))
}

/// What waits in the spool is not found by readers.
fn settled(results: &ResultStore) -> Result<(), Unknown> {
    if results.is_settled() {
        Ok(())
    } else {
        Err(Unknown::Unsettled)
    }
}
