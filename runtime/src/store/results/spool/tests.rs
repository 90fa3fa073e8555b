use std::sync::Arc;

use super::*;
use crate::domain::{Event, LOCAL, Metric, MetricValue, Observation, Phases, RateLimit, Status};

fn run(run_id: i64) -> Arc<Observation> {
    let metric = |name: &str, value| Metric {
        name: name.to_owned(),
        value,
    };
    let limit = RateLimit {
        ts_ms: 5,
        host: "h".to_owned(),
        name: "core".to_owned(),
        quota: Some(1),
        remaining: None,
        reset_ms: Some(9),
        window_ms: None,
        ..RateLimit::default()
    };
    Arc::new(Observation {
        ts_ms: run_id * 1_000,
        service: "shop-api".to_owned(),
        probe: "http".to_owned(),
        location: LOCAL.to_owned(),
        status: Status::Healthy,
        latency_us: Some(7),
        phases: Phases::default(),
        http_status: Some(200),
        failure: None,
        bytes: 1,
        plugin: "http".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        run_id,
        metrics: vec![
            metric("whole", MetricValue::Number(5.0)),
            metric("count", MetricValue::Integer(i64::MAX)),
            metric("text", MetricValue::Text("ü\0".to_owned())),
        ],
        missed: false,
        excluded: None,
        rate_limits: vec![limit],
    })
}

fn part(run_ids: std::ops::Range<i64>) -> Part {
    Part {
        observations: run_ids.map(run).collect(),
        is_doubtful: true,
        ..Part::default()
    }
}

fn open(folder: &Path) -> Spool {
    Spool::open(SpoolSettings {
        reserve_bytes: 0,
        ..SpoolSettings::new(folder.to_owned())
    })
    .unwrap()
}

fn ids(parts: &[Part]) -> Vec<i64> {
    parts
        .iter()
        .flat_map(|part| &part.observations)
        .map(|run| run.run_id)
        .collect()
}

#[test]
fn rows_come_back_as_they_were_and_in_their_order_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("spool");
    let mut spool = open(&folder);
    assert!(spool.is_empty());
    let event = Event {
        id: 77,
        ts_ms: 1,
        received_ms: 2,
        service: "shop-api".to_owned(),
        webhook: "w".to_owned(),
        plugin: "generic".to_owned(),
        plugin_version: "1".to_owned(),
        run_id: 50,
        event_id: None,
        kind: "deploy".to_owned(),
        summary: "s".to_owned(),
        payload: "{}".to_owned(),
        attributes: vec![Metric {
            name: "live".to_owned(),
            value: MetricValue::Boolean(true),
        }],
    };
    spool.append(&part(1..4), 100).unwrap();
    spool
        .append(
            &Part {
                events: vec![event.clone()],
                ..part(4..5)
            },
            200,
        )
        .unwrap();
    for mut spool in [spool, open(&folder)] {
        assert_eq!(
            (spool.rows(), spool.oldest_ms(), spool.frame_count()),
            (5, Some(100), 2)
        );
        assert_eq!((spool.last_run_id(), spool.last_event_id()), (50, 77));
        let (parts, frames, unreadable) = spool.read(1_000);
        assert_eq!((frames, unreadable), (2, 0));
        assert_eq!(parts[0].observations, [run(1), run(2), run(3)]);
        assert_eq!(
            (parts[1].observations.as_slice(), parts[1].events.as_slice()),
            ([run(4)].as_slice(), [event.clone()].as_slice())
        );
        assert!(parts.iter().all(|part| part.is_doubtful));
    }
    let mut spool = open(&folder);
    spool.remove(1);
    assert_eq!((spool.rows(), spool.oldest_ms()), (2, Some(200)));
    assert_eq!(ids(&spool.read(1_000).0), [4]);
    spool.remove(1);
    assert!(spool.is_empty() && spool.bytes() == 0);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        0,
        "a file of committed rows goes"
    );
    spool.append(&part(9..10), 1).unwrap();
    assert_eq!(ids(&spool.read(1_000).0), [9]);
}

#[test]
fn numbers_that_json_does_not_know_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let mut odd = Observation::clone(&run(1));
    odd.metrics.push(Metric {
        name: "nan".to_owned(),
        value: MetricValue::Number(f64::NAN),
    });
    spool
        .append(
            &Part {
                observations: vec![Arc::new(odd)],
                ..Part::default()
            },
            1,
        )
        .unwrap();
    assert_eq!(spool.read(10).0[0].observations, [run(1)]);
}

#[test]
fn a_frame_that_a_crash_cut_is_left_out_and_those_before_it_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    spool.append(&part(1..3), 1).unwrap();
    let whole = spool.bytes();
    spool.append(&part(3..5), 1).unwrap();
    let file = spool.segments[0].path.clone();
    drop(spool);
    let content = std::fs::read(&file).unwrap();
    for cut in whole + 1..content.len() as u64 {
        std::fs::write(&file, &content[..cut as usize]).unwrap();
        assert_eq!(ids(&open(dir.path()).read(10).0), [1, 2], "cut at {cut}");
    }
    for flipped in [0, 5, 20, whole as usize - 1] {
        let mut damaged = content.clone();
        damaged[flipped] ^= 0x40;
        std::fs::write(&file, &damaged).unwrap();
        assert!(
            open(dir.path()).is_empty(),
            "a file without a whole frame is gone: byte {flipped}"
        );
    }
}

#[test]
fn a_frame_that_can_t_be_read_back_is_counted_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    spool.append(&part(1..4), 1).unwrap();
    spool.append(&part(4..5), 1).unwrap();
    let file = spool.segments[0].path.clone();
    let mut content = std::fs::read(&file).unwrap();
    content[60] ^= 1;
    std::fs::write(&file, &content).unwrap();
    let (parts, frames, unreadable) = spool.read(10);
    assert_eq!((ids(&parts), frames, unreadable), (vec![4], 2, 3));
}

#[test]
fn the_size_and_the_rest_of_the_disk_are_respected() {
    let dir = tempfile::tempdir().unwrap();
    let settings = SpoolSettings {
        max_bytes: 600,
        reserve_bytes: 0,
        folder: dir.path().join("a"),
    };
    let mut spool = Spool::open(settings).unwrap();
    let mut appended = 0;
    let error = loop {
        match spool.append(&part(appended..appended + 1), 1) {
            Ok(()) => appended += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    assert!(appended > 0 && spool.bytes() <= 600);
    spool.remove(1);
    spool.append(&part(90..91), 1).unwrap();

    let settings = SpoolSettings {
        reserve_bytes: u64::MAX,
        ..SpoolSettings::new(dir.path().join("b"))
    };
    let mut spool = Spool::open(settings).unwrap();
    assert_eq!(
        spool.append(&part(1..2), 1).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert!(spool.is_empty());
}

#[test]
fn a_long_backlog_lies_in_many_files_and_is_read_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    // Text that does not compress, so that few frames fill a file.
    for run_id in 0..40 {
        let mut heavy = Observation::clone(&run(run_id));
        let noise: Vec<u8> = (0..400_000).map(|_| rand::random::<u8>()).collect();
        heavy.metrics = vec![Metric {
            name: "noise".to_owned(),
            value: MetricValue::Text(hex::encode(noise)),
        }];
        spool
            .append(
                &Part {
                    observations: vec![Arc::new(heavy)],
                    ..Part::default()
                },
                run_id,
            )
            .unwrap();
    }
    assert!(spool.segments.len() >= 2, "{}", spool.segments.len());
    let mut spool = open(dir.path());
    let mut seen = Vec::new();
    while !spool.is_empty() {
        let (parts, frames, _) = spool.read(7);
        assert!(frames <= 7);
        seen.extend(ids(&parts));
        spool.remove(frames);
    }
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

#[test]
fn files_are_nobody_elses() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("spool");
    let mut spool = open(&folder);
    spool.append(&part(1..2), 1).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&folder), mode(&spool.segments[0].path)),
        (0o700, 0o600)
    );
}
