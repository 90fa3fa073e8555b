//! RSS and Atom, the last resort: the state of an incident is read from the words of its entry. An
//! entry without a word that is known is of unknown state.

use std::collections::BTreeMap;

use extrack_plugin::{clock, time};

use crate::Settings;
use crate::markup::{Entry, entries, without_tags};
use crate::page::{Incident, Level, Page};

/// Time for which an entry without a word that is known counts: it may have been written before the
/// end of its incident, and there are entries that never say it.
const UNKNOWN_MS: u64 = 86_400_000;

/// Longest text of an entry that is looked at, in characters.
const MOST_CHARACTERS: usize = 20_000;

/// Words for an incident that is over, one that is not, and work that is still to come.
const OVER: [&str; 3] = ["resolved", "completed", "operating normally"];
const OPEN: [&str; 5] = [
    "investigating",
    "identified",
    "monitoring",
    "in progress",
    "verifying",
];
const PLANNED: [&str; 1] = ["scheduled"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Over,
    Open(&'static str),
    Planned,
    Unknown,
}

/// Returns none for what is no feed.
pub(crate) fn read(text: &str, settings: &Settings) -> Option<Page> {
    let mut page = Page {
        is_feed: true,
        ..Page::default()
    };
    let now_ms = clock::now_ms();
    let since_ms = now_ms.saturating_sub(time::millis(settings.feed_window));
    let entries = entries(text)?;
    let mut links: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &entries {
        *links.entry(entry.link.clone()).or_default() += 1;
    }
    for entry in entries {
        let moment_ms = moment_of(&entry.published).or(moment_of(&entry.updated));
        let last_ms = moment_of(&entry.updated).max(moment_ms);
        let body = without_tags(&entry.text);
        let is_old = last_ms.is_some_and(|last_ms| last_ms < since_ms);
        if is_old || !is_chosen(&entry.title, &body, &settings.components) {
            continue;
        }
        let state = match state_of(&entry.title) {
            State::Unknown => state_of(&body),
            state => state,
        };
        let is_stale = |last_ms: u64| last_ms < now_ms.saturating_sub(UNKNOWN_MS);
        let id = id_of(&entry, links.get(&entry.link) == Some(&1));
        let incident = incident(entry, id, state, moment_ms);
        match state {
            State::Over => {}
            State::Unknown if last_ms.is_some_and(is_stale) => {}
            State::Planned => page.upcoming.push(incident),
            State::Open(_) | State::Unknown => page.incidents.push(incident),
        }
    }
    Some(page)
}

/// Returns what an entry is known by: its id, else a link of its own, else a hash of what does not
/// change.
fn id_of(entry: &Entry, has_own_link: bool) -> String {
    if !entry.id.is_empty() {
        return entry.id.clone();
    }
    if has_own_link && !entry.link.is_empty() {
        return entry.link.clone();
    }
    let moment = if entry.published.is_empty() {
        &entry.title
    } else {
        &entry.published
    };
    format!(
        "entry-{:016x}",
        hash(&[entry.link.as_str(), moment.as_str()])
    )
}

/// FNV-1a.
fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn incident(entry: Entry, id: String, state: State, started_ms: Option<u64>) -> Incident {
    let (level, word) = match state {
        State::Open(word) => (Level::Degraded, word),
        State::Planned => (Level::Maintenance, "scheduled"),
        State::Over | State::Unknown => (Level::Unknown, ""),
    };
    Incident {
        id,
        name: entry.title,
        state: word.to_owned(),
        impact: String::new(),
        level,
        is_planned: state == State::Planned,
        started_ms,
        url: entry.link,
        components: Vec::new(),
    }
}

fn is_chosen(title: &str, body: &str, wanted: &[String]) -> bool {
    let (title, body) = (title.to_lowercase(), body.to_lowercase());
    let has = |name: &String| {
        let name = name.trim().to_lowercase();
        title.contains(&name) || body.contains(&name)
    };
    wanted.is_empty() || wanted.iter().any(has)
}

/// The first word counts: feeds have the latest update first.
fn state_of(text: &str) -> State {
    let text: String = text
        .chars()
        .take(MOST_CHARACTERS)
        .flat_map(char::to_lowercase)
        .collect();
    let over = OVER.iter().map(|word| (*word, State::Over));
    let open = OPEN.iter().map(|word| (*word, State::Open(word)));
    let planned = PLANNED.iter().map(|word| (*word, State::Planned));
    let places = over
        .chain(open)
        .chain(planned)
        .filter_map(|(word, state)| Some((place_of(&text, word)?, state)));
    places
        .min_by_key(|(place, _)| *place)
        .map_or(State::Unknown, |(_, state)| state)
}

/// Where a word stands by itself: `unresolved` is not `resolved`.
fn place_of(text: &str, word: &str) -> Option<usize> {
    let is_apart = |place: &usize| {
        let before = text[..*place].chars().next_back();
        let behind = text[*place + word.len()..].chars().next();
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_letter(before) && !is_letter(behind)
    };
    text.match_indices(word)
        .map(|(place, _)| place)
        .find(is_apart)
}

/// A moment of Atom (RFC 3339) or of RSS (RFC 822), e.g. `Tue, 01 Dec 2026 09:30:00 -0800`.
fn moment_of(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(ms) = time::parse_rfc3339(text) {
        return Some(ms);
    }
    let behind_weekday = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = behind_weekday.split_whitespace();
    let day: u8 = words.next()?.parse().ok()?;
    let month = month_of(words.next()?)?;
    let year: u16 = words.next()?.parse().ok()?;
    let clock = words.next()?;
    let clock = if clock.len() == 5 {
        format!("{clock}:00")
    } else {
        clock.to_owned()
    };
    let zone = offset_of(words.next().unwrap_or("GMT"))?;
    time::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{clock}{zone}"))
}

fn month_of(name: &str) -> Option<usize> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let start = name.get(..3)?.to_ascii_lowercase();
    MONTHS
        .iter()
        .position(|month| *month == start)
        .map(|place| place + 1)
}

/// The zones of RFC 822 as RFC 3339 writes them.
fn offset_of(zone: &str) -> Option<String> {
    let hours = match zone {
        "GMT" | "UT" | "UTC" | "Z" => return Some("Z".to_owned()),
        "EDT" => 4,
        "EST" | "CDT" => 5,
        "CST" | "MDT" => 6,
        "MST" | "PDT" => 7,
        "PST" => 8,
        digits => {
            let (hours, minutes) = (digits.get(..3)?, digits.get(3..5)?);
            return Some(format!("{hours}:{minutes}"));
        }
    };
    Some(format!("-{hours:02}:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_stands_by_itself_is_the_state() {
        for (text, wanted) in [
            (
                "Resolved - all is well. Investigating - we look.",
                State::Over,
            ),
            (
                "Monitoring - a fix is out. Identified - ...",
                State::Open("monitoring"),
            ),
            ("[RESOLVED] Increased error rates", State::Over),
            ("Service is operating normally", State::Over),
            ("still unresolved", State::Unknown),
            ("THIS IS A SCHEDULED EVENT", State::Planned),
            ("Trouble with search", State::Unknown),
        ] {
            assert_eq!(state_of(text), wanted, "{text}");
        }
    }

    #[test]
    fn entries_that_share_a_link_are_told_apart() {
        let entry = |id: &str, link: &str, published: &str| Entry {
            id: id.to_owned(),
            title: "Trouble".to_owned(),
            link: link.to_owned(),
            published: published.to_owned(),
            ..Entry::default()
        };
        let page = "https://s.example";
        assert_eq!(id_of(&entry("g1", page, "d1"), false), "g1");
        assert_eq!(id_of(&entry("", page, "d1"), true), page);
        let first = id_of(&entry("", page, "d1"), false);
        assert_eq!(first, id_of(&entry("", page, "d1"), false));
        assert_ne!(first, id_of(&entry("", page, "d2"), false));
        assert!(!id_of(&entry("", "", ""), false).is_empty());
    }

    #[test]
    fn moments_of_both_kinds_of_feed_are_read() {
        let noon = Some(1_767_268_800_000);
        for (text, wanted) in [
            ("2026-01-01T12:00:00Z", noon),
            ("2026-01-01T13:00:00+01:00", noon),
            ("Thu, 01 Jan 2026 12:00:00 GMT", noon),
            ("Thu, 1 Jan 2026 12:00 +0000", noon),
            ("1 January 2026 04:00:00 PST", noon),
            ("Thu, 01 Jan 2026 17:30:00 +0530", noon),
            ("yesterday", None),
            ("Thu, 32 Jan 2026 12:00:00 GMT", None),
            ("Thu, 01 Jan 2026 12:00:00 é", None),
            ("", None),
        ] {
            assert_eq!(moment_of(text), wanted, "{text}");
        }
    }
}
