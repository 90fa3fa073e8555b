//! The log of one run: lines of the `log` capability, and what a guest writes to standard output and error, under one cap.
//! They become log lines of ours, under their plugin's name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bindings::imports::log::Level;
use super::state::{Access, RunLabel};
use crate::domain::BudgetKey;

/// One line.
const LINE_BYTES: usize = 4 << 10;

/// Kept of what was said last before a trap.
const LAST_WORDS_BYTES: usize = 1 << 10;

pub(super) struct RunLog {
    label: RunLabel,
    /// Knows the secrets that are taken out.
    access: Arc<Access>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    bytes: u64,
    /// The last line logged as an error: what a panic said before it trapped.
    last_error: Option<String>,
    /// The end of standard error, where languages other than Rust say it.
    last_words: String,
}

impl RunLog {
    /// What is over the budget of the run is counted and dropped.
    pub(super) fn new(label: RunLabel, access: Arc<Access>) -> Self {
        Self { label, access, written: Mutex::default() }
    }

    pub(super) fn write(&self, level: Level, message: &str) {
        if let Some(line) = self.line(level, message)
            && level == Level::Error
        {
            self.lock().last_error = Some(line);
        }
    }

    /// A line of standard error: a warning, and perhaps the last words of the guest.
    pub(super) fn write_standard_error(&self, message: &str) {
        let Some(line) = self.line(Level::Warn, message) else { return };
        let words = &mut self.lock().last_words;
        if !words.is_empty() {
            words.push_str(" | ");
        }
        words.push_str(line.trim());
        let over = words.len().saturating_sub(LAST_WORDS_BYTES);
        words.drain(..words.ceil_char_boundary(over));
    }

    /// Bytes that were written, those dropped too.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    pub(super) fn last_error(&self) -> Option<String> {
        let written = self.lock();
        written.last_error.clone().or_else(|| (!written.last_words.is_empty()).then(|| written.last_words.clone()))
    }

    /// Counts and logs it; the line as it was logged, or none if it was over the cap.
    fn line(&self, level: Level, message: &str) -> Option<String> {
        let before = {
            let bytes = &mut self.lock().bytes;
            *bytes += message.len() as u64;
            *bytes - message.len() as u64
        };
        let most = self.access.allowance.budget().log_bytes;
        if before > most {
            return None;
        }
        let (plugin, service) = (&*self.label.plugin, self.label.service.as_deref());
        if before + message.len() as u64 > most {
            let exceeded = self.access.allowance.exceeded(BudgetKey::LogBytes);
            tracing::warn!(target: "extrack::plugin", plugin, service, "{exceeded}; what follows is dropped");
        }
        let cut = message.floor_char_boundary(LINE_BYTES.min(message.len()));
        let message = self.access.secrets.redact(&message[..cut]);
        self.access.recorder.log(level, &message);
        match level {
            Level::Debug => tracing::debug!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Info => tracing::info!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Warn => tracing::warn!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Error => tracing::error!(target: "extrack::plugin", plugin, service, "{message}"),
        }
        Some(message)
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BudgetChanges, PluginPolicy};
    use crate::plugin_host::grants::{Allowance, Policy, PolicyOrigin};

    fn log(cap: u64) -> RunLog {
        let budget = BudgetChanges { log_bytes: Some(cap), ..BudgetChanges::default() };
        let policy = Policy::new(PolicyOrigin::File, PluginPolicy { budget, ..PluginPolicy::default() });
        let allowance = Allowance::new("p".into(), Arc::default(), policy.into());
        let access = Access { allowance, ..Access::default() };
        RunLog::new(RunLabel::of("p"), Arc::new(access))
    }

    #[test]
    fn what_is_over_the_cap_is_counted_and_dropped() {
        let log = log(10);
        log.write(Level::Error, "first line");
        log.write(Level::Error, "second");
        log.write(Level::Error, "third");
        assert_eq!(log.bytes(), 21);
        assert_eq!(log.last_error().as_deref(), Some("second"));
    }

    #[test]
    fn the_last_words_are_those_of_the_log_or_else_of_standard_error() {
        let log = log(1 << 20);
        assert_eq!(log.last_error(), None);
        log.write_standard_error("Traceback:");
        log.write_standard_error("  TypeError: é");
        assert_eq!(log.last_error().as_deref(), Some("Traceback: | TypeError: é"));
        log.write_standard_error(&"é".repeat(2_000));
        assert!(log.last_error().is_some_and(|words| words.len() <= LAST_WORDS_BYTES && words.ends_with('é')));
        log.write(Level::Info, "fine");
        log.write(Level::Error, "panicked");
        assert_eq!(log.last_error().as_deref(), Some("panicked"));
    }
}
