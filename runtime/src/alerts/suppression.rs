//! What keeps an alert quiet while it fires: silences, maintenance windows, inhibition, dependencies. Checks go on all the same,
//! and the end of an alert that people were told of always reaches them.

mod dependency;
mod inhibition;
mod maintenance;
mod silence;

use super::labels::Labels;
use crate::domain::UnixMillis;

pub use dependency::Dependencies;
pub use inhibition::Inhibition;
pub use maintenance::{Maintenance, Recurrence, WindowFault};
pub use silence::{Silence, SilenceState};

/// What mutes an alert, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mute {
    /// By its id.
    Silence(i64),
    /// By its name.
    Maintenance(String),
    /// By the alert that inhibits it: its name and service.
    Inhibited { by: String, service: String },
    /// By the service it depends on.
    Dependency(String),
}

impl std::fmt::Display for Mute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mute::Silence(id) => write!(f, "silence {id}"),
            Mute::Maintenance(name) => write!(f, "maintenance `{name}`"),
            Mute::Inhibited { by, service } => write!(f, "inhibited by `{by}` of `{service}`"),
            Mute::Dependency(service) => write!(f, "depends on `{service}`, which is down"),
        }
    }
}

/// An alert that fires, as far as it can mute others.
#[derive(Debug, Clone)]
pub struct Firing {
    pub name: String,
    pub service: String,
    pub labels: Labels,
    /// Critical alerts of a service mute those of the services that depend on it.
    pub is_critical: bool,
}

/// Everything that can mute, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Mutes {
    pub silences: Vec<Silence>,
    pub maintenance: Vec<Maintenance>,
    pub inhibitions: Vec<Inhibition>,
    pub dependencies: Dependencies,
}

impl Mutes {
    /// The first thing that mutes an alert of this service; people's own word comes first.
    pub fn find(&self, service: &str, labels: &Labels, firing: &[Firing], now_ms: UnixMillis) -> Option<Mute> {
        let silence = self.silences.iter().find(|silence| silence.mutes(labels, now_ms));
        if let Some(silence) = silence {
            return Some(Mute::Silence(silence.id));
        }
        if let Some(window) = self.maintenance.iter().find(|window| window.mutes(labels, now_ms)) {
            return Some(Mute::Maintenance(window.name.clone()));
        }
        if let Some(source) = self.inhibitions.iter().find_map(|rule| rule.source(service, labels, firing)) {
            return Some(Mute::Inhibited { by: source.name.clone(), service: source.service.clone() });
        }
        self.dependencies.down(service, firing).map(|service| Mute::Dependency(service.to_owned()))
    }
}
