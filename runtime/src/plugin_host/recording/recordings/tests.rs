use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::domain::{Budget, PluginKind};
use crate::plugin_host::recording::format::{CallCost, Recording, RunBudget, RunCost, Subject};
use crate::plugin_host::recording::recorder::{HostCall, Recorder};

/// A run of probe `http` of a service, whose answer is so long.
fn draft(run_id: i64, service: &str, status: Status, bytes: usize) -> Draft {
    let recorder = Recorder::record();
    let Ok(HostCall::Execute(call)) =
        recorder.begin::<_, Value>("http.send", &json!({"url": "u"}), 0)
    else {
        panic!("a call log performs")
    };
    recorder.finish(call, &"x".repeat(bytes), CallCost::default());
    let run = RecordedRun {
        run_id,
        ts_ms: run_id * 1_000,
        plugin: "http".into(),
        kind: PluginKind::Probe,
        version: "0.1.0".into(),
        digest: "ab".into(),
        function: "check".into(),
        subject: Subject {
            service: Some(service.into()),
            probe: Some("http".into()),
            ..Subject::default()
        },
        status: Some(status),
        outcome: RunOutcome::Ok,
        error: None,
        message: None,
        timeout_ms: 5_000,
        budget: RunBudget::of(&Budget::default()),
        cost: RunCost::default(),
        truncated: None,
    };
    let call_log = recorder.take_log().unwrap();
    Draft::new(
        run,
        vec![Box::new(json!({"a": 1}))],
        call_log,
        Box::new(()),
        Default::default(),
    )
}

struct Kept {
    recordings: Recordings,
    stop: CancellationToken,
    writer: tokio::task::JoinHandle<()>,
}

impl Kept {
    fn open(folder: &std::path::Path) -> Self {
        let (recordings, writer) = Recordings::open(folder.to_owned());
        let stop = CancellationToken::new();
        let writer = tokio::spawn(writer.run(stop.clone()));
        Self {
            recordings,
            stop,
            writer,
        }
    }

    /// Runs that are kept, newest first; those in memory only are negative.
    fn ids(&self, filter: &RecordingFilter) -> Vec<i64> {
        let entries = self.recordings.page(filter, None, 10_000);
        entries
            .iter()
            .map(|entry| {
                if entry.size.is_some() {
                    entry.run.run_id
                } else {
                    -entry.run.run_id
                }
            })
            .collect()
    }

    /// Everything queued is written.
    async fn close(self) -> Recordings {
        self.stop.cancel();
        self.writer.await.unwrap();
        self.recordings
    }
}

fn of(service: &str) -> RecordingFilter {
    RecordingFilter {
        service: Some(service.into()),
        ..RecordingFilter::default()
    }
}

fn files(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn what_failed_is_a_file_and_what_went_well_becomes_one_when_something_fails() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Kept::open(folder.path());
    for run_id in 1..=5 {
        kept.recordings
            .keep(draft(run_id, "shop", Status::Healthy, 10), false);
    }
    kept.recordings
        .keep(draft(6, "mail", Status::Healthy, 10), false);
    assert_eq!(
        kept.ids(&of("shop")),
        [-5, -4, -3],
        "the last three, in memory"
    );
    assert_eq!(files(folder.path()), 0);
    kept.recordings
        .keep(draft(7, "shop", Status::Unhealthy, 10), true);
    let recordings = kept.close().await;
    assert_eq!(files(folder.path()), 4);

    let file = recordings.read(7).await.unwrap().unwrap();
    let recording = Recording::parse(&file).unwrap();
    assert_eq!(
        (recording.run.run_id, recording.run.status),
        (7, Some(Status::Unhealthy))
    );
    assert_eq!(recording.arguments, [json!({"a": 1})]);
    assert_eq!(
        (recording.calls.len(), &recording.calls[0].answer),
        (1, &json!("xxxxxxxxxx"))
    );
    assert!(recordings.read(6).await.unwrap().is_some(), "from memory");
    assert!(recordings.read(1).await.unwrap().is_none());

    // A start knows what there is from the files alone.
    std::fs::write(
        folder.path().join("9.json"),
        "{\"format\":2,\"run\":{\"runId\":",
    )
    .unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    let kept = Kept::open(folder.path());
    assert_eq!(kept.ids(&RecordingFilter::default()), [7, 5, 4, 3]);
    assert_eq!(
        kept.recordings.page(&of("shop"), Some(5), 1)[0].run,
        recordings.page(&of("shop"), Some(5), 1)[0].run
    );
    assert_eq!(
        files(folder.path()),
        5,
        "half a file goes, what is not ours stays"
    );
}

#[tokio::test]
async fn each_probe_keeps_its_last_failures() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Kept::open(folder.path());
    kept.recordings
        .keep(draft(1, "mail", Status::Error, 10), true);
    for run_id in 2..=60 {
        kept.recordings
            .keep(draft(run_id, "shop", Status::Error, 10), true);
    }
    let recordings = kept.close().await;
    assert_eq!(files(folder.path()), index::FAILED + 1);
    let first = recordings
        .page(&RecordingFilter::default(), None, 100)
        .pop()
        .unwrap();
    assert_eq!(
        first.run.run_id, 1,
        "many failures of one service push no other out"
    );
}

#[tokio::test]
async fn the_first_failures_of_the_last_outage_stay_however_long_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Kept::open(folder.path());
    let fail = |run_ids: std::ops::RangeInclusive<i64>| {
        for run_id in run_ids {
            kept.recordings
                .keep(draft(run_id, "shop", Status::Error, 10), true);
        }
    };
    fail(1..=30);
    kept.recordings
        .keep(draft(40, "shop", Status::Healthy, 10), false);
    fail(50..=99);
    let recordings = kept.close().await;
    let failed = RecordingFilter {
        status: Some(Status::Error),
        ..of("shop")
    };
    let mut ids: Vec<i64> = recordings
        .page(&failed, None, 100)
        .iter()
        .map(|entry| entry.run.run_id)
        .collect();
    ids.reverse();
    let wanted: Vec<i64> = (50..53).chain(83..=99).collect();
    assert_eq!(ids, wanted, "the first three and the last ones");
}

#[tokio::test]
async fn a_full_queue_drops_and_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (recordings, writer) = Recordings::open(folder.path().to_owned());
    for run_id in 0..(QUEUED as i64 + 10) {
        recordings.keep(
            draft(run_id, &format!("service-{run_id}"), Status::Error, 10),
            true,
        );
    }
    let stop = CancellationToken::new();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), writer.run(stop))
        .await
        .unwrap();
    assert_eq!(files(folder.path()), QUEUED);

    // The bytes of what was dropped and written are free again.
    let (recordings, writer) = Recordings::open(folder.path().to_owned());
    let large = 500 << 10;
    for run_id in 0..QUEUED as i64 {
        recordings.keep(
            draft(
                1_000 + run_id,
                &format!("service-{run_id}"),
                Status::Error,
                large,
            ),
            true,
        );
    }
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    let written = recordings.page(&RecordingFilter::default(), None, 10_000);
    let written = written
        .iter()
        .filter(|entry| entry.run.run_id >= 1_000)
        .count();
    assert!((50..=QUEUED_BYTES / large).contains(&written), "{written}");
    assert_eq!(
        recordings.0.unwrap().queued_bytes.load(Ordering::Relaxed),
        0
    );
}

/// A delivery of a megabyte of which the plugin made a megabyte of events.
fn large_draft(run_id: i64) -> Draft {
    let small = draft(run_id, &format!("service-{run_id}"), Status::Error, 10);
    let text = || Box::new("x".repeat(1 << 20));
    Draft::new(
        small.run,
        vec![text()],
        Recorder::record().take_log().unwrap(),
        text(),
        Default::default(),
    )
}

#[tokio::test]
async fn arguments_and_results_weigh_in_the_bounds_of_what_is_kept() {
    assert!(large_draft(1).weight() >= 2 << 20);
    let mut recent = Recent::default();
    for run_id in 0..100 {
        recent.insert(large_draft(run_id));
    }
    let kept = recent
        .page(&RecordingFilter::default(), i64::MAX, 10_000)
        .len();
    assert!((10..=16).contains(&kept), "{kept} of 2 MiB each in 32 MiB");

    let folder = tempfile::tempdir().unwrap();
    let (recordings, writer) = Recordings::open(folder.path().to_owned());
    for run_id in 0..100 {
        recordings.keep(large_draft(run_id), true);
    }
    let queued = recordings
        .0
        .as_ref()
        .unwrap()
        .queued_bytes
        .load(Ordering::Relaxed);
    assert!((20 << 20..=QUEUED_BYTES).contains(&queued), "{queued}");
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    assert!((10..=16).contains(&files(folder.path())));
}

#[tokio::test]
async fn what_lies_in_the_place_of_recordings_stops_nothing() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("recordings");
    std::fs::write(&folder, "a file").unwrap();
    let kept = Kept::open(&folder);
    kept.recordings
        .keep(draft(5, "shop-api", Status::Error, 10), true);
    kept.close().await;
    let aside = std::fs::read_dir(data.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let aside = aside.filter(|path| path.to_str().unwrap().contains("recordings.set-aside-"));
    assert_eq!(
        aside
            .map(std::fs::read_to_string)
            .collect::<Result<Vec<_>, _>>()
            .unwrap(),
        ["a file"]
    );

    std::fs::create_dir_all(folder.join("7.json/x")).unwrap();
    std::fs::write(folder.join("8.json"), "junk").unwrap();
    let kept = Kept::open(&folder);
    assert_eq!(kept.ids(&RecordingFilter::default()), [5]);
    kept.recordings
        .keep(draft(7, "shop-api", Status::Error, 10), true);
    kept.recordings
        .keep(draft(9, "shop-api", Status::Error, 10), true);
    let recordings = kept.close().await;
    let ids: Vec<_> = recordings
        .page(&RecordingFilter::default(), None, 9)
        .iter()
        .map(|entry| entry.run.run_id)
        .collect();
    assert_eq!(ids, [9, 5], "a folder can't be replaced by a file");

    // Not even the folder can be made.
    let (recordings, _writer) = Recordings::open(data.path().join("recordings/5.json/below"));
    recordings.keep(draft(1, "shop-api", Status::Error, 10), true);
    assert_eq!(
        recordings.page(&RecordingFilter::default(), None, 9).len(),
        0
    );
}

#[test]
fn all_files_together_are_bounded_and_the_oldest_go() {
    let entry = |run_id: i64, size| {
        let run = draft(run_id, &format!("service-{run_id}"), Status::Error, 0).run;
        RecordingEntry {
            run,
            size: Some(size),
        }
    };
    let mut index = Index::default();
    let mut gone = Vec::new();
    for run_id in 0..index::FILES as i64 + 3 {
        gone.extend(index.insert(entry(run_id, 10)));
    }
    assert_eq!(gone, [0, 1, 2]);
    let large = index::FILE_BYTES - 10 * 100;
    assert_eq!(
        index.insert(entry(100_000, large)).len(),
        index::FILES - 100
    );
    assert_eq!(
        index
            .page(&RecordingFilter::default(), i64::MAX, 10_000)
            .len(),
        101
    );
    // The same id again takes the place of the one before.
    assert!(index.insert(entry(100_000, large)).is_empty());
}

#[test]
fn runs_in_memory_are_bounded_and_each_probe_keeps_one() {
    let mut recent = Recent::default();
    let weight = draft(0, "s", Status::Healthy, 100 << 10).weight();
    let fit = (32 << 20) / weight;
    for run_id in 0..3 * fit as i64 {
        let service = format!("service-{}", run_id % (fit as i64 - 5));
        recent.insert(draft(run_id, &service, Status::Healthy, 100 << 10));
    }
    let kept = recent.page(&RecordingFilter::default(), i64::MAX, 10_000);
    assert_eq!(kept.len(), fit - 5, "one of each");
}
