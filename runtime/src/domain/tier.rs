//! Tiers of history: slots of time in which runs are counted, so that years of them can be asked.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Width of the slots of a tier, from the finest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    FiveMinutes,
    Hour,
    /// A day of UTC.
    Day,
}

impl Tier {
    pub const ALL: [Tier; 3] = [Tier::FiveMinutes, Tier::Hour, Tier::Day];

    /// Returns its name in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::FiveMinutes => "5m",
            Tier::Hour => "1h",
            Tier::Day => "1d",
        }
    }

    pub fn width(self) -> Duration {
        match self {
            Tier::FiveMinutes => Duration::from_secs(300),
            Tier::Hour => Duration::from_secs(3_600),
            Tier::Day => DAY,
        }
    }

    /// Returns the tier that this one is counted from; none: the runs themselves.
    pub fn finer(self) -> Option<Tier> {
        match self {
            Tier::FiveMinutes => None,
            Tier::Hour => Some(Tier::FiveMinutes),
            Tier::Day => Some(Tier::Hour),
        }
    }
}

/// How long runs and their counts are kept, in whole days; none: for ever. What was not counted in
/// the next tier yet is kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierRetention {
    /// Runs themselves. Default: for ever.
    pub runs: Option<Duration>,
    /// Default 30 days.
    pub five_minutes: Option<Duration>,
    /// Default 400 days: 13 months.
    pub hours: Option<Duration>,
    /// Default: for ever.
    pub days: Option<Duration>,
}

impl Default for TierRetention {
    fn default() -> Self {
        Self {
            runs: None,
            five_minutes: Some(30 * DAY),
            hours: Some(400 * DAY),
            days: None,
        }
    }
}

impl TierRetention {
    /// Keeps everything: for when it is not known what is wanted.
    pub const FOR_EVER: Self = Self {
        runs: None,
        five_minutes: None,
        hours: None,
        days: None,
    };

    /// Returns how long rows of a tier are kept; without one, those of the runs.
    pub fn of(&self, tier: Option<Tier>) -> Option<Duration> {
        match tier {
            None => self.runs,
            Some(Tier::FiveMinutes) => self.five_minutes,
            Some(Tier::Hour) => self.hours,
            Some(Tier::Day) => self.days,
        }
    }
}
