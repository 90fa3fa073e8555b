//! The rooms of the dashboard, and the keys that work in all of them.

use maud::{Markup, html};

/// Rooms in the order of the navigation, with the key that leads there after `g`.
pub(super) const ROOMS: [(&str, &str, &str); 9] = [
    ("/", "Services", "s"),
    ("/alerts", "Alerts", "a"),
    ("/usage", "Usage", "u"),
    ("/analytics", "Analytics", "y"),
    ("/reports", "Reports", "r"),
    ("/sql", "SQL", "q"),
    ("/plugins", "Plugins", "p"),
    ("/routing", "Routing", "o"),
    ("/settings", "Settings", "e"),
];

/// Keys beside those that lead to rooms.
const KEYS: [(&str, &str); 8] = [
    ("/", "go to a service"),
    ("j  k", "next or previous row of a list"),
    ("Enter", "open what has the focus"),
    ("a", "acknowledge the alert"),
    ("s", "silence it"),
    ("c", "check the service now"),
    ("t", "choose the range of time"),
    ("Esc", "close what is open"),
];

pub(super) fn keys() -> Markup {
    html! {
        dl.keys {
            div { dt { kbd { "?" } } dd { "show these keys" } }
            @for (key, meaning) in KEYS { div { dt { kbd { (key) } } dd { (meaning) } } }
            @for (_, name, key) in ROOMS { div { dt { kbd { "g " (key) } } dd { (name) } } }
        }
    }
}
