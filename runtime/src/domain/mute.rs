//! What keeps an alert quiet while it fires: silences, maintenance windows, inhibition, dependencies. Checks go on all the same,
//! and the end of an alert that people were told of always reaches them.

mod dependency;
mod inhibition;
mod maintenance;
mod silence;

use std::sync::Arc;

use super::{Labels, Severity, UnixMillis};

pub use dependency::Dependencies;
pub use inhibition::Inhibition;
pub use maintenance::{Maintenance, Recurrence, WindowFault};
pub use silence::{Silence, SilenceState};

/// What mutes an alert, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mute {
    Silence {
        id: i64,
        author: String,
        comment: String,
    },
    /// By its name.
    Maintenance(String),
    /// By the alert that inhibits it: its name and service.
    Inhibited {
        by: String,
        service: String,
    },
    /// By the service it depends on.
    Dependency(String),
}

impl Mute {
    /// Who acts: the person whose silence it is, or the engine.
    pub fn actor(&self) -> Option<&str> {
        match self {
            Mute::Silence { author, .. } => Some(author),
            Mute::Maintenance(_) | Mute::Inhibited { .. } | Mute::Dependency(_) => None,
        }
    }

    pub fn reason(&self) -> String {
        match self {
            Mute::Silence { comment, .. } if !comment.is_empty() => format!("suppressed by {self}: {comment}"),
            Mute::Inhibited { .. } | Mute::Silence { .. } | Mute::Maintenance(_) => format!("suppressed by {self}"),
            Mute::Dependency(service) => {
                format!("suppressed because it depends on `{service}`, which has an alert firing")
            }
        }
    }
}

impl std::fmt::Display for Mute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mute::Silence { id, .. } => write!(f, "silence {id}"),
            Mute::Maintenance(name) => write!(f, "maintenance `{name}`"),
            Mute::Inhibited { by, service } => write!(f, "alert `{by}` of `{service}`"),
            Mute::Dependency(service) => write!(f, "dependency `{service}`"),
        }
    }
}

/// An alert that fires, as far as it can mute others.
#[derive(Debug, Clone)]
pub struct Firing {
    pub name: String,
    pub service: String,
    pub labels: Labels,
    pub severity: Severity,
}

/// Everything that can mute, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Mutes {
    pub silences: Vec<Silence>,
    pub maintenance: Vec<Arc<Maintenance>>,
    pub inhibitions: Arc<Vec<Inhibition>>,
    pub dependencies: Arc<Dependencies>,
}

impl Mutes {
    /// Nothing at all can be muted.
    pub fn is_empty(&self) -> bool {
        self.silences.is_empty()
            && self.maintenance.is_empty()
            && self.inhibitions.is_empty()
            && self.dependencies.is_empty()
    }

    /// The first thing that mutes this alert; people's own word comes first.
    pub fn find(&self, alert: &Firing, firing: &[Firing], now_ms: UnixMillis) -> Option<Mute> {
        let labels = &alert.labels;
        if let Some(Silence { id, author, comment, .. }) =
            self.silences.iter().find(|silence| silence.mutes(labels, now_ms))
        {
            return Some(Mute::Silence { id: *id, author: author.clone(), comment: comment.clone() });
        }
        if let Some(window) = self.maintenance.iter().find(|window| window.mutes(labels, now_ms)) {
            return Some(Mute::Maintenance(window.name.clone()));
        }
        let service = alert.service.as_str();
        if let Some(source) = self.inhibitions.iter().find_map(|rule| rule.source(service, labels, firing)) {
            return Some(Mute::Inhibited { by: source.name.clone(), service: source.service.clone() });
        }
        let down = self.dependencies.down(service, alert.severity, firing);
        down.map(|service| Mute::Dependency(service.to_owned()))
    }

    /// When a silence or a window begins or ends next.
    pub fn next_change_ms(&self, now_ms: UnixMillis) -> Option<UnixMillis> {
        let silences = self.silences.iter().flat_map(|silence| [silence.starts_ms, silence.ends_ms]);
        let windows = self.maintenance.iter().filter_map(|window| window.recurrence.next_change_ms(now_ms));
        silences.chain(windows).filter(|moment| *moment > now_ms).min()
    }
}
