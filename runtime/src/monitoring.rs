//! Runs of the probes: when each is due, how many at once, and where their observations go; and the
//! deliveries of webhooks. Has nothing to do with rules.

mod check_runner;
mod clock;
mod in_flight;
mod incidents;
mod maintenance;
mod missed;
mod offline;
mod plugin_watch;
mod pulse;
mod restore;
mod runner;
mod schedule;
mod scheduler;
mod shared;
mod status_cache;
mod webhooks;

pub use incidents::{IncidentCopy, IncidentTracker, IncidentWriter, VendorIncidents};
pub use maintenance::MaintenanceWatch;
pub use offline::{OfflineTarget, OfflineWatch};
pub use plugin_watch::PluginWatch;
pub use runner::{CheckError, Monitoring};
pub use schedule::{Due, Schedule};
pub use scheduler::Scheduler;
pub use shared::MonitoringSettings;
pub use status_cache::{ProbeStatus, RECENT, RecentRun, ServiceStatus, StatusCache, StatusChange};
pub use webhooks::{Accepted, ReceiveError};
