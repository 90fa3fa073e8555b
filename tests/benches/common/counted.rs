//! Whether the tiers of a store have caught up with its rows.

use extrack::domain::{Tier, now_ms};
use extrack::store::ResultStore;

/// Reports whether all tiers are counted up to their last slots.
pub(crate) fn is_counted(store: &ResultStore) -> bool {
    Tier::ALL.into_iter().all(|tier| {
        let slack_ms = 2 * tier.width().as_millis() as i64 + 3 * 60_000;
        store
            .counted_until_ms(tier)
            .is_some_and(|until_ms| until_ms > now_ms() - slack_ms)
    })
}
