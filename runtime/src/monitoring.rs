//! Runs the probes: when each is due, how many at once, and where their observations go; takes in
//! what webhooks bring. Knows nothing of rules.

mod board;
mod clock;
mod in_flight;
mod missed;
mod offline;
mod plugin_watch;
mod pulse;
mod restore;
mod runner;
mod schedule;
mod scheduler;
mod webhooks;

pub use board::{BoardChange, ProbeStatus, RECENT, RecentRun, ServiceStatus, StatusBoard};
pub use offline::{OfflineTarget, OfflineWatch};
pub use plugin_watch::PluginWatch;
pub use runner::{CheckError, Monitoring, MonitoringSettings};
pub use schedule::{Due, ProbeKey, Schedule};
pub use scheduler::Scheduler;
pub use webhooks::{Accepted, ReceiveError};
