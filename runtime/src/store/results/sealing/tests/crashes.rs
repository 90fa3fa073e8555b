//! A crash at any moment loses nothing and doubles nothing.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;

/// Where a seal is cut off, and where others write meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeRotate,
    BeforeLook,
    BeforePublish,
    BeforeRemoval,
    End,
}

const MOMENTS: [Moment; 5] = [
    Moment::BeforeRotate,
    Moment::BeforeLook,
    Moment::BeforePublish,
    Moment::BeforeRemoval,
    Moment::End,
];

struct Scenario {
    store: Store,
    random: StdRng,
    now: Micros,
    next_id: i64,
    /// A transaction that goes on.
    apart: Option<Connection>,
}

impl Scenario {
    fn commit(&mut self) {
        let rows = self.random.random_range(1..20);
        let mut runs = Vec::new();
        for _ in 0..rows {
            let age = match self.random.random_range(0..20) {
                0 => self.random.random_range(0..6 * DAY),
                1..3 => self.random.random_range(0..3 * HOUR),
                _ => self.random.random_range(0..6 * MINUTE),
            };
            self.next_id += 1;
            runs.push((self.next_id, (self.now - age) / 1_000 * 1_000));
        }
        self.store.commit(runs);
    }

    fn change(&mut self) {
        match self.random.random_range(0..9) {
            8 => self.remove_apart(),
            0 => {
                let names: Vec<String> = (0..self.random.random_range(0..3))
                    .map(|name| format!("service-{name}-{}", self.next_id))
                    .collect();
                self.store.replace_services(&names);
            }
            1..3 => {
                let retention = TierRetention {
                    runs: Some(std::time::Duration::from_secs(3 * 86_400)),
                    five_minutes: Some(std::time::Duration::from_secs(2 * 86_400)),
                    ..TierRetention::FOR_EVER
                };
                for _ in 0..self.random.random_range(1..40) {
                    self.store.step(self.now, &retention);
                }
            }
            _ => self.commit(),
        }
    }

    /// Another connection removes rows, and commits some time later.
    fn remove_apart(&mut self) {
        if self.apart.is_some() {
            return self.commit_apart();
        }
        let apart = self.store.connection.try_clone().unwrap();
        let day = Span::around(self.now - self.random.random_range(0..4 * DAY), DAY);
        apart.execute_batch("BEGIN").unwrap();
        let sql = format!("DELETE FROM fact.plugin_runs WHERE {}", day.sql());
        apart.execute_batch(&sql).unwrap();
        changes::mark_apart(&apart, "plugin_runs", std::iter::once(day)).unwrap();
        self.apart = Some(apart);
    }

    fn commit_apart(&mut self) {
        if let Some(apart) = self.apart.take() {
            apart.execute_batch("COMMIT").unwrap();
        }
    }

    /// A seal with changes between its parts, cut off at a moment.
    fn seal(&mut self, until: Moment) {
        let most_rows = *[1, 50, ALL, ALL].choose(&mut self.random).unwrap();
        let reached = |scenario: &mut Self, moment: Moment| {
            if scenario.random.random_bool(0.3) {
                scenario.change();
            }
            moment == until
        };
        if reached(self, Moment::BeforeRotate) {
            return;
        }
        changes::rotate(&self.store.connection).unwrap();
        if reached(self, Moment::BeforeLook) {
            return;
        }
        let taken = self.store.look(Purpose::Seal { most_rows }, self.now);
        if let Some(manifest) = &taken.manifest {
            self.store.assert_agrees(manifest);
        }
        let is_cut = reached(self, Moment::BeforePublish);
        if is_cut {
            // A program that is killed removes no files.
            taken.added.iter().for_each(|file| file.keep());
            return;
        }
        ledger::publish(&mut self.store.connection, &taken.change).unwrap();
        taken.added.iter().for_each(|file| file.keep());
        if reached(self, Moment::BeforeRemoval) {
            return;
        }
        settle(&taken);
    }
}

fn run(seed: u64, steps: usize) {
    let mut scenario = Scenario {
        store: Store::new(),
        random: StdRng::seed_from_u64(seed),
        now: T0,
        next_id: 0,
        apart: None,
    };
    for _ in 0..steps {
        let far = [MINUTE, 5 * MINUTE, HOUR, DAY];
        let ahead = *far.choose(&mut scenario.random).unwrap();
        scenario.now += scenario.random.random_range(0..ahead);
        for _ in 0..scenario.random.random_range(0..4) {
            scenario.change();
        }
        let moment = *MOMENTS.choose(&mut scenario.random).unwrap();
        scenario.seal(moment);
        let crashes = scenario.random.random_bool(0.3);
        println!("cut {moment:?}, crashes {crashes}");
        if crashes {
            // What it did is gone with the program.
            scenario.apart = None;
            scenario.store = scenario.store.crash();
        }
        let taken = scenario
            .store
            .look(Purpose::Fresh { most_rows: ALL }, scenario.now);
        scenario.store.assert_agrees(&taken.manifest.unwrap());
    }
    scenario.commit_apart();
    while !scenario.store.seal(scenario.now, ALL) {}
    let marked = changes::read(&scenario.store.connection).unwrap();
    assert_eq!(marked.marks, [], "nothing is left to be sealed");
}

#[test]
fn files_are_the_tables_after_any_changes_and_crashes() {
    let (seeds, steps) = match std::env::var("EXTRACK_TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("EXTRACK_TEST_SEED is a whole number");
            (vec![seed], 40)
        }
        Err(_) => ((0..3).map(|_| rand::random()).collect(), 12),
    };
    for seed in seeds {
        println!("EXTRACK_TEST_SEED={seed}");
        run(seed, steps);
    }
}
