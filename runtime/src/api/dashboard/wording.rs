//! Figures and moments as people read them.

use maud::{Markup, html};

pub(super) use crate::charts::words::{latency, percent};

use crate::api::http::moment::{clock, day_and_clock, rfc3339};
use crate::domain::UnixMillis;

/// A clock time that the script turns into `12 s ago`.
pub(super) fn ago(ms: UnixMillis) -> Markup {
    html! { time datetime=(rfc3339(ms)) data-ago title=(day_and_clock(ms)) { (clock(ms)) } }
}

/// A moment that the script turns into `for 12 min`.
pub(super) fn since(ms: UnixMillis) -> Markup {
    html! { time datetime=(rfc3339(ms)) data-for title=(day_and_clock(ms)) { "since " (day_and_clock(ms)) } }
}

/// Renders the subject of an alert: a service leads to its page, a budget, a plugin and the monitor
/// have none.
pub(super) fn subject(slug: &str, name: &str) -> Markup {
    html! { @if slug.contains(':') { (name) } @else { a href={ "/services/" (slug) } { (name) } } }
}

/// Renders a moment of the API, RFC 3339.
pub(super) fn written(moment: &str) -> Markup {
    let ms = moment
        .parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond);
    html! { time datetime=(moment) { @match ms { Ok(ms) => { (day_and_clock(ms)) } Err(_) => { (moment) } } } }
}

/// Renders a span that is over: its beginning and how long it was.
pub(super) fn spent(from_ms: UnixMillis, until_ms: UnixMillis) -> Markup {
    let lasted = until_ms.saturating_sub(from_ms).max(0).unsigned_abs() / 1_000;
    html! { time datetime=(rfc3339(from_ms)) { (day_and_clock(from_ms)) } ", " (seconds(lasted)) }
}

/// Renders text in backticks as code, as far as they come in pairs.
pub(super) fn prose(text: &str) -> Markup {
    let last = text.matches('`').count();
    let code = |index: usize| index % 2 == 1 && index < last;
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if code(index) { code { (part) } }
            @else if index % 2 == 1 { "`" (part) }
            @else { (part) }
        }
    }
}

/// `1 service`, `2 services`
pub(super) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// `41 s`, `14 min`, `3 h 5 min`, `2 d 4 h`
pub(super) fn seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_become_code_and_stay_escaped() {
        for (text, wanted) in [
            ("status is `error`", "status is <code>error</code>"),
            ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
            ("a ` alone", "a ` alone"),
            ("", ""),
        ] {
            assert_eq!(prose(text).into_string(), wanted);
        }
    }

    #[test]
    fn spans_have_two_figures_at_most() {
        for (value, wanted) in [
            (59, "59 s"),
            (61, "1 min"),
            (3_900, "1 h 5 min"),
            (187_200, "2 d 4 h"),
        ] {
            assert_eq!(seconds(value), wanted);
        }
    }
}
