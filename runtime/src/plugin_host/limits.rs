//! What one run of a plugin may use at the most. What the operator may change is in its budget
//! ([`crate::domain::Budget`]); the rest holds for all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::TABLE_ELEMENTS;
use crate::domain::BudgetKey;

/// What a guest may hand the host in one call or answer.
pub(super) const TRANSFER_BYTES: usize = 8 << 20;

/// Open connections and the like of one run. For WASI a request is three or four of them: some thirty at a time.
pub(super) const RESOURCES: usize = 128;

/// Metrics of one observation, and the length of their names and texts.
pub(super) const METRICS: usize = 64;
pub(super) const METRIC_BYTES: usize = 256;

/// `describe`, `check-settings` and `look-back` answer at once or not at all.
pub(super) const DESCRIBE: Duration = Duration::from_secs(10);

/// CPU time of `describe` of a component that nobody knows yet.
pub(super) const DESCRIBE_CPU: Duration = Duration::from_secs(2);

/// Stands for the name of a component that has not said it yet; no plugin can have it.
pub(super) const UNNAMED: &str = "new plugin";

/// A rule computes; it waits for nothing. Unless its budget says otherwise.
pub(super) const EVALUATE: Duration = Duration::from_secs(2);

/// A notification that has not left by then is tried again later. Unless the budget says otherwise.
pub(super) const NOTIFY: Duration = Duration::from_secs(30);

/// Senders wait 3 s (Slack), 10 s (GitHub), 20 s (Stripe); turning a body into events takes milliseconds.
pub(super) const RECEIVE: Duration = Duration::from_secs(10);

/// Events of one delivery: senders that send many at once send some hundreds.
pub(super) const EVENTS: usize = 1_000;

/// JSON kept of one event.
pub(super) const PAYLOAD_BYTES: usize = 256 << 10;

/// What a sender may be answered: a challenge is a line.
pub(super) const ANSWER_BYTES: usize = 4 << 10;

/// Why a run was cut off: a line of its budget was used up. Travels as the error of a trap.
#[derive(Debug, Clone)]
pub(super) struct Exceeded {
    pub(super) plugin: Arc<str>,
    pub(super) key: BudgetKey,
    /// As people write it.
    pub(super) most: String,
}

impl std::error::Error for Exceeded {}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = &self.most;
        match self.key {
            BudgetKey::WallClock => write!(f, "took longer than {most}"),
            BudgetKey::Cpu => write!(f, "used more than {most} of CPU time"),
            BudgetKey::Memory => write!(f, "asked for more than {most} of memory and gave up"),
            BudgetKey::HostCalls => write!(f, "made more than {most} host calls"),
            BudgetKey::BytesOut => write!(f, "would have sent more than {most}"),
            BudgetKey::BytesIn => write!(f, "received more than {most}"),
            BudgetKey::LogBytes => write!(f, "logged more than {most}"),
            BudgetKey::Concurrency => write!(f, "got no turn before its deadline, with {most} runs of it under way"),
        }?;
        if *self.plugin == *UNNAMED {
            return f.write_str(", which is all that a component has before it is installed");
        }
        write!(f, "; `plugins.{}.budget.{}` in plugins.yaml allows more", self.plugin, self.key.as_str())
    }
}

/// Counts the memories of all the instances in one store.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    most: usize,
    /// High-water mark, bytes.
    pub(super) peak: usize,
    current: usize,
    /// The guest asked for more memory than that and was told no.
    pub(super) refused: bool,
    /// The same of its tables, whose bound holds for all plugins.
    pub(super) table_refused: bool,
}

impl MemoryLimiter {
    pub(super) fn new(most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { most, peak: 0, current: 0, refused: false, table_refused: false }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.current - current.min(self.current) + desired;
        if total > self.most {
            self.refused = true;
            return Ok(false);
        }
        self.current = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= TABLE_ELEMENTS;
        self.table_refused |= !granted;
        Ok(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_all_memories_of_a_store_together() {
        const MOST: usize = 4 << 20;
        let mut limiter = MemoryLimiter::new(MOST as u64);
        assert!(limiter.memory_growing(0, MOST / 2, None).unwrap());
        assert!(limiter.memory_growing(0, MOST / 2, None).unwrap());
        assert!(!limiter.memory_growing(MOST / 2, MOST / 2 + 65_536, None).unwrap());
        assert!(limiter.refused);
        assert_eq!(limiter.peak, MOST);
    }

    #[test]
    fn a_component_without_a_name_is_shown_no_setting() {
        let exceeded = Exceeded { plugin: UNNAMED.into(), key: BudgetKey::Cpu, most: "2s".to_owned() };
        let text = exceeded.to_string();
        assert!(text.contains("used more than 2s of CPU time") && !text.contains("plugins."), "{text}");
    }

    #[test]
    fn what_was_used_up_is_told_with_its_setting() {
        let exceeded = Exceeded { plugin: "shop".into(), key: BudgetKey::Cpu, most: "500ms".to_owned() };
        assert_eq!(
            exceeded.to_string(),
            "used more than 500ms of CPU time; `plugins.shop.budget.cpu` in plugins.yaml allows more"
        );
    }
}
