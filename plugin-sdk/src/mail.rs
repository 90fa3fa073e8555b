//! E-mail over the operator's SMTP server.

use std::fmt;

use crate::wit::mail as wit;
pub use crate::wit::mail::Message;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailError {
    /// Worth another attempt.
    Temporary(String),
    Permanent(String),
    /// The operator's policy does not allow it.
    Denied(String),
    Other(String),
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailError::Temporary(text)
            | MailError::Permanent(text)
            | MailError::Denied(text)
            | MailError::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for MailError {}

impl From<wit::MailError> for MailError {
    fn from(error: wit::MailError) -> Self {
        match error {
            wit::MailError::Temporary(text) => MailError::Temporary(text),
            wit::MailError::Permanent(text) => MailError::Permanent(text),
            wit::MailError::Denied(text) => MailError::Denied(text),
            wit::MailError::Other(text) => MailError::Other(text),
        }
    }
}

/// Hands a message to the mail server, and returns its answer.
pub fn send(message: &Message) -> Result<String, MailError> {
    #[cfg(target_arch = "wasm32")]
    return wit::send(message).map_err(MailError::from);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.mail(message))
}
