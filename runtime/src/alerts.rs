//! Alerts: rules are evaluated on every observation, breaches become alerts, and people are told.
//!
//! `engine` turns observations into committed transitions, `dispatch` decides what is muted, when whom is told of them together, and
//! who else if nobody comes; `delivery` brings the messages to their channels, `event_copy` carries alert events to the results. They meet in the control store, never in memory.
//! `acknowledgements` ends what people said they would do, `clock_keeper` sees to what waits when the clock jumps, `auditor` looks for what should have
//! happened and did not, `retention` removes what is over, `watchdog` lets the outside know that all of this works. Everything the first three need from outside is a trait in `ports`; time comes from a clock they are given.

mod acknowledgements;
pub mod actions;
pub mod auditor;
pub mod backtest;
pub mod clock;
mod clock_keeper;
pub mod delivery;
mod destinations;
pub mod dispatch;
pub mod engine;
pub mod event_copy;
pub mod flapping;
pub mod history;
pub mod lifecycle;
pub mod ports;
pub mod retention;
pub mod signals;
pub mod standing;
mod stores;
mod unrecorded;
pub mod watchdog;

#[cfg(test)]
mod fakes;

pub use acknowledgements::AcknowledgementWatch;
pub use actions::{ActionError, AlertActions};
pub use auditor::Auditor;
pub use clock::{Clock, SystemClock};
pub use clock_keeper::ClockKeeper;
pub use delivery::{Delivery, DeliveryDeps, DeliverySettings};
pub use dispatch::{DispatchDeps, Dispatcher, labelled, mutes_of};
pub use engine::{AlertEngine, EngineDeps, EngineSettings};
pub use event_copy::EventCopy;
pub use ports::{
    AlertDraft, AlertStore, Attempt, AttemptOutcome, CommitError, Committed, EventDraft, EventSink, HistoryLoader,
    Notifier, PortError, RuleRunner, Transition,
};
pub use retention::{Retention, RetentionSettings};
pub use signals::{AlertChange, AlertSignals};
pub use standing::{RuleStanding, RuleStandings};
pub use unrecorded::{Unrecorded, UnrecordedSender};
pub use watchdog::WatchdogSender;
