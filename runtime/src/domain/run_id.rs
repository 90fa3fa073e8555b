//! Ids of runs: unique over machines and crashes, and in the order of time.
//!
//! An id is positive and has 53 bits, so that readers whose numbers are all floating-point, such as
//! JavaScript's, keep it exact. It consists of milliseconds since 2026 (41 bits, enough until
//! 2095), the number of the node that made it (4 bits) and a sequence within the millisecond
//! (8 bits). Ids that were counted from one, before, are smaller than all of these.

use std::sync::atomic::{AtomicU64, Ordering};

use super::UnixMillis;

/// 2026-01-01T00:00:00Z.
const EPOCH_MS: UnixMillis = 1_767_225_600_000;

const SEQUENCE_BITS: u32 = 8;
const NODE_BITS: u32 = 4;

const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;

/// Makes ids for the runs of one node.
#[derive(Debug)]
pub struct RunIds {
    node: u64,
    clock: fn() -> UnixMillis,
    /// Milliseconds and sequence of the last id. It runs ahead of the clock when that is set back,
    /// or when a millisecond has more runs than a sequence has numbers.
    last: AtomicU64,
}

impl RunIds {
    /// The node of the program itself.
    pub const THIS_NODE: u16 = 0;

    /// The most that a node's number may be.
    pub const MAX_NODE: u16 = (1 << NODE_BITS) - 1;

    /// Returns a source of ids that are larger than `last`, the largest id that may have been made
    /// before, by any node.
    pub fn after(last: i64, node: u16, clock: fn() -> UnixMillis) -> Self {
        let last = last.max(0) as u64;
        let node = u64::from(node.min(Self::MAX_NODE));
        let moment = last >> (NODE_BITS + SEQUENCE_BITS);
        let last_node = (last >> SEQUENCE_BITS) & u64::from(Self::MAX_NODE);
        // Behind a higher node, only the next millisecond has larger ids.
        let sequence = if last_node > node {
            MAX_SEQUENCE
        } else {
            last & MAX_SEQUENCE
        };
        Self {
            node,
            clock,
            last: AtomicU64::new((moment << SEQUENCE_BITS) | sequence),
        }
    }

    /// Returns a source of ids that count from one, for runs without a server.
    pub fn counting() -> Self {
        Self::after(0, Self::THIS_NODE, || EPOCH_MS)
    }

    pub fn next(&self) -> i64 {
        let now = ((self.clock)().saturating_sub(EPOCH_MS).max(0) as u64) << SEQUENCE_BITS;
        let step = |last: u64| (last + 1).max(now);
        let previous = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(step(last))
            });
        let ticks = step(previous.unwrap_or_else(|last| last));
        let (moment, sequence) = (ticks >> SEQUENCE_BITS, ticks & MAX_SEQUENCE);
        let id = (moment << (NODE_BITS + SEQUENCE_BITS)) | (self.node << SEQUENCE_BITS) | sequence;
        id as i64
    }
}

/// The distance of ids that are so much time apart.
pub const fn run_ids_within(duration_ms: i64) -> i64 {
    duration_ms << (NODE_BITS + SEQUENCE_BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: UnixMillis = EPOCH_MS + 220_000_000_000;

    #[test]
    fn ids_of_two_nodes_never_meet_and_grow() {
        let nodes = [RunIds::after(0, 0, || NOW), RunIds::after(0, 1, || NOW)];
        let mut seen = BTreeSet::new();
        let mut last = [0; 2];
        for _ in 0..10_000 {
            for (ids, last) in nodes.iter().zip(&mut last) {
                let id = ids.next();
                assert!(id > *last, "{id} after {last}");
                assert!(seen.insert(id), "{id} came twice");
                *last = id;
            }
        }
    }

    #[test]
    fn ids_after_a_crash_are_larger_even_when_the_clock_was_set_back() {
        let before = RunIds::after(0, 3, || NOW);
        let last = (0..5_000).map(|_| before.next()).last().unwrap();
        let after = RunIds::after(last, 3, || NOW - 3_600_000);
        assert!(after.next() > last);
        assert!(RunIds::after(last, 3, || NOW + 1_000).next() > last + run_ids_within(900));
    }

    #[test]
    fn ids_are_larger_than_every_last_one_while_the_clock_stands() {
        for last in [0, 1, 255, 256, 1_000, 4_095, 4_096, 1_000_000] {
            for node in [0, 1, 3, RunIds::MAX_NODE] {
                let id = RunIds::after(last, node, || EPOCH_MS).next();
                assert!(id > last, "{id} of node {node} after {last}");
            }
        }
    }

    #[test]
    fn ids_are_exact_as_floating_point_numbers() {
        // 2090-01-01T00:00:00Z.
        let ids = RunIds::after(0, RunIds::MAX_NODE, || 3_786_912_000_000);
        let id = (0..1_000).map(|_| ids.next()).last().unwrap();
        assert!(id < 1 << 53 && id as f64 as i64 == id, "{id}");
    }

    #[test]
    fn ids_that_were_counted_from_one_are_smaller() {
        let ids = RunIds::after(1_000_000_000_000, 0, || NOW);
        assert!(ids.next() > run_ids_within(200_000_000_000));
    }

    #[test]
    fn ids_without_a_server_count_from_one() {
        let ids = RunIds::counting();
        assert_eq!([ids.next(), ids.next(), ids.next()], [1, 2, 3]);
    }

    #[test]
    fn threads_get_different_ids() {
        let ids = RunIds::after(0, 0, || NOW);
        let made: Vec<i64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..5_000).map(|_| ids.next()).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), made.len());
    }
}
