//! Alerts: rules are evaluated on every observation, breaches become alerts, and people are
//! notified.
//!
//! - `engine` turns observations into committed transitions, with the `evaluator` of rules.
//! - `dispatch` decides what is muted, what is sent together and when, and which escalation steps
//!   are due.
//! - `delivery` sends the messages to their channels; `unrecorded` sends what could not be
//!   committed.
//! - `event_copy` copies alert events to the results.
//! - `acknowledgements` ends acknowledgements that expire, `clock_keeper` moves due moments when
//!   the clock jumps, `auditor` finds what is overdue, `retention` removes what is over, `watchdog`
//!   sends signs of life.
//!
//! They meet in the control store, never in memory. Everything that the first three need from
//! outside is a trait in `ports`; time comes from a clock they are given.

mod acknowledgements;
pub mod actions;
pub mod auditor;
mod budgeted_rules;
pub mod clock;
mod clock_keeper;
pub mod delivery;
mod destinations;
pub mod dispatch;
pub mod engine;
pub mod evaluator;
pub mod event_copy;
mod fault_log;
pub mod flapping;
pub mod history;
pub mod lifecycle;
pub mod message_simulation;
pub mod ports;
pub mod retention;
pub mod rule_status;
pub mod signals;
mod stores;
mod unrecorded;
pub mod watchdog;

#[cfg(test)]
pub(crate) mod fakes;

pub use acknowledgements::AcknowledgementWatch;
pub use actions::{ActionError, AlertActions};
pub use auditor::Auditor;
pub use budgeted_rules::BudgetedRules;
pub use clock::{Clock, SystemClock};
pub use clock_keeper::ClockKeeper;
pub use delivery::{Delivery, DeliveryDeps, DeliverySettings};
pub use destinations::labelled;
pub use dispatch::{DispatchDeps, Dispatcher, mutes_of};
pub use engine::{AlertEngine, EngineDeps, EngineSettings};
pub use event_copy::EventCopy;
pub use ports::{
    AlertDraft, Attempt, AttemptOutcome, CommitError, EventDraft, EventSink, HistoryLoader,
    Notifier, PortError, RuleRunner, Transition,
};
pub use retention::{Retention, RetentionSettings};
pub use rule_status::{RuleStatus, RuleStatuses};
pub use signals::{AlertChange, AlertSignals};
pub use unrecorded::{Unrecorded, UnrecordedSender};
pub use watchdog::WatchdogSender;
