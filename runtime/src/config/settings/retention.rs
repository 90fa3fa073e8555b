//! How long the control store keeps what is over.

use std::time::Duration;

use super::SettingsReader;

const DAY: Duration = Duration::from_secs(86_400);

/// Ten years.
const MOST_DAYS: u32 = 3_650;

/// None: the default of the part that removes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptFor {
    /// `EXTRACK_ALERT_RETENTION` (days, 180): resolved alerts with their history.
    pub alerts: Option<Duration>,
    /// `EXTRACK_MESSAGE_RETENTION` (days, 90): messages that were delivered or given up, with
    /// their attempts.
    pub messages: Option<Duration>,
    /// `EXTRACK_AUDIT_RETENTION` (days, 400): the audit log.
    pub audit: Option<Duration>,
    /// `EXTRACK_SILENCE_RETENTION` (days, 180): silences that ended and one-off maintenance
    /// windows that are over.
    pub silences: Option<Duration>,
}

impl SettingsReader<'_> {
    pub(super) fn kept_for(&mut self) -> KeptFor {
        let mut days = |name| {
            self.parsed(name, |text| match text.parse::<u32>() {
                Ok(days) if (1..=MOST_DAYS).contains(&days) => Ok(DAY * days),
                _ => Err(format!(
                    "must be a whole number of days between 1 and {MOST_DAYS}"
                )),
            })
        };
        KeptFor {
            alerts: days("EXTRACK_ALERT_RETENTION"),
            messages: days("EXTRACK_MESSAGE_RETENTION"),
            audit: days("EXTRACK_AUDIT_RETENTION"),
            silences: days("EXTRACK_SILENCE_RETENTION"),
        }
    }
}
