//! [`CelError`].

use std::fmt;

use crate::wit::cel as wit;

/// Reason why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CelError {
    /// A syntax error, or an unknown variable or function; with its position.
    Invalid(String),
    /// The evaluation failed with these values.
    Failed(String),
    /// `NAME: TEXT`: an error of a later host.
    Other(String),
}

impl fmt::Display for CelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CelError::Invalid(text) | CelError::Failed(text) | CelError::Other(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for CelError {}

impl From<wit::CelError> for CelError {
    fn from(error: wit::CelError) -> Self {
        match error {
            wit::CelError::Invalid(text) => CelError::Invalid(text),
            wit::CelError::Failed(text) => CelError::Failed(text),
            wit::CelError::Other(text) => CelError::Other(text),
        }
    }
}
