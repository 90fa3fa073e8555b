//! How long the control store keeps what is over, and the results their history.

use std::time::Duration;

use super::SettingsReader;
use crate::alerts::RetentionSettings;
use crate::domain::TierRetention;

const DAY: Duration = Duration::from_secs(86_400);

/// Ten years.
const MAX_DAYS: u32 = 3_650;

const FOR_EVER: &str = "forever";

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

    pub(super) fn history(&mut self) -> TierRetention {
        let mut days = |name, default: Option<Duration>| {
            let days = self.parsed(name, |text| match text.parse::<u32>() {
                Ok(days) if (1..=MAX_DAYS).contains(&days) => Ok(Some(DAY * days)),
                _ if text == FOR_EVER => Ok(None),
                _ => Err(format!(
                    "must be a whole number of days between 1 and {MAX_DAYS}, or `{FOR_EVER}`"
                )),
            });
            days.unwrap_or(default)
        };
        let default = TierRetention::default();
        TierRetention {
            runs: days("EXTRACK_RAW_RETENTION", default.runs),
            five_minutes: days("EXTRACK_5M_RETENTION", default.five_minutes),
            hours: days("EXTRACK_1H_RETENTION", default.hours),
            days: days("EXTRACK_1D_RETENTION", default.days),
        }
    }
}
