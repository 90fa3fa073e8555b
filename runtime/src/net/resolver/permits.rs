//! How many look-ups are under way at once: in all, so that sockets are left for what is found, and
//! in one zone, so that a zone whose servers are dead delays its own names only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Each holds a socket for each server and family.
const MOST: usize = 512;
const LEAST: usize = 32;
/// So many zones have to be dead before one that is not has to wait.
const SHARES: usize = 32;
/// Zones that are remembered before those without a look-up are taken out.
const ZONES: usize = 1024;

#[derive(Debug)]
pub(super) struct Permits {
    pub(super) all: Arc<Semaphore>,
    per_zone: usize,
    zones: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// One look-up; gives its place back when it is dropped.
pub(super) struct Permit {
    _zone: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// A sixteenth of the file descriptors.
    pub(super) fn of_this_machine() -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::new(
            usize::try_from(files / 16)
                .unwrap_or(MOST)
                .clamp(LEAST, MOST),
        )
    }

    fn new(all: usize) -> Self {
        let per_zone = (all / SHARES).max(4);
        Self {
            all: Arc::new(Semaphore::new(all)),
            per_zone,
            zones: Mutex::default(),
        }
    }

    /// A place in the zone first: who waits for that takes no place from others.
    pub(super) async fn acquire(&self, name: &str) -> Permit {
        let zone = self.zone(name).acquire_owned().await.ok();
        let all = self.all.clone().acquire_owned().await.ok();
        Permit {
            _zone: zone,
            _all: all,
        }
    }

    fn zone(&self, name: &str) -> Arc<Semaphore> {
        let zone = zone_of(name);
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = zones.get(zone).and_then(Weak::upgrade) {
            return known;
        }
        if zones.len() >= ZONES {
            zones.retain(|_, known| known.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(self.per_zone));
        zones.insert(zone.to_owned(), Arc::downgrade(&new));
        new
    }
}

/// Returns the zone that was registered, as far as a name shows it: its last two labels, or three
/// below the likes of `co.uk` and `com.au`.
fn zone_of(name: &str) -> &str {
    let labels: Vec<&str> = name.rsplit('.').take(3).collect();
    let count = match labels.as_slice() {
        [top, second, _] if top.len() == 2 && second.len() <= 3 => 3,
        _ => 2,
    };
    let length = labels
        .iter()
        .take(count)
        .map(|label| label.len() + 1)
        .sum::<usize>()
        .saturating_sub(1);
    &name[name.len() - length..]
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_zone_is_what_is_registered_as_one() {
        for (name, wanted) in [
            ("api.eu.shop.example", "shop.example"),
            ("shop.example", "shop.example"),
            ("db", "db"),
            ("", ""),
            ("www.shop.co.uk", "shop.co.uk"),
            ("a.b.shop.com.au", "shop.com.au"),
            ("status.shop.io", "shop.io"),
            ("api.abc.de", "api.abc.de"),
        ] {
            assert_eq!(zone_of(name), wanted, "{name}");
        }
    }

    #[tokio::test]
    async fn a_dead_zone_takes_its_share_and_no_more() {
        let permits = Permits::new(64);
        let mut dead = Vec::new();
        for index in 0..4 {
            dead.push(
                permits
                    .acquire(&format!("p{index}.dead.example"))
                    .now_or_never()
                    .expect("there is room"),
            );
        }
        let mut queued: Vec<_> = (0..300)
            .map(|_| Box::pin(permits.acquire("next.dead.example")))
            .collect();
        for waiting in &mut queued {
            assert!(
                waiting.now_or_never().is_none(),
                "the share of the zone is taken"
            );
        }
        assert!(
            permits.acquire("api.live.example").now_or_never().is_some(),
            "another zone does not notice"
        );
        dead.clear();
        assert!((&mut queued[0]).now_or_never().is_some());
    }

    #[tokio::test]
    async fn zones_without_a_look_up_are_forgotten() {
        let permits = Permits::new(64);
        for index in 0..3 * ZONES {
            drop(permits.acquire(&format!("shop-{index}.example")).await);
        }
        assert!(permits.zones.lock().unwrap().len() <= ZONES);
    }
}
