//! How long the control store keeps what is over.

use std::time::Duration;

use super::SettingsReader;
use crate::alerts::RetentionSettings;

const DAY: Duration = Duration::from_secs(86_400);

/// Ten years.
const MAX_DAYS: u32 = 3_650;

impl SettingsReader<'_> {
    pub(super) fn retention(&mut self) -> RetentionSettings {
        let mut days = |name, default: Duration| {
            let days = self.parsed(name, |text| match text.parse::<u32>() {
                Ok(days) if (1..=MAX_DAYS).contains(&days) => Ok(DAY * days),
                _ => Err(format!(
                    "must be a whole number of days between 1 and {MAX_DAYS}"
                )),
            });
            days.unwrap_or(default)
        };
        let default = RetentionSettings::default();
        RetentionSettings {
            alerts: days("EXTRACK_ALERT_RETENTION", default.alerts),
            messages: days("EXTRACK_MESSAGE_RETENTION", default.messages),
            audit: days("EXTRACK_AUDIT_RETENTION", default.audit),
            silences: days("EXTRACK_SILENCE_RETENTION", default.silences),
        }
    }
}
