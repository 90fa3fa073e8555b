//! Services that are watched, their rules, and the channels: the registry publishes it whole,
//! everyone else reads it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::cost::{CostBudget, PriceList};
use super::{
    AlertOptions, Channel, ChannelId, Dependencies, EscalationPolicy, HEARTBEAT, Heartbeat,
    Inhibition, Maintenance, Pause, Recurrence, ReportDefinition, Route, Service, Severity,
    StatusPage,
};

/// One rule for one service.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Unique and stable: `SERVICE/NAME`.
    pub key: String,
    pub name: String,
    pub service: String,
    pub plugin: String,
    pub settings: Value,
    /// Names of the probes and webhooks it looks at; none: all of them.
    pub probes: Option<Vec<String>>,
    /// How long the breach has to last before the alert fires.
    pub duration: Duration,
    pub options: AlertOptions,
    pub severity: Severity,
    pub channels: Vec<ChannelId>,
    /// True if the routing tree decides who is notified; then `channels` are not.
    pub is_routed: bool,
    /// Name of the escalation policy.
    pub escalation: Option<String>,
}

impl AlertRule {
    pub fn looks_at(&self, probe: &str) -> bool {
        self.probes
            .as_ref()
            .is_none_or(|probes| probes.iter().any(|name| name == probe))
    }
}

/// Returns the subject of alerts about a plugin itself, in the place of a service; no slug has a
/// `:`.
pub fn plugin_subject(plugin: &str) -> String {
    format!("plugin:{plugin}")
}

/// Subject of alerts about the monitor's own network, in the place of a service.
pub const MONITOR_SUBJECT: &str = "monitor:network";

/// Subject of alerts about damaged files of the archive, in the place of a service.
pub const ARCHIVE_SUBJECT: &str = "monitor:archive";

/// Subject of alerts about credentials that end, in the place of a service.
pub const CREDENTIALS_SUBJECT: &str = "monitor:credentials";

/// Configured services, rules and channels at one moment.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Grows by one with each change.
    pub version: u64,
    /// Services by slug.
    pub services: BTreeMap<String, Arc<Service>>,
    /// Services that are there and can't run, e.g. because their plugin is gone, by slug: nothing
    /// is checked, and their alerts stay as they are. Without probes.
    pub stopped: BTreeMap<String, Arc<Service>>,
    /// Pauses that hold, by service slug: its probes don't run, its rules are not evaluated, and
    /// its alerts stay as they are and page nobody.
    pub paused: Arc<BTreeMap<String, Pause>>,
    /// Price lists by service slug; without one the cost of calls is unknown.
    pub prices: BTreeMap<String, Arc<PriceList>>,
    /// What is expected of the jobs that call us, by service slug. The service has a probe named
    /// [`HEARTBEAT`], which nobody runs.
    pub heartbeats: BTreeMap<String, Arc<Heartbeat>>,
    /// Budgets by slug.
    pub budgets: BTreeMap<String, Arc<CostBudget>>,
    /// Rules by service slug, by [`plugin_subject`], by the subject of a budget or of the monitor.
    pub rules: BTreeMap<String, Vec<Arc<AlertRule>>>,
    pub channels: BTreeMap<ChannelId, Arc<Channel>>,
    /// The tree of the files, or the one that stands for the `notifications` at the top of
    /// `alerts.yaml`. None: every rule names its channels.
    pub route: Option<Arc<Route>>,
    /// Times by name, during which a node of the tree sends nothing about alerts that fire.
    pub mute_times: Arc<BTreeMap<String, Recurrence>>,
    pub inhibitions: Arc<Vec<Inhibition>>,
    /// Windows of the files.
    pub maintenance: Vec<Arc<Maintenance>>,
    pub dependencies: Arc<Dependencies>,
    /// Escalation policies by name.
    pub escalations: BTreeMap<String, Arc<EscalationPolicy>>,
    pub watchdog: Option<Watchdog>,
    /// Pages for people who have no token, as the files have them.
    pub status_pages: Arc<Vec<Arc<StatusPage>>>,
    /// Reports of the files, by name.
    pub reports: BTreeMap<String, Arc<ReportDefinition>>,
}

impl Catalog {
    /// Whether a probe is the heartbeat of its service, which calls us: it is not run.
    pub fn is_heartbeat(&self, service: &str, probe: &str) -> bool {
        probe == HEARTBEAT && self.heartbeats.contains_key(service)
    }

    /// Rules of a service or another subject that are evaluated: none while it is paused.
    pub fn rules_in_force(&self, subject: &str) -> &[Arc<AlertRule>] {
        let rules = self.rules.get(subject);
        rules
            .filter(|_| !self.paused.contains_key(subject))
            .map_or(&[], Vec::as_slice)
    }

    /// Whether a service is not watched for now, so that its alerts stay as they are: whether it is
    /// well is not known.
    pub fn is_suspended(&self, slug: &str) -> bool {
        self.stopped.contains_key(slug) || self.paused.contains_key(slug)
    }

    /// A service, whether it runs or not, for the labels of its alerts.
    pub fn described(&self, slug: &str) -> Option<&Arc<Service>> {
        self.services.get(slug).or_else(|| self.stopped.get(slug))
    }
}

/// A sign of life to somebody outside, who calls when it stays away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    pub channel: ChannelId,
    pub interval: Duration,
}
