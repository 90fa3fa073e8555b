//! Runs of the probes: when each is due, how many at once, and where their observations go; the
//! deliveries of webhooks; the readings of meters; and the heartbeats of jobs. Has nothing to do with rules.

mod check_runner;
mod clock;
mod credential_watch;
mod heartbeats;
mod in_flight;
mod incidents;
mod maintenance;
mod meters;
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
mod summaries;
mod webhooks;

pub use credential_watch::CredentialWatch;
pub use heartbeats::{HeartbeatStatus, Heartbeats, PingError};
pub use incidents::{IncidentCopy, IncidentTracker, IncidentWriter, VendorIncidents};
pub use maintenance::MaintenanceWatch;
pub use meters::{MeterReader, MeterStatus};
pub use offline::{OfflineTarget, OfflineWatch};
pub use plugin_watch::PluginWatch;
pub use runner::{CheckError, Monitoring};
pub use schedule::{Due, Schedule};
pub use scheduler::Scheduler;
pub use shared::MonitoringSettings;
pub use status_cache::{ProbeStatus, RECENT, RecentRun, ServiceStatus, StatusCache, StatusChange};
pub use summaries::{FiguresBySlug, ServiceFigures, Summaries, SummaryRefresher};
pub use webhooks::receiver::DeliveryLog;
pub use webhooks::replay::ReplayError;
pub use webhooks::{Accepted, ReceiveError};
