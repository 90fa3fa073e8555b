//! How a service stands, with a word for those that have not run yet.

use crate::domain::Status;

/// Worst first: the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    Error,
    Unhealthy,
    Degraded,
    /// No run yet.
    Waiting,
    Healthy,
}

impl Standing {
    pub(super) const ALL: [Standing; 5] =
        [Standing::Error, Standing::Unhealthy, Standing::Degraded, Standing::Waiting, Standing::Healthy];

    /// The word on the page, in `?status=` and in class names.
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Error => Status::Error.as_str(),
            Standing::Unhealthy => Status::Unhealthy.as_str(),
            Standing::Degraded => Status::Degraded.as_str(),
            Standing::Waiting => "waiting",
            Standing::Healthy => Status::Healthy.as_str(),
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Standing::Error => "Error",
            Standing::Unhealthy => "Unhealthy",
            Standing::Degraded => "Degraded",
            Standing::Waiting => "Waiting",
            Standing::Healthy => "Healthy",
        }
    }

    pub(super) fn meaning(self) -> &'static str {
        match self {
            Standing::Error => "no answer",
            Standing::Unhealthy => "answered, wrongly",
            Standing::Degraded => "slow, or with a warning",
            Standing::Waiting => "not checked yet",
            Standing::Healthy => "answered as wanted",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.word() == text)
    }
}

impl From<Option<Status>> for Standing {
    fn from(status: Option<Status>) -> Self {
        match status {
            None => Standing::Waiting,
            Some(Status::Healthy) => Standing::Healthy,
            Some(Status::Degraded) => Standing::Degraded,
            Some(Status::Unhealthy) => Standing::Unhealthy,
            Some(Status::Error) => Standing::Error,
        }
    }
}

impl From<Status> for Standing {
    fn from(status: Status) -> Self {
        Some(status).into()
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

    pub(super) fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Neither healthy nor waiting.
    pub(super) fn in_trouble(&self) -> usize {
        [Standing::Error, Standing::Unhealthy, Standing::Degraded].into_iter().map(|standing| self.of(standing)).sum()
    }
}
