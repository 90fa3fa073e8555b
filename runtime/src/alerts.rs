//! Alerts: rules are evaluated on every observation, breaches become alerts, and people are told.
//!
//! `engine` turns observations into committed transitions, `dispatch` decides when whom is told of them together, `delivery`
//! brings the messages to their channels, `event_copy` carries alert events to the results. They meet in the control store, never in memory.
//! Everything they need from outside is a trait in `ports`; time comes from a clock they are given.

pub mod backtest;
pub mod clock;
pub mod delivery;
pub mod dispatch;
pub mod engine;
pub mod escalation;
pub mod event_copy;
pub mod flapping;
pub mod history;
pub mod lifecycle;
pub mod ports;
pub mod signals;
mod stores;

#[cfg(test)]
mod fakes;

pub use clock::{Clock, SystemClock};
pub use delivery::{Delivery, DeliveryDeps, DeliverySettings};
pub use dispatch::{DispatchDeps, Dispatcher, labelled, mutes_of};
pub use engine::{AlertEngine, EngineDeps, EngineSettings};
pub use event_copy::EventCopy;
pub use ports::{
    AlertDraft, AlertStore, Attempt, AttemptOutcome, Committed, EventDraft, EventSink, HistoryLoader, Notifier,
    PortError, RuleRunner, Transition,
};
pub use signals::{AlertChange, AlertSignals};
