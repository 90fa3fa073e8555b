//! What a page means for the components that we depend on.

use extrack_plugin::time;

use crate::page::{Component, Incident, Level, Page};

/// Names of other components that a message shows.
const SHOWN_NAMES: usize = 5;
/// Claims that a message shows.
const SHOWN_CLAIMS: usize = 3;

pub(crate) struct Verdict<'a> {
    pub(crate) level: Level,
    /// Those that touch us, the gravest first.
    pub(crate) touching: Vec<&'a Incident>,
    /// Incidents that touch us, without planned work.
    pub(crate) open: usize,
    /// Planned work to come that touches us, the next one first.
    pub(crate) upcoming: Vec<&'a Incident>,
    /// What the page says, for people.
    claims: Vec<(Level, String)>,
}

impl<'a> Verdict<'a> {
    pub(crate) fn of(page: &'a Page, wanted: &[String]) -> Self {
        let wanted: &[String] = if page.is_feed { &[] } else { wanted };
        let mut chosen = Vec::new();
        let mut claims = Vec::new();
        for name in wanted {
            let found = page.chosen(name);
            if found.is_empty() {
                claims.push((Level::Unknown, missing(page, name)));
            }
            chosen.extend(found);
        }
        for component in &chosen {
            let text = format!("component `{}` is `{}`", component.name, component.word);
            claims.push((Level::of(&component.word), text));
        }
        if let Some(word) = page.word.as_ref().filter(|_| wanted.is_empty()) {
            claims.push((Level::of(word), format!("the page is `{word}`")));
        }
        let is_whole = wanted.is_empty();
        let touches = |incident: &&Incident| {
            is_whole
                // One that names no component may be about any.
                || incident.components.is_empty()
                || chosen.iter().any(|component| incident.names(component))
        };
        let level_of = |incident: &Incident| level_for(incident, is_whole);
        let touching: Vec<&Incident> = page.incidents.iter().filter(touches).collect();
        let mut upcoming: Vec<&Incident> = page.upcoming.iter().filter(touches).collect();
        upcoming.sort_by_key(|work| work.started_ms.unwrap_or(u64::MAX));
        let of_incidents = touching.iter().map(|incident| level_of(incident)).max();
        let of_claims = claims.iter().map(|(level, _)| *level).max();
        let level = of_incidents.max(of_claims).unwrap_or(Level::Operational);
        let open = touching
            .iter()
            .filter(|incident| !incident.is_planned)
            .count();
        // The first one to begin, of those that are equally grave.
        let mut touching = touching;
        touching.sort_by_key(|incident| {
            let gravity = std::cmp::Reverse(level_of(incident));
            (gravity, incident.started_ms.unwrap_or(u64::MAX))
        });
        claims.retain(|(level, _)| *level > Level::Operational);
        claims.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        Self {
            level,
            touching,
            open,
            upcoming,
            claims,
        }
    }

    pub(crate) fn incident(&self) -> Option<&'a Incident> {
        self.touching.first().copied()
    }

    /// The value found, for people.
    pub(crate) fn message(&self) -> String {
        let what = match self.level {
            Level::Operational => "that all is well",
            Level::Maintenance => "planned work",
            Level::Unknown => "a state that is not known",
            Level::Degraded => "trouble",
            Level::Outage => "an outage",
        };
        let mut parts: Vec<String> = self.incident().map(described).into_iter().collect();
        if self.open > 1 {
            parts.push(format!("{} incidents are open", self.open));
        }
        let claims = self.claims.iter().take(SHOWN_CLAIMS);
        parts.extend(claims.map(|(_, text)| text.clone()));
        format!("the vendor reports {what}: {}", parts.join("; "))
    }
}

/// Of an incident that names components the state of ours is the more exact word.
fn level_for(incident: &Incident, is_whole: bool) -> Level {
    if is_whole || incident.is_planned || incident.components.is_empty() {
        incident.level
    } else {
        incident.level.min(Level::Degraded)
    }
}

fn described(incident: &Incident) -> String {
    let mut facts = Vec::new();
    if !incident.state.is_empty() {
        facts.push(incident.state.clone());
    }
    if !incident.impact.is_empty() {
        facts.push(format!("impact {}", incident.impact));
    }
    if let Some(started_ms) = incident.started_ms {
        facts.push(format!("since {}", time::rfc3339(started_ms)));
    }
    let facts = if facts.is_empty() {
        String::new()
    } else {
        format!(" ({})", facts.join(", "))
    };
    format!("`{}`{facts}", incident.name)
}

fn missing(page: &Page, wanted: &str) -> String {
    let names = page.components.iter().map(|component: &Component| {
        let name = &component.name;
        format!("`{name}`")
    });
    let mut shown: Vec<String> = names.take(SHOWN_NAMES).collect();
    if page.components.len() > SHOWN_NAMES {
        shown.push(format!("{} more", page.components.len() - SHOWN_NAMES));
    }
    let has = if shown.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", shown.join(", "))
    };
    format!("the page has no component `{wanted}`; {has}")
}
