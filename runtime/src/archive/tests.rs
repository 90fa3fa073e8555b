//! The archive over real stores, without the program around it.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::domain::{ArchiveSettings, ArchiveTable, PluginKind, PluginRun, RunOutcome};
use crate::store::results::tests::sql_settings;
use crate::store::{Keyring, QueryLimits, ResultSettings};

const DAY_MS: i64 = 86_400_000;

struct World {
    data: tempfile::TempDir,
    archive: Archive,
}

impl World {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, data.path()).unwrap();
        let control = ControlStore::open(&data.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        let settings = StorageSettings::default();
        let stored = ResultSettings {
            archive: Some(folder_of(data.path(), &settings)),
            sql: sql_settings(),
            ..ResultSettings::default()
        };
        let (results, writer) = ResultStore::open(data.path(), stored).unwrap();
        // It ends with the store.
        drop(writer.start().unwrap());
        let archive = Archive::new(data.path(), &settings, None, control, results).unwrap();
        Self { data, archive }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.archive.folder.join(path)
    }

    /// Returns the number of runs that SQL finds.
    async fn runs(&self) -> i64 {
        let limits = QueryLimits {
            rows: 1,
            bytes: 1 << 20,
            timeout: Duration::from_secs(60),
        };
        let sql = "SELECT count(*) AS runs FROM plugin_runs";
        let answer = self.archive.results.query(sql, limits).await.unwrap();
        answer.rows[0][0].as_i64().unwrap()
    }

    /// Archives some days of runs, and returns their files.
    async fn archive_days(&self, days: i64) -> Vec<ArchiveFile> {
        let now_ms = now_ms();
        let results = &self.archive.results;
        for day in 0..=days {
            for run in 0..50 {
                let ts_ms = now_ms - day * DAY_MS - run * 1_000;
                results.plugin_run_record(plugin_run(day * 50 + run + 1, ts_ms));
            }
        }
        while self.runs().await != (days + 1) * 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let settings = StorageSettings {
            archive: Some(ArchiveSettings {
                folder: None,
                after: Duration::from_millis(DAY_MS.unsigned_abs()),
            }),
            ..StorageSettings::default()
        };
        self.archive.round(&settings).await.unwrap();
        let files = self.archive.list(&ArchiveFilter::default(), PAGE).await;
        files.unwrap()
    }
}

fn plugin_run(run_id: i64, ts_ms: i64) -> PluginRun {
    PluginRun {
        run_id,
        ts_ms,
        plugin: "http".to_owned(),
        kind: PluginKind::Probe,
        version: "0.1.0".to_owned(),
        digest: "ab".to_owned(),
        function: "check".into(),
        service: Some("shop-api".to_owned()),
        outcome: RunOutcome::Error,
        error: Some(format!("run {run_id} failed")),
        duration_us: 5,
        cpu_us: 2,
        memory_bytes: 5,
        host_calls: 1,
        log_bytes: 0,
        denials: 1,
        denied: None,
        bytes_in: 0,
        bytes_out: 0,
    }
}

#[tokio::test]
async fn a_file_that_is_fetched_leaves_alone_the_day_that_is_written_meanwhile() {
    let world = World::start().await;
    let day = ArchiveDay::of(ArchiveTable::Observations, 0).unwrap();
    let (path, copies) = (day.path(1), Copies::in_memory());
    let (kept, place) = (world.data.path().join("kept"), world.place(&day.path(1)));
    std::fs::write(&kept, "a day that has a copy").unwrap();
    files::place(&kept, &place).unwrap();
    for (name, from) in [
        (path.clone(), place.clone()),
        (files::sum_name(&path), files::sum_of(&place)),
    ] {
        copies.put(&name, &from).await.unwrap();
    }
    std::fs::write(&place, "it is damaged").unwrap();

    let written = world.archive.staging().await.unwrap();
    std::fs::write(&written, "another day").unwrap();
    world.archive.fetch(&copies, &path).await.unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(read(&place), "a day that has a copy");
    assert_eq!(read(&written), "another day");
}

#[tokio::test]
async fn each_of_two_hundred_flipped_bits_is_found_in_the_file_that_it_is_in() {
    let world = World::start().await;
    let files = world.archive_days(3).await;
    assert!(files.len() >= 2, "{files:?}");
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..200 {
        let file = files.choose(&mut random).unwrap();
        let place = world.place(&file.path);
        let whole = std::fs::read(&place).unwrap();
        let mut bytes = whole.clone();
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
        std::fs::write(&place, bytes).unwrap();
        let report = world.archive.verify().await.unwrap();
        let faulty: Vec<&str> = report
            .faults
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(faulty, [file.path.as_str()], "byte {at}");
        std::fs::write(&place, whole).unwrap();
    }
    let report = world.archive.verify().await.unwrap();
    assert!(report.faults.is_empty(), "{report:?}");
}
