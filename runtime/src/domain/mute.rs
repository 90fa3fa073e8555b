//! Mutes of alerts that fire: silences, maintenance windows, inhibition, dependencies. Checks go on
//! all the same, and the end of an alert that was notified is always sent.

mod cron_ranges;
mod dependency;
mod inhibition;
mod maintenance;
mod schedule;
mod silence;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Labels, Pause, Severity, UnixMillis};
use inhibition::ActiveInhibition;

pub use dependency::Dependencies;
pub use inhibition::Inhibition;
pub use maintenance::{Maintenance, Recurrence};
pub use schedule::Schedule as CronSchedule;
pub use silence::{Silence, SilenceState};

/// Cause of a mute, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mute {
    Silence {
        id: i64,
        author: String,
        comment: String,
    },
    /// A maintenance window, by its name.
    Maintenance(String),
    /// The alert that inhibits it: its name and service.
    Inhibited { by: String, service: String },
    /// The service that it depends on.
    Dependency(String),
    /// The pause of its own service.
    Paused(Pause),
}

impl Mute {
    /// Whether a mute that reads so, as [`Display`](std::fmt::Display) writes it, goes when another
    /// alert ends.
    pub fn is_by_other_alert(text: &str) -> bool {
        text.starts_with("alert `") || text.starts_with("dependency `")
    }

    /// Returns the person whose silence it is; none where the engine acts.
    pub fn actor(&self) -> Option<&str> {
        match self {
            Mute::Silence { author, .. } => Some(author),
            Mute::Paused(pause) => pause.by.as_ref().map(|by| by.author.as_str()),
            Mute::Maintenance(_) | Mute::Inhibited { .. } | Mute::Dependency(_) => None,
        }
    }

    pub fn reason(&self) -> String {
        match self {
            Mute::Silence { comment, .. } if !comment.is_empty() => {
                format!("suppressed by {self}: {comment}")
            }
            Mute::Inhibited { .. } | Mute::Silence { .. } | Mute::Maintenance(_) => {
                format!("suppressed by {self}")
            }
            Mute::Dependency(service) => {
                format!("suppressed because it depends on `{service}`, which has an alert firing")
            }
            Mute::Paused(pause) => format!("suppressed because {pause}"),
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
            Mute::Paused(_) => f.write_str("pause"),
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

/// All causes that can mute.
#[derive(Debug, Clone, Default)]
pub struct Mutes {
    pub silences: Vec<Silence>,
    pub maintenance: Vec<Arc<Maintenance>>,
    pub inhibitions: Arc<Vec<Inhibition>>,
    pub dependencies: Arc<Dependencies>,
    /// Pauses that hold, by service.
    pub paused: Arc<BTreeMap<String, Pause>>,
}

impl Mutes {
    /// Whether nothing can be muted.
    pub fn is_empty(&self) -> bool {
        self.silences.is_empty()
            && self.maintenance.is_empty()
            && self.inhibitions.is_empty()
            && self.dependencies.is_empty()
            && self.paused.is_empty()
    }

    /// Prepares what mutes at a moment while these alerts fire, to look up many alerts in.
    pub fn at<'a>(&'a self, firing: &'a [Firing], now_ms: UnixMillis) -> MutesNow<'a> {
        let mut severities: HashMap<&str, Severity> = HashMap::new();
        // What is known of a service that is paused is of before.
        let is_watched = |alert: &Firing| !self.paused.contains_key(&alert.service);
        for alert in firing.iter().filter(|alert| is_watched(alert)) {
            let severity = severities.entry(&alert.service).or_insert(alert.severity);
            *severity = alert.severity.max(*severity);
        }
        MutesNow {
            silences: self
                .silences
                .iter()
                .filter(|silence| silence.state(now_ms) == SilenceState::Active)
                .collect(),
            windows: self
                .maintenance
                .iter()
                .map(Arc::as_ref)
                .filter(|window| window.recurrence.open_at(now_ms).is_some())
                .collect(),
            inhibitions: self
                .inhibitions
                .iter()
                .map(|inhibition| inhibition.while_firing(firing, is_watched))
                .collect(),
            dependencies: &self.dependencies,
            paused: &self.paused,
            severities,
            now_ms,
        }
    }

    /// The first thing that mutes one alert.
    pub fn find(&self, alert: &Firing, firing: &[Firing], now_ms: UnixMillis) -> Option<Mute> {
        self.at(firing, now_ms).find(alert)
    }

    /// When a silence or a window begins or ends next.
    pub fn next_change_ms(&self, now_ms: UnixMillis) -> Option<UnixMillis> {
        let silences = self
            .silences
            .iter()
            .flat_map(|silence| [silence.starts_ms, silence.ends_ms]);
        let windows = self
            .maintenance
            .iter()
            .filter_map(|window| window.recurrence.next_change_ms(now_ms));
        silences
            .chain(windows)
            .filter(|moment| *moment > now_ms)
            .min()
    }
}

/// Mutes of one moment.
#[derive(Debug)]
pub struct MutesNow<'a> {
    silences: Vec<&'a Silence>,
    /// Windows that are open.
    windows: Vec<&'a Maintenance>,
    inhibitions: Vec<ActiveInhibition<'a>>,
    dependencies: &'a Dependencies,
    paused: &'a BTreeMap<String, Pause>,
    /// The worst that fires, by service.
    severities: HashMap<&'a str, Severity>,
    now_ms: UnixMillis,
}

impl MutesNow<'_> {
    /// The first thing that mutes this alert; what people said comes first.
    pub fn find(&self, alert: &Firing) -> Option<Mute> {
        let labels = &alert.labels;
        if let Some(Silence {
            id,
            author,
            comment,
            ..
        }) = self
            .silences
            .iter()
            .find(|silence| silence.mutes(labels, self.now_ms))
        {
            return Some(Mute::Silence {
                id: *id,
                author: author.clone(),
                comment: comment.clone(),
            });
        }
        if let Some(pause) = self.paused.get(&alert.service) {
            return Some(Mute::Paused(pause.clone()));
        }
        if let Some(window) = self.windows.iter().find(|window| window.covers(labels)) {
            return Some(Mute::Maintenance(window.name.clone()));
        }
        if let Some(source) = self
            .inhibitions
            .iter()
            .find_map(|inhibition| inhibition.source(alert))
        {
            return Some(Mute::Inhibited {
                by: source.name.clone(),
                service: source.service.clone(),
            });
        }
        let is_down = |slug: &str| {
            self.severities
                .get(slug)
                .is_some_and(|severity| *severity >= alert.severity)
        };
        let down = self.dependencies.down(&alert.service, is_down);
        down.map(|service| Mute::Dependency(service.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_by_another_alert_is_known_by_its_text() {
        for (mute, wanted) in [
            (Mute::Dependency("db".to_owned()), true),
            (
                Mute::Inhibited {
                    by: "Down".to_owned(),
                    service: "db".to_owned(),
                },
                true,
            ),
            (Mute::Maintenance("alert".to_owned()), false),
            (
                Mute::Silence {
                    id: 1,
                    author: String::new(),
                    comment: String::new(),
                },
                false,
            ),
        ] {
            assert_eq!(Mute::is_by_other_alert(&mute.to_string()), wanted, "{mute}");
        }
    }

    #[test]
    fn a_pause_mutes_its_own_service_and_takes_away_what_it_would_mute() {
        let firing = |service: &str| Firing {
            name: "Down".to_owned(),
            service: service.to_owned(),
            labels: Labels::default(),
            severity: Severity::Critical,
        };
        let all = [firing("db"), firing("shop")];
        let dependencies = Dependencies::new([("shop".to_owned(), vec!["db".to_owned()])]);
        let mut mutes = Mutes {
            dependencies: Arc::new(dependencies),
            ..Mutes::default()
        };
        let by =
            |mutes: &Mutes, alert: &Firing| mutes.find(alert, &all, 0).map(|it| it.to_string());
        assert_eq!(by(&mutes, &all[1]).as_deref(), Some("dependency `db`"));
        let pause = Pause {
            until_ms: None,
            reason: "moving".to_owned(),
            by: None,
        };
        mutes.paused = Arc::new(BTreeMap::from([("db".to_owned(), pause)]));
        assert_eq!(by(&mutes, &all[0]).as_deref(), Some("pause"));
        assert_eq!(
            by(&mutes, &all[1]),
            None,
            "what is known of it is of before"
        );
    }

    #[test]
    fn a_dependency_mutes_what_is_not_worse() {
        let firing = |service: &str, severity| Firing {
            name: "Down".to_owned(),
            service: service.to_owned(),
            labels: Labels::default(),
            severity,
        };
        let dependencies = Dependencies::new([("shop".to_owned(), vec!["db".to_owned()])]);
        let mutes = Mutes {
            dependencies: Arc::new(dependencies),
            ..Mutes::default()
        };
        for (db, shop, wanted) in [
            (Severity::Critical, Severity::Critical, true),
            (Severity::Critical, Severity::Warning, true),
            (Severity::Warning, Severity::Critical, false),
        ] {
            let all = [
                firing("db", Severity::Info),
                firing("db", db),
                firing("shop", shop),
            ];
            assert_eq!(
                mutes.find(&all[2], &all, 0).is_some(),
                wanted,
                "{db:?} {shop:?}"
            );
        }
    }
}
