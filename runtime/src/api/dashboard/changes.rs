//! Changes since the dashboards were last updated. A set, not a queue: it can't grow beyond what
//! there is to show, and a service that changes ten times between two updates is shown once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Sender of changes for other parts of the program. Cheap to clone and to call.
#[derive(Clone, Default)]
pub struct Changes(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pending: Mutex<Pending>,
    notify: Notify,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Pending {
    pub(super) services: BTreeSet<String>,
    /// The list of services itself.
    pub(super) list: bool,
    pub(super) alerts: bool,
    pub(super) plugins: bool,
}

impl Changes {
    /// A service has a new observation.
    pub fn service(&self, slug: &str) {
        self.add(|pending| {
            if !pending.services.contains(slug) {
                pending.services.insert(slug.to_owned());
            }
        });
    }

    /// Services were added, changed or removed, or it is unknown which of them have new
    /// observations.
    pub fn services(&self) {
        self.add(|pending| pending.list = true);
    }

    pub fn alerts(&self) {
        self.add(|pending| pending.alerts = true);
    }

    pub fn plugins(&self) {
        self.add(|pending| pending.plugins = true);
    }

    /// Returns everything since the last call; waits until there is something.
    pub(super) async fn next(&self) -> Pending {
        loop {
            let notified = self.0.notify.notified();
            let pending = std::mem::take(
                &mut *self
                    .0
                    .pending
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            if pending != Pending::default() {
                return pending;
            }
            notified.await;
        }
    }

    fn add(&self, change: impl FnOnce(&mut Pending)) {
        change(
            &mut self
                .0
                .pending
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.0.notify.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn collects_until_asked() {
        let changes = Changes::default();
        changes.service("a");
        changes.service("b");
        changes.service("a");
        changes.alerts();
        let pending = changes.next().await;
        assert_eq!(pending.services.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(pending.alerts && !pending.plugins && !pending.list);

        let waiting = tokio::spawn({
            let changes = changes.clone();
            async move { changes.next().await }
        });
        tokio::task::yield_now().await;
        changes.plugins();
        assert!(waiting.await.unwrap().plugins);
    }
}
