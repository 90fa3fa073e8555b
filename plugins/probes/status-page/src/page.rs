//! A status page as all formats say it.

use extrack_plugin::json::Value;

/// What a page says of itself or of a part, the least grave first. Not to know is graver than
/// planned work, and never hides trouble that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Operational,
    Maintenance,
    Unknown,
    Degraded,
    Outage,
}

impl Level {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Level::Operational => "operational",
            Level::Maintenance => "maintenance",
            Level::Unknown => "unknown",
            Level::Degraded => "degraded",
            Level::Outage => "outage",
        }
    }

    /// Returns the level for a vendor's word, in whatever way it is spelt; unknown words are
    /// unknown.
    pub(crate) fn of(word: &str) -> Self {
        let letters: String = word
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        // Instatus counts: `ALLMAJOROUTAGE`, `SOMEUNDERMAINTENANCE`.
        let bare = letters
            .strip_prefix("all")
            .or(letters.strip_prefix("some"))
            .unwrap_or(&letters);
        match bare {
            "operational" | "none" | "up" => Level::Operational,
            "undermaintenance" | "maintenance" => Level::Maintenance,
            "degraded"
            | "degradedperformance"
            | "partialoutage"
            | "minor"
            | "minoroutage"
            | "hasissues" => Level::Degraded,
            "majoroutage" | "fulloutage" | "major" | "critical" | "downtime" => Level::Outage,
            _ => Level::Unknown,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The word for the page as a whole; a feed has none.
    pub(crate) word: Option<String>,
    pub(crate) components: Vec<Component>,
    /// Those that are not over, planned work that is under way among them.
    pub(crate) incidents: Vec<Incident>,
    /// Planned work that is still to come.
    pub(crate) upcoming: Vec<Incident>,
    /// A feed has no components: its entries were chosen when it was read.
    pub(crate) is_feed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Component {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Id of the group that it is in.
    pub(crate) group: Option<String>,
    /// It has no state of its own.
    pub(crate) is_group: bool,
    pub(crate) word: String,
}

#[derive(Debug)]
pub(crate) struct Incident {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The vendor's word for how far it got, e.g. `identified`.
    pub(crate) state: String,
    /// The vendor's word, e.g. `major`.
    pub(crate) impact: String,
    pub(crate) level: Level,
    pub(crate) is_planned: bool,
    pub(crate) started_ms: Option<u64>,
    pub(crate) url: String,
    /// Ids and names of the components that it names.
    pub(crate) components: Vec<String>,
}

impl Page {
    /// Returns the components that a name or an id stands for; of a group those in it.
    pub(crate) fn chosen(&self, wanted: &str) -> Vec<&Component> {
        let is_in = |component: &Component, group: &Component| {
            component.group.as_deref() == Some(group.id.as_str())
        };
        let groups: Vec<&Component> = self
            .components
            .iter()
            .filter(|component| component.is_group && component.is(wanted))
            .collect();
        let fits = |component: &&Component| {
            !component.is_group
                && (component.is(wanted) || groups.iter().any(|group| is_in(component, group)))
        };
        self.components.iter().filter(fits).collect()
    }
}

impl Component {
    fn is(&self, wanted: &str) -> bool {
        is_named(&self.id, wanted) || is_named(&self.name, wanted)
    }
}

impl Incident {
    /// An incident that is not over is trouble, whatever impact its vendor gives it.
    pub(crate) fn level_of(impact: &str) -> Level {
        match Level::of(impact) {
            Level::Maintenance => Level::Maintenance,
            level => level.max(Level::Degraded),
        }
    }

    pub(crate) fn names(&self, component: &Component) -> bool {
        let is_it = |name: &String| *name == component.id || *name == component.name;
        self.components.iter().any(is_it)
    }
}

/// Names are compared as people write them.
pub(crate) fn is_named(name: &str, wanted: &str) -> bool {
    name.trim().to_lowercase() == wanted.trim().to_lowercase()
}

/// The text of a member; empty if there is none. Ids may be numbers.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// The items of a list; none if it is no list.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
