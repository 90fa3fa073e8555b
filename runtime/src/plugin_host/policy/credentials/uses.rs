//! Last uses of credentials, on their way to the store: noting one costs a look into a map.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::UnixMillis;
use crate::store::control::CredentialUse;

/// By service, then by name.
type Uses = HashMap<String, HashMap<String, UnixMillis>>;

/// Uses that are not stored yet; at most one a credential.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct CredentialUses(Mutex<Uses>);

impl CredentialUses {
    fn lock(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::plugin_host) fn note(&self, service: &str, name: &str, now_ms: UnixMillis) {
        let mut uses = self.lock();
        let last = uses.get_mut(service).and_then(|names| names.get_mut(name));
        match last {
            Some(last) => *last = now_ms.max(*last),
            None => {
                let names = uses.entry(service.to_owned()).or_default();
                names.insert(name.to_owned(), now_ms);
            }
        }
    }

    pub(in crate::plugin_host) fn take(&self) -> Vec<CredentialUse> {
        let uses = std::mem::take(&mut *self.lock());
        let of_service = |(service, names): (String, HashMap<String, UnixMillis>)| {
            names.into_iter().map(move |(name, used_ms)| CredentialUse {
                service: service.clone(),
                name,
                used_ms,
            })
        };
        uses.into_iter().flat_map(of_service).collect()
    }

    /// Puts back what could not be stored.
    pub(in crate::plugin_host) fn put_back(&self, uses: Vec<CredentialUse>) {
        for used in uses {
            self.note(&used.service, &used.name, used.used_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_of_each_credential_is_taken_once() {
        let uses = CredentialUses::default();
        for (name, now_ms) in [("a", 1), ("b", 2), ("a", 3)] {
            uses.note("shop", name, now_ms);
        }
        let mut taken = uses.take();
        taken.sort_by_key(|used| used.used_ms);
        let found: Vec<_> = taken
            .iter()
            .map(|used| (used.name.as_str(), used.used_ms))
            .collect();
        assert_eq!(found, [("b", 2), ("a", 3)]);
        assert_eq!(uses.take(), []);
        uses.put_back(taken);
        uses.note("shop", "a", 2);
        assert!(uses.take().iter().any(|used| used.used_ms == 3));
    }
}
