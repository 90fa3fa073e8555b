//! Rules: the input of an evaluation, and its verdict. Same history, same verdict: a rule has no
//! clock and no network.

use crate::cel::CelError;
use crate::value::{Entry, Value};
use crate::wit::rule::exports::external_tracking::plugin::rules as wit;

/// Input of one evaluation, beside its settings. The history is read with [`crate::history`].
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Slug of the service.
    pub service: String,
    /// Wall clock of the evaluation, milliseconds since 1970.
    pub now_ms: u64,
    pub attributes: Vec<Entry>,
}

impl Evaluation {
    /// Builds an evaluation for tests.
    pub fn of(service: impl Into<String>, now_ms: u64) -> Self {
        Self {
            service: service.into(),
            now_ms,
            attributes: Vec::new(),
        }
    }
}

impl From<wit::Context> for Evaluation {
    fn from(context: wit::Context) -> Self {
        Self {
            service: context.service,
            now_ms: context.now_ms,
            attributes: context.attributes,
        }
    }
}

/// Result of an evaluation, for an ok and for a breach.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Text for people: the value found beside the value wanted.
    pub summary: String,
    pub value: Option<f64>,
    pub wanted: Option<f64>,
    pub details: Vec<Entry>,
}

impl Finding {
    pub fn new(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            value: None,
            wanted: None,
            details: Vec::new(),
        }
    }

    /// Sets the value found.
    pub fn value(mut self, value: f64) -> Self {
        self.value = Some(value);
        self
    }

    /// Sets the value wanted.
    pub fn wanted(mut self, wanted: f64) -> Self {
        self.wanted = Some(wanted);
        self
    }

    /// Adds one more figure.
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.push(Entry {
            key: name.into(),
            value: value.into(),
        });
        self
    }

    pub fn ok(self) -> Verdict {
        Verdict::Ok(self)
    }

    pub fn breached(self) -> Verdict {
        Verdict::Breached(self)
    }

    /// Makes a verdict of it: breached or ok.
    pub fn breached_if(self, is_breached: bool) -> Verdict {
        if is_breached {
            Verdict::Breached(self)
        } else {
            Verdict::Ok(self)
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Ok(Finding),
    Breached(Finding),
    /// Too little history, or the rule does not apply now. Changes nothing.
    NoOpinion(String),
}

impl Verdict {
    pub fn no_opinion(reason: impl Into<String>) -> Self {
        Verdict::NoOpinion(reason.into())
    }

    pub fn is_breached(&self) -> bool {
        matches!(self, Verdict::Breached(_))
    }

    /// Returns the finding's summary, or why there is no opinion.
    pub fn summary(&self) -> &str {
        match self {
            Verdict::Ok(finding) | Verdict::Breached(finding) => &finding.summary,
            Verdict::NoOpinion(reason) => reason,
        }
    }
}

/// Reason why a rule came to no verdict at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleError {
    Settings(String),
    Internal(String),
}

impl From<CelError> for RuleError {
    fn from(error: CelError) -> Self {
        match error {
            CelError::Invalid(text) => RuleError::Settings(text),
            CelError::Failed(text) | CelError::Other(text) => RuleError::Internal(text),
        }
    }
}

/// Types that a rule function may return.
pub trait Outcome {
    fn into_result(self) -> Result<Verdict, RuleError>;
}

impl Outcome for Verdict {
    fn into_result(self) -> Result<Verdict, RuleError> {
        Ok(self)
    }
}

impl<E: Into<RuleError>> Outcome for Result<Verdict, E> {
    fn into_result(self) -> Result<Verdict, RuleError> {
        self.map_err(Into::into)
    }
}

impl From<Finding> for wit::Finding {
    fn from(finding: Finding) -> Self {
        let Finding {
            summary,
            value,
            wanted,
            details,
        } = finding;
        Self {
            summary,
            value,
            wanted,
            details,
            attributes: Vec::new(),
        }
    }
}

impl From<Verdict> for wit::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok(finding) => wit::Verdict::Ok(finding.into()),
            Verdict::Breached(finding) => wit::Verdict::Breached(finding.into()),
            Verdict::NoOpinion(reason) => wit::Verdict::NoOpinion(reason),
        }
    }
}
