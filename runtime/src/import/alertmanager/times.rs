//! Time intervals as mute times, each of which is one schedule that lasts for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::import::draft::{Draft, mapping};
use crate::import::item::Item;
use crate::import::text::written;

const DAY_MINUTES: u32 = 24 * 60;
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Mute times by the name of their interval.
pub(super) struct Times(BTreeMap<String, Interval>);

/// Mute times of an interval.
struct Interval {
    /// Names of mute times that cover it, or why there are none.
    muted: Result<Vec<String>, String>,
    /// The same for what lies outside of it.
    outside: Result<Vec<String>, String>,
}

/// One schedule: minutes of the day, and the days.
#[derive(Debug, Clone, PartialEq)]
struct Window {
    start: u32,
    minutes: u32,
    month_days: String,
    months: String,
    weekdays: String,
    location: Option<String>,
}

impl Times {
    pub(super) fn of(root: &Item<'_>, draft: &mut Draft) -> Self {
        let mut intervals = BTreeMap::new();
        for key in ["mute_time_intervals", "time_intervals"] {
            for item in root.list(key) {
                draft.found();
                let name = item.text_of("name").unwrap_or_default();
                let interval = interval(&name, &item, root, draft);
                if interval.muted.is_ok() || interval.outside.is_ok() {
                    draft.imported.carried += 1;
                }
                intervals.insert(name, interval);
            }
        }
        Self(intervals)
    }

    /// Returns the mute times of an interval, or those of all that is outside of it. The error is
    /// why there are none.
    pub(super) fn names(&self, name: &str, is_outside: bool) -> Result<Vec<String>, String> {
        let Some(interval) = self.0.get(name) else {
            return Err(format!("there is no time interval `{name}`"));
        };
        let names = if is_outside {
            &interval.outside
        } else {
            &interval.muted
        };
        names.clone()
    }
}

fn interval(name: &str, item: &Item<'_>, root: &Item<'_>, draft: &mut Draft) -> Interval {
    let mut windows = Vec::new();
    let mut fault = None;
    for part in item.list("time_intervals") {
        match part_windows(&part) {
            Ok(found) => windows.extend(found),
            Err((place, reason)) => {
                draft.left_out(&place, &reason);
                fault = Some(format!("`{name}` is not carried over as a whole"));
            }
        }
    }
    if let Some(reason) = fault {
        return Interval {
            muted: Err(reason.clone()),
            outside: Err(reason),
        };
    }
    let (is_muted, is_active) = uses(root, name);
    let add = |windows: &[Window], name: &str, draft: &mut Draft| {
        let many = windows.len() > 1;
        let windows = windows.iter().enumerate();
        let names = windows.map(|(index, window)| {
            let name = if many {
                format!("{name}-{}", index + 1)
            } else {
                name.to_owned()
            };
            draft.member("muteTimes", &name, window.written())
        });
        names.collect::<Vec<String>>()
    };
    // What no route names is kept as the mute time it may become.
    let muted = if is_muted || !is_active {
        add(&windows, name, draft)
    } else {
        Vec::new()
    };
    let outside = match is_active.then(|| complement(&windows)) {
        None => Ok(Vec::new()),
        Some(Ok(outside)) => Ok(add(&outside, &format!("outside of {name}"), draft)),
        Some(Err(reason)) => Err(reason),
    };
    Interval {
        muted: Ok(muted),
        outside,
    }
}

/// Whether some route mutes by an interval, and whether some is active by it.
fn uses(root: &Item<'_>, name: &str) -> (bool, bool) {
    let mut open: Vec<Item<'_>> = root.get("route").into_iter().collect();
    let (mut is_muted, mut is_active) = (false, false);
    while let Some(route) = open.pop() {
        let names = |key: &str| route.texts_of(key).iter().any(|known| known == name);
        is_muted |= names("mute_time_intervals");
        is_active |= names("active_time_intervals");
        open.extend(route.list("routes"));
    }
    (is_muted, is_active)
}

impl Window {
    fn written(&self) -> Value {
        let (hour, minute) = (self.start / 60, self.start % 60);
        let cron = format!(
            "{minute} {hour} {} {} {}",
            self.month_days, self.months, self.weekdays
        );
        let duration = Duration::from_secs(u64::from(self.minutes) * 60);
        Value::Object(mapping([
            ("cron", Some(json!(cron))),
            ("duration", Some(written(duration))),
            ("timezone", self.location.clone().map(Value::String)),
        ]))
    }
}

type Refusal<'a> = (Item<'a>, String);

/// All of its fields have to hold.
fn part_windows<'a>(part: &Item<'a>) -> Result<Vec<Window>, Refusal<'a>> {
    let refuse = |key: &str, reason: &str| {
        let place = part.get(key).unwrap_or_else(|| part.clone());
        Err((place, reason.to_owned()))
    };
    if part.get("years").is_some() {
        return refuse("years", "a schedule of ours names no years");
    }
    let weekdays =
        weekdays(part).ok_or_else(|| (part.clone(), "`weekdays` can't be read".to_owned()))?;
    let weekdays = match weekdays.len() {
        0 | 7 => "*".to_owned(),
        _ => weekdays
            .iter()
            .map(|day| DAYS[*day])
            .collect::<Vec<_>>()
            .join(","),
    };
    let Some(month_days) = month_days(part) else {
        return refuse(
            "days_of_month",
            "a schedule of ours counts no days from the end of the month",
        );
    };
    if month_days != "*" && weekdays != "*" {
        return refuse(
            "days_of_month",
            "a schedule of ours has days of the month or of the week, not both",
        );
    }
    let Some(months) = months(part) else {
        return refuse("months", "can't be read");
    };
    let location = part.text_of("location");
    if location.as_deref() == Some("Local") {
        return refuse("location", "is the zone of another machine; name it");
    }
    let mut windows = Vec::new();
    for (start, end) in times(part)? {
        windows.push(Window {
            start,
            minutes: end - start,
            month_days: month_days.clone(),
            months: months.clone(),
            weekdays: weekdays.clone(),
            location: location.clone(),
        });
    }
    Ok(windows)
}

/// Minutes of the day; the whole day without any.
fn times<'a>(part: &Item<'a>) -> Result<Vec<(u32, u32)>, Refusal<'a>> {
    let list = part.list("times");
    if list.is_empty() {
        return Ok(vec![(0, DAY_MINUTES)]);
    }
    let mut times = Vec::new();
    for item in list {
        let minute = |key: &str| clock(&item.text_of(key)?);
        match (minute("start_time"), minute("end_time")) {
            (Some(start), Some(end)) if start < end => times.push((start, end)),
            _ => return Err((item, "is no time from a start to a later end".to_owned())),
        }
    }
    Ok(times)
}

/// Reads `HH:MM`. Some versions of YAML read it as a number of minutes.
fn clock(text: &str) -> Option<u32> {
    let Some((hours, minutes)) = text.split_once(':') else {
        return text.parse().ok().filter(|minutes| *minutes <= DAY_MINUTES);
    };
    let minutes = hours.parse::<u32>().ok()? * 60 + minutes.parse::<u32>().ok()?;
    (minutes <= DAY_MINUTES).then_some(minutes)
}

/// Numbers of days, 0 for Sunday; none stands for all.
fn weekdays(part: &Item<'_>) -> Option<Vec<usize>> {
    let day = |text: &str| {
        let start: String = text.trim().to_uppercase().chars().take(3).collect();
        DAYS.iter().position(|day| *day == start)
    };
    let mut found = Vec::new();
    for text in part.texts_of("weekdays") {
        let (first, last) = text.split_once(':').unwrap_or((&text, &text));
        let (first, last) = (day(first)?, day(last)?);
        if first > last {
            return None;
        }
        found.extend(first..=last);
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

fn month_days(part: &Item<'_>) -> Option<String> {
    let mut ranges = Vec::new();
    for text in part.texts_of("days_of_month") {
        let (first, last) = text.split_once(':').unwrap_or((&text, &text));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if !(1..=31).contains(&first) || !(first..=31).contains(&last) {
            return None;
        }
        ranges.push(range(first, last));
    }
    Some(joined(&ranges))
}

fn months(part: &Item<'_>) -> Option<String> {
    let month = |text: &str| {
        let text = text.trim().to_lowercase();
        let named = MONTHS.iter().position(|name| *name == text);
        let number = || {
            text.parse::<u32>()
                .ok()
                .filter(|month| (1..=12).contains(month))
        };
        named.map(|index| index as u32 + 1).or_else(number)
    };
    let mut ranges = Vec::new();
    for text in part.texts_of("months") {
        let (first, last) = text.split_once(':').unwrap_or((&text, &text));
        let (first, last) = (month(first)?, month(last)?);
        if first > last {
            return None;
        }
        ranges.push(range(first, last));
    }
    Some(joined(&ranges))
}

fn range(first: u32, last: u32) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

fn joined(ranges: &[String]) -> String {
    if ranges.is_empty() {
        return "*".to_owned();
    }
    ranges.join(",")
}

/// Returns the minutes of the week that none of the windows covers. The error is why that can't be
/// reckoned.
fn complement(windows: &[Window]) -> Result<Vec<Window>, String> {
    let is_weekly = |window: &Window| window.month_days == "*" && window.months == "*";
    if !windows.iter().all(is_weekly) {
        return Err("all but some days of the month, or some months, is no schedule".to_owned());
    }
    let location = windows.first().and_then(|window| window.location.clone());
    if windows.iter().any(|window| window.location != location) {
        return Err("has several zones, outside of which no schedule is".to_owned());
    }
    let mut outside = Vec::new();
    let mut by_time: Vec<((u32, u32), Vec<&str>)> = Vec::new();
    for day in DAYS {
        for gap in gaps(windows, day) {
            match by_time.iter_mut().find(|(known, _)| *known == gap) {
                Some((_, days)) => days.push(day),
                None => by_time.push((gap, vec![day])),
            }
        }
    }
    for ((start, end), days) in by_time {
        let weekdays = if days.len() == DAYS.len() {
            "*".to_owned()
        } else {
            days.join(",")
        };
        outside.push(Window {
            start,
            minutes: end - start,
            month_days: "*".to_owned(),
            months: "*".to_owned(),
            weekdays,
            location: location.clone(),
        });
    }
    Ok(outside)
}

/// Returns the times of a day that none of the windows covers.
fn gaps(windows: &[Window], day: &str) -> Vec<(u32, u32)> {
    let of_day = windows.iter().filter(|window| {
        window.weekdays == "*" || window.weekdays.split(',').any(|own| own == day)
    });
    let mut covered: Vec<(u32, u32)> = of_day
        .map(|window| (window.start, window.start + window.minutes))
        .collect();
    covered.sort_unstable();
    let mut gaps = Vec::new();
    let mut from = 0;
    for (start, end) in covered {
        if start > from {
            gaps.push((from, start));
        }
        from = from.max(end);
    }
    if from < DAY_MINUTES {
        gaps.push((from, DAY_MINUTES));
    }
    gaps
}
