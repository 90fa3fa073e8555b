//! Usage: every call of a client becomes a row or a stated loss. Calls that the gateway passed on are
//! taken without waiting; calls that were reported are answered once they are durable, and count once
//! however often they are reported. Routes are learned here, and prices asked for.

mod accounting;
mod budget_usage;
mod budgets;
mod calls;
mod known_calls;
mod otlp;
mod recorder;
mod report;
mod reports;
mod status;
mod watch;

use crate::domain::CallPricing;
use crate::store::ResultStore;

pub use budgets::BudgetBook;
pub use calls::Calls;
pub use otlp::{
    Encoding, Hosts, OtlpError, Spans, Taken, answer as otlp_answer, read as read_spans,
    refusal as otlp_refusal,
};
pub use recorder::CallRecorder;
pub use report::{ReportError, Reported};
pub use reports::CallReports;
pub use status::UsageStatus;
pub use watch::UsageWatch;

/// The parts that run.
pub struct UsageParts {
    pub calls: Calls,
    pub recorder: CallRecorder,
    pub reports: CallReports,
    pub watch: UsageWatch,
}

/// Builds the parts. Without `pricing` calls have no cost.
pub fn build(
    results: &ResultStore,
    pricing: Option<CallPricing>,
    budgets: BudgetBook,
) -> UsageParts {
    let (calls, taken, reported) = Calls::new(pricing, budgets);
    UsageParts {
        recorder: CallRecorder::new(calls.clone(), taken, results.clone()),
        reports: CallReports::new(calls.clone(), reported, results.clone()),
        watch: UsageWatch::new(calls.clone(), results.clone()),
        calls,
    }
}

#[cfg(test)]
mod tests;
