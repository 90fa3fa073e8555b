//! A pause of a service: nothing is checked, judged or paged for a while.

use super::UnixMillis;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The first moment at which it no longer holds; none: until somebody resumes the service.
    pub until_ms: Option<UnixMillis>,
    /// For people; may be empty.
    pub reason: String,
    /// Who paused it over the API, and when; none: its description does.
    pub by: Option<PausedBy>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedBy {
    /// Name of the token.
    pub author: String,
    pub since_ms: UnixMillis,
}

impl Pause {
    /// Characters of a reason.
    pub const MAX_REASON_CHARS: usize = 1_000;

    pub fn is_over(&self, now_ms: UnixMillis) -> bool {
        self.until_ms.is_some_and(|until_ms| until_ms <= now_ms)
    }
}

impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the service is paused")?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}
