//! Expected moments are written by hand from the clocks of each zone; the second test asks the
//! clocks themselves, minute by minute.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use croner::parser::CronParser;

use super::*;
use crate::domain::{Recurrence, UnixMillis};

fn ms(text: &str) -> UnixMillis {
    DateTime::parse_from_rfc3339(text)
        .unwrap()
        .timestamp_millis()
}

fn text(at_ms: UnixMillis) -> String {
    DateTime::from_timestamp_millis(at_ms)
        .unwrap()
        .format("%Y-%m-%dT%H:%M:%S%.fZ")
        .to_string()
}

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";
const CAIRO: &str = "Africa/Cairo";
const SANTIAGO: &str = "America/Santiago";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const KATHMANDU: &str = "Asia/Kathmandu";

#[test]
fn windows_open_once_and_last_their_whole_length_whatever_the_clocks_do() {
    // Zone, schedule, minutes, now, since when it is open, when it opens next.
    for (zone, cron, minutes, now, open, next) in [
        // Berlin, 2026-10-25: 03:00 summer time (01:00Z) is 02:00 winter time.
        (
            BERLIN,
            "45 2 * * *",
            60,
            "2026-10-25T00:44:59Z",
            None,
            "2026-10-25T00:45:00Z",
        ),
        (
            BERLIN,
            "45 2 * * *",
            60,
            "2026-10-25T00:50:00Z",
            Some("2026-10-25T00:45:00Z"),
            "2026-10-26T01:45:00Z",
        ),
        (
            BERLIN,
            "45 2 * * *",
            60,
            "2026-10-25T01:15:00Z",
            Some("2026-10-25T00:45:00Z"),
            "2026-10-26T01:45:00Z",
        ),
        (
            BERLIN,
            "45 2 * * *",
            60,
            "2026-10-25T01:40:00Z",
            Some("2026-10-25T00:45:00Z"),
            "2026-10-26T01:45:00Z",
        ),
        (
            BERLIN,
            "45 2 * * *",
            60,
            "2026-10-25T01:50:00Z",
            None,
            "2026-10-26T01:45:00Z",
        ),
        (
            BERLIN,
            "30 2 * * *",
            120,
            "2026-10-25T01:15:00Z",
            Some("2026-10-25T00:30:00Z"),
            "2026-10-26T01:30:00Z",
        ),
        (
            BERLIN,
            "30 2 * * SUN",
            120,
            "2026-10-25T01:10:00Z",
            Some("2026-10-25T00:30:00Z"),
            "2026-11-01T01:30:00Z",
        ),
        (
            BERLIN,
            "30 2 * * SUN",
            120,
            "2026-10-25T02:30:00Z",
            None,
            "2026-11-01T01:30:00Z",
        ),
        (
            BERLIN,
            "0 3 * * *",
            60,
            "2026-10-25T01:30:00Z",
            None,
            "2026-10-25T02:00:00Z",
        ),
        // The hour from 02:00 on is left out on 2027-03-28.
        (
            BERLIN,
            "0 1 * * *",
            60,
            "2027-03-28T00:30:00Z",
            Some("2027-03-28T00:00:00Z"),
            "2027-03-28T23:00:00Z",
        ),
        (
            BERLIN,
            "0 1 * * SUN",
            60,
            "2027-03-28T00:30:00Z",
            Some("2027-03-28T00:00:00Z"),
            "2027-04-03T23:00:00Z",
        ),
        (
            BERLIN,
            "0 2 * * *",
            60,
            "2027-03-28T00:59:59Z",
            None,
            "2027-03-28T01:00:00Z",
        ),
        (
            BERLIN,
            "30 2 * * *",
            60,
            "2027-03-28T01:10:00Z",
            Some("2027-03-28T01:00:00Z"),
            "2027-03-29T00:30:00Z",
        ),
        (
            BERLIN,
            "30 2 * * *",
            60,
            "2027-03-28T02:00:00Z",
            None,
            "2027-03-29T00:30:00Z",
        ),
        // Every hour, in both passes.
        (
            BERLIN,
            "30 * * * *",
            10,
            "2026-10-25T00:35:00Z",
            Some("2026-10-25T00:30:00Z"),
            "2026-10-25T01:30:00Z",
        ),
        (
            BERLIN,
            "30 * * * *",
            10,
            "2026-10-25T01:35:00Z",
            Some("2026-10-25T01:30:00Z"),
            "2026-10-25T02:30:00Z",
        ),
        // New York, 2026-11-01: 02:00 summer time (06:00Z) is 01:00 winter time.
        (
            NEW_YORK,
            "30 1 * * *",
            90,
            "2026-11-01T06:45:00Z",
            Some("2026-11-01T05:30:00Z"),
            "2026-11-02T06:30:00Z",
        ),
        (
            NEW_YORK,
            "30 1 * * *",
            90,
            "2026-11-01T07:00:00Z",
            None,
            "2026-11-02T06:30:00Z",
        ),
        (
            NEW_YORK,
            "15 2 * * *",
            30,
            "2027-03-14T07:10:00Z",
            Some("2027-03-14T07:00:00Z"),
            "2027-03-15T06:15:00Z",
        ),
        // Cairo, last Friday of April: the day begins at 01:00.
        (
            CAIRO,
            "0 0 * * FRI",
            60,
            "2026-04-23T22:30:00Z",
            Some("2026-04-23T22:00:00Z"),
            "2026-04-30T21:00:00Z",
        ),
        (
            CAIRO,
            "0 0 * * FRI",
            60,
            "2026-04-23T21:59:59Z",
            None,
            "2026-04-23T22:00:00Z",
        ),
        // The last Thursday of October has its last hour twice.
        (
            CAIRO,
            "30 23 * * THU",
            90,
            "2026-10-29T21:15:00Z",
            Some("2026-10-29T20:30:00Z"),
            "2026-11-05T21:30:00Z",
        ),
        // Santiago, 2026-09-06: the day begins at 01:00; 2026-04-04 has its last hour twice.
        (
            SANTIAGO,
            "0 0 * * SUN",
            60,
            "2026-09-06T04:10:00Z",
            Some("2026-09-06T04:00:00Z"),
            "2026-09-13T03:00:00Z",
        ),
        (
            SANTIAGO,
            "30 23 * * SAT",
            60,
            "2026-04-05T03:20:00Z",
            Some("2026-04-05T02:30:00Z"),
            "2026-04-12T03:30:00Z",
        ),
        // Lord Howe goes back and forward by half an hour, at 02:00.
        (
            LORD_HOWE,
            "45 1 * * *",
            60,
            "2026-04-04T15:20:00Z",
            Some("2026-04-04T14:45:00Z"),
            "2026-04-05T15:15:00Z",
        ),
        (
            LORD_HOWE,
            "15 2 * * *",
            60,
            "2026-10-03T15:40:00Z",
            Some("2026-10-03T15:30:00Z"),
            "2026-10-04T15:15:00Z",
        ),
        (
            LORD_HOWE,
            "45 * * * *",
            20,
            "2026-04-04T15:20:00Z",
            Some("2026-04-04T15:15:00Z"),
            "2026-04-04T16:15:00Z",
        ),
        // Kathmandu is 5 h 45 min ahead and never changes.
        (
            KATHMANDU,
            "0 0 * * *",
            60,
            "2026-06-30T18:30:00Z",
            Some("2026-06-30T18:15:00Z"),
            "2026-07-01T18:15:00Z",
        ),
        // Ends of months, leap years, midnight.
        (
            BERLIN,
            "0 2 L * *",
            60,
            "2028-02-29T01:30:00Z",
            Some("2028-02-29T01:00:00Z"),
            "2028-03-31T00:00:00Z",
        ),
        (
            BERLIN,
            "0 12 29 2 *",
            60,
            "2026-11-29T00:00:00Z",
            None,
            "2028-02-29T11:00:00Z",
        ),
        (
            BERLIN,
            "0 12 29 2 *",
            1440,
            "2028-03-01T10:59:59Z",
            Some("2028-02-29T11:00:00Z"),
            "2032-02-29T11:00:00Z",
        ),
        (
            BERLIN,
            "0 22 31 12 *",
            240,
            "2027-01-01T00:30:00Z",
            Some("2026-12-31T21:00:00Z"),
            "2027-12-31T21:00:00Z",
        ),
        (
            BERLIN,
            "0 0 1 * *",
            44_640,
            "2026-10-31T21:59:59Z",
            Some("2026-09-30T22:00:00Z"),
            "2026-10-31T23:00:00Z",
        ),
        (
            "UTC",
            "0 2 * * 5#2",
            60,
            "2026-11-13T02:30:00Z",
            Some("2026-11-13T02:00:00Z"),
            "2026-12-11T02:00:00Z",
        ),
        (
            "UTC",
            "0 2 1W * *",
            60,
            "2026-08-01T02:30:00Z",
            None,
            "2026-08-03T02:00:00Z",
        ),
        (
            "UTC",
            "@daily",
            60,
            "2026-11-13T00:30:00Z",
            Some("2026-11-13T00:00:00Z"),
            "2026-11-14T00:00:00Z",
        ),
        // Samoa had no 2011-12-30.
        (
            "Pacific/Apia",
            "0 12 * * FRI",
            60,
            "2011-12-30T10:30:00Z",
            Some("2011-12-30T10:00:00Z"),
            "2012-01-05T22:00:00Z",
        ),
    ] {
        let window = Recurrence::cron(cron, zone, Duration::from_secs(minutes * 60)).unwrap();
        let name = format!("`{cron}` in {zone} for {minutes} minutes at {now}");
        let length_ms = minutes as i64 * 60_000;
        // The answer is the same throughout the second.
        for now_ms in [ms(now), ms(now) + 437, ms(now) + 999] {
            let found = window
                .open_at(now_ms)
                .map(|(start_ms, end_ms)| (text(start_ms), text(end_ms)));
            let wanted = open.map(|start| (text(ms(start)), text(ms(start) + length_ms)));
            assert_eq!(found, wanted, "{name}: open");
            let found = window
                .next_after(now_ms)
                .map(|(start_ms, end_ms)| (text(start_ms), text(end_ms)));
            assert_eq!(
                found,
                Some((text(ms(next)), text(ms(next) + length_ms))),
                "{name}: next"
            );
        }
    }
}

/// Begins in a span, found by looking at the clock of the zone each minute.
fn begins_by_the_clock(
    cron: &Cron,
    zone: Tz,
    is_for_every_hour: bool,
    span: std::ops::Range<i64>,
) -> BTreeSet<i64> {
    let local = |at_s: i64| {
        DateTime::from_timestamp(at_s, 0)
            .unwrap()
            .with_timezone(&zone)
            .naive_local()
    };
    let matches = |local: NaiveDateTime| cron.is_time_matching(&local.and_utc()).unwrap();
    let (mut begins, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for at_s in span.step_by(60) {
        let (before, now) = (local(at_s - 60), local(at_s));
        let mut left_out = before + TimeDelta::minutes(1);
        while left_out < now {
            if matches(left_out) {
                begins.insert(at_s);
            }
            left_out += TimeDelta::minutes(1);
        }
        if matches(now) && (is_for_every_hour || !seen.contains(&now)) {
            begins.insert(at_s);
        }
        seen.insert(now);
    }
    begins
}

#[test]
fn a_window_is_open_exactly_when_the_clocks_of_its_zone_say_so() {
    let parser = CronParser::new();
    for (zone, changes) in [
        (BERLIN, ["2026-10-25T01:00:00Z", "2027-03-28T01:00:00Z"]),
        (NEW_YORK, ["2026-11-01T06:00:00Z", "2027-03-14T07:00:00Z"]),
        (CAIRO, ["2026-10-29T21:00:00Z", "2027-04-29T22:00:00Z"]),
        (SANTIAGO, ["2026-04-05T03:00:00Z", "2026-09-06T04:00:00Z"]),
        (LORD_HOWE, ["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"]),
        (KATHMANDU, ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"]),
    ] {
        let tz: Tz = zone.parse().unwrap();
        for cron in [
            "30 2 * * *",
            "0 0 * * *",
            "*/7 * * * *",
            "45 1-3 * * *",
            "15 */2 * * *",
            "30 23 * * *",
        ] {
            let parsed = parser.parse(cron).unwrap();
            let is_for_every_hour = cron.split(' ').nth(1).unwrap().starts_with('*');
            for change in changes.map(|change| ms(change) / 1_000) {
                let span = change - 2 * DAY_S..change + 2 * DAY_S;
                let begins = begins_by_the_clock(&parsed, tz, is_for_every_hour, span);
                for minutes in [5, 70, 600] {
                    let window =
                        Recurrence::cron(cron, zone, Duration::from_secs(minutes * 60)).unwrap();
                    // Near the change; not on full minutes alone.
                    for now_s in (change - 5 * 3_600..change + 5 * 3_600).step_by(7 * 60 + 30) {
                        let name = format!(
                            "`{cron}` in {zone} for {minutes} minutes at {}",
                            text(now_s * 1_000)
                        );
                        let open = begins
                            .range(now_s - minutes as i64 * 60 + 1..=now_s)
                            .next_back();
                        let found = window
                            .open_at(now_s * 1_000)
                            .map(|(start_ms, _)| start_ms / 1_000);
                        assert_eq!(found, open.copied(), "{name}: open");
                        let next = begins.range(now_s + 1..).next();
                        let found = window
                            .next_after(now_s * 1_000)
                            .map(|(start_ms, _)| start_ms / 1_000);
                        assert_eq!(found, next.copied(), "{name}: next");
                    }
                }
            }
        }
    }
}
