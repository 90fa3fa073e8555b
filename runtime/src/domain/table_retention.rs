//! How long rows are kept that are no runs of probes and no counts of them.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// How long rows of a table are kept, in whole days; none: for ever. The newest event of each kind
/// stays in any case: ids go on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableRetention {
    /// Good runs of plugins one by one; then they are added up by minutes. Default 7 days.
    pub good_plugin_runs: Option<Duration>,
    /// Failed runs of plugins. Default 400 days: 13 months.
    pub plugin_runs: Option<Duration>,
    /// Good runs of plugins added up by minutes. Default 400 days.
    pub plugin_run_minutes: Option<Duration>,
    /// Default: for ever.
    pub alert_events: Option<Duration>,
    /// Default 400 days.
    pub events: Option<Duration>,
    /// Default 90 days.
    pub rate_limits: Option<Duration>,
    /// Default 90 days.
    pub shadow_runs: Option<Duration>,
    /// Calls one by one. Default 400 days.
    pub calls: Option<Duration>,
    /// Calls added up by minutes. Default 800 days: two years and a month.
    pub usage_totals: Option<Duration>,
}

impl Default for TableRetention {
    fn default() -> Self {
        Self {
            good_plugin_runs: Some(7 * DAY),
            plugin_runs: Some(400 * DAY),
            plugin_run_minutes: Some(400 * DAY),
            alert_events: None,
            events: Some(400 * DAY),
            rate_limits: Some(90 * DAY),
            shadow_runs: Some(90 * DAY),
            calls: Some(400 * DAY),
            usage_totals: Some(800 * DAY),
        }
    }
}

impl TableRetention {
    /// Keeps everything: for when it is not known what is wanted.
    pub const FOR_EVER: Self = Self {
        good_plugin_runs: None,
        plugin_runs: None,
        plugin_run_minutes: None,
        alert_events: None,
        events: None,
        rate_limits: None,
        shadow_runs: None,
        calls: None,
        usage_totals: None,
    };
}
