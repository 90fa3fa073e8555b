//! The connections that are open, and which of them are closed when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::activity::Activity;
use crate::api::http::caller::Caller;

/// Share of all connections that is closed at once when room is needed, so that many new ones pay
/// for one search.
const EVICTED_SHARE: usize = 16;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections(Arc<Inner>);

struct Inner {
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last_id: u64,
    by_id: HashMap<u64, Arc<Activity>>,
}

/// A place among the open connections, given back when dropped.
pub(super) struct Held {
    connections: Connections,
    id: u64,
    pub(super) activity: Arc<Activity>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most: most.max(1),
            open: Mutex::default(),
        }))
    }

    fn open_now(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns none when all places are taken by connections whose clients wait for an answer.
    pub(super) fn open(&self, peer: IpAddr) -> Option<Held> {
        let mut open = self.open_now();
        if open.by_id.len() >= self.0.most && open.make_room(self.0.most) == 0 {
            return None;
        }
        open.last_id += 1;
        let (id, activity) = (open.last_id, Arc::new(Activity::new(peer)));
        open.by_id.insert(id, activity.clone());
        gauge(open.by_id.len());
        Some(Held {
            connections: self.clone(),
            id,
            activity,
        })
    }

    /// Closes some idle connections.
    pub(super) fn make_room(&self) {
        self.open_now().make_room(self.0.most);
    }
}

impl Open {
    /// Closes those of the addresses with the most connections first: idle ones before slow ones,
    /// old before new. Returns how many.
    fn make_room(&mut self, most: usize) -> usize {
        let mut held: HashMap<Caller, usize> = HashMap::new();
        for activity in self.by_id.values() {
            *held.entry(activity.caller()).or_default() += 1;
        }
        let mut ranked: Vec<(usize, u8, Duration, u64)> = self
            .by_id
            .iter()
            .filter_map(|(id, activity)| {
                let (class, age) = activity.expendable()?;
                Some((held[&activity.caller()], class, age, *id))
            })
            .collect();
        ranked.sort_unstable_by(|left, right| right.cmp(left));
        ranked.truncate((most / EVICTED_SHARE).max(1));
        for (.., id) in &ranked {
            if let Some(activity) = self.by_id.remove(id) {
                activity.evict();
            }
        }
        ranked.len()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.connections.open_now();
        open.by_id.remove(&self.id);
        gauge(open.by_id.len());
    }
}

fn gauge(count: usize) {
    metrics::gauge!("extrack_http_connections").set(count as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_idle_connection_of_the_busiest_address_makes_room() {
        let connections = Connections::new(4);
        let quiet = connections.open(address(1)).unwrap();
        let mut greedy = Vec::new();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            greedy.push(connections.open(address(2)).unwrap());
        }
        let newcomer = connections.open(address(3)).unwrap();
        greedy[0].activity.evicted().await;
        for kept in [&quiet, &greedy[1], &greedy[2], &newcomer] {
            assert!(!kept.activity.is_evicted());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_client_waits_for_an_answer_is_never_closed_for_another() {
        let connections = Connections::new(2);
        let (one, two) = (
            connections.open(address(1)).unwrap(),
            connections.open(address(1)).unwrap(),
        );
        let one_works = one.activity.working();
        let two_works = two.activity.working();
        assert!(connections.open(address(2)).is_none());
        two_works.end();
        let three = connections.open(address(2)).unwrap();
        assert!(two.activity.is_evicted() && !one.activity.is_evicted());
        let _three_works = three.activity.working();
        assert!(connections.open(address(2)).is_none());
        // A body that does not come is no reason to stay, nor is an answer that the client does not
        // take.
        one_works.reads_body(true);
        let four = connections.open(address(2)).unwrap();
        assert!(one.activity.is_evicted());
        let _four_works = four.activity.working();
        three.activity.wrote(false);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(connections.open(address(3)).is_some());
        assert!(three.activity.is_evicted() && !four.activity.is_evicted());
    }
}
