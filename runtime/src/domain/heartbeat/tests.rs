use chrono::DateTime;

use super::*;
use crate::domain::mute::CronSchedule;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

fn ms(text: &str) -> UnixMillis {
    DateTime::parse_from_rfc3339(text)
        .unwrap()
        .timestamp_millis()
}

fn text(at_ms: UnixMillis) -> String {
    DateTime::from_timestamp_millis(at_ms)
        .unwrap()
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Every hour, with ten minutes of grace.
fn hourly() -> Heartbeat {
    Heartbeat {
        cadence: Cadence::Every(minutes(60)),
        grace: minutes(10),
        max_duration: None,
    }
}

fn cron(cron: &str, zone: &str) -> Heartbeat {
    let schedule = CronSchedule::parse(cron, zone, "0 3 * * *").unwrap();
    Heartbeat {
        cadence: Cadence::Cron {
            text: cron.to_owned(),
            schedule,
        },
        ..hourly()
    }
}

fn ping(signal: Signal) -> Ping {
    Ping {
        signal,
        message: None,
    }
}

/// A record after a success at a moment.
fn up_at(at_ms: UnixMillis) -> HeartbeatRecord {
    HeartbeatRecord::new(0).pinged(&ping(Signal::Success), at_ms)
}

#[test]
fn each_night_is_expected_once_when_clocks_are_changed() {
    // Zone, schedule, the last ping, and the moments that are due after it, each of which is met.
    for (zone, schedule, last, due) in [
        // Berlin, 2026-03-29: 02:00 (01:00Z) is 03:00. The half past two that is left out is due when the clocks go on.
        (
            BERLIN,
            "30 2 * * *",
            "2026-03-28T01:31:00Z",
            [
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z",
                "2026-03-31T00:30:00Z",
            ],
        ),
        // Berlin, 2026-10-25: 03:00 (01:00Z) is 02:00 again. The half past two that comes twice is due once.
        (
            BERLIN,
            "30 2 * * *",
            "2026-10-24T00:31:00Z",
            [
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:30:00Z",
                "2026-10-27T01:30:00Z",
            ],
        ),
        (
            BERLIN,
            "0 3 * * *",
            "2026-03-28T02:01:00Z",
            [
                "2026-03-29T01:00:00Z",
                "2026-03-30T01:00:00Z",
                "2026-03-31T01:00:00Z",
            ],
        ),
        // New York, 2026-03-08: 02:00 (07:00Z) is 03:00.
        (
            NEW_YORK,
            "30 2 * * *",
            "2026-03-07T07:31:00Z",
            [
                "2026-03-08T07:00:00Z",
                "2026-03-09T06:30:00Z",
                "2026-03-10T06:30:00Z",
            ],
        ),
        // New York, 2026-11-01: 02:00 (06:00Z) is 01:00 again.
        (
            NEW_YORK,
            "30 1 * * *",
            "2026-10-31T05:31:00Z",
            [
                "2026-11-01T05:30:00Z",
                "2026-11-02T06:30:00Z",
                "2026-11-03T06:30:00Z",
            ],
        ),
        // A job of every hour runs in the hour that comes twice both times, and not in the one that is left out.
        (
            NEW_YORK,
            "30 * * * *",
            "2026-11-01T04:31:00Z",
            [
                "2026-11-01T05:30:00Z",
                "2026-11-01T06:30:00Z",
                "2026-11-01T07:30:00Z",
            ],
        ),
        (
            BERLIN,
            "0 */6 * * MON-FRI",
            "2026-10-23T16:00:30Z",
            [
                "2026-10-25T23:00:00Z",
                "2026-10-26T05:00:00Z",
                "2026-10-26T11:00:00Z",
            ],
        ),
    ] {
        let heartbeat = cron(schedule, zone);
        let mut last_ms = ms(last);
        for due in due {
            let due_ms = heartbeat.due_after(last_ms).unwrap();
            assert_eq!(
                text(due_ms),
                due,
                "{zone} {schedule} after {}",
                text(last_ms)
            );
            last_ms = due_ms + MINUTE;
        }
    }
}

#[test]
fn a_job_whose_clock_is_a_little_fast_meets_the_moment_it_was_meant_for() {
    let nightly = cron("0 3 * * *", "UTC");
    for (last, due) in [
        ("2026-11-23T02:59:54Z", "2026-11-23T03:00:00Z"),
        ("2026-11-23T02:59:55Z", "2026-11-24T03:00:00Z"),
        ("2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z"),
    ] {
        assert_eq!(text(nightly.due_after(ms(last)).unwrap()), due, "{last}");
    }
    // A job of every minute is not excused from one.
    let every_minute = cron("* * * * *", "UTC");
    let due_ms = every_minute.due_after(ms("2026-11-23T03:00:50Z")).unwrap();
    assert_eq!(text(due_ms), "2026-11-23T03:01:00Z");
}

#[test]
fn silence_makes_it_late_when_it_is_due_and_down_after_the_grace() {
    let (heartbeat, up) = (hourly(), up_at(HOUR));
    assert_eq!(up.due_ms(&heartbeat), Some(2 * HOUR));
    assert_eq!(up.aged(&heartbeat, 0, 2 * HOUR - 1), None);
    let late = up.aged(&heartbeat, 0, 2 * HOUR).unwrap();
    assert_eq!(
        (late.state, late.since_ms),
        (HeartbeatState::Late, 2 * HOUR)
    );
    assert_eq!(late.aged(&heartbeat, 0, 2 * HOUR + 10 * MINUTE - 1), None);
    let down = late.aged(&heartbeat, 0, 9 * HOUR).unwrap();
    assert_eq!(
        (down.state, down.since_ms, down.cause),
        (
            HeartbeatState::Down,
            2 * HOUR + 10 * MINUTE,
            Some(DownCause::Silence)
        ),
        "since the end of the grace, however late that was noticed"
    );
    let reason = down.reason.as_deref().unwrap();
    assert!(
        reason.contains("due at 1970-01-01 02:00:00 UTC"),
        "{reason}"
    );
    assert_eq!(down.aged(&heartbeat, 0, 99 * HOUR), None);
    let again = down.pinged(&ping(Signal::Success), 10 * HOUR);
    assert_eq!(
        (
            again.state,
            again.reason.as_deref(),
            again.due_ms(&heartbeat)
        ),
        (HeartbeatState::Up, None, Some(11 * HOUR))
    );
}

#[test]
fn one_that_was_never_heard_of_waits_without_an_end() {
    let never = HeartbeatRecord::new(0);
    assert_eq!(never.aged(&hourly(), 0, i64::MAX), None);
    assert_eq!(never.next_change_ms(&hourly(), 0), None);
}

#[test]
fn a_run_that_does_not_end_in_time_is_down_and_a_success_ends_it() {
    let limited = Heartbeat {
        max_duration: Some(minutes(30)),
        ..hourly()
    };
    for (heartbeat, limit_ms) in [(hourly(), 10 * MINUTE), (limited, 30 * MINUTE)] {
        let running = up_at(0).pinged(&ping(Signal::Start), 50 * MINUTE);
        assert_eq!(running.state, HeartbeatState::Running);
        let ends_ms = 50 * MINUTE + limit_ms;
        assert_eq!(
            running.aged(&heartbeat, 0, ends_ms - 1),
            None,
            "it is not late while it runs, though it was due"
        );
        let down = running.aged(&heartbeat, 0, ends_ms).unwrap();
        assert_eq!(
            (down.state, down.cause),
            (HeartbeatState::Down, Some(DownCause::Overrun))
        );
        let ended = down.pinged(&ping(Signal::Success), 50 * MINUTE + 2 * HOUR);
        assert_eq!(
            (ended.state, ended.duration_ms),
            (HeartbeatState::Up, Some(2 * HOUR))
        );
    }
}

#[test]
fn pings_change_the_state() {
    use HeartbeatState::{Down, Never, Running, Up};
    let fail = Signal::Fail { exit_status: None };
    let exit = Signal::Fail {
        exit_status: Some(3),
    };
    for (signals, state, duration_ms, exit_status) in [
        (vec![], Never, None, None),
        (vec![Signal::Success], Up, None, None),
        (vec![Signal::Start], Running, None, None),
        (vec![Signal::Start, Signal::Success], Up, Some(MINUTE), None),
        (vec![Signal::Start, exit], Down, Some(MINUTE), Some(3)),
        (vec![fail], Down, None, None),
        // A new run does not end what the one before reported.
        (vec![fail, Signal::Start], Down, None, None),
        (
            vec![exit, Signal::Start, Signal::Success],
            Up,
            Some(MINUTE),
            None,
        ),
        // The second start counts.
        (
            vec![Signal::Start, Signal::Start, Signal::Success],
            Up,
            Some(MINUTE),
            None,
        ),
        (vec![Signal::Success, Signal::Success], Up, None, None),
    ] {
        let mut record = HeartbeatRecord::new(0);
        for (index, signal) in signals.iter().enumerate() {
            record = record.pinged(&ping(*signal), MINUTE * index as i64);
        }
        assert_eq!(
            (
                record.state,
                record.duration_ms,
                record.exit_status,
                record.pings
            ),
            (state, duration_ms, exit_status, signals.len() as u64),
            "{signals:?}"
        );
    }
}

#[test]
fn a_job_that_begins_again_and_again_is_down_in_the_end() {
    let heartbeat = hourly();
    let started = |mut record: HeartbeatRecord| {
        for minute in 0..60 {
            record = record.pinged(&ping(Signal::Start), HOUR + minute * MINUTE);
        }
        record.next_change_ms(&heartbeat, 0)
    };
    let limit = i64::try_from((heartbeat.grace + heartbeat.run_limit()).as_millis()).unwrap();
    assert_eq!(
        started(up_at(0)),
        Some(HOUR + limit),
        "it was due at the hour"
    );
    assert_eq!(started(HeartbeatRecord::new(0)), Some(HOUR + limit));
}

#[test]
fn after_a_start_of_the_program_one_grace_passes_before_anything_is_late() {
    let heartbeat = hourly();
    // The program was stopped while the ping was due, and started five hours later.
    let started_ms = 7 * HOUR;
    let up = up_at(HOUR);
    assert_eq!(
        up.aged(&heartbeat, started_ms, started_ms + 10 * MINUTE - 1),
        None
    );
    let late = up
        .aged(&heartbeat, started_ms, started_ms + 10 * MINUTE)
        .unwrap();
    assert_eq!(late.state, HeartbeatState::Late);
    assert_eq!(
        late.next_change_ms(&heartbeat, started_ms),
        Some(started_ms + 20 * MINUTE)
    );
    // What was late or down before stays so, and gets one grace too before it becomes worse.
    let late = up_at(HOUR).aged(&heartbeat, 0, 2 * HOUR).unwrap();
    assert_eq!(
        late.next_change_ms(&heartbeat, started_ms),
        Some(started_ms + 10 * MINUTE)
    );
    let down = late.aged(&heartbeat, 0, 3 * HOUR).unwrap();
    assert_eq!(down.aged(&heartbeat, started_ms, started_ms + HOUR), None);
    // The end of a run may have been reported in vain.
    let running = up_at(0).pinged(&ping(Signal::Start), HOUR);
    assert_eq!(
        running.next_change_ms(&heartbeat, started_ms),
        Some(started_ms + 10 * MINUTE)
    );
    // One that is due later than that is not affected.
    let up = up_at(started_ms - 1);
    assert_eq!(
        up.next_change_ms(&heartbeat, started_ms),
        Some(started_ms - 1 + HOUR)
    );
}

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    let heartbeat = hourly();
    let mut running = up_at(100 * HOUR).pinged(&ping(Signal::Start), 100 * HOUR + MINUTE);
    running.moved_back(90 * HOUR);
    assert_eq!(
        running.next_change_ms(&heartbeat, 0),
        Some(10 * HOUR + 11 * MINUTE)
    );
    // While the program was stopped: as if it had just come.
    let clamped = up_at(100 * HOUR).clamped(10 * HOUR);
    assert_eq!(clamped.next_change_ms(&heartbeat, 0), Some(11 * HOUR));
    assert_eq!(up_at(HOUR).clamped(10 * HOUR), up_at(HOUR));
}

#[test]
fn the_end_of_the_address_is_the_signal() {
    let exit = |status| {
        Some(Signal::Fail {
            exit_status: Some(status),
        })
    };
    for (text, wanted) in [
        ("start", Some(Signal::Start)),
        ("fail", Some(Signal::Fail { exit_status: None })),
        ("0", Some(Signal::Success)),
        ("1", exit(1)),
        ("255", exit(255)),
        ("256", None),
        ("-1", None),
        ("+1", None),
        ("", None),
        ("Start", None),
        ("success", None),
    ] {
        assert_eq!(Signal::parse(text), wanted, "{text}");
    }
}

#[test]
fn a_message_is_cut_and_moves_no_cursor() {
    assert_eq!(Ping::text_of(b""), None);
    assert_eq!(Ping::text_of(b" \n"), None);
    assert_eq!(
        Ping::text_of(b"done\n\tall\n").as_deref(),
        Some("done\n\tall")
    );
    assert_eq!(
        Ping::text_of(b"\x1b[2J\xff<b>").as_deref(),
        Some("\\u{1b}[2J\u{fffd}<b>")
    );
    let long = vec![b'a'; 50_000];
    assert_eq!(Ping::text_of(&long).unwrap().len(), Ping::MAX_MESSAGE_BYTES);
    let escaped = Ping::text_of(&vec![7; 50_000]).unwrap();
    assert!(
        escaped.len() < Ping::MAX_MESSAGE_BYTES + 10,
        "{}",
        escaped.len()
    );
}
