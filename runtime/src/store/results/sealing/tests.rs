//! Files are the tables, whatever happens between two of their changes.

mod crashes;
mod running;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use duckdb::Connection;

use super::files::{Folder, SealedFile};
use super::ledger::{self, Entry};
use super::step::{Purpose, Taken, take};
use super::{Manifest, ResultError};
use crate::domain::{Observation, RunOutcome, TierRetention};
use crate::store::results::changes::{self, DAY, HOUR, Micros, Span, TABLES};
use crate::store::results::part::{Part, Work, write};
use crate::store::results::tests::{observation, plugin_run};
use crate::store::results::{ServiceRow, schema, tiers};

/// 2026-11-23T00:00:00Z
const T0: Micros = 1_795_392_000_000_000;
const MINUTE: Micros = 60_000_000;
const ALL: u64 = u64::MAX;

/// A store and its sealed files, without threads.
struct Store {
    root: tempfile::TempDir,
    connection: Connection,
    folder: Folder,
}

impl Store {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(root: tempfile::TempDir) -> Self {
        let open = |path: &Path| {
            Connection::open(path).map_err(|source| ResultError::Database {
                doing: "open",
                source,
            })
        };
        let path = root.path().join("results.duckdb");
        let connection = schema::migrate(open(&path).unwrap(), &path, open).unwrap();
        let folder = Folder::new(root.path().join("segments"));
        folder.create().unwrap();
        Self {
            root,
            connection,
            folder,
        }
    }

    /// Goes on with the files as they are on the disk now: what a crash leaves behind.
    fn crash(self) -> Self {
        let crashed = tempfile::tempdir().unwrap();
        copy(self.root.path(), crashed.path());
        Self::open(crashed)
    }

    /// Runs with these ids, each at its moment.
    fn commit(&mut self, runs: impl IntoIterator<Item = (i64, Micros)>) {
        let runs: Vec<_> = runs.into_iter().collect();
        let plugin_runs = runs
            .iter()
            .map(|(id, at)| plugin_run(*id, at / 1_000, "check", RunOutcome::Ok, 5));
        let part = Part {
            plugin_runs: plugin_runs.collect(),
            observations: runs
                .iter()
                .map(|(id, at)| {
                    Arc::new(Observation {
                        ts_ms: at / 1_000,
                        ..observation(*id)
                    })
                })
                .collect(),
            ..Part::default()
        };
        let work = Work {
            parts: vec![part],
            ..Work::default()
        };
        write(&mut self.connection, &work).unwrap();
    }

    fn replace_services(&mut self, names: &[String]) {
        let services = names.iter().map(|name| ServiceRow {
            slug: name.clone(),
            name: name.clone(),
            kind: "REST".to_owned(),
            base: String::new(),
            tags: vec!["a".to_owned()],
            owner: None,
            slo: None,
            profile: Default::default(),
            depends_on: Vec::new(),
        });
        let work = Work {
            services: Some(services.collect()),
            ..Work::default()
        };
        write(&mut self.connection, &work).unwrap();
    }

    fn step(&mut self, now: Micros, retention: &TierRetention) -> bool {
        let stepped = tiers::step(&mut self.connection, now / 1_000, retention);
        stepped.unwrap().has_worked
    }

    fn look(&self, purpose: Purpose, now: Micros) -> Taken {
        take(&self.connection, &self.folder, purpose, now).unwrap()
    }

    /// One step of a seal; returns whether that was all.
    fn seal(&mut self, now: Micros, most_rows: u64) -> bool {
        changes::rotate(&self.connection).unwrap();
        let taken = self.look(Purpose::Seal { most_rows }, now);
        if let Some(manifest) = &taken.manifest {
            self.assert_agrees(manifest);
        }
        ledger::publish(&mut self.connection, &taken.change).unwrap();
        settle(&taken);
        taken.rows_left == 0
    }

    fn seal_all(&mut self, now: Micros) {
        while !self.seal(now, ALL) {}
    }

    fn entries(&self, table: &str) -> Vec<Entry> {
        let mut entries = ledger::entries(&self.connection).unwrap();
        entries.retain(|entry| entry.table == table && entry.rows > 0);
        entries.sort_by_key(|entry| entry.span);
        entries
    }

    /// Widths of the files of a table, in minutes.
    fn widths(&self, table: &str) -> Vec<i64> {
        let entries = self.entries(table);
        let widths = entries.iter().map(|entry| entry.span.width() / MINUTE);
        widths.collect()
    }

    /// A query that comes now gets what is committed now.
    fn assert_fresh(&self, now: Micros) {
        let taken = self.look(Purpose::Fresh { most_rows: ALL }, now);
        self.assert_agrees(&taken.manifest.unwrap());
    }

    /// The files of each table together have its rows, and its columns.
    fn assert_agrees(&self, manifest: &Manifest) {
        for table in TABLES {
            let files = &manifest.files[table.name];
            let sealed = source(files.iter().map(|file| file.path()));
            let kept = format!("fact.{}", table.name);
            assert_eq!(
                self.content(&sealed),
                self.content(&kept),
                "{}: {files:?}",
                table.name
            );
            assert_eq!(self.columns(&sealed), self.columns(&kept));
        }
    }

    fn content(&self, source: &str) -> (i64, String) {
        let sql = format!(
            "SELECT count(*) AS rows, coalesce(sum(hash(kept)), 0)::VARCHAR AS content FROM {source} AS kept"
        );
        let row = |row: &duckdb::Row<'_>| Ok((row.get("rows")?, row.get("content")?));
        self.connection.query_row(&sql, [], row).unwrap()
    }

    fn columns(&self, source: &str) -> BTreeMap<String, String> {
        let sql = format!("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {source})");
        let mut statement = self.connection.prepare(&sql).unwrap();
        let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        columns.unwrap().map(Result::unwrap).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Does what the sealer does with files once the store names them.
fn settle(taken: &Taken) {
    taken.added.iter().for_each(|file| file.keep());
    taken.removed.iter().for_each(|file| file.retire());
}

fn source<'a>(files: impl Iterator<Item = &'a Path>) -> String {
    let files: Vec<String> = files.map(|file| format!("'{}'", file.display())).collect();
    format!("read_parquet([{}])", files.join(", "))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A run a minute.
fn runs(from: Micros, until: Micros) -> impl Iterator<Item = (i64, Micros)> {
    (0..(until - from) / MINUTE).map(move |minute| (minute + 1, from + minute * MINUTE))
}

#[test]
fn new_rows_are_small_files_which_are_joined_once_their_time_is_over() {
    let mut store = Store::new();
    store.commit(runs(T0, T0 + 52 * MINUTE));
    store.seal_all(T0 + 52 * MINUTE);
    assert_eq!(store.widths("observations"), [5; 11]);
    store.commit([(100, T0 + 59 * MINUTE)]);
    store.seal_all(T0 + HOUR + MINUTE);
    assert_eq!(store.widths("observations"), [5; 12]);
    store.seal_all(T0 + HOUR + 6 * MINUTE);
    assert_eq!(store.widths("observations"), [60]);
    store.commit(runs(T0 + HOUR, T0 + DAY + 7 * MINUTE));
    store.seal_all(T0 + DAY + 7 * MINUTE);
    assert_eq!(store.widths("observations"), [24 * 60, 5, 5]);
    assert_eq!(store.widths("plugin_runs"), [24 * 60, 5, 5]);
    let rows: Vec<u64> = store
        .entries("observations")
        .iter()
        .map(|entry| entry.rows)
        .collect();
    assert_eq!(rows, [52 + 1 + 23 * 60, 5, 2]);
    // Nothing is left of what was joined: two files of a whole table each, and the named ones.
    let named = ledger::entries(&store.connection).unwrap().len();
    assert_eq!(store.files().len(), named);
}

#[test]
fn a_late_row_has_its_file_written_anew_and_no_other() {
    let mut store = Store::new();
    store.commit(runs(T0, T0 + 3 * DAY));
    store.seal_all(T0 + 4 * DAY);
    let before = store.entries("observations");
    assert_eq!(store.widths("observations"), [1_440; 3]);
    store.commit([(10_000, T0 + DAY + 7 * HOUR)]);
    store.assert_fresh(T0 + 4 * DAY);
    store.seal_all(T0 + 4 * DAY);
    let after = store.entries("observations");
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_eq!(after[1].rows, before[1].rows + 1);
    assert_eq!(after[1].span, before[1].span);
}

#[test]
fn a_long_history_is_sealed_in_steps_and_handed_out_when_it_is_whole() {
    let mut store = Store::new();
    store.commit(runs(T0, T0 + 5 * DAY));
    let now = T0 + 5 * DAY + HOUR;
    assert!(
        store
            .look(Purpose::Fresh { most_rows: 5_000 }, now)
            .manifest
            .is_none()
    );
    let mut steps = 0;
    loop {
        changes::rotate(&store.connection).unwrap();
        let taken = store.look(Purpose::Seal { most_rows: 1_500 }, now);
        ledger::publish(&mut store.connection, &taken.change).unwrap();
        settle(&taken);
        steps += 1;
        let rows: u64 = taken.added.iter().map(|file| file.rows).sum();
        assert!(rows <= 3_000, "{rows} rows in one step");
        // A row that arrives meanwhile is in one of the later ones.
        if steps < 8 {
            store.commit([(100_000 + steps, T0 + MINUTE)]);
        }
        if let Some(manifest) = taken.manifest {
            assert_eq!(taken.rows_left, 0);
            assert!(manifest.files["observations"].len() > 5);
            break;
        }
        store = store.crash();
    }
    assert!(steps > 5);
    store.assert_fresh(now);
    assert_eq!(store.widths("observations"), [1_440; 5]);
}

#[test]
fn rows_that_are_removed_are_gone_from_the_files() {
    let mut store = Store::new();
    store.commit(runs(T0, T0 + 4 * DAY));
    let now = T0 + 6 * DAY;
    let retention = TierRetention {
        runs: Some(std::time::Duration::from_secs(4 * 86_400)),
        ..TierRetention::FOR_EVER
    };
    store.seal_all(now);
    while store.step(now, &retention) {}
    store.assert_fresh(now);
    store.seal_all(now);
    assert_eq!(store.widths("observations"), [1_440; 2]);
    assert_eq!(store.widths("roll_1d"), [1_440; 4]);
    store.assert_fresh(now);
}

#[test]
fn a_file_that_is_gone_or_has_other_columns_is_made_anew() {
    let mut store = Store::new();
    store.commit(runs(T0, T0 + 2 * DAY));
    let now = T0 + 3 * DAY;
    store.seal_all(now);
    let [first, second]: [Entry; 2] = store.entries("observations").try_into().unwrap();
    std::fs::remove_file(store.folder.path().join(&first.file)).unwrap();
    std::fs::write(store.folder.path().join(&second.file), "cut").unwrap();
    store.assert_fresh(now);
    store.seal_all(now);
    store.assert_fresh(now);
    let migration = "ALTER TABLE fact.plugin_runs ADD COLUMN one_more INTEGER DEFAULT 3";
    store.connection.execute_batch(migration).unwrap();
    store.assert_fresh(now);
    store.seal_all(now);
    assert_eq!(store.widths("plugin_runs"), [1_440; 2]);
    store.assert_fresh(now);
}

/// A plan that DuckDB makes knows the highest epoch there was then.
#[test]
fn marks_are_of_the_epoch_that_goes_on_also_after_a_restart() {
    let store = Store::new();
    changes::rotate(&store.connection).unwrap();
    store.connection.execute_batch("CHECKPOINT").unwrap();
    let mut store = store.crash();
    store.commit([(1, T0)]);
    changes::rotate(&store.connection).unwrap();
    let seen = changes::read(&store.connection).unwrap().seen;
    store.commit([(2, T0 + 1)]);
    changes::forget(&store.connection, &seen, &[]).unwrap();
    let left = changes::read(&store.connection).unwrap();
    assert!(!seen.is_empty() && left.seen.is_empty());
    let tables: Vec<&str> = left.marks.iter().map(|mark| &*mark.table).collect();
    assert!(
        tables.contains(&"observations") && tables.contains(&"plugin_runs"),
        "what came after the look is marked: {tables:?}"
    );
}

#[test]
fn a_reader_keeps_the_files_that_it_reads() {
    let mut store = Store::new();
    store.commit(runs(T0, T0 + 10 * MINUTE));
    store.seal_all(T0 + 10 * MINUTE);
    let taken = store.look(Purpose::Fresh { most_rows: ALL }, T0);
    let reading: Vec<Arc<SealedFile>> = taken.manifest.unwrap().files["observations"].clone();
    store.commit([(50, T0 + MINUTE)]);
    store.seal_all(T0 + DAY);
    store.seal_all(T0 + DAY);
    assert!(reading.iter().all(|file| file.path().exists()));
    let paths: Vec<PathBuf> = reading.iter().map(|file| file.path().to_owned()).collect();
    drop(reading);
    let left = paths.iter().filter(|path| path.exists()).count();
    assert_eq!(left, 1, "that without rows");
}
