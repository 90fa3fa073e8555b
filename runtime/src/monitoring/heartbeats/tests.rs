use tokio::time::Instant;

use super::book::HeartbeatBook;
use super::*;
use crate::domain::{Cadence, DownCause, ErrorKind, MetricValue, Signal, Status};

const SECOND: i64 = 1_000;

/// Every minute, with ten seconds of grace.
fn catalog(slugs: &[&str]) -> Catalog {
    let heartbeat = Arc::new(Heartbeat {
        cadence: Cadence::Every(Duration::from_secs(60)),
        grace: Duration::from_secs(10),
        max_duration: None,
    });
    let heartbeats = slugs
        .iter()
        .map(|slug| ((*slug).to_owned(), heartbeat.clone()));
    Catalog {
        heartbeats: heartbeats.collect(),
        ..Catalog::default()
    }
}

fn stored(service: &str, record: HeartbeatRecord) -> StoredHeartbeat {
    StoredHeartbeat {
        service: service.to_owned(),
        uuid: format!("uuid-of-{service}"),
        record,
    }
}

fn ping(signal: Signal, message: Option<&str>) -> Ping {
    Ping {
        signal,
        message: message.map(str::to_owned),
    }
}

fn up_at(at_ms: UnixMillis) -> HeartbeatRecord {
    HeartbeatRecord::new(0).pinged(&ping(Signal::Success, None), at_ms)
}

fn states(changed: &[(String, HeartbeatRecord)]) -> Vec<(&str, HeartbeatState)> {
    let states = changed.iter();
    states
        .map(|(slug, record)| (slug.as_str(), record.state))
        .collect()
}

/// A book with one heartbeat that had its ping at 100 s.
fn book() -> HeartbeatBook {
    let book = HeartbeatBook::default();
    let backup = stored("backup", up_at(100 * SECOND));
    book.adopt(&catalog(&["backup"]), [backup].into_iter(), 100 * SECOND);
    book
}

#[tokio::test(start_paused = true)]
async fn a_ping_waits_for_a_place_and_not_for_ever() {
    let places = Semaphore::new(1);
    let held = place(&places).await.unwrap();
    let waiting = place(&places);
    let released = async {
        tokio::time::sleep(PLACE_WITHIN / 2).await;
        drop(held);
    };
    let (waited, ()) = tokio::join!(waiting, released);
    let _held = waited.unwrap();
    assert!(matches!(place(&places).await, Err(PingError::Busy)));
}

#[test]
fn a_heartbeat_is_late_then_down_and_each_is_seen_once() {
    let book = book();
    assert_eq!(book.next_change_ms(), Some(160 * SECOND));
    assert!(book.aged(159 * SECOND).is_empty());
    for state in [HeartbeatState::Late, HeartbeatState::Down] {
        let changed = book.aged(500 * SECOND);
        assert_eq!(states(&changed), [("backup", state)]);
        book.put("backup", changed[0].1.clone());
    }
    assert!(book.aged(500 * SECOND).is_empty());
    assert_eq!(book.next_change_ms(), None);
}

#[test]
fn what_is_in_memory_counts_when_services_come_and_go() {
    let book = book();
    book.put("backup", up_at(150 * SECOND));
    assert!(!book.has_all_of(&catalog(&["backup", "mail"])));
    let rows = [
        stored("backup", up_at(100 * SECOND)),
        stored("mail", HeartbeatRecord::new(0)),
    ];
    let both = catalog(&["backup", "mail"]);
    book.adopt(&both, rows.into_iter(), 200 * SECOND);
    assert!(book.has_all_of(&both));
    assert_eq!(book.next_change_ms(), Some(210 * SECOND));
    assert_eq!(book.observed(), ["backup"]);
    assert_eq!(book.service_of("uuid-of-mail").as_deref(), Some("mail"));
    book.set_uuid("mail", "another".to_owned());
    assert_eq!(book.service_of("uuid-of-mail"), None);
    assert_eq!(book.service_of("another").as_deref(), Some("mail"));
    book.adopt(&catalog(&["mail"]), book_rows().into_iter(), 200 * SECOND);
    assert_eq!(book.service_of("uuid-of-backup"), None);
    assert!(book.status("backup").is_none());
}

fn book_rows() -> [StoredHeartbeat; 1] {
    [stored("mail", HeartbeatRecord::new(0))]
}

#[test]
fn a_start_gives_each_heartbeat_one_grace() {
    let book = book();
    book.listen_anew(1_000 * SECOND);
    assert!(book.aged(1_009 * SECOND).is_empty());
    assert_eq!(
        states(&book.aged(1_010 * SECOND)),
        [("backup", HeartbeatState::Late)]
    );
}

#[test]
fn jumps_of_the_clock_neither_delay_nor_hasten() {
    let start = Instant::now();
    let at = |s: u64, wall_ms| WallClock::at(start + Duration::from_secs(s), wall_ms);
    let book = book();
    book.follow_clock(at(0, 110 * SECOND), 110 * SECOND);
    assert_eq!(book.next_change_ms(), Some(160 * SECOND));
    // Set back by 90 s: it is still due in 50 s.
    book.follow_clock(at(0, 20 * SECOND), 20 * SECOND);
    assert_eq!(book.next_change_ms(), Some(70 * SECOND));
    book.follow_clock(at(10, 30 * SECOND), 30 * SECOND);
    assert_eq!(book.next_change_ms(), Some(70 * SECOND));
    // Suspended for an hour: no ping could arrive, so it gets one grace.
    let woken_ms = 3_640 * SECOND;
    book.follow_clock(at(20, woken_ms), woken_ms);
    assert_eq!(book.next_change_ms(), Some(woken_ms + 10 * SECOND));
}

#[test]
fn each_state_has_its_observation() {
    let down = |cause, reason: &str| HeartbeatRecord {
        state: HeartbeatState::Down,
        cause: Some(cause),
        reason: Some(reason.to_owned()),
        ..up_at(5)
    };
    let late = HeartbeatRecord {
        state: HeartbeatState::Late,
        reason: Some("due".to_owned()),
        ..up_at(5)
    };
    let running = up_at(5).pinged(&ping(Signal::Start, None), 6);
    let timeout = Some(ErrorKind::Timeout);
    for (record, status, kind) in [
        (up_at(5), Status::Healthy, None),
        (running, Status::Healthy, None),
        (late, Status::Degraded, timeout),
        (down(DownCause::Silence, "quiet"), Status::Error, timeout),
        (down(DownCause::Overrun, "long"), Status::Error, timeout),
        (
            down(DownCause::Failure, "failed"),
            Status::Unhealthy,
            Some(ErrorKind::Assertion),
        ),
    ] {
        let found = observation::of_state("backup", &record, 7, 1).unwrap();
        assert_eq!(
            (found.status, found.failure.map(|failure| failure.kind)),
            (status, kind),
            "{record:?}"
        );
        assert!(found.latency_us.is_none());
    }
    let never = HeartbeatRecord::new(0);
    assert!(observation::of_state("backup", &never, 7, 1).is_none());
}

#[test]
fn a_ping_has_its_message_and_the_length_of_its_run() {
    let running = up_at(5).pinged(&ping(Signal::Start, None), 1_000);
    let signal = Signal::Fail {
        exit_status: Some(3),
    };
    let ping = ping(signal, Some("disk full"));
    let failed = running.pinged(&ping, 3_500);
    let found = observation::of_ping("backup", &failed, &ping, 3_500, 1);
    assert_eq!((found.latency_us, found.bytes), (Some(2_500_000), 9));
    let message = found.failure.unwrap().message;
    assert_eq!(message, "the job ended with exit status 3: disk full");
    let metrics: Vec<(&str, &MetricValue)> = found
        .metrics
        .iter()
        .map(|metric| (metric.name.as_str(), &metric.value))
        .collect();
    assert_eq!(
        metrics,
        [
            ("state", &MetricValue::Text("down".to_owned())),
            ("exit_status", &MetricValue::Integer(3)),
            ("message", &MetricValue::Text("disk full".to_owned())),
        ]
    );
}

#[test]
fn ids_are_random_and_of_the_usual_form() {
    let (one, other) = (new_uuid(), new_uuid());
    assert_ne!(one, other);
    let lengths: Vec<usize> = one.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!(&one[14..15], "4");
    assert!("89ab".contains(&one[19..20]), "{one}");
}
