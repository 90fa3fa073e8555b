//! Runs the probes: when each is due, how many at once, and where their observations go; takes in what webhooks bring. Knows
//! nothing of rules.

mod board;
mod plugin_watch;
mod runner;
mod schedule;
mod webhooks;

pub use board::{BoardChange, ProbeStatus, RECENT, RecentRun, ServiceStatus, StatusBoard};
pub use plugin_watch::PluginWatch;
pub use runner::{CheckError, Monitoring, MonitoringSettings, Scheduler};
pub use schedule::{Due, MISSED_KEPT, ProbeKey, Schedule};
pub use webhooks::{Accepted, ReceiveError};
