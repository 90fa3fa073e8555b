//! Limits of one run of a plugin. Limits that the operator may change are in its budget
//! ([`crate::domain::Budget`]); these are the same for all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::BudgetKey;

/// Bytes that a guest may hand over in one call or answer.
pub(in crate::plugin_host) const TRANSFER_BYTES: usize = 8 << 20;

/// Open connections and the like of one run. For WASI a request is three or four of them: some
/// thirty at a time.
pub(in crate::plugin_host) const RESOURCES: usize = 128;

/// Metrics of one observation, and the length of their names and texts.
pub(in crate::plugin_host) const METRICS: usize = 64;
pub(in crate::plugin_host) const METRIC_BYTES: usize = 256;

/// `describe`, `check-settings` and `look-back` answer at once or not at all.
pub(in crate::plugin_host) const DESCRIBE: Duration = Duration::from_secs(10);

/// CPU time of `describe` while a component is loaded, before its name and so its budget are known.
pub(in crate::plugin_host) const DESCRIBE_CPU: Duration = Duration::from_secs(2);

/// Stands for the name of a component that has not said it yet; no plugin can have it.
pub(in crate::plugin_host) const UNNAMED: &str = "new plugin";

/// Time of an evaluation, unless the budget sets another: a rule computes, and waits for nothing.
pub(in crate::plugin_host) const EVALUATE: Duration = Duration::from_secs(2);

/// Time of an attempt to notify, unless the budget sets another. A message that has not left by
/// then is retried later.
pub(in crate::plugin_host) const NOTIFY: Duration = Duration::from_secs(30);

/// Senders wait 3 s (Slack), 10 s (GitHub), 20 s (Stripe); turning a body into events takes
/// milliseconds.
pub(in crate::plugin_host) const RECEIVE: Duration = Duration::from_secs(10);

/// Time of one reading of a vendor's figures, unless the budget sets another: some ten pages, and a
/// vendor may take seconds for each.
pub(in crate::plugin_host) const READ: Duration = Duration::from_secs(120);

/// Figures of one reading: a hundred names on each day of a month are some 3,000.
pub(in crate::plugin_host) const FIGURES: usize = 10_000;

/// Events of one delivery: senders that send many at once send some hundreds.
pub(in crate::plugin_host) const EVENTS: usize = 1_000;

/// JSON kept of one event.
pub(in crate::plugin_host) const PAYLOAD_BYTES: usize = 256 << 10;

/// Bytes of an answer to a sender: a challenge is a line.
pub(in crate::plugin_host) const ANSWER_BYTES: usize = 4 << 10;

/// Bytes that one run may hand over in all: requests, variables of expressions, log lines. A body
/// of a megabyte in two hundred assertions is within it.
pub(in crate::plugin_host) const HANDED_BYTES: usize = 256 << 20;

/// Lines of one run's log; a traceback has some thirty.
pub(in crate::plugin_host) const LOG_LINES: u32 = 100;

/// Bytes kept of a vendor's answer to a message, and of its name there.
pub(in crate::plugin_host) const RECEIPT_BYTES: usize = 1 << 10;

/// Limits of a plugin's description of itself: its summary, one want, the number of wants, its
/// schema of settings.
pub(in crate::plugin_host) const SUMMARY_BYTES: usize = 1 << 10;
pub(in crate::plugin_host) const WANT_BYTES: usize = 256;
pub(in crate::plugin_host) const WANTS: usize = 256;
pub(in crate::plugin_host) const SCHEMA_BYTES: usize = 256 << 10;

/// Faults that a plugin finds in settings.
pub(in crate::plugin_host) const FAULTS: usize = 100;

/// A limit that a run exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin_host) enum Limit {
    /// The operator may allow more.
    Budget(BudgetKey),
    /// [`HANDED_BYTES`].
    Handed,
    /// Memory of all runs together.
    RunsMemory,
}

impl From<BudgetKey> for Limit {
    fn from(key: BudgetKey) -> Self {
        Limit::Budget(key)
    }
}

/// Why a run was cut off. Travels as the error of a trap.
#[derive(Debug, Clone)]
pub(in crate::plugin_host) struct Exceeded {
    pub(in crate::plugin_host) plugin: Arc<str>,
    pub(in crate::plugin_host) limit: Limit,
    /// The limit as people write it.
    pub(in crate::plugin_host) most: String,
}

impl std::error::Error for Exceeded {}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = &self.most;
        let key = match self.limit {
            Limit::Budget(key) => key,
            Limit::Handed => return write!(f, "handed the host more than {most} in one run"),
            Limit::RunsMemory => {
                return f.write_str(
                    "got no memory in time: other runs have it; fewer at once, or more by `EXTRACK_RUNS_MEMORY_MB`, mend it",
                );
            }
        };
        match key {
            BudgetKey::WallClock => write!(f, "took longer than {most}"),
            BudgetKey::Cpu => write!(f, "used more than {most} of CPU time"),
            BudgetKey::Memory => write!(f, "asked for more than {most} of memory and gave up"),
            BudgetKey::HostCalls => write!(f, "made more than {most} host calls"),
            BudgetKey::BytesOut => write!(f, "would have sent more than {most}"),
            BudgetKey::BytesIn => write!(f, "received more than {most}"),
            BudgetKey::LogBytes => write!(f, "logged more than {most}"),
            BudgetKey::Concurrency => write!(
                f,
                "got no turn before its deadline, with {most} runs of it under way"
            ),
        }?;
        if *self.plugin == *UNNAMED {
            return f.write_str(", which is all that a component has before it is installed");
        }
        write!(
            f,
            "; `plugins.{}.budget.{}` in plugins.yaml allows more",
            self.plugin,
            key.as_str()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_without_a_name_is_shown_no_setting() {
        let exceeded = Exceeded {
            plugin: UNNAMED.into(),
            limit: BudgetKey::Cpu.into(),
            most: "2s".to_owned(),
        };
        let text = exceeded.to_string();
        assert!(
            text.contains("used more than 2s of CPU time") && !text.contains("plugins."),
            "{text}"
        );
    }

    #[test]
    fn what_was_used_up_is_named_with_its_setting() {
        let exceeded = |limit: Limit| Exceeded {
            plugin: "shop".into(),
            limit,
            most: "500ms".to_owned(),
        };
        assert_eq!(
            exceeded(BudgetKey::Cpu.into()).to_string(),
            "used more than 500ms of CPU time; `plugins.shop.budget.cpu` in plugins.yaml allows more"
        );
        assert!(
            exceeded(Limit::RunsMemory)
                .to_string()
                .contains("`EXTRACK_RUNS_MEMORY_MB`")
        );
    }
}
