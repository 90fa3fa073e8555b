use super::*;
use crate::domain::RunOutcome;
use crate::store::results::ResultSettings;
use crate::store::results::tests::{Running, plugin_run};

const DAY_MS: i64 = 86_400_000;
/// 2026-11-23T00:00:00Z
const START: i64 = 1_795_392_000_000;
const TABLE: ArchiveTable = ArchiveTable::PluginRuns;

struct World {
    running: Running,
    archive: tempfile::TempDir,
}

impl World {
    /// A store with runs of three days.
    async fn start() -> Self {
        let archive = tempfile::tempdir().unwrap();
        let settings = ResultSettings {
            archive: Some(archive.path().to_owned()),
            ..ResultSettings::default()
        };
        let running = Running::start_in(tempfile::tempdir().unwrap(), settings);
        let world = Self { running, archive };
        world.record((0..3).flat_map(|day| [day * DAY_MS, day * DAY_MS + 5]));
        world.committed(6).await;
        world
    }

    /// Records a run for each moment after the start.
    fn record(&self, moments: impl IntoIterator<Item = i64>) {
        for after_ms in moments {
            let run = plugin_run(after_ms + 1, START + after_ms, "probe", RunOutcome::Ok, 5);
            self.running.store.plugin_run_record(run);
        }
    }

    async fn committed(&self, runs: i64) {
        while self.stored() != runs {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Returns the number of runs in the database itself.
    fn stored(&self) -> i64 {
        let connection = self.running.store.database.connect().unwrap();
        let sql = "SELECT count(*) AS runs FROM fact.plugin_runs";
        let runs = connection.query_row(sql, [], |row| row.get("runs"));
        runs.unwrap()
    }

    /// Returns the number of runs that SQL finds, there and in the archive.
    async fn found(&self) -> i64 {
        let sql = "SELECT count(*) AS runs FROM plugin_runs";
        self.running.one(sql).await.as_i64().unwrap()
    }

    async fn next(&self) -> Option<ArchiveDay> {
        let store = &self.running.store;
        store.archive_next(TABLE, START + 9 * DAY_MS).await.unwrap()
    }

    async fn write(&self, day: ArchiveDay, before: Option<PathBuf>, name: &str) -> DayWritten {
        let target = self.path(name);
        let store = &self.running.store;
        store.archive_write(day, before, target).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.archive.path().join(name)
    }

    async fn switch(&self, day: ArchiveDay, name: &str, written: &DayWritten) -> bool {
        let archived = ArchivedDay {
            day,
            path: name.to_owned(),
            rows: written.file.rows,
        };
        let stored = written.stored.clone();
        let store = &self.running.store;
        store.archive_switch(archived, stored).await.unwrap()
    }

    async fn counting(&self) -> Vec<(String, i64)> {
        let days = self.running.store.archive_list().await.unwrap();
        days.into_iter().map(|day| (day.path, day.rows)).collect()
    }
}

#[tokio::test]
async fn days_leave_the_database_one_after_the_other_and_the_last_one_stays() {
    let world = World::start().await;
    for name in ["a", "b"] {
        let day = world.next().await.unwrap();
        let written = world.write(day, None, name).await;
        assert_eq!((written.file.rows, &written.file), (2, &written.stored));
        assert_eq!(world.stored(), if name == "a" { 6 } else { 4 });
        assert!(world.switch(day, name, &written).await);
    }
    assert_eq!(world.next().await, None);
    assert_eq!((world.stored(), world.found().await), (2, 6));
    let wanted = [("a".to_owned(), 2), ("b".to_owned(), 2)];
    assert_eq!(world.counting().await, wanted);
    let rows = world.running.store.archive_rows(world.path("a")).await;
    assert_eq!(rows.unwrap(), 2);
}

#[tokio::test]
async fn rows_that_come_late_are_in_the_next_file_of_their_day_once() {
    let world = World::start().await;
    let day = world.next().await.unwrap();
    let written = world.write(day, None, "a").await;
    world.record([17]);
    world.committed(7).await;
    assert!(
        !world.switch(day, "a", &written).await,
        "a row came meanwhile"
    );
    assert_eq!((world.stored(), world.counting().await), (7, Vec::new()));
    let written = world.write(day, None, "a2").await;
    assert!(world.switch(day, "a2", &written).await);

    // One is new, one is in the file already: an older backup was restored.
    world.record([17, 23]);
    world.committed(6).await;
    assert_eq!(world.next().await, Some(day));
    let written = world.write(day, Some(world.path("a2")), "a3").await;
    assert_eq!((written.file.rows, written.stored.rows), (4, 2));
    assert!(world.switch(day, "a3", &written).await);
    assert_eq!(world.counting().await, [("a3".to_owned(), 4)]);
    assert_eq!((world.stored(), world.found().await), (4, 8));
}

#[tokio::test]
async fn a_file_is_adopted_where_the_database_has_no_rows_of_its_day() {
    let world = World::start().await;
    let adopt = async |after_ms: i64| {
        let archived = ArchivedDay {
            day: ArchiveDay::of(TABLE, START + after_ms).unwrap(),
            path: "x".to_owned(),
            rows: 9,
        };
        world.running.store.archive_adopt(archived).await.unwrap()
    };
    assert!(!adopt(DAY_MS).await);
    assert!(adopt(-DAY_MS).await);
    assert!(adopt(-DAY_MS).await, "once more changes nothing");
    assert_eq!(world.counting().await, [("x".to_owned(), 9)]);
    let day = ArchiveDay::of(TABLE, START - DAY_MS).unwrap();
    world.running.store.archive_forget(day).await.unwrap();
    assert_eq!(world.counting().await, []);
}

#[tokio::test]
async fn a_day_that_is_not_counted_in_the_tiers_stays() {
    let world = World::start().await;
    let run = crate::store::results::tests::observation(1);
    let store = &world.running.store;
    for ts_ms in [START, START + 3 * DAY_MS] {
        let run = crate::domain::Observation {
            ts_ms,
            ..run.clone()
        };
        let kept = store.observation_append_durable(std::sync::Arc::new(run));
        kept.await.unwrap();
    }
    let next = async || {
        let next = store.archive_next(ArchiveTable::Observations, START + 9 * DAY_MS);
        next.await.unwrap()
    };
    let counted = || {
        let is_counted = |tier| {
            let until_ms = store.counted_until_ms(tier);
            until_ms.is_some_and(|until_ms| until_ms >= START + DAY_MS)
        };
        Tier::ALL.into_iter().all(is_counted)
    };
    // The first look at the tiers comes seconds later.
    if !counted() {
        assert!(next().await.is_none() || counted());
    }
    while !counted() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let wanted = ArchiveDay::of(ArchiveTable::Observations, START);
    assert_eq!(next().await, wanted);
}
