//! How a service stands, with a word for those that have not run yet.

use crate::domain::{CurrentStatus, Status};

/// Worst first: the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    Error,
    Unhealthy,
    Degraded,
    /// The latest check broke.
    Unknown,
    /// No run yet.
    Waiting,
    Healthy,
}

impl Standing {
    pub(super) const ALL: [Standing; 6] = [
        Standing::Error,
        Standing::Unhealthy,
        Standing::Degraded,
        Standing::Unknown,
        Standing::Waiting,
        Standing::Healthy,
    ];

    /// The word on the page, in `?status=` and in class names.
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Error => Status::Error.as_str(),
            Standing::Unhealthy => Status::Unhealthy.as_str(),
            Standing::Degraded => Status::Degraded.as_str(),
            Standing::Unknown => CurrentStatus::Unknown.as_str(),
            Standing::Waiting => "waiting",
            Standing::Healthy => Status::Healthy.as_str(),
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Standing::Error => "Error",
            Standing::Unhealthy => "Unhealthy",
            Standing::Degraded => "Degraded",
            Standing::Unknown => "Unknown",
            Standing::Waiting => "Waiting",
            Standing::Healthy => "Healthy",
        }
    }

    pub(super) fn meaning(self) -> &'static str {
        match self {
            Standing::Error => "no answer",
            Standing::Unhealthy => "answered, wrongly",
            Standing::Degraded => "slow, or with a warning",
            Standing::Unknown => "the check is broken",
            Standing::Waiting => "not checked yet",
            Standing::Healthy => "answered as wanted",
        }
    }

    /// Reports whether the service needs attention.
    pub(super) fn is_trouble(self) -> bool {
        self < Standing::Waiting
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.word() == text)
    }
}

impl From<Option<CurrentStatus>> for Standing {
    fn from(status: Option<CurrentStatus>) -> Self {
        match status {
            None => Standing::Waiting,
            Some(CurrentStatus::Healthy) => Standing::Healthy,
            Some(CurrentStatus::Unknown) => Standing::Unknown,
            Some(CurrentStatus::Degraded) => Standing::Degraded,
            Some(CurrentStatus::Unhealthy) => Standing::Unhealthy,
            Some(CurrentStatus::Error) => Standing::Error,
        }
    }
}

impl From<Status> for Standing {
    fn from(status: Status) -> Self {
        match status {
            Status::Healthy => Standing::Healthy,
            Status::Degraded => Standing::Degraded,
            Status::Unhealthy => Standing::Unhealthy,
            Status::Error => Standing::Error,
        }
    }
}

/// How many services stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts([usize; Standing::ALL.len()]);

impl Counts {
    pub(super) fn add(&mut self, standing: Standing) {
        self.0[standing as usize] += 1;
    }

    pub(super) fn of(&self, standing: Standing) -> usize {
        self.0[standing as usize]
    }

    /// Returns those that there are, e.g. `2 error, 40 healthy`.
    pub(super) fn words(&self) -> String {
        let counted = Standing::ALL.map(|standing| (self.of(standing), standing.word()));
        let counted = counted.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = counted
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        parts.join(", ")
    }

    pub(super) fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Neither healthy nor waiting.
    pub(super) fn in_trouble(&self) -> usize {
        let trouble = Standing::ALL.into_iter().filter(|one| one.is_trouble());
        trouble.map(|standing| self.of(standing)).sum()
    }
}
