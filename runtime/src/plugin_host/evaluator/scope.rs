//! Expressions that select: true or false.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::Value;

use super::{Check, Evaluated, EvaluationError, Evaluator, Job, Work};

/// Steps to parse an expression, about fifteen milliseconds: some callers wait on a thread of the
/// runtime.
const STEPS: u64 = 50_000_000;

impl Evaluator {
    /// Looks for what is wrong with an expression that may use these variables.
    pub async fn selector_check(
        &self,
        expression: &str,
        variables: &[String],
    ) -> Result<(), EvaluationError> {
        let request = serde_json::to_vec(&Check {
            expression,
            variables,
        })
        .unwrap_or_default();
        let job = Job {
            request: [&request, &[]],
            work: Work::Check,
            steps: 2 * STEPS,
            history: None,
        };
        self.evaluated(job).await.result.map(drop)
    }

    pub async fn selects(
        &self,
        expression: &str,
        variables: &Value,
    ) -> Result<bool, EvaluationError> {
        let variables = variables.to_string();
        truth(self.evaluated(selection(expression, &variables)).await)
    }

    /// The same at once, for expressions of the operator.
    pub fn selects_now(
        &self,
        expression: &str,
        variables: &Value,
    ) -> Result<bool, EvaluationError> {
        let variables = variables.to_string();
        truth(at_once(self.run(selection(expression, &variables))))
    }
}

/// Runs work that waits for nothing to its end: where it gives way, it goes on. An executor would
/// wait for the runtime to wake it, which has this very thread to do so.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

fn selection<'a>(expression: &'a str, variables: &'a str) -> Job<'a> {
    let request = [expression.as_bytes(), variables.as_bytes()];
    Job {
        request,
        work: Work::Evaluate,
        steps: STEPS,
        history: None,
    }
}

fn truth(evaluated: Evaluated) -> Result<bool, EvaluationError> {
    match serde_json::from_str(&evaluated.result?) {
        Ok(Value::Bool(is_true)) => Ok(is_true),
        _ => Err(EvaluationError::Failed(
            "is neither true nor false".to_owned(),
        )),
    }
}
